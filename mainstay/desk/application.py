"""One application: how it is, what it is made of, how it fared, what happened."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW, STATUS_VIEW
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.kit import rows
from mainstay.kit.lists import export
from mainstay.kit.live import is_fragment, live
from mainstay.observe.checks.pages import bars
from mainstay.observe.checks.pages.applications import WORST_FIRST, Overview, fared, graph, sentence, standings
from mainstay.observe.checks.pages.maintenance_views import announced
from mainstay.observe.checks.uptime.applications import deciding
from mainstay.observe.checks.uptime.records import courses
from mainstay.observe.checks.uptime.timeline import calendar
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.listing import open_first

DAYS, LIST_DAYS = 90, 30
ENTRIES_SHOWN, ALERTS_SHOWN, CHECKS_SHOWN = 12, 10, 200


@needs(STATUS_VIEW)
@require_safe
def application(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show one application: how it is, what it is made of, how it fared, what happened."""
    now = clock.now()
    one = get_object_or_404(Application.objects.select_related("owner"), name=name)
    actor = actor_of(request)
    inside = actor.may(OPERATIONS_VIEW)
    days = calendar(now, DAYS, timezone.get_current_timezone())
    (found,) = fared(standings([one], now, lean=False), days, now)
    file = export(request, f"{one.name}-uptime", _DAY_COLUMNS, bars.days(found.course, days))
    if file is not None:
        return file
    context: dict[str, Any] = {
        "now": now,
        "fragment": is_fragment(request),
        "one": found,
        "application": one,
        "tier": TIERS.get(one.tier, one.tier),
        "title": sentence(one.name, found.whole.status, checks=len(found.checks)),
        "days": bars.days(found.course, days),
        "windows": bars.windows(found.course, now),
        "decides": deciding(row.severity for row, _ in found.checks),
        "inside": inside,
        "may": {
            "edit": actor.may(CATALOG_EDIT),
            "check": actor.may(CHECKS_EDIT),
            "respond": actor.may(ALERTS_RESPOND),
            "announce": actor.may(MAINTENANCE_EDIT),
        },
        "windows_open": [window for window in announced(now) if window.row.application_id in (None, one.pk)][:5],
        "crumbs": [{"href": reverse("applications"), "label": "Applications"}],
        "place": "applications",
    }
    if inside and is_fragment(request, "recent"):
        return live(request, "applications/one.html", context | _recent(one), part="recent")
    if inside:
        context |= _inside(found, now)
    if not is_fragment(request):
        context |= _recent(one) if inside else {}
        context["environments"] = list(one.environments.order_by("id"))
        context["graph"] = graph(one, found.checks, links=inside)
    return live(request, "applications/one.html", context)


_DAY_COLUMNS: dict[str, Any] = {
    "day": lambda one: one.label,
    "uptime_percent": lambda one: None if one.uptime is None else one.uptime * 100,
    "detail": lambda one: one.detail,
}


def _inside(found: Overview, now: datetime) -> dict[str, Any]:
    """What those who look after it see, besides its status."""
    one = found.application
    order = {status: place for place, status in enumerate(WORST_FIRST)}
    listed = sorted(found.checks, key=lambda pair: (order[pair[1].status], pair[0].name))
    days = calendar(now, LIST_DAYS, timezone.get_current_timezone())
    fared = courses([row for row, _ in listed[:CHECKS_SHOWN]], datetime.fromtimestamp(days.edges[0], UTC), now)
    return {
        "check_rows": rows.join(
            rows.check_row(
                href=f"/checks/{row.id}/",
                name=row.name,
                state=shown.status.value,
                now=now,
                environment=row.environment or "",
                application=row.component or "",
                kind=row.kind,
                target=row.target,
                severity=row.severity,
                duration_s=row.last_duration_s,
                uptime_percent=bars.percent(fared[row.id], days.edges[0], days.edges[-1]),
                uptime_html=bars.small_bar(fared[row.id], days),
                last_at=row.last_at,
                since=row.since,
                source=row.managed_by,
            )
            for row, shown in listed[:CHECKS_SHOWN]
        ),
        "checks_left_out": max(0, len(listed) - CHECKS_SHOWN),
        "alerts": open_first(Alert.objects.filter(application=one))[:ALERTS_SHOWN],
    }


def _recent(one: Application) -> dict[str, Any]:
    entries = Entry.objects.filter(application=one.pk).order_by("-id")[:ENTRIES_SHOWN]
    return {"entries": [line(entry) for entry in entries]}
