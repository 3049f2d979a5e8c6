"""The PromQL functions: one explicit dict from name to signature, implementation and a line of documentation."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mainstay.observe.metrics.promql.functions import elementwise, histograms, labels, over_time, rates, trends
from mainstay.observe.metrics.promql.functions.signature import Function, Implementation
from mainstay.observe.metrics.promql.plan import Call, Kind, Node, Range, Selector
from mainstay.observe.metrics.promql.series import NAME, Mask, MatchKind, Series, Symbols, Values
from mainstay.observe.metrics.promql.vector import Scalar, Vector, drop_name
from mainstay.observe.metrics.promql.windows import Windows

if TYPE_CHECKING:
    from mainstay.observe.metrics.promql.evaluate import Evaluation
    from mainstay.observe.metrics.promql.grid import Grid

_VECTOR, _MATRIX, _SCALAR, _STRING = Kind.VECTOR, Kind.MATRIX, Kind.SCALAR, Kind.STRING

# Parsed, and answered by an error: there are no native histograms here.
NATIVE_HISTOGRAM_FUNCTIONS = (
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
)


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
    function: Callable[[Windows], Values], at_least: int, *, named: bool = False, counter: bool = False
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
    if forced:
        evaluation.info(
            "input to histogram_quantile needed to be fixed for monotonicity (see "
            "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
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
    vector = evaluation.vector(call.arguments[0], grid)
    if not evaluation.instant:  # the series of a range have no single value to be sorted by
        return vector
    return vector.take(labels.order_by_value(vector, descending=call.function == "sort_desc"))


def _sort_by_label(evaluation: "Evaluation", call: Call, grid: "Grid") -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    if not evaluation.instant:
        return vector
    names = [evaluation.text(argument) for argument in call.arguments[1:]]
    return vector.take(labels.order_by_labels(vector, names, descending=call.function.endswith("_desc")))


def _rate(function: str, doc: str, *, counter: bool, per_second: bool) -> Function:
    def extrapolated(windows: Windows) -> Values:
        return rates.extrapolated(windows, counter=counter, per_second=per_second)

    return Function(function, (_MATRIX,), _VECTOR, _over(extrapolated, 2, counter=counter), doc)


def _range(
    name: str, function: Callable[[Windows], Values], doc: str, *, at_least: int = 1, named: bool = False
) -> Function:
    return Function(name, (_MATRIX,), _VECTOR, _over(function, at_least, named=named), doc)


def _fixed(name: str, function: Callable[["Grid"], Values], doc: str) -> Function:
    return Function(name, (), _SCALAR, _constant(function), doc)


_ALL = (
    _rate("rate", "Increase of a counter per second, minding resets.", counter=True, per_second=True),
    _rate("increase", "Increase of a counter over the range, minding resets.", counter=True, per_second=False),
    _rate("delta", "Difference of a gauge between end and begin of the range.", counter=False, per_second=False),
    _range(
        "irate",
        lambda windows: rates.of_last_two(windows, counter=True),
        "Increase of a counter per second, by the last two samples.",
        at_least=2,
    ),
    _range(
        "idelta",
        lambda windows: rates.of_last_two(windows, counter=False),
        "Difference between the last two samples.",
        at_least=2,
    ),
    _range("deriv", trends.derivative, "Slope per second of a gauge, by linear regression.", at_least=2),
    Function(
        "predict_linear", (_MATRIX, _SCALAR), _VECTOR, _predict_linear, "Value in so many seconds, by regression."
    ),
    Function(
        "double_exponential_smoothing",
        (_MATRIX, _SCALAR, _SCALAR),
        _VECTOR,
        _smoothing,
        "Smoothed value, by smoothing and trend factors in (0, 1).",
    ),
    Function(
        "holt_winters",
        (_MATRIX, _SCALAR, _SCALAR),
        _VECTOR,
        _smoothing,
        "Prometheus 2's name of double_exponential_smoothing.",
    ),
    _range("changes", rates.changes, "How often the value changed."),
    _range("resets", rates.resets, "How often the value fell."),
    _range("avg_over_time", over_time.average, "Average of all samples of the range."),
    _range("min_over_time", lambda windows: over_time.extreme(windows, largest=False), "Smallest value of the range."),
    _range("max_over_time", lambda windows: over_time.extreme(windows, largest=True), "Largest value of the range."),
    _range("sum_over_time", over_time.total, "Sum of all samples of the range."),
    _range("count_over_time", over_time.count, "Number of samples in the range."),
    Function(
        "quantile_over_time", (_SCALAR, _MATRIX), _VECTOR, _quantile_over_time, "Quantile (0 to 1) of the samples."
    ),
    _range("stddev_over_time", over_time.deviation, "Population standard deviation of the samples."),
    _range("stdvar_over_time", over_time.variance, "Population variance of the samples."),
    _range("mad_over_time", over_time.median_deviation, "Median absolute deviation of the samples."),
    _range("last_over_time", over_time.last, "Latest sample of the range.", named=True),
    _range("first_over_time", over_time.first, "Earliest sample of the range.", named=True),
    _range("present_over_time", over_time.present, "1 for every series with a sample in the range."),
    _range("ts_of_last_over_time", over_time.time_of_last, "Unix time of the latest sample."),
    _range("ts_of_first_over_time", over_time.time_of_first, "Unix time of the earliest sample."),
    _range(
        "ts_of_max_over_time",
        lambda windows: over_time.time_of_extreme(windows, largest=True),
        "Unix time of the largest sample, the last of them.",
    ),
    _range(
        "ts_of_min_over_time",
        lambda windows: over_time.time_of_extreme(windows, largest=False),
        "Unix time of the smallest sample, the last of them.",
    ),
    Function("absent_over_time", (_MATRIX,), _VECTOR, _absent, "1 if nothing has a sample in the range."),
    Function("absent", (_VECTOR,), _VECTOR, _absent, "1 if the vector is empty."),
    Function(
        "histogram_quantile", (_SCALAR, _VECTOR), _VECTOR, _histogram_quantile, "Quantile of classic histograms (le)."
    ),
    Function(
        "histogram_fraction",
        (_SCALAR, _SCALAR, _VECTOR),
        _VECTOR,
        _histogram_fraction,
        "Part of the observations of classic histograms between two bounds.",
    ),
    Function(
        "label_replace",
        (_VECTOR, _STRING, _STRING, _STRING, _STRING),
        _VECTOR,
        _label_replace,
        "Sets a label (2nd) to a template (3rd) filled from a label (4th) that matches an expression (5th).",
    ),
    Function(
        "label_join",
        (_VECTOR, _STRING, _STRING, _STRING),
        _VECTOR,
        _label_join,
        "Sets a label (2nd) to other labels (4th …) with a separator (3rd) between them.",
        optional=1,
        repeats=True,
    ),
    Function("sort", (_VECTOR,), _VECTOR, _sort, "Sorts by value, ascending; instant queries only."),
    Function("sort_desc", (_VECTOR,), _VECTOR, _sort, "Sorts by value, descending; instant queries only."),
    Function(
        "sort_by_label",
        (_VECTOR, _STRING),
        _VECTOR,
        _sort_by_label,
        "Sorts by labels, numbers in them as numbers; instant queries only.",
        optional=1,
        repeats=True,
    ),
    Function(
        "sort_by_label_desc",
        (_VECTOR, _STRING),
        _VECTOR,
        _sort_by_label,
        "Sorts by labels, numbers in them as numbers, descending; instant queries only.",
        optional=1,
        repeats=True,
    ),
    Function("clamp", (_VECTOR, _SCALAR, _SCALAR), _VECTOR, _clamp, "Limits values to a minimum and a maximum."),
    Function("clamp_min", (_VECTOR, _SCALAR), _VECTOR, _clamp, "Limits values to a minimum."),
    Function("clamp_max", (_VECTOR, _SCALAR), _VECTOR, _clamp, "Limits values to a maximum."),
    Function("round", (_VECTOR, _SCALAR), _VECTOR, _round, "Rounds to the nearest multiple (1).", optional=1),
    Function("scalar", (_VECTOR,), _SCALAR, _scalar_of, "The value of the only series, else NaN."),
    Function("vector", (_SCALAR,), _VECTOR, _vector_of, "A number as a vector without labels."),
    Function("timestamp", (_VECTOR,), _VECTOR, _timestamp, "Unix time of the samples, in seconds."),
    _fixed("time", lambda grid: grid.times / 1000.0, "Unix time of the evaluation, in seconds."),
    _fixed("pi", lambda _: np.full(1, math.pi), "π."),
    _fixed("start", lambda grid: np.full(1, grid.query_start_ms / 1000.0), "Begin of the query, unix time in seconds."),
    _fixed("end", lambda grid: np.full(1, grid.query_end_ms / 1000.0), "End of the query, unix time in seconds."),
    _fixed("step", lambda grid: np.full(1, grid.query_step_ms / 1000.0), "Step of the query in seconds, 0 if instant."),
    _fixed(
        "range",
        lambda grid: np.full(1, (grid.query_end_ms - grid.query_start_ms) / 1000.0),
        "Length of the query in seconds, 0 if instant.",
    ),
    Function("max_of", (_SCALAR, _SCALAR), _SCALAR, _of_two(elementwise.larger), "The larger of two numbers."),
    Function("min_of", (_SCALAR, _SCALAR), _SCALAR, _of_two(elementwise.smaller), "The smaller of two numbers."),
    *(
        Function(name, (_VECTOR,), _VECTOR, _simple(function), doc)
        for name, (function, doc) in elementwise.SIMPLE.items()
    ),
    *(
        Function(name, (_VECTOR,), _VECTOR, _calendar(function), doc, optional=1)
        for name, (function, doc) in elementwise.CALENDAR.items()
    ),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _ALL}
