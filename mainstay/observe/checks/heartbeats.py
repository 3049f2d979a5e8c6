"""When a heartbeat is due, and what a ping means: pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from mainstay.foundation.clock import utc_text
from mainstay.foundation.words.durations import write_span
from mainstay.observe.checks import cron

NEVER = datetime(9000, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a job reports: every so often after the last success, or by cron in a zone; `grace` later it is missing."""

    every: timedelta | None = None
    cron: str = ""
    zone: str = "UTC"
    grace: timedelta = timedelta()
    max_runtime: timedelta | None = None  # from start to end; without it a started run has `grace`


class RhythmSettings(Protocol):
    """The settings of a heartbeat; durations in seconds."""

    every: float | None
    cron: str | None
    timezone: str
    grace: float
    max_runtime: float | None


def rhythm_of(settings: RhythmSettings) -> Rhythm:
    """Return the rhythm that settings describe."""
    return Rhythm(
        every=timedelta(seconds=settings.every) if settings.every is not None else None,
        cron=settings.cron or "",
        zone=settings.timezone,
        grace=timedelta(seconds=settings.grace),
        max_runtime=timedelta(seconds=settings.max_runtime) if settings.max_runtime is not None else None,
    )


def bounded(at: datetime) -> datetime:
    """Return a stored time such that one can count on from it: in a database there may be any."""
    return min(max(at, EARLIEST), NEVER)


def expected_at(rhythm: Rhythm, last: datetime) -> datetime:
    """Return when (UTC) the next success is expected after one at `last` (or after creation)."""
    if rhythm.cron:
        # An expression that never comes due is refused at the edge; one in the database must not stop the others.
        return cron.next_after(rhythm.cron, rhythm.zone, last) or NEVER
    return last + (rhythm.every or timedelta())


def due_at(rhythm: Rhythm, last: datetime, started_at: datetime | None) -> datetime:
    """Return when (UTC) the heartbeat counts as missing.

    While a run is under way (`started_at` set) its own limit counts instead of the schedule: a run that began in time
    and takes long, within `max_runtime`, is not missing.
    """
    if started_at is not None:
        return started_at + (rhythm.max_runtime or rhythm.grace)
    expected = expected_at(rhythm, last)
    return expected + rhythm.grace if expected < NEVER else NEVER


def moved(rhythm: Rhythm, due: datetime, last: datetime, started_at: datetime | None, by: timedelta) -> datetime:
    """Return when a heartbeat is due after the clock was set `by` so much.

    What is counted from a ping or a start is as far away as it was. What cron says stays what it says; of a run that
    was jumped over nobody knows, so it has as long as it had, unless the ping of just before was that run's.
    """
    if due >= NEVER:
        return due
    if not rhythm.cron or started_at is not None:
        return due + by
    return max(due_at(rhythm, last + by, None), due + by) if by > timedelta() else due


def latest_due(rhythm: Rhythm, started_at: datetime | None, now: datetime) -> datetime | None:
    """Return the latest time that a heartbeat can be due; None with cron, whose next run may be any time away."""
    if started_at is not None:
        return now + (rhythm.max_runtime or rhythm.grace)
    return now + rhythm.every + rhythm.grace if rhythm.every is not None else None


def end_of_run(
    run: str, earlier: Iterable[tuple[str, str, datetime]], open_since: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Return when the run that just ended began, and since when another one is still under way.

    Args:
        run: id (`?rid=`) that the end carried, or empty. An end without id ends every run.
        earlier: kind, id and time of the pings before the end, the newest first.
        open_since: begin of the oldest run that had not ended.
    """
    began: datetime | None = None
    still: datetime | None = None
    ended = {run}
    for kind, other, at in earlier:
        if open_since is None or at < open_since:
            break
        if kind != "start":
            if not other:
                break
            ended.add(other)
        elif other == run:
            began = began or at
        elif other and other not in ended:
            still = at
    return began or (open_since if not run else None), still if run else None


def missing(rhythm: Rhythm, last: datetime | None, created_at: datetime, started_at: datetime | None) -> str:
    """Return the sentence for a heartbeat that did not come."""
    if started_at is not None:
        limit = rhythm.max_runtime or rhythm.grace
        begun = utc_text(started_at, seconds=True)
        return f"The run that started at {begun} did not end within {write_span(limit, 4)}."
    expected = expected_at(rhythm, last or created_at)
    was = f"the last came at {utc_text(last, seconds=True)}" if last is not None else "none has ever come"
    return f"No ping by {utc_text(expected, seconds=True)} and {write_span(rhythm.grace, 4)} of grace; {was}."


def failed(exit_status: int | None, body: str) -> str:
    """Return the sentence for a ping that reports a failure, with the last line of its log."""
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    said = f": {lines[-1][:200]}" if lines else "."
    how = f"with exit status {exit_status}" if exit_status is not None else "by /fail"
    return f"The job reported a failure {how}{said}"
