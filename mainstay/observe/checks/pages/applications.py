"""Applications: how all of them are, by their checks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import STATUS_VIEW
from mainstay.foundation.catalog.models import TIERS, Application, Component, Dependency
from mainstay.foundation.catalog.pages.drawing import Node, draw
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.kit import rows
from mainstay.kit.lists import Wanted, columns, export, page_number, pages_beside, with_words
from mainstay.kit.live import live
from mainstay.observe.checks.decide import Shown, Status
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages import bars, listing
from mainstay.observe.checks.pages.listing import Row
from mainstay.observe.checks.standing import NOT_UP
from mainstay.observe.checks.uptime.applications import Part, Whole, whole
from mainstay.observe.checks.uptime.records import records
from mainstay.observe.checks.uptime.timeline import Calendar, Course, Fared, calendar

DAYS = 90
PAGE = 50
ATTENDED_MOST = 30
WORST_FIRST = (
    Status.DOWN, Status.UNREACHABLE, Status.DEGRADED, Status.UNKNOWN, Status.MAINTENANCE, Status.PAUSED, Status.UP,
)  # fmt: skip
_TIERS = list(TIERS)
SENTENCES = {
    Status.UP: "is up",
    Status.DEGRADED: "is degraded",
    Status.DOWN: "is down",
    Status.UNREACHABLE: "is unreachable",
    Status.PAUSED: "is not watched: its checks are paused",
    Status.MAINTENANCE: "is in maintenance",
}
_TONES = {Status.DOWN: "bad", Status.UNREACHABLE: "warn", Status.DEGRADED: "warn", Status.UP: "ok"}


UNKNOWN = Course()


@dataclass(frozen=True, slots=True)
class Overview:
    """One application: how it is and how it fared."""

    application: Application
    whole: Whole
    checks: list[tuple[Row, Shown]]  # as `listing.glance` has them
    course: Fared = UNKNOWN

    @property
    def state(self) -> str:
        """The status as a key of `rows.STATES`."""
        return self.whole.status.value

    def percent(self, days: Calendar) -> float | None:
        """Return the uptime over `days` in per cent, None where nothing is known."""
        return bars.percent(self.course, days.edges[0], days.edges[-1])


def standings(applications: Iterable[Application], now: datetime, *, by_name: bool = False) -> list[Overview]:
    """Return how `applications` are, not how they fared: a fixed number of queries. Checks are told by id or name."""
    wanted = list(applications)
    found: dict[int, list[tuple[Row, Shown]]] = {one.pk: [] for one in wanted}
    checks = Check.objects.filter(application__in=[one.pk for one in wanted])
    for row, shown in listing.glance(checks, now):
        found[row.application_id].append((row, shown))
    if by_name:
        for checks_of_one in found.values():
            checks_of_one.sort(key=lambda pair: pair[0].name)
    return [Overview(one, _whole(found[one.pk]), found[one.pk]) for one in wanted]


def _whole(checks: list[tuple[Row, Shown]]) -> Whole:
    return whole([_part(row.name, row.severity, shown.status) for row, shown in checks])


@lru_cache(maxsize=1024)
def _part(name: str, severity: str, status: Status) -> Part:
    return Part(name, severity, status)


def fared(found: Iterable[Overview], days: Calendar, now: datetime) -> list[Overview]:
    """Return `found` with how they fared over `days`."""
    some = list(found)
    checks = {one.application.pk: [row for row, _ in one.checks] for one in some}
    each = records(checks, datetime.fromtimestamp(days.edges[0], UTC), now)
    return [replace(one, course=each[one.application.pk]) for one in some]


def worst_first(found: Iterable[Overview]) -> list[Overview]:
    """Return applications in the order in which they want attention."""
    return sorted(
        found,
        key=lambda one: (
            WORST_FIRST.index(one.whole.status),
            _TIERS.index(one.application.tier) if one.application.tier in _TIERS else len(_TIERS),
            one.application.name,
        ),
    )


def attended() -> list[Application]:
    """Return the applications to show: those with something not up, then by tier and name; bounded."""
    rank = {"critical": 0, "important": 1}
    troubled = set(Check.objects.filter(NOT_UP).values_list("application_id", flat=True))
    every = list(Application.objects.all())
    every.sort(key=lambda one: (one.pk not in troubled, rank.get(one.tier, 2), one.name))
    return every[:ATTENDED_MOST]


def sentence(name: str, status: Status, *, checks: int) -> str:
    """Say how an application is."""
    if not checks:
        return f"Nothing watches {name} yet."
    return f"{name} {SENTENCES[status]}." if status in SENTENCES else f"{name}: no recent result."


# --- the list -------------------------------------------------------------------------------------------------------


@needs(STATUS_VIEW, "GET")
def applications(request: HttpRequest) -> HttpResponseBase:
    """List applications with status and uptime; or export them."""
    now = clock.now()
    days = calendar(now, DAYS, timezone.get_current_timezone())
    sort, wanted = request.GET.get("sort", ""), Wanted(request)
    owners = Application.objects.exclude(owner=None).order_by("owner__name").values_list("owner__name", flat=True)
    some = with_words(
        Application.objects.select_related("owner"), wanted.search("Name or description"), "name", "description"
    )
    if tier := wanted.choose("tier", "Any tier", TIERS.items()):
        some = some.filter(tier=tier)
    if owner := wanted.choose("owner", "Any owner", owners.distinct()):
        some = some.filter(owner__name=owner)
    found = standings(some, now)
    status = wanted.choose("status", "Any status", [status.value for status in WORST_FIRST])
    if status in listing.STATUSES:
        found = [one for one in found if one.state == status]
    whole_list = "format" in request.GET or sort.removeprefix("-") == "uptime"
    found = _sorted(fared(found, days, now) if whole_list else found, sort, days)
    file = export(request, "applications", _columns(days), found)
    if file is not None:
        return file
    number = page_number(request)
    page = found[(number - 1) * PAGE : number * PAGE]
    if not whole_list:
        page = fared(page, days, now)
    context: dict[str, Any] = {
        "title": _title(found, filtered=bool(wanted)),
        "sub": _sub(found),
        "rows": rows.join(_row(one, days) for one in page),
        "shown": len(page),
        "total": len(found),
        **pages_beside(request, number, more=len(found) > number * PAGE),
        "filtered": bool(wanted),
        "may_edit": actor_of(request).may(CATALOG_EDIT),
        "filters": wanted.filters,
    }
    return live(request, "applications/list.html", context)


def _sorted(found: list[Overview], sort: str, days: Calendar) -> list[Overview]:
    key = sort.removeprefix("-")
    if key == "name":
        return sorted(found, key=lambda one: one.application.name, reverse=sort.startswith("-"))
    if key == "uptime":

        def uptime(one: Overview) -> tuple[bool, float]:
            percent = one.percent(days)
            return percent is None, percent or 0.0

        return sorted(found, key=uptime, reverse=sort.startswith("-"))
    ordered = worst_first(found)
    return ordered[::-1] if sort == "-status" else ordered


def _title(found: Sequence[Overview], *, filtered: bool) -> str:
    total = len(found)
    noun = "application" if total == 1 else "applications"
    if filtered:
        return f"{total:,} {noun} {'matches' if total == 1 else 'match'}." if total else "No application matches."
    if not total:
        return "No application is looked after yet."
    states = [one.whole.status for one in found]
    parts = [
        f"{states.count(status):,} {status.value}"
        for status in (Status.DOWN, Status.DEGRADED, Status.UNKNOWN)
        if status in states
    ]
    if not parts:
        return f"{found[0].application.name} is fine." if total == 1 else f"All {total:,} applications are fine."
    if total == 1:
        return sentence(found[0].application.name, states[0], checks=len(found[0].checks))
    return f"{', '.join(parts)} of {total:,} {noun}."


def _sub(found: Sequence[Overview]) -> str:
    checks = sum(len(one.checks) for one in found)
    parts = [f"{checks:,} {'check' if checks == 1 else 'checks'}"]
    parts += [
        f"{number:,} {tier}" for tier in TIERS if (number := sum(1 for one in found if one.application.tier == tier))
    ]
    return " · ".join(parts) if found else ""


def application_row(one: Overview, bar: SafeString, percent: float | None, *, tier: bool = True) -> str:
    """Build one row as HTML, everything in it escaped; without `tier` the tier has no column of its own."""
    name, words = one.application.name, TIERS.get(one.application.tier, one.application.tier)
    href = escape(reverse("application", args=[name]))
    reason = one.whole.reason if tier or one.whole.status is not Status.UP else f"{words}, {one.whole.reason}"
    return (
        f'<tr data-row><td class="state hide-phone">{rows.status(one.state)}</td>'
        f'<td class="name"><a href="{href}">{escape(name)}</a>'
        f"{rows.managed_by(one.application.managed_by)}"
        f'<span class="under"><span class="only-phone">{rows.status(one.state)}</span>'
        f"<small>{escape(reason)}</small></span></td>"
        + (f'<td class="hide-narrow">{escape(words)}</td>' if tier else "")
        + f'<td class="hide-phone bar wide">{bar}</td><td class="num">{rows.quantity(percent, "%")}</td></tr>'
    )


def _row(one: Overview, days: Calendar) -> str:
    return application_row(one, bars.small_bar(one.course, days), one.percent(days))


def _columns(days: Calendar) -> dict[str, Any]:
    return {
        **columns("name=application.name tier=application.tier"),
        "owner": lambda one: one.application.owner.name if one.application.owner else "",
        **columns("status=state reason=whole.reason"),
        "checks": lambda one: len(one.checks),
        "uptime_90d_percent": lambda one: one.percent(days),
        **columns("description=application.description managed_by=application.managed_by"),
    }


# --- what one is made of ----------------------------------------------------------------------------------------------


def components(application: Application, now: datetime, *, links: bool = True) -> SafeString:
    """Draw the components and what they need; empty when there is none. `links`: to their checks."""
    mine = list(application.components.order_by("name"))
    if not mine:
        return mark_safe("")
    edges: dict[str, list[str]] = {}
    foreign: dict[int, Component] = {}
    ties = Dependency.objects.filter(component__application=application).select_related("needs__application")
    for tie in ties.order_by("component__name", "needs__name"):
        edges.setdefault(str(tie.component_id), []).append(str(tie.needs_id))
        if tie.needs.application_id != application.pk:
            foreign[tie.needs_id] = tie.needs
    worst: dict[str, Status] = {}
    for row, shown in listing.seen(Check.objects.filter(component__in=mine), now):
        before = worst.get(row.component or "", Status.UP)
        worst[row.component or ""] = min(before, shown.status, key=WORST_FIRST.index)
    every = reverse("checks")
    nodes = [
        Node(
            str(one.pk),
            one.name,
            href=f"{every}?application={application.name}&q={one.name}" if links and one.name in worst else "",
            tone=_TONES.get(worst[one.name], "quiet") if one.name in worst else "",
            words=worst[one.name].value if one.name in worst else "not watched",
        )
        for one in mine
    ]
    nodes += [
        Node(
            str(one.pk),
            str(one),
            href=reverse("application", args=[one.application.name]),
            foreign=True,
            words="of another application",
        )
        for one in foreign.values()
    ]
    return mark_safe(draw(nodes, edges, f"Components of {application.name}"))  # noqa: S308 - drawing escapes
