"""Vectorised calculation against the plain definition, on random samples."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.functions.labels import natural
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.series import STALE, Series, Symbols
from mainstay.observe.metrics.promql.sums import compensated_sum, group_sums
from mainstay.observe.metrics.promql.vector import grouped, row_ids
from mainstay.observe.metrics.promql.windows import positions

VALUES = st.one_of(
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e100, -1e100, 1e-20, STALE]),
)
POINTS = st.lists(st.tuples(st.integers(0, 400), VALUES), max_size=30, unique_by=lambda point: point[0])
Sample = tuple[int, float]


def _stale(value: float) -> bool:
    return np.float64(value).tobytes() == np.float64(STALE).tobytes()


def _window(points: list[Sample], after: int, until: int) -> list[Sample]:
    return sorted((time, value) for time, value in points if after < time <= until and not _stale(value))


def _numbers(values: list[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _sum(values: list[float]) -> float:
    if any(math.isnan(value) for value in values) or {math.inf, -math.inf} <= set(values):
        return math.nan
    return math.fsum(values)


DEFINITIONS: dict[str, Callable[[list[Sample]], float]] = {
    "count_over_time": lambda points: float(len(points)),
    "last_over_time": lambda points: points[-1][1],
    "first_over_time": lambda points: points[0][1],
    "present_over_time": lambda points: 1.0,
    "sum_over_time": lambda points: _sum([value for _, value in points]),
    "avg_over_time": lambda points: _sum([value for _, value in points]) / len(points),
    "min_over_time": lambda points: min(_numbers([value for _, value in points]), default=math.nan),
    "max_over_time": lambda points: max(_numbers([value for _, value in points]), default=math.nan),
    "ts_of_last_over_time": lambda points: points[-1][0] / 1000,
    "changes": lambda points: float(
        sum(one != other and not (math.isnan(one) and math.isnan(other)) for (_, one), (_, other) in pairwise(points))
    ),
    "resets": lambda points: float(sum(b < a for (_, a), (_, b) in pairwise(points))),
}


def _same(found: float, wanted: float, scale: float) -> bool:
    if math.isnan(found) or math.isnan(wanted):
        return math.isnan(found) == math.isnan(wanted)
    return found == wanted or abs(found - wanted) <= 1e-9 * abs(wanted) + 1e-15 * scale


@pytest.mark.long
@pytest.mark.parametrize("function", sorted(DEFINITIONS))
@given(series=st.lists(POINTS, min_size=1, max_size=4), reach=st.integers(1, 200), step=st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_a_range_function_is_its_definition_at_every_step(
    function: str, series: list[list[Sample]], reach: int, step: int
) -> None:
    source = MemorySource([({"__name__": "x", "i": str(number)}, points) for number, points in enumerate(series)])
    result = evaluate_range(f"{function}(x[{reach}ms])", source, 0, 450, step)
    found = {labels["i"]: dict(points) for labels, points in result.rows()}
    for number, points in enumerate(series):
        scale = max((abs(value) for _, value in points if math.isfinite(value)), default=0.0)
        for at in range(0, 451, step):
            window = _window(points, at - reach, at)
            if not window:
                assert at not in found.get(str(number), {})
                continue
            assert _same(found[str(number)][at], DEFINITIONS[function](window), scale), (number, at, window)


@given(POINTS, st.integers(0, 450), st.integers(1, 300), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_quantile_lies_where_the_sorted_samples_say(points: list[Sample], at: int, reach: int, q: float) -> None:
    found = evaluate(f"quantile_over_time({q!r}, x[{reach}ms])", MemorySource([({"__name__": "x"}, points)]), at)
    values = sorted(
        (value for _, value in _window(points, at - reach, at)), key=lambda value: (not math.isnan(value), value)
    )
    if not values:
        assert len(found) == 0
        return
    rank = q * (len(values) - 1)
    low = math.floor(rank)
    high, weight = min(low + 1, len(values) - 1), rank - low
    assert _same(found.scalar, values[low] * (1 - weight) + values[high] * weight, 0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_spread_over_time_and_over_series_is_the_population_s(values: list[float]) -> None:
    over_time = MemorySource({"x": list(enumerate(values))})
    over_series = MemorySource({f'x{{i="{number}"}}': [(0, value)] for number, value in enumerate(values)})
    wanted = statistics.pvariance(values)
    for found in (
        evaluate("stdvar_over_time(x[1s])", over_time, len(values)).scalar,
        evaluate("stdvar(x)", over_series, 0).scalar,
        evaluate("stddev(x)", over_series, 0).scalar ** 2,
    ):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e15, 1e15)), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_sums_of_groups_lose_nothing(rows: list[tuple[int, float]]) -> None:
    groups = np.array([[group + 1] for group, _ in rows], np.int32)
    values = np.array([[value] for _, value in rows])
    partition = grouped(groups, Series(Symbols(), ("g",), groups))
    found = group_sums(values, partition)
    for number in range(len(partition)):
        members = values[partition.of_row == number, 0].tolist()
        assert found[number, 0] == pytest.approx(math.fsum(members), rel=1e-9, abs=1e-15)
    assert compensated_sum(values)[0] == pytest.approx(math.fsum(values[:, 0].tolist()), rel=1e-15, abs=1e-15)


def test_a_sum_that_cancels_out_keeps_what_is_left() -> None:
    source = MemorySource({f'x{{i="{i}"}}': [(0, value)] for i, value in enumerate((1e100, 1.5, -1e100, 2.5))})
    assert evaluate("sum(x)", source, 0).scalar == 4
    assert evaluate("avg(x)", source, 0).scalar == 1


@given(
    st.lists(st.lists(st.integers(0, 500), max_size=20), min_size=1, max_size=5),
    st.integers(1, 50),
    st.integers(0, 300),
)
@settings(max_examples=100, deadline=None)
def test_positions_are_those_of_a_search(rows: list[list[int]], step: int, start: int) -> None:
    most = max(map(len, rows))
    times = np.full((len(rows), most), np.iinfo(np.int64).max)
    for number, row in enumerate(rows):
        times[number, : len(row)] = sorted(row)
    for steps in (1, 2, 3, 12):
        at = start - 100 + step * np.arange(steps)
        wanted = [np.searchsorted(times[number], at, side="right").tolist() for number in range(len(rows))]
        assert positions(times, at).tolist() == wanted


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=3, max_size=3), max_size=20))
def test_rows_are_numbered_by_first_occurrence(rows: list[list[int]]) -> None:
    numbers, first = row_ids(np.array(rows, np.int32).reshape(-1, 3))
    distinct: dict[tuple[int, ...], int] = {}
    wanted = [distinct.setdefault(tuple(row), len(distinct)) for row in rows]
    assert numbers.tolist() == wanted
    assert [tuple(rows[row]) for row in first.tolist()] == list(distinct)


def test_natural_order() -> None:
    texts = ["a10", "a9", "a", "10", "9", "b1", "a9b"]
    assert sorted(texts, key=natural) == ["9", "10", "a", "a9", "a9b", "a10", "b1"]
