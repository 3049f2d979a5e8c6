"""Maintenance windows: which of them cover a check now. Pure; zones and DST as the window's wall clock has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.matching import EVERYTHING, Matchers
from mainstay.observe.checks import cron


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, once (`starts_at` to `ends_at`) or again and again (`cron` for `duration`)."""

    name: str
    application: int | None = None  # None: all applications
    match: Matchers = EVERYTHING  # labels that a check must have
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    cron: str = ""
    duration: timedelta = timedelta()
    zone: str = "UTC"
    id: int = 0

    def covers(self, application: int | None, labels: Mapping[str, str]) -> bool:
        """Tell whether a check of `application` with `labels` is meant."""
        return self.application in {None, application} and self.match.matches(labels)


def validate(window: Window) -> None:
    """Raise `Refused` unless the window is either one-off or recurring, and ends after it begins."""
    if window.cron:
        if window.starts_at or window.ends_at:
            raise Refused("give either cron and duration, or starts_at and ends_at, not both", "cron")
        if window.duration <= timedelta():
            raise Refused("a recurring window needs a duration such as 2h", "duration")
        if wrong := cron.problem(window.cron, window.zone):
            raise Refused(wrong, "cron")
    elif window.starts_at is None or window.ends_at is None:
        missing = "starts_at" if window.starts_at is None else "ends_at"
        raise Refused("a one-off window needs starts_at, ends_at (or cron, duration)", missing)
    elif window.ends_at.astimezone(UTC) <= window.starts_at.astimezone(
        UTC
    ):  # two of one zone compare by its wall clock
        raise Refused("must be after starts_at", "ends_at")


def open_until(window: Window, now: datetime) -> datetime | None:
    """Return when the occurrence of `window` that covers `now` ends, or None when none does."""
    span = open_span(window, now)
    return span[1] if span is not None else None


def open_span(window: Window, now: datetime) -> tuple[datetime, datetime] | None:
    """Return when the occurrence of `window` that covers `now` begins and ends, or None when none does."""
    if not window.cron:
        if window.starts_at is not None and window.ends_at is not None and window.starts_at <= now < window.ends_at:
            return window.starts_at, window.ends_at
        return None
    began = last_start(window, now)
    # Elapsed time (both in UTC), not wall time: a two-hour window on a DST night lasts two hours.
    return (began, began + window.duration) if began is not None and now < began + window.duration else None


def last_start(window: Window, now: datetime) -> datetime | None:
    """Return the newest start (UTC) of a recurring window that is not after `now`."""
    return cron.last_until(window.cron, window.zone, now)


def next_start(window: Window, now: datetime) -> datetime | None:
    """Return when (UTC) the window next begins after `now`, or None when it never does again."""
    if not window.cron:
        return window.starts_at if window.starts_at is not None and window.starts_at > now else None
    return cron.next_after(window.cron, window.zone, now)


@dataclass(frozen=True, slots=True)
class Cover:
    """The window that covers a check, since when and until when."""

    window: Window
    since: datetime
    until: datetime


def covering(
    windows: Iterable[Window], application: int | None, labels: Mapping[str, str], now: datetime
) -> Cover | None:
    """Return the window that covers the check longest, or None."""
    found = [
        Cover(window, *span)
        for window in windows
        if window.covers(application, labels) and (span := open_span(window, now)) is not None
    ]
    return max(found, key=lambda cover: cover.until, default=None)
