"""Binary operators on numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mainstay.observe.metrics.promql.series import Values

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
SETS = ("and", "or", "unless")


def calculated(operator: str, left: Values, right: Values) -> Values:
    """Return the result of arithmetic, or 1 and 0 for a comparison."""
    if operator in ARITHMETIC:
        found: Values = ARITHMETIC[operator](left, right)
        return found
    return np.asarray(COMPARISONS[operator](left, right)).astype(np.float64)
