"""Binary operations on two vectors: which series belong together, and what comes of them."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.operators import ARITHMETIC, COMPARISONS, calculated
from mainstay.observe.metrics.promql.plan import NAME, Binary, Cardinality, Matching
from mainstay.observe.metrics.promql.series import Index, Mask, Series, stack
from mainstay.observe.metrics.promql.vector import (
    Groups,
    Vector,
    duplicates,
    merged,
    remember,
    row_ids,
    rows_below,
    shown,
    with_column,
    with_only,
    without,
)

_ONE_SIDE = "many-to-many matching not allowed: matching labels must be unique on one side"


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """How the rows of two tables match. `left` and `right` are the rows of each pair; `ids` number the keys."""

    left_ids: Index  # [left rows]
    right_ids: Index  # [right rows]
    number: int  # of different keys
    left: Index  # [pairs]
    right: Index  # [pairs]
    one_unique: bool  # no key occurs twice on the "one" side
    many_unique: bool  # nor on the other


def _reduced(series: Series, matching: Matching) -> Series:
    return with_only(series, matching.labels) if matching.on else without(series, (*matching.labels, NAME))


def _ids(left: Series, right: Series, matching: Matching) -> tuple[Index, Index, int]:
    both = stack(left.symbols, [_reduced(left, matching), _reduced(right, matching)])
    ids, first = row_ids(both.codes)
    return ids[: len(left)], ids[len(left) :], len(first)


def pairs_of(left: Series, right: Series, matching: Matching) -> Pairs:
    """Return how two tables match; remembered with the left one for the right one met last."""
    key = ("pairs", matching)
    known = left.derived.get(key)
    if known is not None and known[0] is right:
        return cast("Pairs", known[1])
    left_ids, right_ids, number = _ids(left, right, matching)
    many_left = matching.cardinality is not Cardinality.ONE_TO_MANY
    many_ids, one_ids = (left_ids, right_ids) if many_left else (right_ids, left_ids)
    order = np.argsort(one_ids, kind="stable")
    sizes = np.bincount(one_ids, minlength=number)
    starts = np.cumsum(sizes) - sizes
    repeats = sizes[many_ids] if len(many_ids) else np.zeros(0, np.intp)
    many = np.repeat(np.arange(len(many_ids)), repeats)
    place = np.arange(len(many)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    one = order[starts[many_ids[many]] + place] if len(many) else np.zeros(0, np.intp)
    found = Pairs(
        left_ids,
        right_ids,
        number,
        many if many_left else one,
        one if many_left else many,
        bool((sizes <= 1).all()),
        bool((np.bincount(many_ids, minlength=number) <= 1).all()) if len(many_ids) else True,
    )
    remember(left, key, (right, found))
    return found


def _result_series(left: Series, right: Series, pairs: Pairs, matching: Matching, *, drop: bool) -> Series:
    """Return the labels of each pair's result."""
    key = ("matched", matching, drop)
    known = left.derived.get(key)
    if known is not None and known[0] is right and known[1] is pairs:
        return cast("Series", known[2])
    many_left = matching.cardinality is not Cardinality.ONE_TO_MANY
    many, one = (left.take(pairs.left), right.take(pairs.right))
    if not many_left:
        many, one = one, many
    table = many
    if drop:
        table = without(table, (NAME,))
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        table = with_only(table, matching.labels) if matching.on else without(table, matching.labels)
    for label in matching.include:
        table = with_column(table, label, one.column(label))
    if table is many and len(pairs.left if many_left else pairs.right) == len(left if many_left else right):
        whole = left if many_left else right
        rows = pairs.left if many_left else pairs.right
        if (rows == np.arange(len(rows))).all():
            table = whole
    remember(left, key, (right, pairs, table))
    return table


def _refuse_repeats(present: Mask, ids: Index, number: int, series: Series, matching: Matching) -> None:
    """Raise QueryError if two rows of the "one" side have the same key and a value at the same step."""
    for step in range(present.shape[1]):
        rows = np.flatnonzero(present[:, step])
        counts = np.bincount(ids[rows], minlength=number)
        twice = np.flatnonzero(counts > 1)
        if len(twice):
            first, second = rows[ids[rows] == twice[0]][:2].tolist()
            labels = series.labels(first)
            group = {
                name: text
                for name, text in labels.items()
                if (name in matching.labels if matching.on else name not in (*matching.labels, NAME))
            }
            side = "left" if matching.cardinality is Cardinality.ONE_TO_MANY else "right"
            raise QueryError(
                f"found duplicate series for the match group {shown(group)} on the {side} hand-side of the operation: "
                f"[{shown(series.labels(second))}, {shown(labels)}];{_ONE_SIDE}"
            )


def _refuse_clashes(present: Mask, pairs: Pairs, ids: Index, series: Series, matching: Matching) -> None:
    """Raise QueryError if several results of one key come of one step where only one may."""
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        if pairs.many_unique:
            return
        keys, number = ids, pairs.number
        message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
    else:
        found = duplicates(series)
        if found is None:
            return
        keys = row_ids(np.stack([found.of_row, ids], axis=1).astype(np.int32))[0]
        number = int(keys.max(initial=-1)) + 1
        message = "multiple matches for labels: grouping labels must ensure unique matches"
    counts = np.zeros((number, present.shape[1]), np.int64)
    np.add.at(counts, keys, present)
    if counts.max(initial=0) > 1:
        raise QueryError(message)


def combined(node: Binary, left: Vector, right: Vector) -> Vector:
    """Return the result of arithmetic or a comparison of two vectors. QueryError where several series match one."""
    matching = node.matching
    assert matching is not None
    pairs = pairs_of(left.series, right.series, matching)
    many_left = matching.cardinality is not Cardinality.ONE_TO_MANY
    many, one = (left, right) if many_left else (right, left)
    one_ids = pairs.right_ids if many_left else pairs.left_ids
    many_ids = pairs.left_ids if many_left else pairs.right_ids
    if not pairs.one_unique:
        present = one.mask()
        if many.present is not None:  # without anything on the other side Prometheus does not look
            present = present & many.present.any(axis=0)
        if len(many.values):
            _refuse_repeats(present, one_ids, pairs.number, one.series, matching)
    compares = node.operator in COMPARISONS
    drop = node.operator in ARITHMETIC or node.return_bool
    a, b = _rows(left, pairs.left), _rows(right, pairs.right)
    present_pairs = _both(a.present, b.present)
    series = _result_series(left.series, right.series, pairs, matching, drop=drop)
    if not (pairs.many_unique and pairs.one_unique):  # whatever a comparison leaves: an error must not come and go
        mask = np.ones(a.values.shape, np.bool_) if present_pairs is None else present_pairs
        _refuse_clashes(mask, pairs, many_ids[pairs.left if many_left else pairs.right], series, matching)
    if compares and not node.return_bool:
        kept = COMPARISONS[node.operator](a.values, b.values)
        values = a.values
        present_pairs = kept if present_pairs is None else kept & present_pairs
    else:
        values = calculated(node.operator, a.values, b.values)
    unnamed = None if drop else (a if many_left else b).unnamed
    if matching.cardinality is Cardinality.ONE_TO_ONE and matching.on and NAME not in matching.labels:
        unnamed = None
    return merged(Vector(series, values, present_pairs, unnamed))


def _both(left: Mask | None, right: Mask | None) -> Mask | None:
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _rows(vector: Vector, rows: Index) -> Vector:
    """Return rows of a vector's values; the labels are left alone."""
    if len(rows) == len(vector.values) and (rows == np.arange(len(rows))).all():
        return vector
    present = None if vector.present is None else vector.present[rows]
    unnamed = None if vector.unnamed is None else vector.unnamed[rows]
    return Vector(vector.series, vector.values[rows], present, unnamed)


def _keys_present(vector: Vector, ids: Index, number: int) -> Mask:
    """Tell which keys have a value [keys, steps]."""
    found = np.zeros((number, vector.values.shape[1]), np.bool_)
    if vector.present is None:
        found[ids] = True
    else:
        np.logical_or.at(found, ids, vector.present)
    return found


def set_operation(node: Binary, left: Vector, right: Vector) -> Vector:
    """Return left and / or / unless right."""
    matching = node.matching
    assert matching is not None
    key = ("set", matching)
    known = left.series.derived.get(key)
    if known is None or known[0] is not right.series:
        known = (right.series, _ids(left.series, right.series, matching))
        remember(left.series, key, known)
    left_ids, right_ids, number = known[1]
    if node.operator != "or":
        there = _keys_present(right, right_ids, number)[left_ids]
        present = left.mask() & (there if node.operator == "and" else ~there)
        return Vector(left.series, left.values, present, left.unnamed)
    there = _keys_present(left, left_ids, number)[right_ids]
    present = right.mask() & ~there
    if not present.any():
        return left
    added = Vector(right.series, right.values, present, right.unnamed)
    known = left.series.derived.get("or")
    if known is None or known[0] is not right.series:
        series = stack(left.series.symbols, [left.series, right.series])
        known = (right.series, series)
        remember(left.series, "or", known)
    result = rows_below(known[1], [left, added])
    if result.unnamed is not None:  # rows of equal labels may be told apart at the end of the query only
        return _named_alike(result)
    return merged(result)


def _named_alike(vector: Vector) -> Vector:
    """Join rows of equal labels and equal mark."""
    unnamed = np.zeros(len(vector.series), np.bool_) if vector.unnamed is None else vector.unnamed
    groups: Groups | None = duplicates(vector.series)
    if groups is None:
        return vector
    kept = [merged(vector.take(np.flatnonzero(unnamed == mark))) for mark in (False, True)]
    parts = [part for part in kept if len(part.series)]
    series = stack(vector.series.symbols, [part.series for part in parts])
    return rows_below(series, parts)
