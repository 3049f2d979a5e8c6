"""In which unit an expression's values are, guessed from the names of its metrics and what is done with them.

Prometheus' naming: `_seconds`, `_bytes`, `_ratio`; `_total` counts, and a rate of it is per second. What is not known
has no unit rather than a wrong one. No Django, no NumPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import (
    Aggregation,
    Binary,
    Call,
    Negation,
    Node,
    Range,
    Selector,
    Subquery,
    constant,
    walk,
)

_BY_LAST_WORD = {
    "seconds": "s",
    "milliseconds": "ms",
    "ms": "ms",
    "bytes": "bytes",
    "ratio": "ratio",
    "percent": "percent",
    "celsius": "°C",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "watts": "W",
    "hertz": "Hz",
    "meters": "m",
    "created": "time",
}
_TIMES = ("_timestamp_seconds", "_time_seconds", "_cert_expiry", "_not_after", "_timestamp")
_NO_TIMES = ("_cpu_time_seconds", "_processing_time_seconds", "_request_time_seconds", "_response_time_seconds")
_RATES = frozenset({"rate", "irate", "deriv"})
_SAME = frozenset(
    {
        "increase", "delta", "idelta", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time",
        "last_over_time", "first_over_time", "stddev_over_time", "mad_over_time", "predict_linear", "abs", "ceil",
        "floor", "round", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "scalar", "vector", "label_replace",
        "label_join", "sum", "avg", "min", "max", "stddev", "topk", "bottomk", "quantile", "quantile_over_time",
        "limitk", "limit_ratio", "holt_winters", "double_exponential_smoothing",
    }
)  # fmt: skip
_COUNTS = frozenset(
    {"count", "group", "count_values", "count_over_time", "present_over_time", "absent", "changes", "resets"}
)


@dataclass(frozen=True, slots=True)
class Unit:
    """What a value measures (`s`, `bytes`, `ratio`, `1` for a number of things …), and whether it is per second."""

    base: str = ""
    per_second: bool = False

    @property
    def shown(self) -> str:
        """The unit as the interface writes it (`mainstay.kit.scales`)."""
        if self.per_second:
            return {"1": "/s", "": "/s", "bytes": "bytes/s", "cores": "%"}.get(self.base, f"{self.base}/s")
        return {"1": "", "ratio": "%", "percent": "%", "time": "", "cores": "s", "flag": ""}.get(self.base, self.base)

    @property
    def factor(self) -> float:
        """By what a value is multiplied before it is shown: a ratio in per cent, CPU in per cent of a core."""
        in_percent = self.base == "cores" if self.per_second else self.base == "ratio"
        return 100.0 if in_percent else 1.0


NONE = Unit()
COUNT = Unit("1")
FLAG = Unit("flag")  # 0 or 1: the mean of many is a ratio


def of_metric(name: str) -> Unit:
    """Return the unit that a metric's name tells."""
    level, _, rest = name.rpartition(":")
    if level:  # a recorded series: level:metric:operations
        middle = level.rpartition(":")[2]
        if "ratio" in rest or "ratio" in middle:
            return Unit("ratio")
        if rest.startswith(("rate", "irate")):
            inner = of_metric(middle)
            return Unit("1" if inner == NONE else inner.base, per_second=True)
        return of_metric(middle)
    if name in {"up", "probe_success"}:
        return FLAG
    for suffix in ("_bucket", "_count"):
        if name.endswith(suffix):
            return COUNT
    name = name.removesuffix("_sum")
    stem = name.removesuffix("_total")
    if stem.endswith(_TIMES) and not stem.endswith(_NO_TIMES):
        return Unit("time")
    if "cpu" in stem and stem.endswith("_seconds") and stem != name:
        return Unit("cores")  # seconds of CPU; a rate of them is a number of cores at work
    found = _BY_LAST_WORD.get(stem.partition("_by_")[0].rpartition("_")[2])
    if found:
        return Unit(found)
    if stem != name or name.endswith(("_info", "_connections", "_requests", "_threads", "_fds", "_goroutines")):
        return COUNT
    return NONE


def of(text: str) -> Unit:
    """Return the unit of an expression; none of one that cannot be read."""
    try:
        return _of(parse(text).node)
    except QueryError:
        return NONE


def _of(node: Node) -> Unit:
    match node:
        case Selector():
            return of_metric(node.metric)
        case Range():
            return _of(node.selector)
        case Subquery() | Negation():
            return _of(node.inner)
        case Binary():
            return _of_binary(node)
        case Aggregation():
            return _of_call(node.operator, [node.inner])
        case Call():
            return _of_call(node.function, node.arguments)
        case _:
            return NONE


def _of_call(name: str, arguments: Sequence[Node]) -> Unit:
    if name in _COUNTS:
        return COUNT
    if name in {"time", "timestamp"}:
        return Unit("time")
    if name == "histogram_quantile":
        return _of_histogram(arguments[1])
    if name in _RATES:
        inner = _of(arguments[0])
        return Unit("1" if inner == NONE else inner.base, per_second=True)
    if name in _SAME:
        inner = _of(arguments[-1] if name == "quantile_over_time" else arguments[0])
        if inner == FLAG and name in {"avg", "avg_over_time", "sum", "sum_over_time"}:
            return Unit("ratio") if name.startswith("avg") else COUNT
        return inner
    return NONE


def _of_histogram(node: Node) -> Unit:
    for part in walk(node):
        if isinstance(part, Selector) and part.metric.endswith("_bucket"):
            return of_metric(part.metric.removesuffix("_bucket"))
    return NONE


def _of_binary(both: Binary) -> Unit:
    if both.operator in {"and", "unless"}:
        return _of(both.left)
    if both.return_bool:
        return COUNT
    left_number, right_number = constant(both.left), constant(both.right)
    left = _of(both.left) if left_number is None else None
    right = _of(both.right) if right_number is None else None
    match both.operator:
        case "or":
            return left or right or NONE
        case "+" | "-" if left is not None and right is not None:
            if left.base == right.base == "time":
                return Unit("s") if both.operator == "-" else NONE
            return left if left == right else NONE
        case "*":
            return _of_product(left, right, left_number, right_number)
        case "/":
            return _of_quotient(left, right, right_number)
        case "^" | "%" | "atan2":
            return NONE
        case _:
            return left or right or NONE


def _of_product(left: Unit | None, right: Unit | None, left_number: float | None, right_number: float | None) -> Unit:
    inner, factor = (left, right_number) if left is not None and right is None else (right, left_number)
    if inner is not None and factor is not None:
        if inner == Unit("ratio") and factor == 100:
            return Unit("percent")
        return inner if factor in (1.0, -1.0) else NONE
    if left == Unit("ratio") and right is not None:
        return right
    return left if right == Unit("ratio") and left is not None else NONE


def _of_quotient(left: Unit | None, right: Unit | None, right_number: float | None) -> Unit:
    if left is None:
        return NONE
    if right_number is not None:
        if left.base in {"ms", "percent"} and not left.per_second and right_number in (1000.0, 100.0):
            return {("ms", 1000.0): Unit("s"), ("percent", 100.0): Unit("ratio")}.get((left.base, right_number), NONE)
        return left if right_number == 1.0 else NONE
    if right is None or NONE in (left, right):
        return NONE
    if left == right:
        return Unit("ratio")
    if left.per_second and right == Unit("1", per_second=True):  # a sum's rate by its count's: the mean
        return Unit(left.base)
    if right == COUNT and not left.per_second:
        return left
    return NONE
