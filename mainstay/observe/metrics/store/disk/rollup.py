"""Rollups: what remains of samples in buckets of 5 minutes and of an hour, for long ranges and old times.

A bucket has the time of its end, and holds what lies in (end - width, end]: the last value, the least, the greatest,
sum and count, and, for counters, the value as it would be had the counter never been reset. A row of a table is one
series and one period of buckets. A period is summarised when nothing of its time is waiting in memory any more; what
arrives later for it (remote write of old samples) is in the raw samples only.

`counter` is empty where the series was not reset: then it is `last` plus `shift`. `shift` is what resets have added up
to by the end of the period; `final` is the last value as it was. A gap of a period or more begins again at 0.
"""

# ruff: noqa: S608  names of tables cannot be parameters; these are made of numbers

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.series import (
    ABSENT,
    STALE,
    Codes,
    Index,
    Samples,
    Times,
    Values,
    is_special,
    is_stale,
)
from mainstay.observe.metrics.store.assemble import Blocks, assembled, within
from mainstay.observe.metrics.store.disk.chunks import Blobs, decoded, encode
from mainstay.observe.metrics.store.disk.history import Columns, History, HistoryFailed, add_chunks, insert
from mainstay.observe.metrics.store.limits import DAY_MS, HOUR_MS, MINUTE_MS

# Marks are NaNs that signal, and infinities are values like others: neither is worth a warning.
_QUIET = np.errstate(invalid="ignore", over="ignore")
SLICE = 4_096  # series that are summarised at once


@dataclass(frozen=True, slots=True)
class Tier:
    """Buckets of one width."""

    name: str
    bucket_ms: int
    buckets: int  # in a period
    periods: int  # in a partition

    @property
    def period_ms(self) -> int:
        """Milliseconds of a period."""
        return self.bucket_ms * self.buckets

    @property
    def partition_ms(self) -> int:
        """Milliseconds of a partition."""
        return self.period_ms * self.periods


FIVE = Tier("five", 5 * MINUTE_MS, 24, 12)
HOUR = Tier("hour", HOUR_MS, 48, 10)
TIERS = (FIVE, HOUR)
assert FIVE.period_ms == 2 * HOUR_MS
assert HOUR.period_ms == 2 * DAY_MS


@dataclass(slots=True, eq=False)
class Buckets:
    """Summaries [series, buckets]; ABSENT where a bucket has no sample."""

    last: Values
    low: Values
    high: Values
    total: Values
    count: Values
    counter: Values
    shift: Values  # [series]
    final: Values  # [series], ABSENT where there was no sample at all


def _empty(rows: int, buckets: int, shift: Values, final: Values) -> Buckets:
    last, low, high, total, count, counter = np.full((6, rows, buckets), ABSENT)
    return Buckets(last, low, high, total, count, counter, shift, final)


@_QUIET
def summarised(samples: Samples, begin_ms: int, tier: Tier, shift: Values, final: Values) -> Buckets:
    """Summarise the samples of one period. `shift` and `final` are those of the period before, 0 and ABSENT without."""
    out = _empty(len(samples.group), tier.buckets, shift.copy(), final.copy())
    for group in np.unique(samples.group).tolist():
        count = int(samples.counts[group])
        if not count:
            continue
        mine = np.flatnonzero(samples.group == group)
        bucket = (samples.times[group, :count] - begin_ms - 1) // tier.bucket_ms
        _summarise(out, mine, bucket, np.ascontiguousarray(samples.values[mine, :count]))
    return out


def _summarise(out: Buckets, rows: Index, bucket: Times, values: Values) -> None:
    """Summarise series that share their times; `bucket` ascends."""
    begins = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    at = (rows[:, None], bucket[begins][None, :])
    valid = ~is_special(values)
    count = np.add.reduceat(valid.astype(np.int64), begins, axis=1)
    plain = np.where(valid, values, np.nan)
    some = count > 0
    newest = np.maximum.reduceat(np.where(valid, np.arange(values.shape[1]), -1), begins, axis=1)
    last = np.take_along_axis(values, np.maximum(newest, 0), axis=1)
    ends = np.concatenate([begins[1:], [values.shape[1]]]) - 1
    for which, found in (
        (out.low, np.fmin.reduceat(plain, begins, axis=1)),
        (out.high, np.fmax.reduceat(plain, begins, axis=1)),
        (out.total, np.add.reduceat(np.where(valid, values, 0.0), begins, axis=1)),
        (out.count, count.astype(np.float64)),
        (out.counter, _corrected(out, rows, values, valid, newest)),
    ):
        which[at] = np.where(some, found, ABSENT)
    ended = is_stale(np.ascontiguousarray(values[:, ends]))
    out.last[at] = np.where(ended, STALE, np.where(some, last, ABSENT))


def _corrected(
    out: Buckets, rows: Index, values: Values, valid: NDArray[np.bool_], newest: NDArray[np.int64]
) -> Values:
    """Return the last value of each bucket had the series never been reset; carry `shift` and `final` on."""
    before = out.final[rows]
    known = ~is_special(before)
    at = np.maximum.accumulate(np.where(valid, np.arange(values.shape[1]), -1), axis=1)
    filled = np.take_along_axis(values, np.maximum(at, 0), axis=1)
    previous = np.concatenate([np.where(known, before, 0.0)[:, None], filled[:, :-1]], axis=1)
    has_previous = np.concatenate([known[:, None], (at[:, :-1] >= 0) | known[:, None]], axis=1)
    # Where nothing valid came before within the period, the value before is that of the period before.
    previous[:, 1:] = np.where(at[:, :-1] >= 0, previous[:, 1:], np.where(known, before, 0.0)[:, None])
    reset = valid & has_previous & (values < previous)
    shift = out.shift[rows][:, None] + np.cumsum(np.where(reset, previous, 0.0), axis=1)
    corrected = filled + shift
    out.shift[rows] = shift[:, -1]
    out.final[rows] = np.where(at[:, -1] >= 0, filled[:, -1], before)
    found: Values = np.take_along_axis(corrected, np.maximum(newest, 0), axis=1)
    return found


@_QUIET
def coarser(five: Buckets, factor: int) -> Buckets:
    """Summarise buckets into `factor` times wider ones."""

    def cut(values: Values) -> Values:
        return np.ascontiguousarray(values).reshape(len(values), -1, factor)

    rows = len(five.last)
    count = cut(five.count)
    some = ~is_special(count)
    any_of = some.any(axis=2)

    def latest(values: Values) -> Values:
        there = np.where(~is_special(cut(values)) | is_stale(cut(values)), np.arange(factor), -1).max(axis=2)
        return np.where(
            there >= 0, np.take_along_axis(cut(values), np.maximum(there, 0)[:, :, None], axis=2)[:, :, 0], ABSENT
        )

    def reduced(function: np.ufunc, values: Values, neutral: float) -> Values:
        found = function.reduce(np.where(some, cut(values), neutral), axis=2)
        return np.where(any_of, found, ABSENT)

    return Buckets(
        latest(five.last),
        reduced(np.fmin, five.low, np.nan),
        reduced(np.fmax, five.high, np.nan),
        reduced(np.add, five.total, 0.0),
        reduced(np.add, five.count, 0.0),
        latest(five.counter),
        np.array(five.shift).reshape(rows),
        np.array(five.final).reshape(rows),
    )


COLUMNS = ("last", "low", "high", "total", "count", "counter")


class Rollups:
    """The tables of rollups. Writes come from one thread at a time; reads from any."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.until: dict[str, int] = history.marks()
        self.partitions = {tier.name: history.tables(f"{tier.name}_") for tier in TIERS}
        self._left: list[Codes] | None = None  # slices of the period at work
        self._work: tuple[Tier, int] | None = None

    # --- making ---------------------------------------------------------------------------------------------------

    def step(self, settled_ms: int, counters: frozenset[str] | set[str]) -> bool:
        """Summarise one slice of a period that lies before `settled_ms` completely; return whether there was one.

        `counters` names metrics whose type is known to be a counter; others are told by the ends of their names.

        Raises:
            HistoryFailed: it could not be written; it will be tried again.
        """
        if self._work is None:
            self._begin(settled_ms)
        if self._work is None:
            return False
        tier, period = self._work
        left = self._left or []
        try:
            if left:
                self._write(tier, period, left[0], counters)
                left.pop(0)
            if not left:
                end = (period + 1) * tier.period_ms
                self._history.mark(tier.name, end)
                self.until[tier.name] = end
                self._work = None
        except HistoryFailed:
            self._work = None  # begun again from the start of the period: a part of it may be there
            raise
        return True

    def _begin(self, settled_ms: int) -> None:
        for tier in TIERS:
            bound = settled_ms if tier is FIVE else self.until.get(FIVE.name, 0)
            first = self._first(tier)
            if first is None:
                continue
            period = first // tier.period_ms
            if tier.name in self.until:
                period = max(period, self.until[tier.name] // tier.period_ms)
            if (period + 1) * tier.period_ms > bound:
                continue
            identities = self._identities(tier, period)
            number = period // tier.periods
            with self._history.transaction() as connection:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {tier.name}_{number} (series INTEGER, period INTEGER, "
                    + ", ".join(f'"{column}" BLOB' for column in COLUMNS)
                    + ", shift DOUBLE, final DOUBLE)"
                )
                connection.execute(f"DELETE FROM {tier.name}_{number} WHERE period = ?", [period])
            if number not in self.partitions[tier.name]:
                self.partitions[tier.name] = sorted([*self.partitions[tier.name], number])
            self._work = tier, period
            self._left = [identities[begin : begin + SLICE] for begin in range(0, len(identities), SLICE)]
            return

    def _first(self, tier: Tier) -> int | None:
        """Return a time from which on there is something that the tier has not summarised."""
        after = self.until.get(tier.name, -1)
        if tier is FIVE:
            begins = [max(span.first - 1, after) for span in self._history.partitions.values() if span.last > after]
        else:
            size = FIVE.partition_ms
            begins = [max(number * size, after) for number in self.partitions[FIVE.name] if (number + 1) * size > after]
        return min(begins, default=None)

    def _identities(self, tier: Tier, period: int) -> Codes:
        begin, end = period * tier.period_ms, (period + 1) * tier.period_ms
        if tier is FIVE:
            return self._history.identities(begin, end)
        found = [
            self._rows(
                f"SELECT DISTINCT series FROM five_{number} WHERE period >= ? AND period < ?", *_span(begin, end)
            )
            for number in self.partitions[FIVE.name]
            if number * FIVE.partition_ms < end and (number + 1) * FIVE.partition_ms > begin
        ]
        return np.unique(np.concatenate([np.empty(0, np.int32), *(columns["series"] for columns in found)]))

    def _rows(self, query: str, *parameters: object) -> Columns:
        try:
            found: dict[str, NDArray[Any]] = self._history.reader().execute(query, list(parameters)).fetchnumpy()
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error
        return found

    def _write(self, tier: Tier, period: int, identities: Codes, counters: frozenset[str] | set[str]) -> None:
        begin = period * tier.period_ms
        shift, final = self._before(tier, period, identities)
        if tier is FIVE:
            blocks = Blocks()
            rows = np.arange(len(identities))
            for chunks in self._history.read(identities, begin, begin + tier.period_ms):
                add_chunks(blocks, chunks, rows, None, begin)
            samples = within(assembled(len(identities), blocks), begin, begin + tier.period_ms)
            found = summarised(samples, begin, tier, shift, final)
        else:
            found = coarser(self._five(identities, begin, begin + tier.period_ms), tier.bucket_ms // FIVE.bucket_ms)
        some = ~is_special(np.ascontiguousarray(found.count)).all(axis=1)
        counting = self._history.are_counters(identities, counters)
        kept = Buckets(*(getattr(found, name)[some] for name in (*COLUMNS, "shift", "final")))
        columns: Columns = {"series": identities[some], "period": np.full(int(some.sum()), period, np.int32)}
        for name in COLUMNS[:-1]:
            columns[name] = encode(getattr(kept, name))
        columns["counter"], columns["shift"] = _counters(kept, counting[some])
        columns["final"] = kept.final
        if not some.any():
            return
        order = np.argsort(columns["series"])
        with self._history.transaction() as connection:
            insert(
                connection,
                f"{tier.name}_{period // tier.periods}",
                ", ".join(f'"{name}"' for name in ("series", "period", *COLUMNS, "shift", "final")),
                {name: column[order] for name, column in columns.items()},
            )

    def _before(self, tier: Tier, period: int, identities: Codes) -> tuple[Values, Values]:
        """Return shift and final of the period before, 0 and ABSENT without."""
        shift, final = np.zeros(len(identities)), np.full(len(identities), ABSENT)
        number = (period - 1) // tier.periods
        if number in self.partitions[tier.name]:
            found = self._rows(
                f"SELECT series, shift, final FROM {tier.name}_{number} WHERE period = ? AND series BETWEEN ? AND ?",
                period - 1,
                int(identities.min()),
                int(identities.max()),
            )
            at = np.searchsorted(identities, found["series"])
            at = np.minimum(at, len(identities) - 1)
            same = identities[at] == found["series"]
            shift[at[same]], final[at[same]] = found["shift"][same], found["final"][same]
        return shift, final

    def _five(self, identities: Codes, begin: int, end: int) -> Buckets:
        periods = (end - begin) // FIVE.period_ms
        count = len(identities)
        out = _empty(count, periods * FIVE.buckets, np.zeros(count), np.full(count, ABSENT))
        latest = np.full(count, -1)
        for columns in self._read(FIVE, identities, begin, end, COLUMNS):
            rows = np.searchsorted(identities, columns["series"])
            base = (columns["period"] - begin // FIVE.period_ms) * FIVE.buckets
            for name in COLUMNS:
                target, at = getattr(out, name), base[:, None] + np.arange(FIVE.buckets)
                target[rows[:, None], at] = _values(columns, name, FIVE.buckets)
            newer = columns["period"] > latest[rows]
            latest[rows[newer]] = columns["period"][newer]
            for name, target in (("shift", out.shift), ("final", out.final)):
                target[rows[newer]] = columns[name][newer]
        return out

    # --- reading --------------------------------------------------------------------------------------------------

    def _read(self, tier: Tier, identities: Codes, begin: int, end: int, columns: tuple[str, ...]) -> Iterator[Columns]:
        """Yield rows of some columns with buckets in (begin, end], a period at a time in order."""
        names = ", ".join(f'"{name}"' for name in columns)
        first, last = begin // tier.period_ms, (end - 1) // tier.period_ms
        try:
            connection = self._history.reader()
            for number in self.partitions[tier.name]:
                if number * tier.periods > last or (number + 1) * tier.periods <= first:
                    continue
                connection.register("wanted", {"series": np.ascontiguousarray(identities)})
                found = connection.execute(
                    f"SELECT series, period, shift, final, {names} FROM {tier.name}_{number} "
                    "WHERE period BETWEEN ? AND ? AND series IN (SELECT series FROM wanted)",
                    [first, last],
                ).fetchnumpy()
                connection.unregister("wanted")
                order = np.argsort(found["period"], kind="stable")
                ordered = {name: column[order] for name, column in found.items()}
                cuts = np.flatnonzero(np.diff(ordered["period"])) + 1
                for part in zip(*(np.split(column, cuts) for column in ordered.values()), strict=True):
                    if len(part[0]):
                        yield dict(zip(ordered, part, strict=True))
        except duckdb.CatalogException:  # dropped meanwhile: it was older than what is kept
            return
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error

    def values(
        self, tier: Tier, identities: Codes, begin: int, end: int, column: str
    ) -> Iterator[tuple[Index, int, Values, Values]]:
        """Yield, a period at a time: positions among the identities, first time of the grid, values, shifts.

        `column` is one of COLUMNS or "mean".

        Raises:
            HistoryFailed: the database cannot be read.
        """
        needed = {"mean": ("total", "count"), "counter": ("counter", "last")}.get(column, (column,))
        order = np.argsort(identities)
        ordered = identities[order]
        for columns in self._read(tier, identities, begin, end, needed):
            rows = order[np.searchsorted(ordered, columns["series"])]
            if column == "mean":
                total = _values(columns, "total", tier.buckets)
                count = _values(columns, "count", tier.buckets)
                there = ~is_special(count)
                found = np.full(count.shape, ABSENT)
                found[there] = total[there] / count[there]
            else:
                found = _values(columns, column, tier.buckets)
            at = int(columns["period"][0]) * tier.period_ms + tier.bucket_ms
            yield rows, at, found, columns["shift"]

    def drop(self, tier: Tier, number: int) -> None:
        """Drop a partition.

        Raises:
            HistoryFailed: it is still there.
        """
        with self._history.transaction() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {tier.name}_{number}")
        self.partitions[tier.name] = [other for other in self.partitions[tier.name] if other != number]


def _span(begin: int, end: int) -> tuple[int, int]:
    return begin // FIVE.period_ms, end // FIVE.period_ms


@_QUIET
def _counters(found: Buckets, counting: NDArray[np.bool_]) -> tuple[Blobs, Values]:
    """Return the counters as chunks, None where they are the last values plus the shift, and the shifts."""
    shift = np.where(counting, found.shift, 0.0)
    blobs = np.full(len(shift), None, object)
    plain = ~is_special(np.ascontiguousarray(found.last)) & ~is_special(np.ascontiguousarray(found.counter))
    differs = (plain & (found.last + shift[:, None] != found.counter)).any(axis=1)
    differs |= (is_stale(np.ascontiguousarray(found.last)) & (found.shift != 0)[:, None]).any(axis=1)
    chosen = np.flatnonzero(counting & differs)
    blobs[chosen] = encode(np.ascontiguousarray(found.counter[chosen]))
    return blobs, shift


@_QUIET
def _values(columns: Columns, name: str, buckets: int) -> Values:
    """Decode a column of chunks [rows, buckets]."""
    data = columns[name]
    missing = np.ma.getmaskarray(data)
    there = np.flatnonzero(~missing)
    out = np.full((len(data), buckets), ABSENT)
    for which, values in decoded(np.ma.getdata(data)[there], np.full(len(there), buckets)):
        out[there[which]] = values
    if name == "counter" and missing.any():
        last = _values({"last": columns["last"][missing]}, "last", buckets)
        out[missing] = np.where(is_special(last), last, last + columns["shift"][missing][:, None])
    return out
