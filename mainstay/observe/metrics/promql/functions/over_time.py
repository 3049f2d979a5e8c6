"""What the samples of a window come to: sum, average, extremes, quantiles, spread.

Every function returns a figure for each window [series, steps]; it means nothing where the window is empty.
"""

import numpy as np

from mainstay.observe.metrics.promql.series import Index, Mask, Samples, Values
from mainstay.observe.metrics.promql.sums import Compensated, corrected, prefix_sums, steady
from mainstay.observe.metrics.promql.windows import Windows, gather, per_series


def _whole(windows: Windows, of_group: Values | Index) -> Values:
    """Spread a figure of the group over its series [series, steps]."""
    shape = (len(windows), windows.steps)
    return np.broadcast_to(per_series(windows.samples, of_group), shape).astype(np.float64)


def count(windows: Windows) -> Values:
    """Return how many samples each window holds."""
    return _whole(windows, windows.counts)


def present(windows: Windows) -> Values:
    """Return 1 for each window with a sample."""
    return np.ones((len(windows), windows.steps))


def last(windows: Windows) -> Values:
    """Return the last value of each window."""
    return windows.last()


def first(windows: Windows) -> Values:
    """Return the first value of each window."""
    return windows.first()


def time_of_last(windows: Windows) -> Values:
    """Return the time in seconds of the last sample of each window."""
    return _whole(windows, windows.last_time() / 1000.0)


def time_of_first(windows: Windows) -> Values:
    """Return the time in seconds of the first sample of each window."""
    return _whole(windows, windows.first_time() / 1000.0)


def _running(windows: Windows, share: Values | None = None) -> tuple[Values, Values]:
    """Return the compensated sum of each window and its error, sample by sample; of value / `share` if given."""
    sums = Compensated((len(windows), windows.steps))
    for inside, values, _ in windows.columns():
        term = values if share is None else values / share
        sums.add(term if inside is None else np.where(inside, term, 0.0))
    return sums.total, sums.lost


def _sums(windows: Windows) -> tuple[Values, Values]:
    """Return the compensated sum of each window and the error in it."""
    values = windows.samples.values
    if windows.steps < 3 or not values.size:
        return _running(windows)
    # Many steps share their samples: differences of exact prefix sums cost a window of any length the same. What is
    # not finite or of wildly different size would leave its trace in later prefixes, so it is summed by itself.
    counted = np.arange(values.shape[1]) < per_series(windows.samples, windows.samples.counts[:, None])
    good = steady(values, counted)
    totals = np.empty((len(values), windows.steps))
    lost = np.empty(totals.shape)
    if len(good):
        few = windows if len(good) == len(values) else windows.rows(good)
        total, error = prefix_sums(np.where(counted, values, 0.0)[good])
        width = total.shape[1]
        flat = np.arange(len(good), dtype=np.intp)[:, None] * width
        begin, end = flat + per_series(few.samples, few.begin), flat + per_series(few.samples, few.end)
        after, before = total.reshape(-1).take(end), total.reshape(-1).take(begin)
        difference = after - before
        part = difference - after
        totals[good] = difference
        lost[good] = (after - (difference - part)) - (before + part)
        lost[good] += error.reshape(-1).take(end) - error.reshape(-1).take(begin)
    if len(good) < len(values):
        wild = np.setdiff1d(np.arange(len(values)), good)
        totals[wild], lost[wild] = _running(windows.rows(wild))
    return totals, lost


def total(windows: Windows) -> Values:
    """Return the compensated sum of each window."""
    return corrected(*_sums(windows))


def average(windows: Windows) -> Values:
    """Return the mean of each window; sums that overflow are divided first."""
    sums, lost = _sums(windows)
    counts = _whole(windows, windows.counts)
    means = np.where(np.isfinite(sums), sums / counts + lost / counts, sums)
    overflown = np.flatnonzero(np.isinf(sums).any(axis=1))
    if len(overflown):
        few = windows.rows(overflown)
        share, share_lost = _running(few, counts[overflown])
        means[overflown] = np.where(np.isinf(sums[overflown]), corrected(share, share_lost), means[overflown])
    return means


def extreme(windows: Windows, *, largest: bool) -> Values:
    """Return the largest or smallest value of each window; NaN only if there is nothing else."""
    pick = np.fmax if largest else np.fmin
    if windows.steps == 1:
        values, inside = windows.matrix(0)
        if inside is not None:
            values = np.where(inside, values, np.nan)
        if not values.shape[1]:
            return np.zeros((len(windows), 1))
        found: Values = pick.reduce(values, axis=1, keepdims=True)
        return found
    # The extreme of a window is that of two overlapping blocks of a power of two.
    result = np.full((len(windows), windows.steps), np.nan)
    counts = windows.counts
    blocks = windows.samples.values
    length = 1
    limit = max(blocks.shape[1] - 1, 0)
    largest_count = int(counts.max(initial=0))
    while length <= largest_count:
        mine = (counts >= length) & (counts < 2 * length)
        if mine.any():
            block = Samples(windows.samples.times, windows.samples.counts, windows.samples.group, blocks)
            left = gather(block, np.minimum(windows.begin, limit))
            right = gather(block, np.clip(windows.end - length, 0, limit))
            result = np.where(per_series(windows.samples, mine), pick(left, right), result)
        shifted = np.full(blocks.shape, np.nan)
        shifted[:, : blocks.shape[1] - length] = blocks[:, length:]
        blocks = pick(blocks, shifted)
        length *= 2
    return result


def time_of_extreme(windows: Windows, *, largest: bool) -> Values:
    """Return the time in seconds of the last of the largest or smallest values of each window."""
    best = np.full((len(windows), windows.steps), np.nan)
    moment = np.zeros(best.shape)
    for inside, values, times in windows.columns():
        better = (values >= best) if largest else (values <= best)
        better |= np.isnan(best)
        if inside is not None:
            better &= inside
        best = np.where(better, values, best)
        moment = np.where(better, per_series(windows.samples, times / 1000.0), moment)
    return moment


def variance(windows: Windows) -> Values:
    """Return the population variance of each window, by Welford's method with compensated sums."""
    shape = (len(windows), windows.steps)
    mean, square = Compensated(shape), Compensated(shape)
    for number, (inside, values, _) in enumerate(windows.columns(), 1):
        delta = values - (mean.total + mean.lost)
        if inside is not None:
            delta = np.where(inside, delta, 0.0)
        mean.add(delta / number)
        rest = delta * (values - (mean.total + mean.lost))
        square.add(rest if inside is None else np.where(inside, rest, 0.0))
    return (square.total + square.lost) / _whole(windows, windows.counts)


def deviation(windows: Windows) -> Values:
    """Return the population standard deviation of each window."""
    found: Values = np.sqrt(variance(windows))
    return found


def sorted_with_nan_first(values: Values, inside: Mask | None) -> tuple[Values, Index, Index]:
    """Sort rows; return them with NaN last, how many NaN each has, and how many values that count."""
    if inside is not None:
        values = np.where(inside, values, np.inf)
    ordered = np.sort(values, axis=1)
    undefined = np.isnan(values).sum(axis=1)
    counts = np.full(len(values), values.shape[1]) if inside is None else inside.sum(axis=1)
    return ordered, undefined, counts


def quantile_of_sorted(quantile: float, ordered: Values, undefined: Index, counts: Index) -> Values:
    """Return the quantile of each row, NaN counting as smallest; infinite outside [0, 1]; NaN for an empty row."""
    rows, width = ordered.shape
    if np.isnan(quantile) or not width:
        return np.full(rows, np.nan)
    if quantile < 0 or quantile > 1:
        return np.where(counts > 0, np.copysign(np.inf, quantile - 0.5), np.nan)
    rank = quantile * (counts - 1.0)
    lower = np.maximum(0, np.floor(rank)).astype(np.intp)
    upper = np.minimum(np.maximum(counts - 1, 0), lower + 1)
    weight = rank - np.floor(rank)

    def at(index: Index) -> Values:
        from_smallest = index - undefined
        column = np.clip(from_smallest, 0, width - 1)
        found = np.take_along_axis(ordered, column[:, None], axis=1)[:, 0]
        return np.where(from_smallest < 0, np.nan, found)

    return np.where(counts > 0, at(lower) * (1 - weight) + at(upper) * weight, np.nan)


def quantile(windows: Windows, quantiles: Values) -> Values:
    """Return a quantile of each window; `quantiles` [steps]."""
    result = np.empty((len(windows), windows.steps))
    for step in range(windows.steps):
        values, inside = windows.matrix(step)
        result[:, step] = quantile_of_sorted(float(quantiles[step]), *sorted_with_nan_first(values, inside))
    return result


def median_deviation(windows: Windows) -> Values:
    """Return the median of the distances from the median of each window; NaN if a value is NaN."""
    result = np.empty((len(windows), windows.steps))
    for step in range(windows.steps):
        values, inside = windows.matrix(step)
        ordered, undefined, counts = sorted_with_nan_first(values, inside)
        middle = quantile_of_sorted(0.5, ordered, undefined, counts)
        distance = np.abs(values - middle[:, None])
        found = quantile_of_sorted(0.5, *sorted_with_nan_first(distance, inside))
        inner = np.isnan(values) if inside is None else np.isnan(values) & inside
        result[:, step] = np.where(inner.any(axis=1), np.nan, found)
    return result
