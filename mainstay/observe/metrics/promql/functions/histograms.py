"""Quantiles and fractions of classic histograms: cumulative buckets that differ in their label `le`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from mainstay.observe.metrics.promql.series import Index, Mask, Series, Values
from mainstay.observe.metrics.promql.vector import Groups, Vector, grouped, remember, without

BUCKET_LABEL = "le"
_NOISE = 1e-12  # relative difference of neighbouring buckets that is taken for rounding
_SMALLEST_NORMAL = 2.2250738585072014e-308


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Histograms with about as many buckets each, as a table [histograms, buckets]."""

    groups: Index  # [histograms]: their numbers
    rows: Index  # series that are buckets of these
    cell: Index  # [rows]: where each goes, histogram * width + place; equal bounds share a place
    bounds: Values  # [histograms, width], ascending; filled up with NaN


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """How the series of a table form histograms."""

    groups: Groups
    shapes: tuple[Shape, ...]
    bad: Index  # rows whose `le` is missing or no number


def _bound(text: str) -> float:
    """Return the number in a label, NaN if it is none."""
    if not text or "_" in text or text != text.strip():
        return np.nan
    try:
        return float(text)
    except ValueError:
        return np.nan


def histograms_of(series: Series) -> Histograms:
    """Return how series form histograms; remembered."""
    found = series.derived.get("histograms")
    if found is not None:
        return cast("Histograms", found)
    codes = series.column(BUCKET_LABEL)
    distinct, inverse = np.unique(codes, return_inverse=True)
    texts = [series.symbols.texts[code] for code in distinct.tolist()]
    bounds = np.array([_bound(text) for text in texts], np.float64)[inverse]
    good = np.flatnonzero(~np.isnan(bounds))
    table = without(series.take(good), (BUCKET_LABEL,))
    groups = grouped(table.codes, table)
    order = np.lexsort((bounds[good], groups.of_row))
    rows, of_row, sorted_bounds = good[order], groups.of_row[order], bounds[good][order]
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = of_row[1:] != of_row[:-1]
    new = starts.copy()
    new[1:] |= sorted_bounds[1:] != sorted_bounds[:-1]
    place = np.cumsum(new) - 1
    place -= np.repeat(place[starts], groups.sizes) if len(rows) else 0
    widths = np.zeros(len(groups), np.intp)
    np.maximum.at(widths, of_row, place + 1)
    shapes = []
    size = np.ceil(np.log2(np.maximum(widths, 1))).astype(np.intp)
    for one in np.unique(size).tolist():
        members = np.flatnonzero(size == one)
        width = int(widths[members].max())
        number = np.full(len(groups), -1, np.intp)
        number[members] = np.arange(len(members))
        mine = np.flatnonzero(number[of_row] >= 0)
        cell = number[of_row[mine]] * width + place[mine]
        filled = np.full(len(members) * width, np.nan)
        filled[cell] = sorted_bounds[mine]
        shapes.append(Shape(members, rows[mine], cell, filled.reshape(len(members), width)))
    made = Histograms(groups, tuple(shapes), np.flatnonzero(np.isnan(bounds)))
    remember(series, "histograms", made)
    return made


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Cumulative counts of histograms, the present ones to the left: [histograms, buckets, steps], or broadcast so."""

    groups: Index
    bounds: Values
    counts: Values
    number: Index  # [histograms, steps] of buckets

    def last_bound(self) -> Values:
        """Return the highest bound [histograms, steps], NaN without buckets."""
        last = np.maximum(self.number - 1, 0)[:, None, :]
        bounds = np.broadcast_to(self.bounds, self.counts.shape)
        return np.where(self.number > 0, np.take_along_axis(bounds, last, axis=1)[:, 0, :], np.nan)


def _buckets(vector: Vector, shape: Shape) -> Buckets:
    height, width = shape.bounds.shape
    steps = vector.values.shape[1]
    counts = np.zeros((height * width, steps))
    there = np.zeros((height * width, steps), np.bool_)
    values = vector.values[shape.rows]
    present = np.ones(values.shape, np.bool_) if vector.present is None else vector.present[shape.rows]
    if len(np.unique(shape.cell)) == len(shape.cell):
        counts[shape.cell] = values
        there[shape.cell] = present
    else:
        np.add.at(counts, shape.cell, np.where(present, values, 0.0))
        np.logical_or.at(there, shape.cell, present)
    counts, there = counts.reshape(height, width, steps), there.reshape(height, width, steps)
    bounds = shape.bounds[:, :, None]
    number = there.sum(axis=1)
    if not (there == (np.arange(width)[None, :, None] < number[:, None, :])).all():
        order = np.argsort(~there, axis=1, kind="stable")
        counts = np.take_along_axis(counts, order, axis=1)
        bounds = np.take_along_axis(np.broadcast_to(bounds, counts.shape), order, axis=1)
    return Buckets(shape.groups, bounds, counts, number)


def each_shape(vector: Vector) -> Iterator[Buckets]:
    """Yield the histograms of a vector, those of about the same number of buckets together."""
    for shape in histograms_of(vector.series).shapes:
        yield _buckets(vector, shape)


def _repaired(buckets: Buckets) -> tuple[Values, Mask]:
    """Return counts that never fall, and where more than rounding was mended [histograms, steps]."""
    counts = buckets.counts.copy()
    mended = np.zeros(buckets.number.shape, np.bool_)
    previous = counts[:, 0, :].copy()
    for place in range(1, counts.shape[1]):
        current = counts[:, place, :]
        both = np.abs(previous) + np.abs(current)
        difference = np.abs(previous - current)
        tiny = (previous == 0) | (current == 0) | (both < _SMALLEST_NORMAL)
        close = np.where(tiny, difference < _NOISE * _SMALLEST_NORMAL, difference / both < _NOISE)
        there = place < buckets.number
        fell = (current < previous) & ~close & there
        mended |= fell
        kept = close | fell
        counts[:, place, :] = np.where(kept, previous, current)
        previous = np.where(kept | ~there, previous, current)
    return counts, mended


def _at(table: Values, place: Index) -> Values:
    """Return one bucket's figure of each histogram: table [histograms, buckets, steps] at place [.., steps]."""
    return np.take_along_axis(table, np.clip(place, 0, table.shape[1] - 1)[:, None, :], axis=1)[:, 0, :]


def quantiles(vector: Vector, quantile: Values) -> tuple[Vector, Index]:
    """Return the quantile [steps] of each histogram, and the rows of those whose counts had to be made monotonic.

    NaN for the quantile NaN, without observations, without a bucket for +Inf or with that one alone. The result keeps
    the metrics' names.
    """
    histograms = histograms_of(vector.series)
    shape = (len(histograms.groups), vector.values.shape[1])
    result, present = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    forced = np.zeros(len(histograms.groups), np.bool_)
    for buckets in each_shape(vector):
        counts, mended = _repaired(buckets)
        bounds = np.broadcast_to(buckets.bounds, counts.shape)
        number = buckets.number
        observations = _at(counts, number - 1)
        rank = quantile * observations
        searched = np.arange(counts.shape[1])[None, :, None] < (number - 1)[:, None, :]
        place = np.count_nonzero(searched & ~(counts >= rank[:, None, :]), axis=1)
        start = np.where(place > 0, _at(bounds, place - 1), 0.0)
        below = np.where(place > 0, _at(counts, place - 1), 0.0)
        end = _at(bounds, place)
        found = start + (end - start) * ((rank - below) / (_at(counts, place) - below))
        found = np.where((place == 0) & (end <= 0), end, found)
        found = np.where(place == number - 1, _at(bounds, number - 2), found)
        sound = (buckets.last_bound() == np.inf) & (number >= 2) & (observations != 0)
        sound &= (quantile >= 0) & (quantile <= 1)  # not so for NaN
        forced[buckets.groups] = (mended & sound).any(axis=1)
        found = np.where(sound, found, np.nan)
        found = np.where(quantile < 0, -np.inf, np.where(quantile > 1, np.inf, found))
        result[buckets.groups] = found
        present[buckets.groups] = number > 0
    return _result(vector, histograms, result, present), np.flatnonzero(forced)


def fractions(vector: Vector, lower: Values, upper: Values) -> Vector:
    """Return which part of the observations lies between `lower` and `upper` [steps], by linear interpolation."""
    histograms = histograms_of(vector.series)
    shape = (len(histograms.groups), vector.values.shape[1])
    result, present = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    for buckets in each_shape(vector):
        number = buckets.number
        bounds = np.broadcast_to(buckets.bounds, buckets.counts.shape)
        count = _at(buckets.counts, number - 1)
        ranks = [np.minimum(_rank(buckets, bounds, edge, count), count) for edge in (lower, upper)]
        found = np.where(lower >= upper, 0.0, (ranks[1] - ranks[0]) / count)
        unsound = (buckets.last_bound() != np.inf) | (count == 0) | np.isnan(lower) | np.isnan(upper)
        result[buckets.groups] = np.where(unsound, np.nan, found)
        present[buckets.groups] = number > 0
    return _result(vector, histograms, result, present)


def _rank(buckets: Buckets, bounds: Values, edge: Values, count: Values) -> Values:
    """Return how many observations are at or below `edge` [steps], interpolated: [histograms, steps]."""
    there = np.arange(bounds.shape[1])[None, :, None] < buckets.number[:, None, :]
    place = np.count_nonzero(there & (bounds <= edge), axis=1)  # the bucket the edge is in
    beyond = place >= buckets.number
    first = np.where(_at(bounds, np.zeros_like(place)) > 0, 0.0, -np.inf)
    start = np.where(place > 0, _at(bounds, place - 1), first)
    below = np.where(place > 0, _at(buckets.counts, place - 1), 0.0)
    inside = _at(buckets.counts, place)
    found = below + (inside - below) * (edge - start) / (_at(bounds, place) - start)
    found = np.where(np.isneginf(start), inside, found)
    found = np.where(start >= edge, below, found)
    return np.where(beyond, count, found)


def _result(vector: Vector, histograms: Histograms, values: Values, present: Mask) -> Vector:
    unnamed = None
    if vector.unnamed is not None:
        unnamed = np.ones(len(values), np.bool_)
    return Vector(histograms.groups.series, values, None if present.all() else present, unnamed)
