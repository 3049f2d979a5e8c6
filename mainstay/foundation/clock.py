"""The one place that reads the wall clock; everything below the edges takes the time as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def from_unix(seconds: float) -> datetime:
    """Return the aware UTC time of unix `seconds`."""
    return datetime.fromtimestamp(seconds, UTC)
