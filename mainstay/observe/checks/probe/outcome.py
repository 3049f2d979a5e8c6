"""What one probe saw."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from mainstay.net.connect import NetworkError

Fact = str | int | float | bool
Facts = Mapping[str, Fact]
NO_FACTS: Facts = MappingProxyType({})


class Health(StrEnum):
    """The verdict of one probe (a check's *state* also weighs earlier results and dependencies)."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class Phases(NamedTuple):
    """Where the time went, in seconds; 0.0 where a phase did not occur. Redirects and retries are summed up."""

    dns_s: float = 0.0
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    transfer_s: float = 0.0


class Outcome(NamedTuple):
    """One probe's result.

    `started_at` is in unix seconds (wall clock), `duration_s` comes from a monotonic clock. `message` is one
    sentence saying what is wrong and where; it is empty when `health` is up. `code` is the protocol's own
    number: HTTP status, SMTP reply, exit status.
    """

    health: Health
    started_at: float
    duration_s: float
    message: str = ""
    phases: Phases | None = None
    code: int | None = None
    facts: Facts = NO_FACTS


class ProbeError(NetworkError):
    """The probe ends DOWN; the text is the message, without the target's name. `code` is the protocol's number."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
