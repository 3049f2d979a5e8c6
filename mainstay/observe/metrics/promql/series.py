"""Series and their samples in columns: what a store hands to the evaluator, and what the evaluator calculates with.

Labels are numbers. A `Symbols` table holds each text once; a `Series` is a table of codes, one row a series, one column
a label name. To match, group and join is then arithmetic on integer columns, whatever the number of series; texts are
made only for what is shown.

Times are unix milliseconds (int64). Values are float64. Two NaNs mean something: `STALE` (the series has ended here, as
Prometheus marks it) and `ABSENT` (no sample at all); both are told from an ordinary NaN by their bits only.
"""

import struct
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.patterns import accepts
from mainstay.observe.metrics.promql.plan import Matcher, MatchKind

Codes = NDArray[np.int32]
Times = NDArray[np.int64]
Values = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

STALE_BITS = 0x7FF0000000000002
ABSENT_BITS = 0x7FF0000000000A0A
STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
ABSENT: float = struct.unpack("<d", struct.pack("<Q", ABSENT_BITS))[0]


def is_stale(values: Values) -> Mask:
    """Tell which values are staleness markers."""
    found: Mask = values.view(np.uint64) == STALE_BITS
    return found


def is_special(values: Values) -> Mask:
    """Tell which values are no samples: staleness markers and absences."""
    bits = values.view(np.uint64)
    found: Mask = (bits == STALE_BITS) | (bits == ABSENT_BITS)
    return found


class Symbols:
    """Texts and their codes. Code 0 is the empty text: a label with it is a label that is absent. Grows only.

    Several threads may add; readers need no lock, for a code is given out after its text is in place.
    """

    __slots__ = ("_adding", "_codes", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}
        self._adding = Lock()

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        """Return the code of `text`, giving it one if it has none."""
        code = self._codes.get(text)
        if code is None:
            with self._adding:
                code = self._codes.get(text)
                if code is None:
                    code = len(self.texts)
                    self.texts.append(text)
                    self._codes[text] = code
        return code

    def find(self, text: str) -> int | None:
        """Return the code of `text`, or None if no series has ever used it."""
        return self._codes.get(text)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Label sets, one a row. `names` is sorted and holds `__name__` like any other; `codes` is [series, name].

    `derived` remembers what is computed from the labels alone (groups, matches, names dropped). A store that hands out
    the same object while a selector's series stay the same saves the evaluator that work in every round.
    """

    symbols: Symbols
    names: tuple[str, ...]
    codes: Codes
    derived: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, symbols: Symbols, rows: Sequence[Mapping[str, str]]) -> "Series":
        """Make a table of label sets given as mappings."""
        names = tuple(sorted({name for row in rows for name in row}))
        codes = np.zeros((len(rows), len(names)), np.int32)
        for number, row in enumerate(rows):
            for column, name in enumerate(names):
                codes[number, column] = symbols.code(row.get(name, ""))
        return cls(symbols, names, codes)

    def column(self, name: str) -> Codes:
        """Return the codes of one label, zeros if no series has it."""
        if name in self.names:
            return self.codes[:, self.names.index(name)]
        return np.zeros(len(self.codes), np.int32)

    def take(self, rows: Index | Mask) -> "Series":
        """Return some of the series."""
        return Series(self.symbols, self.names, self.codes[rows])

    def labels(self, row: int) -> dict[str, str]:
        """Return one series' labels, sorted by name, without the absent ones."""
        texts = self.symbols.texts
        codes = self.codes[row].tolist()
        return {name: texts[code] for name, code in zip(self.names, codes, strict=True) if code}

    def all_labels(self) -> list[dict[str, str]]:
        """Return every series' labels."""
        texts = self.symbols.texts
        return [
            {name: texts[code] for name, code in zip(self.names, row, strict=True) if code}
            for row in self.codes.tolist()
        ]

    def by_labels(self) -> Index:
        """Return the rows in the order of their labels, as lists of pairs are ordered."""
        count, texts = len(self.codes), self.symbols.texts
        keys = [np.zeros(count, np.intp)]
        more = np.zeros(count, np.bool_)  # whether a label follows
        for codes in self.codes.T[::-1]:
            distinct, which = np.unique(codes, return_inverse=True)
            rank = np.empty(len(distinct), np.intp)
            rank[sorted(range(len(distinct)), key=lambda at: texts[distinct[at]])] = np.arange(1, len(distinct) + 1)
            # Without the label a row goes on with a later name, or ends.
            keys.append(np.where(codes == 0, more * (len(distinct) + 1), rank[which]))
            more |= codes != 0
        return np.lexsort(keys)


def stack(symbols: Symbols, tables: Iterable[Series]) -> Series:
    """Put tables of series with different label names below one another."""
    tables = list(tables)
    names = tuple(sorted({name for table in tables for name in table.names}))
    codes = np.zeros((sum(map(len, tables)), len(names)), np.int32)
    begin = 0
    for table in tables:
        end = begin + len(table)
        codes[begin:end, [names.index(name) for name in table.names]] = table.codes
        begin = end
    return Series(symbols, names, codes)


def matching_rows(series: Series, matchers: Sequence[Matcher]) -> Mask:
    """Tell which series [series] satisfy all matchers."""
    kept = np.ones(len(series), np.bool_)
    for matcher in matchers:
        column = series.column(matcher.name)
        if matcher.kind in (MatchKind.EQUAL, MatchKind.NOT_EQUAL):
            code = series.symbols.find(matcher.value)
            equal = column == (-1 if code is None else code)
            kept &= equal if matcher.kind is MatchKind.EQUAL else ~equal
            continue
        distinct, inverse = np.unique(column, return_inverse=True)
        texts = series.symbols.texts
        verdicts = np.array([accepts(matcher, texts[code]) for code in distinct.tolist()], np.bool_)
        kept &= verdicts[inverse] if len(distinct) else kept
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples of series, a row each. Series that were sampled together share a row of times.

    `group[s]` is the row of `times` that belongs to series `s`; of it the first `counts[group[s]]` columns count, in
    ascending order. `values[s]` has the samples in the same columns. What lies right of them is anything.
    A `STALE` may be among the values, an `ABSENT` never: see `packed`.
    """

    times: Times  # [groups, most]
    counts: Index  # [groups]
    group: Index  # [series]
    values: Values  # [series, most]


def packed(samples: Samples, drop: Mask) -> Samples:
    """Leave out the values that `drop` [series, most] marks. Series that lose some get a row of times of their own."""
    drop = drop & (np.arange(samples.values.shape[1]) < samples.counts[samples.group][:, None])
    losing = np.flatnonzero(drop.any(axis=1))
    if not len(losing):
        return samples
    keep = ~drop[losing] & (np.arange(drop.shape[1]) < samples.counts[samples.group[losing]][:, None])
    order = np.argsort(~keep, axis=1, kind="stable")  # what is kept first, in its order
    values = samples.values.copy()
    values[losing] = np.take_along_axis(samples.values[losing], order, axis=1)
    times = np.take_along_axis(samples.times[samples.group[losing]], order, axis=1)
    group = samples.group.copy()
    group[losing] = len(samples.times) + np.arange(len(losing))
    return Samples(
        np.concatenate([samples.times, times]), np.concatenate([samples.counts, keep.sum(axis=1)]), group, values
    )


@dataclass(frozen=True, slots=True)
class Hints:
    """What the samples are wanted for, so that a store may answer long ranges from rollups."""

    function: str = ""  # innermost range function around the selector, "" for an instant selector
    range_ms: int = 0  # of the range selector, 0 for an instant selector
    step_ms: int = 0  # of the range query, 0 for an instant query


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a store found: series and, row by row, their samples."""

    series: Series
    samples: Samples


class Source(Protocol):
    """Where samples come from."""

    @property
    def symbols(self) -> Symbols:
        """The table in which the codes of all its series stand. The evaluator adds to it."""
        ...

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        """Return the series that match and have a sample in (after_ms, until_ms], each once, and those samples."""
        ...

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Return about how many samples `select` would return, without reading them."""
        ...
