"""Sums that keep what ordinary floating point loses, as Kahan-Neumaier sums do, over many series at once."""

import numpy as np

from mainstay.observe.metrics.promql.series import Index, Mask, Values
from mainstay.observe.metrics.promql.vector import Groups

_HARMLESS = 1e-11  # relative error below which an ordinary sum is as good
_EPSILON = 2.0**-53


class Compensated:
    """A running sum of arrays: `total` and the error `lost` in it. Branch-free (Knuth's two-sum), so exact a step."""

    __slots__ = ("lost", "total")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.total = np.zeros(shape)
        self.lost = np.zeros(shape)

    def add(self, term: Values) -> None:
        """Add one array."""
        total = self.total + term
        part = total - self.total
        self.lost += (self.total - (total - part)) + (term - part)
        self.total = total

    def result(self) -> Values:
        """Return the sum; an overflow stays infinite."""
        return corrected(self.total, self.lost)


def corrected(total: Values, lost: Values) -> Values:
    """Return total + lost where that means something: an infinite or undefined total has no error to mend."""
    return np.where(np.isfinite(total), total + lost, total)


def group_sums(values: Values, groups: Groups) -> Values:
    """Return the sums of groups of rows [groups, steps]. Compensated where an ordinary sum would be off."""
    if len(groups) == len(values):
        return values.copy()
    ordinary = _plain(values, groups)
    if not len(values):
        return ordinary
    if values.min() >= 0:  # nothing cancels out (False if there is a NaN)
        bound = float(groups.sizes.max()) * _EPSILON
        if bound < _HARMLESS and np.isfinite(ordinary).all():
            return ordinary
    magnitude = _plain(np.abs(values), groups)
    doubtful = ~(magnitude * (groups.sizes[:, None] * _EPSILON) <= np.abs(ordinary) * _HARMLESS)
    doubtful &= ~np.isnan(ordinary)
    if doubtful.any():
        for group in np.flatnonzero(doubtful.any(axis=1)).tolist():
            start = groups.starts[group]
            rows = groups.order[start : start + groups.sizes[group]]
            ordinary[group] = compensated_sum(values[rows])
    return ordinary


def _plain(values: Values, groups: Groups) -> Values:
    if len(groups) == 1:
        found: Values = values.sum(axis=0, keepdims=True)
        return found
    if values.shape[1] == 1:
        return np.bincount(groups.of_row, weights=values[:, 0], minlength=len(groups)).astype(np.float64)[:, None]
    if not len(values):
        return np.zeros((0, values.shape[1]))
    return np.add.reduceat(values[groups.order], groups.starts, axis=0)


def compensated_sum(values: Values) -> Values:
    """Return the compensated sum of rows [rows, steps] over the rows, halving them: [steps]."""
    total: Values = values
    lost: Values = np.zeros(values.shape)
    steps = values.shape[1]
    while len(total) > 1:
        if len(total) % 2:
            total = np.concatenate([total, np.zeros((1, steps))])
            lost = np.concatenate([lost, np.zeros((1, steps))])
        left, right = total[0::2], total[1::2]
        both = left + right
        part = both - left
        lost = lost[0::2] + lost[1::2] + ((left - (both - part)) + (right - part))
        total = both
    return corrected(total[0], lost[0])


def prefix_sums(values: Values) -> tuple[Values, Values]:
    """Return the sums of the first 0, 1, … columns [rows, columns + 1] as pairs: the sum and the error in it."""
    rows, columns = values.shape
    totals, errors = np.zeros((columns + 1, rows)), np.zeros((columns + 1, rows))
    running = Compensated((rows,))
    for column in range(columns):
        running.add(values[:, column])
        totals[column + 1] = running.total
        errors[column + 1] = running.lost
    return np.ascontiguousarray(totals.T), np.ascontiguousarray(errors.T)


def steady(values: Values, counted: Mask) -> Index:
    """Return the rows whose values are finite and not of wildly different size: their prefix sums are good."""
    size = np.abs(np.where(counted, values, 0.0))
    largest = size.max(axis=1, initial=0.0)
    smallest = np.where(size > 0, size, np.inf).min(axis=1, initial=np.inf)
    return np.flatnonzero(np.isfinite(largest) & (largest < 1e100) & ((smallest >= largest * 1e-12) | (largest == 0)))
