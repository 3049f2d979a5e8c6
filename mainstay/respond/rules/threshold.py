"""The number that an expression compares with, so that a chart can show the value against it."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import promql_parser
from numpy.typing import NDArray

_COMPARISONS: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.bool_]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """`left operator number`, as in `rate(errors[5m]) > 0.05`; the number is always on the right."""

    left: str
    operator: str
    number: float

    def passed(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which values meet the comparison; NaN meets only `!=`."""
        found: NDArray[np.bool_] = _COMPARISONS[self.operator](values, self.number)
        return found


def threshold(text: str) -> Threshold | None:
    """Return the comparison with a number at the top of an expression, or None if there is none.

    The number may be calculated (`5 * 60`). A comparison with `bool` gives 0 and 1, not the value, so it is none.
    """
    try:
        tree = promql_parser.parse(text)
    except ValueError:
        return None
    tree = _bare(tree)
    if not isinstance(tree, promql_parser.BinaryExpr) or str(tree.op) not in _COMPARISONS:
        return None
    if tree.modifier is not None and tree.modifier.return_bool:
        return None
    left, right, sign = tree.lhs, tree.rhs, str(tree.op)
    number = _number(right)
    if number is None:
        left, number, sign = right, _number(left), _MIRRORED.get(sign, sign)
    elif _number(left) is not None:
        return None
    return Threshold(_bare(left).prettify(), sign, number) if number is not None else None


def _bare(tree: promql_parser.Expr) -> promql_parser.Expr:
    while isinstance(tree, promql_parser.ParenExpr):
        tree = tree.expr
    return tree


def _number(tree: promql_parser.Expr) -> float | None:
    tree = _bare(tree)
    match tree:
        case promql_parser.NumberLiteral():
            return float(tree.val)
        case promql_parser.UnaryExpr():
            inner = _number(tree.expr)
            return None if inner is None else -inner
        case promql_parser.BinaryExpr():
            calculate = _ARITHMETIC.get(str(tree.op))
            left, right = _number(tree.lhs), _number(tree.rhs)
            if calculate is None or left is None or right is None:
                return None
            try:
                return float(calculate(left, right))
            except (ZeroDivisionError, OverflowError, TypeError):
                return None
        case _:
            return None
