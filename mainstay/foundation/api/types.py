"""Types of parameters and members that many operations share; each refuses what could not be stored."""

import zoneinfo
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, PlainSerializer, StringConstraints

from mainstay.foundation.api.pagination import LIMIT_DEFAULT, LIMIT_MOST

ID_MOST = 2**63 - 1
YEAR_FIRST, YEAR_LAST = 1990, 2200

Id = Annotated[int, Field(ge=1, le=ID_MOST, examples=[1])]
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$", min_length=1, max_length=100)]
Search = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]


def _utc(at: datetime) -> datetime:
    try:
        moved = at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"the year must lie between {YEAR_FIRST} and {YEAR_LAST}") from None
    if not YEAR_FIRST <= moved.year <= YEAR_LAST:
        raise ValueError(f"the year must lie between {YEAR_FIRST} and {YEAR_LAST}")
    return moved


Time = Annotated[
    AwareDatetime,
    AfterValidator(_utc),
    Field(description="RFC 3339 with an offset.", examples=["2026-05-01T03:00:00Z"]),
]


def _zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError(f"{name!r} is no time zone; write for example Europe/Berlin or UTC")
    return name


Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone), Field(examples=["UTC", "Europe/Berlin"])]
Seconds = Annotated[float, PlainSerializer(lambda value: round(value, 6), return_type=float)]


class Paging(BaseModel):
    """Which page of a list."""

    cursor: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="`next` of the page before; empty for the first page."
    )
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MOST, description="Rows per page.")
