"""Parts of the warnings and infos of queries, as Prometheus writes them (its package util/annotations)."""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from mainstay.observe.metrics.promql.plan import NAME

MOST = 10  # of a query; more are counted


def number(value: float) -> str:
    """Write a number as Go's `%g` does: the fewest digits that tell it from others, an exponent from 1e6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if not value or 1e-4 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    digits = len(Decimal(repr(value)).normalize().as_tuple().digits)
    return f"{value:.{digits - 1}e}"


def quoted(text: str) -> str:
    """Return a text in quotes."""
    return json.dumps(text, ensure_ascii=False)


def of_metric(labels: Mapping[str, str]) -> str:
    """Return the end of a message about a series: its metric, if it still has a name."""
    return f" for metric name {quoted(labels[NAME])}" if labels.get(NAME) else ""


def limited(found: Iterable[str], kind: str) -> list[str]:
    """Return the first messages of a kind (`warning`, `info`), and how many are left out."""
    told = list(found)
    left = len(told) - MOST
    return told if left <= 0 else [*told[:MOST], f"{left} more {kind} annotations omitted"]
