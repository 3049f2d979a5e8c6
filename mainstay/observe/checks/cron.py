"""Cron expressions on a zone's wall clock: pure. The library knows the calendar, this the nights when clocks change.

A fixed time of day that a night skips comes at the end of the gap, one that a night has twice comes at its first, as
with Debian's cron. The library searches on the bare wall clock there, so that from within the repeated hour it answers
with a time that is past already; both searches here go by the instant instead.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_A_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


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
    for local in CronSim(expression, after.astimezone(ZoneInfo(zone))):
        found: datetime = local.astimezone(UTC)
        if found > after:
            return found
    return None


def last_until(expression: str, zone: str, until: datetime) -> datetime | None:
    """Return the last time (UTC) not later than `until`, or None when there was none within fifty years."""
    backwards = CronSim(expression, until.astimezone(ZoneInfo(zone)), reverse=True)
    found = next((past for local in backwards if (past := local.astimezone(UTC)) < until), None)
    if found is None:
        return None
    while (later := next_after(expression, zone, found)) is not None and later <= until:
        found = later
    return found
