"""`/`: what is wrong, who has it, what is due. One sentence first, then the facts that it rests on."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from mainstay.desk.duties import duties
from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW, STATUS_VIEW, Role
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.beat import ProcessHealth, health
from mainstay.foundation.processes.outage import outage
from mainstay.kit import charts, rows
from mainstay.kit.live import is_fragment, live
from mainstay.kit.scales import NBSP
from mainstay.observe.checks.decide import Shown, Status
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages import bars, listing
from mainstay.observe.checks.pages.applications import (
    SENTENCES,
    Overview,
    application_row,
    attended,
    fared,
    standings,
    worst_first,
)
from mainstay.observe.checks.pages.listing import Row
from mainstay.observe.checks.pages.maintenance_views import announced
from mainstay.observe.checks.uptime import latency
from mainstay.observe.checks.uptime.timeline import calendar
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.respond.alerts import origins
from mainstay.respond.alerts.decide import Code
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.listing import open_first, shown_state
from mainstay.respond.alerts.surroundings import silences
from mainstay.respond.delivery.models import Delivery
from mainstay.respond.delivery.waiting import waiting
from mainstay.respond.delivery.wing import DELIVERY_EDIT

DAYS = 90
ALERTS_SHOWN, TROUBLES_SHOWN, DELIVERIES_SHOWN, ENTRIES_SHOWN = 8, 8, 5, 9
_TONES = {"critical": "bad", "major": "warn", "minor": "quiet"}
_ROLES_OF_FIGURES = {Role.PRODUCT.value, Role.STAKEHOLDER.value}


@needs(STATUS_VIEW)
@require_safe
def now_page(request: HttpRequest) -> HttpResponseBase:
    """Say how things are; those who look after them see what is wrong and what they owe."""
    now = clock.now()
    actor = actor_of(request)
    inside = actor.may(OPERATIONS_VIEW)
    context: dict[str, Any] = {
        "now": now,
        "inside": inside,
        "figures_first": getattr(request.user, "role", "") in _ROLES_OF_FIGURES,
        "may": {
            "respond": actor.may(ALERTS_RESPOND),
            "announce": actor.may(MAINTENANCE_EDIT),
            "deliver": actor.may(DELIVERY_EDIT),
            "check": actor.may(CHECKS_EDIT),
        },
        "place": "now",
    }
    if is_fragment(request, "fleet"):
        return live(request, "now.html", context | _fleet(now), part="fleet")
    if is_fragment(request, "side"):
        return live(request, "now.html", context | _side(request, now, inside=inside), part="side")
    context |= {"fragment": is_fragment(request), **_situation(now, inside=inside)}
    context["tab"] = str(context["title"]).rstrip(".")
    if not is_fragment(request):
        context |= _fleet(now) | _side(request, now, inside=inside)
    return live(request, "now.html", context)


# --- the situation --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """An open alert as the page shows it."""

    alert: Alert
    state: str
    tone: str
    spark: SafeString

    @property
    def origin(self) -> tuple[str, str]:
        """What raised it, and its page."""
        return origins.link(self.alert)


@dataclass(frozen=True, slots=True)
class Opened:
    """How many alerts are open, whatever the page shows of them."""

    all: int = 0
    critical: int = 0
    causes: int = 0  # the others follow from something that has an alert of its own
    unacknowledged: int = 0

    @classmethod
    def counted(cls) -> "Opened":
        """Count them."""
        return cls(
            **Alert.objects.filter(ended_at=None).aggregate(
                all=Count("pk"),
                critical=Count("pk", filter=Q(severity="critical")),
                causes=Count("pk", filter=~Q(decision=Code.UNREACHABLE)),
                unacknowledged=Count("pk", filter=Q(acknowledged_at=None)),
            )
        )


def _situation(now: datetime, *, inside: bool) -> dict[str, Any]:
    states = _counts()
    if not inside:
        found = worst_first(standings(Application.objects.all(), now))
        title, sub = public_headline(found)
        return {"title": title, "sub": sub, "watched": sum(states.values())}
    opened = open_first(Alert.objects.select_related("application", "check_ref"))
    number = Opened.counted() if opened else Opened()
    refused = outage.present(time.monotonic())
    processes = {} if refused else health(now)  # whoever cannot write its beat is not missing
    told = notices.current(now)
    late = waiting(now)
    quiet = _without_alert(now)
    title = headline(
        opened[0] if opened else None,
        number,
        quiet,
        processes,
        watched=sum(states.values()),
        failing=len(late),
        itself=_itself(refused, told),
    )
    return {
        "title": title,
        "facts": _facts(number, states, late),
        "troubles": _troubles(opened[:ALERTS_SHOWN], now),
        "left_out": max(0, number.all - ALERTS_SHOWN),
        "quiet": quiet,
        "late": late[:DELIVERIES_SHOWN],
        "late_count": len(late),
        "refused": refused,
        "notices": told,
        "processes": {role: one for role, one in processes.items() if one.status != "ok"},
        "watched": sum(states.values()),
        "open_alerts": number.all,
    }


def _counts() -> dict[str, int]:
    """Return how many checks have which health by their results, and how many are paused."""
    found: dict[str, int] = {}
    for paused, state, number in Check.objects.values_list("paused", "state__health").annotate(n=Count("id")):
        key = "paused" if paused else state or "unknown"
        found[key] = found.get(key, 0) + number
    return found


def _without_alert(now: datetime) -> list[tuple[Row, Shown]]:
    """Return checks whose results say that they are not up, though no alert is open for them."""
    # Told apart here: as one query SQLite reads every alert there ever was, for which no index can make up.
    alerted = set(Alert.objects.filter(ended_at=None).values_list("check_ref_id", flat=True))
    found = Check.objects.filter(paused=False, state__health__in=("down", "degraded")).order_by(
        "application__name", "name"
    )
    quiet = [pk for pk in found.values_list("pk", flat=True) if pk not in alerted][:TROUBLES_SHOWN]
    open_now = listing.open_windows(now)
    some = found.filter(pk__in=quiet).values_list(*listing.QUICK)
    return [(row, row.shown(open_now, now)) for row in map(listing.row_of, some)]


def _troubles(alerts: Sequence[Alert], now: datetime) -> list[Trouble]:
    intervals = {
        alert.check_ref_id: alert.check_ref.every_s
        for alert in alerts
        if alert.check_ref is not None and alert.check_ref_id is not None and not alert.check_ref.passive
    }
    courses = latency.recent(intervals, now)
    active = silences(now)
    return [
        Trouble(
            alert,
            shown_state(alert, active, now),
            _TONES.get(alert.severity, "warn"),
            _spark(courses.get(alert.check_ref_id or 0, [])),
        )
        for alert in alerts
    ]


def _spark(values: Sequence[float | None]) -> SafeString:
    if sum(1 for value in values if value is not None) < 2:
        return mark_safe("")
    label = "Response time of the last results; gaps are failures"
    return mark_safe(charts.sparkline(values, tone="bad", width=120, height=28, label=label))  # noqa: S308 - escaped


def spaced(name: str) -> str:
    """Write "shop/storefront is down" as people read it: "shop / storefront is down"."""
    application, slash, rest = name.partition("/")
    return f"{application}{NBSP}/{NBSP}{rest}" if slash and application.strip() and " " not in application else name


def _itself(refused: str, told: Sequence[notices.Notice]) -> str:
    """Return what is so wrong with Mainstay that nobody may be watched or paged."""
    if refused:
        return f"Nothing is recorded: the database {refused}."
    grave = [notice for notice in told if notice.grave]
    return f"{grave[0].title.rstrip('.')}." if grave else ""


def headline(
    first: Alert | None,
    number: Opened,
    quiet: Sequence[tuple[Row, Shown]],
    processes: dict[str, ProcessHealth],
    *,
    watched: int,
    failing: int,
    itself: str = "",
) -> str:
    """Return the one sentence that states the situation; `first` is the gravest cause of the open alerts."""
    if itself:
        return itself
    if watched and processes["monitor"].status == "missing":
        return "Nothing is being watched: the monitor does not run."
    if first is None:
        if failing:
            return "Nothing is wrong, but pages do not get through."
        if quiet:
            return (
                f"{quiet[0][0].application} / {quiet[0][0].name} is not up."
                if len(quiet) == 1
                else f"{len(quiet)} checks are not up."
            )
        return "Nothing is wrong." if watched else "Nothing is watched yet."
    gravest = spaced(first.name).rstrip(".")
    if number.causes == 1 or number.all == 1:
        because = f", and {number.all - 1:,} more because of it" if number.all > 1 else ""
        if first.acknowledged_at is not None:
            return f"{gravest}{because}; {first.acknowledged_by} has it."
        return f"{gravest}{because}."
    grave = f", {number.critical:,} critical" if number.critical else ""
    return f"{number.all:,} alerts{grave}: {gravest}."


def public_headline(found: Sequence[Overview]) -> tuple[str, str]:
    """Return the sentence for those who see applications only, and the facts below it."""
    if not found:
        return "No application is looked after yet.", ""
    states = [one.whole.status for one in found]
    bad = [one for one in found if one.whole.status in (Status.DOWN, Status.DEGRADED, Status.UNREACHABLE)]
    fine = states.count(Status.UP)
    sub = f"{fine} of {len(found)} {'application is' if len(found) == 1 else 'applications are'} fine"
    if not bad:
        return ("Nothing is wrong." if fine else "Nobody knows how things are."), sub
    if len(bad) == 1:
        return f"{bad[0].application.name} {SENTENCES[bad[0].whole.status]}.", sub
    names = [one.application.name for one in bad[:3]]
    return f"{len(bad)} applications are not well: {', '.join(names)}{' …' if len(bad) > 3 else ''}", sub


def _facts(number: Opened, states: dict[str, int], late: Sequence[Delivery]) -> list[dict[str, str]]:
    """Return the line below the headline: words and where they lead."""
    out: list[dict[str, str]] = []
    if number.all:
        free = f"{number.unacknowledged:,} not acknowledged" if number.unacknowledged else "all acknowledged"
        out.append({"text": free, "href": "/alerts/"})
    if late:
        text = "1 page waits" if len(late) == 1 else f"{len(late)} pages wait"
        out.append({"text": text, "href": "/deliveries/"})
    for state in ("down", "degraded", "unknown", "paused", "up"):
        if states.get(state):
            word = "without a result" if state == "unknown" else state
            noun = " checks" if state == "up" else ""
            out.append({"text": f"{states[state]:,}{noun} {word}", "href": f"/checks/?status={state}"})
    return out


# --- applications ---------------------------------------------------------------------------------------------------


def _fleet(now: datetime) -> dict[str, Any]:
    """Return the applications that want attention most, with their uptime."""
    days = calendar(now, DAYS, timezone.get_current_timezone())
    total = Application.objects.count()
    found = worst_first(fared(standings(attended(), now), days, now))
    return {
        "application_rows": rows.join(
            application_row(one, bars.small_bar(one.course, days), one.percent(days), tier=False) for one in found
        ),
        "application_count": total,
        "applications_left_out": max(0, total - len(found)),
    }


# --- beside it ------------------------------------------------------------------------------------------------------


def _side(request: HttpRequest, now: datetime, *, inside: bool) -> dict[str, Any]:
    user = request.user
    assert isinstance(user, User)  # `needs` let nobody else in
    coming = [one for one in announced(now) if one.state == "active" or (one.starts or now) < now + timedelta(days=7)]
    entries = Entry.objects.order_by("-id")[:ENTRIES_SHOWN] if inside else []
    return {
        "duties": duties(user, now),
        "role": Role(user.role).label,
        "coming": coming[:4],
        "entries": [line(entry) for entry in entries],
    }
