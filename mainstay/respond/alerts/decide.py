"""Whether an alert pages, who is paged, and why: pure functions over values. Every decision carries its reasons.

`decide` asks `QUESTIONS` in their order. A new reason to page or not is one more function in that tuple.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from mainstay.foundation.clock import utc_text
from mainstay.foundation.words.durations import write_span
from mainstay.foundation.words.matching import EVERYTHING, Matchers
from mainstay.foundation.words.names import weight

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
    """A route: what it matches, hours, receivers, fallback, reminders."""

    name: str
    match: Matchers = EVERYTHING
    notify: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    remind_every: timedelta | None = None
    hours: Hours | None = None
    also: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What decides besides the alert itself: the routes in their order, and the silences."""

    routes: Sequence[RouteFacts] = ()
    silences: Sequence[SilenceFacts] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One question, its answer, and whether it let the page pass."""

    question: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to page; the reason by code and as a sentence; the steps; when to look again.

    `channels` and `fallback` are receivers as the routes name them; what is sent has the channels that they are then.
    """

    page: bool
    code: Code
    reason: str
    steps: tuple[Step, ...] = ()
    channels: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    look_at: datetime | None = None


Answer = tuple[Step, ...] | Decision
"""Of one question: the steps to be shown when it lets the alert pass (none: it does not arise), or what is decided."""
Question = Callable[[AlertFacts, World, datetime], Answer]


def decide(alert: AlertFacts, world: World, now: datetime) -> Decision:
    """Ask `QUESTIONS` in their order until one of them decides whether `alert` pages at `now`.

    The steps of the decision are the answers of all that were asked, so none can be missing from the "why".
    """
    steps: list[Step] = []
    for question in QUESTIONS:
        answer = question(alert, world, now)
        if isinstance(answer, Decision):
            return replace(answer, steps=(*steps, *answer.steps))
        steps.extend(answer)
    raise AssertionError("the last question always decides")


def _passed(question: str, detail: str) -> Answer:
    return (Step(question, True, detail),)


def _held(question: str, detail: str, code: Code, reason: str, look_at: datetime | None) -> Decision:
    return Decision(False, code, reason, (Step(question, False, detail),), look_at=look_at)


def _firing(alert: AlertFacts, world: World, now: datetime) -> Answer:
    question = "Is it still firing?"
    if alert.ended_at is None:
        return _passed(question, "yes")
    return _held(question, "it is over", Code.RESOLVED, "it is over", None)


def _unacknowledged(alert: AlertFacts, world: World, now: datetime) -> Answer:
    question, who = "Has nobody acknowledged it?", alert.acknowledged_by
    if not who:
        return _passed(question, "nobody has")
    return _held(question, f"{who} has it", Code.ACKNOWLEDGED, f"{who} has acknowledged it", None)


def _outside_maintenance(alert: AlertFacts, world: World, now: datetime) -> Answer:
    question, window = "Is it outside maintenance?", alert.maintenance
    if not window:
        return _passed(question, "no window covers it")
    later = look_later(alert, Code.MAINTENANCE, now)
    until = min(alert.maintenance_until or later, later)
    return _held(question, f"{window} covers it", Code.MAINTENANCE, f"the maintenance {window} covers it", until)


def _needed_is_up(alert: AlertFacts, world: World, now: datetime) -> Answer:
    question, parent = "Is what it needs up?", alert.blocked_by
    if not parent:
        return _passed(question, "nothing that it needs is down")
    reason = f"{parent}, which it needs, is down and has its own alert"
    later = look_later(alert, Code.UNREACHABLE, now)
    return _held(question, f"{parent} is down and has its own alert", Code.UNREACHABLE, reason, later)


def _had_time_to_follow(alert: AlertFacts, world: World, now: datetime) -> Answer:
    if not alert.back or alert.back_at is None:
        return ()
    question, since = "Had it time to follow what it needs?", alert.back_at
    if not _settling(since, now):
        return _passed(question, f"{alert.back} is back; this one had {SETTLE.seconds} s to follow")
    detail = f"{alert.back} is back; this one gets {SETTLE.seconds} s to follow"
    reason = f"{alert.back}, which it needs, is just back: it may follow"
    return _held(question, detail, Code.WAITING_FOR_NEEDED, reason, _while_waiting(since, now))


def _verdict_is_in(alert: AlertFacts, world: World, now: datetime) -> Answer:
    if not alert.waits_for:
        return ()
    question, since = "Is the verdict in on what it needs?", alert.started_at
    if not _settling(since, now):
        return _passed(question, f"{alert.waits_for} gave no answer within {SETTLE.seconds} s")
    detail = f"{alert.waits_for} is being asked"
    reason = f"{alert.waits_for}, which it needs, is being asked first"
    return _held(question, detail, Code.WAITING_FOR_NEEDED, reason, _while_waiting(since, now))


def _unsilenced(alert: AlertFacts, world: World, now: datetime) -> Answer:
    question, silence = "Is it not silenced?", silenced_by(alert.labels, world.silences, now)
    if silence is None:
        return _passed(question, "no silence matches")
    detail = f"silence {silence.id} until {utc_text(silence.ends_at)}: {silence.comment}"
    reason = f"silence {silence.id} covers it: {silence.comment}"
    return _held(question, detail, Code.SILENCED, reason, silence.ends_at)


@dataclass(frozen=True, slots=True)
class _Routing:
    """Which routes take an alert, which of those that match are closed now, and who else must be told."""

    steps: tuple[Step, ...]
    taken: tuple[RouteFacts, ...]
    closed: tuple[Hours, ...]
    told: tuple[str, ...]


def _by_route(alert: AlertFacts, world: World, now: datetime) -> Decision:
    """Which routes take it, and whether they have anything to tell now: the question that always decides."""
    found = _routing(alert, world.routes, now)
    if not found.taken and found.closed:
        opens = [at for hours in found.closed if (at := hours.opens_after(now)) is not None]
        look_at = min([look_later(alert, Code.OUTSIDE_HOURS, now), *opens])
        reason = "routes match, but none at this time of day"
        return Decision(False, Code.OUTSIDE_HOURS, reason, found.steps, look_at=look_at)
    if not found.taken and not found.told:
        reason = "no route matches it" if world.routes else "there are no routes yet: add one under Channels and routes"
        return Decision(False, Code.NO_ROUTE, reason, found.steps, look_at=look_later(alert, Code.NO_ROUTE, now))
    names = " and ".join(route.name for route in found.taken)
    channels = tuple(dict.fromkeys((*(name for route in found.taken for name in route.notify), *found.told)))
    if not channels:
        look_at = look_later(alert, Code.NO_CHANNEL, now)
        return Decision(False, Code.NO_CHANNEL, f"route {names} notifies nobody", found.steps, look_at=look_at)
    every = min((route.remind_every for route in found.taken if route.remind_every is not None), default=None)
    news = _news(alert, found, names, every, now)
    if news is None:
        due = alert.paged_at + every if every is not None and alert.paged_at is not None else None
        return Decision(False, Code.ALREADY_PAGED, "it has paged already", found.steps, look_at=due)
    fallback = dict.fromkeys(name for route in found.taken for name in route.fallback if name not in channels)
    return Decision(True, *news, found.steps, channels, tuple(fallback), look_at=now + every if every else None)


def _news(
    alert: AlertFacts, found: _Routing, names: str, every: timedelta | None, now: datetime
) -> tuple[Code, str] | None:
    """Return what there is to tell now and why; None when it has been told."""
    by = f"route {names}" if found.taken else "no route matches it now"
    if alert.paged_at is None:
        return Code.FIRST_PAGE, f"it fires and route {names} matches"
    if weight(alert.severity) > weight(alert.paged_severity):
        return Code.SEVERITY_ROSE, f"its severity rose from {alert.paged_severity} to {alert.severity}; {by}"
    if found.told:
        reason = f"{alert.given_back_by} gave it back, and those who heard that it was taken must hear so; {by}"
        return Code.GIVEN_BACK, reason
    if every is not None and now >= alert.paged_at + every:
        return Code.REMINDER, f"nobody has acknowledged it within {write_span(every)}; route {names} reminds"
    return None


QUESTIONS: tuple[Question, ...] = (
    _firing,
    _unacknowledged,
    _outside_maintenance,
    _needed_is_up,
    _had_time_to_follow,
    _verdict_is_in,
    _unsilenced,
    _by_route,
)
"""In the order in which they are asked; what holds an alert first is the reason. The last one always decides."""


def _routing(alert: AlertFacts, routes: Sequence[RouteFacts], now: datetime) -> _Routing:
    steps: list[Step] = []
    taken: list[RouteFacts] = []
    closed: list[Hours] = []
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
    # Those who were told that it is taken are told that it is not, even when the routes would no longer have it so.
    told = alert.told if alert.given_back_by and alert.paged_at is not None and (taken or not closed) else ()
    if told:
        detail = f"{', '.join(told)} heard that somebody has it, and not yet that {alert.given_back_by} gave it back"
        steps.append(Step("Does anybody believe that it is taken?", True, detail))
    return _Routing(tuple(steps), tuple(taken), tuple(closed), told)


def look_later(alert: AlertFacts, code: Code, now: datetime) -> datetime:
    """Return when to look again at what is held until something changes; whatever changes asks for a look by itself.

    Soon once, for what changed in the very moment of the decision; then rarely, or thousands that are held by one dead
    proxy would be decided on all the time.
    """
    return now + (LOOK_RARELY if alert.held == code else LOOK_LATER)


def _settling(since: datetime, now: datetime) -> bool:
    return timedelta() <= now - since < SETTLE  # a `since` later than now is from before the clock was set back


def _while_waiting(since: datetime, now: datetime) -> datetime:
    """Return when to look again at what waits since `since`: ever more rarely, and when its minute is over."""
    return min(now + max(LOOK_AGAIN, (now - since) / 5), since + SETTLE)


def silenced_by(labels: Mapping[str, str], silences: Iterable[SilenceFacts], now: datetime) -> SilenceFacts | None:
    """Return the silence that covers `labels` longest at `now`, or None."""
    covering = [
        silence for silence in silences if silence.starts_at <= now < silence.ends_at and silence.match.matches(labels)
    ]
    return max(covering, key=lambda silence: silence.ends_at, default=None)
