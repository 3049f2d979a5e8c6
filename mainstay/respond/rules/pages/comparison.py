"""What the expression of a rule compares, and with what: its threshold."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Binary, constant
from mainstay.observe.metrics.promql.printed import printed

_TESTS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator number`, or `left operator right` where the limit is no number but an expression."""

    left: str
    operator: str
    number: float | None
    right: str = ""

    def holds(self, value: float) -> bool | None:
        """Tell whether `value` meets it; None when the limit is no number."""
        return None if self.number is None else _TESTS[self.operator](value, self.number)

    @property
    def worst(self) -> str:
        """The aggregation that gives, of many series, the value nearest to meeting it: max or min."""
        return "min" if self.operator in {"<", "<="} else "max"


def comparison(text: str) -> Comparison | None:
    """Return what an expression compares, and with what; None where it does not compare or cannot be read.

    Of `a > 5 and b` it is the first part. A comparison with `bool` gives 0 or 1, not the value, so it is none.
    """
    try:
        node = parse(text).node
    except QueryError:
        return None
    while isinstance(node, Binary) and node.operator in {"and", "unless"}:
        node = node.left
    if not isinstance(node, Binary) or node.operator not in _TESTS or node.return_bool:
        return None
    left, right = constant(node.left), constant(node.right)
    if left is not None:
        return Comparison(printed(node.right), _MIRRORED.get(node.operator, node.operator), left)
    return Comparison(printed(node.left), node.operator, right, "" if right is not None else printed(node.right))
