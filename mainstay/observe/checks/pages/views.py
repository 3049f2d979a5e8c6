"""The list of checks, and one check: how it stands, how it fared, what it saw."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.pages.lines import latest
from mainstay.foundation.words.names import SEVERITIES
from mainstay.kit import rows
from mainstay.kit.lists import Wanted, columns, export, page_number, pages_beside, with_query
from mainstay.kit.live import is_fragment, live
from mainstay.kit.nav import numbered, trail
from mainstay.kit.regions import region
from mainstay.observe.checks.decide import Shown, Status
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.models import Check, Ping, Result
from mainstay.observe.checks.pages import bars, drawing, listing
from mainstay.observe.checks.pages.applications import SENTENCES, WORST_FIRST
from mainstay.observe.checks.pages.listing import Filters, Listed, Row
from mainstay.observe.checks.standing import BY_RESULTS, NOT_UP
from mainstay.observe.checks.uptime import latency
from mainstay.observe.checks.uptime.records import courses, lasting
from mainstay.observe.checks.uptime.timeline import Calendar, Course, calendar, until
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT

LIST_DAYS, DAYS = 30, 90
RESULTS_SHOWN, PINGS_SHOWN, ENTRIES_SHOWN = 20, 15, 12
EXPORTED_MOST = 50_000
LIVE_ROWS_MOST = 200  # a longer list is not asked for again and again


@needs(OPERATIONS_VIEW, "GET")
def checks(request: HttpRequest) -> HttpResponseBase:
    """List checks, filtered and sorted by URL; or export them."""
    now = clock.now()
    wanted = Wanted(request)
    filters = Filters(
        text=wanted.search("Name, address or label"),
        application=wanted.choose(
            "application", "Any application", Application.objects.order_by("name").values_list("name", flat=True)
        ),
        status=wanted.choose("status", "Any status", [status.value for status in WORST_FIRST], known=True),
        kind=wanted.choose("kind", "Any kind", [(name, kind.label) for name, kind in KINDS.items()]),
        severity=wanted.choose("severity", "Any severity", SEVERITIES),
        label=wanted.read("label"),
    )
    sort = request.GET.get("sort", "name")
    file = export(request, "checks", _columns(now), _exported(request, filters, sort, now))
    if file is not None:
        return file
    days = calendar(now, LIST_DAYS, timezone.get_current_timezone())
    listed, found = _page(request, filters, sort, days, now)
    context: dict[str, Any] = {
        "title": _title(listed, filters),
        "sub": _sub(listed),
        "rows": rows.join(check_row(row, shown, found[row.id], days, now) for row, shown in listed.rows),
        "listed": listed,
        "filtered": bool(wanted),
        "chips": wanted.chips(label=f"label {filters.label}"),
        "filters": wanted.filters,
        "pages": pages_beside(request, listed.number, more=listed.more),
        "every": 3 if len(listed.rows) <= 50 else 10,
        "sort": "name",
        "may_edit": actor_of(request).may(CHECKS_EDIT),
        "any_application": bool(listed.rows) or Application.objects.exists(),
    }
    if len(listed.rows) > LIVE_ROWS_MOST:
        alone = is_fragment(request)
        return render(
            request,
            f"checks/list.html{'#live' if alone else ''}",
            {**context, "long": True, "now": now, "fragment": alone},
        )
    return live(request, "checks/list.html", context)


def _page(
    request: HttpRequest, filters: Filters, sort: str, days: Calendar, now: datetime
) -> tuple[Listed, dict[int, Course]]:
    number = page_number(request)
    since = datetime.fromtimestamp(days.edges[0], UTC)
    if sort.removeprefix("-") not in listing.SORTED_HERE:
        listed = listing.page(filters, now, sort=sort, number=number)
        return listed, courses([row for row, _ in listed.rows], since, now)
    every = listing.matching(filters, now)
    found, end = lasting(every, since, now), now.timestamp()
    uptimes = [(row.id, found[row.id].uptime(end)) for row in every]
    uptimes.sort(key=lambda pair: (pair[1] is None, pair[1] or 0.0), reverse=sort.startswith("-"))
    begin = (number - 1) * listing.PAGE
    wanted = [pk for pk, _ in uptimes[begin : begin + listing.PAGE]]
    listed = Listed(listing.these(wanted, now), len(every), number, len(every) > begin + listing.PAGE)
    return listed, {pk: until(found[pk].course, end) for pk in wanted}


def check_row(row: Row, shown: Shown, of: Course, days: Calendar, now: datetime, *, beside: str | None = None) -> str:
    """Return a row of the list as HTML; `beside` its name stands the application, or what is given."""
    return rows.check_row(
        href=numbered("check", row.id),
        name=row.name,
        state=shown.status.value,
        now=now,
        application=row.application if beside is None else beside,
        environment=row.environment or "",
        kind=row.kind,
        target=row.target,
        severity=row.severity,
        duration_s=row.last_duration_s if row.kind != "heartbeat" or row.last_duration_s else None,
        uptime_percent=bars.percent(of, days.edges[0], days.edges[-1]),
        uptime_html=bars.small_bar(of, days),
        last_at=row.last_at,
        since=shown.since,
        source=row.managed_by,
    )


def _title(listed: Listed, filters: Filters) -> str:
    total = listed.total
    noun = "check" if total == 1 else "checks"
    if filters != Filters():
        return f"{total:,} {noun} {'matches' if total == 1 else 'match'}." if total else "No check matches."
    if not total:
        return "Nothing is watched yet."
    if listed.more or listed.number > 1:
        down, degraded = _counted()
    else:
        states = [shown.status for _, shown in listed.rows]
        down = sum(1 for state in states if state in (Status.DOWN, Status.UNREACHABLE))
        degraded = states.count(Status.DEGRADED)
        if not down and not degraded and states.count(Status.UNKNOWN):
            unknown = states.count(Status.UNKNOWN)
            return f"{unknown:,} of {total:,} {noun} {'has' if unknown == 1 else 'have'} no recent result."
    if not down and not degraded:
        return "The one check is not failing." if total == 1 else f"None of {total:,} checks is failing."
    parts = [f"{number:,} {word}" for number, word in ((down, "down"), (degraded, "degraded")) if number]
    return f"{' and '.join(parts)} of {total:,} {noun}."


def _counted() -> tuple[int, int]:
    """Return how many checks are down and degraded by their results, without reading them all."""
    rows = Check.objects.filter(NOT_UP).annotate(how=BY_RESULTS).values_list("how")
    found = dict(rows.annotate(number=Count("id")).order_by())
    return found.get("down", 0), found.get("degraded", 0)


def _sub(listed: Listed) -> str:
    if listed.more or listed.number > 1:
        begin = (listed.number - 1) * listing.PAGE
        return (
            f"{begin + 1:,}–{begin + len(listed.rows):,} of {listed.total:,} shown" if listed.rows else "No such page"
        )
    states = [shown.status for _, shown in listed.rows]
    return " · ".join(f"{states.count(state):,} {state.value}" for state in reversed(WORST_FIRST) if state in states)


class Exported(NamedTuple):
    """A row of the list's file."""

    row: Row
    shown: Shown
    course: Course


def _exported(request: HttpRequest, filters: Filters, sort: str, now: datetime) -> list[Exported]:
    if "format" not in request.GET:
        return []
    every = listing.everything(filters, now, sort=sort)
    found = courses([row for row, _ in every], now - timedelta(days=LIST_DAYS), now)
    return [Exported(row, shown, found[row.id]) for row, shown in every]


def _columns(now: datetime) -> dict[str, Any]:
    end = now.timestamp()
    start = end - LIST_DAYS * 86_400
    return {
        **columns("id=row.id application=row.application name=row.name"),
        "environment": lambda one: one.row.environment or "",
        "component": lambda one: one.row.component or "",
        **columns("kind=row.kind target=row.target status=shown.status.value reason=shown.reason since=shown.since"),
        **columns("severity=row.severity labels=row.labels every_s=row.every_s last_at=row.last_at"),
        **columns("last_duration_s=row.last_duration_s"),
        "uptime_30d_percent": lambda one: bars.percent(one.course, start, end),
        **columns("managed_by=row.managed_by"),
    }


# --- one check ------------------------------------------------------------------------------------------------------


@needs(OPERATIONS_VIEW, "GET")
def check(request: HttpRequest, check_id: int) -> HttpResponseBase:
    """Show one check; or export its results."""
    now = clock.now()
    one = get_object_or_404(
        Check.objects.select_related(
            "application", "environment", "component", "state", "state__blocked_by__application"
        ),
        pk=check_id,
    )
    file = export(request, f"{one.application.name}-{one.name}", RESULT_COLUMNS, _results(one)[:EXPORTED_MOST])
    if file is not None:
        return file
    if is_fragment(request, "course"):
        return live(request, "checks/check.html", _course(request, one, now), part="course")
    if is_fragment(request, "latest"):
        return live(request, "checks/check.html", _latest(request, one, now), part="latest")
    context = _standing(request, one, now)
    if not is_fragment(request):
        context |= _course(request, one, now) | _latest(request, one, now)
        context |= trail("checks", (reverse("application", args=[one.application.name]), one.application.name))
    return live(request, "checks/check.html", context)


RESULT_COLUMNS = columns(" ".join(("at health duration_s", *latency.PHASES, "code message")))


def _results(one: Check) -> Any:
    return Result.objects.filter(check_ref=one).order_by("-at")


def row_of(one: Check) -> Row:
    """Return a loaded check as a row of the list."""
    return listing.read(Check.objects.filter(pk=one.pk))[0]


def _standing(request: HttpRequest, one: Check, now: datetime) -> dict[str, Any]:
    """How it stands, and what there is to do."""
    state, row = one.state, row_of(one)
    shown = row.shown(listing.open_windows(now), now)
    actor = actor_of(request)
    return {
        "check": one,
        "state": state,
        "shown": shown,
        "headline": _headline(one, shown),
        "above": region("check", "live", request, now, one).html,
        "may": {
            "edit": actor.may(CHECKS_EDIT),
            "pause": actor.may(MAINTENANCE_EDIT),
        },
    }


def _latest(request: HttpRequest, one: Check, now: datetime) -> dict[str, Any]:
    """What each result adds to, and what stands beside it."""
    url = f"{settings.BASE_URL}/ping/{one.ping_key}"
    return {
        "check": one,
        "state": one.state,
        "facts": sorted(one.state.last_facts.items())[:16],
        "results": list(_results(one)[:RESULTS_SHOWN]),
        "pings": list(Ping.objects.filter(check_ref=one).order_by("-id")[:PINGS_SHOWN]) if one.passive else [],
        "beside": region("check", "latest", request, now, one).html,
        "entries": latest(f"check:{one.pk}", ENTRIES_SHOWN),
        "kind": KINDS[one.kind].label if one.kind in KINDS else f"{one.kind} (unknown kind)",
        "needed": list(one.needs.select_related("application").order_by("application__name", "name")),
        "needed_by": list(one.needed_by.select_related("application").order_by("application__name", "name")[:50]),
        "ping_url": url,
        "ping_lines": _ping_lines(one, url) if one.passive else [],
    }


def _headline(one: Check, shown: Shown) -> str:
    if shown.status is Status.UNKNOWN:
        if one.state.unusable:
            return f"{one.application.name} / {one.name} cannot be probed."
        if one.state.last_at is None:
            return f"{one.application.name} / {one.name} waits for its first {'ping' if one.passive else 'result'}."
        return f"{one.application.name} / {one.name}: no recent result."
    return f"{one.application.name} / {one.name} {(SENTENCES | {Status.PAUSED: 'is paused'})[shown.status]}."


def _course(request: HttpRequest, one: Check, now: datetime) -> dict[str, Any]:
    """What changes slowly: the chart of a range, and uptime."""
    zone = timezone.get_current_timezone()
    name = request.GET.get("range", latency.DEFAULT_RANGE)
    name = name if name in latency.RANGES else latency.DEFAULT_RANGE
    if one.passive and "range" not in request.GET:
        name = "30d"
    length = latency.RANGES[name]
    days = calendar(now, DAYS, zone)
    of = courses([row_of(one)], datetime.fromtimestamp(days.edges[0], UTC), now)[one.pk]
    reading = latency.read(one, length, now)
    return {
        "check": one,
        "chart": drawing.latency(reading, latency.gone(one, length, now), now, length, zone, runs=one.passive),
        "range": name,
        "unit": reading.unit,
        "ranges": [
            {"href": with_query(request, range=key), "label": key, "current": key == name} for key in latency.RANGES
        ],
        "days": bars.days(of, days),
        "windows": bars.windows(of, now),
    }


def _ping_lines(one: Check, url: str) -> list[tuple[str, str]]:
    curl, cron = "curl -fsS -m 10 --retry 5 -o /dev/null", one.config.get("cron") or "0 3 * * *"
    return [
        ("When the job has ended well", f"{curl} {url}"),
        ("In a crontab, with its exit status", f"{cron} /usr/local/bin/job; {curl} {url}/$?"),
        (
            "In a script, with its run time and its last lines",
            f"{curl} {url}/start\nout=$(/usr/local/bin/job 2>&1); status=$?\n"
            f"printf '%s' \"$out\" | tail -c 9000 | {curl} --data-binary @- {url}/$status",
        ),
    ]
