"""The words of PromQL that a page offers while somebody types: functions, aggregations, keywords.

The evaluator brings NumPy, which the web process does without, so its functions are written here once more; a test
compares. No Django.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One word: how it is used and what it means."""

    name: str
    signature: str
    doc: str


FUNCTIONS: tuple[Word, ...] = (
    Word("rate", "rate(v range-vector)", "Increase of a counter per second, minding resets."),
    Word("increase", "increase(v range-vector)", "Increase of a counter over the range, minding resets."),
    Word("delta", "delta(v range-vector)", "Difference of a gauge between end and begin of the range."),
    Word("irate", "irate(v range-vector)", "Increase of a counter per second, by the last two samples."),
    Word("idelta", "idelta(v range-vector)", "Difference between the last two samples."),
    Word("deriv", "deriv(v range-vector)", "Slope per second of a gauge, by linear regression."),
    Word("predict_linear", "predict_linear(v range-vector, s scalar)", "Value in so many seconds, by regression."),
    Word(
        "double_exponential_smoothing",
        "double_exponential_smoothing(v range-vector, s scalar, s scalar)",
        "Smoothed value, by smoothing and trend factors in (0, 1).",
    ),
    Word(
        "holt_winters",
        "holt_winters(v range-vector, s scalar, s scalar)",
        "Prometheus 2's name of double_exponential_smoothing.",
    ),
    Word("changes", "changes(v range-vector)", "How often the value changed."),
    Word("resets", "resets(v range-vector)", "How often the value fell."),
    Word("avg_over_time", "avg_over_time(v range-vector)", "Average of all samples of the range."),
    Word("min_over_time", "min_over_time(v range-vector)", "Smallest value of the range."),
    Word("max_over_time", "max_over_time(v range-vector)", "Largest value of the range."),
    Word("sum_over_time", "sum_over_time(v range-vector)", "Sum of all samples of the range."),
    Word("count_over_time", "count_over_time(v range-vector)", "Number of samples in the range."),
    Word("quantile_over_time", "quantile_over_time(s scalar, v range-vector)", "Quantile (0 to 1) of the samples."),
    Word("stddev_over_time", "stddev_over_time(v range-vector)", "Population standard deviation of the samples."),
    Word("stdvar_over_time", "stdvar_over_time(v range-vector)", "Population variance of the samples."),
    Word("mad_over_time", "mad_over_time(v range-vector)", "Median absolute deviation of the samples."),
    Word("last_over_time", "last_over_time(v range-vector)", "Latest sample of the range."),
    Word("first_over_time", "first_over_time(v range-vector)", "Earliest sample of the range."),
    Word("present_over_time", "present_over_time(v range-vector)", "1 for every series with a sample in the range."),
    Word("ts_of_last_over_time", "ts_of_last_over_time(v range-vector)", "Unix time of the latest sample."),
    Word("ts_of_first_over_time", "ts_of_first_over_time(v range-vector)", "Unix time of the earliest sample."),
    Word(
        "ts_of_max_over_time",
        "ts_of_max_over_time(v range-vector)",
        "Unix time of the largest sample, the last of them.",
    ),
    Word(
        "ts_of_min_over_time",
        "ts_of_min_over_time(v range-vector)",
        "Unix time of the smallest sample, the last of them.",
    ),
    Word("absent_over_time", "absent_over_time(v range-vector)", "1 if nothing has a sample in the range."),
    Word("absent", "absent(v instant-vector)", "1 if the vector is empty."),
    Word(
        "histogram_quantile", "histogram_quantile(s scalar, v instant-vector)", "Quantile of classic histograms (le)."
    ),
    Word(
        "histogram_fraction",
        "histogram_fraction(s scalar, s scalar, v instant-vector)",
        "Part of the observations of classic histograms between two bounds.",
    ),
    Word(
        "label_replace",
        "label_replace(v instant-vector, t string, t string, t string, t string)",
        "Sets a label (2nd) to a template (3rd) filled from a label (4th) that matches an expression (5th).",
    ),
    Word(
        "label_join",
        "label_join(v instant-vector, t string, t string, [t string], …)",
        "Sets a label (2nd) to other labels (4th …) with a separator (3rd) between them.",
    ),
    Word("sort", "sort(v instant-vector)", "Sorts by value, ascending; instant queries only."),
    Word("sort_desc", "sort_desc(v instant-vector)", "Sorts by value, descending; instant queries only."),
    Word(
        "sort_by_label",
        "sort_by_label(v instant-vector, [t string], …)",
        "Sorts by labels, numbers in them as numbers; instant queries only.",
    ),
    Word(
        "sort_by_label_desc",
        "sort_by_label_desc(v instant-vector, [t string], …)",
        "Sorts by labels, numbers in them as numbers, descending; instant queries only.",
    ),
    Word("clamp", "clamp(v instant-vector, s scalar, s scalar)", "Limits values to a minimum and a maximum."),
    Word("clamp_min", "clamp_min(v instant-vector, s scalar)", "Limits values to a minimum."),
    Word("clamp_max", "clamp_max(v instant-vector, s scalar)", "Limits values to a maximum."),
    Word("round", "round(v instant-vector, [s scalar])", "Rounds to the nearest multiple (1)."),
    Word("scalar", "scalar(v instant-vector)", "The value of the only series, else NaN."),
    Word("vector", "vector(s scalar)", "A number as a vector without labels."),
    Word("timestamp", "timestamp(v instant-vector)", "Unix time of the samples, in seconds."),
    Word("time", "time()", "Unix time of the evaluation, in seconds."),
    Word("pi", "pi()", "π."),
    Word("start", "start()", "Begin of the query, unix time in seconds."),
    Word("end", "end()", "End of the query, unix time in seconds."),
    Word("step", "step()", "Step of the query in seconds, 0 if instant."),
    Word("range", "range()", "Length of the query in seconds, 0 if instant."),
    Word("max_of", "max_of(s scalar, s scalar)", "The larger of two numbers."),
    Word("min_of", "min_of(s scalar, s scalar)", "The smaller of two numbers."),
    Word("abs", "abs(v instant-vector)", "Absolute value."),
    Word("ceil", "ceil(v instant-vector)", "The next integer above."),
    Word("floor", "floor(v instant-vector)", "The next integer below."),
    Word("exp", "exp(v instant-vector)", "The exponential function."),
    Word("ln", "ln(v instant-vector)", "The natural logarithm."),
    Word("log2", "log2(v instant-vector)", "The binary logarithm."),
    Word("log10", "log10(v instant-vector)", "The decimal logarithm."),
    Word("sqrt", "sqrt(v instant-vector)", "The square root."),
    Word("sgn", "sgn(v instant-vector)", "-1, 0 or 1: the sign."),
    Word("sin", "sin(v instant-vector)", "The sine of radians."),
    Word("cos", "cos(v instant-vector)", "The cosine of radians."),
    Word("tan", "tan(v instant-vector)", "The tangent of radians."),
    Word("asin", "asin(v instant-vector)", "The arcsine, in radians."),
    Word("acos", "acos(v instant-vector)", "The arccosine, in radians."),
    Word("atan", "atan(v instant-vector)", "The arctangent, in radians."),
    Word("sinh", "sinh(v instant-vector)", "The hyperbolic sine."),
    Word("cosh", "cosh(v instant-vector)", "The hyperbolic cosine."),
    Word("tanh", "tanh(v instant-vector)", "The hyperbolic tangent."),
    Word("asinh", "asinh(v instant-vector)", "The inverse hyperbolic sine."),
    Word("acosh", "acosh(v instant-vector)", "The inverse hyperbolic cosine."),
    Word("atanh", "atanh(v instant-vector)", "The inverse hyperbolic tangent."),
    Word("deg", "deg(v instant-vector)", "Radians in degrees."),
    Word("rad", "rad(v instant-vector)", "Degrees in radians."),
    Word(
        "year",
        "year([v instant-vector])",
        "The year of a unix time in seconds, UTC; of the evaluation time without an argument.",
    ),
    Word("month", "month([v instant-vector])", "The month of a unix time, 1 to 12."),
    Word("day_of_month", "day_of_month([v instant-vector])", "The day of the month of a unix time, 1 to 31."),
    Word("day_of_week", "day_of_week([v instant-vector])", "The day of the week of a unix time, 0 (Sunday) to 6."),
    Word("day_of_year", "day_of_year([v instant-vector])", "The day of the year of a unix time, 1 to 366."),
    Word("days_in_month", "days_in_month([v instant-vector])", "How many days the month of a unix time has."),
    Word("hour", "hour([v instant-vector])", "The hour of a unix time, 0 to 23, UTC."),
    Word("minute", "minute([v instant-vector])", "The minute of a unix time, 0 to 59."),
)
"""As `promql.FUNCTIONS` has them."""

AGGREGATIONS: tuple[Word, ...] = (
    Word("sum", "sum by (label) (v)", "The sum of the series of each group."),
    Word("avg", "avg by (label) (v)", "Their average."),
    Word("min", "min by (label) (v)", "The smallest value of each group."),
    Word("max", "max by (label) (v)", "The largest value of each group."),
    Word("count", "count by (label) (v)", "How many series each group has."),
    Word("group", "group by (label) (v)", "1 for each group."),
    Word("stdvar", "stdvar by (label) (v)", "The variance within each group."),
    Word("stddev", "stddev by (label) (v)", "The standard deviation within each group."),
    Word("quantile", "quantile by (label) (φ, v)", "A quantile (0 to 1) over the series of each group."),
    Word("topk", "topk(k, v)", "The k series with the largest values."),
    Word("bottomk", "bottomk(k, v)", "The k series with the smallest values."),
    Word("count_values", 'count_values("label", v)', "How many series have each value."),
    Word("limitk", "limitk(k, v)", "k series, whichever."),
    Word("limit_ratio", "limit_ratio(r, v)", "A share of the series, always the same ones."),
)

KEYWORDS: tuple[Word, ...] = (
    Word("by", "sum by (label) (v)", "Keep these labels."),
    Word("without", "sum without (label) (v)", "Drop these labels."),
    Word("and", "a and b", "What of a has its like in b."),
    Word("or", "a or b", "All of a, and what of b has no like in a."),
    Word("unless", "a unless b", "What of a has no like in b."),
    Word("on", "a / on (label) b", "Match by these labels alone."),
    Word("ignoring", "a / ignoring (label) b", "Match by all labels but these."),
    Word("group_left", "a / on (label) group_left (more) b", "Many of a belong to one of b."),
    Word("group_right", "a / on (label) group_right (more) b", "Many of b belong to one of a."),
    Word("offset", "v offset 5m", "As it was that long before."),
    Word("bool", "a > bool b", "0 or 1 in place of a filter."),
)

SPANS: tuple[Word, ...] = (
    Word("1m", "", "1 minute"),
    Word("5m", "", "5 minutes: at least four samples when every 15 s to 1 min is scraped"),
    Word("15m", "", "15 minutes"),
    Word("30m", "", "30 minutes"),
    Word("1h", "", "1 hour"),
    Word("6h", "", "6 hours"),
    Word("1d", "", "1 day"),
    Word("7d", "", "7 days"),
)
