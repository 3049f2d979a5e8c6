"""What happens to alerts, by people or by the program: change, journal entry and owed pages in one transaction."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, F, IntegerField, Model, QuerySet, Value, When

from mainstay.foundation import store
from mainstay.foundation.accounts.actor import Actor, program
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.kinds import Instant
from mainstay.foundation.journal.write import Fact, Subject, write, write_all
from mainstay.foundation.pieces import is_of_the_content, pieces
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.explained import begun
from mainstay.foundation.words.matching import Matchers
from mainstay.foundation.words.names import SEVERITIES, weight
from mainstay.respond.alerts import facts
from mainstay.respond.alerts.decide import (
    LOOK_LATER,
    LOOK_RARELY,
    AlertFacts,
    Code,
    Decision,
    Step,
    decide,
    look_later,
)
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.alerts.origins import loads
from mainstay.respond.alerts.spec import SilenceSpec
from mainstay.respond.alerts.surroundings import HELD_BY_NEEDED, surroundings
from mainstay.respond.alerts.wording import message, subject, thread
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.outbox import CLOCK_MAY_DIFFER, Owing, owe, owe_all, waiting
from mainstay.respond.delivery.receivers import channels_of, split

log = logging.getLogger("mainstay.alerts")
ALERTS = program("alerts")
SILENCE_MOST = timedelta(days=365)
DUE_MOST = 1_000  # alerts decided on in one turn …
TURN_S = 1.0  # … that takes about so long
DECIDED_AT_ONCE = 50
LOOKED_AT_SOON = (
    Code.MAINTENANCE, Code.UNREACHABLE, Code.WAITING_FOR_NEEDED, Code.NO_ROUTE, Code.OUTSIDE_HOURS, Code.NO_CHANNEL,
)  # fmt: skip
REMINDED = (Code.FIRST_PAGE, Code.SEVERITY_ROSE, Code.GIVEN_BACK, Code.REMINDER, Code.ALREADY_PAGED)
_EVENTS = {
    Code.FIRST_PAGE: Event.TRIGGER,
    Code.SEVERITY_ROSE: Event.TRIGGER,
    Code.GIVEN_BACK: Event.TRIGGER,
    Code.REMINDER: Event.REMIND,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What fires: everything that an alert is made of."""

    source: str  # what it is about, and about which part of it: at most one alert of a source is open
    name: str
    severity: str
    summary: str
    labels: Mapping[str, str]
    refers: Mapping[str, Model] = field(default_factory=dict)  # foreign keys of `Alert` that this kind of source keeps
    application: Application | None = None
    environment: str = ""
    runbook: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None


def fire_all(firings: Sequence[tuple[Firing, datetime]]) -> list[Alert]:
    """Open an alert for each source, or tell its open one what is so now; decide at once which of them page.

    A severity that rises takes an acknowledgement back: what was acknowledged was less.
    """
    with transaction.atomic(savepoint=False):
        # Locked: an acknowledgement of this very moment must not be overwritten.
        present = {row.source: row for row in _open(source__in=[firing.source for firing, _ in firings])}
        alerts = [present.get(firing.source) or _new(firing, now) for firing, now in firings]
        Alert.objects.bulk_create(alert for alert in alerts if alert.pk is None)
        told, changed = [], []
        for alert, (firing, now) in zip(alerts, firings, strict=True):
            said = {"severity": firing.severity, "summary": firing.summary}
            if firing.source not in present:
                told.append(Fact(facts.ALERT_FIRED, subject(alert), ALERTS, now, said))
                continue
            changed.append(alert)
            was = alert.severity
            if _tell(alert, firing):
                told.append(Fact(facts.ALERT_RAISED, subject(alert), ALERTS, now, {"was": was, **said}))
        store.save(changed, _TOLD_FIELDS)
        write_all(told)
        consider_all([(alert, now) for alert, (_, now) in zip(alerts, firings, strict=True)])
    return alerts


def fire(firing: Firing, now: datetime) -> Alert:
    """Open one alert, or tell the open one of the same source what is so now; see `fire_all`."""
    return fire_all([(firing, now)])[0]


_TOLD_FIELDS = (
    "name", "summary", "severity", "labels", "annotations", "value", "acknowledged_at", "acknowledged_by",
)  # fmt: skip


def _open(**which: object) -> QuerySet[Alert]:
    """Return open alerts, locked in one order, so that two who lock many never wait for each other."""
    return Alert.objects.select_for_update(of=("self",)).filter(ended_at=None, **which).order_by("pk")


def _new(firing: Firing, now: datetime) -> Alert:
    return Alert(
        source=firing.source,
        **firing.refers,
        application=firing.application,
        environment=firing.environment,
        name=firing.name[:300],
        severity=firing.severity,
        summary=firing.summary,
        labels=dict(firing.labels),
        annotations=dict(firing.annotations),
        value=firing.value,
        runbook=firing.runbook[:500],
        started_at=now,
    )


def _tell(alert: Alert, firing: Firing) -> bool:
    """Make an open alert say what is so now; return whether its severity rose."""
    for name, row in firing.refers.items():
        setattr(alert, name, row)
    alert.name, alert.summary = firing.name[:300], firing.summary
    alert.annotations, alert.value = dict(firing.annotations), firing.value
    if weight(firing.severity) <= weight(alert.severity):
        return False
    alert.severity = firing.severity
    alert.labels = {**alert.labels, "severity": firing.severity}
    alert.acknowledged_at, alert.acknowledged_by = None, ""
    return True


def resolve(alert: Alert, reason: str, now: datetime) -> None:
    """End an alert and tell those who were paged."""
    resolve_all({alert.source: (reason, now)})


def resolve_all(ends: Mapping[str, tuple[str, datetime]]) -> None:
    """End the open alerts of these sources, each for its reason and at its time, and tell those who were paged."""
    with transaction.atomic(savepoint=False):
        alerts = list(_open(source__in=list(ends)))
        told, owing = [], []
        for alert in alerts:
            reason, now = ends[alert.source]
            alert.ended_at, alert.look_at = now, None
            minutes = round((now - alert.started_at).total_seconds() / 60, 2)
            told.append(Fact(facts.ALERT_RESOLVED, subject(alert), ALERTS, now, {"minutes": minutes, "reason": reason}))
            sent = message(alert, Event.RESOLVE, now, reason=reason)
            owing.append(Owing(sent, alert.paged_channels, subject(alert), now))
        store.save(alerts, ("ended_at", "look_at"))
        write_all(told)
        owe_all(owing)


@dataclass(slots=True)
class _Decided:
    """An alert, as of when it was decided on, what was known of it, and the decision."""

    alert: Alert
    now: datetime
    known: AlertFacts
    made: Decision
    via: Mapping[str, str] = field(default_factory=dict)  # channel → the receiver that it was found from


def consider(alert: Alert, now: datetime) -> Decision:
    """Decide whether `alert`, which is locked, pages now; see `consider_all`."""
    return consider_all([(alert, now)])[0]


def consider_all(given: Sequence[tuple[Alert, datetime]]) -> list[Decision]:
    """Decide which of these locked alerts page at their times, do it, and keep the decisions with their reasons."""
    if not given:
        return []
    times = [now for _, now in given]
    with transaction.atomic(savepoint=False):
        here = surroundings([alert for alert, _ in given], min(times), max(times))
        decided = []
        for alert, now in given:
            known = here.facts_of(alert, now)
            decided.append(_Decided(alert, now, known, decide(known, here.world, now)))
        _resolved(decided, max(times))
        _without_late_channels(decided)
        paging = [one for one in decided if one.made.page]
        owed = owe_all([_page(one) for one in paging])
        paged = {
            one.alert.pk: [row.channel_name for row in each.deliveries] for one, each in zip(paging, owed, strict=True)
        }
        told = [fact for one in decided if (fact := _keep(one, paged.get(one.alert.pk))) is not None]
        store.save([one.alert for one in paging], _PAGED_FIELDS)
        store.save([one.alert for one in decided], _DECIDED_FIELDS)
        write_all(told)
    return [one.made for one in decided]


def _page(one: _Decided) -> Owing:
    made = one.made
    sent = message(one.alert, _EVENTS[made.code], one.now, reason=begun(made.reason))
    return Owing(sent, made.channels, subject(one.alert), one.now, fallback=made.fallback, via=one.via)


def _keep(one: _Decided, paged: list[str] | None) -> Fact | None:
    """Make the alert remember the decision; return what the journal is told of it, if anything."""
    alert, made = one.alert, one.made
    steps = [[step.question, step.passed, step.detail] for step in made.steps]
    said: dict[str, object] = {"code": made.code.value, "steps": steps}
    news = made.code.value != alert.decision and made.code not in {Code.ALREADY_PAGED, Code.RESOLVED}
    alert.held_by = one.known.needed if made.code in HELD_BY_NEEDED else None
    alert.decision, alert.reason, alert.look_at = made.code.value, made.reason, made.look_at
    if paged is not None:
        alert.paged_at, alert.paged_severity, alert.given_back_by = one.now, alert.severity, ""
        alert.paged_channels = sorted({*alert.paged_channels, *paged})
        said |= {"event": _EVENTS[made.code].value, "channels": paged, "reason": begun(made.reason)}
        return Fact(facts.ALERT_PAGED, subject(alert), ALERTS, one.now, said)
    return Fact(facts.ALERT_HELD, subject(alert), ALERTS, one.now, {**said, "reason": made.reason}) if news else None


_DECIDED_FIELDS = ("decision", "reason", "look_at", "held_by")
_PAGED_FIELDS = ("paged_at", "paged_severity", "paged_channels", "given_back_by")


def _resolved(decided: Sequence[_Decided], now: datetime) -> None:
    """Find the channels that the receivers of a page are now.

    A route may name a channel that was removed, or a schedule that nobody has now. They are passed over, and a page
    that would reach nobody stays owed.
    """
    paging = [one for one in decided if one.made.page]
    named = [name for one in paging for name in (*one.made.channels, *one.made.fallback)]
    found = channels_of(named, now) if named else {}
    for one in paging:
        one.made, one.via = _reaching(one, found)


def _reaching(one: _Decided, found: Mapping[str, Sequence[str]]) -> tuple[Decision, dict[str, str]]:
    """Return the decision with channels in the place of receivers, and from which receiver each channel was found."""
    made = one.made
    named = (*made.channels, *made.fallback)
    steps = [*made.steps, *(_on_duty(name, found[name]) for name in named if name in found and split(name)[0])]
    gone = [name for name in named if name not in found]
    told = f"{', '.join(gone)} {'exists' if len(gone) == 1 else 'exist'} no more"
    receivers = [name for name in made.channels if found.get(name)]
    fallback = [name for name in made.fallback if found.get(name)]
    if gone:
        steps.append(Step("Do its channels exist?", bool(receivers or fallback), told))
    if not receivers and not fallback:
        reason = f"the route's channels are gone: {told}" if gone else "nobody is on duty for its routes now"
        later = look_later(one.known, Code.NO_CHANNEL, one.now)
        return Decision(False, Code.NO_CHANNEL, reason, tuple(steps), look_at=later), {}
    if not receivers:
        receivers, fallback = fallback[:1], fallback[1:]
    via: dict[str, str] = {}
    for name in receivers:
        via |= {channel: name for channel in found[name] if channel not in via}
    return replace(made, channels=tuple(via), fallback=tuple(fallback), steps=tuple(steps)), via


def _on_duty(receiver: str, channels: Sequence[str]) -> Step:
    return Step(f"Who is {receiver} now?", bool(channels), ", ".join(channels) or "nobody")


def _without_late_channels(decided: Sequence[_Decided]) -> None:
    """A reminder would only pile up where the page before still waits; the other channels get theirs."""
    reminding = [one for one in decided if one.made.page and one.made.code is Code.REMINDER]
    late = waiting([thread(one.alert) for one in reminding]) if reminding else {}
    for one in reminding:
        one.made = _reminder(one.made, late.get(thread(one.alert), set()), one.now)


def _reminder(decision: Decision, late: Collection[str], now: datetime) -> Decision:
    waits = sorted(name for name in decision.channels if name in late)
    if not waits:
        return decision
    reason = f"the page before still waits to be delivered to {', '.join(waits)}"
    channels = tuple(name for name in decision.channels if name not in late)
    if channels:
        step = Step("Has the page before arrived?", True, f"{reason}; the others are reminded")
        return replace(decision, channels=channels, steps=(*decision.steps, step))
    look_at = min(decision.look_at or now + LOOK_RARELY, now + LOOK_RARELY)
    return Decision(False, Code.ALREADY_PAGED, reason, decision.steps, look_at=look_at)


def consider_due(now: datetime) -> int:
    """Decide again on alerts whose time has come (reminders, ends of silences and windows), the most severe first.

    In small transactions and for about a second; return how many: when there were any, more may wait.
    """
    if not store.select("SELECT 1 FROM alerts_alert WHERE look_at <= %s AND ended_at IS NULL LIMIT 1", now):
        return 0
    due = list(
        Alert.objects.filter(look_at__lte=now, ended_at=None)
        .order_by(_WEIGHT.desc(), "look_at")
        .values_list("pk", flat=True)[:DUE_MOST]
    )
    done, until = 0, time.monotonic() + TURN_S
    for part in pieces(due, DECIDED_AT_ONCE):
        _consider_again(part, now)
        done += len(part)
        if time.monotonic() > until:
            break
    return done


def _consider_again(numbers: Sequence[int], now: datetime) -> None:
    try:
        with transaction.atomic():
            rows = _open(pk__in=numbers, look_at__lte=now).select_related(*loads())
            consider_all([(row, now) for row in rows])
    except Exception as error:  # a defect met by one alert must not keep all the others from paging
        if not is_of_the_content(error):
            raise
        if len(numbers) > 1:
            for number in numbers:
                _consider_again([number], now)
            return
        log.exception("alert %d cannot be decided on", numbers[0])
        Alert.objects.filter(pk=numbers[0]).update(look_at=now + LOOK_LATER)


_WEIGHT = Case(
    *(When(severity=severity, then=Value(weight(severity))) for severity in SEVERITIES),
    default=Value(-1),
    output_field=IntegerField(),
)


def look_now(now: datetime, *codes: Code) -> None:
    """Let the open alerts that are held by one of `codes` be decided on again: what held them may be over."""
    look_again(now, decision__in=[code.value for code in codes])


def look_again(now: datetime, **which: object) -> None:
    """Let these open alerts be decided on again: what may hold them is not as it was."""
    numbers = list(_open(**which).values_list("pk", flat=True))
    if numbers:
        Alert.objects.filter(pk__in=numbers).update(look_at=now)


def pull_in(now: datetime) -> int:
    """Decide again on alerts that wait by a clock that was set back since, else they would for hours; return how many.

    Told by the rows themselves, so it holds over restarts.
    """
    mine = Alert.objects.filter(ended_at=None, look_at__gt=now)
    paged_ahead = mine.filter(paged_at__gt=now + CLOCK_MAY_DIFFER).update(paged_at=now, look_at=now)
    held = mine.filter(decision__in=[code.value for code in LOOKED_AT_SOON])
    return paged_ahead + held.filter(look_at__gt=now + LOOK_RARELY + CLOCK_MAY_DIFFER).update(look_at=now)


def after_jump(by: timedelta) -> int:
    """Let reminders wait as long as they had to before the clock was set forward; return how many."""
    paged = Alert.objects.filter(ended_at=None, paged_at__isnull=False, decision__in=[code.value for code in REMINDED])
    return paged.update(paged_at=F("paged_at") + by, look_at=F("look_at") + by)


@transaction.atomic
def fell_back(number: int, channel: str, now: datetime) -> None:
    """Note that an alert also paged `channel`, and tell its people at once what is known already."""
    alert = Alert.objects.select_for_update().filter(pk=number).first()
    if alert is None or channel in alert.paged_channels:
        return
    alert.paged_channels = sorted({*alert.paged_channels, channel})
    alert.save(update_fields=["paged_channels"])
    if alert.ended_at is not None:
        owe(message(alert, Event.RESOLVE, now), [channel], subject(alert), now)
    elif alert.acknowledged_at is not None:
        owe(message(alert, Event.ACKNOWLEDGE, now, actor=alert.acknowledged_by), [channel], subject(alert), now)


@transaction.atomic
def acknowledge(alert: Alert, actor: Actor, now: datetime, note: str = "") -> bool:
    """Take an alert: reminders stop, those paged hear who has it. False when somebody was faster or it is over.

    Raises:
        NotAllowed.
    """
    actor.need(ALERTS_RESPOND)
    taken = Alert.objects.filter(pk=alert.pk, ended_at=None, acknowledged_at=None).update(
        acknowledged_at=now, acknowledged_by=actor.name, note=note, look_at=None, decision=Code.ACKNOWLEDGED.value,
        reason=f"{actor.name} has acknowledged it", given_back_by="",
    )  # fmt: skip
    alert.refresh_from_db()
    if taken:
        write(facts.ALERT_ACKNOWLEDGED, subject(alert), actor, now, note=f"({note})" if note else "")
        sent = message(alert, Event.ACKNOWLEDGE, now, actor=actor.name)
        owe(sent, alert.paged_channels, subject(alert), now)
    return bool(taken)


@transaction.atomic
def unacknowledge(alert: Alert, actor: Actor, now: datetime) -> bool:
    """Give an alert back: those who were told that it was taken hear that nobody has it, and reminders start again.

    Not while something keeps it from paging (maintenance, a silence, the hours of its route): then afterwards.

    Raises:
        NotAllowed.
    """
    actor.need(ALERTS_RESPOND)
    paged_at = Case(When(paged_at__isnull=False, then=Value(now)))  # one that has paged nobody yet still has to
    given_back = Alert.objects.filter(pk=alert.pk, ended_at=None, acknowledged_at__isnull=False).update(
        acknowledged_at=None, acknowledged_by="", note="", paged_at=paged_at, given_back_by=actor.name
    )
    alert.refresh_from_db()
    if given_back:
        write(facts.ALERT_UNACKNOWLEDGED, subject(alert), actor, now)
        consider(alert, now)
    return bool(given_back)


@transaction.atomic
def silence(spec: SilenceSpec, actor: Actor, now: datetime) -> Silence:
    """Keep alerts that match from paging for a while.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(ALERTS_RESPOND)
    starts_at, ends_at = spec.span(now)
    if ends_at <= starts_at or ends_at <= now:
        raise Refused("must be after the start and in the future", "ends_at")
    if ends_at - starts_at > SILENCE_MOST:
        raise Refused("a silence lasts a year at most; for what never pages change the route", "ends_at")
    row = Silence.objects.create(
        match=spec.wanted.stored(),
        starts_at=starts_at,
        ends_at=ends_at,
        created_by=actor.name,
        created_at=now,
        **spec.note,
    )
    write(
        facts.SILENCE_CREATED,
        Subject("silence", row.pk, str(row.pk)),
        actor,
        now,
        matchers=str(row),
        until=Instant.of(ends_at),
        **spec.note,
    )
    _look_now(spec.wanted, now)
    return row


@transaction.atomic
def end_silence(row: Silence, actor: Actor, now: datetime) -> None:
    """End a silence early; alerts that it held are decided on again.

    Raises:
        NotAllowed.
    """
    actor.need(ALERTS_RESPOND)
    if Silence.objects.filter(pk=row.pk, ends_at__gt=now).update(ends_at=now):
        write(facts.SILENCE_ENDED, Subject("silence", row.pk, str(row.pk)), actor, now)
        _look_now(Matchers.of(row.match), now)


def _look_now(wanted: Matchers, now: datetime) -> None:
    rows = Alert.objects.filter(ended_at=None, acknowledged_at=None).only("pk", "labels")
    ids = [row.pk for row in rows if wanted.matches(row.labels)]
    Alert.objects.filter(pk__in=ids, ended_at=None).update(look_at=now)
