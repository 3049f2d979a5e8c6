"""How long a check took over a stretch of time: from single results, from minutes of them, or from hourly figures."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Avg, Case, CharField, F, FloatField, Func, Max, Q, Value, When

from mainstay.observe.checks.models import Check, Downtime, Hour, Ping, Result

RANGES: dict[str, timedelta] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "48h": timedelta(hours=48),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
DEFAULT_RANGE = "6h"
HOURLY_FROM = timedelta(days=7)
RAW_MOST = 4_000  # more results than this are read by the minute
PHASES = ("dns_s", "connect_s", "tls_s", "first_byte_s", "transfer_s")
PHASE_LABELS = ("DNS", "connect", "TLS", "first byte", "transfer")


class Minute(Func):
    """The minute of a time as text, `2026-03-02 12:00`, in UTC; on SQLite without a call into Python per row."""

    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """`substr(at, 1, 16)`: times are stored as text there."""
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 16)", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """`to_char`, in UTC."""
        template = "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
        return self.as_sql(compiler, connection, template=template, **extra)


@dataclass(frozen=True, slots=True)
class Reading:
    """Times in unix seconds, oldest first; durations in seconds, None while the check was down.

    `phases` holds one list per phase of `PHASES`, or nothing when no result has any. `unit` names what one point is.
    """

    times: list[float] = field(default_factory=list)
    mean: list[float | None] = field(default_factory=list)
    highest: list[float | None] = field(default_factory=list)
    phases: list[list[float | None]] = field(default_factory=list)
    gap_s: float = 0.0
    unit: str = "result"


@dataclass(frozen=True, slots=True)
class Gone:
    """A stretch in which the check was not up; unix seconds."""

    start: float
    end: float
    health: str


def read(check: Check, length: timedelta, now: datetime) -> Reading:
    """Return how long `check` took in the `length` before `now`."""
    begin = now - length
    if check.passive:
        return _runs(check, begin)
    if length >= HOURLY_FROM:
        return _hours(check, begin, now)
    if length.total_seconds() / check.every_s > RAW_MOST:
        return _minutes(check, begin)
    return _results(check, begin)


def gone(check: Check, length: timedelta, now: datetime) -> list[Gone]:
    """Return when `check` was not up in the `length` before `now`."""
    begin = now - length
    rows = Downtime.objects.filter(Q(ended_at=None) | Q(ended_at__gt=begin), check_ref=check).order_by("started_at")
    return [Gone(max(row.started_at, begin).timestamp(), (row.ended_at or now).timestamp(), row.health) for row in rows]


def _results(check: Check, begin: datetime) -> Reading:
    rows = Result.objects.filter(check_ref=check, at__gt=begin).order_by("at")
    times, durations, phases = [], [], []
    for at, health, duration, *parts in rows.values_list("at", "health", "duration_s", *PHASES):
        failed = health == "down"
        times.append(at.timestamp())
        durations.append(None if failed else duration)
        phases.append([None] * len(PHASES) if failed else parts)
    return Reading(times, durations, durations, _columns(phases), 2.5 * check.every_s + check.timeout_s)


def _minutes(check: Check, begin: datetime) -> Reading:
    def answered(name: str) -> Case:
        return Case(When(health="down", then=Value(None)), default=F(name), output_field=FloatField())

    rows = (
        Result.objects.filter(check_ref=check, at__gt=begin)
        .annotate(minute=Minute("at"))
        .values("minute")
        .annotate(mean=Avg(answered("duration_s")), most=Max(answered("duration_s")))
        .annotate(**{f"a_{name}": Avg(answered(name)) for name in PHASES})
        .order_by("minute")
        .values_list("minute", "mean", "most", *(f"a_{name}" for name in PHASES))
    )
    times, mean, most, phases = [], [], [], []
    for minute, average, highest, *parts in rows:
        times.append(datetime.fromisoformat(minute).replace(tzinfo=UTC).timestamp() + 30)
        mean.append(average)
        most.append(highest)
        phases.append(parts)
    return Reading(times, mean, most, _columns(phases), 150 + check.timeout_s, "minute")


def _hours(check: Check, begin: datetime, now: datetime) -> Reading:
    rows = Hour.objects.filter(check_ref=check, hour__gt=begin, results__gt=0).order_by("hour")
    times: list[float] = []
    mean: list[float | None] = []
    most: list[float | None] = []
    for hour, results, total, highest in rows.values_list("hour", "results", "duration_sum_s", "duration_max_s"):
        times.append(min(hour.timestamp() + 1800, now.timestamp()))
        mean.append(total / results)
        most.append(highest)
    return Reading(times, mean, most, [], max(2.5 * 3600, 2.5 * check.every_s), "hour")


def _runs(check: Check, begin: datetime) -> Reading:
    rows = Ping.objects.filter(check_ref=check, at__gt=begin, duration_s__isnull=False).order_by("id")
    times, durations = [], []
    for at, duration in rows.values_list("at", "duration_s")[:RAW_MOST]:
        times.append(at.timestamp())
        durations.append(duration)
    return Reading(times, durations, durations, [], float("inf"), "run")


def _columns(rows: list[list[float | None]]) -> list[list[float | None]]:
    if not any(value is not None for row in rows for value in row):
        return []
    return [list(column) for column in zip(*rows, strict=True)]


def recent(per_check: dict[int, float], now: datetime, count: int = 60) -> dict[int, list[float | None]]:
    """Return the newest durations of several checks (id → interval in seconds), oldest first, None where it failed.

    One query: for each check only as far back as `count` results lie.
    """
    if not per_check:
        return {}
    wanted = Q()
    for check, every_s in per_check.items():
        wanted |= Q(check_ref=check, at__gt=now - timedelta(seconds=max(every_s, 1.0) * (count + 1)))
    found: dict[int, list[float | None]] = {check: [] for check in per_check}
    rows = Result.objects.filter(wanted).order_by("check_ref", "at")
    for check, health, duration in rows.values_list("check_ref_id", "health", "duration_s"):
        found[check].append(None if health == "down" else duration)
    return {check: values[-count:] for check, values in found.items()}
