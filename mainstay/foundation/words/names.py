"""The words that specs share: names, severities, labels, zones, links, times. Each stands here once."""

import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

YEAR_FIRST, YEAR_LAST = 1990, 2200
ID_MOST = 2**63 - 1  # what a primary key can be
# `explained.py` says in words what each of these asks for.
NAME_PATTERN = r"^[a-zA-Z0-9_-]+$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"
ADDRESS_PATTERN = r"^[^\s@\x00]+@[^\s@\x00]+$"
NO_NUL_PATTERN = r"^[^\x00]*$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=100)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=LINE_PATTERN)]
"""One line of text, not blank."""
ShortTitle = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=LINE_PATTERN)]
Address = Annotated[str, StringConstraints(max_length=254, pattern=ADDRESS_PATTERN)]
"""An e-mail address."""
Link = Annotated[str, StringConstraints(max_length=500, pattern=r"^(https?://[^\x00\s]*)?$")]
"""A web address, or nothing."""

Severity = Literal["critical", "major", "minor"]
SEVERITIES: Sequence[Severity] = ("critical", "major", "minor")
"""The most severe first."""

_FOREIGN: dict[str, Severity] = {
    "critical": "critical", "page": "critical", "emergency": "critical", "fatal": "critical", "disaster": "critical",
    "major": "major", "error": "major", "high": "major", "warning": "major", "warn": "major", "average": "major",
    "minor": "minor", "info": "minor", "low": "minor", "none": "minor", "notice": "minor", "debug": "minor",
}  # fmt: skip

LabelText = Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL_PATTERN)]
Labels = Annotated[dict[Name, LabelText], Field(max_length=50)]


def weight(severity: str) -> int:
    """Return how much a severity weighs: the more severe, the more; -1 for what is none."""
    return len(SEVERITIES) - 1 - SEVERITIES.index(severity) if severity in SEVERITIES else -1


def severity_of(written: str) -> Severity:
    """Return what a severity that another system wrote means here; anything unknown is major."""
    return _FOREIGN.get(written.lower(), "major")


@cache
def zones() -> tuple[str, ...]:
    """Return the names of all time zones, in order. They are looked for on disk once: that takes 40 ms."""
    return tuple(sorted(zoneinfo.available_timezones()))


def _zone(name: str) -> str:
    if name not in zones():
        raise ValueError(f"{name!r} is no time zone; write for example Europe/Berlin or UTC")
    return name


Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone), Field(examples=["UTC", "Europe/Berlin"])]


_NUMERIC = re.compile(r"\s*[+-]?[\d._]+\s*")


def _written_time(value: object) -> object:
    """Take no number, nor a text of one: 20261201 would be a second of 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and not _NUMERIC.fullmatch(value)):
        return value
    raise ValueError("must be a time such as 2026-08-01T22:00:00+02:00")


Time = Annotated[datetime, BeforeValidator(_written_time)]
"""An instant, ISO 8601, with or without an offset."""


def _utc(at: datetime) -> datetime:
    try:
        moved = at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"the year must lie between {YEAR_FIRST} and {YEAR_LAST}") from None
    if not YEAR_FIRST <= moved.year <= YEAR_LAST:
        raise ValueError(f"the year must lie between {YEAR_FIRST} and {YEAR_LAST}")
    return moved


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_time),
    AfterValidator(_utc),
    Field(description="RFC 3339 with an offset.", examples=["2026-05-01T03:00:00Z"]),
]
"""An instant with an offset, in UTC."""
