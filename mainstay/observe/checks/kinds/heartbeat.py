"""The `heartbeat` check type: a job that must report in time. Passive: nothing is probed."""

from datetime import UTC, datetime
from typing import ClassVar, Self
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, model_validator

from mainstay.foundation.strict import StrictModel
from mainstay.foundation.words.durations import Duration, format_duration
from mainstay.observe.checks.kinds.base import Kind
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Outcome

LONGEST_CRON = 200
_A_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


class HeartbeatSettings(StrictModel):
    """Either `every`, or `cron` with `timezone`; both with `grace`."""

    every: Duration | None = Field(default=None, ge=1, description="A ping must come at least this often, e.g. 1d.")
    cron: str | None = Field(
        default=None,
        max_length=LONGEST_CRON,
        description="When the job runs, as a cron expression of five fields, e.g. 0 3 * * *.",
    )
    timezone: str = Field(default="UTC", max_length=80, description="The time zone of `cron`, e.g. Europe/Berlin.")
    grace: Duration = Field(default=60.0, description="A ping may be this late before the check goes down.")
    max_runtime: Duration | None = Field(
        default=None, gt=0, description="A job that pinged /start must end within this time."
    )

    key: UUID | None = Field(
        default=None,
        description="The uuid of the ping address /ping/<uuid>, where it must be known in advance; else made.",
    )

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if (self.every is None) == (self.cron is None):
            raise ValueError("give either `every` or `cron`")
        if self.every is not None and self.timezone != "UTC":
            raise ValueError("`timezone` goes with `cron`, not with `every`")
        zone = self._zone()
        if self.cron is not None:
            _check_cron(self.cron, zone)
        return self

    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{self.timezone!r} is no time zone: give a name such as Europe/Berlin or UTC") from None


class Heartbeat(Kind[HeartbeatSettings]):
    name: ClassVar[str] = "heartbeat"
    label: ClassVar[str] = "Heartbeat"
    passive: ClassVar[bool] = True
    Settings = HeartbeatSettings

    def target(self, settings: HeartbeatSettings) -> str:
        if settings.every is not None:
            return f"every {format_duration(settings.every)}"
        return f"{settings.cron} {settings.timezone}"

    async def probe(self, settings: HeartbeatSettings, context: Context) -> Outcome:
        raise RuntimeError("a heartbeat is passive: it is pinged, never probed")


def _check_cron(expression: str, zone: ZoneInfo) -> None:
    try:
        next(CronSim(expression, _A_MOMENT.astimezone(zone)))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from None
    except StopIteration:
        raise ValueError(f"{expression!r} never comes due") from None
