"""The one place that reads the wall clock; everything below the edges takes the time as an argument."""

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def from_unix(seconds: float) -> datetime:
    """Return the aware UTC time of unix `seconds`."""
    return datetime.fromtimestamp(seconds, UTC)


def utc_text(at: datetime, *, seconds: bool = False) -> str:
    """Return `at`, whatever its zone, as people read it: "2026-03-01 14:05 UTC"."""
    shown = at.astimezone(UTC)
    return f"{shown:%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{shown:%Y-%m-%d %H:%M} UTC"


def later(at: datetime, span: timedelta) -> datetime:
    """Return the time (UTC) when `span` has passed since `at`: Python adds to what the wall clock of a zone shows."""
    return at.astimezone(UTC) + span
