"""What checks give to an application's page, and its days as a file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, STATUS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.parts import Drawn, Fact, Sentence
from mainstay.kit import rows
from mainstay.kit.lists import export
from mainstay.observe.checks.pages import bars
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
from mainstay.observe.checks.uptime.applications import deciding
from mainstay.observe.checks.uptime.records import courses
from mainstay.observe.checks.uptime.timeline import calendar
from mainstay.observe.checks.wing import CHECKS_EDIT

LIST_DAYS = 30
CHECKS_SHOWN, WINDOWS_SHOWN = 200, 5

_DAY_COLUMNS: dict[str, Any] = {
    "day": lambda one: one.label,
    "uptime_percent": lambda one: None if one.uptime is None else one.uptime * 100,
    "detail": lambda one: one.detail,
}


@needs(STATUS_VIEW)
@require_safe
def days(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send the uptime of each of the last days as a file."""
    now, one = clock.now(), get_object_or_404(Application, name=name)
    shown = calendar(now, DAYS, timezone.get_current_timezone())
    (found,) = fared(standings([one], now, lean=False), shown, now)
    file = export(request, f"{one.name}-uptime", _DAY_COLUMNS, bars.days(found.course, shown))
    return file or redirect("application", name)


def standing(request: HttpRequest, now: datetime, application: Application) -> Iterator[Drawn]:
    """How it is, how it fared, and by which checks that is known."""
    shown = calendar(now, DAYS, timezone.get_current_timezone())
    (found,) = fared(standings([application], now, lean=False), shown, now)
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
    listed = sorted(found.checks, key=lambda pair: (order[pair[1].status], pair[0].name))
    month = calendar(now, LIST_DAYS, timezone.get_current_timezone())
    each = courses([row for row, _ in listed[:CHECKS_SHOWN]], datetime.fromtimestamp(month.edges[0], UTC), now)
    return {
        "rows": rows.join(
            rows.check_row(
                href=reverse("check", args=[row.id]),
                name=row.name,
                state=shown.status.value,
                now=now,
                environment=row.environment or "",
                application=row.component or "",
                kind=row.kind,
                target=row.target,
                severity=row.severity,
                duration_s=row.last_duration_s,
                uptime_percent=bars.percent(each[row.id], month.edges[0], month.edges[-1]),
                uptime_html=bars.small_bar(each[row.id], month),
                last_at=row.last_at,
                since=row.since,
                source=row.managed_by,
            )
            for row, shown in listed[:CHECKS_SHOWN]
        ),
        "left_out": max(0, len(listed) - CHECKS_SHOWN),
    }


def consists_of(request: HttpRequest, now: datetime, application: Application) -> Iterator[Drawn]:
    """Its components, what they need, and how they are."""
    (found,) = standings([application], now, lean=False)
    drawn = components(application, found.checks, links=actor_of(request).may(OPERATIONS_VIEW))
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
