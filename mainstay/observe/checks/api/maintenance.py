"""Operations on maintenance windows."""

from datetime import datetime
from typing import Any, Literal

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.types import Id, Paging, Search, Seconds
from mainstay.foundation.clock import now
from mainstay.foundation.matching import Matchers
from mainstay.observe.checks import actions
from mainstay.observe.checks.models import Maintenance
from mainstay.observe.checks.spec import MaintenanceSpec
from mainstay.observe.checks.standing import window_of
from mainstay.observe.checks.windows import next_start, open_until
from mainstay.observe.checks.wing import MAINTENANCE_EDIT

router = Router()
LONGEST_S = 366 * 86_400.0
State = Literal["open", "upcoming", "over", "cancelled"]


class MaintenanceRow(BaseModel):
    """A window in which what it covers does not page."""

    id: int
    name: str
    application: str | None = Field(description="Null: all applications.")
    match: dict[str, str | list[str]] = Field(
        description="Labels a check must have: label and value, or list of values. Empty: all checks."
    )
    matchers: list[str] = Field(description="Further matchers; all must hold, too.", examples=[['instance=~"web-.*"']])
    starts_at: datetime | None
    ends_at: datetime | None
    cron: str
    duration_s: Seconds | None
    timezone: str
    state: State
    open_until: datetime | None = Field(description="While it is open.")
    next_start: datetime | None = Field(description="When it begins next, if it does.")
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None
    managed_by: str = Field(description="The configuration file that describes it, or empty.")


class MaintenanceFilter(Paging):
    """Which windows."""

    application: Search = Field(
        default="", description="Name of an application; windows for all of them are shown, too."
    )
    current: bool | None = Field(default=None, description="Neither over nor cancelled (or, if false, one of the two).")


@router.get("/maintenance", auth=needs(OPERATIONS_VIEW), response=Page[MaintenanceRow])
def list_maintenance(request: HttpRequest, given: Query[MaintenanceFilter]) -> dict[str, Any]:
    """List maintenance windows, the newest first."""
    at = now()
    rows = Maintenance.objects.select_related("application")
    if given.application:
        rows = rows.filter(Q(application=None) | Q(application__name=given.application))
    if given.current is not None:
        current = Q(cancelled_at=None) & (~Q(cron="") | Q(ends_at__gt=at))
        rows = rows.filter(current if given.current else ~current)
    return page(rows, lambda row: _row(row, at), cursor=given.cursor, limit=given.limit, newest_first=True)


@router.post("/maintenance", auth=needs(MAINTENANCE_EDIT), response={201: MaintenanceRow})
def announce_maintenance(request: HttpRequest, response: HttpResponse, body: MaintenanceSpec) -> dict[str, Any]:
    """Announce maintenance: what it covers is still probed, but does not page while the window is open."""
    at = now()
    row = actions.announce(actions.window_for(body), actor_of(request), at)
    response["Location"] = f"/api/v1/maintenance/{row.pk}"
    return _row(row, at)


@router.get("/maintenance/{maintenance_id}", auth=needs(OPERATIONS_VIEW), response=MaintenanceRow)
def get_maintenance(request: HttpRequest, maintenance_id: Id) -> dict[str, Any]:
    """Show a maintenance window."""
    return _row(_window(maintenance_id), now())


@router.post("/maintenance/{maintenance_id}/cancel", auth=needs(MAINTENANCE_EDIT), response=MaintenanceRow)
def cancel_maintenance(request: HttpRequest, maintenance_id: Id) -> dict[str, Any]:
    """End maintenance, or call it off before it begins."""
    at = now()
    actions.cancel(_window(maintenance_id), actor_of(request), at)
    return _row(_window(maintenance_id), at)


def _window(maintenance_id: int) -> Maintenance:
    return find(Maintenance.objects.select_related("application"), "maintenance", pk=maintenance_id)


def _row(row: Maintenance, at: datetime) -> dict[str, Any]:
    window, wanted = window_of(row), Matchers.of(row.match)
    until = open_until(window, at) if row.cancelled_at is None else None
    following = next_start(window, at) if row.cancelled_at is None else None
    state: State = "cancelled" if row.cancelled_at else "open" if until else "upcoming" if following else "over"
    return {
        "id": row.pk,
        "name": row.name,
        "application": row.application.name if row.application else None,
        "match": wanted.match,
        "matchers": wanted.matchers,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "cron": row.cron,
        "duration_s": row.duration_s,
        "timezone": row.time_zone,
        "state": state,
        "open_until": until,
        "next_start": following,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "cancelled_at": row.cancelled_at,
        "managed_by": row.managed_by,
    }
