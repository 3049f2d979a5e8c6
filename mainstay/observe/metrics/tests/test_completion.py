"""What is offered while an expression is written. `|` marks the cursor."""

import pytest

from mainstay.observe.metrics.pages import browse, completion
from mainstay.observe.metrics.pages.completion import Place, Wanted, wanted
from mainstay.observe.metrics.promql.parse import parse


def at_cursor(text: str) -> Wanted:
    before, _, after = text.partition("|")
    return wanted(before, after)


@pytest.mark.parametrize(
    ("text", "place", "typed"),
    [
        ("|", Place.EXPRESSION, ""),
        ("htt|", Place.EXPRESSION, "htt"),
        ("sum(ra|", Place.EXPRESSION, "ra"),
        ("sum(|)", Place.EXPRESSION, ""),
        ("a / |", Place.EXPRESSION, ""),
        ("a / b|", Place.EXPRESSION, "b"),
        ("a |", Place.NOTHING, ""),
        ("rate(x[5m]) |", Place.NOTHING, ""),
        ("x{|", Place.LABEL, ""),
        ("x{jo|}", Place.LABEL, "jo"),
        ('x{job="a", in|', Place.LABEL, "in"),
        ('x{job="a"|', Place.NOTHING, ""),
        ("x{job|", Place.LABEL, "job"),
        ("x{job=|}", Place.VALUE, ""),
        ('x{job="sh|"}', Place.VALUE, "sh"),
        ('x{job=~"a|b', Place.VALUE, "a"),
        ('label_replace(x, "jo|', Place.NOTHING, ""),
        ("sum by (jo|", Place.GROUPING, "jo"),
        ("a / on (|", Place.GROUPING, ""),
        ("rate(x[|", Place.SPAN, ""),
        ("rate(x[5|])", Place.SPAN, "5"),
        ("x[1h:5|]", Place.SPAN, "5"),
        ("a # htt|", Place.NOTHING, ""),
    ],
)
def test_the_place_of_the_cursor_decides_what_is_offered(text: str, place: Place, typed: str) -> None:
    found = at_cursor(text)
    assert found.place is place
    if place is not Place.NOTHING:
        assert found.typed == typed


def test_labels_and_values_are_those_of_the_series_that_are_meant() -> None:
    found = at_cursor('sum(rate(http_requests_total{job="shop", code!~"2..", method="G|')
    assert (found.metric, found.label) == ("http_requests_total", "method")
    assert found.selector == 'http_requests_total{job="shop",code!~"2.."}'
    assert at_cursor("x{|}").selector == "x"
    assert at_cursor('{job="a",|}').selector == '{job="a"}'
    assert at_cursor("{|}").selector == ""


def test_what_follows_the_cursor_of_the_same_word_is_replaced() -> None:
    assert at_cursor("ra|te_total + 1").rest == len("te_total")
    assert at_cursor('x{job="sh|op"}').rest == len("op")
    assert at_cursor('x{job="sh|').rest == 0


def test_names_of_labels_after_by_are_those_of_the_metrics_in_the_expression() -> None:
    assert at_cursor("sum by (|) (rate(a_total[5m])) / b").metrics == ("a_total", "b")


def test_better_fits_come_first() -> None:
    options = [
        completion.Option(name, name, "metric")
        for name in ("node_http_requests", "http_requests_total", "http", "process_cpu", "xhttpx")
    ]
    assert [one.name for one in completion.ranked(options, "http")] == [
        "http", "http_requests_total", "node_http_requests", "xhttpx",
    ]  # fmt: skip
    assert [one.name for one in completion.ranked(options, "req_tot")] == ["http_requests_total"]
    assert completion.ranked(options, "nothing like it") == []


def test_values_are_quoted_and_escaped() -> None:
    (bare,) = completion.values(['a "b" \\ c'], quoted=False)
    (inside,) = completion.values(['a "b" \\ c'], quoted=True)
    assert bare.insert == '"a \\"b\\" \\\\ c"'
    assert inside.insert == 'a \\"b\\" \\\\ c'


@pytest.mark.fault("M11")
def test_names_that_are_no_words_are_put_in_in_quotes() -> None:
    inside = completion.labels(["job", "host.name", "__name__"], between_braces=True)
    after_by = completion.labels(["job", "host.name"], between_braces=False)
    assert [(one.name, one.insert) for one in inside] == [("job", 'job="'), ("host.name", '"host.name"="')]
    assert [one.insert for one in after_by] == ["job", '"host.name"']
    names = {"http.requests_bucket", "http.requests_count", "jobs.done_total", "a.b", "up"}
    expressions = [one.expression for one in browse.families(names, {})]
    assert '{"a.b"}' in expressions
    assert 'rate({"jobs.done_total"}[5m])' in expressions
    assert 'histogram_quantile(0.95, sum by (le) (rate({"http.requests_bucket"}[5m])))' in expressions
    assert all(parse(expression) for expression in expressions)


def test_the_functions_offered_are_those_of_the_evaluator() -> None:
    from mainstay.observe.metrics.promql.aggregate import AGGREGATIONS
    from mainstay.observe.metrics.promql.functions import FUNCTIONS
    from mainstay.observe.metrics.promql.functions.implementations import IMPLEMENTATIONS

    offered = completion.words()
    assert {one.name: one.detail for one in offered if one.kind == "function"} == {
        name: function.signature for name, function in FUNCTIONS.items()
    }
    assert set(FUNCTIONS) == set(IMPLEMENTATIONS)
    assert {one.name for one in offered if one.kind == "aggregation"} == set(AGGREGATIONS)
