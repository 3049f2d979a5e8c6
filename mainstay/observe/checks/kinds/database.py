"""What the database kinds share: connect, authenticate, one query, one value."""

import math
from decimal import Decimal

from pydantic import Field

from mainstay.observe.checks.kinds.http.comparison import Comparison
from mainstay.observe.checks.kinds.stepped import LatencyExpect, Steps
from mainstay.observe.checks.probe.jsonpath import MISSING, as_text

LONGEST_QUERY = 10_000
SHOWN_VALUE = 200
_DIGITS = 400


class DatabaseExpect(LatencyExpect):
    """What must hold for the check to be up."""

    value: Comparison | None = Field(
        default=None,
        description="What the value must be, e.g. {at_least: 1}; a bare value means equal.",
    )


def take_value(steps: Steps, value: object, expected: Comparison | None, what: str) -> None:
    """Put the query's value into the steps and judge it: a value as JSON has it, None for NULL, MISSING without one."""
    if value is not None and value is not MISSING:
        text = as_text(value)
        steps.body = text.encode("utf-8", "replace")
        steps.facts["value"] = text[:SHOWN_VALUE]
    if expected is not None:
        wrong = expected.failing(value)
        if wrong:
            steps.wrong = f"the value of {what} {wrong}"


def plain(value: object) -> object:
    """A database's value as JSON has it: whole numbers exactly, other exact ones, times and the like as text."""
    match value:
        case Decimal() if value.is_finite() and value == value.to_integral_value() and value.adjusted() < _DIGITS:
            return int(value)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.decode("utf-8", "replace")
        case list() | tuple():
            return [plain(each) for each in value]
        case dict():
            return {str(key): plain(each) for key, each in value.items()}
    return str(value)


def take_phases(steps: Steps, auth_s: float, query_s: float) -> None:
    """Tell the phases that HTTP's names have no word for."""
    steps.first_byte_s, steps.transfer_s = auth_s, query_s
    steps.facts |= {
        "connect_ms": round(steps.connect_s * 1000, 3),
        "auth_ms": round(auth_s * 1000, 3),
        "query_ms": round(query_s * 1000, 3),
    }
