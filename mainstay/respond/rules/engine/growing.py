"""Series in memory that grow while rules are evaluated on them: what unit tests and replays read and write."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mainstay.observe.metrics.promql.plan import Matcher
from mainstay.observe.metrics.promql.series import STALE, Hints, Samples, Selection, Series, Symbols, matching_rows

Key = tuple[tuple[str, str], ...]


class GrowingSource:
    """A source of samples to which samples can be added, each series in order of time.

    Nothing after `now_ms` is seen, as if it had not come in yet.
    """

    def __init__(self, series: Iterable[tuple[Mapping[str, str], Iterable[tuple[int, float]]]] = ()) -> None:
        self.now_ms = 2**62
        self._symbols = Symbols()
        self._rows: dict[Key, int] = {}
        self._labels: list[Mapping[str, str]] = []
        self._times: list[list[int]] = []
        self._values: list[list[float]] = []
        self._table: Series | None = None
        for labels, points in series:
            for at_ms, value in points:
                self.add(labels, at_ms, value)

    @property
    def symbols(self) -> Symbols:
        """The table of label texts."""
        return self._symbols

    def add(self, labels: Mapping[str, str], at_ms: int, value: float) -> None:
        """Add a sample. One that is not newer than the last of its series is left out, as Prometheus does."""
        key = tuple(sorted(labels.items()))
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = len(self._labels)
            self._labels.append(dict(key))
            self._times.append([])
            self._values.append([])
            self._table = None
        if not self._times[row] or at_ms > self._times[row][-1]:
            self._times[row].append(at_ms)
            self._values[row].append(value)

    def end(self, labels: Mapping[str, str], at_ms: int) -> None:
        """Mark the end of a series."""
        self.add(labels, at_ms, STALE)

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        """Return the series that match and have a sample in (after_ms, until_ms], and those samples."""
        table, found = self._found(matchers, after_ms, until_ms)
        most = max((end - begin for _, begin, end in found), default=0)
        times = np.zeros((len(found), most), np.int64)
        values = np.zeros((len(found), most))
        counts = np.array([end - begin for _, begin, end in found], np.intp)
        for number, (row, begin, end) in enumerate(found):
            times[number, : end - begin] = self._times[row][begin:end]
            values[number, : end - begin] = self._values[row][begin:end]
        rows = np.array([row for row, _, _ in found], np.intp)
        return Selection(table.take(rows), Samples(times, counts, np.arange(len(found)), values))

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Return how many samples `select` would return."""
        return sum(end - begin for _, begin, end in self._found(matchers, after_ms, until_ms)[1])

    def _found(
        self, matchers: Sequence[Matcher], after_ms: int, until_ms: int
    ) -> tuple[Series, list[tuple[int, int, int]]]:
        if self._table is None:
            self._table = Series.of(self._symbols, self._labels)
        until_ms = min(until_ms, self.now_ms)
        found = []
        for row in np.flatnonzero(matching_rows(self._table, matchers)).tolist():
            times = self._times[row]
            begin, end = bisect_right(times, after_ms), bisect_right(times, until_ms)
            if end > begin:
                found.append((row, begin, end))
        return self._table, found
