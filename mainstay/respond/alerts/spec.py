"""A route as people write it: the same in a file, in the API and in the form."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mainstay.foundation.durations import Duration
from mainstay.foundation.words import Name, Zone

Value = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Receiver = Annotated[str, StringConstraints(pattern=r"^([a-z]+:)?[a-zA-Z0-9_-]+$", min_length=1, max_length=100)]
Receivers = Annotated[list[Receiver], Field(max_length=50)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class HoursSpec(BaseModel):
    """When a route is open. `to` before `from` spans midnight; equal means all day."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    days: Annotated[list[Day], Field(min_length=1, max_length=7)] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], description="Days on which it begins."
    )
    begin: Clock = Field(default="00:00", alias="from")
    end: Clock = Field(default="00:00", alias="to")
    timezone: Zone = "UTC"


class RouteSpec(BaseModel):
    """Which channels hear of which alerts."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(default=None, description="Unique; without it: made from what the route matches.")
    match: Annotated[
        dict[Name, Value | Annotated[list[Value], Field(min_length=1, max_length=50)]], Field(max_length=20)
    ] = Field(
        default_factory=dict,
        description=(
            "Label and value, or list of values: severity, application, environment, component, check, kind,"
            " own labels. Empty: all."
        ),
    )
    notify: Receivers = Field(default_factory=list, description="Names of channels; all of them are notified.")
    fallback: Receivers = Field(
        default_factory=list, description="Channels tried one after another while one of `notify` does not answer."
    )
    remind_every: Duration | None = Field(
        default=None, ge=10, le=604_800, description="Page again so often until acknowledged."
    )
    hours: HoursSpec | None = Field(default=None, description="Only at these times.")
    also: bool = Field(default=False, description="Go on to the next route after this one matched.")
