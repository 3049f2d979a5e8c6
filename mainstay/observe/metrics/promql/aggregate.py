"""Aggregations: many series to one a group, or to some a group."""

import math
from collections.abc import Callable
from typing import cast

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.functions.over_time import quantile_of_sorted
from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import Index, Mask, Series, Values
from mainstay.observe.metrics.promql.sums import group_sums
from mainstay.observe.metrics.promql.vector import Groups, Vector, grouped, remember, with_column, with_only, without

_LARGEST_INT = 2.0**63


def groups_of(series: Series, labels: tuple[str, ...], *, drop: bool) -> Groups:
    """Return the partition `by` the labels, or (`drop`) `without` them and the metric's name; remembered."""
    key = ("without" if drop else "by", labels)
    found = series.derived.get(key)
    if found is None:
        reduced = without(series, (*labels, NAME)) if drop else with_only(series, labels)
        found = grouped(reduced.codes, reduced)
        remember(series, key, found)
    return cast("Groups", found)


def _over_groups(pick: "np.ufunc", values: Values, groups: Groups) -> Values:
    """Reduce the rows of each group."""
    if len(groups) == 1:
        found: Values = pick.reduce(values, axis=0, keepdims=True)
        return found
    if not len(values):
        return np.zeros((0, values.shape[1]))
    return cast("Values", pick.reduceat(values[groups.order], groups.starts, axis=0))


def _counts(vector: Vector, groups: Groups) -> Index:
    """Return how many series of each group have a value [groups, steps or 1]."""
    if vector.present is None:
        return groups.sizes[:, None]
    if vector.values.shape[1] == 1:
        return np.bincount(groups.of_row[vector.present[:, 0]], minlength=len(groups))[:, None]
    if not len(vector.values):
        return np.zeros((0, vector.values.shape[1]), np.intp)
    return np.add.reduceat(vector.present[groups.order], groups.starts, axis=0, dtype=np.intp)


def _filled(vector: Vector, filling: float) -> Values:
    return vector.values if vector.present is None else np.where(vector.present, vector.values, filling)


def _sum(vector: Vector, groups: Groups, counts: Index) -> Values:
    return group_sums(_filled(vector, 0.0), groups)


def _average(vector: Vector, groups: Groups, counts: Index) -> Values:
    values = _filled(vector, 0.0)
    sums = group_sums(values, groups)
    means = sums / counts
    if np.isinf(sums).any():
        # The sum overflowed or there are infinities; what was divided before is right in either case.
        spread = np.broadcast_to(counts, sums.shape)[groups.of_row]
        means = np.where(np.isinf(sums), group_sums(values / spread, groups), means)
    return means


def _smallest(vector: Vector, groups: Groups, counts: Index) -> Values:
    return _over_groups(np.fmin, _filled(vector, np.nan), groups)


def _largest(vector: Vector, groups: Groups, counts: Index) -> Values:
    return _over_groups(np.fmax, _filled(vector, np.nan), groups)


def _count(vector: Vector, groups: Groups, counts: Index) -> Values:
    return np.broadcast_to(counts, (len(groups), vector.values.shape[1])).astype(np.float64)


def _group(vector: Vector, groups: Groups, counts: Index) -> Values:
    return np.ones((len(groups), vector.values.shape[1]))


def _variance(vector: Vector, groups: Groups, counts: Index) -> Values:
    # Distances are taken from one of the group's own values: equal values have exactly no variance.
    mask = vector.mask()
    ordered = mask[groups.order]
    where = np.where(ordered, np.arange(len(ordered))[:, None], len(ordered))
    first = np.minimum.reduceat(where, groups.starts, axis=0) if len(where) else where
    some = np.take_along_axis(vector.values[groups.order], np.minimum(first, max(len(where) - 1, 0)), axis=0)
    distance = np.where(mask, vector.values - some[groups.of_row], 0.0)
    mean = group_sums(distance, groups) / counts
    rest = np.where(mask, distance - mean[groups.of_row], 0.0)
    return group_sums(rest * rest, groups) / counts


def _deviation(vector: Vector, groups: Groups, counts: Index) -> Values:
    return np.sqrt(_variance(vector, groups, counts))


_REDUCTIONS: dict[str, Callable[[Vector, Groups, Index], Values]] = {
    "sum": _sum,
    "avg": _average,
    "min": _smallest,
    "max": _largest,
    "count": _count,
    "group": _group,
    "stdvar": _variance,
    "stddev": _deviation,
}
AGGREGATIONS = (*_REDUCTIONS, "quantile", "topk", "bottomk", "count_values", "limitk", "limit_ratio")


def _unnamed(vector: Vector, groups: Groups) -> Mask | None:
    if vector.unnamed is None:
        return None
    found = np.zeros(len(groups), np.bool_)
    np.logical_or.at(found, groups.of_row, vector.unnamed)
    return found


def reduced(operator: str, vector: Vector, labels: tuple[str, ...], *, drop: bool) -> Vector:
    """Return one series a group."""
    groups = groups_of(vector.series, labels, drop=drop)
    counts = _counts(vector, groups)
    values = _REDUCTIONS[operator](vector, groups, counts)
    present = None if vector.present is None or (counts > 0).all() else counts > 0
    return Vector(groups.series, values, present, _unnamed(vector, groups))


def quantiles(vector: Vector, quantile: Values, labels: tuple[str, ...], *, drop: bool) -> Vector:
    """Return a quantile of each group; `quantile` [steps]."""
    groups = groups_of(vector.series, labels, drop=drop)
    steps = vector.values.shape[1]
    result = np.zeros((len(groups), steps))
    counts = np.broadcast_to(_counts(vector, groups), result.shape)
    widest = int(groups.sizes.max(initial=0))
    place = np.arange(len(groups.order)) - np.repeat(groups.starts, groups.sizes)
    cells = len(groups) * widest
    for step in range(steps):
        values = vector.values[:, step]
        present = np.ones(len(values), np.bool_) if vector.present is None else vector.present[:, step]
        if cells <= 4 * len(values) + 64:
            table = np.full((len(groups), widest), np.inf)
            table[groups.of_row[groups.order], place] = np.where(present, values, np.inf)[groups.order]
            undefined = np.bincount(groups.of_row[np.isnan(values) & present], minlength=len(groups))
            table.sort(axis=1)
            result[:, step] = quantile_of_sorted(float(quantile[step]), table, undefined, counts[:, step])
            continue
        for group in range(len(groups)):  # groups of very different size
            rows = groups.order[groups.starts[group] : groups.starts[group] + groups.sizes[group]]
            row = np.sort(np.where(present[rows], values[rows], np.inf))[None, :]
            undefined = np.array([np.count_nonzero(np.isnan(values[rows]) & present[rows])])
            result[group, step] = quantile_of_sorted(
                float(quantile[step]), row, undefined, counts[group : group + 1, step]
            )[0]
    present_groups = None if (counts > 0).all() else counts > 0
    return Vector(groups.series, result, present_groups, _unnamed(vector, groups))


def whole_numbers(parameter: Values) -> list[int]:
    """Return the parameter [steps] of topk and the like as integers; QueryError for what is none."""
    found = []
    for value in parameter.tolist():
        if math.isnan(value):
            raise QueryError("Parameter value is NaN")
        if not -_LARGEST_INT <= value < _LARGEST_INT:
            raise QueryError(f"Scalar value {value:g} overflows int64")
        found.append(int(value))
    return found


def ranked(
    vector: Vector, parameter: Values, labels: tuple[str, ...], *, drop: bool, largest: bool, order: bool
) -> Vector:
    """Return the `parameter` [steps] largest or smallest series of each group; NaN only if there is nothing else.

    With `order` (an instant query) the result stands group by group, the best first.
    """
    limits = whole_numbers(parameter)
    groups = groups_of(vector.series, labels, drop=drop)
    chosen = np.zeros(vector.values.shape, np.bool_)
    rows = np.zeros(0, np.intp)
    for step, limit in enumerate(limits):
        values = vector.values[:, step]
        key = -values if largest else values
        candidates = np.arange(len(values)) if vector.present is None else np.flatnonzero(vector.present[:, step])
        if limit < 1 or not len(candidates):
            rows = rows[:0]
            continue
        by_value = candidates[np.lexsort((key[candidates], groups.of_row[candidates]))]
        of_row = groups.of_row[by_value]
        begins = np.flatnonzero(np.concatenate([[True], of_row[1:] != of_row[:-1]]))
        place = np.arange(len(by_value)) - np.repeat(begins, np.diff(np.concatenate([begins, [len(by_value)]])))
        rows = by_value[place < limit]
        chosen[rows, step] = True
    result = Vector(vector.series, vector.values, chosen, vector.unnamed)
    return result.take(rows) if order else result


def first_of_groups(vector: Vector, parameter: Values, labels: tuple[str, ...], *, drop: bool) -> Vector:
    """Return the first `parameter` [steps] series of each group that have a value (limitk)."""
    limits = np.array(whole_numbers(parameter), dtype=np.float64)
    groups = groups_of(vector.series, labels, drop=drop)
    ordered = vector.mask()[groups.order]
    passed = np.cumsum(ordered, axis=0)
    before = np.concatenate([np.zeros((1, passed.shape[1]), passed.dtype), passed])[groups.starts]
    place = passed - np.repeat(before, groups.sizes, axis=0)
    chosen = np.zeros(vector.values.shape, np.bool_)
    chosen[groups.order] = ordered & (place <= limits)
    return Vector(vector.series, vector.values, chosen, vector.unnamed)


def share_of_series(vector: Vector, parameter: Values) -> Vector:
    """Return the series whose hash falls into the ratio `parameter` [steps] (limit_ratio), capped at -1 and 1.

    A negative ratio selects what its positive complement leaves. The hash is not Prometheus' own: another share.
    """
    if np.isnan(parameter).any():
        raise QueryError("Ratio value is NaN")
    ratio = np.clip(parameter, -1.0, 1.0)
    hashes = np.array(
        [hash_of(tuple(labels.items())) for labels in vector.series.all_labels()], dtype=np.float64
    ).reshape(-1, 1)
    chosen = np.where(ratio >= 0, hashes < ratio, hashes >= 1.0 + ratio) & vector.mask()
    return Vector(vector.series, vector.values, chosen, vector.unnamed)


def hash_of(labels: tuple[tuple[str, str], ...]) -> float:
    """Return a number in [0, 1) that depends on the labels alone."""
    value = 14695981039346656037  # FNV-1a, 64 bits
    for byte in "\xff".join(part for pair in labels for part in pair).encode("utf-8", "surrogateescape"):
        value = ((value ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & 0xFFFFFFFFFFFFFFFF
    return ((value ^ (value >> 33)) >> 11) / 2.0**53


def written(value: float) -> str:
    """Write a number as Prometheus labels it: the shortest digits, never with an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")


def value_counts(vector: Vector, label: str, labels: tuple[str, ...], *, drop: bool) -> Vector:
    """Return how often each value occurs in each group; the value becomes `label`."""
    mask = vector.mask()
    rows, steps = np.nonzero(mask)
    values = vector.values[rows, steps]
    distinct, number = np.unique(values, return_inverse=True)
    symbols = vector.series.symbols
    codes = np.array([symbols.code(written(value)) for value in distinct.tolist()], np.int32)
    pairs, pair = np.unique(np.stack([rows, codes[number]], axis=1), axis=0, return_inverse=True)
    pairs = pairs.reshape(-1, 2)
    table = with_column(vector.series.take(pairs[:, 0]), label, pairs[:, 1].astype(np.int32))
    groups = groups_of(table, tuple(sorted({*labels, label})) if not drop else labels, drop=drop)
    counts = np.zeros((len(groups), mask.shape[1]))
    np.add.at(counts, (groups.of_row[pair.reshape(-1)], steps), 1.0)
    return Vector(groups.series, counts, counts > 0)
