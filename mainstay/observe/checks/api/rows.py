"""Checks as the API shows them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from mainstay.foundation.api.body import masked_spec
from mainstay.foundation.api.collection import columns
from mainstay.foundation.api.types import ManagedBy, Seconds
from mainstay.foundation.words.names import Severity
from mainstay.observe.checks.decide import Health, Shown, Status
from mainstay.observe.checks.pages.listing import Row


class CheckRow(BaseModel):
    """A check and how it stands now."""

    id: int
    application: str
    name: str
    environment: str | None
    component: str | None
    kind: str = Field(examples=["http"])
    target: str = Field(description="What is watched; holds no secret.", examples=["https://shop.example.com/"])
    severity: Severity
    labels: dict[str, str]
    paused: bool
    every_s: Seconds
    timeout_s: Seconds
    status: Status = Field(
        description="What people see: health, unless paused, in maintenance, overdue or unreachable."
    )
    reason: str = Field(description="Why, as a sentence; empty while up.")
    health: Health = Field(description="What the results add up to.")
    since: datetime | None = Field(description="Of this health.")
    last_at: datetime | None = Field(description="Of the newest result.")
    last_duration_s: Seconds | None
    managed_by: ManagedBy
    created_at: datetime


class Last(BaseModel):
    """The newest result."""

    at: datetime
    health: str
    duration_s: Seconds | None
    code: int | None = Field(description="The protocol's own: HTTP status, exit status, …")
    message: str
    facts: dict[str, Any] = Field(description="What the probe noticed besides: certificate, resolved address, …")


class CheckDetail(CheckRow):
    """A check: how it stands, and the document that describes it."""

    fail_after: int = Field(description="Failures in a row until it is down.")
    recover_after: int = Field(description="Successes in a row until it is up.")
    flapping: bool
    last: Last | None
    ping_url: str | None = Field(description="Where a heartbeat's job reports; null for other kinds.")
    pinged_at: datetime | None
    due_at: datetime | None = Field(description="When a heartbeat counts as missing.")
    spec: dict[str, Any] = masked_spec("check")


class ResultRow(BaseModel):
    """One result of a check. Durations in seconds; phases that did not occur are null or 0."""

    id: int
    at: datetime
    health: Health
    duration_s: Seconds
    dns_s: Seconds | None
    connect_s: Seconds | None
    tls_s: Seconds | None
    first_byte_s: Seconds | None
    transfer_s: Seconds | None
    code: int | None
    message: str


class PingRow(BaseModel):
    """One report of a heartbeat."""

    id: int
    at: datetime
    kind: str = Field(description="start, success, fail or log.", examples=["success"])
    exit_status: int | None
    run: str = Field(description="`?rid=` of the ping, which pairs a start with its end.")
    source: str = Field(description="Address that it came from.")
    body: str = Field(description="The last 10,000 bytes of what was sent along.")
    duration_s: Seconds | None = Field(description="Since the matching start.")
    handled: bool


class Phases(BaseModel):
    """Where the time of a probe went, in seconds."""

    dns_s: Seconds
    connect_s: Seconds
    tls_s: Seconds
    first_byte_s: Seconds
    transfer_s: Seconds


class TryResult(BaseModel):
    """What one probe saw, now."""

    health: Health
    message: str = Field(description="What is wrong, as a sentence; empty when up.")
    at: datetime
    duration_s: Seconds
    code: int | None
    phases: Phases | None
    facts: dict[str, Any]


def check_row(row: Row, shown: Shown) -> dict[str, Any]:
    """Return a `CheckRow`."""
    health = row.health or Health.UNKNOWN
    return columns(row, CheckRow, status=shown.status, reason=shown.reason, health=health)
