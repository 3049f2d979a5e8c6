"""Functions of one number each: arithmetic, trigonometry, calendar."""

from collections.abc import Callable

import numpy as np

from mainstay.observe.metrics.promql.series import Values

_SECONDS = 1e11  # about the year 5138; beyond lies no calendar
_HALF = 0.5


def rounded(values: Values, nearest: Values) -> Values:
    """Round to the nearest multiple, halves up."""
    inverse = 1.0 / nearest  # as Prometheus does: the inverse of 0.1 is exact, 0.1 is not
    found: Values = np.floor(values * inverse + _HALF) / inverse
    return found


def sign(values: Values) -> Values:
    """Return -1, 0 or 1; NaN and zeros as they are."""
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def larger(one: Values, other: Values) -> Values:
    """Return the larger; an infinity beats NaN and NaN beats numbers, as in Prometheus."""
    return np.where(np.isposinf(one) | np.isposinf(other), np.inf, np.maximum(one, other))


def smaller(one: Values, other: Values) -> Values:
    """Return the smaller; minus infinity beats NaN and NaN beats numbers, as in Prometheus."""
    return np.where(np.isneginf(one) | np.isneginf(other), -np.inf, np.minimum(one, other))


def clamped(values: Values, low: Values, high: Values) -> Values:
    """Limit values to [low, high]."""
    return larger(low, smaller(high, values))


def _moments(values: Values) -> "tuple[np.ndarray[tuple[int, ...], np.dtype[np.datetime64]], Values]":
    usable = np.abs(values) < _SECONDS
    seconds = np.where(usable, np.trunc(values), 0).astype(np.int64)
    return seconds.astype("datetime64[s]"), np.where(usable, 0.0, np.nan)


def _part(values: Values, whole: str, part: str) -> Values:
    """Return how many of `part` have passed since the begin of the `whole` a unix time in seconds lies in."""
    moments, undefined = _moments(values)
    passed = moments.astype(f"datetime64[{part}]") - moments.astype(f"datetime64[{whole}]").astype(
        f"datetime64[{part}]"
    )
    found: Values = passed.astype(np.int64) + undefined
    return found


def year(values: Values) -> Values:
    """Return the year of unix times in seconds, UTC."""
    moments, undefined = _moments(values)
    found: Values = moments.astype("datetime64[Y]").astype(np.int64) + 1970 + undefined
    return found


def month(values: Values) -> Values:
    """Return the month, 1 to 12."""
    return _part(values, "Y", "M") + 1


def day_of_month(values: Values) -> Values:
    """Return the day of the month, 1 to 31."""
    return _part(values, "M", "D") + 1


def day_of_year(values: Values) -> Values:
    """Return the day of the year, 1 to 366."""
    return _part(values, "Y", "D") + 1


def day_of_week(values: Values) -> Values:
    """Return the day of the week, 0 (Sunday) to 6."""
    moments, undefined = _moments(values)
    found: Values = (moments.astype("datetime64[D]").astype(np.int64) + 4) % 7 + undefined
    return found


def days_in_month(values: Values) -> Values:
    """Return how many days the month has, 28 to 31."""
    moments, undefined = _moments(values)
    months = moments.astype("datetime64[M]")
    length = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    found: Values = length.astype(np.int64) + undefined
    return found


def hour(values: Values) -> Values:
    """Return the hour of the day, 0 to 23."""
    return _part(values, "D", "h")


def minute(values: Values) -> Values:
    """Return the minute of the hour, 0 to 59."""
    return _part(values, "h", "m")


SIMPLE: dict[str, Callable[[Values], Values]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sgn": sign,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "deg": np.degrees,
    "rad": np.radians,
}
CALENDAR: dict[str, Callable[[Values], Values]] = {
    "year": year,
    "month": month,
    "day_of_month": day_of_month,
    "day_of_week": day_of_week,
    "day_of_year": day_of_year,
    "days_in_month": days_in_month,
    "hour": hour,
    "minute": minute,
}
