"""Warnings and infos in Prometheus' own words, and what NaN is worth where a function takes a number."""

import math

import pytest

from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.messages import number
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.series import STALE

NAN = float("nan")
SORT = "PromQL warning: sort is ineffective for range queries since results are always ordered by labels"
LE = 'PromQL warning: bucket label "le" is missing or has a malformed value of'
QUANTILE = "PromQL warning: quantile value should be between 0 and 1, got"
RATIO = "PromQL warning: ratio value should be between -1 and 1, got"
FIXED = (
    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)
COUNTER = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
SOURCE = MemorySource(
    [
        ({"__name__": "b_bucket", "le": "1"}, [(0, 1.0), (60_000, 1.0)]),
        ({"__name__": "b_bucket", "le": "2"}, [(0, 4.0), (60_000, 4.0)]),
        ({"__name__": "b_bucket", "le": "+Inf"}, [(0, 4.0), (60_000, 4.0)]),
        ({"__name__": "fell_bucket", "le": "1"}, [(60_000, 3.0)]),
        ({"__name__": "fell_bucket", "le": "2"}, [(60_000, 1.0)]),
        ({"__name__": "fell_bucket", "le": "+Inf"}, [(60_000, 4.0)]),
        ({"__name__": "odd_bucket", "le": 'a "b"'}, [(60_000, 1.0)]),
        ({"__name__": "over_bucket", "le": "x"}, [(0, 1.0), (30_000, STALE)]),
        ({"__name__": "v"}, [(0, 1.0), (60_000, 2.0)]),
    ]
)


@pytest.mark.fault("M18")
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("histogram_quantile(0.9, v)", [f'{LE} "" for metric name "v"']),
        ("histogram_fraction(0, 1, v)", [f'{LE} "" for metric name "v"']),
        ("histogram_quantile(0.9, odd_bucket)", [f'{LE} "a \\"b\\"" for metric name "odd_bucket"']),
        ("histogram_quantile(0.9, sum(v))", [f'{LE} ""']),
        ("histogram_quantile(0.9, over_bucket)", []),  # it has ended
        ("histogram_quantile(0.9, b_bucket)", []),
        ("histogram_quantile(0.5, fell_bucket)", [f'{FIXED} for metric name "fell_bucket"']),
        ("histogram_quantile(0.5, sum by (le) (fell_bucket))", [FIXED]),
        ("histogram_quantile(1.5, b_bucket)", [f"{QUANTILE} 1.5"]),
        ("histogram_quantile(-1e30, b_bucket)", [f"{QUANTILE} -1e+30"]),
        ("quantile(Inf, v)", [f"{QUANTILE} +Inf"]),
        ("quantile_over_time(NaN, v[5m])", [f"{QUANTILE} NaN"]),
        ("limit_ratio(1.2, v)", [f"{RATIO} 1.2, capping to 1"]),
        ("limit_ratio(-3, v)", [f"{RATIO} -3, capping to -1"]),
        ("limit_ratio(-1, v)", []),
        ("rate(v[5m])", [f'{COUNTER} "v"']),
        ("increase(v[5m])", [f'{COUNTER} "v"']),
        ("sort(v)", []),
        ("max_over_time(sort(v)[1m:15s])", [SORT]),
    ],
)
def test_what_prometheus_tells_is_told_in_its_words(query: str, told: list[str]) -> None:
    found = evaluate(query, SOURCE, 60_000)
    assert [*found.warnings, *found.infos] == told


@pytest.mark.fault("M18")
@pytest.mark.parametrize(
    "query", ["sort(v)", "sort_desc(v)", 'sort_by_label(v, "a")', 'sort_by_label_desc(v, "a")', "1 + sort(sort(v))"]
)
def test_sorting_a_range_is_warned_of_once(query: str) -> None:
    assert evaluate_range(query, SOURCE, 0, 60_000, 15_000).warnings == [SORT]
    assert evaluate_range(query, SOURCE, 60_000, 60_000, 15_000).warnings == []


@pytest.mark.fault("M18")
def test_of_many_warnings_the_first_ten_are_told_and_the_others_counted() -> None:
    found = evaluate_range("histogram_quantile(time(), b_bucket)", SOURCE, 1_000, 15_000, 1_000)
    assert found.warnings == [
        *(f"{QUANTILE} {value}" for value in range(2, 12)),
        "4 more warning annotations omitted",
    ]


@pytest.mark.fault("M6")
@pytest.mark.parametrize(
    "query",
    [
        "histogram_quantile(NaN, b_bucket)",
        "histogram_quantile(scalar(missing), b_bucket)",
        "histogram_quantile(0/0, b_bucket)",
        "histogram_fraction(NaN, 1, b_bucket)",
        "histogram_fraction(1, NaN, b_bucket)",
        "quantile_over_time(scalar(missing), v[5m])",
        "quantile(NaN, v)",
        "clamp(v, NaN, 1)",
        "clamp(v, 1, NaN)",
        "clamp_min(v, NaN)",
        "clamp_max(v, NaN)",
        "round(v, NaN)",
        "predict_linear(v[5m], NaN)",
        "double_exponential_smoothing(v[5m], NaN, 0.5)",
        "vector(max_of(NaN, 1))",
        "vector(min_of(1, NaN))",
    ],
)
def test_a_number_that_is_none_gives_none(query: str) -> None:
    values = evaluate(query, SOURCE, 60_000).values
    assert values.shape == (1, 1)
    assert math.isnan(values[0, 0])


@pytest.mark.fault("M6")
def test_only_the_steps_of_nan_are_nan() -> None:
    found = evaluate_range("histogram_quantile(scalar(v) / (scalar(v) > bool 1), b_bucket)", SOURCE, 0, 60_000, 60_000)
    assert found.values.tolist() == [[math.inf, math.inf]]
    found = evaluate_range("histogram_quantile(0 / (scalar(v) - 1), b_bucket)", SOURCE, 0, 60_000, 60_000)
    assert math.isnan(found.values[0, 0])
    assert found.values[0, 1] == 0.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5"), (2.0, "2"), (1e6, "1e+06"), (123456.5, "123456.5"), (1e-5, "1e-05"), (-0.0, "-0"), (NAN, "NaN")],
)
def test_numbers_in_messages_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert number(value) == text
