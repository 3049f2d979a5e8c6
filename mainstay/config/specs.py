"""What only a file describes: teams and maintenance as people write them there."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from mainstay.foundation.catalog.spec import Name
from mainstay.foundation.durations import Duration
from mainstay.observe.checks.spec import Labels
from mainstay.observe.checks.windows import BadWindow, Window, validate
from mainstay.respond.alerts.spec import Zone

Title = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]
Address = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^\s@\x00]+@[^\s@\x00]+$")]


def _written_time(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("must be a time such as 2026-08-01T22:00:00+02:00")
    return value


Time = Annotated[datetime, BeforeValidator(_written_time)]


class TeamSpec(BaseModel):
    """People who own applications."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Title = Field(description="Unique.")
    email: Address | None = Field(default=None, description="Address of the team.")
    members: Annotated[list[Address], Field(max_length=1000)] = Field(
        default_factory=list, description="E-mail addresses of people who are users already."
    )

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: list[str]) -> list[str]:
        return list(dict.fromkeys(member.lower() for member in members))


class MaintenanceSpec(BaseModel):
    """A window in which what it covers does not page: once (starts_at, ends_at) or again and again (cron, duration)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
    ] = Field(description="Unique within the file.")
    application: Name | None = Field(default=None, description="Only checks of this application; without it, of all.")
    match: Labels = Field(default_factory=dict, description="Labels a check must have; empty: all checks.")
    starts_at: Time | None = Field(
        default=None, description="Begin of a single window, ISO 8601; without an offset, in `timezone`."
    )
    ends_at: Time | None = Field(default=None, description="Its end.")
    cron: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, description="When a recurring window begins, as cron writes it."
    )
    duration: Duration | None = Field(default=None, description="How long a recurring window lasts.")
    timezone: Zone = Field(default="UTC", description="Zone of `cron`, and of times without an offset.")

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        zone = ZoneInfo(self.timezone)
        for name in ("starts_at", "ends_at"):
            at = getattr(self, name)
            if at is not None:
                local = at.replace(tzinfo=zone) if at.tzinfo is None else at
                try:
                    setattr(self, name, local.astimezone(UTC))
                except OverflowError:
                    raise ValueError(f"{name} lies beyond the calendar") from None
        if self.duration is not None and self.cron is None:
            raise ValueError("duration belongs to cron; a single window has starts_at and ends_at")
        try:
            validate(self.window(None))
        except BadWindow as error:
            raise ValueError(str(error)) from None
        return self

    def window(self, application: int | None) -> Window:
        """Return the value that the actions take, for the application with this id."""
        return Window(
            name=self.name,
            application=application,
            match=self.match,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            cron=self.cron or "",
            duration=timedelta(seconds=self.duration or 0),
            zone=self.timezone,
        )
