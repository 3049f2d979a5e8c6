"""Types of parameters and members that many operations share; each refuses what could not be stored."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, PlainSerializer, StringConstraints

from mainstay.foundation.api.pagination import LIMIT_DEFAULT, LIMIT_MOST

ID_MOST = 2**63 - 1
YEAR_FIRST, YEAR_LAST = 1990, 2200

Id = Annotated[int, Field(ge=1, le=ID_MOST, examples=[1])]
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


Seconds = Annotated[float, PlainSerializer(lambda value: round(value, 6), return_type=float)]


class Paging(BaseModel):
    """Which page of a list."""

    cursor: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="`next` of the page before; empty for the first page."
    )
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MOST, description="Rows per page.")
