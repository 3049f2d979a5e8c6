"""Maintenance: what is announced, announcing, calling off."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponseBase

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.words.matching import Matchers
from mainstay.kit.editing import Editing
from mainstay.kit.forms import Form
from mainstay.kit.lists import columns, export
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.replies import posted
from mainstay.observe.checks.models import Maintenance
from mainstay.observe.checks.pages.forms import MaintenanceForm
from mainstay.observe.checks.resource import WINDOWS
from mainstay.observe.checks.standing import window_of
from mainstay.observe.checks.windows import next_start, open_until
from mainstay.observe.checks.wing import MAINTENANCE_EDIT

OVER_SHOWN = 20
SHOWN_MOST = 500


@dataclass(frozen=True, slots=True)
class Announced:
    """A window as people see it; `starts` is the present or the next time."""

    row: Maintenance
    state: str  # active, scheduled, ended
    starts: datetime | None
    until: datetime | None

    @property
    def covers(self) -> str:
        """What it covers, in words."""
        where = self.row.application.name if self.row.application else "all applications"
        labels = Matchers.of(self.row.match).write()
        return f"{where}, checks with {labels}" if labels else where


def announced(now: datetime) -> list[Announced]:
    """Return what is open, then what comes, soonest first."""
    rows = Maintenance.objects.filter(Q(ends_at__gt=now) | Q(ends_at=None), cancelled_at=None).select_related(
        "application"
    )
    found = []
    for row in rows.order_by("id")[:SHOWN_MOST]:
        window = window_of(row)
        until = open_until(window, now)
        following = next_start(window, now)
        if until is not None:
            begun = row.starts_at if not row.cron else until - timedelta(seconds=row.duration_s or 0)
            found.append(Announced(row, "active", begun, until))
        elif following is not None:
            end = row.ends_at if not row.cron else following + timedelta(seconds=row.duration_s or 0)
            found.append(Announced(row, "scheduled", following, end))
    return sorted(found, key=lambda one: (one.state != "active", one.starts or now))


@needs(OPERATIONS_VIEW, "GET")
def maintenance(request: HttpRequest) -> HttpResponseBase:
    """List what is open, what comes and what was; or export it."""
    now = clock.now()
    found = announced(now)
    past = Maintenance.objects.filter(Q(ends_at__lte=now) | Q(cancelled_at__isnull=False)).select_related("application")
    over = [
        Announced(row, "ended", row.starts_at, row.cancelled_at or row.ends_at)
        for row in past.order_by("-id")[:OVER_SHOWN]
    ]
    file = export(request, "maintenance", COLUMNS, [*found, *over])
    if file is not None:
        return file
    open_now = [one for one in found if one.state == "active"]
    context: dict[str, Any] = {
        "title": _title(open_now),
        "open": open_now,
        "coming": [one for one in found if one.state == "scheduled" and not one.row.cron],
        "recurring": [one for one in found if one.state == "scheduled" and one.row.cron],
        "over": over,
        "may_edit": actor_of(request).may(MAINTENANCE_EDIT),
        **trail("checks"),
    }
    return live(request, "checks/maintenance.html", context)


def _title(open_now: list[Announced]) -> str:
    if not open_now:
        return "Nothing is in maintenance."
    if len(open_now) == 1:
        return f"In maintenance: {open_now[0].row.name}."
    return f"{len(open_now)} maintenance windows are open."


COLUMNS: dict[str, Any] = {
    **columns("id=row.pk name=row.name"),
    "state": lambda one: "cancelled" if one.row.cancelled_at else one.state,
    "application": lambda one: one.row.application.name if one.row.application else "",
    "match": lambda one: Matchers.of(one.row.match).match,
    "matchers": lambda one: Matchers.of(one.row.match).matchers,
    **columns(
        "starts_at=starts ends_at=until cron=row.cron duration_s=row.duration_s "
        "time_zone=row.time_zone created_by=row.created_by managed_by=row.managed_by"
    ),
}


class WindowPages(Editing[Maintenance]):
    """Announcing maintenance, changing and ending what was announced."""

    resource, permission, model = WINDOWS, MAINTENANCE_EDIT, Maintenance
    place, by, template, deletes = "maintenance", "pk", "checks/announce.html", "cancel"

    def form_of(self, request: HttpRequest, row: Maintenance | None, **given: str) -> MaintenanceForm:
        if row is not None and row.cancelled_at is not None:
            raise Http404
        asked = {name: request.GET[name] for name in ("application", "match", "name") if name in request.GET}
        return MaintenanceForm(posted(request), row=row, initial=asked, now=clock.now())

    def said(self, kept: Maintenance, *, new: bool) -> str:
        return f"{kept.name} is announced."

    def gone(self, row: Maintenance) -> str:
        return f"{row.name} is over."

    def context(self, request: HttpRequest, row: Maintenance | None, form: Form) -> dict[str, Any]:
        return trail("checks", "maintenance")


WINDOW = WindowPages()
