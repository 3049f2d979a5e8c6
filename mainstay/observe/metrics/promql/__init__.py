"""PromQL over NumPy: a library that parses and evaluates queries on samples from any `Source`.

It reads no clock, no file and no network and knows no Django. See docs/promql.md.
"""

from mainstay.observe.metrics.promql.errors import QueryError, QueryTooExpensive
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.functions import FUNCTIONS
from mainstay.observe.metrics.promql.functions.signature import Function
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.parse import Expression, parse
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.query import Round, evaluate, evaluate_range
from mainstay.observe.metrics.promql.result import Result

__all__ = [
    "FUNCTIONS",
    "Expression",
    "Function",
    "Kind",
    "Limits",
    "MemorySource",
    "QueryError",
    "QueryTooExpensive",
    "Result",
    "Round",
    "evaluate",
    "evaluate_range",
    "parse",
]
