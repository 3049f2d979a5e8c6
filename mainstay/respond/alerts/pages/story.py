"""One alert told: why it paged or did not, what would happen now, and who was reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch

from mainstay.foundation.journal.models import Entry
from mainstay.foundation.words.explained import begun
from mainstay.respond.alerts import facts
from mainstay.respond.alerts.decide import Code, Decision, decide
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.surroundings import surroundings
from mainstay.respond.delivery.models import Attempt, Delivery

DECISIONS_SHOWN = 10
ENTRIES_SHOWN = 60
DELIVERIES_SHOWN = 30
ATTEMPTS_SHOWN = 5
_VERDICTS = {
    Code.FIRST_PAGE: ("Paged", "firing"),
    Code.SEVERITY_ROSE: ("Paged again", "firing"),
    Code.GIVEN_BACK: ("Paged again", "firing"),
    Code.REMINDER: ("Reminded", "firing"),
    Code.RESOLVED: ("Over", "resolved"),
    Code.ACKNOWLEDGED: ("Not paged", "acknowledged"),
    Code.MAINTENANCE: ("Not paged", "maintenance"),
    Code.UNREACHABLE: ("Not paged", "unreachable"),
    Code.WAITING_FOR_NEEDED: ("Not paged yet", "pending"),
    Code.SILENCED: ("Not paged", "silenced"),
    Code.NO_ROUTE: ("Paged nobody", "failed"),
    Code.OUTSIDE_HOURS: ("Paged nobody", "failed"),
    Code.NO_CHANNEL: ("Paged nobody", "failed"),
    Code.ALREADY_PAGED: ("Not paged again", "delivered"),
}
_NOW = {
    Code.FIRST_PAGE: "Would page",
    Code.SEVERITY_ROSE: "Would page again",
    Code.GIVEN_BACK: "Would page again",
    Code.REMINDER: "Would remind",
    Code.WAITING_FOR_NEEDED: "Waits",
    Code.NO_ROUTE: "Would page nobody",
    Code.OUTSIDE_HOURS: "Would page nobody",
    Code.NO_CHANNEL: "Would page nobody",
    Code.ALREADY_PAGED: "Has paged",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A decision as `components/decision.html` shows it."""

    verdict: str
    verdict_state: str
    reason: str
    steps: Sequence[Any]
    at: datetime | None = None
    entry: int = 0
    channels: Sequence[str] = ()
    look_at: datetime | None = None


def decisions(alert: Alert) -> list[Told]:
    """Return what was decided on this alert, newest first, as the journal has it."""
    kinds = (facts.ALERT_PAGED.name, facts.ALERT_HELD.name)
    entries = Entry.objects.filter(subject=f"alert:{alert.pk}", kind__in=kinds).order_by("-pk")[:DECISIONS_SHOWN]
    return [_of_entry(entry) for entry in entries]


def _of_entry(entry: Entry) -> Told:
    found = entry.facts
    paged = entry.kind == facts.ALERT_PAGED.name
    code = found.get("code")
    verdict, state = _VERDICTS.get(code, ("Paged", "firing") if paged else ("Not paged", "unknown"))
    steps = [
        {"question": step[0], "passed": step[1], "detail": step[2]}
        for step in found.get("steps") or []
        if len(step) == 3
    ]
    channels = found.get("channels") or []
    if paged:
        verdict = f"{verdict} {', '.join(channels)}" if channels else "Paged nobody: its channels are gone"
        state = state if channels else "failed"
    reason = str(found.get("reason") or "")
    return Told(verdict, state, begun(reason), steps, entry.at, entry.pk, channels)


def deciding_now(alert: Alert, now: datetime) -> Told:
    """Return what would be decided at `now`. Nothing is written."""
    here = surroundings([alert], now, now)
    return told(decide(here.facts_of(alert, now), here.world, now))


def told(decision: Decision) -> Told:
    """Return a decision that was just made, as a page shows it."""
    verdict, state = _VERDICTS[decision.code]
    verdict = _NOW.get(decision.code, "Would not page" if decision.code is not Code.RESOLVED else verdict)
    if decision.page and decision.channels:
        verdict = f"{verdict} {', '.join(decision.channels)}"
    return Told(
        verdict, state, begun(decision.reason), decision.steps, channels=decision.channels, look_at=decision.look_at
    )


def deliveries(alert: Alert) -> list[Delivery]:
    """Return what was owed for this alert, newest first, each with its latest attempts as `latest`."""
    tries = Prefetch("tries", Attempt.objects.order_by("-pk")[:ATTEMPTS_SHOWN], to_attr="latest")
    rows = Delivery.objects.filter(subject=f"alert:{alert.pk}").select_related("channel").prefetch_related(tries)
    return list(rows.order_by("-pk")[:DELIVERIES_SHOWN])


def entries(alert: Alert) -> list[Entry]:
    """Return the newest entries of this alert's journal."""
    return list(Entry.objects.filter(subject=f"alert:{alert.pk}").order_by("-pk")[:ENTRIES_SHOWN])
