"""Series in memory: for tests, and for whoever has samples at hand."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Matcher, MatchKind, Selector
from mainstay.observe.metrics.promql.series import Hints, Index, Samples, Selection, Series, Symbols, matching_rows
from mainstay.observe.metrics.promql.windows import clean_times, positions

Points = Iterable[tuple[int, float]]  # unix milliseconds, value


def labels_of(text: str) -> dict[str, str]:
    """Return the labels that a series written as in PromQL has, as `up{job="shop"}`."""
    node = parse(text).node
    if not isinstance(node, Selector) or any(matcher.kind is not MatchKind.EQUAL for matcher in node.matchers):
        raise QueryError(f'{text!r} is not one series; write it as name{{label="value"}}.')
    return {matcher.name: matcher.value for matcher in node.matchers}


class MemorySource:
    """A source of series given once: a mapping from series to points, or pairs of labels and points.

    Points may come in any order; of two at the same time the later given counts.
    """

    def __init__(self, series: Mapping[str, Points] | Iterable[tuple[Mapping[str, str], Points]]) -> None:
        pairs = (
            [(labels_of(text), points) for text, points in series.items()] if isinstance(series, Mapping) else series
        )
        self._symbols = Symbols()
        rows: list[Mapping[str, str]] = []
        columns: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
        for labels, points in pairs:
            ordered = sorted(dict(points).items())
            rows.append(labels)
            columns.append((tuple(time for time, _ in ordered), tuple(value for _, value in ordered)))
        groups: dict[tuple[int, ...], int] = {}
        group = np.array([groups.setdefault(times, len(groups)) for times, _ in columns], np.intp)
        most = max((len(times) for times in groups), default=0)
        table = np.zeros((len(groups), most), np.int64)
        for number, times in enumerate(groups):
            table[number, : len(times)] = times
        values = np.zeros((len(rows), most))
        for number, (_, numbers) in enumerate(columns):
            values[number, : len(numbers)] = numbers
        counts = np.array([len(times) for times in groups], np.intp)
        self._series = Series.of(self._symbols, rows)
        self._samples = Samples(table, counts, group, values)
        self._times = clean_times(self._samples)
        self._matched: dict[tuple[Matcher, ...], Index] = {}
        self._found: dict[bytes, Series] = {}

    @property
    def symbols(self) -> Symbols:
        """Return the table of label texts."""
        return self._symbols

    def _rows(self, matchers: Sequence[Matcher]) -> Index:
        key = tuple(matchers)
        if key not in self._matched:
            self._matched[key] = np.flatnonzero(matching_rows(self._series, matchers))
        return self._matched[key]

    def _bounds(self, after_ms: int, until_ms: int) -> tuple[Index, Index]:
        found = positions(self._times, np.array([after_ms, until_ms], np.int64))
        return found[:, 0], found[:, 1]

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        """Return the series that match and have a sample in (after_ms, until_ms], and those samples."""
        rows = self._rows(matchers)
        begin, end = self._bounds(after_ms, until_ms)
        group = self._samples.group
        rows = rows[(end > begin)[group[rows]]]
        key = rows.tobytes()
        if key not in self._found:
            self._found[key] = self._series.take(rows)
        used, compact = np.unique(group[rows], return_inverse=True)
        counts = (end - begin)[used]
        most = int(counts.max(initial=0))
        column = np.minimum(begin[used][:, None] + np.arange(most), max(self._times.shape[1] - 1, 0))
        times = np.take_along_axis(self._samples.times[used], column, axis=1)
        values = np.take_along_axis(self._samples.values[rows], column[compact], axis=1)
        return Selection(self._found[key], Samples(times, counts, compact, values))

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Return how many samples `select` would return."""
        begin, end = self._bounds(after_ms, until_ms)
        return int((end - begin)[self._samples.group[self._rows(matchers)]].sum())
