"""A syntax tree as `/api/v1/parse_query` of the Prometheus API tells it.

Parentheses are gone, and matchers stand in our order; a function that Prometheus does not know is told like any other.
"""

from typing import Any

from mainstay.observe.metrics.promql.functions import FUNCTIONS
from mainstay.observe.metrics.promql.plan import (
    Aggregation,
    Binary,
    Call,
    Edge,
    Matching,
    Negation,
    Node,
    Number,
    Range,
    Selector,
    Subquery,
    Text,
)
from mainstay.observe.metrics.serve.text import in_full


def tree(node: Node) -> dict[str, Any]:
    """Return a node and all below it; durations and times are milliseconds."""
    match node:
        case Number():
            return {"type": "numberLiteral", "val": in_full(node.value)}
        case Text():
            return {"type": "stringLiteral", "val": node.value}
        case Selector():
            return {"type": "vectorSelector", **_selected(node)}
        case Range():
            return {"type": "matrixSelector", "range": node.range_ms, **_selected(node.selector)}
        case Subquery():
            step, inner = node.step_ms or 0, tree(node.inner)
            return {"type": "subquery", "expr": inner, "range": node.range_ms, "step": step, **_moved(node)}
        case Negation():
            return {"type": "unaryExpr", "op": "-", "expr": tree(node.inner)}
        case Binary():
            return {
                "type": "binaryExpr",
                "op": node.operator,
                "lhs": tree(node.left),
                "rhs": tree(node.right),
                "matching": None if node.matching is None else _matching(node.matching),
                "bool": node.return_bool,
            }
        case Aggregation():
            return {
                "type": "aggregation",
                "op": node.operator,
                "expr": tree(node.inner),
                "param": None if node.parameter is None else tree(node.parameter),
                "grouping": list(node.labels),
                "without": node.without,
            }
        case Call():
            return {"type": "call", "func": _function(node.function), "args": [tree(one) for one in node.arguments]}


def _selected(selector: Selector) -> dict[str, Any]:
    matchers = [{"name": one.name, "value": one.value, "type": str(one.kind)} for one in selector.matchers]
    return {
        "name": selector.metric,
        "matchers": matchers,
        **_moved(selector),
        "anchored": False,
        "smoothed": False,
    }


def _moved(node: Selector | Subquery) -> dict[str, Any]:
    edge = str(node.at).removesuffix("()") if isinstance(node.at, Edge) else None
    return {
        "offset": node.offset_ms,
        "timestamp": None if isinstance(node.at, Edge) else node.at,
        "startOrEnd": edge,
    }


def _matching(matching: Matching) -> dict[str, Any]:
    return {
        "card": str(matching.cardinality),
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
        "fillValues": {"lhs": None, "rhs": None},
    }


def _function(name: str) -> dict[str, Any]:
    known = FUNCTIONS[name]
    return {
        "name": name,
        "argTypes": [str(kind) for kind in known.arguments],
        "variadic": -1 if known.repeats else known.optional,
        "returnType": str(known.returns),
    }
