"""promtool's unit-test files (Prometheus: Unit testing for rules), read into plain values.

file = read_tests(text, "tests/hosts_test.yml")    # raises BadRules
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mainstay.foundation.yaml.nodes import Node, Scalar
from mainstay.foundation.yaml.scalars import go_integer
from mainstay.respond.rules.files.fields import BadRules, FieldReader, Fields, read_file, written
from mainstay.respond.rules.files.series_notation import BadSeries, InputSeries, labels_of, values_of

FILE_KEYS = ("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare")
TEST_KEYS = (
    "name", "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url",
    "start_timestamp",
)  # fmt: skip
_FLOAT = re.compile(r"[-+]?(?:\.?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[iI][nN][fF])|\.[nN][aA][nN]")


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    """Labels (without `alertname`) and annotations of an alert that must be firing."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertCase:
    """At `at_ms` exactly these alerts of that name are firing."""

    at_ms: int
    alertname: str
    expected: tuple[ExpectedAlert, ...]
    line: int


@dataclass(frozen=True, slots=True)
class ExpressionCase:
    """At `at_ms` the expression gives exactly these samples."""

    at_ms: int
    expr: str
    expected: tuple[tuple[Mapping[str, str], float], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Test:
    """Series, and what rules make of them."""

    __test__ = False  # it is none of pytest's

    name: str
    interval_ms: int
    series: tuple[InputSeries, ...]
    alerts: tuple[AlertCase, ...]
    expressions: tuple[ExpressionCase, ...]
    external_labels: Mapping[str, str]
    external_url: str
    start_ms: int
    line: int


@dataclass(frozen=True, slots=True)
class TestFile:
    """A file of tests. `rule_files` are patterns, relative to the file."""

    __test__ = False

    rule_files: tuple[str, ...]
    evaluation_interval_ms: int
    group_eval_order: tuple[str, ...]
    tests: tuple[Test, ...]
    fuzzy: bool  # values may be the next float64 above or below


def read_tests(text: str | bytes, file: str) -> TestFile:
    """Read a file of unit tests.

    Raises:
        BadRules: with all its mistakes.
    """
    reader = _Reader()
    found = reader.file(read_file(text, file).root)
    if reader.problems:
        raise BadRules(file, sorted(reader.problems, key=lambda problem: (problem.line, problem.column)))
    return found


class _Reader(FieldReader):
    def file(self, root: Node | None) -> TestFile:
        fields = None
        if root is not None:
            fields = self.fields(root, "", FILE_KEYS, "a file of unit tests has rule_files and tests")
        given: Fields = fields or {}
        interval = self.duration(given.get("evaluation_interval"), "evaluation_interval") or 60.0
        order = self.texts(given.get("group_eval_order"), "group_eval_order")
        for name in sorted({name for name in order if order.count(name) > 1}):
            self.wrong(given["group_eval_order"], "group_eval_order", f"the group {name} is given twice")
        every_ms = round(interval * 1000)
        tests = [
            self._test(node, number, every_ms) for number, node in enumerate(self.items(given.get("tests"), "tests"))
        ]
        return TestFile(
            rule_files=tuple(self.texts(given.get("rule_files"), "rule_files")),
            evaluation_interval_ms=every_ms,
            group_eval_order=tuple(order),
            tests=tuple(test for test in tests if test is not None),
            fuzzy=self._truth(given.get("fuzzy_compare"), "fuzzy_compare"),
        )

    def _truth(self, node: Node | None, path: str) -> bool:
        if node is None or node.is_null:
            return False
        word = "" if isinstance(node, Scalar) and node.style else written(node).lower()
        if word not in {"true", "false"}:
            self.wrong(node, path, "is neither true nor false")
        return word == "true"

    def _test(self, node: Node, number: int, every_ms: int) -> Test | None:
        path = f"tests[{number}]"
        fields = self.fields(node, path, TEST_KEYS, "a test has input_series and what must come of them")
        if fields is None:
            return None
        name = self.text(fields.get("name"), f"{path}.name")
        path = f"tests[{name or number}]"
        interval = self.duration(fields.get("interval"), f"{path}.interval")
        series = [
            self._series(item, f"{path}.input_series[{place}]")
            for place, item in enumerate(self.items(fields.get("input_series"), f"{path}.input_series"))
        ]
        alerts = [
            self._alert(item, f"{path}.alert_rule_test[{place}]")
            for place, item in enumerate(self.items(fields.get("alert_rule_test"), f"{path}.alert_rule_test"))
        ]
        expressions = [
            self._expression(item, f"{path}.promql_expr_test[{place}]")
            for place, item in enumerate(self.items(fields.get("promql_expr_test"), f"{path}.promql_expr_test"))
        ]
        return Test(
            name=name,
            interval_ms=round(interval * 1000) if interval else every_ms,
            series=tuple(each for each in series if each is not None),
            alerts=tuple(each for each in alerts if each is not None),
            expressions=tuple(each for each in expressions if each is not None),
            external_labels=self.labels(fields.get("external_labels"), f"{path}.external_labels"),
            external_url=self.text(fields.get("external_url"), f"{path}.external_url"),
            start_ms=self._start(fields.get("start_timestamp"), f"{path}.start_timestamp"),
            line=node.line,
        )

    def _start(self, node: Node | None, path: str) -> int:
        if node is None or node.is_null:
            return 0
        try:
            return round(float(written(node)) * 1000)
        except ValueError:
            pass
        try:
            return round(datetime.fromisoformat(written(node)).timestamp() * 1000)
        except (ValueError, OverflowError):
            self.wrong(node, path, f"{written(node)!r} is not a time; write 2026-01-31T12:00:00Z or unix seconds")
            return 0

    def _series(self, node: Node, path: str) -> InputSeries | None:
        fields = self.fields(node, path, ("series", "values"), "an input series has series and values")
        if fields is None:
            return None
        labels: dict[str, str] = {}
        values: tuple[float | None, ...] = ()
        series, given = fields.get("series"), fields.get("values")
        try:
            labels = labels_of(self.text(series, f"{path}.series"))
        except BadSeries as error:
            self.wrong(series or node, f"{path}.series", str(error))
        try:
            values = values_of(self.text(given, f"{path}.values"))
        except BadSeries as error:
            self.wrong(given or node, f"{path}.values", str(error))
        return InputSeries(labels, values)

    def _alert(self, node: Node, path: str) -> AlertCase | None:
        fields = self.fields(node, path, ("eval_time", "alertname", "exp_alerts"), "a case has eval_time and alertname")
        if fields is None:
            return None
        name = self.text(fields.get("alertname"), f"{path}.alertname")
        if not name:
            self.wrong(node, path, "has no alertname; name the alert that is looked at")
        expected = []
        for place, item in enumerate(self.items(fields.get("exp_alerts"), f"{path}.exp_alerts")):
            where = f"{path}.exp_alerts[{place}]"
            parts = self.fields(item, where, ("exp_labels", "exp_annotations"), "an alert has labels and annotations")
            if parts is not None:
                labels = self.labels(parts.get("exp_labels"), f"{where}.exp_labels", free=True)
                annotations = self.labels(parts.get("exp_annotations"), f"{where}.exp_annotations", free=True)
                expected.append(ExpectedAlert(labels, annotations))
        return AlertCase(self._time(fields.get("eval_time"), path), name, tuple(expected), node.line)

    def _expression(self, node: Node, path: str) -> ExpressionCase | None:
        fields = self.fields(node, path, ("expr", "eval_time", "exp_samples"), "a case has expr and eval_time")
        if fields is None:
            return None
        expected: list[tuple[Mapping[str, str], float]] = []
        for place, item in enumerate(self.items(fields.get("exp_samples"), f"{path}.exp_samples")):
            where = f"{path}.exp_samples[{place}]"
            parts = self.fields(item, where, ("labels", "value", "histogram"), "a sample has labels and value")
            if parts is None:
                continue
            if "histogram" in parts:
                self.wrong(parts["histogram"], where, "native histograms are not supported")
            labels: dict[str, str] = {}
            text = self.text(parts.get("labels"), f"{where}.labels")
            try:
                labels = labels_of(text) if text.strip() else {}
            except BadSeries as error:
                self.wrong(parts["labels"], f"{where}.labels", str(error))
            expected.append((labels, self._number(parts.get("value"), f"{where}.value")))
        expr = self.text(fields.get("expr"), f"{path}.expr")
        return ExpressionCase(self._time(fields.get("eval_time"), path), expr, tuple(expected), node.line)

    def _time(self, node: Node | None, path: str) -> int:
        return round((self.duration(node, f"{path}.eval_time") or 0.0) * 1000)

    def _number(self, node: Node | None, path: str) -> float:
        if node is None or node.is_null:
            return 0.0
        text = "" if isinstance(node, Scalar) and node.style else written(node)
        if _FLOAT.fullmatch(text):
            return float(re.sub(r"_|\.(?=[iInN])", "", text))
        whole = go_integer(text)
        if whole is None:
            self.wrong(node, path, f"{written(node) or node.kind} is not a number")
        return float(whole or 0)
