"""What happens to alerts, by people or by the program: change, journal entry and owed pages in one transaction."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, transaction
from django.db.models import Case, F, Value, When

from mainstay.foundation.accounts.actor import Actor, program
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.kinds import Instant
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.refusal import Refused
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.standing import all_labels, standing, windows
from mainstay.observe.checks.windows import covering
from mainstay.respond.alerts import facts
from mainstay.respond.alerts.decide import (
    LOOK_LATER,
    AlertFacts,
    Code,
    Decision,
    RouteFacts,
    SilenceFacts,
    Step,
    decide,
    weight,
)
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.alerts.routes import routes
from mainstay.respond.alerts.wording import message, subject, thread
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.outbox import CLOCK_MAY_DIFFER, existing, owe, waiting

log = logging.getLogger("mainstay.alerts")
ALERTS = program("alerts")
SILENCE_MOST = timedelta(days=365)
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
    check: Check | None = None
    application: Application | None = None
    environment: str = ""
    runbook: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None


def fire(check: Check, severity: str, name: str, summary: str, now: datetime) -> Alert:
    """Open an alert for `check`, or raise the severity of the open one; decide at once whether it pages."""
    firing = Firing(
        source=f"check:{check.pk}",
        name=name,
        severity=severity,
        summary=summary,
        labels={**all_labels(check), "alertname": str(check), "severity": severity},
        check=check,
        application=check.application,
        environment=check.environment.name if check.environment else "",
        runbook=check.runbook,
    )
    return fire_anew(firing, now)


@transaction.atomic
def fire_anew(firing: Firing, now: datetime) -> Alert:
    """Open an alert, or tell the open one of the same source what is so now; decide at once whether it pages.

    A severity that rises takes an acknowledgement back: what was acknowledged was less.
    """
    # Locked: an acknowledgement of this very moment must not be overwritten.
    alert = Alert.objects.select_for_update().filter(source=firing.source, ended_at=None).first()
    severity = firing.severity
    if alert is None:
        alert = Alert.objects.create(
            source=firing.source,
            check_ref=firing.check,
            application=firing.application,
            environment=firing.environment,
            name=firing.name[:300],
            severity=severity,
            summary=firing.summary,
            labels=dict(firing.labels),
            annotations=dict(firing.annotations),
            value=firing.value,
            runbook=firing.runbook[:500],
            started_at=now,
        )
        write(facts.ALERT_FIRED, subject(alert), ALERTS, now, severity=severity, summary=firing.summary)
    else:
        was = alert.severity
        alert.name, alert.summary = firing.name[:300], firing.summary
        alert.annotations, alert.value = dict(firing.annotations), firing.value
        if weight(severity) > weight(was):
            alert.severity = severity
            alert.labels = {**alert.labels, "severity": severity}
            alert.acknowledged_at, alert.acknowledged_by = None, ""
            write(facts.ALERT_RAISED, subject(alert), ALERTS, now, was=was, severity=severity, summary=firing.summary)
        alert.save(
            update_fields=[
                "name", "summary", "severity", "labels", "annotations", "value", "acknowledged_at", "acknowledged_by",
            ]
        )  # fmt: skip
    consider(alert, now)
    return alert


@transaction.atomic
def resolve(alert: Alert, reason: str, now: datetime) -> None:
    """End an alert and tell those who were paged."""
    if not Alert.objects.filter(pk=alert.pk, ended_at=None).update(ended_at=now, look_at=None):
        return
    alert.refresh_from_db()
    minutes = round((now - alert.started_at).total_seconds() / 60, 2)
    write(facts.ALERT_RESOLVED, subject(alert), ALERTS, now, minutes=minutes, reason=reason)
    owe(message(alert, Event.RESOLVE, now, reason=reason), alert.paged_channels, subject(alert), now)


@transaction.atomic
def consider(alert: Alert, now: datetime, *, given: Sequence[RouteFacts] | None = None) -> Decision:
    """Decide whether `alert` pages now, do it, and keep the decision with its reasons."""
    decision = decide(facts_of(alert, now), routes() if given is None else given, silences(now), now)
    if decision.page:
        decision = _by_existing_channels(decision, now)
    if decision.page and decision.code is Code.REMINDER:
        decision = _without_late_channels(decision, waiting(thread(alert), decision.channels), now)
    steps = [[step.question, step.passed, step.detail] for step in decision.steps]
    if decision.page:
        event = _EVENTS[decision.code]
        reason = decision.reason[:1].upper() + decision.reason[1:]
        owed = owe(
            message(alert, event, now, reason=reason),
            decision.channels,
            subject(alert),
            now,
            fallback=decision.fallback,
        )
        names = [row.channel_name for row in owed.deliveries]
        alert.paged_at, alert.paged_severity, alert.given_back_by = now, alert.severity, ""
        alert.paged_channels = sorted({*alert.paged_channels, *names})
        write(
            facts.ALERT_PAGED,
            subject(alert),
            ALERTS,
            now,
            event=event.value,
            channels=names,
            reason=reason,
            code=decision.code.value,
            steps=steps,
        )
    elif decision.code.value != alert.decision and decision.code not in {Code.ALREADY_PAGED, Code.RESOLVED}:
        write(
            facts.ALERT_HELD,
            subject(alert),
            ALERTS,
            now,
            reason=decision.reason,
            code=decision.code.value,
            steps=steps,
        )
    alert.decision, alert.reason, alert.look_at = decision.code.value, decision.reason, decision.look_at
    alert.save(
        update_fields=[
            "decision", "reason", "look_at", "paged_at", "paged_severity", "paged_channels", "given_back_by",
        ]
    )  # fmt: skip
    return decision


def _by_existing_channels(decision: Decision, now: datetime) -> Decision:
    """A route may name a channel that was removed. It is passed over, and a page that would reach nobody stays owed."""
    known = existing([*decision.channels, *decision.fallback])
    gone = [name for name in (*decision.channels, *decision.fallback) if name not in known]
    if not gone:
        return decision
    channels = tuple(name for name in decision.channels if name in known)
    fallback = tuple(name for name in decision.fallback if name in known)
    told = f"{', '.join(gone)} {'exists' if len(gone) == 1 else 'exist'} no more"
    steps = (*decision.steps, Step("Do its channels exist?", bool(channels or fallback), told))
    if not channels and not fallback:
        reason = f"the route's channels are gone: {told}"
        return Decision(False, Code.NO_CHANNEL, reason, steps, look_at=now + LOOK_LATER)
    if not channels:
        channels, fallback = fallback[:1], fallback[1:]
    return replace(decision, channels=channels, fallback=fallback, steps=steps)


def _without_late_channels(decision: Decision, late: Sequence[str], now: datetime) -> Decision:
    """A reminder would only pile up where the page before still waits; the other channels get theirs."""
    if not late:
        return decision
    reason = f"the page before still waits to be delivered to {', '.join(late)}"
    channels = tuple(name for name in decision.channels if name not in late)
    if channels:
        step = Step("Has the page before arrived?", True, f"{reason}; the others are reminded")
        return replace(decision, channels=channels, steps=(*decision.steps, step))
    return Decision(False, Code.ALREADY_PAGED, reason, decision.steps, look_at=now + LOOK_LATER)


def consider_due(now: datetime, limit: int = 200) -> int:
    """Decide again on alerts whose time has come (reminders, ends of silences and windows); return how many."""
    due = list(Alert.objects.filter(look_at__lte=now, ended_at=None).order_by("look_at")[:limit])
    given = routes() if due else ()
    for alert in due:
        try:
            with transaction.atomic():
                locked = Alert.objects.select_for_update().filter(pk=alert.pk, ended_at=None, look_at__lte=now).first()
                if locked is not None:
                    consider(locked, now, given=given)
        except OperationalError:
            raise
        except Exception:  # a defect met by one alert must not keep all the others from paging
            log.exception("alert %d cannot be decided on", alert.pk)
            Alert.objects.filter(pk=alert.pk).update(look_at=now + LOOK_LATER)
    return len(due)


def pull_in(now: datetime) -> int:
    """Decide again on alerts that wait by a clock that was set back since, else they would for hours; return how many.

    Told by the rows themselves, so it holds over restarts.
    """
    mine = Alert.objects.filter(ended_at=None, look_at__gt=now)
    paged_ahead = mine.filter(paged_at__gt=now + CLOCK_MAY_DIFFER).update(paged_at=now, look_at=now)
    held = mine.filter(decision__in=[code.value for code in LOOKED_AT_SOON])
    return paged_ahead + held.filter(look_at__gt=now + LOOK_LATER + CLOCK_MAY_DIFFER).update(look_at=now)


def after_jump(by: timedelta) -> int:
    """Let reminders wait as long as they had to before the clock was set forward; return how many."""
    paged = Alert.objects.filter(ended_at=None, paged_at__isnull=False, decision__in=[code.value for code in REMINDED])
    return paged.update(paged_at=F("paged_at") + by, look_at=F("look_at") + by)


def look_now(code: Code, now: datetime) -> None:
    """Let the open alerts that are held by `code` be decided on again: what held them may be over."""
    Alert.objects.filter(ended_at=None, decision=code.value).update(look_at=now)


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
    actor.need(Permission.ALERTS_RESPOND)
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
    actor.need(Permission.ALERTS_RESPOND)
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
def silence(
    match: Mapping[str, str], starts_at: datetime, ends_at: datetime, comment: str, actor: Actor, now: datetime
) -> Silence:
    """Keep alerts with these labels from paging for a while.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(Permission.ALERTS_RESPOND)
    starts_at, ends_at = starts_at.astimezone(UTC), ends_at.astimezone(UTC)  # two of one zone compare by its wall clock
    if not match:
        raise Refused("name at least one label: a silence without any would hide everything", "match")
    if ends_at <= starts_at or ends_at <= now:
        raise Refused("must be after the start and in the future", "ends_at")
    if ends_at - starts_at > SILENCE_MOST:
        raise Refused("a silence lasts a year at most; what shall never page wants another route", "ends_at")
    if not comment.strip():
        raise Refused("say why, for whoever wonders at night", "comment")
    row = Silence.objects.create(
        match=dict(match), starts_at=starts_at, ends_at=ends_at, comment=comment, created_by=actor.name, created_at=now
    )
    write(
        facts.SILENCE_CREATED,
        Subject("silence", row.pk, str(row.pk)),
        actor,
        now,
        matchers=str(row),
        until=Instant.of(ends_at),
        comment=comment,
    )
    _look_now(match, now)
    return row


@transaction.atomic
def end_silence(row: Silence, actor: Actor, now: datetime) -> None:
    """End a silence early; alerts that it held are decided on again.

    Raises:
        NotAllowed.
    """
    actor.need(Permission.ALERTS_RESPOND)
    if Silence.objects.filter(pk=row.pk, ends_at__gt=now).update(ends_at=now):
        write(facts.SILENCE_ENDED, Subject("silence", row.pk, str(row.pk)), actor, now)
        _look_now(row.match, now)


def _look_now(match: Mapping[str, str], now: datetime) -> None:
    rows = Alert.objects.filter(ended_at=None, acknowledged_at=None).only("pk", "labels")
    ids = [row.pk for row in rows if all(row.labels.get(name) == value for name, value in match.items())]
    Alert.objects.filter(pk__in=ids, ended_at=None).update(look_at=now)


def silences(now: datetime) -> list[SilenceFacts]:
    """Return the silences that hold at `now`."""
    return [
        SilenceFacts(row.pk, row.match, row.starts_at, row.ends_at, row.comment)
        for row in Silence.objects.filter(ends_at__gt=now, starts_at__lte=now)
    ]


def facts_of(alert: Alert, now: datetime) -> AlertFacts:
    """Return what a decision needs to know of an alert."""
    check = alert.check_ref
    around = None
    if check is not None and alert.ended_at is None:
        since = CheckState.objects.filter(pk=check.pk).values_list("first_bad_at", flat=True).first()
        around = standing(check, now, since or alert.started_at)
    cover = around.cover if around else None
    if check is None and alert.ended_at is None:
        cover = covering(windows(), alert.application_id, alert.labels, now)
    return AlertFacts(
        labels=alert.labels,
        severity=alert.severity,
        started_at=alert.started_at,
        ended_at=alert.ended_at,
        acknowledged_by=alert.acknowledged_by if alert.acknowledged_at else "",
        paged_at=alert.paged_at,
        paged_severity=alert.paged_severity,
        given_back_by=alert.given_back_by,
        told=tuple(alert.paged_channels) if alert.given_back_by else (),
        maintenance=cover.window.name if cover else "",
        maintenance_until=cover.until if cover else None,
        blocked_by=around.blocked_by if around else "",
        waits_for=around.waits_for if around else "",
        back=around.back if around else "",
        back_at=around.back_at if around else None,
    )


def open_of(checks: Iterable[int]) -> dict[int, Alert]:
    """Return the open alert of each check that has one."""
    sources = [f"check:{check}" for check in checks]
    return {
        row.check_ref_id: row for row in Alert.objects.filter(source__in=sources, ended_at=None) if row.check_ref_id
    }
