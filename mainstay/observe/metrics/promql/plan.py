"""The syntax tree that is evaluated. Every node has a canonical `key`: equal keys mean equal meaning.

Parentheses, comments and the order of matchers are gone; durations are milliseconds.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NAME = "__name__"


class Kind(StrEnum):
    """What an expression evaluates to, as the Prometheus API names it."""

    SCALAR = "scalar"
    VECTOR = "vector"
    MATRIX = "matrix"
    STRING = "string"


class Edge(StrEnum):
    """An `@` that means an end of the whole query."""

    START = "start()"
    END = "end()"


class Cardinality(StrEnum):
    """How many series of either side may belong together."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


class MatchKind(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label. A regular expression (RE2) is anchored at both ends. An absent label is empty."""

    name: str
    kind: MatchKind
    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number, also one written as a duration (in seconds)."""

    value: float
    key: str

    @property
    def kind(self) -> Kind:
        """Return scalar."""
        return Kind.SCALAR


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str
    key: str

    @property
    def kind(self) -> Kind:
        """Return string."""
        return Kind.STRING


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector selector. `at` (milliseconds) and `offset_ms` move the time it looks at."""

    matchers: tuple[Matcher, ...]
    offset_ms: int
    at: int | Edge | None
    series_key: str  # of the matchers alone
    key: str

    @property
    def kind(self) -> Kind:
        """Return vector."""
        return Kind.VECTOR

    @property
    def metric(self) -> str:
        """Return the metric's name if the selector names exactly one, else the empty text."""
        for matcher in self.matchers:
            if matcher.name == NAME and matcher.kind is MatchKind.EQUAL:
                return matcher.value
        return ""


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector selector."""

    selector: Selector
    range_ms: int
    key: str

    @property
    def kind(self) -> Kind:
        """Return matrix."""
        return Kind.MATRIX


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated over a range. `step_ms` None means the default step."""

    inner: "Node"
    range_ms: int
    step_ms: int | None
    offset_ms: int
    at: int | Edge | None
    key: str

    @property
    def kind(self) -> Kind:
        """Return matrix."""
        return Kind.MATRIX


@dataclass(frozen=True, slots=True)
class Negation:
    """Unary minus."""

    inner: "Node"
    key: str

    @property
    def kind(self) -> Kind:
        """Return the operand's kind."""
        return self.inner.kind


@dataclass(frozen=True, slots=True)
class Matching:
    """Which series of two vectors belong together: those equal `on` (else but for) the labels."""

    cardinality: Cardinality
    on: bool
    labels: tuple[str, ...]
    include: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operation. `matching` is None unless both sides are vectors."""

    operator: str
    left: "Node"
    right: "Node"
    matching: Matching | None
    return_bool: bool
    key: str

    @property
    def kind(self) -> Kind:
        """Return scalar for two scalars, else vector."""
        scalars = self.left.kind is Kind.SCALAR and self.right.kind is Kind.SCALAR
        return Kind.SCALAR if scalars else Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Aggregation:
    """An aggregation over groups of series: `by` the labels, or `without` them."""

    operator: str
    inner: "Node"
    parameter: "Node | None"
    without: bool
    labels: tuple[str, ...]
    key: str

    @property
    def kind(self) -> Kind:
        """Return vector."""
        return Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    function: str
    arguments: "tuple[Node, ...]"
    kind: Kind
    key: str


Node = Number | Text | Selector | Range | Subquery | Negation | Binary | Aggregation | Call


def children(node: Node) -> "tuple[Node, ...]":
    """Return a node's operands."""
    match node:
        case Range():
            return (node.selector,)
        case Subquery() | Negation():
            return (node.inner,)
        case Binary():
            return (node.left, node.right)
        case Aggregation():
            return (node.inner,) if node.parameter is None else (node.parameter, node.inner)
        case Call():
            return node.arguments
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it, parents first."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(children(node)))


def constant(node: Node) -> float | None:
    """Return what an expression of numbers alone gives (`5 * 60`, `-1`, `1h`), or None where it is not one."""
    match node:
        case Number():
            return node.value
        case Negation():
            inner = constant(node.inner)
            return None if inner is None else -inner
        case Binary() if node.operator in _CALCULATIONS:
            left, right = constant(node.left), constant(node.right)
            if left is None or right is None:
                return None
            try:
                found = _CALCULATIONS[node.operator](left, right)
            except ArithmeticError:
                return None
            return found if isinstance(found, float) else None  # (-8) ^ 0.5 is complex
        case _:
            return None


_CALCULATIONS: dict[str, Callable[[float, float], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
}  # fmt: skip
