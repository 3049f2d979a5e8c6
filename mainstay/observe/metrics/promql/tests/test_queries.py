"""Limits, rounds, results and time: what the conformance cases do not reach."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from mainstay.observe.metrics.promql.errors import QueryError, QueryTooExpensive
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.plan import Kind, Matcher
from mainstay.observe.metrics.promql.query import Round, evaluate, evaluate_range
from mainstay.observe.metrics.promql.series import STALE, Hints, Selection

POINTS = [(second * 1000, float(second)) for second in range(0, 600, 15)]


class Counting(MemorySource):
    """A source that tells what was asked of it."""

    selections: int = 0
    hints: list[Hints]

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        self.selections += 1
        self.hints = [*getattr(self, "hints", []), hints]
        return super().select(matchers, after_ms, until_ms, hints)


class Unreadable(MemorySource):
    """A source that may be asked what a query costs, and no more."""

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        raise AssertionError("samples were read")

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        return 400_000_000


class TooLate(Exception):
    """The deadline has passed."""


def counter(name: str, **labels: str) -> tuple[dict[str, str], list[tuple[int, float]]]:
    return {"__name__": name, **labels}, POINTS


def histogram(*buckets: tuple[str, float]) -> MemorySource:
    return MemorySource({f'x_bucket{{le="{bound}"}}': [(0, count)] for bound, count in buckets})


# Limits


def test_a_query_that_would_read_too_much_is_refused_before_reading() -> None:
    with pytest.raises(
        QueryTooExpensive, match=r"about 800,000,000 samples; 50,000,000 are allowed\. Narrow it"
    ) as caught:
        evaluate("sum(rate(x[5m])) / sum(y)", Unreadable({}), 0)
    assert caught.value.samples == 800_000_000


def test_what_is_read_twice_costs_once() -> None:
    limits = Limits(max_samples=500_000_000)
    with pytest.raises(AssertionError, match="samples were read"):
        evaluate("rate(x[5m]) / rate(x[5m])", Unreadable({}), 0, limits=limits)


def test_a_subquery_counts_with_all_that_it_reads() -> None:
    source = MemorySource([counter("x")])
    with pytest.raises(QueryTooExpensive):
        evaluate("max_over_time(rate(x[1m])[8m:15s])", source, 590_000, limits=Limits(max_samples=20))
    assert len(evaluate("max_over_time(rate(x[1m])[8m:15s])", source, 590_000, limits=Limits(max_samples=60))) == 1


def test_a_query_that_would_make_too_much_is_refused() -> None:
    source = MemorySource([counter("x", i=str(number)) for number in range(100)])
    with pytest.raises(QueryTooExpensive, match="make about"):
        evaluate_range("x", source, 0, 500_000, 1000, limits=Limits(max_samples=20_000))
    with pytest.raises(QueryTooExpensive, match="make about"):
        evaluate("count_over_time(vector(1)[365d:1ms])", source, 0)


def test_a_range_of_too_many_steps_is_refused() -> None:
    with pytest.raises(QueryTooExpensive, match="11,001 steps; 11,000 are allowed"):
        evaluate_range("1", MemorySource({}), 0, 11_000, 1)


def test_a_deadline_ends_a_query() -> None:
    def deadline() -> None:
        raise TooLate

    with pytest.raises(TooLate):
        evaluate("sum(x)", MemorySource([counter("x")]), 0, limits=Limits(deadline=deadline))


def test_a_deadline_is_looked_at_between_blocks_of_series() -> None:
    looks = []
    source = MemorySource([counter("x", i=str(number)) for number in range(3000)])
    limits = Limits(deadline=lambda: looks.append(1))
    evaluate_range("stddev_over_time(x[5m])", source, 0, 590_000, 1000, limits=limits)
    assert len(looks) > 6


# Rounds


def test_a_round_reads_and_evaluates_what_is_shared_once() -> None:
    source = Counting([counter("x_total", job="a"), counter("x_total", job="b")])
    shared = Round(source, 590_000)
    first = shared.evaluate("sum by (job) (rate(x_total[5m])) > 0.5")
    assert source.selections == 1
    second = shared.evaluate("sum by (job) (rate( x_total[300s] )) > 0.7 or increase(x_total{}[5m]) < 0")
    assert source.selections == 1
    assert len(first) == len(second) == 2
    assert first.values is second.values or np.array_equal(first.values, second.values)
    assert shared.reused > 0


def test_a_round_gives_what_single_queries_give() -> None:
    source = MemorySource([counter("x_total", job="a"), counter("x_total", job="b"), counter("y", job="a")])
    queries = ["rate(x_total[5m])", "sum(rate(x_total[5m]))", "x_total - on (job) y", "x_total", "topk(1, x_total)"]
    shared = Round(source, 590_000)
    for query in queries * 2:
        assert list(shared.evaluate(query).rows()) == list(evaluate(query, source, 590_000).rows())


def test_an_error_does_not_spoil_a_round() -> None:
    shared = Round(MemorySource([counter("x", job="a"), counter("x", job="b")]), 590_000)
    for _ in range(2):
        with pytest.raises(QueryError):
            shared.evaluate('label_replace(x, "job", "", "", "")')
        assert shared.evaluate("count(x)").scalar == 2


def test_what_a_shared_part_warns_of_every_expression_is_told() -> None:
    shared = Round(MemorySource([counter("x")]), 590_000)
    first = shared.evaluate("sum(quantile_over_time(2, x[5m]))")
    second = shared.evaluate("max(quantile_over_time(2, x[5m]))")
    assert first.warnings == second.warnings == ["PromQL warning: quantile value should be between 0 and 1, got 2"]


def test_a_source_is_told_what_its_samples_are_for() -> None:
    source = Counting([counter("x")])
    evaluate_range("rate(x[5m]) + x", source, 0, 500_000, 60_000)
    assert source.hints == [Hints("rate", 300_000, 60_000), Hints("", 0, 60_000)]


# Results


def test_a_range_selector_at_an_instant_is_its_raw_samples() -> None:
    source = MemorySource({"a": [(1, 1.0), (7, 2.0), (9, STALE)], "b": [(3, 5.0)], "c": [(9, STALE)]})
    found = evaluate('{__name__=~"a|b|c"}[1m]', source, 10)
    assert found.kind is Kind.MATRIX
    assert list(found.rows()) == [({"__name__": "a"}, [(1, 1.0), (7, 2.0)]), ({"__name__": "b"}, [(3, 5.0)])]
    assert found.times.tolist() == [1, 3, 7]
    assert found.present.tolist() == [[True, False, True], [False, True, False]]
    assert found.values[found.present].tolist() == [1.0, 2.0, 5.0]


def test_a_subquery_at_an_instant_is_its_steps() -> None:
    found = evaluate("(x > 100)[2m:1m]", MemorySource([counter("x")]), 210_000)
    assert list(found.rows()) == [({"__name__": "x"}, [(120_000, 120.0), (180_000, 180.0)])]


def test_a_range_query_leaves_out_series_without_any_value_and_orders_by_labels() -> None:
    source = MemorySource({'x{i="b"}': [(0, 1.0)], 'x{i="a"}': [(400_000, 2.0)], 'x{i="c"}': [(0, -1.0)]})
    found = evaluate_range("x > 0", source, 0, 400_000, 100_000)
    assert list(found.rows()) == [
        ({"__name__": "x", "i": "a"}, [(400_000, 2.0)]),
        ({"__name__": "x", "i": "b"}, [(0, 1.0), (100_000, 1.0), (200_000, 1.0)]),
    ]
    assert found.kind is Kind.MATRIX
    assert found.values.shape == found.present.shape == (2, 5)


def test_scalars_and_strings() -> None:
    assert evaluate("1 + 2", MemorySource({}), 5).scalar == 3
    assert list(evaluate("1 + 2", MemorySource({}), 5).rows()) == [({}, [(5, 3.0)])]
    assert evaluate('"text"', MemorySource({}), 0).text == "text"
    assert list(evaluate_range("time()", MemorySource({}), 0, 2000, 1000).rows()) == [
        ({}, [(0, 0.0), (1000, 1.0), (2000, 2.0)])
    ]


def test_a_counter_without_a_counter_s_name_is_mentioned() -> None:
    found = evaluate("rate(x[5m])", MemorySource([counter("x")]), 590_000)
    assert found.infos == [
        'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x"'
    ]
    assert not evaluate("rate(x_total[5m])", MemorySource([counter("x_total")]), 590_000).infos


def test_a_bucket_with_a_bad_bound_is_warned_of_and_left_out() -> None:
    source = MemorySource(
        {f'x_bucket{{le="{le}"}}': [(0, count)] for le, count in (("1", 5.0), ("+Inf", 10.0), ("?", 7.0))}
    )
    found = evaluate("histogram_quantile(0.25, x_bucket)", source, 0)
    assert found.scalar == 0.5
    assert "malformed" in found.warnings[0]


def test_histogram_fraction_of_classic_buckets() -> None:
    source = MemorySource(
        {f'x_bucket{{le="{le}"}}': [(0, count)] for le, count in (("1", 4.0), ("2", 8.0), ("+Inf", 10.0))}
    )
    for lower, upper, part in (
        ("0", "1", 0.4),
        ("0.5", "1.5", 0.4),
        ("-Inf", "Inf", 1.0),
        ("2", "1", 0.0),
        ("1", "Inf", 0.6),
    ):
        assert evaluate(f"histogram_fraction({lower}, {upper}, x_bucket)", source, 0).scalar == pytest.approx(part)
    assert np.isnan(evaluate("histogram_fraction(NaN, 1, x_bucket)", source, 0).scalar)


def test_buckets_of_equal_bounds_count_together() -> None:
    source = histogram(("1", 2.0), ("1.0", 2.0), ("2", 8.0), ("Inf", 8.0))
    assert evaluate("histogram_quantile(0.75, x_bucket)", source, 0).scalar == 1.5


def test_falling_buckets_are_mended_and_mentioned() -> None:
    source = histogram(("1", 6.0), ("2", 5.0), ("3", 10.0), ("+Inf", 10.0))
    found = evaluate("histogram_quantile(0.8, x_bucket)", source, 0)
    assert found.scalar == 2.5
    assert "monotonicity" in found.infos[0]


def test_limit_ratio_and_its_complement_are_everything() -> None:
    source = MemorySource([counter("x", i=str(number)) for number in range(200)])
    part = evaluate("limit_ratio(0.3, x)", source, 590_000)
    rest = evaluate("limit_ratio(-0.7, x)", source, 590_000)
    assert 30 < len(part) < 90
    names = [{labels["i"] for labels, _ in found.rows()} for found in (part, rest)]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == 200
    assert "capping" in evaluate("limit_ratio(1.5, x)", source, 590_000).warnings[0]


def test_limitk_keeps_so_many_of_each_group() -> None:
    source = MemorySource([counter("x", i=str(number), job=str(number % 2)) for number in range(10)])
    found = evaluate("count by (job) (limitk by (job) (3, x))", source, 590_000)
    assert found.values.tolist() == [[3.0], [3.0]]
    assert len(evaluate("limitk(0, x)", source, 590_000)) == 0


# Time


def test_windows_are_open_on_the_left() -> None:
    source = MemorySource({"x": [(0, 1.0), (60_000, 2.0)]})
    assert evaluate("count_over_time(x[1m])", source, 60_000).scalar == 1
    assert len(evaluate("x", source, 360_000)) == 0
    assert len(evaluate("x", source, 359_999)) == 1


DIFFERENT = MemorySource(
    {
        r'x{text="1\n2"}': [(0, 1.0), (15_000, 3.0)],
        "unmeasured": [(0, math.nan)],
        "infinite": [(0, math.inf)],
        "c_total": [(200_000, 1.0), (215_000, 2.0), (230_000, 3.0), (245_000, 4.0)],
        'close_bucket{le="1"}': [(0, 5.0)],
        'close_bucket{le="2"}': [(0, 5.0 - 1e-14)],
        'close_bucket{le="+Inf"}': [(0, 10.0)],
    }
)


@pytest.mark.parametrize(
    ("query", "at_ms", "labels", "value"),
    [
        ('count(x{text=~"1.2"})', 0, {}, 1.0),
        ("stddev(unmeasured)", 0, {}, math.nan),
        ("stdvar(infinite)", 0, {}, math.nan),
        # Half a distance of 15 s before the first sample; Prometheus 2 takes all 15 s, at which the counter was 0.
        ("increase(c_total[5m])", 250_000, {}, 3 * (45 + 7.5 + 5) / 45),
        ("infinite atan2 infinite", 0, {}, math.pi / 4),
        (
            "holt_winters(x[1m], 0.5, 0.5) == double_exponential_smoothing(x[1m], 0.5, 0.5)",
            15_000,
            {"text": "1\n2"},
            3.0,
        ),
        ('{"c_total"} + 1_000', 250_000, {}, 1004.0),
        ("sum_over_time(c_total[4_0])", 250_000, {}, 9.0),
    ],
)
def test_what_prometheus_3_does_otherwise_is_done_so(
    query: str, at_ms: int, labels: dict[str, str], value: float
) -> None:
    ((found, points),) = evaluate(query, DIFFERENT, at_ms).rows()
    assert (found, points[0][0]) == (labels, at_ms)
    assert [one for _, one in points] == pytest.approx([value], nan_ok=True)


def test_buckets_that_differ_by_rounding_are_equal() -> None:
    assert not evaluate("histogram_quantile(0.4, close_bucket)", DIFFERENT, 0).infos


def test_what_at_fixes_is_extrapolated_to_every_step() -> None:
    source = MemorySource([counter("x")])
    for query, wanted in (
        ("predict_linear(x[1m] @ 300, 60)", [360.0, 460.0, 560.0]),
        ("timestamp(x @ 300)", [300.0] * 3),
    ):
        (found,) = evaluate_range(query, source, 300_000, 500_000, 100_000).rows()
        assert [value for _, value in found[1]] == pytest.approx(wanted)


def test_a_stale_series_is_absent_at_once_and_its_marker_is_no_sample() -> None:
    source = MemorySource(
        {"x": [(0, 1.0), (15_000, STALE), (45_000, 3.0)], "y": [(0, 1.0), (15_000, 2.0), (30_000, 4.0)]}
    )
    found = evaluate_range('{__name__=~"x|y"}', source, 0, 60_000, 15_000)
    assert [[time for time, _ in points] for _, points in found.rows()] == [
        [0, 45_000, 60_000],
        [0, 15_000, 30_000, 45_000, 60_000],
    ]
    assert evaluate("count_over_time(x[1m])", source, 45_000).scalar == 2
    assert evaluate("sum_over_time(x[1m]) + on () changes(x[1m])", source, 45_000).scalar == 5
    ranged = evaluate_range("count_over_time(x[20s])", source, 0, 60_000, 15_000)
    assert list(ranged.rows()) == [({}, [(0, 1.0), (15_000, 1.0), (45_000, 1.0), (60_000, 1.0)])]


def test_at_fixes_a_window_at_every_step() -> None:
    source = MemorySource([counter("x")])
    for query in (
        "rate(x[1m] @ 300)",
        "max_over_time(x[1m:15s] @ 300)",
        "x @ 300",
        "quantile_over_time(0.5, x[1m] @ 300)",
    ):
        found = evaluate_range(query, source, 0, 590_000, 10_000)
        assert np.ptp(found.values) == 0
        assert found.values.shape == (1, 60)


def test_the_edges_of_a_query_hold_inside_a_subquery() -> None:
    found = evaluate_range("max_over_time((x @ end())[1m:15s])", MemorySource([counter("x")]), 100_000, 585_000, 97_000)
    assert set(found.values[0].tolist()) == {585.0}


def test_a_source_without_series_answers() -> None:
    source = MemorySource({})
    queries = ("x", "rate(x[5m])", "sum(x)", "x + y", "x or y", "topk(1, x)", 'count_values("v", x)', "-x", "sort(x)")
    more = (
        "histogram_quantile(0.9, x)",
        "stddev(x)",
        "quantile(0.5, x)",
        "x[5m]",
        "deriv(x[5m:])",
        "max_over_time(x[5m])",
    )
    for query in (
        *queries,
        *more,
        "limitk(1, x)",
        "limit_ratio(0.5, x)",
        "changes(x[5m])",
        "timestamp(x)",
        "x unless y",
    ):
        assert len(evaluate(query, source, 0)) == 0
    for query in queries:
        assert len(evaluate_range(query, source, 0, 10_000, 1000)) == 0
    assert evaluate("absent(x)", source, 0).scalar == 1


def test_functions_that_label_add_their_texts_to_the_source_s_symbols() -> None:
    source = MemorySource([counter("x")])
    evaluate('label_replace(x, "a", "entirely new", "", "")', source, 590_000)
    assert source.symbols.find("entirely new") is not None
