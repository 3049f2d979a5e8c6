"""What a rule would have done over a past range: for the preview while it is edited, before it pages anybody.

    replayed = replay(rule, source, start_ms, end_ms, step_ms)
    replayed.pages, replayed.intervals      # how often it would have fired; when it was pending and firing
    replayed.lines, replayed.threshold      # the value, series by series, and the number that it is compared with

The expression is evaluated in pieces of the range, then the state machine goes through the steps. It is as exact as the
rule itself would have been at this step, but for templates of labels that ask queries: those find nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.promql import Limits, QueryError, Result, evaluate_range
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.series import Source
from mainstay.respond.rules.files import Rule
from mainstay.respond.rules.state import (
    Change,
    Code,
    Found,
    Instance,
    Labels,
    State,
    Surroundings,
    advance,
    fingerprint,
    identified,
    scope_of,
)
from mainstay.respond.rules.threshold import Threshold, threshold

STEPS_AT_ONCE = 2_000
MOST_STEPS = 50_000
MOST_LINES = 20
MOST_SERIES = 5_000
MOST_PRESENCES = 2_000_000  # series × steps at which the condition holds

_OPENS = {Code.PENDING: State.PENDING, Code.FIRED: State.FIRING}
_CLOSES = {Code.FIRED, Code.CANCELLED, Code.RESOLVED, Code.OVER_LIMIT}


@dataclass(frozen=True, slots=True)
class Interval:
    """A time in which an alert was pending or firing. It ends at `end_ms`, or was still so at the end of the range."""

    fingerprint: str
    labels: Labels
    state: State
    begin_ms: int
    end_ms: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The value of one series; NaN where there is none."""

    labels: Labels
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What would have happened. `error` tells why nothing could be replayed; all else is empty then."""

    intervals: tuple[Interval, ...] = ()
    pages: int = 0  # how often an alert began to fire
    changes: tuple[Change, ...] = ()
    lines: tuple[Line, ...] = ()  # those that met the condition longest come first
    lines_left_out: int = 0
    threshold: Threshold | None = None
    steps: int = 0
    error: str = ""


@dataclass(slots=True)
class _Identities:
    """The identity of each series as an alert; it is made once where it depends on the labels alone."""

    rule: Rule
    around: Surroundings
    fixed: bool = field(init=False)
    known: dict[int, tuple[str, Labels]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fixed = not any(template.needs_value for template in self.rule.label_templates.values())

    def of(self, row: int, labels: Labels, value: float, at_ms: int) -> tuple[str, Labels]:
        """Return fingerprint and labels."""
        found = self.known.get(row) if self.fixed else None
        if found is None:
            identity = identified(self.rule, labels, scope_of(labels, value, at_ms, self.around))
            found = fingerprint(identity), identity
            if self.fixed:
                self.known[row] = found
        return found


def replay(
    rule: Rule,
    source: Source,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    *,
    limit: int = 0,
    limits: Limits | None = None,
    around: Surroundings | None = None,
) -> Replayed:
    """Return what an alerting rule would have done if it had been evaluated at every step of [start_ms, end_ms].

    Nothing is known from before `start_ms`. A query that fails is an `error`, and nothing is raised for it.
    """
    if step_ms <= 0 or end_ms < start_ms:
        return Replayed(error="the range is empty; its end must lie after its beginning, its step above 0")
    steps = (end_ms - start_ms) // step_ms + 1
    if steps > MOST_STEPS:
        return Replayed(error=f"{steps:,} steps are more than {MOST_STEPS:,}; take a shorter range or a wider step")
    around = replace(around or Surroundings(), query=None)
    machine = _Machine(rule, limit, _Identities(rule, around))
    compared = threshold(rule.expr)
    chart = _Chart(start_ms, step_ms, steps)
    # Where the rule compares with a number, what it compares is evaluated alone: the chart wants it, too.
    text = compared.left if compared else rule.expr
    try:
        for begin_ms in range(start_ms, end_ms + 1, step_ms * STEPS_AT_ONCE):
            last_ms = min(end_ms, begin_ms + step_ms * (STEPS_AT_ONCE - 1))
            result = evaluate_range(text, source, begin_ms, last_ms, step_ms, limits=limits or Limits())
            if len(result) > MOST_SERIES:
                raise QueryError(f"the expression gives more than {MOST_SERIES:,} series; aggregate it")
            holds = _holds(result, compared)
            machine.go_through(result, holds)
            chart.add(result, holds)
    except QueryError as error:
        return Replayed(error=str(error), threshold=compared, steps=steps)
    lines, left_out = chart.lines()
    return Replayed(
        intervals=machine.intervals(),
        pages=sum(change.code is Code.FIRED for change in machine.changes),
        changes=tuple(machine.changes),
        lines=lines,
        lines_left_out=left_out,
        threshold=compared,
        steps=steps,
        error=machine.error,
    )


def _holds(result: Result, compared: Threshold | None) -> NDArray[np.bool_]:
    """Return where the condition holds [series, steps]."""
    present: NDArray[np.bool_] = result.present
    if compared is None:
        return present
    with np.errstate(invalid="ignore"):
        passed: NDArray[np.bool_] = compared.passed(result.values)
    return present & passed


class _Machine:
    """Goes through the steps with the state machine, and past those at which nothing can change."""

    def __init__(self, rule: Rule, limit: int, identities: _Identities) -> None:
        self._rule = rule
        self._limit = limit
        self._identities = identities
        self._instances: Mapping[str, Instance] = {}
        self._open: dict[str, Interval] = {}
        self._closed: list[Interval] = []
        self._presences = 0
        self.changes: list[Change] = []
        self.error = ""

    def go_through(self, result: Result, holds: NDArray[np.bool_]) -> None:
        """Take the steps of one piece of the range."""
        self._identities.known.clear()  # rows are those of this result
        self._presences += int(holds.sum())
        if self._presences > MOST_PRESENCES:
            raise QueryError("the condition holds for too many series, too long, to be replayed; take a shorter range")
        labels = result.series.all_labels()
        changed = np.ones(holds.shape[1], np.bool_)
        if self._identities.fixed and holds.shape[1]:
            changed[1:] = (holds[:, 1:] != holds[:, :-1]).any(axis=0)
        for step, at_ms in enumerate(result.times.tolist()):
            if not changed[step] and not self._waits():
                continue
            found: dict[str, Found] = {}
            clash = False
            for row in np.flatnonzero(holds[:, step]).tolist():
                value = float(result.values[row, step])
                key, identity = self._identities.of(row, labels[row], value, at_ms)
                clash = clash or key in found
                found[key] = Found(identity, {}, value)
            if clash:
                self.error = self.error or "two series get the same labels once the labels of the alert are applied"
                continue
            stepped = advance(self._rule, self._instances, found, at_ms, limit=self._limit)
            self.error = self.error or stepped.error
            self._instances = stepped.instances
            for change in stepped.changes:
                self._note(change)

    def _waits(self) -> bool:
        """Tell whether time alone may change something: `for` or `keep_firing_for` runs."""
        return any(
            instance.state is State.PENDING or (instance.is_active and instance.kept_since_ms is not None)
            for instance in self._instances.values()
        )

    def _note(self, change: Change) -> None:
        self.changes.append(change)
        opened = self._open.get(change.fingerprint)
        if opened is not None and change.code in _CLOSES:
            self._closed.append(replace(opened, end_ms=change.at_ms))
            del self._open[change.fingerprint]
        state = _OPENS.get(change.code)
        if state is not None:
            self._open[change.fingerprint] = Interval(change.fingerprint, change.labels, state, change.at_ms)

    def intervals(self) -> tuple[Interval, ...]:
        """Return all intervals by their beginning."""
        return tuple(sorted([*self._closed, *self._open.values()], key=lambda each: (each.begin_ms, each.fingerprint)))


class _Chart:
    """Collects the values of series over the pieces of the range."""

    def __init__(self, start_ms: int, step_ms: int, steps: int) -> None:
        self._times = start_ms + step_ms * np.arange(steps, dtype=np.int64)
        self._start_ms = start_ms
        self._step_ms = step_ms
        self._values: dict[tuple[tuple[str, str], ...], NDArray[np.float64]] = {}
        self._weight: dict[tuple[tuple[str, str], ...], int] = {}
        self._left_out: set[tuple[tuple[str, str], ...]] = set()

    def add(self, result: Result, holds: NDArray[np.bool_]) -> None:
        """Add one piece. More lines than are shown are kept, so that the ones that matter most can be chosen."""
        if result.kind is not Kind.MATRIX or not len(result.times):
            return
        begin = (int(result.times[0]) - self._start_ms) // self._step_ms
        weights = holds.sum(axis=1)
        for row in np.argsort(-weights, kind="stable").tolist():
            key = tuple(result.series.labels(row).items())
            line = self._values.get(key)
            if line is None:
                if len(self._values) >= 10 * MOST_LINES:
                    self._left_out.add(key)
                    continue
                line = self._values[key] = np.full(len(self._times), np.nan)
            values = np.where(result.present[row], result.values[row], np.nan)
            line[begin : begin + len(values)] = values
            self._weight[key] = self._weight.get(key, 0) + int(weights[row])

    def lines(self) -> tuple[tuple[Line, ...], int]:
        """Return the lines that met the condition longest, and how many are left out."""
        ordered = sorted(self._values, key=lambda key: (-self._weight[key], key))
        shown = tuple(Line(dict(key), self._times, self._values[key]) for key in ordered[:MOST_LINES])
        return shown, len(ordered) - len(shown) + len(self._left_out)
