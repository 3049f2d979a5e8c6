"""Queries: an expression at one instant, over a range, or many expressions at one instant."""

import numpy as np

from mainstay.observe.metrics.promql.errors import QueryError, QueryTooExpensive
from mainstay.observe.metrics.promql.evaluate import Evaluation, Limits, Value
from mainstay.observe.metrics.promql.grid import Grid
from mainstay.observe.metrics.promql.memo import Memo
from mainstay.observe.metrics.promql.messages import limited
from mainstay.observe.metrics.promql.parse import Expression, parse
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.result import Result, raw_of
from mainstay.observe.metrics.promql.series import Series, Source, Symbols
from mainstay.observe.metrics.promql.vector import Scalar, Text, settle_names

_ROUND_BYTES = 256 << 20
_QUERY_BYTES = 1 << 30
_DEFAULT = Limits()


def evaluate(expression: Expression | str, source: Source, at_ms: int, *, limits: Limits = _DEFAULT) -> Result:
    """Evaluate at one instant (unix milliseconds).

    Raises QueryError for what cannot be evaluated, QueryTooExpensive (one of them) before too much is read.
    """
    expression = parse(expression) if isinstance(expression, str) else expression
    return _instant(expression, source, at_ms, limits, Memo(_QUERY_BYTES, expression.repeated))


def evaluate_range(
    expression: Expression | str,
    source: Source,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    *,
    limits: Limits = _DEFAULT,
) -> Result:
    """Evaluate at every step from start to end (unix milliseconds, both included); the result is a matrix.

    Raises QueryError for what cannot be evaluated, QueryTooExpensive (one of them) before too much is read.
    """
    expression = parse(expression) if isinstance(expression, str) else expression
    if step_ms <= 0:
        raise QueryError("The step must be longer than 0 milliseconds.")
    if end_ms < start_ms:
        raise QueryError("The end of the range must not be before its start.")
    if expression.kind in (Kind.MATRIX, Kind.STRING):
        raise QueryError(
            f"invalid expression type {_named(expression.kind)!r} for range query, must be Scalar or instant Vector"
        )
    steps = (end_ms - start_ms) // step_ms + 1
    if steps > limits.max_steps:
        raise QueryTooExpensive(
            f"The range has {steps:,} steps; {limits.max_steps:,} are allowed. Widen the step or shorten the range.",
            steps,
        )
    grid = Grid.of(start_ms, end_ms, step_ms)
    evaluation = Evaluation(source, limits, Memo(_QUERY_BYTES, expression.repeated), instant=False)
    evaluation.refuse_if_too_expensive(expression.node, grid)
    with np.errstate(all="ignore"):
        value = _value(expression, grid, evaluation)
        return _result(value, Kind.MATRIX, grid, evaluation)


class Round:
    """Many expressions at one instant (unix milliseconds). What several of them share is read and evaluated once."""

    def __init__(self, source: Source, at_ms: int, limits: Limits = _DEFAULT) -> None:
        self._source = source
        self._limits = limits
        self._memo = Memo(_ROUND_BYTES)
        self.at_ms = at_ms

    @property
    def reused(self) -> int:
        """Return how often something was there already."""
        return self._memo.hits

    def evaluate(self, expression: Expression | str) -> Result:
        """Evaluate one; as the function of the same name."""
        expression = parse(expression) if isinstance(expression, str) else expression
        return _instant(expression, self._source, self.at_ms, self._limits, self._memo)


def _instant(expression: Expression, source: Source, at_ms: int, limits: Limits, memo: Memo) -> Result:
    grid = Grid.of(at_ms, at_ms, 0)
    evaluation = Evaluation(source, limits, memo, instant=True)
    evaluation.refuse_if_too_expensive(expression.node, grid)
    with np.errstate(all="ignore"):
        if expression.kind is Kind.MATRIX:
            windows = evaluation.windows(expression.node, grid, "")
            series, samples = raw_of(windows)
            nothing = np.zeros((len(series), 0))
            return Result(
                Kind.MATRIX,
                series,
                grid.times,
                nothing,
                None,
                "",
                limited(evaluation.warnings, "warning"),
                limited(evaluation.infos, "info"),
                samples,
            )
        value = _value(expression, grid, evaluation)
        return _result(value, expression.kind, grid, evaluation)


def _value(expression: Expression, grid: Grid, evaluation: Evaluation) -> Value:
    try:
        return evaluation.value(expression.node, grid)
    except RecursionError:  # the caller has used up most of the stack
        raise QueryError("The query is nested too deep. Record parts of it by rules.") from None


def _result(value: Value, kind: Kind, grid: Grid, evaluation: Evaluation) -> Result:
    warnings, infos = limited(evaluation.warnings, "warning"), limited(evaluation.infos, "info")
    if isinstance(value, Text):
        none = Series(evaluation.symbols, (), np.zeros((0, 0), np.int32))
        return Result(kind, none, grid.times, np.zeros((0, len(grid))), None, value.value, warnings, infos)
    if isinstance(value, Scalar):
        return Result(
            kind, _unlabelled(evaluation.symbols), grid.times, value.values[None, :], None, "", warnings, infos
        )
    vector = settle_names(value)
    if vector.present is not None:
        rows = vector.present.any(axis=1)
        if not rows.all():
            vector = vector.take(np.flatnonzero(rows))
    present = vector.present
    if present is not None and present.all():
        present = None
    return Result(kind, vector.series, grid.times, vector.values, present, "", warnings, infos)


def _unlabelled(symbols: Symbols) -> Series:
    return Series(symbols, (), np.zeros((1, 0), np.int32))


def _named(kind: Kind) -> str:
    return {"matrix": "range vector", "string": "string"}[kind]
