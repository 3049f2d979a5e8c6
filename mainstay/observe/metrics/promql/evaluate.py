"""Evaluation of the syntax tree: every node once for all series and all steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mainstay.observe.metrics.promql import aggregate, matching, messages, plan
from mainstay.observe.metrics.promql.errors import QueryError, QueryTooExpensive
from mainstay.observe.metrics.promql.functions import histograms
from mainstay.observe.metrics.promql.functions.implementations import IMPLEMENTATIONS, widened
from mainstay.observe.metrics.promql.grid import Grid
from mainstay.observe.metrics.promql.memo import Memo
from mainstay.observe.metrics.promql.operators import ARITHMETIC, COMPARISONS, SETS, calculated
from mainstay.observe.metrics.promql.plan import Node
from mainstay.observe.metrics.promql.series import Hints, Samples, Selection, Series, Source, Symbols, Times, Values
from mainstay.observe.metrics.promql.vector import Scalar, Text, Vector, drop_name
from mainstay.observe.metrics.promql.windows import Windows, instants

Value = Vector | Scalar | Text
_ROLLUP_RANGE_MS = 3_600_000  # up to here a source has only the samples themselves to answer from


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may cost, and two defaults of evaluation.

    `deadline` is called between nodes and may raise; what it raises ends the query. With `delayed_names` a dropped
    metric name counts until the end of the query (the feature flag promql-delayed-name-removal of Prometheus 3).
    """

    max_samples: int = 50_000_000
    lookback_ms: int = 300_000
    max_steps: int = 11_000
    deadline: Callable[[], None] | None = None
    subquery_step_ms: int = 60_000
    delayed_names: bool = False


class Evaluation:
    """One query's evaluation. Values are remembered in `memo` by node and grid."""

    def __init__(self, source: Source, limits: Limits, memo: Memo, *, instant: bool) -> None:
        self.symbols: Symbols = source.symbols
        self.instant = instant
        self.delayed_names = limits.delayed_names
        self.warnings: dict[str, None] = {}  # each once, in their order
        self.infos: dict[str, None] = {}
        self._source = source
        self._limits = limits
        self._memo = memo

    # What functions ask for

    def vector(self, node: Node, grid: Grid) -> Vector:
        """Return the value of a node of kind vector."""
        found = self.value(node, grid)
        if not isinstance(found, Vector):
            raise _unfit("an instant vector")
        return found

    def scalar(self, node: Node, grid: Grid) -> Values:
        """Return the values [steps] of a node of kind scalar."""
        found = self.value(node, grid)
        if not isinstance(found, Scalar):
            raise _unfit("a number")
        return found.values

    def text(self, node: Node) -> str:
        """Return the value of a node of kind string."""
        if not isinstance(node, plan.Text):
            raise _unfit("a text in quotes")
        return node.value

    def check_deadline(self) -> None:
        """Let the caller end the query by raising."""
        if self._limits.deadline is not None:
            self._limits.deadline()

    def warn(self, message: str) -> None:
        """Tell of something that makes the result doubtful."""
        self.warnings[f"PromQL warning: {message}"] = None

    def info(self, message: str) -> None:
        """Tell of something the author of the query may want to know."""
        self.infos[f"PromQL info: {message}"] = None

    def warn_of_quantile(self, quantile: Values) -> None:
        """Warn if a quantile is not between 0 and 1."""
        for value in quantile[~((quantile >= 0) & (quantile <= 1))].tolist():
            self.warn(f"quantile value should be between 0 and 1, got {messages.number(value)}")

    def warn_of_bucket_labels(self, vector: Vector) -> None:
        """Warn if a bucket's bound is no number."""
        bad = histograms.histograms_of(vector.series).bad
        for row in bad[vector.mask()[bad].any(axis=1)].tolist():
            labels = vector.series.labels(row)
            text = messages.quoted(labels.get(histograms.BUCKET_LABEL, ""))
            self.warn(f'bucket label "le" is missing or has a malformed value of {text}{messages.of_metric(labels)}')

    def warn_of_sorting(self, grid: Grid) -> None:
        """Warn if something is sorted at several steps."""
        if len(grid) > 1:
            self.warn("sort is ineffective for range queries since results are always ordered by labels")

    # Reading

    def refuse_if_too_expensive(self, node: Node, grid: Grid) -> None:
        """Raise QueryTooExpensive if what the node would have to read is too much; nothing is read for that."""
        samples = 0
        counted: set[tuple[str, int, int]] = set()
        waiting = [(node, grid)]
        while waiting:
            node, grid = waiting.pop()
            if isinstance(node, plan.Subquery):
                inner = self._subquery_grid(node, grid)
                if inner is not None:
                    waiting.append((node.inner, inner))
                continue
            if not isinstance(node, plan.Selector | plan.Range):
                waiting.extend((child, grid) for child in plan.children(node))
                continue
            selector = node if isinstance(node, plan.Selector) else node.selector
            reach_ms = self._limits.lookback_ms if isinstance(node, plan.Selector) else node.range_ms
            times = grid.moved(selector.at, selector.offset_ms)
            after, until = int(times[0]) - reach_ms, int(times[-1])
            read = selector.series_key, after, until
            if read not in counted and read not in self._memo:
                counted.add(read)
                samples += self._source.count(selector.matchers, after, until)
        self._refuse_beyond(samples, "read")

    def _select(self, selector: plan.Selector, times: Times, reach_ms: int, hints: Hints) -> Selection:
        """Return what lies in (first time - reach, last time]."""
        after, until = int(times[0]) - reach_ms, int(times[-1])
        function = hints.function if hints.step_ms or reach_ms > _ROLLUP_RANGE_MS else ""
        read = selector.series_key, after, until
        key = read if self.instant and not function else (*read, hints)
        found: Selection | None = self._memo.get(key)
        if found is None:
            found = self._source.select(selector.matchers, after, until, hints)
            size = found.samples.values.nbytes + found.samples.times.nbytes
            self._memo.put(f"select {selector.series_key}", key, found, size)
        self._refuse_beyond(len(found.series) * len(times), "make")
        return found

    def _refuse_beyond(self, samples: int, does: str) -> None:
        if samples > self._limits.max_samples:
            raise QueryTooExpensive(
                f"The query would {does} about {samples:,} samples; {self._limits.max_samples:,} are allowed. "
                "Narrow it: add matchers, shorten the range, widen the step, or record a part of it by a rule.",
                samples,
            )

    def instants(self, node: plan.Selector, grid: Grid) -> tuple[Vector, Times]:
        """Return the latest samples of a selector and their times [series or 1, steps]; one step if `@` fixes it."""
        key = ("instants", node.key, grid.key)
        known: tuple[Vector, Times] | None = self._memo.get(key)
        if known is None:
            times = grid.moved(node.at, node.offset_ms)
            hints = Hints(step_ms=0 if self.instant else grid.step_ms)
            found = self._select(node, times, self._limits.lookback_ms, hints)
            vector, moments = instants(found.series, found.samples, times, self._limits.lookback_ms)
            group = found.samples.group
            known = vector, moments if len(moments) == 1 else moments[group]
            self._memo.put(node.key, key, known, vector.values.nbytes)
        return known

    def windows(self, node: Node, grid: Grid, function: str) -> Windows:
        """Return the windows of a node of kind matrix; one step if `@` fixes it."""
        if isinstance(node, plan.Subquery):
            return self._subquery(node, grid)
        if not isinstance(node, plan.Range):
            raise _unfit("a range, as in metric[5m],")
        selector = node.selector
        times = grid.moved(selector.at, selector.offset_ms)
        step_ms = 0 if self.instant else grid.step_ms
        found = self._select(selector, times, node.range_ms, Hints(function, node.range_ms, step_ms))
        key = ("windows", id(found), node.key, grid.key)
        known: Windows | None = self._memo.get(key)
        if known is None:
            known = Windows.over(found.series, found.samples, times, node.range_ms)
            self._memo.put(node.key, key, known, known.begin.nbytes * 2, holds=found)
        return known

    def _subquery(self, node: plan.Subquery, grid: Grid) -> Windows:
        key = ("windows", node.key, grid.key)
        known: Windows | None = self._memo.get(key)
        if known is not None:
            return known
        times = grid.moved(node.at, node.offset_ms)
        inner = self._subquery_grid(node, grid)
        if inner is None:
            nothing = Samples(
                np.zeros((1, 0), np.int64), np.zeros(1, np.intp), np.zeros(0, np.intp), np.zeros((0, 0), np.float64)
            )
            return Windows.over(Series(self.symbols, (), np.zeros((0, 0), np.int32)), nothing, times, node.range_ms)
        vector = self.vector(node.inner, inner)
        windows = Windows.over(vector.series, _sampled(vector, inner.times), times, node.range_ms)
        windows.unnamed = vector.unnamed
        self._memo.put(node.key, key, windows, windows.samples.values.nbytes)
        return windows

    def _subquery_grid(self, node: plan.Subquery, grid: Grid) -> Grid | None:
        """Return the steps at which the inside of a subquery is evaluated; None if there are none."""
        times = grid.moved(node.at, node.offset_ms)
        step = node.step_ms or self._limits.subquery_step_ms
        begin = (int(times[0]) - node.range_ms) // step * step + step  # the first multiple inside the open left end
        steps = (int(times[-1]) - begin) // step + 1
        self._refuse_beyond(steps, "make")
        return Grid.of(begin, begin + (steps - 1) * step, step, grid) if steps > 0 else None

    # Nodes

    def value(self, node: Node, grid: Grid) -> Value:
        """Return the value of a node at the grid's steps."""
        if isinstance(node, plan.Number):
            return Scalar(np.full(len(grid), node.value))
        if isinstance(node, plan.Text):
            return Text(node.value)
        self.check_deadline()
        key = (node.key, grid.key)
        known: tuple[Value, dict[str, None], dict[str, None]] | None = self._memo.get(key)
        if known is not None:
            self.warnings |= known[1]
            self.infos |= known[2]
            return known[0]
        outer = self.warnings, self.infos
        self.warnings, self.infos = {}, {}
        try:
            found = self._fresh(node, grid)
            self._memo.put(node.key, key, (found, self.warnings, self.infos), _bytes(found))
        finally:
            inner = self.warnings, self.infos
            self.warnings, self.infos = outer
        self.warnings |= inner[0]
        self.infos |= inner[1]
        return found

    def _fresh(self, node: Node, grid: Grid) -> Value:
        match node:
            case plan.Selector():
                return widened(self.instants(node, grid)[0], len(grid))
            case plan.Call():
                return IMPLEMENTATIONS[node.function](self, node, grid)
            case plan.Binary():
                return self._binary(node, grid)
            case plan.Aggregation():
                return self._aggregation(node, grid)
            case plan.Negation():
                return self._negation(node, grid)
        raise QueryError("A range vector is not allowed here; put a function such as rate(…) around it.")

    def _negation(self, node: plan.Negation, grid: Grid) -> Value:
        found = self.value(node.inner, grid)
        if isinstance(found, Vector):
            negative = Vector(found.series, -found.values, found.present, found.unnamed)
            return drop_name(negative, delayed=self.delayed_names, strict=True)
        return Scalar(-self.scalar(node.inner, grid))

    def _binary(self, node: plan.Binary, grid: Grid) -> Value:
        left, right = self.value(node.left, grid), self.value(node.right, grid)
        if isinstance(left, Vector) and isinstance(right, Vector):
            if node.operator in SETS:
                return matching.set_operation(node, left, right)
            return matching.combined(node, left, right)
        if isinstance(left, Scalar) and isinstance(right, Scalar):
            return Scalar(calculated(node.operator, left.values, right.values))
        vector = left if isinstance(left, Vector) else right
        if not isinstance(vector, Vector) or isinstance(left, Text) or isinstance(right, Text):
            raise _unfit("a number or an instant vector")
        a, b = left.values, right.values
        if node.operator in COMPARISONS and not node.return_bool:
            kept = np.asarray(COMPARISONS[node.operator](a, b))
            present = kept if vector.present is None else kept & vector.present
            return Vector(vector.series, vector.values, present, vector.unnamed)
        found = Vector(vector.series, calculated(node.operator, a, b), vector.present, vector.unnamed)
        drops = node.operator in ARITHMETIC or node.return_bool
        return drop_name(found, delayed=self.delayed_names) if drops else found

    def _aggregation(self, node: plan.Aggregation, grid: Grid) -> Vector:
        operator, labels, drop = node.operator, node.labels, node.without
        if node.parameter is None:
            return aggregate.reduced(operator, self.vector(node.inner, grid), labels, drop=drop)
        if isinstance(node.parameter, plan.Text):
            label = node.parameter.value
            return aggregate.value_counts(self.vector(node.inner, grid), label, labels, drop=drop)
        parameter = self.scalar(node.parameter, grid)
        vector = self.vector(node.inner, grid)
        match operator:
            case "quantile":
                self.warn_of_quantile(parameter)
                return aggregate.quantiles(vector, parameter, labels, drop=drop)
            case "topk" | "bottomk":
                order = self.instant and len(grid) == 1
                largest = operator == "topk"
                return aggregate.ranked(vector, parameter, labels, drop=drop, largest=largest, order=order)
            case "limitk":
                return aggregate.first_of_groups(vector, parameter, labels, drop=drop)
            case "limit_ratio":
                for ratio, capped in ((parameter.max(), 1), (parameter.min(), -1)):
                    if abs(ratio) > 1 and ratio * capped > 0:
                        got = messages.number(float(ratio))
                        self.warn(f"ratio value should be between -1 and 1, got {got}, capping to {capped}")
                return aggregate.share_of_series(vector, parameter)
        raise QueryError(f"The aggregation {operator} is not supported.")


def _unfit(wanted: str) -> QueryError:
    """The parser does not look at the further arguments of functions that take any number of them."""
    return QueryError(f"An argument is not what its function or operator takes: {wanted} must stand there.")


def _bytes(value: Value) -> int:
    return value.values.nbytes if not isinstance(value, Text) else 0


def _sampled(vector: Vector, times: Times) -> Samples:
    """Return a vector's values as samples."""
    number = len(vector.series)
    if vector.present is None or vector.present.all():
        group = np.zeros(number, np.intp)
        return Samples(times[None, :], np.array([len(times)]), group, np.ascontiguousarray(vector.values))
    order = np.argsort(~vector.present, axis=1, kind="stable")
    values = np.take_along_axis(vector.values, order, axis=1)
    return Samples(times[order], vector.present.sum(axis=1), np.arange(number), values)
