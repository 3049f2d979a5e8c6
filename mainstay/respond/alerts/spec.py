"""Silences and routes as people write them: the same in the API and in the form, routes in a file, too."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from mainstay.foundation.clock import later
from mainstay.foundation.refusal import misfit
from mainstay.foundation.words.durations import Duration
from mainstay.foundation.words.matching import Match, Matching, Texts
from mainstay.foundation.words.names import Moment, Name, Zone

Receiver = Annotated[str, StringConstraints(pattern=r"^([a-z]+:)?[a-zA-Z0-9_-]+$", min_length=1, max_length=100)]
Receivers = Annotated[list[Receiver], Field(max_length=50)]
_TIME_OF_DAY = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d", re.ASCII)


def _time_of_day(text: str) -> str:
    if _TIME_OF_DAY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no time of day: write for example 08:30, from 00:00 to 23:59")
    return text.zfill(5)


def _end_of_day(text: str) -> str:
    """The day ends when the next begins: 24:00 is 00:00 (ISO 8601)."""
    return "00:00" if text == "24:00" else _time_of_day(text)


_AS_TIME = WithJsonSchema({"type": "string", "examples": ["08:30"]})
Clock = Annotated[str, AfterValidator(_time_of_day), _AS_TIME]
EndOfDay = Annotated[str, AfterValidator(_end_of_day), _AS_TIME]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class HoursSpec(BaseModel):
    """When a route is open. `to` before `from` spans midnight; equal means all day."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    days: Annotated[list[Day], Field(min_length=1, max_length=7)] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], description="Days on which it begins."
    )
    begin: Clock = Field(default="00:00", alias="from")
    end: EndOfDay = Field(default="00:00", alias="to", description="24:00 is the end of the day.")
    timezone: Zone = "UTC"


class SilenceNote(BaseModel):
    """What a silence says to people. Each field is a column of the same name, in the API, the form and the journal."""

    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2_000, pattern=r"^[^\x00]*$")] = Field(
        title="Reason", description="Why; for whoever wonders at night.", examples=["Being migrated, see #212."]
    )
    ticket: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = (
        Field(default="", title="Ticket", description="Number or URL of its ticket.", examples=["OPS-212"])
    )


class SilenceSpec(SilenceNote, Matching):
    """For a while, alerts that match do not page. They are still recorded."""

    model_config = ConfigDict(extra="forbid")

    match: Match = Field(
        default_factory=dict,
        description="Labels an alert must have: label and value, or list of values.",
        examples=[{"application": "shop", "check": "storefront"}],
    )
    matchers: Texts = Field(
        default_factory=list,
        description='Further matchers, all of which must hold: `instance=~"web-.*"`, `team!=web`.',
        examples=[['instance=~"web-.*"']],
    )
    starts_at: Moment | None = Field(default=None, description="Now, when left out.")
    ends_at: Moment | None = Field(default=None, description="Give this or `duration`.")
    duration: Duration | None = Field(default=None, gt=0, description="Counted from the start.", examples=["2h"])

    @model_validator(mode="after")
    def _says_what_and_how_long(self) -> Self:
        if self.wanted.matches({}):
            raise misfit(
                "matchers" if self.matchers else "match",
                "name at least one label that an alert must have: a silence without any would hide everything",
            )
        if (self.ends_at is None) == (self.duration is None):
            raise misfit("ends_at", "give either ends_at or duration")
        if not self.comment:
            raise misfit("comment", "say why, for whoever wonders at night")
        return self

    @property
    def note(self) -> dict[str, Any]:
        """What it says to people, by column."""
        return self.model_dump(include=set(SilenceNote.model_fields))

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return from when to when it holds, if it is made at `now`."""
        starts = self.starts_at or now
        return starts, self.ends_at or later(starts, timedelta(seconds=self.duration or 0))


class RouteSpec(Matching):
    """Which channels get which alerts."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(default=None, description="Unique; without it: made from what the route matches.")
    match: Match = Field(
        default_factory=dict,
        description=(
            "Label and value, or list of values: severity, application, environment, component, check, kind,"
            " own labels. Empty: all."
        ),
    )
    matchers: Texts = Field(
        default_factory=list,
        description='Further matchers, all of which must hold: `instance=~"web-.*"`, `team!=web`.',
        examples=[['instance=~"web-.*"']],
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

    @model_validator(mode="after")
    def _tells_somebody_or_says_what(self) -> Self:
        if not self.wanted and not self.notify:
            raise misfit("notify", "name a channel, or what this route is for: for every alert it would notify nobody")
        return self
