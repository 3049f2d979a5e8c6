"""A syntax tree as PromQL text, so that a part of an expression can be asked for by itself."""

import json
import re
from collections.abc import Mapping

from mainstay.observe.metrics.durations import written_ms
from mainstay.observe.metrics.promql.plan import (
    NAME,
    Aggregation,
    Binary,
    Call,
    Cardinality,
    Edge,
    Matching,
    MatchKind,
    Negation,
    Node,
    Number,
    Range,
    Selector,
    Subquery,
    Text,
)

_BINDING = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 7,
}  # fmt: skip
_SIGN, _WHOLE = 6, 8  # how tightly a sign binds; what needs no parentheses anywhere
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_RESERVED = frozenset(
    {
        "and", "or", "unless", "atan2", "by", "without", "on", "ignoring", "group_left", "group_right", "offset",
        "bool", "inf", "nan", "start", "end", "fill", "fill_left", "fill_right", "sum", "avg", "min", "max", "count",
        "group", "stddev", "stdvar", "quantile", "topk", "bottomk", "count_values", "limitk", "limit_ratio",
    }
)  # fmt: skip


def printed(node: Node) -> str:
    """Return an expression that means what `node` means; its key, once parsed, is the node's."""
    match node:
        case Number():
            return node.key.removesuffix(".0")
        case Text():
            return quoted(node.value)
        case Selector():
            return _series(node) + _moved(node.at, node.offset_ms)
        case Range():
            selector = node.selector
            return f"{_series(selector)}[{written_ms(node.range_ms)}]{_moved(selector.at, selector.offset_ms)}"
        case Subquery():
            step = "" if node.step_ms is None else written_ms(node.step_ms)
            inner = _within(node.inner, _WHOLE)
            return f"{inner}[{written_ms(node.range_ms)}:{step}]{_moved(node.at, node.offset_ms)}"
        case Negation():
            return f"-{_within(node.inner, _SIGN + 1)}"
        case Binary():
            binds, to_the_right = _BINDING[node.operator], node.operator == "^"
            left = _within(node.left, binds + to_the_right)
            right = _within(node.right, binds + (not to_the_right))
            return f"{left} {node.operator}{' bool' if node.return_bool else ''}{_matched(node.matching)} {right}"
        case Aggregation():
            inner = ", ".join(printed(one) for one in (node.parameter, node.inner) if one is not None)
            if not node.labels and not node.without:
                return f"{node.operator}({inner})"
            return f"{node.operator} {'without' if node.without else 'by'} {_labels(node.labels)} ({inner})"
        case Call():
            return f"{node.function}({', '.join(map(printed, node.arguments))})"


def _within(node: Node, least: int) -> str:
    """Return a part of an expression, in parentheses where it binds less tightly than `least`."""
    binds = _WHOLE
    if isinstance(node, Binary):
        binds = _BINDING[node.operator]
    elif isinstance(node, Negation) or (isinstance(node, Number) and node.key.startswith("-")):
        binds = _SIGN
    text = printed(node)
    return text if binds >= least else f"({text})"


def metric(name: str) -> str:
    """Return a selector of a metric alone: a name that is no word of PromQL stands in quotes."""
    return name if _is_word(name) else f"{{{quoted(name)}}}"


def label(name: str) -> str:
    """Return a label's name, in quotes if it is no word of PromQL."""
    return name if _LABEL.fullmatch(name) else quoted(name)


def series(labels: Mapping[str, str]) -> str:
    """Return a selector of the series with these labels."""
    name = labels.get(NAME, "")
    inside = [f"{label(one)}={quoted(labels[one])}" for one in sorted(labels) if one != NAME]
    if name and not _is_word(name):
        name, inside = "", [quoted(name), *inside]
    return f"{name}{{{', '.join(inside)}}}" if inside or not name else name


def _is_word(name: str) -> bool:
    return _METRIC.fullmatch(name) is not None and name.lower() not in _RESERVED


def quoted(text: str) -> str:
    """Return a text in quotes."""
    text = json.dumps(text, ensure_ascii=False)
    return "".join(f"\\x{ord(one) - 0xDC00:02x}" if 0xDC80 <= ord(one) <= 0xDCFF else one for one in text)


def _series(selector: Selector) -> str:
    names = [matcher for matcher in selector.matchers if matcher.name == NAME]
    name = names[0].value if len(names) == 1 and names[0].kind is MatchKind.EQUAL else ""
    shown = [one for one in selector.matchers if not name or one.name != NAME]
    inside = [f"{label(one.name)}{one.kind}{quoted(one.value)}" for one in shown]
    if name and not _is_word(name):
        name, inside = "", [quoted(name), *inside]
    return f"{name}{{{','.join(inside)}}}" if inside else name


def _labels(names: tuple[str, ...]) -> str:
    return f"({', '.join(map(label, names))})"


def _moved(at: int | Edge | None, offset_ms: int) -> str:
    moment = "" if at is None else f" @ {at if isinstance(at, Edge) else f'{at / 1000:.3f}'}"
    sign = "-" if offset_ms < 0 else ""
    return moment + (f" offset {sign}{written_ms(abs(offset_ms))}" if offset_ms else "")


def _matched(matching: Matching | None) -> str:
    if matching is None:
        return ""
    groups = {Cardinality.MANY_TO_ONE: "group_left", Cardinality.ONE_TO_MANY: "group_right"}
    group = groups.get(matching.cardinality)
    by = f" {'on' if matching.on else 'ignoring'} {_labels(matching.labels)}"
    if group is None:
        return by if matching.on or matching.labels else ""
    return f"{by} {group} {_labels(matching.include)}"
