"""Whether an alert pages, whom, and why: pure functions over values. Every decision carries its reasons.

Order of the questions: is it over? acknowledged? in maintenance? is something it needs down? silenced? does a route
match, at this time of day? has it paged already, was it given back since, and is a reminder due?
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from mainstay.foundation.clock import utc_text
from mainstay.foundation.matching import EVERYTHING, Matchers
from mainstay.foundation.words import weight

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SETTLE = timedelta(seconds=60)  # how long a page waits for the verdict on a check that this one needs
LOOK_AGAIN = timedelta(seconds=1)
LOOK_LATER = timedelta(seconds=30)
LOOK_RARELY = timedelta(minutes=10)


class Code(StrEnum):
    """The reason of a decision, by name."""

    FIRST_PAGE = "first_page"
    SEVERITY_ROSE = "severity_rose"
    REMINDER = "reminder"
    GIVEN_BACK = "given_back"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    MAINTENANCE = "maintenance"
    UNREACHABLE = "unreachable"
    WAITING_FOR_NEEDED = "waiting_for_needed"
    SILENCED = "silenced"
    NO_ROUTE = "no_route"
    OUTSIDE_HOURS = "outside_hours"
    NO_CHANNEL = "no_channel"
    ALREADY_PAGED = "already_paged"


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What a decision needs to know of an alert."""

    labels: Mapping[str, str]
    severity: str
    started_at: datetime
    ended_at: datetime | None = None
    acknowledged_by: str = ""
    paged_at: datetime | None = None
    paged_severity: str = ""
    given_back_by: str = ""  # who gave it back …
    told: tuple[str, ...] = ()  # … while these channels still believe that somebody has it
    maintenance: str = ""  # name of the window that covers it …
    maintenance_until: datetime | None = None
    blocked_by: str = ""  # a down check that it needs
    waits_for: str = ""  # a needed check whose verdict is not in
    back: str = ""  # a needed check that came back, without this one having failed anew since …
    back_at: datetime | None = None  # … then
    needed: int | None = None  # id of the check that blocks it, is back, or is waited for
    held: str = ""  # the code by which the same thing held it already when it was last decided on


@dataclass(frozen=True, slots=True)
class SilenceFacts:
    """A silence: what it covers, and until when."""

    id: int
    match: Matchers
    starts_at: datetime
    ends_at: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Hours:
    """When a route is open, in a zone. `end` before `begin` spans midnight; the day is the beginning's."""

    days: tuple[str, ...] = DAYS
    begin: time = time(0)
    end: time = time(0)  # equal to begin: all day
    zone: str = "UTC"

    def contain(self, at: datetime) -> bool:
        """Tell whether the wall clock of the zone lies within."""
        local = at.astimezone(ZoneInfo(self.zone))
        clock, day = local.time(), local.weekday()
        if self.begin == self.end:
            return DAYS[day] in self.days
        if self.begin < self.end:
            return DAYS[day] in self.days and self.begin <= clock < self.end
        return (DAYS[day] in self.days and clock >= self.begin) or (DAYS[day - 1] in self.days and clock < self.end)

    def opens_after(self, at: datetime) -> datetime | None:
        """Return when (UTC) it next begins after `at`; None within the next eight days: no day of the week is named."""
        local = at.astimezone(ZoneInfo(self.zone))
        for ahead in range(9):
            wall = datetime.combine(local.date() + timedelta(days=ahead), self.begin, ZoneInfo(self.zone))
            begins = wall.astimezone(UTC)
            if begins > at and self.contain(begins):
                return begins
        return None


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """A route: what it matches, hours, channels, fallback, reminders."""

    name: str
    match: Matchers = EVERYTHING
    notify: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    remind_every: timedelta | None = None
    hours: Hours | None = None
    also: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One question, its answer, and whether it let the page pass."""

    question: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to page; the reason by code and as a sentence; the steps; when to look again."""

    page: bool
    code: Code
    reason: str
    steps: tuple[Step, ...] = ()
    channels: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    look_at: datetime | None = None


def decide(
    alert: AlertFacts, routes: Sequence[RouteFacts], silences: Iterable[SilenceFacts], now: datetime
) -> Decision:
    """Decide whether `alert` pages at `now`."""
    steps: list[Step] = []

    def passes(question: str, ok: bool, detail: str) -> bool:
        steps.append(Step(question, ok, detail))
        return ok

    def held(code: Code, reason: str, look_at: datetime | None) -> Decision:
        return Decision(page=False, code=code, reason=reason, steps=tuple(steps), look_at=look_at)

    later = look_later(alert, now)

    over = alert.ended_at is not None
    if not passes("Is it still firing?", not over, "it is over" if over else "yes"):
        return held(Code.RESOLVED, "it is over", None)
    who = alert.acknowledged_by
    if not passes("Has nobody acknowledged it?", not who, f"{who} has it" if who else "nobody has"):
        return held(Code.ACKNOWLEDGED, f"{who} has acknowledged it", None)
    window = alert.maintenance
    if not passes("Is it outside maintenance?", not window, f"{window} covers it" if window else "no window covers it"):
        until = min(alert.maintenance_until or later(Code.MAINTENANCE), later(Code.MAINTENANCE))
        return held(Code.MAINTENANCE, f"the maintenance {window} covers it", until)
    parent = alert.blocked_by
    detail = f"{parent} is down and has its own alert" if parent else "nothing that it needs is down"
    if not passes("Is what it needs up?", not parent, detail):
        return held(
            Code.UNREACHABLE, f"{parent}, which it needs, is down and has its own alert", later(Code.UNREACHABLE)
        )
    if alert.back and alert.back_at is not None:
        patient = timedelta() <= now - alert.back_at < SETTLE  # later than now: from before the clock was set back
        detail = f"{alert.back} is back; this one {'gets' if patient else 'had'} {SETTLE.seconds} s to follow"
        if not passes("Had it time to follow what it needs?", not patient, detail):
            reason = f"{alert.back}, which it needs, is just back: it may follow"
            return held(Code.WAITING_FOR_NEEDED, reason, _while_waiting(alert.back_at, now))
    if alert.waits_for:
        patient = timedelta() <= now - alert.started_at < SETTLE
        detail = (
            f"{alert.waits_for} is being asked"
            if patient
            else f"{alert.waits_for} gave no answer within {SETTLE.seconds} s"
        )
        if not passes("Is the verdict in on what it needs?", not patient, detail):
            reason = f"{alert.waits_for}, which it needs, is being asked first"
            return held(Code.WAITING_FOR_NEEDED, reason, _while_waiting(alert.started_at, now))
    silence = silenced_by(alert.labels, silences, now)
    detail = (
        f"silence {silence.id} until {utc_text(silence.ends_at)}: {silence.comment}"
        if silence
        else "no silence matches"
    )
    if not passes("Is it not silenced?", silence is None, detail) and silence is not None:
        return held(Code.SILENCED, f"silence {silence.id} covers it: {silence.comment}", silence.ends_at)
    return _route(alert, routes, steps, now)


def _route(alert: AlertFacts, routes: Sequence[RouteFacts], steps: list[Step], now: datetime) -> Decision:
    taken: list[RouteFacts] = []
    closed: list[Hours] = []
    later = look_later(alert, now)
    for route in routes:
        mismatch = route.match.mismatch(alert.labels)
        if mismatch:
            steps.append(Step(f"Route {route.name}", False, mismatch))
            continue
        if route.hours is not None and not route.hours.contain(now):
            closed.append(route.hours)
            steps.append(Step(f"Route {route.name}", False, "matches, but not at this time of day"))
            continue
        steps.append(Step(f"Route {route.name}", True, f"matches: {', '.join(route.notify) or 'notifies nobody'}"))
        taken.append(route)
        if not route.also:
            break
    channels = tuple(dict.fromkeys(channel for route in taken for channel in route.notify))
    # They heard that it is taken: they hear that it is not, even when the routes would no longer have it so.
    told = alert.told if alert.given_back_by and alert.paged_at is not None else ()
    if told and not (closed and not taken):
        detail = f"{', '.join(told)} heard that somebody has it, and not yet that {alert.given_back_by} gave it back"
        steps.append(Step("Does anybody believe that it is taken?", True, detail))
        channels = tuple(dict.fromkeys((*channels, *told)))
    steps_now = tuple(steps)
    if not taken and closed:
        reason = "routes match, but none at this time of day"
        opens = [at for hours in closed if (at := hours.opens_after(now)) is not None]
        return Decision(False, Code.OUTSIDE_HOURS, reason, steps_now, look_at=min([later(Code.OUTSIDE_HOURS), *opens]))
    if not taken and not told:
        reason = "no route matches it" if routes else "there are no routes yet: add one under Channels and routes"
        return Decision(False, Code.NO_ROUTE, reason, steps_now, look_at=later(Code.NO_ROUTE))
    names = " and ".join(route.name for route in taken)
    if not channels:
        reason = f"route {names} notifies nobody"
        return Decision(False, Code.NO_CHANNEL, reason, steps_now, look_at=later(Code.NO_CHANNEL))
    by = f"route {names}" if taken else "no route matches it now"
    fallback = tuple(dict.fromkeys(channel for route in taken for channel in route.fallback if channel not in channels))
    every = min((route.remind_every for route in taken if route.remind_every is not None), default=None)

    def paging(code: Code, reason: str) -> Decision:
        return Decision(True, code, reason, steps_now, channels, fallback, look_at=now + every if every else None)

    if alert.paged_at is None:
        return paging(Code.FIRST_PAGE, f"it fires and route {names} matches")
    if weight(alert.severity) > weight(alert.paged_severity):
        return paging(Code.SEVERITY_ROSE, f"its severity rose from {alert.paged_severity} to {alert.severity}; {by}")
    if told:
        reason = f"{alert.given_back_by} gave it back, and those who heard that it was taken must hear so; {by}"
        return paging(Code.GIVEN_BACK, reason)
    if every is not None and now >= alert.paged_at + every:
        return paging(Code.REMINDER, f"nobody has acknowledged it within {_minutes(every)}; route {names} reminds")
    look_at = alert.paged_at + every if every is not None else None
    return Decision(False, Code.ALREADY_PAGED, "it has paged already", steps_now, look_at=look_at)


def look_later(alert: AlertFacts, now: datetime) -> Callable[[Code], datetime]:
    """Return when to look again at what is held until something changes; whatever changes asks for a look by itself.

    Soon once, for what changed in the very moment of the decision; then rarely, or thousands that are held by one dead
    proxy would be decided on all the time.
    """
    return lambda code: now + (LOOK_RARELY if alert.held == code else LOOK_LATER)


def _while_waiting(since: datetime, now: datetime) -> datetime:
    """Return when to look again at what waits since `since`: ever more rarely, and when its minute is over."""
    return min(now + max(LOOK_AGAIN, (now - since) / 5), since + SETTLE)


def silenced_by(labels: Mapping[str, str], silences: Iterable[SilenceFacts], now: datetime) -> SilenceFacts | None:
    """Return the silence that covers `labels` longest at `now`, or None."""
    covering = [
        silence for silence in silences if silence.starts_at <= now < silence.ends_at and silence.match.matches(labels)
    ]
    return max(covering, key=lambda silence: silence.ends_at, default=None)


def _minutes(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
