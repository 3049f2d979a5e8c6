"""What nodes evaluate to: vectors and scalars over the steps of a query, and the operations on label tables alone.

A vector keeps all series of its selector at every step and says by a mask where they have a value. The table of labels
therefore stays the same object from round to round, and so does everything derived from it.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import cast

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import Codes, Index, Mask, Series, Values, stack

_REMEMBERED = 64  # groupings and matches of one table of series
SAME_LABELS = "vector cannot contain metrics with the same labelset"


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """Series with at most one value each a step.

    Where `present` is False the value means nothing; `present` None means that every series has a value at every step.
    `unnamed` marks series whose name counts until the end of the query, but is not shown (delayed name removal).
    """

    series: Series
    values: Values  # [series, steps]
    present: Mask | None = None  # [series, steps]
    unnamed: Mask | None = None  # [series]

    def mask(self) -> Mask:
        """Return where values are, as an array in any case."""
        return np.ones(self.values.shape, np.bool_) if self.present is None else self.present

    def take(self, rows: Index) -> "Vector":
        """Return some of the series, in the order given."""
        return Vector(
            self.series.take(rows),
            self.values[rows],
            None if self.present is None else self.present[rows],
            None if self.unnamed is None else self.unnamed[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A number at every step."""

    values: Values  # [steps]


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """A partition of the rows of a table. Groups are numbered in the order in which they first occur."""

    series: Series  # of the groups
    of_row: Index  # [rows]: the group of each row
    order: Index  # [rows]: the rows, group by group, each in the table's order
    starts: Index  # [groups]: where each group begins in `order`
    sizes: Index  # [groups]

    def __len__(self) -> int:
        return len(self.starts)


def remember(series: Series, key: Hashable, value: object) -> None:
    """Keep what was derived from a table with the table; the oldest goes when there is much of it."""
    derived = series.derived
    if len(derived) >= _REMEMBERED:
        derived.pop(next(iter(derived)), None)
    derived[key] = value


def row_ids(columns: Codes) -> tuple[Index, Index]:
    """Number distinct rows [rows, columns] by first occurrence: the number of each row, the first row of each."""
    rows, width = columns.shape
    if rows == 0 or width == 0:
        return np.zeros(rows, np.intp), np.zeros(min(rows, 1), np.intp)
    key = columns[:, 0].astype(np.int64)
    largest = int(key.max()) + 1
    for column in range(1, width):
        more = int(columns[:, column].max()) + 1
        if largest * more >= 2**62:
            distinct, key = np.unique(key, return_inverse=True)
            largest = len(distinct)
        key = key * more + columns[:, column]
        largest *= more
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return rank[inverse], first[order]


def grouped(columns: Codes, series: Series) -> Groups:
    """Partition rows by equal `columns` [rows, any]; `series` [rows] gives a group's labels by its first row."""
    of_row, first = row_ids(columns)
    order = np.argsort(of_row, kind="stable")
    sizes = np.bincount(of_row, minlength=len(first)).astype(np.intp)
    starts = np.concatenate([np.zeros(1, np.intp), np.cumsum(sizes)[:-1]]) if len(first) else np.zeros(0, np.intp)
    return Groups(series.take(first), of_row, order, starts, sizes)


def with_only(series: Series, labels: tuple[str, ...]) -> Series:
    """Return the table with these labels alone (those that exist)."""
    kept = [number for number, name in enumerate(series.names) if name in labels]
    return Series(series.symbols, tuple(series.names[number] for number in kept), series.codes[:, kept])


def without(series: Series, labels: tuple[str, ...]) -> Series:
    """Return the table without these labels."""
    kept = [number for number, name in enumerate(series.names) if name not in labels]
    if len(kept) == len(series.names):
        return series
    return Series(series.symbols, tuple(series.names[number] for number in kept), series.codes[:, kept])


def with_column(series: Series, label: str, codes: Codes) -> Series:
    """Return the table with one label set to `codes` [rows]."""
    names = tuple(sorted({*series.names, label}))
    table = np.empty((len(series), len(names)), np.int32)
    for number, name in enumerate(names):
        table[:, number] = codes if name == label else series.column(name)
    return Series(series.symbols, names, table)


def nameless(series: Series) -> Series:
    """Return the table without metric names; the same object each time."""
    if NAME not in series.names:
        return series
    found = series.derived.get("nameless")
    if found is None:
        found = without(series, (NAME,))
        names = series.column(NAME)
        if len(names) and (names == names[0]).all():  # one metric: what differed before still differs
            found.derived["duplicates"] = None
        remember(series, "nameless", found)
    return cast("Series", found)


def duplicates(series: Series) -> Groups | None:
    """Return the partition by equal label sets, or None if all are different."""
    found = series.derived.get("duplicates", False)
    if found is False:
        groups = grouped(series.codes, series)
        found = None if len(groups) == len(series) else groups
        remember(series, "duplicates", found)
    return cast("Groups | None", found)


def merged(vector: Vector) -> Vector:
    """Join series with the same labels into one. QueryError if two have a value at the same step."""
    groups = duplicates(vector.series)
    if groups is None:
        return vector
    present = vector.mask()
    counts = np.add.reduceat(present[groups.order], groups.starts, axis=0, dtype=np.int64)
    if counts.max(initial=0) > 1:
        row = int(np.flatnonzero((counts > 1).any(axis=1))[0])
        raise QueryError(f"{SAME_LABELS}: {shown(groups.series.labels(row))}")
    values = np.zeros(counts.shape)
    rows, steps = np.nonzero(present)
    values[groups.of_row[rows], steps] = vector.values[rows, steps]
    unnamed = None
    if vector.unnamed is not None:
        unnamed = np.zeros(len(groups), np.bool_)
        np.logical_or.at(unnamed, groups.of_row, vector.unnamed)
    return Vector(groups.series, values, counts > 0, unnamed)


def drop_name(vector: Vector, *, delayed: bool, strict: bool = False) -> Vector:
    """Take the metric names off: at once, or by a mark that is honoured at the end of the query.

    Two series may become equal as long as no step has values of both; with `strict` they may not at all.
    """
    if NAME not in vector.series.names:
        return vector
    if delayed:
        marked = np.ones(len(vector.series), np.bool_)
        return Vector(vector.series, vector.values, vector.present, marked)
    found = Vector(nameless(vector.series), vector.values, vector.present)
    if strict and duplicates(found.series) is not None:
        found = found.take(np.flatnonzero(found.mask().any(axis=1)))
        groups = duplicates(found.series)
        if groups is not None:
            raise QueryError(f"{SAME_LABELS}: {shown(groups.series.labels(int(groups.sizes.argmax())))}")
    return merged(found)


def settle_names(vector: Vector) -> Vector:
    """Take off the names that are marked."""
    if vector.unnamed is None or not vector.unnamed.any():
        return vector
    codes = np.where(vector.unnamed, 0, vector.series.column(NAME)).astype(np.int32)
    return merged(Vector(with_column(vector.series, NAME, codes), vector.values, vector.present))


def below(vectors: list[Vector]) -> Vector:
    """Put vectors below one another; label sets that occur twice stay apart."""
    series = stack(vectors[0].series.symbols, [vector.series for vector in vectors])
    return rows_below(series, vectors)


def rows_below(series: Series, vectors: list[Vector]) -> Vector:
    """Put the values of vectors below one another; `series` is their table, already stacked."""
    values = np.concatenate([vector.values for vector in vectors])
    whole = all(vector.present is None for vector in vectors)
    present = None if whole else np.concatenate([vector.mask() for vector in vectors])
    unnamed = None
    if any(vector.unnamed is not None for vector in vectors):
        unnamed = np.concatenate(
            [np.zeros(len(vector.series), np.bool_) if vector.unnamed is None else vector.unnamed for vector in vectors]
        )
    return Vector(series, values, present, unnamed)


def shown(labels: dict[str, str]) -> str:
    """Write a label set as Prometheus does, the metric's name first."""
    inside = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != NAME)
    return f"{labels.get(NAME, '')}{{{inside}}}"
