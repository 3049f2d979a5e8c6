"""The cases of Prometheus' own test suite, from the directory that PROMQL_TESTDATA names."""

import os
from pathlib import Path

import pytest

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Call, Edge, Kind, Selector, Subquery, walk
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.tests.promql_test_files import Case, cases_of, close, matches

DIRECTORY = os.environ.get("PROMQL_TESTDATA", "")

# file:line → why the case does not pass. A case named here that passes is a failure: the table stays true.
EXCEPTIONS: dict[str, str] = {}

# Prometheus runs its suite with the feature flag promql-delayed-name-removal.
LIMITS = Limits(delayed_names=True)

CASES = [case for path in sorted(Path(DIRECTORY).glob("*.test")) for case in cases_of(path)] if DIRECTORY else []
FLOAT_CASES = [case for case in CASES if not case.native]


def _compare_annotations(case: Case, result: Result) -> None:
    for name, messages in (("warn", result.warnings), ("info", result.infos)):
        if f"no_{name}" in case.flags:
            assert not messages
        if name in case.flags:
            assert messages
        if name in case.messages:
            assert any(matches(message, *case.messages[name]) for message in messages), messages


def _evaluated(case: Case) -> Result:
    if case.step:
        return evaluate_range(case.query, case.source, case.start, case.end, case.step, limits=LIMITS)
    return evaluate(case.query, case.source, case.start, limits=LIMITS)


def _check_failure(case: Case) -> None:
    with pytest.raises(QueryError) as failure:
        _evaluated(case)
    if "fail" in case.messages:
        assert matches(failure.value.message, *case.messages["fail"])


def _check_instant(case: Case, result: Result) -> None:
    if case.text is not None:
        assert result.text == case.text
        return
    if case.scalar is not None:
        assert result.kind is Kind.SCALAR
        assert close(result.scalar, case.scalar)
        return
    found = [(tuple(sorted(labels.items())), points[0][1]) for labels, points in result.rows()]
    expected = [(labels, samples[0]) for labels, samples in case.series]
    if "ordered" not in case.flags:
        found.sort(key=lambda one: one[0])
        expected.sort(key=lambda one: one[0])
    assert [labels for labels, _ in found] == [labels for labels, _ in expected]
    for (labels, value), (_, wanted) in zip(found, expected, strict=True):
        assert isinstance(wanted, float)
        assert close(value, wanted), f"{labels}: {value!r} is not {wanted!r}"


def _check_range(case: Case, result: Result) -> None:
    found = {tuple(sorted(labels.items())): dict(points) for labels, points in result.rows()}
    expected = {
        labels: {
            case.start + place * case.step: sample for place, sample in enumerate(samples) if isinstance(sample, float)
        }
        for labels, samples in case.series
    }
    assert found.keys() == expected.keys()
    for labels, points in expected.items():
        assert found[labels].keys() == points.keys(), labels
        for time, wanted in points.items():
            assert close(found[labels][time], wanted), f"{labels} at {time}: {found[labels][time]!r} is not {wanted!r}"


def _depends_on_the_range(query: str) -> bool:
    for node in walk(parse(query).node):
        if isinstance(node, Call) and node.function in ("start", "end", "step", "range"):
            return True
        if isinstance(node, Selector | Subquery) and isinstance(node.at, Edge):
            return True
    return False


def _check_in_the_middle_of_a_range(case: Case) -> None:
    """An instant query must say the same as one step of a range query around it."""
    expression = parse(case.query)
    if expression.kind in (Kind.MATRIX, Kind.STRING) or "ordered" in case.flags or _depends_on_the_range(case.query):
        return
    start = case.start - 60_000 if case.start >= 60_000 else case.start
    result = evaluate_range(expression, case.source, start, case.start + 60_000, 60_000, limits=LIMITS)
    found = {
        tuple(sorted(labels.items())): dict(points)[case.start]
        for labels, points in result.rows()
        if case.start in dict(points)
    }
    expected = dict(case.series) if case.scalar is None else {(): [case.scalar]}
    assert found.keys() == expected.keys()
    for labels, samples in expected.items():
        assert isinstance(samples[0], float)
        assert close(found[labels], samples[0]), f"in a range, {labels}: {found[labels]!r} is not {samples[0]!r}"


def _check(case: Case) -> None:
    if "fail" in case.flags:
        _check_failure(case)
        return
    result = _evaluated(case)
    if case.step:
        _check_range(case, result)
    else:
        _check_instant(case, result)
        _check_in_the_middle_of_a_range(case)
    _compare_annotations(case, result)


@pytest.mark.skipif(not DIRECTORY, reason="PROMQL_TESTDATA names no directory of *.test files")
def test_the_directory_holds_cases() -> None:
    assert len(FLOAT_CASES) > 100


@pytest.mark.parametrize("case", FLOAT_CASES, ids=lambda case: case.id)
def test_a_case_of_prometheus_test_suite_comes_out_as_there(case: Case) -> None:
    if case.id not in EXCEPTIONS:
        _check(case)
        return
    with pytest.raises((AssertionError, QueryError)):
        _check(case)


@pytest.mark.skipif(not DIRECTORY, reason="PROMQL_TESTDATA names no directory of *.test files")
def test_at_least_99_percent_of_the_float_cases_pass() -> None:
    known = {case.id for case in FLOAT_CASES}
    assert set(EXCEPTIONS) <= known
    assert len(EXCEPTIONS) <= 0.01 * len(FLOAT_CASES)
