"""Types of parameters and members that many operations share; each refuses what could not be stored."""

from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer, StringConstraints

from mainstay.foundation.api.pagination import LIMIT_DEFAULT, LIMIT_MOST
from mainstay.foundation.words import ID_MOST, Moment

Id = Annotated[int, Field(ge=1, le=ID_MOST, examples=[1])]
Search = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]


Time = Moment
Seconds = Annotated[float, PlainSerializer(lambda value: round(value, 6), return_type=float)]


class Paging(BaseModel):
    """Which page of a list."""

    cursor: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="`next` of the page before; empty for the first page."
    )
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MOST, description="Rows per page.")
