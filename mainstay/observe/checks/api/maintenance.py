"""Operations on maintenance windows."""

from datetime import datetime
from typing import Any, Literal

from django.db.models import Q
from ninja import Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.types import ManagedBy, Paging, Search, Seconds
from mainstay.foundation.clock import now
from mainstay.foundation.resource import By
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks import actions, resource
from mainstay.observe.checks.models import Maintenance
from mainstay.observe.checks.standing import window_of
from mainstay.observe.checks.windows import next_start, open_until
from mainstay.observe.checks.wing import MAINTENANCE_EDIT

router = Router()
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
    managed_by: ManagedBy


class MaintenanceFilter(Paging):
    """Which windows."""

    application: Search = Field(
        default="", description="Name of an application; windows for all of them are shown, too."
    )
    current: bool | None = Field(default=None, description="Neither over nor cancelled (or, if false, one of the two).")


def _row(row: Maintenance, at: datetime) -> dict[str, Any]:
    window, wanted = window_of(row), Matchers.of(row.match)
    until = open_until(window, at) if row.cancelled_at is None else None
    following = next_start(window, at) if row.cancelled_at is None else None
    state: State = "cancelled" if row.cancelled_at else "open" if until else "upcoming" if following else "over"
    return columns(
        row,
        MaintenanceRow,
        match=wanted.match,
        matchers=wanted.matchers,
        timezone=row.time_zone,
        state=state,
        open_until=until,
        next_start=following,
    )


def _current(wanted: bool) -> Q:
    current = Q(cancelled_at=None) & (~Q(cron="") | Q(ends_at__gt=now()))
    return current if wanted else ~current


MAINTENANCE = Collection(
    router=router,
    resource=resource.WINDOWS,
    view=OPERATIONS_VIEW,
    edit=MAINTENANCE_EDIT,
    rows=lambda: Maintenance.objects.select_related("application"),
    row=MaintenanceRow,
    show=_row,
    filters=MaintenanceFilter,
    narrow={"application": lambda name: Q(application=None) | Q(application__name=name), "current": _current},
    newest_first=True,
    names={"create": "announce_maintenance"},
    texts={
        "list": "List maintenance windows, the newest first.",
        "create": "Announce maintenance: what it covers is still probed, but does not page while the window is open.",
        "get": "Show a maintenance window.",
    },
)
MAINTENANCE.serve()


@MAINTENANCE.act()
def cancel_maintenance(row: Maintenance, by: By) -> None:
    """End maintenance, or call it off before it begins."""
    actions.cancel(row, by.actor, by.at)
