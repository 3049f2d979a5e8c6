"""What a query returns."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.series import Index, Mask, Samples, Series, Times, Values
from mainstay.observe.metrics.promql.windows import Windows

Point = tuple[int, float]


@dataclass(frozen=True, eq=False)
class Result:
    """Series and their values at the steps of the query.

    Every series has at least one value. A scalar has one series without labels, a string has none and its `text`. A
    range selector evaluated at one instant has raw samples: each series then has times of its own, and `values` are
    laid out over all of them.
    """

    kind: Kind
    series: Series
    times_ms: Times
    grid_values: Values
    grid_present: Mask | None
    text: str = ""
    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    raw: Samples | None = None  # of a range selector; no staleness markers

    @cached_property
    def _laid_out(self) -> tuple[Times, Values, Mask]:
        raw = self.raw
        if raw is None:
            present = np.ones(self.grid_values.shape, np.bool_) if self.grid_present is None else self.grid_present
            return self.times_ms, self.grid_values, present
        counted = np.arange(raw.times.shape[1]) < raw.counts[:, None]
        times = np.unique(raw.times[counted])
        values = np.zeros((len(self.series), len(times)))
        present = np.zeros(values.shape, np.bool_)
        rows, columns = np.nonzero(counted[raw.group])
        at = np.searchsorted(times, raw.times[raw.group[rows], columns])
        values[rows, at] = raw.values[rows, columns]
        present[rows, at] = True
        return times, values, present

    @property
    def times(self) -> Times:
        """Return the steps, unix milliseconds [steps]."""
        return self._laid_out[0]

    @property
    def values(self) -> Values:
        """Return the values [series, steps]; they mean something where `present` is True."""
        return self._laid_out[1]

    @property
    def present(self) -> Mask:
        """Return where values are [series, steps]."""
        return self._laid_out[2]

    @property
    def scalar(self) -> float:
        """Return the number of an instant scalar query."""
        return float(self.grid_values[0, 0])

    def __len__(self) -> int:
        return len(self.series)

    @property
    def order(self) -> Index:
        """Return the order in which `rows` lists the series."""
        return self.series.by_labels() if self.kind is Kind.MATRIX else np.arange(len(self.series))

    def rows(self) -> Iterator[tuple[dict[str, str], list[Point]]]:
        """Yield each series' labels and its points (unix milliseconds, value), as the Prometheus API lists them.

        Instant vectors stand in the order of evaluation, ranges in the order of their labels.
        """
        labels = self.series.all_labels()
        yield from ((labels[row], self._points(row)) for row in self.order.tolist())

    def _points(self, row: int) -> list[Point]:
        raw = self.raw
        if raw is not None:
            group = raw.group[row]
            count = int(raw.counts[group])
            return list(zip(raw.times[group, :count].tolist(), raw.values[row, :count].tolist(), strict=True))
        times, values = self.times_ms, self.grid_values[row]
        if self.grid_present is not None:
            times, values = times[self.grid_present[row]], values[self.grid_present[row]]
        return list(zip(times.tolist(), values.tolist(), strict=True))


def raw_of(windows: Windows) -> tuple[Series, Samples]:
    """Return the samples of single windows, without the series that have none."""
    values, _ = windows.matrix(0)
    counts, begin = windows.counts[:, 0], windows.begin[:, 0]
    most = values.shape[1]
    index = np.minimum(begin[:, None] + np.arange(most), max(windows.times.shape[1] - 1, 0))
    times = np.take_along_axis(windows.times, index, axis=1) if most else windows.times[:, :0]
    group = windows.samples.group
    kept = np.flatnonzero(counts[group] > 0)
    used, compact = np.unique(group[kept], return_inverse=True)
    return windows.series.take(kept), Samples(times[used], counts[used], compact, values[kept])
