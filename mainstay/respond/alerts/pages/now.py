"""What alerts give to Now, and to the pages of applications and checks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from mainstay.foundation.accounts.access import actor_of
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.parts import Drawn, Fact, Sentence
from mainstay.kit import charts
from mainstay.kit.scales import NBSP
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages import listing as checks
from mainstay.observe.checks.standing import NOT_UP
from mainstay.observe.checks.uptime import latency
from mainstay.respond.alerts import origins
from mainstay.respond.alerts.decide import Code
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.listing import open_first, shown_state
from mainstay.respond.alerts.surroundings import silences

SHOWN, CHECKS_SHOWN, OF_APPLICATION_SHOWN, OF_CHECK_SHOWN = 8, 8, 10, 8
TONES = {"critical": "bad", "major": "warn", "minor": "quiet"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """An open alert as Now shows it."""

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
    causes: int = 0  # the others are of what is unreachable, which is no news
    critical: int = 0  # of the causes, as is the next
    unacknowledged: int = 0

    @classmethod
    def counted(cls) -> "Opened":
        """Count them."""
        cause = ~Q(decision=Code.UNREACHABLE)
        return cls(
            **Alert.objects.filter(ended_at=None).aggregate(
                all=Count("pk"),
                causes=Count("pk", filter=cause),
                critical=Count("pk", filter=cause & Q(severity="critical")),
                unacknowledged=Count("pk", filter=cause & Q(acknowledged_at=None)),
            )
        )


def open_count() -> int:
    """Return how many alerts are open, without those of what is unreachable: they are no news."""
    return Alert.objects.filter(~Q(decision=Code.UNREACHABLE), ended_at=None).count()


def troubles(request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """Open alerts, the gravest first."""
    opened = open_first(Alert.objects.select_related("application", "check_ref"), SHOWN)
    if not opened:
        return
    number = Opened.counted()
    free = f"{number.unacknowledged:,} not acknowledged" if number.unacknowledged else "all acknowledged"
    context = {
        "troubles": _troubles(opened, now),
        "left_out": max(0, number.all - SHOWN),
        "may_respond": actor_of(request).may(ALERTS_RESPOND),
    }
    says = Sentence(20, headline(opened[0], number))
    yield Drawn("alerts/parts/troubles.html", context, says, (Fact(free, reverse("alerts")),))


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
            TONES.get(alert.severity, "warn"),
            _spark(courses.get(alert.check_ref_id or 0, [])),
        )
        for alert in alerts
    ]


def _spark(values: Sequence[float | None]) -> SafeString:
    if sum(1 for value in values if value is not None) < 2:
        return mark_safe("")
    label = "Response time of the last results; gaps are failures"
    return mark_safe(charts.sparkline(values, tone="bad", width=120, height=28, label=label))  # noqa: S308 - escaped


def headline(first: Alert, number: Opened) -> str:
    """Say what is wrong; `first` is the gravest cause of the open alerts."""
    gravest = spaced(first.name).rstrip(".")
    if number.causes <= 1:
        because = f", and {number.all - 1:,} more because of it" if number.all > 1 else ""
        if first.acknowledged_at is not None:
            return f"{gravest}{because}; {first.acknowledged_by} has it."
        return f"{gravest}{because}."
    grave = f", {number.critical:,} critical" if number.critical else ""
    because = f" {number.all - number.causes:,} more because of them." if number.causes < number.all else ""
    return f"{number.causes:,} alerts{grave}: {gravest}.{because}"


def spaced(name: str) -> str:
    """Write "shop/storefront is down" as people read it: "shop / storefront is down"."""
    application, slash, rest = name.partition("/")
    return f"{application}{NBSP}/{NBSP}{rest}" if slash and application.strip() and " " not in application else name


def without_alert(_request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """Checks whose results say that they are not up, though no alert is open for them."""
    # Told apart here: as one query SQLite reads every alert there ever was, for which no index can make up.
    alerted = set(Alert.objects.filter(ended_at=None).values_list("check_ref_id", flat=True))
    found = Check.objects.filter(NOT_UP).order_by("application__name", "name")
    quiet = [pk for pk in found.values_list("pk", flat=True) if pk not in alerted][:CHECKS_SHOWN]
    if not quiet:
        return
    open_now = checks.open_windows(now)
    some = map(checks.row_of, found.filter(pk__in=quiet).values_list(*checks.QUICK))
    seen = [(row, row.shown(open_now, now)) for row in some]
    first = f"{seen[0][0].application} / {seen[0][0].name} is not up."
    says = Sentence(40, first if len(seen) == 1 else f"{len(seen)} checks are not up.")
    yield Drawn("alerts/parts/without_alert.html", {"checks": seen}, says)


def of_application(request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Open alerts of an application."""
    # As an expression: SQLite would take the index of applications, and read all the alerts that it ever had.
    found = Alert.objects.alias(of=Coalesce("application_id", Value(0))).filter(of=application.pk)
    yield from _open(request, open_first(found, OF_APPLICATION_SHOWN))


def of_check(request: HttpRequest, _now: datetime, check: Check) -> Iterator[Drawn]:
    """Open alerts of a check."""
    yield from _open(request, open_first(Alert.objects.filter(check_ref=check)))


def earlier_of_check(_request: HttpRequest, _now: datetime, check: Check) -> Iterator[Drawn]:
    """The latest alerts of a check."""
    found = Alert.objects.filter(check_ref=check).order_by("-id")[:OF_CHECK_SHOWN]
    yield Drawn("alerts/parts/of_check.html", {"alerts": found})


def _open(request: HttpRequest, alerts: Sequence[Alert]) -> Iterator[Drawn]:
    if alerts:
        context = {
            "alerts": [(alert, TONES.get(alert.severity, "quiet")) for alert in alerts],
            "may_respond": actor_of(request).may(ALERTS_RESPOND),
        }
        yield Drawn("alerts/parts/open.html", context)
