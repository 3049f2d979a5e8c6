"""What a page reads out of an expression: what it compares, which metrics it names, in which unit its values are."""

import pytest

from mainstay.observe.metrics.pages import outline, units
from mainstay.observe.metrics.pages.outline import Binary, Comparison


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up == 0", Comparison("up", "==", 0.0)),
        ("rate(errors[5m]) / rate(all[5m]) > 0.05", Comparison("rate(errors[5m]) / rate(all[5m])", ">", 0.05)),
        ("5 * 60 < age_seconds", Comparison("age_seconds", ">", 300.0)),
        ("(a > 5)", Comparison("a", ">", 5.0)),
        ("((a)) >= -1", Comparison("a", ">=", -1.0)),
        ("a > 5 and b", Comparison("a", ">", 5.0, narrowed=True)),
        ("a > 5 unless on (job) up == 0", Comparison("a", ">", 5.0, narrowed=True)),
        ("a > on (job) group_left (team) b", Comparison("a", ">", None, "b")),
        ("a > 1h", Comparison("a", ">", 3600.0)),
        ("a > 1e3 # not 2", Comparison("a", ">", 1000.0)),
        ('a{b=">5"} < 2 ^ 3', Comparison('a{b=">5"}', "<", 8.0)),
        ("a offset -5m > 0x10", Comparison("a offset -5m", ">", 16.0)),
        ("sum by (job) (a) != 2", Comparison("sum by (job) (a)", "!=", 2.0)),
        ("a > bool 5", None),
        ("a or b > 5", None),
        ("a + b", None),
        ("1 > 2", None),
        ("", None),
        ("a >", Comparison("a", ">", None, "")),
    ],
)
def test_the_comparison_of_an_expression(text: str, expected: Comparison | None) -> None:
    assert outline.comparison(text) == expected


def test_operators_bind_as_in_promql() -> None:
    assert outline.split("a + b * c") == Binary("a", "+", "b * c")
    assert outline.split("a - b - c") == Binary("a - b", "-", "c")
    assert outline.split("a ^ b ^ c") == Binary("a", "^", "b ^ c")
    assert outline.split("a and b or c") == Binary("a and b", "or", "c")
    assert outline.split("a == bool 1") == Binary("a", "==", "1", returns_bool=True)
    assert outline.split("-a") is None
    assert outline.split("rate(a[5m] offset -1h)") is None


@pytest.mark.parametrize(
    "text", ["(" * 5000, "a > " * 3000, "((a))" * 2000, '"', "{", "a{b=", "sum by (", "- - - -", "@", "[:"]
)
def test_half_written_and_hostile_expressions_are_read_in_time(text: str) -> None:
    outline.comparison(text)
    outline.metrics(text)
    units.of(text)


def test_what_holds_and_which_value_is_nearest_to_it() -> None:
    above, below = outline.comparison("a > 5"), outline.comparison("a < 5")
    assert above is not None
    assert below is not None
    assert (above.holds(6), above.holds(5), above.worst) == (True, False, "max")
    assert (below.holds(4), below.holds(5), below.worst) == (True, False, "min")
    between = outline.comparison("a > b")
    assert between is not None
    assert between.holds(1) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('sum by (job) (rate(http_requests_total{code=~"5.."}[5m]))', ["http_requests_total"]),
        ("a / on (job) group_left (team) b offset 5m", ["a", "b"]),
        ("histogram_quantile(0.9, sum without (pod) (rate(x_bucket[5m])))", ["x_bucket"]),
        ("max_over_time(rate(a[1m])[5m:30s]) > bool Inf", ["a"]),
        ("time() - a:b:c", ["a:b:c"]),
        ("a and a", ["a"]),
    ],
)
def test_the_metrics_that_an_expression_names(text: str, expected: list[str]) -> None:
    assert outline.metrics(text) == expected


def test_lines_and_columns_become_offsets_and_back() -> None:
    text = "up\n + foo(x)"
    assert outline.position(text, 2, 4) == 6
    assert text[6:9] == "foo"
    assert outline.line_of(text, 6) == (" + foo(x)", 3)
    assert outline.position(text, 9, 9) == len(text)
    assert outline.line_of("", 0) == ("", 0)


@pytest.mark.parametrize(
    ("text", "shown", "factor"),
    [
        ("process_resident_memory_bytes", "bytes", 1),
        ("http_requests_total", "", 1),
        ("rate(http_requests_total[5m])", "/s", 1),
        ("sum by (code) (rate(http_requests_total[5m]))", "/s", 1),
        ("sum(rate(node_network_receive_bytes_total[5m])) without (device)", "bytes/s", 1),
        ("increase(http_requests_total[1h])", "", 1),
        ("rate(process_cpu_seconds_total[5m])", "%", 100),
        ('sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m]))', "%", 100),
        ('sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m])) > 0.05', "%", 100),
        ('100 * sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m]))', "", 1),
        ('sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m])) * 100', "%", 1),
        ("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "%", 100),
        ("histogram_quantile(0.99, sum by (le) (rate(x_duration_seconds_bucket[5m])))", "s", 1),
        ("rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])", "s", 1),
        ("time() - process_start_time_seconds", "s", 1),
        ("(probe_ssl_earliest_cert_expiry - time()) / 86400", "", 1),
        ("x_milliseconds / 1000", "s", 1),
        ("avg_over_time(disk_usage_ratio[1h])", "%", 100),
        ("topk(5, queue_bytes)", "bytes", 1),
        ("quantile by (job) (0.9, latency_seconds)", "s", 1),
        ("count(up)", "", 1),
        ("up", "", 1),
        ("avg(up)", "%", 100),
        ("sum by (job) (up)", "", 1),
        ("1 - avg_over_time(probe_success[1d])", "%", 100),
        ("sum(up) / count(up)", "%", 100),
        ("job:http_requests:rate5m", "/s", 1),
        ("job:errors:ratio_rate5m", "%", 100),
        ("bytes_a_bytes * 8", "", 1),
        ("foo", "", 1),
        ("x_seconds > bool 5", "", 1),
    ],
)
def test_the_unit_follows_from_names_and_operations(text: str, shown: str, factor: float) -> None:
    found = units.of(text)
    assert (found.shown, found.factor) == (shown, factor)
