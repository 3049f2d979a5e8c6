"""Durations as people write them: `800ms`, `5s`, `30m`, `2h`, `1d`, `1h30m`, or a number of seconds."""

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
LONGEST_S = 10 * 366 * 86400.0
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_LARGEST_FIRST = "".join(rf"(?:\d{{1,15}}(?:\.\d{{1,30}})?{unit})?" for unit in reversed(SECONDS_PER_UNIT))
_WHOLE = re.compile(f"(?!$){_LARGEST_FIRST}", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,30})?", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds from `800ms`, `1h30m`, or a number of seconds.

    Raises ValueError for anything else: negative, not finite, longer than ten years, an unknown unit.
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"a duration is a finite number of seconds from 0 on, not {value!r}")
    if seconds > LONGEST_S:
        raise ValueError(f"the duration {value!r} is longer than ten years")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError(
            "a duration is a text such as 800ms, 5s, 30m, 2h, 1d, or a number of seconds; not true or false"
        )
    if isinstance(value, int | float):
        return float(value) if abs(value) <= LONGEST_S else (math.inf if value > 0 else -math.inf)
    if isinstance(value, str):
        text = value.strip().lower()
        if _NUMBER.fullmatch(text):
            return float(text)
        if _WHOLE.fullmatch(text):
            return math.fsum(float(number) * SECONDS_PER_UNIT[unit] for number, unit in _PART.findall(text))
    raise ValueError(f"{value!r} is no duration: write for example 800ms, 5s, 30m, 2h or 1d, or a number of seconds")


def format_duration(seconds: float) -> str:
    """The shortest exact text in one unit: 0.8 → `800ms`, 90 → `90s`, 5400 → `90m`, 86400 → `1d`.

    `parse_duration(format_duration(s)) == s` for every duration from a microsecond up.
    """
    if seconds == 0:
        return "0s"
    if seconds == int(seconds):
        whole = int(seconds)
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
            if whole % size == 0:
                return f"{whole // size}{unit}"
        return f"{whole}s"
    milliseconds = round(seconds * 1000, 9)
    if seconds < 1 and milliseconds == int(milliseconds) and int(milliseconds) * 0.001 == seconds:
        return f"{int(milliseconds)}ms"
    # Never 1e-05: people don't write durations so.
    return f"{Decimal(repr(seconds)):f}s"


def spoken_duration(seconds: float) -> str:
    """A rounded text for messages: `231 ms`, `1.24 s`, `3 min`, `2.5 h`, `12 days`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    for unit, size, up_to in (("min", 60, 120), ("h", 3600, 48), ("days", 86400, math.inf)):
        if seconds / size < up_to:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    raise AssertionError("unreachable: the last unit has no upper bound")


def write_span(span: timedelta, units: int = 2) -> str:
    """Write a length in its largest `units` for messages: "45 s", "5 min 3 s", "1 d 1 h"; below zero is zero."""
    seconds = max(0, round(span.total_seconds()))
    parts = (("d", seconds // 86_400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60))
    first = next((place for place, (_, number) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for unit, number in parts[first : first + units] if number) or "0 s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["800ms", "5s", "30m", "2h", "1d"]},
                {"type": "number", "minimum": 0},
            ],
        }
    ),
]
"""Pydantic type: float seconds in Python, short text (`800ms`) in YAML and JSON."""
