"""Functions that change labels or the order of series."""

import re
from collections.abc import Sequence

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.patterns import pattern
from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import Codes, Index, Mask
from mainstay.observe.metrics.promql.vector import Vector, merged, row_ids, with_column


def _check(label: str, function: str) -> None:
    if not label or any(0xDC80 <= ord(letter) <= 0xDCFF for letter in label):
        raise QueryError(f"invalid destination label name in {function}(): {label!r}")


def _relabelled(vector: Vector, label: str, codes: Codes, changed: Mask) -> Vector:
    unnamed = vector.unnamed
    if label == NAME and unnamed is not None:  # a name that is set on purpose stays
        unnamed = unnamed & ~changed
    return merged(Vector(with_column(vector.series, label, codes), vector.values, vector.present, unnamed))


def replaced(vector: Vector, target: str, template: str, source: str, expression: str) -> Vector:
    """Set `target` to the template filled from a match of the whole text of `source`; others stay as they are."""
    compiled = pattern(expression)
    _check(target, "label_replace")
    symbols = vector.series.symbols
    distinct, inverse = np.unique(vector.series.column(source), return_inverse=True)
    made = [compiled.expand(symbols.texts[code], template) for code in distinct.tolist()]
    texts = np.array([-1 if text is None else symbols.code(text) for text in made], np.int32)
    new = texts[inverse] if len(distinct) else np.zeros(0, np.int32)
    codes = np.where(new >= 0, new, vector.series.column(target)).astype(np.int32)
    return _relabelled(vector, target, codes, new >= 0)


def joined(vector: Vector, target: str, separator: str, sources: Sequence[str]) -> Vector:
    """Set `target` to the texts of `sources` with the separator between them."""
    _check(target, "label_join")
    for source in sources:
        _check(source, "label_join")
    symbols = vector.series.symbols
    columns = np.stack([vector.series.column(source) for source in sources], axis=1) if sources else None
    if columns is None:
        codes = np.zeros(len(vector.series), np.int32)
    else:
        of_row, first = row_ids(columns)
        texts = [separator.join(symbols.texts[code] for code in columns[row].tolist()) for row in first.tolist()]
        made = np.array([symbols.code(text) for text in texts], np.int32)
        codes = made[of_row] if len(made) else np.zeros(0, np.int32)
    return _relabelled(vector, target, codes, np.ones(len(codes), np.bool_))


def order_by_value(vector: Vector, *, descending: bool) -> Index:
    """Return the rows of an instant vector by value, NaN last."""
    values = vector.values[:, 0]
    return np.argsort(-values if descending else values, kind="stable")


_DIGITS = re.compile(r"(\d+)")


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key by which texts sort with the numbers in them as numbers."""
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in _DIGITS.split(text) if part]


def order_by_labels(vector: Vector, labels: Sequence[str], *, descending: bool) -> Index:
    """Return the rows of a vector by the labels given, then by all labels, numbers in texts counting as numbers."""
    rows = vector.series.all_labels()

    def key(row: int) -> tuple[list[list[tuple[int, int, str]]], list[tuple[str, str]]]:
        return [natural(rows[row].get(label, "")) for label in labels], sorted(rows[row].items())

    return np.array(sorted(range(len(rows)), key=key, reverse=descending), np.intp)
