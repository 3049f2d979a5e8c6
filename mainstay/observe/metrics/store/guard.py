"""The cardinality guard: how many series there may be, and who is to blame when there are too many."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.store.index import SeriesIndex
from mainstay.observe.metrics.store.limits import Offenders, StoreLimits

_SAMPLE = 2_000  # refused label sets that are looked at to find the label that grows
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Blame:
    """What a refusal names."""

    metric: str
    series: int  # of the metric, those refused counted
    label: str  # with the most values, "" if the metric has none
    values: int
    limit: int
    of: str


class Guard:
    """Counts room, and remembers what was refused. The store's lock protects it."""

    def __init__(self, limits: StoreLimits, index: SeriesIndex) -> None:
        self._limits = limits
        self._index = index
        self.refused: Counter[tuple[str, str]] = Counter()

    def room(self, job: str, free_rows: int) -> int:
        """Return how many new series the job may bring. `free_rows` are those that memory still has room for."""
        limits, index = self._limits, self._index
        return max(0, min(limits.series - len(index), limits.series_of_job - index.of_job[job], free_rows))

    def blame(self, job: str, refused: Sequence[Mapping[str, str]], free_rows: int) -> Blame:
        """Count the refused series and find out which metric and which label brought them."""
        limits, index = self._limits, self._index
        by_metric = Counter(labels.get(NAME, "") for labels in refused)
        for metric, count in by_metric.items():
            self.refused[job, metric] += count
        if len(self.refused) > 10_000:  # names are foreign: they may not fill memory either
            self.refused = Counter(dict(self.refused.most_common(1_000)))
        totals = {metric: count + self._count(metric) for metric, count in by_metric.items()}
        metric = max(totals, key=lambda name: totals[name])
        label, values = self._grown(metric, [labels for labels in refused if labels.get(NAME, "") == metric])
        if limits.series_of_job - index.of_job[job] <= min(limits.series - len(index), free_rows):
            limit, of = limits.series_of_job, "of one job"
        elif limits.series - len(index) <= free_rows:
            limit, of = limits.series, "of all jobs"
        else:
            limit, of = len(index) + free_rows, "as many as fit in the memory allowed"
        return Blame(metric, totals[metric], label, values, limit, of)

    def _count(self, metric: str) -> int:
        table = self._index.tables.get(metric)
        return table.count if table is not None else 0

    def _grown(self, metric: str, refused: Sequence[Mapping[str, str]]) -> tuple[str, int]:
        """Return the label that brings the most values which are new, and how many it has then."""
        table, texts = self._index.tables.get(metric), self._index.symbols.texts
        fresh: dict[str, set[str]] = {}
        for labels in refused[:_SAMPLE]:
            for name, value in labels.items():
                if name != NAME:
                    fresh.setdefault(name, set()).add(value)
        grown: dict[str, tuple[int, int]] = {}
        for name, values in fresh.items():
            column = table.column(name) if table is not None else None
            known = {texts[code] for code in np.unique(column).tolist()} if column is not None else set()
            # Beyond what was looked at, the label grew at the same rate.
            rate = len(values - known) / min(len(refused), _SAMPLE)
            grown[name] = (round(rate * len(refused)), len(known) + round(rate * len(refused)))
        if not grown:
            return "", 0
        label = max(grown, key=lambda name: grown[name])
        return label, grown[label][1]

    def offenders(self) -> Offenders:
        """Return who has the most series, and what was refused."""
        metrics = Counter({metric: table.count for metric, table in self._index.tables.items()})
        refused = [(job, metric, count) for (job, metric), count in self.refused.most_common(_MOST_NAMED)]
        return Offenders(metrics.most_common(_MOST_NAMED), self._index.of_job.most_common(_MOST_NAMED), refused)
