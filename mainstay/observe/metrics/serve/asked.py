"""What a request to the Prometheus HTTP API asks for: times, durations and selectors read from its parameters.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstay.observe.metrics.durations import MOST_MS, BadDuration
from mainstay.observe.metrics.durations import duration_ms as written_ms
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import Expression, parse
from mainstay.observe.metrics.promql.plan import Matcher, Selector
from mainstay.observe.metrics.scrape.names import is_name, unescaped_name

Parameters = Mapping[str, Sequence[str]]
LATEST_MS, EARLIEST_MS = 253_402_300_799_999, -62_135_596_800_000  # the years 9999 and 1, as datetime has them
STEPS_MOST = 11_000
FARTHEST_S = 9.3e15  # about what Go's times reach, which clients send for "from the beginning" and "to the end"
LIMIT_MOST = 1_000_000_000
_BOUNDS_MS = {
    "-292273086-05-16T16:47:06Z": EARLIEST_MS,
    "292277025-08-18T07:12:54.999999999Z": LATEST_MS,
}
"""Go's first and last time as client_golang and Grafana write them."""
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""What Go's `strconv.ParseBool` reads."""


class BadRequest(ValueError):
    """A parameter is missing or cannot be read; the message names it and says how to mend it."""


def one(parameters: Parameters, name: str, default: str | None = None) -> str:
    """Return a parameter that may be given once.

    Raises:
        BadRequest: it is missing and has no default.
    """
    values = parameters.get(name, ())
    if values and values[0] != "":
        return values[0]
    if default is None:
        raise BadRequest(f"the parameter {name} is missing")
    return default


def many(parameters: Parameters, name: str) -> list[str]:
    """Return a parameter that may be given any number of times, without empty values."""
    return [value for value in parameters.get(name, ()) if value]


def truth(parameters: Parameters, name: str) -> bool:
    """Return a parameter that is true or false; false when it is not given.

    Raises:
        BadRequest.
    """
    text = one(parameters, name, "false")
    if text not in _TRUTHS:
        raise BadRequest(f"invalid parameter {name}: {text[:60]!r} is neither true nor false")
    return _TRUTHS[text]


def number(parameters: Parameters, name: str, default: int) -> int:
    """Return a whole number, which may be negative.

    Raises:
        BadRequest.
    """
    text = one(parameters, name, str(default))
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        raise BadRequest(f"invalid parameter {name}: {text[:60]!r} is no whole number")
    return int(text)


def time_ms(parameters: Parameters, name: str, default_ms: int | None = None) -> int:
    """Return a time: unix seconds with decimals, or RFC 3339.

    Raises:
        BadRequest.
    """
    text = one(parameters, name, "" if default_ms is not None else None)
    if not text and default_ms is not None:
        return default_ms
    if text in _BOUNDS_MS:
        return _BOUNDS_MS[text]
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            detail = f"{text[:60]!r} is no time: give unix seconds or RFC 3339 with a zone"
            raise BadRequest(f"invalid parameter {name}: {detail}") from None
        seconds = at.timestamp()
    if not abs(seconds) <= FARTHEST_S:  # NaN, too
        raise BadRequest(f"invalid parameter {name}: {text[:60]!r} is no time: it lies out of bounds")
    return min(max(round(seconds * 1000), EARLIEST_MS), LATEST_MS)


def duration_ms(parameters: Parameters, name: str, default: str | None = None) -> int:
    """Return a duration: seconds with decimals, or as PromQL writes it (`1m30s`); more than nothing.

    Raises:
        BadRequest.
    """
    text = one(parameters, name, default)
    try:
        milliseconds = float(text) * 1000
    except ValueError:
        try:
            milliseconds = written_ms(text)
        except BadDuration:
            raise BadRequest(f"invalid parameter {name}: {text[:60]!r} is no duration; write 15s or 15") from None
    if not milliseconds <= MOST_MS:  # NaN, too
        raise BadRequest(f"invalid parameter {name}: {text[:60]!r} is out of bounds; 292 years are allowed")
    found = round(max(milliseconds, -1.0))
    if found <= 0:
        raise BadRequest(f"invalid parameter {name}: it must be more than 0, it is {text[:60]}")
    return found


def limit(parameters: Parameters) -> int:
    """Return how many results are wanted at most; 0 or nothing means all.

    Raises:
        BadRequest.
    """
    text = one(parameters, "limit", "0")
    if not (text.isascii() and text.isdecimal()):
        raise BadRequest(f"invalid parameter limit: {text[:60]!r} is no whole number from 0")
    return min(int(text) if len(text) < 20 else LIMIT_MOST, LIMIT_MOST) or LIMIT_MOST


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, both included; every `step_ms`."""

    start_ms: int
    end_ms: int
    step_ms: int


def span(parameters: Parameters) -> Span:
    """Return the steps of a range query.

    Raises:
        BadRequest.
    """
    start_ms, end_ms, step_ms = (
        time_ms(parameters, "start"),
        time_ms(parameters, "end"),
        duration_ms(parameters, "step"),
    )
    if end_ms < start_ms:
        raise BadRequest("invalid parameter end: it must not lie before start")
    if (end_ms - start_ms) // step_ms >= STEPS_MOST:
        detail = f"more than {STEPS_MOST:,} points a series; ask for a longer step or a shorter span"
        raise BadRequest(f"invalid parameter step: {detail}")
    return Span(start_ms, end_ms, step_ms)


def expression(parameters: Parameters) -> Expression:
    """Return the query.

    Raises:
        BadRequest: it is missing or cannot be parsed.
    """
    try:
        return parse(one(parameters, "query"))
    except QueryError as error:
        raise BadRequest(f"invalid parameter query: {error}") from None


def label_name(written: str) -> str:
    """Return the name of a label that a path has, escaped or not.

    Raises:
        BadRequest.
    """
    name = unescaped_name(written)
    if not is_name(name):
        raise BadRequest("invalid label name: the name of the label is empty or no text")
    return name


def selectors(parameters: Parameters, *, needed: bool) -> list[tuple[Matcher, ...]]:
    """Return the series selectors of `match[]`.

    Raises:
        BadRequest: none is given though `needed`, or one is not a selector.
    """
    found = [selector("match[]", text) for text in parameters.get("match[]", ())]
    if needed and not found:
        raise BadRequest("no match[] parameter provided")
    return found


def selector(name: str, text: str) -> tuple[Matcher, ...]:
    """Return the matchers of one series selector; `name` is the parameter's, for the error.

    Raises:
        BadRequest: it is not a selector.
    """
    try:
        node = parse(text).node
    except QueryError as error:
        raise BadRequest(f"invalid parameter {name}: {error}") from None
    if not isinstance(node, Selector):
        raise BadRequest(f'invalid parameter {name}: {text[:100]!r} is no selector; write up{{job="shop"}}')
    return node.matchers
