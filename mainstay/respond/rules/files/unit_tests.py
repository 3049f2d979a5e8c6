"""Runs promtool's unit-test files as promtool does: series in, rules step by step, alerts and queries compared.

    report = run_file(Path("tests/hosts_test.yml"))
    report.passed, report.failures

Ranges are those of Prometheus 3: a sample that lies exactly at the beginning of `[5m]` is outside it. promtool 2 takes
it in, so expectations of `rate()` and its like may differ between the two when samples sit on that boundary.
"""

import glob
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mainstay.foundation.yaml.problems import Problem
from mainstay.observe.metrics.durations import written
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.promql.result import Result
from mainstay.respond.rules.engine import outcome as outcomes
from mainstay.respond.rules.engine.growing import GrowingSource
from mainstay.respond.rules.engine.outcome import Health, Outcome
from mainstay.respond.rules.engine.state import Instance, Labels, State, Vector
from mainstay.respond.rules.files.read import BadRules, RuleGroup, read_rules
from mainstay.respond.rules.files.unit_files import AlertCase, ExpressionCase, Test, TestFile, read_tests
from mainstay.respond.rules.template.go_format import quoted, real

Alerts = list[tuple[Labels, Labels]]  # labels and annotations of alerts
Samples = list[tuple[Labels, float]]
MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Failure:
    """What did not come out as expected. `expected` and `got` are lines to show; both empty for an error."""

    test: str
    line: int
    what: str
    expected: tuple[str, ...] = ()
    got: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """Return the failure for programs."""
        return {
            "test": self.test,
            "line": self.line,
            "what": self.what,
            "expected": list(self.expected),
            "got": list(self.got),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """How the tests of one file went. `cases` are the comparisons made."""

    file: str
    tests: int = 0
    cases: int = 0
    failures: tuple[Failure, ...] = ()
    problems: tuple[tuple[str, Problem], ...] = ()  # file and mistake: nothing could be run
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all went as expected."""
        return not self.failures and not self.problems

    def document(self) -> dict[str, object]:
        """Return the report for programs."""
        return {
            "file": self.file,
            "passed": self.passed,
            "tests": self.tests,
            "cases": self.cases,
            "failures": [failure.document() for failure in self.failures],
            "problems": [{"file": file, **problem.document()} for file, problem in self.problems],
            "warnings": list(self.warnings),
        }


def run_file(path: Path) -> Report:
    """Run the tests of a file. What cannot be read is in the report."""
    warnings: list[str] = []
    try:
        file = read_tests(_content(path), str(path))
        groups = _groups(path, file, warnings)
    except BadRules as error:
        return Report(str(path), problems=tuple((error.file, problem) for problem in error.problems))
    failures: list[Failure] = []
    for test in file.tests:
        failures += Run(test, file, groups).failures()
    cases = sum(len(test.alerts) + len(test.expressions) for test in file.tests)
    return Report(str(path), len(file.tests), cases, tuple(failures), warnings=tuple(warnings))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = Problem(0, 0, "", f"cannot be read: {error.strerror}")
        raise BadRules(str(path), [problem]) from None


def _groups(path: Path, file: TestFile, warnings: list[str]) -> list[RuleGroup]:
    """Read the rule files that a test file names, groups in the order in which they are to be evaluated."""
    groups: list[RuleGroup] = []
    for pattern in file.rule_files:
        found = sorted(glob.glob(str(path.parent / pattern), include_hidden=True))  # noqa: PTH207  # it may be absolute
        if not found:
            warnings.append(f"no file matches {pattern}")
        for name in found:
            groups += read_rules(_content(Path(name)), name).groups
    order = {name: number for number, name in enumerate(file.group_eval_order)}
    return sorted(groups, key=lambda group: order.get(group.name, 0))


@dataclass(slots=True)
class _Group:
    group: RuleGroup
    instances: list[Mapping[str, Instance]]
    rows: list[outcomes.Rows]


@dataclass(slots=True)
class Run:
    """One test, run step by step."""

    test: Test
    file: TestFile
    groups: Sequence[RuleGroup]
    _running: list[_Group] = field(init=False)
    _source: GrowingSource = field(init=False)
    _limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self._running = [_Group(group, [{} for _ in group.rules], [() for _ in group.rules]) for group in self.groups]
        start, every = self.test.start_ms, self.test.interval_ms
        self._source = GrowingSource(
            (
                series.labels,
                ((start + number * every, v) for number, v in enumerate(series.values) if v is not None),
            )
            for series in self.test.series
        )
        self._limits = Limits(subquery_step_ms=self.file.evaluation_interval_ms)

    def failures(self) -> list[Failure]:
        """Run the test and return what did not come out as expected."""
        every = self.file.evaluation_interval_ms
        times = [*(case.at_ms for case in self.test.alerts), *(case.at_ms for case in self.test.expressions)]
        last = max(times, default=0)
        if last // every > MOST_STEPS:
            return [self._failure(self.test.line, f"more than {MOST_STEPS} evaluations; make the interval longer")]
        found: list[Failure] = []
        cases = sorted(self.test.alerts, key=lambda case: case.at_ms)
        for after_ms in range(0, last + 1, every):
            errors = self.step(self.test.start_ms + after_ms)
            if errors:
                return [*found, *errors]
            found += [
                failure
                for case in cases
                if after_ms <= case.at_ms < after_ms + every and (failure := self._alert_case(case)) is not None
            ]
        found += [failure for case in self.test.expressions if (failure := self._expression_case(case)) is not None]
        return found

    def step(self, at_ms: int) -> list[Failure]:
        """Evaluate all groups at `at_ms`; return what could not be evaluated."""
        self._source.now_ms = at_ms
        errors: list[Failure] = []
        for running in self._running:
            shift = running.group.query_offset_ms
            for number, rule in enumerate(running.group.evaluated):
                outcome = outcomes.evaluate(
                    rule,
                    partial(self.ask, at_ms=at_ms - shift),
                    running.instances[number],
                    at_ms,
                    limit=running.group.limit,
                    external_labels=self.test.external_labels,
                    external_url=self.test.external_url,
                )
                running.instances[number] = outcome.instances
                if outcome.health is Health.ERR:
                    when = written((at_ms - self.test.start_ms) / 1000)
                    errors.append(self._failure(self.test.line, f"rule {rule.name} at {when}: {outcome.reason}"))
                    continue
                self._write(outcome, running.rows[number], at_ms - shift)
                running.rows[number] = outcome.rows
        return errors

    def _write(self, outcome: Outcome, before: outcomes.Rows, at_ms: int) -> None:
        for labels, value in outcome.rows:
            self._source.add(labels, at_ms, value)
        for labels in outcomes.ended(before, outcome.rows):
            self._source.end(labels, at_ms)

    def ask(self, text: str, at_ms: int) -> Vector:
        """Evaluate PromQL on what there is."""
        return vector_of(evaluate(text, self._source, at_ms, limits=self._limits))

    def instances(self) -> Iterable[tuple[str, Mapping[str, Instance]]]:
        """Yield the alerts and their instances as they are now."""
        for running in self._running:
            for rule, instances in zip(running.group.evaluated, running.instances, strict=True):
                if rule.is_alert:
                    yield rule.alert, instances

    def replace_instances(self, change: Callable[[Mapping[str, Instance]], Mapping[str, Instance]]) -> None:
        """Put other instances in place of all, as a restart does that reads them from where they were kept."""
        for running in self._running:
            running.instances = [change(instances) for instances in running.instances]

    def firing(self, alertname: str) -> Alerts:
        """Return labels and annotations of the alerts of a name that are firing now."""
        found: Alerts = [
            (instance.labels, instance.annotations)
            for name, instances in self.instances()
            if name == alertname
            for instance in instances.values()
            if instance.state is State.FIRING
        ]
        return sorted(found, key=_order)

    def _alert_case(self, case: AlertCase) -> Failure | None:
        got = self.firing(case.alertname)
        wanted: Alerts = [({**each.labels, "alertname": case.alertname}, each.annotations) for each in case.expected]
        wanted.sort(key=_order)
        if [(dict(a), dict(b)) for a, b in wanted] == [(dict(a), dict(b)) for a, b in got]:
            return None
        what = f"alert {case.alertname} at {written(case.at_ms / 1000)}"
        return self._failure(case.line, what, tuple(map(_alert, wanted)), tuple(map(_alert, got)))

    def _expression_case(self, case: ExpressionCase) -> Failure | None:
        what = f"{case.expr} at {written(case.at_ms / 1000)}"
        try:
            got: Samples = sorted(self.ask(case.expr, self.test.start_ms + case.at_ms), key=_sample_order)
        except QueryError as error:
            return self._failure(case.line, f"{what}: {error}")
        wanted: Samples = sorted(case.expected, key=_sample_order)
        if len(got) == len(wanted) and all(
            dict(a) == dict(b) and self._same(v, w) for (a, v), (b, w) in zip(wanted, got, strict=True)
        ):
            return None
        return self._failure(case.line, what, tuple(map(_sample, wanted)), tuple(map(_sample, got)))

    def _same(self, wanted: float, got: float) -> bool:
        if math.isnan(wanted) and math.isnan(got):
            return True
        if not self.file.fuzzy:
            return wanted == got
        return got in (wanted, math.nextafter(wanted, -math.inf), math.nextafter(wanted, math.inf))

    def _failure(self, line: int, what: str, expected: tuple[str, ...] = (), got: tuple[str, ...] = ()) -> Failure:
        return Failure(self.test.name, line, what, expected, got)


def vector_of(result: Result) -> Vector:
    """Return what a rule gets of a result: an instant vector, a number as one element without labels.

    Raises:
        QueryError: it is a range or a text.
    """
    if result.kind is Kind.SCALAR:
        return [({}, result.scalar)]
    if result.kind is not Kind.VECTOR:
        raise QueryError("the expression gives a range or a text; a rule needs an instant vector or a number")
    return [(labels, points[0][1]) for labels, points in result.rows()]


def _order(alert: tuple[Labels, Labels]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    return sorted(alert[0].items()), sorted(alert[1].items())


def _sample_order(sample: tuple[Labels, float]) -> list[tuple[str, str]]:
    return sorted(sample[0].items())


def _alert(alert: tuple[Labels, Labels]) -> str:
    return f"labels {_labels(alert[0])} annotations {_labels(alert[1])}"


def _sample(sample: tuple[Labels, float]) -> str:
    return f"{_labels(sample[0])} {real(sample[1])}"


def _labels(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={quoted(text)}" for name, text in sorted(labels.items())) + "}"
