"""How fast something changes: rate and its relatives, extrapolated to the edges of the window as Prometheus does."""

import numpy as np

from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import Index, Mask, Values
from mainstay.observe.metrics.promql.vector import remember
from mainstay.observe.metrics.promql.windows import Windows, per_series

_COUNTER_ENDINGS = ("_total", "_sum", "_count", "_bucket")
_CLOSE_ENOUGH = 1.1  # of the usual distance between samples: the series may well reach the window's edge


def doubtful_counters(windows: Windows) -> list[str]:
    """Return the metrics whose names do not end like a counter's."""
    series = windows.series
    found: list[str] | None = series.derived.get("doubtful counters")
    if found is None:
        codes = np.unique(series.column(NAME)).tolist()
        names = [series.symbols.texts[code] for code in codes if code]
        found = [name for name in names if not name.endswith(_COUNTER_ENDINGS)]
        remember(series, "doubtful counters", found)
    return found


def _lost_in_resets(windows: Windows) -> tuple[Index, Values] | None:
    """Return what counters had reached before each reset, summed a window: rows, [rows, steps]; None if none fell."""
    values = windows.samples.values
    inside = np.arange(1, max(values.shape[1], 1)) < windows.samples.counts[:, None]
    fell = values[:, 1:] < values[:, :-1]
    if not inside.all():
        fell &= per_series(windows.samples, inside)
    rows = np.flatnonzero(fell.any(axis=1))
    if not len(rows):
        return None
    few = windows.rows(rows)
    lost = np.zeros((len(rows), few.steps))
    previous: Values | None = None
    for within, current, _ in few.columns():
        if previous is not None:
            drop = current < previous
            if within is not None:
                drop &= within
            lost += np.where(drop, previous, 0.0)
        previous = current
    return rows, lost


def extrapolated(windows: Windows, *, counter: bool, per_second: bool) -> Values:
    """Return rate (counter, per second), increase (counter) or delta (neither) of each window.

    Sampling seldom meets the edges of a window. Where a sample could be expected at the edge, the change is
    extrapolated to the edge, else by half the usual distance; a counter never below zero.
    """
    samples = windows.samples
    first = windows.first()
    change = windows.last() - first
    if counter:
        found = _lost_in_resets(windows)
        if found is not None:
            rows, lost = found
            change[rows] += lost
    first_time, last_time = windows.first_time(), windows.last_time()
    sampled = (last_time - first_time) / 1000.0
    distance = sampled / (windows.counts - 1)
    to_start = (first_time - (windows.until - windows.range_ms)) / 1000.0
    to_end = (windows.until - last_time) / 1000.0
    threshold = distance * _CLOSE_ENOUGH
    to_start = np.where(to_start >= threshold, distance / 2, to_start)
    to_end = np.where(to_end >= threshold, distance / 2, to_end)
    if counter:
        to_zero = first / change
        to_zero *= per_series(samples, sampled)
        start = np.broadcast_to(per_series(samples, to_start), to_zero.shape)
        nearer = to_zero < start
        nearer &= change > 0
        nearer &= first >= 0
        if nearer.any():
            start = np.where(nearer, to_zero, start)
        sampled = per_series(samples, sampled)
        factor = ((sampled + start) + per_series(samples, to_end)) / sampled
    else:
        factor = per_series(samples, (sampled + to_start + to_end) / sampled)
    if per_second:
        factor = factor / (windows.range_ms / 1000.0)
    change *= factor
    return change


def of_last_two(windows: Windows, *, counter: bool) -> Values:
    """Return irate (counter: per second, minding a reset) or idelta of the last two samples of each window."""
    last, before = windows.last(), windows.last(1)
    change = last - before
    if counter:
        change = np.where(last < before, last, change)
        change /= per_series(windows.samples, (windows.last_time() - windows.last_time(1)) / 1000.0)
    return change


def _prefix_counts(windows: Windows, events: Mask) -> Values:
    """Count events between neighbours [series, most - 1] within each window."""
    samples = windows.samples
    before = np.zeros((len(samples.values), samples.values.shape[1] + 1), np.int64)
    np.cumsum(events, axis=1, out=before[:, 2:])
    begin = np.minimum(windows.begin + 1, before.shape[1] - 1)  # the step into the first sample is outside
    end = np.maximum(windows.end, begin)
    flat = np.arange(len(before), dtype=np.intp)[:, None] * before.shape[1]
    counted = before.reshape(-1)
    found: Values = (
        counted.take(flat + per_series(samples, end)) - counted.take(flat + per_series(samples, begin))
    ).astype(np.float64)
    return found


def changes(windows: Windows) -> Values:
    """Return how often the value changed in each window."""
    values = windows.samples.values
    if not values.size:
        return np.zeros((len(values), windows.steps))
    later, earlier = values[:, 1:], values[:, :-1]
    events = (later != earlier) & ~(np.isnan(later) & np.isnan(earlier))
    return _prefix_counts(windows, events)


def resets(windows: Windows) -> Values:
    """Return how often the value fell in each window."""
    values = windows.samples.values
    if not values.size:
        return np.zeros((len(values), windows.steps))
    events = values[:, 1:] < values[:, :-1]
    return _prefix_counts(windows, events)
