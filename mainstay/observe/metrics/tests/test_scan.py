"""What is read of an expression that somebody is still typing."""

import pytest

from mainstay.observe.metrics.pages import scan, units


@pytest.mark.parametrize(
    "text", ["(" * 5000, "a > " * 3000, "((a))" * 2000, '"', "{", "a{b=", "sum by (", "- - - -", "@", "[:"]
)
def test_half_written_and_hostile_expressions_are_read_in_time(text: str) -> None:
    scan.metrics(text)
    scan.unclosed(scan.tokens(text))
    units.of(text)


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
    assert scan.metrics(text) == expected
