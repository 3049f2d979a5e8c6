"""Checks and maintenance as people write them: the same in a file, in the API and in the form.

{name: storefront, environment: production, http: {url: …, expect: {…}}, every: 5s, fail_after: 2, severity: critical}
"""

from datetime import UTC, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator

from mainstay.foundation.refusal import Refused, misfit
from mainstay.foundation.words.durations import Duration
from mainstay.foundation.words.matching import Match, Matching, Texts
from mainstay.foundation.words.names import Labels, Link, Name, Severity, Time, Title, Zone
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.windows import Window, validate

EVERY_LEAST_S, EVERY_MOST_S = 1.0, 86_400.0
TIMEOUT_MOST_S = 120.0


class Common(BaseModel):
    """What every check has, whatever its kind."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Name = Field(description="Unique within the application; letters, digits, - and _.")
    environment: Name | None = Field(default=None, description="Where the application runs that is watched.")
    component: Name | None = Field(default=None, description="The part of the application that is watched.")
    every: Duration = Field(default=60.0, ge=EVERY_LEAST_S, le=EVERY_MOST_S, description="Interval, 1s to 1d.")
    timeout: Duration = Field(default=10.0, ge=0.1, le=TIMEOUT_MOST_S, description="Hard limit of one probe, up to 2m.")
    fail_after: int | None = Field(
        default=None, ge=1, le=100, description="Failures in a row until down; 3, for heartbeats 1."
    )
    recover_after: int | None = Field(
        default=None, ge=1, le=100, description="Successes in a row until up; 2, for heartbeats 1."
    )
    severity: Severity = Field(default="major", description="Of the alert when it is down.")
    labels: Labels = Field(default_factory=dict, description="For routes, silences, maintenance.")
    runbook: Link = Field(default="", description="Link to what to do when it is down; shown in the page.")
    paused: bool = Field(default=False, description="Neither probed nor paged.")
    needs: Annotated[list[Annotated[str, StringConstraints(max_length=201)]], Field(max_length=50)] = Field(
        default_factory=list, description="Checks without which this one cannot be up: name, or application/name."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in KINDS if getattr(self, name, None) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"a check has exactly one kind of {', '.join(KINDS)}; {found}")
        return self

    @property
    def kind(self) -> str:
        """The name of the kind that is given."""
        return next(name for name in KINDS if getattr(self, name, None) is not None)

    @property
    def settings(self) -> BaseModel:
        """The kind's settings."""
        found: BaseModel = getattr(self, self.kind)
        return found


_fields: dict[str, Any] = {
    name: (kind.Settings | None, Field(default=None, description=f"{kind.label} check."))
    for name, kind in KINDS.items()
}
CheckSpec: type[Common] = create_model("CheckSpec", __base__=Common, __doc__="One check as people write it.", **_fields)


class MaintenanceSpec(Matching):
    """A window in which what it covers does not page: once (starts_at, ends_at) or again and again (cron, duration)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Title = Field(description="Unique within the file.", examples=["Deploy 2.4"])
    application: Name | None = Field(default=None, description="Only checks of this application; without it, of all.")
    match: Match = Field(
        default_factory=dict,
        description="Labels a check must have: label and value, or list of values. Empty: all checks.",
    )
    matchers: Texts = Field(
        default_factory=list,
        description='Further matchers, all of which must hold: `instance=~"web-.*"`, `team!=web`.',
        examples=[['instance=~"web-.*"']],
    )
    starts_at: Time | None = Field(
        default=None, description="Begin of a single window, ISO 8601; without an offset, in `timezone`."
    )
    ends_at: Time | None = Field(default=None, description="Its end.")
    cron: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, description="When a recurring window begins, as cron writes it.", examples=["0 3 * * 0"]
    )
    duration: Duration | None = Field(default=None, description="How long a recurring window lasts.", examples=["2h"])
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
                    raise misfit(name, "lies beyond the calendar") from None
        if self.duration is not None and self.cron is None:
            raise misfit("duration", "duration belongs to cron; a single window has starts_at and ends_at")
        try:
            validate(self.window(None))
        except Refused as error:
            raise misfit(error.field, error.detail) from None
        return self

    def window(self, application: int | None) -> Window:
        """Return the value that the actions take, for the application with this id."""
        return Window(
            name=self.name,
            application=application,
            match=self.wanted,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            cron=self.cron or "",
            duration=timedelta(seconds=self.duration or 0),
            zone=self.timezone,
        )
