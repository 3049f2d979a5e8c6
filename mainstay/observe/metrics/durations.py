"""Durations as Prometheus writes them: `1h30m`, units from years to milliseconds, each once, in order."""

import re

_UNITS_MS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_FORM = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS_MS))
_LONGEST = 200  # characters
MOST_MS = (2**63 - 1) // 1_000_000  # Go counts nanoseconds in 64 bits: 292 years


class BadDuration(ValueError):
    """A text is not a duration; the message says how to write one."""


def duration_ms(text: str) -> int:
    """Return the milliseconds of a duration; `0` needs no unit.

    Raises:
        BadDuration.
    """
    if text == "0":
        return 0
    found = _FORM.fullmatch(text)
    if not text or found is None:
        raise BadDuration(f"{text[:40]!r} is not a duration; write a number and a unit, such as 30s, 5m, 1h30m or 2d")
    numbers = {unit: number for unit, number in found.groupdict().items() if number}
    # Python refuses to read thousands of digits, with an error of its own.
    total = MOST_MS + 1 if len(text) > _LONGEST else sum(int(n) * _UNITS_MS[unit] for unit, n in numbers.items())
    if total > MOST_MS:
        raise BadDuration(f"{text[:40]} is longer than 292 years")
    return total


def duration_s(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        BadDuration.
    """
    return duration_ms(text) / 1000


def written(seconds: float) -> str:
    """Return seconds as a duration, in the fewest words; years and weeks only where nothing is left over."""
    return written_ms(round(seconds * 1000))


def written_ms(left: int) -> str:
    """Return milliseconds as a duration, as `written` does."""
    if left == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS_MS.items():
        if left < size or (unit in {"y", "w"} and left % size):
            continue
        parts.append(f"{left // size}{unit}")
        left %= size
    return "".join(parts)
