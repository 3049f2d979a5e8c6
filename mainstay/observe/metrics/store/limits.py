"""What a store may use, what it refuses, and what it has done."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainstay.observe.metrics.store.layouts import Layout

MIB = 1 << 20
SET_BACK_MS = 5_000  # a stream whose last sample lies further in the future is from before the clock was set back
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bounds and shape of a store."""

    series: int = 500_000  # in memory, of all jobs
    series_of_job: int = 200_000
    label_value_length: int = 4_096  # characters
    memory_bytes: int = 1_024 * MIB  # of series in memory and their recent samples; DuckDB's comes on top
    recent_bytes: int = 40 * MIB  # of chunks that left memory last: an hour of 100,000 series every 15 s
    database_memory_bytes: int = 64 * MIB
    disk_bytes: int = 20_480 * MIB  # database and write-ahead log; the oldest history goes first
    raw_ms: int = 15 * DAY_MS  # how long samples are kept as they came
    five_minutes_ms: int = 90 * DAY_MS  # how long 5-minute rollups are kept
    hour_ms: int = 400 * DAY_MS
    ahead_ms: int = 10 * MINUTE_MS  # a sample further in the future is refused
    idle_ms: int = 20 * MINUTE_MS  # series without samples for so long leave memory
    owner_ms: int = 5 * MINUTE_MS  # a stream silent for so long loses its series to another that has the same
    columns: int = 80  # samples of a series that fit in memory
    kept: int = 24  # of these, how many stay in memory after they were written to history
    batch: int = 48  # samples of a series that are written to history at once
    age_ms: int = 30 * MINUTE_MS  # after which also fewer are written
    segment_bytes: int = 64 * MIB  # of the write-ahead log, before a new one is begun
    segment_ms: int = 30 * MINUTE_MS


class Reason(StrEnum):
    """Why a sample was refused."""

    OUT_OF_ORDER = "out of order"  # not later than the last one of its series or stream
    FUTURE = "too far in the future"
    CARDINALITY = "too many series"
    OWNED = "series of another stream"
    LABELS = "bad labels"
    LOST = "history not writable"  # was taken, could not be written, and had to make room


class BadLabels(ValueError):
    """A label set cannot be a series: the text says which, why and how to mend it."""


class CardinalityExceeded(ValueError):
    """A layout brings more new series than there is room for.

    `admitted` holds those of its series that exist already; it is put with the same vectors of values, and they go on.
    """

    def __init__(
        self, *, job: str, metric: str, series: int, label: str, values: int, limit: int, of: str, admitted: "Layout"
    ) -> None:
        grown = f", whose label {label!r} has {values} values" if label else ""
        super().__init__(
            f"job {job!r} would go beyond {limit} series ({of}). Most has the metric {metric!r}, {series}{grown}: "
            "drop that label or metric where it is exposed or by relabelling, or raise the limit"
        )
        self.job, self.metric, self.series, self.label, self.values = job, metric, series, label, values
        self.limit, self.admitted = limit, admitted


@dataclass(frozen=True, slots=True)
class Figures:
    """What a store holds and has done since it was opened. Bytes in memory are those of arrays, and an estimate of
    labels; bytes on disk are those in use."""

    series: int
    streams: int
    memory_samples: int
    memory_bytes: int
    disk_bytes: int
    log_bytes: int  # of the write-ahead log, part of disk_bytes
    appended: int
    written: int  # samples that went to history
    refused: dict[Reason, int]
    refused_series: int
    oldest_ms: int | None  # of the samples in memory or history
    rolled_up_ms: int | None  # up to where 5-minute rollups are complete
    failed_writes: int
    dropped_partitions: int  # of history, because of the disk limit


@dataclass(frozen=True, slots=True)
class Offenders:
    """Who has the most series, and what the guard refused: names and numbers, the greatest first."""

    metrics: list[tuple[str, int]]
    jobs: list[tuple[str, int]]
    refused: list[tuple[str, str, int]]  # job, metric, series refused


@dataclass(slots=True)
class Counts:
    """The counters behind the figures."""

    appended: int = 0
    written: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
    failed_writes: int = 0
    dropped_partitions: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """Since when a store has samples without a gap: before, what is missing says nothing.

    It was opened at `begun_ms`, and nothing was put in the `gap_ms` before: an hour at most, as for a new one.
    """

    begun_ms: int
    gap_ms: int

    @classmethod
    def at(cls, begun_ms: int, newest_ms: int | None) -> "Coverage":
        """Return the coverage of a store that is opened and whose newest sample is of `newest_ms`."""
        gap_ms = HOUR_MS if newest_ms is None else min(HOUR_MS, max(0, begun_ms - newest_ms))
        return cls(begun_ms, gap_ms)
