"""Types of parameters and members that many operations share; each refuses what could not be stored."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, field_validator

from mainstay.foundation.api.pagination import LIMIT_DEFAULT, LIMIT_MOST
from mainstay.foundation.words.names import ID_MOST, Moment

Id = Annotated[int, Field(ge=1, le=ID_MOST, examples=[1])]
Search = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
ManagedBy = Annotated[str, Field(description="The configuration file that describes it, or empty.")]
Time = Moment
Seconds = Annotated[float, PlainSerializer(lambda value: round(value, 6), return_type=float)]


class Body(BaseModel):
    """What is sent; a member that it does not have is refused."""

    model_config = ConfigDict(extra="forbid")


class Change(Body):
    """What to change; what is left out stays. null is no value here: it would be taken for something and do nothing."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _without_null(schema))

    @field_validator("*", mode="before")
    @classmethod
    def _no_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("must not be null; leave it out and it stays as it is")
        return value


def _without_null(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)
        choices = [one for one in field.pop("anyOf", ()) if one != {"type": "null"}]
        field |= choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}


class Paging(BaseModel):
    """Which page of a list."""

    cursor: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="`next` of the page before; empty for the first page."
    )
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MOST, description="Rows per page.")
