"""The PromQL functions and what each takes, gives and means: one table for the parser, the evaluator and the pages.

What they calculate stands in `implementations`. This table needs no NumPy, so the web process can read it.
"""

from dataclasses import dataclass

from mainstay.observe.metrics.promql.plan import Kind

_VECTOR, _MATRIX, _SCALAR, _STRING = Kind.VECTOR, Kind.MATRIX, Kind.SCALAR, Kind.STRING

# Parsed, and answered by an error: there are no native histograms here.
NATIVE_HISTOGRAM_FUNCTIONS = (
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
)


@dataclass(frozen=True, slots=True)
class Function:
    """A PromQL function. `arguments` are the kinds it takes; the last `optional` ones may be left out."""

    name: str
    arguments: tuple[Kind, ...]
    returns: Kind
    doc: str
    optional: int = 0
    repeats: bool = False  # the last argument may be given any number of times

    @property
    def signature(self) -> str:
        """Return how it is called, as documentation shows it."""
        names = {"vector": "v instant-vector", "matrix": "v range-vector", "scalar": "s scalar", "string": "t string"}
        shown = [names[kind] for kind in self.arguments]
        required = len(shown) - self.optional
        shown = [one if number < required else f"[{one}]" for number, one in enumerate(shown)]
        return f"{self.name}({', '.join(shown)}{', …' if self.repeats else ''})"


# The order is that in which completion offers them: the most used first.
_TABLE = (
    Function("rate", (_MATRIX,), _VECTOR, "Increase of a counter per second, minding resets."),
    Function("increase", (_MATRIX,), _VECTOR, "Increase of a counter over the range, minding resets."),
    Function("delta", (_MATRIX,), _VECTOR, "Difference of a gauge between end and begin of the range."),
    Function("irate", (_MATRIX,), _VECTOR, "Increase of a counter per second, by the last two samples."),
    Function("idelta", (_MATRIX,), _VECTOR, "Difference between the last two samples."),
    Function("deriv", (_MATRIX,), _VECTOR, "Slope per second of a gauge, by linear regression."),
    Function("predict_linear", (_MATRIX, _SCALAR), _VECTOR, "Value in so many seconds, by regression."),
    Function(
        "double_exponential_smoothing",
        (_MATRIX, _SCALAR, _SCALAR),
        _VECTOR,
        "Smoothed value, by smoothing and trend factors in (0, 1).",
    ),
    Function(
        "holt_winters", (_MATRIX, _SCALAR, _SCALAR), _VECTOR, "Prometheus 2's name of double_exponential_smoothing."
    ),
    Function("changes", (_MATRIX,), _VECTOR, "How often the value changed."),
    Function("resets", (_MATRIX,), _VECTOR, "How often the value fell."),
    Function("avg_over_time", (_MATRIX,), _VECTOR, "Average of all samples of the range."),
    Function("min_over_time", (_MATRIX,), _VECTOR, "Smallest value of the range."),
    Function("max_over_time", (_MATRIX,), _VECTOR, "Largest value of the range."),
    Function("sum_over_time", (_MATRIX,), _VECTOR, "Sum of all samples of the range."),
    Function("count_over_time", (_MATRIX,), _VECTOR, "Number of samples in the range."),
    Function("quantile_over_time", (_SCALAR, _MATRIX), _VECTOR, "Quantile (0 to 1) of the samples."),
    Function("stddev_over_time", (_MATRIX,), _VECTOR, "Population standard deviation of the samples."),
    Function("stdvar_over_time", (_MATRIX,), _VECTOR, "Population variance of the samples."),
    Function("mad_over_time", (_MATRIX,), _VECTOR, "Median absolute deviation of the samples."),
    Function("last_over_time", (_MATRIX,), _VECTOR, "Latest sample of the range."),
    Function("first_over_time", (_MATRIX,), _VECTOR, "Earliest sample of the range."),
    Function("present_over_time", (_MATRIX,), _VECTOR, "1 for every series with a sample in the range."),
    Function("ts_of_last_over_time", (_MATRIX,), _VECTOR, "Unix time of the latest sample."),
    Function("ts_of_first_over_time", (_MATRIX,), _VECTOR, "Unix time of the earliest sample."),
    Function("ts_of_max_over_time", (_MATRIX,), _VECTOR, "Unix time of the largest sample, the last of them."),
    Function("ts_of_min_over_time", (_MATRIX,), _VECTOR, "Unix time of the smallest sample, the last of them."),
    Function("absent_over_time", (_MATRIX,), _VECTOR, "1 if nothing has a sample in the range."),
    Function("absent", (_VECTOR,), _VECTOR, "1 if the vector is empty."),
    Function("histogram_quantile", (_SCALAR, _VECTOR), _VECTOR, "Quantile of classic histograms (le)."),
    Function(
        "histogram_fraction",
        (_SCALAR, _SCALAR, _VECTOR),
        _VECTOR,
        "Part of the observations of classic histograms between two bounds.",
    ),
    Function(
        "label_replace",
        (_VECTOR, _STRING, _STRING, _STRING, _STRING),
        _VECTOR,
        "Sets a label (2nd) to a template (3rd) filled from a label (4th) that matches an expression (5th).",
    ),
    Function(
        "label_join",
        (_VECTOR, _STRING, _STRING, _STRING),
        _VECTOR,
        "Sets a label (2nd) to other labels (4th …) with a separator (3rd) between them.",
        optional=1,
        repeats=True,
    ),
    Function("sort", (_VECTOR,), _VECTOR, "Sorts by value, ascending; instant queries only."),
    Function("sort_desc", (_VECTOR,), _VECTOR, "Sorts by value, descending; instant queries only."),
    Function(
        "sort_by_label",
        (_VECTOR, _STRING),
        _VECTOR,
        "Sorts by labels, numbers in them as numbers; instant queries only.",
        optional=1,
        repeats=True,
    ),
    Function(
        "sort_by_label_desc",
        (_VECTOR, _STRING),
        _VECTOR,
        "Sorts by labels, numbers in them as numbers, descending; instant queries only.",
        optional=1,
        repeats=True,
    ),
    Function("clamp", (_VECTOR, _SCALAR, _SCALAR), _VECTOR, "Limits values to a minimum and a maximum."),
    Function("clamp_min", (_VECTOR, _SCALAR), _VECTOR, "Limits values to a minimum."),
    Function("clamp_max", (_VECTOR, _SCALAR), _VECTOR, "Limits values to a maximum."),
    Function("round", (_VECTOR, _SCALAR), _VECTOR, "Rounds to the nearest multiple (1).", optional=1),
    Function("scalar", (_VECTOR,), _SCALAR, "The value of the only series, else NaN."),
    Function("vector", (_SCALAR,), _VECTOR, "A number as a vector without labels."),
    Function("timestamp", (_VECTOR,), _VECTOR, "Unix time of the samples, in seconds."),
    Function("time", (), _SCALAR, "Unix time of the evaluation, in seconds."),
    Function("pi", (), _SCALAR, "π."),
    Function("start", (), _SCALAR, "Begin of the query, unix time in seconds."),
    Function("end", (), _SCALAR, "End of the query, unix time in seconds."),
    Function("step", (), _SCALAR, "Step of the query in seconds, 0 if instant."),
    Function("range", (), _SCALAR, "Length of the query in seconds, 0 if instant."),
    Function("max_of", (_SCALAR, _SCALAR), _SCALAR, "The larger of two numbers."),
    Function("min_of", (_SCALAR, _SCALAR), _SCALAR, "The smaller of two numbers."),
    Function("abs", (_VECTOR,), _VECTOR, "Absolute value."),
    Function("ceil", (_VECTOR,), _VECTOR, "The next integer above."),
    Function("floor", (_VECTOR,), _VECTOR, "The next integer below."),
    Function("exp", (_VECTOR,), _VECTOR, "The exponential function."),
    Function("ln", (_VECTOR,), _VECTOR, "The natural logarithm."),
    Function("log2", (_VECTOR,), _VECTOR, "The binary logarithm."),
    Function("log10", (_VECTOR,), _VECTOR, "The decimal logarithm."),
    Function("sqrt", (_VECTOR,), _VECTOR, "The square root."),
    Function("sgn", (_VECTOR,), _VECTOR, "-1, 0 or 1: the sign."),
    Function("sin", (_VECTOR,), _VECTOR, "The sine of radians."),
    Function("cos", (_VECTOR,), _VECTOR, "The cosine of radians."),
    Function("tan", (_VECTOR,), _VECTOR, "The tangent of radians."),
    Function("asin", (_VECTOR,), _VECTOR, "The arcsine, in radians."),
    Function("acos", (_VECTOR,), _VECTOR, "The arccosine, in radians."),
    Function("atan", (_VECTOR,), _VECTOR, "The arctangent, in radians."),
    Function("sinh", (_VECTOR,), _VECTOR, "The hyperbolic sine."),
    Function("cosh", (_VECTOR,), _VECTOR, "The hyperbolic cosine."),
    Function("tanh", (_VECTOR,), _VECTOR, "The hyperbolic tangent."),
    Function("asinh", (_VECTOR,), _VECTOR, "The inverse hyperbolic sine."),
    Function("acosh", (_VECTOR,), _VECTOR, "The inverse hyperbolic cosine."),
    Function("atanh", (_VECTOR,), _VECTOR, "The inverse hyperbolic tangent."),
    Function("deg", (_VECTOR,), _VECTOR, "Radians in degrees."),
    Function("rad", (_VECTOR,), _VECTOR, "Degrees in radians."),
    Function(
        "year",
        (_VECTOR,),
        _VECTOR,
        "The year of a unix time in seconds, UTC; of the evaluation time without an argument.",
        optional=1,
    ),
    Function("month", (_VECTOR,), _VECTOR, "The month of a unix time, 1 to 12.", optional=1),
    Function("day_of_month", (_VECTOR,), _VECTOR, "The day of the month of a unix time, 1 to 31.", optional=1),
    Function("day_of_week", (_VECTOR,), _VECTOR, "The day of the week of a unix time, 0 (Sunday) to 6.", optional=1),
    Function("day_of_year", (_VECTOR,), _VECTOR, "The day of the year of a unix time, 1 to 366.", optional=1),
    Function("days_in_month", (_VECTOR,), _VECTOR, "How many days the month of a unix time has.", optional=1),
    Function("hour", (_VECTOR,), _VECTOR, "The hour of a unix time, 0 to 23, UTC.", optional=1),
    Function("minute", (_VECTOR,), _VECTOR, "The minute of a unix time, 0 to 59.", optional=1),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}
