"""What results add up to: pure functions, no Django. Times are aware datetimes.

The states a person sees (DESIGN §4): paused, maintenance, unreachable, up, degraded, down, unknown. Results move only
`health`; the others follow from the check, the windows and the time when somebody looks (`shown`).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

HISTORY: Final = 20  # results looked at for flapping
FLAPPING_FROM: Final = 8  # changes among them at which a check is flapping …
FLAPPING_UNTIL: Final = 4  # … and at which it has settled; apart, so that flapping does not itself flap
_HISTORY_MASK: Final = (1 << HISTORY) - 1
OVERDUE_INTERVALS: Final = 2
OVERDUE_LEAST_S: Final = 10.0


class Health(StrEnum):
    """What a check's results add up to."""

    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


_RANK: Final = {Health.UNKNOWN: -1, Health.UP: 0, Health.DEGRADED: 1, Health.DOWN: 2}


class Status(StrEnum):
    """What people see."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNREACHABLE = "unreachable"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many consecutive results decide."""

    fail_after: int = 3
    recover_after: int = 2


@dataclass(frozen=True, slots=True)
class State:
    """The memory of a check between results."""

    health: Health = Health.UNKNOWN
    failures: int = 0  # consecutive results that were down
    answers: int = 0  # consecutive results that were not down
    warnings: int = 0  # consecutive results that were down or degraded
    successes: int = 0  # consecutive results that were up
    history: int = 0  # one bit per result, the newest lowest; 1 = not up
    flapping: bool = False
    first_bad_at: datetime | None = None  # of the present run of bad results


class Verdict(NamedTuple):
    """The new state, and what changed with it."""

    state: State
    was: Health
    changed: bool  # health is another
    began_flapping: bool = False
    settled: bool = False
    reason: str = ""


def changes_in(history: int) -> int:
    """Return how often neighbouring results differ among the last `HISTORY`."""
    return ((history ^ (history >> 1)) & (_HISTORY_MASK >> 1)).bit_count()


def observe(state: State, result: Health, at: datetime, thresholds: Thresholds) -> Verdict:
    """Return what `result` makes of `state`.

    A first success is believed at once (unknown → up). Down needs `fail_after` consecutive failures, degraded as many
    results that were not up, up `recover_after` successes. A flapping check is at least degraded and does not get
    better until it has settled: one page tells of it and no storm follows.
    """
    down, bad = result is Health.DOWN, result is not Health.UP
    history = ((state.history << 1) | bad) & _HISTORY_MASK
    counted = State(  # not `replace`, which takes three times as long: this is done for every result
        health=state.health,
        failures=state.failures + 1 if down else 0,
        answers=0 if down else state.answers + 1,
        warnings=state.warnings + 1 if bad else 0,
        successes=0 if bad else state.successes + 1,
        history=history,
        flapping=state.flapping,
        first_bad_at=(state.first_bad_at or at) if bad else None,
    )
    swings = changes_in(history)
    flapping = swings > FLAPPING_UNTIL if state.flapping else swings >= FLAPPING_FROM
    health, reason = _judge(counted, thresholds)
    if flapping:
        floor = max(state.health, Health.DEGRADED, key=_RANK.__getitem__)
        if _RANK[health] < _RANK[floor]:
            health, reason = floor, f"flapping: {swings} changes in {HISTORY} results"
    if health is not state.health or flapping is not state.flapping:
        counted = replace(counted, health=health, flapping=flapping)
    return Verdict(
        state=counted,
        was=state.health,
        changed=health is not state.health,
        began_flapping=flapping and not state.flapping,
        settled=state.flapping and not flapping,
        reason=reason,
    )


def glance(state: State, result: Health, at: datetime) -> Verdict:
    """Return what a result beside the check's own rhythm makes of `state`.

    It ends a run of the opposite and never lengthens one: `fail_after` and `recover_after` count what the check's
    interval brings, however often others want to know.
    """
    down, bad = result is Health.DOWN, result is not Health.UP
    seen = replace(
        state,
        failures=state.failures if down else 0,
        answers=0 if down else state.answers,
        warnings=state.warnings if bad else 0,
        successes=0 if bad else state.successes,
        first_bad_at=(state.first_bad_at or at) if bad else None,
    )
    return Verdict(seen, state.health, changed=False)


def _judge(state: State, thresholds: Thresholds) -> tuple[Health, str]:
    """Return the health that the counters of `state` add up to, and why."""
    if state.failures >= thresholds.fail_after:
        return Health.DOWN, f"{state.failures} failures in a row, {thresholds.fail_after} needed"
    if state.successes >= thresholds.recover_after or (state.health is Health.UNKNOWN and state.successes):
        return Health.UP, f"{state.successes} successes in a row"
    if state.health is Health.DOWN:
        if state.answers >= thresholds.recover_after:
            return Health.DEGRADED, "it answers again, but beyond a soft limit"
    elif state.warnings >= thresholds.fail_after:
        return Health.DEGRADED, f"{state.warnings} results in a row failed or beyond a soft limit"
    return state.health, ""


def overdue(
    last_at: datetime | None,
    since: datetime | None,
    created_at: datetime,
    every_s: float,
    timeout_s: float,
    now: datetime,
) -> bool:
    """Tell whether a result should have come by now: a monitor that stands still must not look like "up".

    Args:
        last_at: when the newest result came.
        since: of the present health. Later than any result is only what a person did: the check was resumed, or
            watches something else. Then it counts from there.
    """
    known = last_at or created_at
    if since is not None and known < since <= now:
        known = since
    return is_late((now - known).total_seconds(), every_s, timeout_s)


def is_late(age_s: float, every_s: float, timeout_s: float) -> bool:
    """Tell whether the newest result is too old; one of negative age came before the clock was set back."""
    return abs(age_s) > max(every_s * OVERDUE_INTERVALS + timeout_s, OVERDUE_LEAST_S)


def failing(health: Health, failures: int, warnings: int, fail_after: int) -> str:
    """Say how a check fares none of whose results was good, though too few came to decide; "" when that is not so.

    It is not down yet, but nobody can call it fine or without a result.
    """
    if health is not Health.UNKNOWN or not warnings:
        return ""
    return f"failing ({failures} of {fail_after})" if failures else f"beyond a soft limit ({warnings} of {fail_after})"


@dataclass(frozen=True, slots=True)
class Shown:
    """The status people see, why, and since when; None where nobody knows."""

    status: Status
    reason: str
    since: datetime | None = None


def shown(
    health: Health,
    message: str,
    *,
    since: datetime | None,
    paused: bool,
    maintenance: tuple[str, datetime] | None,
    blocked_by: str | None,
    late: bool,
    unusable: str = "",
    failing: str = "",
    failing_since: datetime | None = None,
) -> Shown:
    """Return what people see of a check.

    The first that applies of: paused, maintenance, cannot be probed, overdue, unreachable, failing, health.

    Args:
        since: of the health.
        maintenance: name of the window that covers the check now, and when it began.
        blocked_by: name of the down check that this one needs.
        late: see `overdue`; not asked of heartbeats, whose lateness is a failure.
        unusable: why the monitor cannot probe it; empty: it can.
        failing: see `failing`; `failing_since`, when the first of these results came.
    """
    if paused:
        return Shown(Status.PAUSED, "paused by hand: neither probed nor paged", since)
    if maintenance is not None:
        return Shown(Status.MAINTENANCE, f"in maintenance: {maintenance[0]}", maintenance[1])
    if unusable:
        return Shown(Status.UNKNOWN, f"cannot be probed: {unusable}")
    if late:
        return Shown(Status.UNKNOWN, "overdue: no result when one was due. Is the monitor running?")
    if health is Health.DOWN and blocked_by is not None:
        return Shown(Status.UNREACHABLE, f"{blocked_by}, which it needs, is down", since)
    if failing:
        return Shown(Status.DEGRADED, f"{failing}: {message}" if message else failing, failing_since)
    return Shown(Status(health.value), message, since)
