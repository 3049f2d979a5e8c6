"""What the PromQL functions calculate: one explicit dict from name to implementation."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mainstay.observe.metrics.promql import messages
from mainstay.observe.metrics.promql.functions import elementwise, histograms, labels, over_time, rates, trends
from mainstay.observe.metrics.promql.plan import NAME, Call, Kind, MatchKind, Node, Range, Selector
from mainstay.observe.metrics.promql.series import Mask, Series, Symbols, Values
from mainstay.observe.metrics.promql.vector import Scalar, Vector, drop_name
from mainstay.observe.metrics.promql.windows import Windows

if TYPE_CHECKING:
    from mainstay.observe.metrics.promql.evaluate import Evaluation
    from mainstay.observe.metrics.promql.grid import Grid

Implementation = Callable[["Evaluation", Call, "Grid"], Vector | Scalar]


def widened(vector: Vector, steps: int) -> Vector:
    """Repeat what `@` fixed to one step at every step."""
    if vector.values.shape[1] == steps:
        return vector
    shape = (len(vector.values), steps)
    present = None if vector.present is None else np.broadcast_to(vector.present, shape)
    return Vector(vector.series, np.broadcast_to(vector.values, shape), present, vector.unnamed)


def _figures(
    evaluation: "Evaluation", function: Callable[[Windows], Values], windows: Windows, at_least: int = 1
) -> Vector:
    """Return a function's figure for every window that holds so many samples."""
    values = np.empty((len(windows), windows.steps))
    for rows, block in windows.blocks():
        evaluation.check_deadline()
        if block is windows:
            values = function(block)
        else:
            values[rows] = function(block)
    return Vector(windows.series, values, windows.at_least(at_least), windows.unnamed)


def _over(
    function: Callable[[Windows], Values], at_least: int = 1, *, named: bool = False, counter: bool = False
) -> Implementation:
    def run(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
        windows = evaluation.windows(call.arguments[0], grid, call.function)
        if counter:
            for name in rates.doubtful_counters(windows):
                evaluation.info(
                    f'metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "{name}"'
                )
        found = widened(_figures(evaluation, function, windows, at_least), len(grid))
        return found if named else drop_name(found, delayed=evaluation.delayed_names, strict=True)

    return run


def _simple(function: Callable[[Values], Values]) -> Implementation:
    def run(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
        vector = evaluation.vector(call.arguments[0], grid)
        return _changed(evaluation, vector, function(vector.values))

    return run


def _changed(evaluation: "Evaluation", vector: Vector, values: Values) -> Vector:
    found = Vector(vector.series, values, vector.present, vector.unnamed)
    return drop_name(found, delayed=evaluation.delayed_names)


def _calendar(function: Callable[[Values], Values]) -> Implementation:
    def run(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
        if not call.arguments:
            return one_series(evaluation.symbols, {}, function(grid.times / 1000.0))
        vector = evaluation.vector(call.arguments[0], grid)
        return _changed(evaluation, vector, function(vector.values))

    return run


def one_series(symbols: Symbols, label_set: dict[str, str], values: Values) -> Vector:
    """Return a vector of one series with these values [steps]."""
    return Vector(Series.of(symbols, [label_set]), np.asarray(values, np.float64)[None, :])


def _constant(function: Callable[["Grid"], Values]) -> Implementation:
    def run(evaluation: "Evaluation", call: Call, grid: "Grid") -> Scalar:
        return Scalar(np.broadcast_to(function(grid), (len(grid),)).astype(np.float64))

    return run


def _of_two(function: Callable[[Values, Values], Values]) -> Implementation:
    def run(evaluation: "Evaluation", call: Call, grid: "Grid") -> Scalar:
        first, second = (evaluation.scalar(argument, grid) for argument in call.arguments)
        return Scalar(function(first, second))

    return run


def _vector_of(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    return one_series(evaluation.symbols, {}, evaluation.scalar(call.arguments[0], grid))


def _scalar_of(evaluation: "Evaluation", call: Call, grid: "Grid") -> Scalar:
    vector = evaluation.vector(call.arguments[0], grid)
    mask = vector.mask()
    only = np.count_nonzero(mask, axis=0) == 1
    return Scalar(np.where(only, np.where(mask, vector.values, 0.0).sum(axis=0), np.nan))


def _timestamp(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    argument = call.arguments[0]
    if isinstance(argument, Selector):
        vector, times = evaluation.instants(argument, grid)
        seconds = np.broadcast_to(times / 1000.0, vector.values.shape)
        return widened(_changed(evaluation, vector, seconds), len(grid))
    vector = evaluation.vector(argument, grid)
    return _changed(evaluation, vector, np.broadcast_to(grid.times / 1000.0, vector.values.shape))


def _absent_labels(node: Node) -> dict[str, str]:
    """Return what the matchers tell of the labels of what is absent."""
    selector = node.selector if isinstance(node, Range) else node
    known: dict[str, str] = {}
    unclear: set[str] = {NAME}
    for matcher in selector.matchers if isinstance(selector, Selector) else ():
        if matcher.kind is MatchKind.EQUAL and matcher.name not in known:
            known[matcher.name] = matcher.value
        else:
            unclear.add(matcher.name)
    return {name: value for name, value in known.items() if name not in unclear}


def _absent(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    argument = call.arguments[0]
    if argument.kind is Kind.MATRIX:
        found = widened(
            _figures(evaluation, over_time.present, evaluation.windows(argument, grid, call.function)), len(grid)
        )
    else:
        found = evaluation.vector(argument, grid)
    missing: Mask = ~np.any(found.mask(), axis=0, keepdims=True)
    result = one_series(evaluation.symbols, _absent_labels(argument), np.ones(len(grid)))
    return Vector(result.series, result.values, missing)


def _quantile_over_time(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    quantile = evaluation.scalar(call.arguments[0], grid)
    evaluation.warn_of_quantile(quantile)
    windows = evaluation.windows(call.arguments[1], grid, call.function)
    if windows.steps != len(grid) and (quantile != quantile[0]).any():
        windows = windows.spread(grid.times)
    found = widened(_figures(evaluation, lambda block: over_time.quantile(block, quantile), windows), len(grid))
    return drop_name(found, delayed=evaluation.delayed_names, strict=True)


def _predict_linear(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    windows = evaluation.windows(call.arguments[0], grid, call.function)
    if windows.steps != len(grid):
        windows = windows.spread(grid.times)
    ahead = evaluation.scalar(call.arguments[1], grid)
    found = _figures(evaluation, lambda block: trends.prediction(block, grid.times, ahead), windows, 2)
    return drop_name(found, delayed=evaluation.delayed_names, strict=True)


def _smoothing(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    windows = evaluation.windows(call.arguments[0], grid, call.function)
    if windows.steps != len(grid):
        windows = windows.spread(grid.times)
    smoothing, trend = (evaluation.scalar(argument, grid) for argument in call.arguments[1:])
    found = _figures(evaluation, lambda block: trends.smoothed(block, smoothing, trend), windows, 2)
    return drop_name(found, delayed=evaluation.delayed_names, strict=True)


def _round(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    nearest = evaluation.scalar(call.arguments[1], grid) if len(call.arguments) > 1 else np.ones(len(grid))
    return _changed(evaluation, vector, elementwise.rounded(vector.values, nearest))


def _clamp(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    limits = [evaluation.scalar(argument, grid) for argument in call.arguments[1:]]
    if call.function == "clamp_min":
        return _changed(evaluation, vector, elementwise.larger(vector.values, limits[0]))
    if call.function == "clamp_max":
        return _changed(evaluation, vector, elementwise.smaller(vector.values, limits[0]))
    low, high = limits
    values = elementwise.clamped(vector.values, low, high)
    nothing = high < low
    present = vector.mask() & ~nothing if nothing.any() else vector.present
    return _changed(evaluation, Vector(vector.series, vector.values, present, vector.unnamed), values)


def _histogram_quantile(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    quantile = evaluation.scalar(call.arguments[0], grid)
    evaluation.warn_of_quantile(quantile)
    vector = evaluation.vector(call.arguments[1], grid)
    evaluation.warn_of_bucket_labels(vector)
    found, forced = histograms.quantiles(vector, quantile)
    for row in forced.tolist():
        evaluation.info(
            "input to histogram_quantile needed to be fixed for monotonicity (see "
            "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
            f"{messages.of_metric(found.series.labels(row))}"
        )
    return drop_name(found, delayed=evaluation.delayed_names)


def _histogram_fraction(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    lower, upper = (evaluation.scalar(argument, grid) for argument in call.arguments[:2])
    vector = evaluation.vector(call.arguments[2], grid)
    evaluation.warn_of_bucket_labels(vector)
    return drop_name(histograms.fractions(vector, lower, upper), delayed=evaluation.delayed_names)


def _label_replace(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    target, template, source, expression = (evaluation.text(argument) for argument in call.arguments[1:])
    return labels.replaced(vector, target, template, source, expression)


def _label_join(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    target, separator, *sources = (evaluation.text(argument) for argument in call.arguments[1:])
    return labels.joined(vector, target, separator, sources)


def _sort(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    evaluation.warn_of_sorting(grid)
    vector = evaluation.vector(call.arguments[0], grid)
    if not evaluation.instant:  # the series of a range have no single value to be sorted by
        return vector
    return vector.take(labels.order_by_value(vector, descending=call.function == "sort_desc"))


def _sort_by_label(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    evaluation.warn_of_sorting(grid)
    vector = evaluation.vector(call.arguments[0], grid)
    if not evaluation.instant:
        return vector
    names = [evaluation.text(argument) for argument in call.arguments[1:]]
    return vector.take(labels.order_by_labels(vector, names, descending=call.function.endswith("_desc")))


def _extrapolated(*, counter: bool, per_second: bool) -> Implementation:
    def extrapolated(windows: Windows) -> Values:
        return rates.extrapolated(windows, counter=counter, per_second=per_second)

    return _over(extrapolated, 2, counter=counter)


IMPLEMENTATIONS: dict[str, Implementation] = {
    "rate": _extrapolated(counter=True, per_second=True),
    "increase": _extrapolated(counter=True, per_second=False),
    "delta": _extrapolated(counter=False, per_second=False),
    "irate": _over(lambda windows: rates.of_last_two(windows, counter=True), 2),
    "idelta": _over(lambda windows: rates.of_last_two(windows, counter=False), 2),
    "deriv": _over(trends.derivative, 2),
    "predict_linear": _predict_linear,
    "double_exponential_smoothing": _smoothing,
    "holt_winters": _smoothing,
    "changes": _over(rates.changes),
    "resets": _over(rates.resets),
    "avg_over_time": _over(over_time.average),
    "min_over_time": _over(lambda windows: over_time.extreme(windows, largest=False)),
    "max_over_time": _over(lambda windows: over_time.extreme(windows, largest=True)),
    "sum_over_time": _over(over_time.total),
    "count_over_time": _over(over_time.count),
    "quantile_over_time": _quantile_over_time,
    "stddev_over_time": _over(over_time.deviation),
    "stdvar_over_time": _over(over_time.variance),
    "mad_over_time": _over(over_time.median_deviation),
    "last_over_time": _over(over_time.last, named=True),
    "first_over_time": _over(over_time.first, named=True),
    "present_over_time": _over(over_time.present),
    "ts_of_last_over_time": _over(over_time.time_of_last),
    "ts_of_first_over_time": _over(over_time.time_of_first),
    "ts_of_max_over_time": _over(lambda windows: over_time.time_of_extreme(windows, largest=True)),
    "ts_of_min_over_time": _over(lambda windows: over_time.time_of_extreme(windows, largest=False)),
    "absent_over_time": _absent,
    "absent": _absent,
    "histogram_quantile": _histogram_quantile,
    "histogram_fraction": _histogram_fraction,
    "label_replace": _label_replace,
    "label_join": _label_join,
    "sort": _sort,
    "sort_desc": _sort,
    "sort_by_label": _sort_by_label,
    "sort_by_label_desc": _sort_by_label,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "round": _round,
    "scalar": _scalar_of,
    "vector": _vector_of,
    "timestamp": _timestamp,
    "time": _constant(lambda grid: grid.times / 1000.0),
    "pi": _constant(lambda _: np.full(1, math.pi)),
    "start": _constant(lambda grid: np.full(1, grid.query_start_ms / 1000.0)),
    "end": _constant(lambda grid: np.full(1, grid.query_end_ms / 1000.0)),
    "step": _constant(lambda grid: np.full(1, grid.query_step_ms / 1000.0)),
    "range": _constant(lambda grid: np.full(1, (grid.query_end_ms - grid.query_start_ms) / 1000.0)),
    "max_of": _of_two(elementwise.larger),
    "min_of": _of_two(elementwise.smaller),
    **{name: _simple(function) for name, function in elementwise.SIMPLE.items()},
    **{name: _calendar(function) for name, function in elementwise.CALENDAR.items()},
}
