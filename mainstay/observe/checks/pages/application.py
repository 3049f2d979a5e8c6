"""What checks give to an application's page, and its days as a file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, STATUS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.parts import Drawn, Fact, Sentence
from mainstay.kit import rows
from mainstay.kit.lists import columns, export
from mainstay.observe.checks.pages import bars, listing
from mainstay.observe.checks.pages.applications import (
    DAYS,
    WORST_FIRST,
    Overview,
    components,
    fared,
    sentence,
    standings,
)
from mainstay.observe.checks.pages.maintenance_views import announced
from mainstay.observe.checks.pages.views import check_row
from mainstay.observe.checks.uptime.applications import deciding
from mainstay.observe.checks.uptime.records import courses
from mainstay.observe.checks.uptime.timeline import calendar
from mainstay.observe.checks.wing import CHECKS_EDIT

LIST_DAYS = 30
CHECKS_SHOWN, WINDOWS_SHOWN = 200, 5

_DAY_COLUMNS: dict[str, Any] = {
    **columns("day=label"),
    "uptime_percent": lambda one: None if one.uptime is None else one.uptime * 100,
    **columns("detail"),
}


@needs(STATUS_VIEW, "GET")
def days(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send the uptime of each of the last days as a file."""
    now, one = clock.now(), get_object_or_404(Application, name=name)
    shown = calendar(now, DAYS, timezone.get_current_timezone())
    (found,) = fared(standings([one], now, by_name=True), shown, now)
    file = export(request, f"{one.name}-uptime", _DAY_COLUMNS, bars.days(found.course, shown), always="csv")
    assert file is not None  # there is always one
    return file


def standing(request: HttpRequest, now: datetime, application: Application) -> Iterator[Drawn]:
    """How it is, how it fared, and by which checks that is known."""
    shown = calendar(now, DAYS, timezone.get_current_timezone())
    (found,) = fared(standings([application], now, by_name=True), shown, now)
    uptime = {
        "application": application,
        "windows": bars.windows(found.course, now),
        "days": bars.days(found.course, shown),
        "decides": deciding(row.severity for row, _ in found.checks),
    }
    facts = (Fact(rows.status(found.state, plain=True)), Fact(found.whole.reason))
    says = Sentence(50, sentence(application.name, found.whole.status, checks=len(found.checks)))
    yield Drawn("checks/parts/uptime.html", uptime, says, facts)
    actor = actor_of(request)
    if actor.may(OPERATIONS_VIEW):
        listed = {"application": application, "may_check": actor.may(CHECKS_EDIT), **_checks(found, now)}
        yield Drawn("checks/parts/checks.html", listed)


def _checks(found: Overview, now: datetime) -> dict[str, Any]:
    order = {status: place for place, status in enumerate(WORST_FIRST)}
    every = sorted(found.checks, key=lambda pair: (order[pair[1].status], pair[0].name))
    listed = listing.these([row.id for row, _ in every[:CHECKS_SHOWN]], now)
    month = calendar(now, LIST_DAYS, timezone.get_current_timezone())
    each = courses([row for row, _ in listed], datetime.fromtimestamp(month.edges[0], UTC), now)
    return {
        "rows": rows.join(
            check_row(row, shown, each[row.id], month, now, beside=row.component or "") for row, shown in listed
        ),
        "left_out": max(0, len(every) - CHECKS_SHOWN),
    }


def consists_of(request: HttpRequest, now: datetime, application: Application) -> Iterator[Drawn]:
    """Its components, what they need, and how they are."""
    drawn = components(application, now, links=actor_of(request).may(OPERATIONS_VIEW))
    if drawn:
        yield Drawn("checks/parts/components.html", {"graph": drawn})


def maintenance(_request: HttpRequest, now: datetime, application: Application) -> Iterator[Drawn]:
    """Maintenance that covers it."""
    coming = [one for one in announced(now) if one.row.application_id in (None, application.pk)][:WINDOWS_SHOWN]
    if coming:
        yield Drawn("checks/parts/maintenance.html", {"coming": coming})


def announcing(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Announce maintenance of it."""
    yield Drawn("checks/parts/announce.html", {"application": application})


def adding(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Add a check of it."""
    yield Drawn("checks/parts/add.html", {"application": application})
