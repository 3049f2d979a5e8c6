"""What is printed of a syntax tree means what the tree means."""

import random

import pytest

from mainstay.observe.metrics.promql import plan
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.printed import metric, printed, series
from mainstay.observe.metrics.promql.tests.random_queries import Random


@pytest.mark.parametrize(
    "text",
    [
        "a + b * c",
        "(a + b) * c",
        "a - b - c",
        "a - (b - c)",
        "a ^ b ^ c",
        "(a ^ b) ^ c",
        "-a ^ 2",
        "(-a) ^ 2",
        "(-1) ^ 2",
        "-(a * b)",
        "a * -b",
        "a - -1",
        "--a",
        "a and b or c unless d",
        "a and (b or c)",
        "a == bool 1",
        "a > -1",
        "a / on (x, y) group_left (z) b",
        "a / on (x) group_right b",
        "a / ignoring (x) b",
        "a / ignoring () group_left b",
        "a / on () b",
        'a{b="1",c!~"2|3"} offset -5m',
        "a @ 1.5 offset 1h30m",
        "a @ -1",
        "a[5m] @ start() offset 90s",
        "rate(a[1500ms])",
        "max_over_time((a + b)[1h:5m] @ end() offset 1m)",
        "max_over_time(rate(a[1m])[5m:])",
        "sum(a)",
        'sum by (job, "my.label") (a)',
        "sum without () (a)",
        "topk by (job) (3, a)",
        'count_values("value", a)',
        'label_replace(a, "x", "$1", "y", "(.*)\\\\.\\\\d")',
        'a{b="\\xff\\n\\"\\\\"}',
        '{"my.metric", "my.label"="x"}',
        '{__name__="sum"}',
        '{__name__="a", __name__=~"b.*"}',
        '{job="a"}',
        "1e300 * Inf - NaN",
        "time() - 1h",
        "minute()",
    ],
)
def test_a_printed_expression_means_the_same(text: str) -> None:
    assert parse(printed(parse(text).node)).key == parse(text).key


def test_so_does_every_part_of_any_expression() -> None:
    queries = Random(random.Random(7))
    for _ in range(300):
        for node in plan.walk(parse(queries.vector(3)).node):
            assert parse(printed(node)).key == node.key


@pytest.mark.fault("M11")
@pytest.mark.parametrize(
    "labels",
    [
        {"__name__": "a.b"},
        {"__name__": "a.b", "host.name": 'x"y', "c": "d"},
        {"__name__": "a", "host.name": "x\n"},
        {"__name__": "sum"},
        {"host.name": "\\"},
    ],
)
def test_a_series_is_written_so_that_it_can_be_asked_for(labels: dict[str, str]) -> None:
    (selector,) = parse(series(labels)).selectors()
    assert {one.name: one.value for one in selector.matchers} == labels
    assert all(one.kind is plan.MatchKind.EQUAL for one in selector.matchers)
    assert parse(f"rate({metric(labels.get('__name__', 'x'))}[5m])").node


@pytest.mark.parametrize(
    "text",
    [
        "rate(errors[5m]) / rate(all[5m])",
        "sum by (job) (a)",
        'a{b=">5"} offset -5m',
        "histogram_quantile(0.9, sum without (pod) (rate(x_bucket[5m])))",
        "(a + b) * c - 1",
        pytest.param('{"a.b"}', marks=pytest.mark.fault("M11")),
        pytest.param('{"a.b","host.name"="x",job="y"}', marks=pytest.mark.fault("M11")),
        pytest.param('rate({"größe €"}[5m])', marks=pytest.mark.fault("M11")),
        pytest.param('sum by ("host.name", job) ({"sum"})', marks=pytest.mark.fault("M11")),
    ],
)
def test_it_is_written_as_people_write_it(text: str) -> None:
    assert printed(parse(text).node) == text
