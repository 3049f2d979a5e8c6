"""Where in the samples the steps of a query look: the last sample before a step, or the window that ends with it.

Series sampled together share a row of times, so the search is done once a group [groups, steps] and only the gathering
once a series. A window is (end - range, end], open on the left as in Prometheus 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mainstay.observe.metrics.promql.series import Index, Mask, Samples, Series, Times, Values, is_stale, packed
from mainstay.observe.metrics.promql.vector import Vector

_BLOCK_CELLS = 1 << 18  # of 8 bytes
_NEVER = np.iinfo(np.int64).max


def clean_times(samples: Samples) -> Times:
    """Return the times [groups, most] with what does not count set to the end of time, so that rows ascend."""
    most = samples.times.shape[1]
    if (samples.counts == most).all():
        return samples.times
    return np.where(np.arange(most) < samples.counts[:, None], samples.times, _NEVER)


def positions(times: Times, at: Times) -> Index:
    """Return how many of each row's times [groups, most] lie at or before each of `at` [steps]: [groups, steps].

    `at` is evenly spaced if it has more than two steps.
    """
    groups, steps = len(times), len(at)
    if groups == 1:
        return np.searchsorted(times[0], at, side="right")[None, :]
    if steps == 1:
        seen: Index = (times <= at[0]).sum(axis=1)[:, None]
        return seen
    if steps == 2:
        return np.stack([(times <= moment).sum(axis=1) for moment in at.tolist()], axis=1)
    # Steps are evenly spaced: each sample tells from which step on it is seen, and counting by step says how many are.
    start, step_ms = int(at[0]), int(at[1] - at[0])
    seen_from = np.minimum(times, int(at[-1]) + 1) - start
    np.floor_divide(seen_from + (step_ms - 1), step_ms, out=seen_from)
    np.maximum(seen_from, 0, out=seen_from)
    seen_from += np.arange(groups)[:, None] * (steps + 1)
    counts = np.bincount(seen_from.reshape(-1), minlength=groups * (steps + 1)).reshape(groups, steps + 1)
    return np.cumsum(counts[:, :steps], axis=1)


def picked(times: Times, index: Index) -> Times:
    """Return of each row of times [groups, most] the columns `index` [groups, steps]."""
    if len(times) == 1:
        return times[:, index[0]]
    found: Times = times.reshape(-1).take(index + np.arange(len(times))[:, None] * times.shape[1])
    return found


def gather(samples: Samples, index: Index) -> Values:
    """Return each series' values in the columns `index` [groups, steps] of its group: [series, steps]."""
    values = samples.values
    if not values.size:
        return np.zeros((len(values), index.shape[1]))
    if len(index) == 1 or (index == index[0]).all():
        columns = index[0]
        if len(columns) == 1:
            return values[:, columns[0], None]
        return values[:, columns]
    flat = index[samples.group] + (np.arange(len(values), dtype=np.intp) * values.shape[1])[:, None]
    found: Values = np.ascontiguousarray(values).reshape(-1).take(flat)
    return found


def per_series(samples: Samples, of_group: Any) -> Any:
    """Spread an array [groups, …] over the series [series, …]."""
    return of_group if len(of_group) == 1 else of_group[samples.group]


def instants(series: Series, samples: Samples, at: Times, lookback_ms: int) -> tuple[Vector, Times]:
    """Return the last value in (at - lookback, at] of each series, unless it is a staleness marker, and its time.

    The times are [groups, steps], or [series, steps]; use `per_series`.
    """
    times = clean_times(samples)
    last = positions(times, at) - 1
    found = np.maximum(last, 0)
    if not times.shape[1]:
        nothing = np.zeros((len(series), len(at)))
        return Vector(series, nothing, nothing.astype(np.bool_)), np.zeros((len(times), len(at)), np.int64)
    moments = picked(times, found)
    fresh = (last >= 0) & (moments > at - lookback_ms)
    values = np.ascontiguousarray(gather(samples, found))
    stale = is_stale(values)
    present = None
    if not fresh.all():
        present = per_series(samples, fresh) & ~stale
    elif stale.any():
        present = ~stale
    return Vector(series, values, present), moments


@dataclass(slots=True, eq=False)
class Windows:
    """Ranges of samples without staleness markers: columns `begin` to `end` (exclusive) of each series' group."""

    series: Series
    samples: Samples
    times: Times  # [groups, most], cleaned
    begin: Index  # [groups, steps]
    end: Index  # [groups, steps]
    until: Times  # [steps]: where each window ends
    range_ms: int
    unnamed: Mask | None = None  # [series]
    remembered: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def over(cls, series: Series, samples: Samples, until: Times, range_ms: int) -> "Windows":
        """Lay windows over samples."""
        values = samples.values
        if values.size:
            stale = is_stale(values) if values.flags.c_contiguous else is_stale(np.ascontiguousarray(values))
            if stale.any():
                samples = packed(samples, stale)
        times = clean_times(samples)
        return cls(series, samples, times, positions(times, until - range_ms), positions(times, until), until, range_ms)

    def __len__(self) -> int:
        return len(self.samples.values)

    @property
    def counts(self) -> Index:
        """Return how many samples each window holds [groups, steps]."""
        return self.end - self.begin

    @property
    def steps(self) -> int:
        """Return the number of windows of each series."""
        return len(self.until)

    def at_least(self, samples: int) -> Mask | None:
        """Return which windows [series, steps] hold as many samples; None if all do."""
        enough = self.counts >= samples
        if enough.all():
            return None
        found = per_series(self.samples, enough)
        return np.broadcast_to(found, (len(self), self.steps))

    def first(self, skip: int = 0) -> Values:
        """Return the value of the first sample (after `skip`) of each window [series, steps]; anything if none."""
        return gather(self.samples, np.minimum(self.begin + skip, max(self.samples.values.shape[1] - 1, 0)))

    def last(self, skip: int = 0) -> Values:
        """Return the value of the last sample (before `skip`) of each window [series, steps]; anything if none."""
        return gather(self.samples, np.maximum(self.end - 1 - skip, 0))

    def first_time(self) -> Times:
        """Return the time of the first sample of each window [groups, steps]; anything where none is."""
        return self._time(np.minimum(self.begin, max(self.times.shape[1] - 1, 0)))

    def last_time(self, skip: int = 0) -> Times:
        """Return the time of the last sample (before `skip`) of each window [groups, steps]; anything where none is."""
        return self._time(np.maximum(self.end - 1 - skip, 0))

    def _time(self, index: Index) -> Times:
        if not self.times.shape[1]:
            return np.zeros(index.shape, np.int64)
        return picked(self.times, index)

    def rows(self, rows: Index | slice) -> "Windows":
        """Return the windows of some of the series, without the labels: the table of series stays whole."""
        samples = self.samples
        group, values = samples.group[rows], samples.values[rows]
        if len(self.times) == 1:
            few = Samples(samples.times, samples.counts, group, values)
            return Windows(self.series, few, self.times, self.begin, self.end, self.until, self.range_ms)
        used, group = np.unique(group, return_inverse=True)
        few = Samples(samples.times[used], samples.counts[used], group, values)
        return Windows(self.series, few, self.times[used], self.begin[used], self.end[used], self.until, self.range_ms)

    def blocks(self) -> Iterator[tuple[slice, "Windows"]]:
        """Yield the windows of some series after the other, so many that what is made of them fits the caches."""
        number = len(self.samples.values)
        height = max(1, _BLOCK_CELLS // max(self.steps, self.samples.values.shape[1], 1))
        for begin in range(0, number, height):
            rows = slice(begin, begin + height)
            yield rows, self if height >= number else self.rows(rows)

    def spread(self, until: Times) -> "Windows":
        """Return the same single window at each of several steps (for what is fixed by @)."""
        width = (len(self.times), len(until))
        return Windows(
            self.series,
            self.samples,
            self.times,
            np.broadcast_to(self.begin, width),
            np.broadcast_to(self.end, width),
            np.broadcast_to(self.until, (len(until),)),
            self.range_ms,
            self.unnamed,
        )

    def columns(self) -> Iterator[tuple[Mask | None, Values, Times]]:
        """Yield the windows' samples from first to last: which windows have one, the values, the times [groups, steps].

        The mask and the values are [series, steps]; the mask is None if every window has one.
        """
        counts = self.counts
        fewest, most = (int(counts.min()), int(counts.max())) if counts.size else (0, 0)
        limit = max(self.samples.values.shape[1] - 1, 0)
        for column in range(most):
            index = self.begin + column
            inside = None
            if column >= fewest:
                inside = np.broadcast_to(per_series(self.samples, counts > column), (len(self), self.steps))
                index = np.minimum(index, limit)
            yield inside, gather(self.samples, index), self._time(index)

    def matrix(self, step: int) -> tuple[Values, Mask | None]:
        """Return one step's windows as a matrix [series, most in a window], and which of it counts (None: all)."""
        counts, begin = self.counts[:, step], self.begin[:, step]
        most = int(counts.max(initial=0))
        if counts.size and (counts == most).all():
            if (begin == begin[0]).all():
                return self.samples.values[:, begin[0] : begin[0] + most], None
            inside = None
        else:
            inside = np.arange(most) < per_series(self.samples, counts)[:, None]
            inside = np.broadcast_to(inside, (len(self), most))
        index = np.minimum(begin[:, None] + np.arange(most), max(self.samples.values.shape[1] - 1, 0))
        return gather(self.samples, index), inside
