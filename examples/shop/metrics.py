"""Counters, gauges and histograms in the Prometheus text exposition format 0.0.4."""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[str, ...]


class Family:
    """All series of one metric name. Safe to use from many threads."""

    kind = "untyped"

    def __init__(self, name: str, meaning: str, label_names: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.label_names = label_names
        self._lock = threading.Lock()

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {_escape_help(self.meaning)}"
        yield f"# TYPE {self.name} {self.kind}"
        yield from self._samples()

    def _samples(self) -> Iterator[str]:
        raise NotImplementedError

    def _values_of(self, labels: Mapping[str, str]) -> Labels:
        if labels.keys() != set(self.label_names):
            raise ValueError(f"{self.name} takes the labels {self.label_names}, not {tuple(labels)}")
        return tuple(labels[name] for name in self.label_names)

    def _sample(self, values: Labels, number: float, suffix: str = "", extra: str = "") -> str:
        pairs = [f'{name}="{_escape_label(value)}"' for name, value in zip(self.label_names, values, strict=True)]
        if extra:
            pairs.append(extra)
        labels = "{" + ",".join(pairs) + "}" if pairs else ""
        return f"{self.name}{suffix}{labels} {number!r}"


class Counter(Family):
    kind = "counter"

    def __init__(self, name: str, meaning: str, label_names: Labels = ()) -> None:
        super().__init__(name, meaning, label_names)
        self._totals: dict[Labels, float] = {} if label_names else {(): 0.0}

    def add(self, amount: float = 1.0, **labels: str) -> None:
        values = self._values_of(labels)
        with self._lock:
            self._totals[values] = self._totals.get(values, 0.0) + amount

    def _samples(self) -> Iterator[str]:
        with self._lock:
            totals = dict(self._totals)
        for values, total in totals.items():
            yield self._sample(values, total)


class Gauge(Family):
    """A value that goes up and down. A series that was never set is absent, not zero."""

    kind = "gauge"

    def __init__(self, name: str, meaning: str, label_names: Labels = (), kind: str = "gauge") -> None:
        super().__init__(name, meaning, label_names)
        self.kind = kind
        self._now: dict[Labels, float] = {}

    def set(self, number: float, **labels: str) -> None:
        values = self._values_of(labels)
        with self._lock:
            self._now[values] = float(number)

    def _samples(self) -> Iterator[str]:
        with self._lock:
            now = dict(self._now)
        for values, number in now.items():
            yield self._sample(values, number)


class Histogram(Family):
    """Counts of observations at or below each bound, plus their sum. Durations are in seconds."""

    kind = "histogram"

    def __init__(
        self, name: str, meaning: str, label_names: Labels = (), bounds: tuple[float, ...] = DURATION_BUCKETS_S
    ) -> None:
        super().__init__(name, meaning, label_names)
        self._bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, number: float, **labels: str) -> None:
        values = self._values_of(labels)
        with self._lock:
            counts = self._counts.setdefault(values, [0] * (len(self._bounds) + 1))
            counts[bisect_left(self._bounds, number)] += 1
            self._sums[values] = self._sums.get(values, 0.0) + number

    def _samples(self) -> Iterator[str]:
        with self._lock:
            copies = [(values, list(counts), self._sums[values]) for values, counts in self._counts.items()]
        for values, counts, total in copies:
            running = 0
            for bound, count in zip((*map(repr, self._bounds), "+Inf"), counts, strict=True):
                running += count
                yield self._sample(values, running, "_bucket", f'le="{bound}"')
            yield self._sample(values, total, "_sum")
            yield self._sample(values, running, "_count")


def exposition(families: tuple[Family, ...]) -> bytes:
    return ("\n".join(line for family in families for line in family.lines()) + "\n").encode()


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escape_label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
