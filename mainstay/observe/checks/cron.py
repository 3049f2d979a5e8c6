"""Cron expressions on a zone's wall clock: pure. The library knows the calendar, this the nights when clocks change.

A fixed time of day that a night skips comes at the end of the gap, one that a night has twice comes at its first, as
with Debian's cron. The library searches on the bare wall clock there, so that from within the repeated hour it answers
with a time that is past already; both searches here go by the instant instead.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_A_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
_STRETCH = timedelta(days=3)  # searched at once, from its beginning on


def problem(expression: str, zone: str) -> str:
    """Return why `expression` in `zone` cannot be used, as a sentence, or an empty text."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"{zone!r} is no time zone: give a name such as Europe/Berlin or UTC"
    try:
        next(CronSim(expression, _A_MOMENT.astimezone(place)))
    except CronSimError as error:
        return f"{expression!r} is no cron expression: {error}"
    except StopIteration:
        return f"{expression!r} never comes due"
    return ""


def next_after(expression: str, zone: str, after: datetime) -> datetime | None:
    """Return the first time (UTC) later than `after`, or None when there is none within fifty years."""
    return next(_following(expression, zone, after), None)


def _times(expression: str, zone: str, begin: datetime, *, reverse: bool = False) -> Iterable[datetime]:
    """What cannot be understood is refused at the edge; in the database it never comes due, and stops nobody else."""
    try:
        found: Iterable[datetime] = CronSim(expression, begin.astimezone(ZoneInfo(zone)), reverse=reverse)
        return found
    except (CronSimError, ZoneInfoNotFoundError, ValueError, OSError):
        return ()


def _following(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    last = after
    for local in _times(expression, zone, after):
        found: datetime = local.astimezone(UTC)
        if found > last:  # two times that a night skips come as one, at the end of the gap
            yield found
            last = found


def last_until(expression: str, zone: str, until: datetime) -> datetime | None:
    """Return the last time (UTC) not later than `until`, or None when there was none within fifty years."""
    backwards = _times(expression, zone, until, reverse=True)
    found = next((past for local in backwards if (past := local.astimezone(UTC)) < until), None)
    if found is None:
        return None
    while (later := next_after(expression, zone, found)) is not None and later <= until:
        found = later
    return found


def newest(expression: str, zone: str, since: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the times (UTC) from `since` to `until`, both included, oldest first; of more than `most` the newest.

    Found forwards, stretch by stretch from the end, so that they are the times that `next_after` gives and a rare one
    costs as little as a frequent one.
    """
    found: list[datetime] = []
    before, end = since - timedelta(microseconds=1), until
    while end > before and len(found) < most:
        begin = max(before, end - _STRETCH)
        part = []
        for at in _following(expression, zone, begin):
            if at > end:
                break
            part.append(at)
        found = part + found
        end = begin
    return found[-most:]
