"""What the database kinds share: connect, authenticate, one query, one value."""

from pydantic import Field

from mainstay.observe.checks.kinds.http.comparison import Comparison
from mainstay.observe.checks.kinds.stepped import LatencyExpect, Steps
from mainstay.observe.checks.probe.jsonpath import MISSING

LONGEST_QUERY = 10_000
SHOWN_VALUE = 200


class DatabaseExpect(LatencyExpect):
    """What must hold for the check to be up."""

    value: Comparison | None = Field(
        default=None,
        description="What the first column of the first row must be, e.g. {at_least: 1}; a bare value means equal.",
    )


def take_value(steps: Steps, value: str | None, expected: Comparison | None, what: str) -> None:
    """Put the query's value into the steps and judge it. None is SQL's NULL or no row."""
    if value is not None:
        steps.body = value.encode("utf-8", "replace")
        steps.facts["value"] = value[:SHOWN_VALUE]
    if expected is not None:
        wrong = expected.failing(MISSING if value is None else value)
        if wrong:
            steps.wrong = f"the value of {what} {wrong}"


def take_phases(steps: Steps, auth_s: float, query_s: float) -> None:
    """Tell the phases that HTTP's names have no word for."""
    steps.first_byte_s, steps.transfer_s = auth_s, query_s
    steps.facts |= {
        "connect_ms": round(steps.connect_s * 1000, 3),
        "auth_ms": round(auth_s * 1000, 3),
        "query_ms": round(query_s * 1000, 3),
    }
