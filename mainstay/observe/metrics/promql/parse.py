"""From text to the syntax tree that is evaluated."""

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import promql_parser

from mainstay.foundation.foreign import foreign
from mainstay.observe.metrics.promql import plan
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.functions import FUNCTIONS, NATIVE_HISTOGRAM_FUNCTIONS
from mainstay.observe.metrics.promql.parser_gaps import Prepared, prepare
from mainstay.observe.metrics.promql.patterns import accepts, pattern
from mainstay.observe.metrics.promql.plan import NAME, Cardinality, Edge, Kind, Matcher, MatchKind, Node

DEEPEST_TREE = 100  # levels; each takes up to six of Python's thousand frames while it is evaluated
_SHORT = 2_000  # characters; of longer ones fewer are kept
_MESSAGE_MOST = 1_000
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {"Vector": Kind.VECTOR, "Scalar": Kind.SCALAR, "Matrix": Kind.MATRIX, "String": Kind.STRING}
_MATCHES = {"Equal": MatchKind.EQUAL, "NotEqual": MatchKind.NOT_EQUAL, "Re": MatchKind.REGEX}
_CARDINALITIES = {
    "OneToOne": Cardinality.ONE_TO_ONE,
    "ManyToOne": Cardinality.MANY_TO_ONE,
    "OneToMany": Cardinality.ONE_TO_MANY,
    "ManyToMany": Cardinality.MANY_TO_MANY,
}
_MEND = (
    (r"expected type matrix in call to function '(\w+)', got vector", "Give it a range, as in {0}(metric[5m])."),
    (r"expected type vector in call to function '(\w+)', got matrix", "Leave out the range in brackets."),
    (r"expected type vector in call to function '(\w+)', got scalar", "Make the number a vector with vector(…)."),
    (r"expected type scalar in call to function '(\w+)', got vector", "Make the vector a number with scalar(…)."),
    (r"comparisons between scalars must use BOOL", "Write bool after the operator, as in 1 == bool 1."),
    (r"must contain only scalar and instant vector", "A range needs a function such as rate(…) or avg_over_time(…)."),
    (r"subquery is only allowed on vector, got matrix", "Put a function such as rate(…) around the inner range."),
    (r"subquery is only allowed on vector, got scalar", "Make the number a vector with vector(…)."),
    (r"ranges only allowed for vector selectors", "For the range of an expression write a subquery: (…)[5m:1m]."),
    (r"unclosed left", "Close every bracket that is opened."),
    (r"no expression found", "Write a metric's name or any other expression."),
    (r"set twice", "Name the metric once, before or inside the braces."),
    (r"must not occur in ON and GROUP", "Leave the label out of group_left or group_right."),
    (r"duration must be greater than 0", "Durations are written as in 30s, 5m or 1h30m."),
    (r"bad number or duration|not a valid duration", "Durations are written as in 30s, 5m or 1h30m."),
    (r"invalid promql query", "Check the operators, commas and brackets."),
)
# What Prometheus has behind feature flags and the parser does not know, asked only of queries that it refuses.
_EXPERIMENTAL = (
    (re.compile(r"[\]}\w]\s*+\b(?:anchored|smoothed)\b"), "anchored and smoothed are experimental"),
    (
        re.compile(r"\[[^\[\]]*(?:\w\s*+[-+*/%^]|\()|(?<![\w:])offset\s*+[-+]?+\s*+\w*+\s*+\(", re.IGNORECASE),
        "Arithmetic in durations is experimental",
    ),
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed query: its text, what it evaluates to, and its syntax tree."""

    text: str
    kind: Kind
    node: Node
    repeated: frozenset[str]  # keys of what occurs more than once in it: nodes, and what selectors select

    @property
    def key(self) -> str:
        """Return the canonical form: equal for equal meaning, whatever the spelling."""
        return self.node.key

    def selectors(self) -> list[plan.Selector]:
        """Return the vector selectors in it, each meaning once."""
        found = {node.key: node for node in plan.walk(self.node) if isinstance(node, plan.Selector)}
        return list(found.values())


def parse(text: str) -> Expression:
    """Return the expression; QueryError says what is wrong with it, where it is known, and how to mend it."""
    found = _read(text) if len(text) <= _SHORT else _read_long(text)
    if isinstance(found, QueryError):
        raise QueryError(found.message, found.position)
    return found


def _reading(text: str) -> Expression | QueryError:
    try:
        with foreign("The parser of queries", QueryError, QueryError):
            return _parsed(text)
    except QueryError as wrong:  # kept as well: a rule asks for the same at every evaluation
        return wrong.with_traceback(None)


_read = lru_cache(maxsize=4096)(_reading)
_read_long = lru_cache(maxsize=64)(_reading)


def _parsed(text: str) -> Expression:
    prepared = prepare(text)
    try:
        tree = promql_parser.parse(prepared.text)
    except ValueError as wrong:
        _refuse_experimental(prepared.text)
        raise _explained(prepared.restored(str(wrong))[:_MESSAGE_MOST], text) from None
    node = _Compiler(prepared, text).node(tree, 0)
    return Expression(text, node.kind, node, _repeated(node))


def prettified(text: str) -> str:
    """Return a query laid out over lines, as the parser writes it. QueryError if it is none."""
    parse(text)
    with foreign("The parser of queries", QueryError, QueryError):
        return str(promql_parser.parse(text).prettify())


def _repeated(node: Node) -> frozenset[str]:
    keys = Counter(one.key for one in plan.walk(node))
    keys += Counter(f"select {one.series_key}" for one in plan.walk(node) if isinstance(one, plan.Selector))
    return frozenset(key for key, times in keys.items() if times > 1)


def _refuse_experimental(code: str) -> None:
    for form, what in _EXPERIMENTAL:
        if form.search(code):
            raise QueryError(f"{what} in Prometheus and not supported.")


def _explained(message: str, text: str) -> QueryError:
    unknown = re.match(r"unknown function with name '([^']*)'", message)
    if unknown:
        near = difflib.get_close_matches(unknown.group(1), FUNCTIONS, 1)
        mend = f" Did you mean {near[0]}?" if near else ""
        return QueryError(f"There is no function {unknown.group(1)!r}.{mend}", _position(text, unknown.group(1)))
    called = re.search(r"in call to (?:function )?'(\w+)'", message)
    character = re.search(r"unexpected (?:character|right \w+).*'(.)'", message)
    position = _position(text, called.group(1)) if called else _last(text, character.group(1)) if character else None
    message = (message[:1].upper() + message[1:]).rstrip(".") + "."
    for form, mend in _MEND:
        found = re.search(form, message, re.IGNORECASE)
        if found:
            return QueryError(f"{message} {mend.format(*found.groups())}", position)
    return QueryError(message, position)


def _position(text: str, word: str) -> int | None:
    found = re.search(rf"(?<![\w:]){re.escape(word)}(?![\w:])", text)
    return found.start() if found else None


def _last(text: str, character: str) -> int | None:
    position = text.rfind(character)
    return position if position >= 0 else None


def _ms(duration: timedelta | None) -> int:
    return duration // _MILLISECOND if duration is not None else 0


def _name(value: object) -> str:
    """Return the last part of an enum value of the parser's: its values are no hashable constants."""
    return str(value).rpartition(".")[2]


def _label(name: str) -> str:
    """Return a label's name; QueryError if it is empty or not UTF-8."""
    if not name or any(0xDC80 <= ord(letter) <= 0xDCFF for letter in name):
        raw = name.encode("utf-8", "surrogateescape")
        shown = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in raw)
        raise QueryError(f'invalid label name "{shown}"')
    return name


class _Compiler:
    def __init__(self, prepared: Prepared, text: str) -> None:
        self._prepared = prepared
        self._text = text

    def node(self, tree: promql_parser.Expr, depth: int) -> Node:
        if depth > DEEPEST_TREE:
            raise QueryError(f"The query is nested more than {DEEPEST_TREE} levels deep. Record parts of it by rules.")
        match tree:
            case promql_parser.ParenExpr():
                return self.node(tree.expr, depth + 1)
            case promql_parser.NumberLiteral():
                return plan.Number(tree.val, repr(tree.val))
            case promql_parser.StringLiteral():
                value = self._prepared.restored(tree.val)
                return plan.Text(value, repr(value))
            case promql_parser.VectorSelector():
                return self._selector(tree)
            case promql_parser.MatrixSelector():
                selector, range_ms = self._selector(tree.vector_selector), _ms(tree.range)
                return plan.Range(selector, range_ms, f"{selector.key}[{range_ms}]")
            case promql_parser.SubqueryExpr():
                return self._subquery(tree, depth)
            case promql_parser.UnaryExpr():
                inner = self.node(tree.expr, depth + 1)
                return plan.Negation(inner, f"-({inner.key})")
            case promql_parser.BinaryExpr():
                return self._binary(tree, depth)
            case promql_parser.AggregateExpr():
                return self._aggregation(tree, depth)
            case promql_parser.Call():
                return self._call(tree, depth)
        raise QueryError(f"{type(tree).__name__} is not supported.")

    def _at(self, modifier: promql_parser.AtModifier | None) -> int | Edge | None:
        if modifier is None:
            return None
        if modifier.at is None:
            return Edge.START if _name(modifier.type) == "Start" else Edge.END
        return self._prepared.times_ms[round((modifier.at - _EPOCH).total_seconds())]

    def _selector(self, tree: promql_parser.VectorSelector) -> plan.Selector:
        if tree.matchers.or_matchers:
            raise QueryError("`or` between matchers is not PromQL. Join two selectors with the operator or.")
        restored = self._prepared.restored
        matchers = [
            Matcher(_label(restored(found.name)), _MATCHES.get(_name(found.op), MatchKind.NOT_REGEX), value)
            for found in tree.matchers.matchers
            for value in [restored(found.value)]
        ]
        if tree.name is not None:
            matchers.append(Matcher(NAME, MatchKind.EQUAL, restored(tree.name)))
        for matcher in matchers:
            if matcher.kind in (MatchKind.REGEX, MatchKind.NOT_REGEX):
                pattern(matcher.value)
        if all(accepts(matcher, "") for matcher in matchers):
            raise QueryError(
                "Vector selector must contain at least one non-empty matcher. Name a metric or a label.",
                _last(self._text, "{"),
            )
        ordered = tuple(sorted(set(matchers), key=lambda one: (one.name, one.kind, one.value)))
        at, offset_ms = self._at(tree.at), _ms(tree.offset)
        inside = ",".join(f"{one.name}{one.kind}{one.value!r}" for one in ordered)
        series_key = f"{{{inside}}}"
        return plan.Selector(ordered, offset_ms, at, series_key, f"{series_key}{_moved(at, offset_ms)}")

    def _subquery(self, tree: promql_parser.SubqueryExpr, depth: int) -> Node:
        inner = self.node(tree.expr, depth + 1)
        at, offset_ms, range_ms = self._at(tree.at), _ms(tree.offset), _ms(tree.range)
        step_ms = None if tree.step is None else _ms(tree.step)
        key = f"({inner.key})[{range_ms}:{step_ms}]{_moved(at, offset_ms)}"
        return plan.Subquery(inner, range_ms, step_ms, offset_ms, at, key)

    def _binary(self, tree: promql_parser.BinaryExpr, depth: int) -> Node:
        left, right = self.node(tree.lhs, depth + 1), self.node(tree.rhs, depth + 1)
        operator, modifier = str(tree.op), tree.modifier
        matching = None
        if left.kind is Kind.VECTOR and right.kind is Kind.VECTOR:
            cardinality = Cardinality.MANY_TO_MANY if operator in ("and", "or", "unless") else Cardinality.ONE_TO_ONE
            matching = plan.Matching(cardinality, on=False, labels=(), include=())
        if modifier is not None:
            fills = modifier.fill_values
            if fills is not None and (fills.lhs is not None or fills.rhs is not None):
                raise QueryError("fill, fill_left and fill_right are experimental and not supported. Use or vector(…).")
            if matching is not None:
                found = modifier.matching
                matching = plan.Matching(
                    _CARDINALITIES[_name(modifier.card)],
                    on=found is not None and _name(found.type) == "Include",
                    labels=self._labels(found.labels) if found is not None else (),
                    include=self._labels(modifier.group_labels or []),
                )
        return_bool = modifier is not None and modifier.return_bool
        how = f"{operator}{' bool' if return_bool else ''}{'' if matching is None else _matched(matching)}"
        return plan.Binary(operator, left, right, matching, return_bool, f"({left.key}){how}({right.key})")

    def _labels(self, names: list[str]) -> tuple[str, ...]:
        return tuple(sorted({_label(self._prepared.restored(name)) for name in names}))

    def _aggregation(self, tree: promql_parser.AggregateExpr, depth: int) -> Node:
        operator = str(tree.op)
        inner = self.node(tree.expr, depth + 1)
        parameter = None if tree.param is None else self.node(tree.param, depth + 1)
        without = False
        labels: tuple[str, ...] = ()
        if tree.modifier is not None:
            without, labels = _name(tree.modifier.type) == "Without", self._labels(tree.modifier.labels)
        if operator == "count_values" and isinstance(parameter, plan.Text):
            _label(parameter.value)
        grouping = f"{'without' if without else 'by'}({','.join(map(repr, labels))})"
        key = f"{operator} {grouping}({'' if parameter is None else parameter.key + ','}{inner.key})"
        return plan.Aggregation(operator, inner, parameter, without, labels, key)

    def _call(self, tree: promql_parser.Call, depth: int) -> Node:
        name = tree.func.name
        position = _position(self._text, name)
        if name in NATIVE_HISTOGRAM_FUNCTIONS:
            raise QueryError(
                f"{name} works on native histograms, which are not supported. Use the classic histogram's series "
                "(_bucket, _sum, _count).",
                position,
            )
        if name not in FUNCTIONS:
            raise QueryError(f"The function {name} is experimental in Prometheus and not supported.", position)
        arguments = tuple(self.node(argument, depth + 1) for argument in tree.args)
        key = f"{name}({','.join(argument.key for argument in arguments)})"
        return plan.Call(name, arguments, _KINDS[_name(tree.func.return_type)], key)


def _moved(at: int | Edge | None, offset_ms: int) -> str:
    return f"{'' if at is None else f'@{at}'}{f'-{offset_ms}' if offset_ms else ''}"


def _matched(matching: plan.Matching) -> str:
    labels = ",".join(map(repr, matching.labels))
    include = ",".join(map(repr, matching.include))
    return f" {matching.cardinality} {'on' if matching.on else 'ignoring'}({labels}) ({include})"
