"""promtool's unit-test files run as promtool runs them: same files, same exit status."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from mainstay.cli import main
from mainstay.observe.metrics.promql.series import STALE_BITS
from mainstay.respond.rules.files.fields import BadRules
from mainstay.respond.rules.files.series_notation import BadSeries, labels_of, values_of
from mainstay.respond.rules.files.unit_files import read_tests
from mainstay.respond.rules.files.unit_tests import run_file
from mainstay.respond.rules.tests.promtool import needs_promtool, promtool, write

RULES: dict[str, Any] = {
    "groups": [
        {
            "name": "second",
            "rules": [{"alert": "High", "expr": "twice > 10", "for": "2m", "annotations": {"s": "{{ $value }}"}}],
        },
        {"name": "first", "rules": [{"record": "twice", "expr": "2 * load", "labels": {"made": "yes"}}]},
    ]
}
LABELS = {"instance": "a", "made": "yes"}
TEST: dict[str, Any] = {
    "interval": "1m",
    "name": "a load that rises",
    "input_series": [{"series": 'load{instance="a"}', "values": "1+2x10"}],
    "alert_rule_test": [
        {"eval_time": "4m", "alertname": "High"},
        {
            "eval_time": "5m30s",
            "alertname": "High",
            "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": {"s": "22"}}],
        },
    ],
    "promql_expr_test": [
        {
            "expr": "twice",
            "eval_time": "2m",
            "exp_samples": [{"labels": 'twice{instance="a",made="yes"}', "value": 10}],
        },
        {"expr": "vector(1)", "eval_time": "0m", "exp_samples": [{"value": 1}]},
        {"expr": "nothing", "eval_time": "3m"},
    ],
}
FILE = {"rule_files": ["rules*.yml"], "group_eval_order": ["first", "second"], "tests": [TEST]}


def changed(**parts: Any) -> dict[str, Any]:
    return {**FILE, "tests": [{**TEST, **parts}]}


def expect(at: str, *alerts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"eval_time": at, "alertname": "High", "exp_alerts": list(alerts)}]


FIRING = {"exp_labels": LABELS, "exp_annotations": {"s": "22"}}

# Files, and whether they pass: promtool and we must both say so.
FILES: dict[str, tuple[dict[str, Any], bool]] = {
    "all as expected": (FILE, True),
    "no tests": ({"rule_files": ["rules.yml"]}, True),
    "no rule file matches": ({**FILE, "rule_files": ["nope*.yml"], "tests": []}, True),
    "an alert is missing": (changed(alert_rule_test=expect("4m", FIRING)), False),
    "an alert too many": (changed(alert_rule_test=expect("5m")), False),
    "another annotation": (changed(alert_rule_test=expect("5m", {**FIRING, "exp_annotations": {"s": "23"}})), False),
    "an annotation too few": (changed(alert_rule_test=expect("5m", {"exp_labels": LABELS})), False),
    "another label": (changed(alert_rule_test=expect("5m", {**FIRING, "exp_labels": {"instance": "b"}})), False),
    "an alert that does not exist": (changed(alert_rule_test=[{"eval_time": "1m", "alertname": "Nope"}]), True),
    "another value": (
        changed(
            promql_expr_test=[{"expr": "load", "eval_time": "1m", "exp_samples": [{"labels": "load", "value": 1}]}]
        ),
        False,
    ),
    "a query that fails": (changed(promql_expr_test=[{"expr": "load + on () twice[", "eval_time": "1m"}]), False),
    "a scalar": (changed(promql_expr_test=[{"expr": "3", "eval_time": "1m", "exp_samples": [{"value": 3}]}]), True),
    "a range": (changed(promql_expr_test=[{"expr": "load[5m]", "eval_time": "1m"}]), False),
    "samples after the last evaluation are not seen": (
        changed(
            interval="30s",
            alert_rule_test=[],
            promql_expr_test=[
                {"expr": "load", "eval_time": "90s", "exp_samples": [{"labels": 'load{instance="a"}', "value": 5}]}
            ],
        ),
        True,
    ),
    "a future that has not come": (
        changed(
            promql_expr_test=[
                {"expr": "count(load offset -1m)", "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": 1}]},
                {"expr": "load", "eval_time": "9m", "exp_samples": [{"labels": 'load{instance="a"}', "value": 19}]},
            ]
        ),
        True,
    ),
    "the order of groups counts": ({**FILE, "group_eval_order": ["second", "first"]}, False),
    "a group twice in the order": ({**FILE, "group_eval_order": ["first", "first"]}, False),
    "an unknown field": ({**FILE, "rules_files": []}, False),
    "values that are none": (changed(input_series=[{"series": "load", "values": "1 2 three"}]), False),
    "a series that is none": (changed(input_series=[{"series": "load{", "values": "1 2"}]), False),
    "no name of an alert": (changed(alert_rule_test=[{"eval_time": "1m"}]), False),
    "another evaluation interval": ({**FILE, "evaluation_interval": "30s"}, True),
    "a name for two": (
        changed(
            input_series=[
                {"series": 'load{instance="a"}', "values": "9x10"},
                {"series": 'load{instance="b"}', "values": "_x2 9 9 stale"},
            ],
            alert_rule_test=expect(
                "4m",
                {"exp_labels": LABELS, "exp_annotations": {"s": "18"}},
            ),
            promql_expr_test=[],
        ),
        True,
    ),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path / "rules.yml", RULES)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_file_passes_or_not(name: str, place: Path) -> None:
    document, passes = FILES[name]
    report = run_file(write(place / "test.yml", document))
    assert report.passed is passes, report


@pytest.mark.fault("M16")
@pytest.mark.parametrize(
    ("got", "wanted", "exactly", "fuzzily"),
    [
        ("2.9999999999999987", 3.0, False, False),  # three ULPs below
        ("2.9999999999999996", 3.0, False, True),
        ("3.0000000000000004", 3.0, False, True),
        ("3.000000000000001", 3.0, False, False),
        ("3", 3.0, True, True),
        ("0.1 + 0.2", 0.3, False, True),
        ("-0.1 - 0.2", -0.3, False, True),
        ("0.1 + 0.2 + 0.3", 0.6, False, True),
        ("1 - 0.9", 0.1, False, False),
        ("4.999999999999999", 5.0, False, True),
        ("1e300 * (1 + 1e-15)", 1e300, False, False),
        ("5e-324", 0.0, False, True),
        ("1e-323", 0.0, False, False),
        ("-5e-324", 0.0, False, True),
        ("0 * -1", 0.0, True, True),
        ("1 / 0", math.inf, True, True),
        ("1.7976931348623157e308", math.inf, False, True),  # Go's Nextafter comes to infinity, too
        ("-1 / 0", math.inf, False, False),
        ("0 / 0", math.nan, True, True),
        ("0 / 0", 0.0, False, False),
        ("0", math.nan, False, False),
    ],
)
def test_a_fuzzy_comparison_allows_the_next_number_and_no_other(
    got: str, wanted: float, exactly: bool, fuzzily: bool, place: Path
) -> None:
    case = {"expr": f"vector({got})", "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": wanted}]}
    tests = {**changed(promql_expr_test=[case], alert_rule_test=[])}
    assert run_file(write(place / "exact.yml", tests)).passed is exactly
    assert run_file(write(place / "fuzzy.yml", {**tests, "fuzzy_compare": True})).passed is fuzzily


@needs_promtool
@pytest.mark.parametrize("name", FILES)
def test_promtool_says_the_same(name: str, place: Path) -> None:
    document, passes = FILES[name]
    write(place / "test.yml", document)
    done = promtool("test", "rules", "test.yml", where=place)
    assert (done.returncode == 0) is passes, done.stdout + done.stderr


def test_a_failure_shows_what_differs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(place / "test.yml", changed(alert_rule_test=expect("5m", {**FIRING, "exp_annotations": {"s": "23"}})))
    assert main(["rules", "test", str(path)]) == 1
    said = capsys.readouterr().err
    assert f"{path}:" in said
    assert "a load that rises: alert High at 5m" in said
    assert '- expected labels {alertname="High", instance="a", made="yes"} annotations {s="23"}' in said
    assert '+ got      labels {alertname="High", instance="a", made="yes"} annotations {s="22"}' in said


def test_an_error_of_a_rule_ends_its_test(place: Path) -> None:
    rules = {"groups": [{"name": "g", "rules": [{"alert": "High", "expr": "load", "labels": {"instance": "x"}}]}]}
    write(place / "rules.yml", rules)
    series = [{"series": f'load{{instance="{name}"}}', "values": "1"} for name in "ab"]
    report = run_file(write(place / "test.yml", changed(input_series=series)))
    assert "rule High at 0s: two series have the same labels" in report.failures[0].what
    assert len(report.failures) == 1


def test_commands_for_programs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(place / "test.yml", FILE)
    assert main(["rules", "test", "--json", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is True
    assert told["files"][0]["cases"] == 5
    assert main(["rules", "check", "--json", str(place / "rules.yml"), str(place / "none.yml")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["valid"] for each in told["files"]] == [True, False]
    assert told["files"][0]["rules"] == 2
    assert told["files"][1]["problems"][0]["detail"] == "cannot be read: No such file or directory"


def test_check_tells_problems_and_warnings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, odd = place / "bad.yml", place / "odd.yml"
    bad.write_text("groups:\n- name: a\n  rules:\n  - alert: b\n    expr: up ==\n")
    odd.write_text("groups: [{name: a, rules: [{alert: b, expr: 'up[5m]'}]}]")
    assert main(["rules", "check", str(bad), str(odd)]) == 1
    said = capsys.readouterr()
    assert f"{bad}:5:11: groups[a].rules[b].expr:" in said.err
    assert "(warning)" in said.err
    assert f"{odd}: 1 rule, fine." in said.out
    assert main(["rules", "check", str(odd)]) == 0


def test_the_command_needs_no_django_and_wrong_usage_is_status_2() -> None:
    for arguments in (["rules"], ["rules", "test"], ["rules", "nope"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2 3", [1, 2, 3]),
        ("1+2x3", [1, 3, 5, 7]),
        ("1-1x2 -5", [1, 0, -1, -5]),
        ("-1-0.5x2", [-1, -1.5, -2]),
        ("7x2", [7, 7, 7]),
        ("_ 1 _x3 2", [None, 1, None, None, None, 2]),
        ("1 _x0 2", [1, 2]),
        ("0x3", [0, 0, 0, 0]),
        ("Inf -Inf +inf 1e3 .5", [math.inf, -math.inf, math.inf, 1000, 0.5]),
        ("", []),
    ],
)
def test_the_notation_of_values(text: str, values: list[float | None]) -> None:
    assert list(values_of(text)) == values


def test_stale_and_nan_are_told_apart() -> None:
    stale, odd = values_of("stale NaN")
    assert stale is not None
    assert odd is not None
    assert [each == STALE_BITS for each in struct.unpack("<2Q", struct.pack("<2d", stale, odd))] == [True, False]


@pytest.mark.parametrize("text", ["a", "1 x", "1+2", "1+x3", "_x", "stale5", "{{schema:1}}", "1x99999999", "1,2"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(BadSeries):
        values_of(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("up", {"__name__": "up"}),
        ("up{a=\"b\", c='d',}", {"__name__": "up", "a": "b", "c": "d"}),
        ('{__name__="up", a="x\\"y\\n"}', {"__name__": "up", "a": 'x"y\n'}),
        ("a:b{c=`\\d`}", {"__name__": "a:b", "c": "\\d"}),
        ('up{a=""}', {"__name__": "up"}),
        (" up { } ", {"__name__": "up"}),
        pytest.param('{"a.b"}', {"__name__": "a.b"}, marks=pytest.mark.fault("M11")),
        pytest.param(
            """{'a.b', "host.name"='x', c="d"}""",
            {"__name__": "a.b", "host.name": "x", "c": "d"},
            marks=pytest.mark.fault("M11"),
        ),
        pytest.param('{c="d", `a.b`}', {"__name__": "a.b", "c": "d"}, marks=pytest.mark.fault("M11")),
    ],
)
def test_the_notation_of_series(text: str, labels: dict[str, str]) -> None:
    assert labels_of(text) == labels


@pytest.mark.parametrize(
    "text",
    [
        "", "up{", "up}", "up{a}", 'up{"a"}', '{"a","b"}', '{"a" "b"}', "up{a=b}", 'up{a="1" b="2"}',
        'up{a="1",a="2"}', "1up",
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(BadSeries):
        labels_of(text)


def test_mistakes_of_a_test_file_are_told_with_their_lines() -> None:
    text = (
        "tests:\n- interval: 1\n  input_series:\n  - series: 'up{'\n    values: 1 x\n"
        "  alert_rule_test:\n  - {eval_tim: 1m}\n"
    )
    with pytest.raises(BadRules) as caught:
        read_tests(text, "t.yml")
    assert [problem.line for problem in caught.value.problems] == [2, 4, 5, 7, 7]
