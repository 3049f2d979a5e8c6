"""Where a series is heading: straight lines through a window, and exponential smoothing."""

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.series import Times, Values
from mainstay.observe.metrics.promql.sums import Compensated
from mainstay.observe.metrics.promql.windows import Windows, per_series


def _line(windows: Windows, origin: Times) -> tuple[Values, Values]:
    """Fit a line by least squares to each window: slope per second, and value at `origin` [groups or 1, steps]."""
    shape = (len(windows), windows.steps)
    narrow = (len(windows.times), windows.steps)
    sum_y, sum_xy = Compensated(shape), Compensated(shape)
    sum_x, sum_x2 = Compensated(narrow), Compensated(narrow)
    counts = windows.counts
    first: Values | None = None
    constant = np.ones(shape, np.bool_)
    for column, (inside, values, times) in enumerate(windows.columns()):
        x = (times - origin) / 1000.0
        x = np.where(counts > column, x, 0.0)
        y = values if inside is None else np.where(inside, values, 0.0)
        if first is None:
            first = values
        elif inside is None:
            constant &= values == first
        else:
            constant &= (values == first) | ~inside
        sum_x.add(x)
        sum_x2.add(x * x)
        sum_y.add(y)
        sum_xy.add(per_series(windows.samples, x) * y)
    if first is None:
        return np.zeros(shape), np.zeros(shape)
    number = per_series(windows.samples, counts.astype(np.float64))
    x, x2 = (per_series(windows.samples, one.total + one.lost) for one in (sum_x, sum_x2))
    y, xy = sum_y.total + sum_y.lost, sum_xy.total + sum_xy.lost
    covariance = xy - x * y / number
    slope = covariance / (x2 - x * x / number)
    intercept = y / number - slope * x / number
    unbounded = np.isinf(first)
    slope = np.where(constant, np.where(unbounded, np.nan, 0.0), slope)
    return slope, np.where(constant, np.where(unbounded, np.nan, first), intercept)


def derivative(windows: Windows) -> Values:
    """Return the slope per second of the line through each window."""
    slope, _ = _line(windows, windows.first_time())
    return slope


def prediction(windows: Windows, at: Times, ahead: Values) -> Values:
    """Return where the line through each window will be `ahead` seconds [steps] after the step's time `at` [steps]."""
    slope, intercept = _line(windows, at[None, :])
    return slope * ahead + intercept


def smoothed(windows: Windows, smoothing: Values, trend: Values) -> Values:
    """Return double exponential smoothing of each window; both factors [steps] must be in (0, 1)."""
    for name, factors in (("smoothing", smoothing), ("trend", trend)):
        wrong = factors[(factors <= 0) | (factors >= 1)]  # NaN gives NaN, as in Prometheus
        if len(wrong):
            raise QueryError(f"invalid {name} factor. Expected: 0 < {name[0]}f < 1, got: {wrong[0]:f}")
    shape = (len(windows), windows.steps)
    level, slope, before = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for column, (inside, values, _) in enumerate(windows.columns()):
        if column == 0:
            level = values.copy()
            continue
        new_slope = values - level if column == 1 else trend * (level - before) + (1 - trend) * slope
        new_level = smoothing * values + (1 - smoothing) * (level + new_slope)
        if inside is None:
            before, level, slope = level, new_level, new_slope
        else:
            before = np.where(inside, level, before)
            level, slope = np.where(inside, new_level, level), np.where(inside, new_slope, slope)
    return level
