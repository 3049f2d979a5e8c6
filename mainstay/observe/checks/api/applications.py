"""The state and the uptime of applications, as their checks tell them."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import STATUS_VIEW
from mainstay.foundation.api.access import needs
from mainstay.foundation.api.collection import columns
from mainstay.foundation.api.pagination import Page, cut, decode, encode
from mainstay.foundation.api.types import Paging, Seconds
from mainstay.foundation.catalog.api import APPLICATIONS, ApplicationName
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.words.names import Severity
from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.uptime import timeline
from mainstay.observe.checks.uptime.applications import Part, deciding, whole
from mainstay.observe.checks.uptime.cache import LONGEST
from mainstay.observe.checks.uptime.records import courses

router = Router()
DAYS_MOST = LONGEST.days


class ApplicationStatus(BaseModel):
    """How an application stands."""

    application: str
    tier: str
    status: Status
    reason: str
    checks: dict[str, int] = Field(description="How many of its checks stand so.", examples=[{"up": 5, "down": 1}])


class ShareRow(BaseModel):
    """What is known of a stretch of time. Pauses, maintenance and time that nobody watched are not known."""

    uptime: float | None = Field(description="From 0 to 1, of the time that is known; null when nothing is.")
    known_s: Seconds
    down_s: Seconds
    degraded_s: Seconds


class DayRow(ShareRow):
    """One calendar day, UTC."""

    day: date


class CheckShare(ShareRow):
    """One check."""

    check: str
    severity: Severity


class Uptime(ShareRow):
    """The uptime of an application."""

    application: str
    days: int
    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    decided_by: str = Field(description="Severity of the checks that decide; empty without checks.")
    by_day: list[DayRow] = Field(description="Oldest first; the last is today so far.")
    checks: list[CheckShare]


class UptimeRange(BaseModel):
    """How far back."""

    days: int = Field(default=30, ge=1, le=DAYS_MOST, description="Calendar days in UTC, today included.")


@router.get("/status", auth=needs(STATUS_VIEW), response=Page[ApplicationStatus])
def list_statuses(request: HttpRequest, given: Query[Paging]) -> dict[str, Any]:
    """List how every application stands now."""
    applications = Application.objects.order_by("pk")
    if given.cursor:
        applications = applications.filter(pk__gt=decode(given.cursor))
    found = list(applications[: given.limit + 1])
    states = _states([row.pk for row in found])
    return cut(found, lambda row: _status(row, states), given.limit, lambda row: encode(row.pk))


@router.get("/applications/{name}/status", auth=needs(STATUS_VIEW), response=ApplicationStatus)
def get_status(request: HttpRequest, name: ApplicationName) -> dict[str, Any]:
    """Tell how an application stands now, and why."""
    application = APPLICATIONS.find(name)
    return _status(application, _states([application.pk]))


@router.get("/applications/{name}/uptime", auth=needs(STATUS_VIEW), response=Uptime)
def get_uptime(request: HttpRequest, name: ApplicationName, given: Query[UptimeRange]) -> dict[str, Any]:
    """Tell an application's uptime, measured from the journal.

    The checks of the highest severity that it has decide: it is down while one of them is.
    """
    application = APPLICATIONS.find(name)
    at = now()
    since = datetime.combine(at.date() - timedelta(days=given.days - 1), datetime.min.time(), UTC)
    rows = listing.read(Check.objects.filter(application=application))
    each = courses(rows, since, at)
    severity = deciding(row.severity for row in rows)
    total = timeline.united(
        (each[row.id] for row in rows if row.severity == severity),
        (each[row.id] for row in rows if row.severity != severity),
    )
    start, end = since.timestamp(), at.timestamp()
    return columns(timeline.share(total, start, end), ShareRow) | {
        "application": application.name,
        "days": given.days,
        "since": since,
        "until": at,
        "decided_by": severity,
        "by_day": [columns(one.share, DayRow, day=one.day) for one in timeline.by_day(total, at, given.days, UTC)],
        "checks": [
            columns(timeline.share(each[row.id], start, end), CheckShare, check=row.name, severity=row.severity)
            for row in rows
        ],
    }


States = dict[int, list[Part]]


def _states(applications: list[int]) -> States:
    at = now()
    open_now = listing.open_windows(at)
    found: States = {}
    for row in listing.read(Check.objects.filter(application__in=applications)):
        part = Part(row.name, row.severity, row.shown(open_now, at).status)
        found.setdefault(row.application_id, []).append(part)
    return found


def _status(application: Application, states: States) -> dict[str, Any]:
    parts = states.get(application.pk, [])
    found = whole(parts)
    return {
        "application": application.name,
        "tier": application.tier,
        "status": found.status,
        "reason": found.reason,
        "checks": dict(Counter(part.status.value for part in parts)),
    }
