"""Spelling does not matter, meaning does; what the parser does not know is bridged."""

import pytest

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Kind, MatchKind, Range, Selector
from mainstay.observe.metrics.promql.query import evaluate


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sum by (b, a) (x)", "SUM(x) BY (a, b)"),
        ('x{b="2",a="1"}', "x{a='1', b=`2`}"),
        ("rate(x[300s])", "rate( (x[5m]) ) # a comment"),
        ("(a) / (b)", "a/b"),
        ("x offset 60s", "x offset 1m"),
        ('{__name__="x"}', "x"),
        ('{"x"}', "x"),
        ("1h", "3600"),
        ("1_000 + 0x_ff", "1000 + 255"),
        ("x[1.5]", "x[1500ms]"),
        ("x offset 0.25", "x offset 250ms"),
        ("sum(x)[5:.5]", "sum(x)[5s:500ms]"),
    ],
)
def test_equal_meaning_has_an_equal_key(one: str, other: str) -> None:
    assert parse(one).key == parse(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sum by (a) (x)", "sum without (a) (x)"),
        ('x{a="1"}', 'x{a=~"1"}'),
        ('x{a="1,b"}', 'x{a="1",b=""}'),
        ("x offset 1m", "x offset -1m"),
        ("x @ 1", "x @ start()"),
        ("a / b", "b / a"),
        ("a > b", "a > bool b"),
        ("a + on (x) b", "a + ignoring (x) b"),
        ("a + on (x) group_left (y) b", "a + on (x) group_left (z) b"),
        ("x[5m:1m]", "x[5m:]"),
        ("a - (b - c)", "a - b - c"),
        ('label_join(x, "a", "b")', "label_join(x, \"a\", 'b\\'')"),
    ],
)
def test_different_meaning_has_a_different_key(one: str, other: str) -> None:
    assert parse(one).key != parse(other).key


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("1 + 1", Kind.SCALAR),
        ("scalar(x)", Kind.SCALAR),
        ("x", Kind.VECTOR),
        ("1 + x", Kind.VECTOR),
        ("-(2)", Kind.SCALAR),
        ("x[5m]", Kind.MATRIX),
        ("x[5m:]", Kind.MATRIX),
        ('"text"', Kind.STRING),
    ],
)
def test_the_kind_of_result_is_known_before_evaluation(query: str, kind: Kind) -> None:
    assert parse(query).kind is kind


def test_the_selectors_of_an_expression_are_listed_once_each() -> None:
    found = parse('rate(a{x="1"}[5m]) / (a{x="1"} + b)').selectors()
    assert [(one.metric, len(one.matchers)) for one in found] == [("a", 2), ("b", 1)]


@pytest.mark.fault("M2")
@pytest.mark.parametrize(
    ("at", "milliseconds"),
    [
        ("-10", -10_000),
        ("1.0006", 1001),
        ("-1.5", -1500),
        ("0x10", 16_000),
        ("1m40s", 100_000),
        ("100s", 100_000),
        ("-1m", -60_000),
        ("+ 1h", 3_600_000),
    ],
)
def test_a_time_after_at_may_be_any_number(at: str, milliseconds: int) -> None:
    node = parse(f"up @ {at}").node
    assert isinstance(node, Selector)
    assert node.at == milliseconds


@pytest.mark.fault("M2", "M3")
@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("m @ 1m40s", 101.0),
        ("m @ 100s", 101.0),
        ("last_over_time(m[5m] @ 1m)", 61.0),
        ("m @ 100*0 + m @ 300*0 + m @ 1s", 2.0),
        ("m @ 0s + m @ 1 + m @ 2s", 6.0),
        ("m @ # a comment\n 100", 101.0),
        ("m offset -1m @ 1s", 62.0),
    ],
)
def test_a_time_after_at_may_be_a_duration_and_is_never_taken_for_another(query: str, value: float) -> None:
    source = MemorySource({"m": [(second * 1000, second + 1.0) for second in range(601)]})
    assert [points for _, points in evaluate(query, source, 1_000).rows()] == [[(1_000, value)]]


@pytest.mark.fault("M3")
def test_a_text_may_hold_any_letter_of_ours() -> None:
    source = MemorySource([({"__name__": "m", "sign": "\uf8ff0\uf8ff"}, [(0, 1.0)])])
    assert len(evaluate('m{sign="\uf8ff0\uf8ff"} or m{sign!="x"}', source, 0)) == 1


def test_milliseconds_of_a_range_are_kept() -> None:
    node = parse("up[1m7ms]").node
    assert isinstance(node, Range)
    assert node.range_ms == 60_007


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r'"a\n\t\\\"b"', 'a\n\t\\"b'),
        (r"'it\'s'", "it's"),
        (r"`raw\n`", r"raw\n"),
        (r'"é\U0001F600\x41\101"', "é😀AA"),
        (r'"\xc3\xa9"', "é"),
        ('"# no comment"', "# no comment"),
    ],
)
def test_quoted_text_means_what_go_means_by_it(literal: str, text: str) -> None:
    assert evaluate(literal, MemorySource({}), 0).text == text


def test_a_quoted_regular_expression_is_the_source_s_dialect() -> None:
    source = MemorySource(
        [({"__name__": "up", "path": "a.b"}, [(0, 1.0)]), ({"__name__": "up", "path": "axb"}, [(0, 1.0)])]
    )
    assert len(evaluate(r'up{path=~"\\Qa.b\\E"}', source, 0)) == 1
    assert len(evaluate(r"up{path=~`a\.b`}", source, 0)) == 1
    assert len(evaluate('up{path=~"a.b"}', source, 0)) == 2


def test_label_names_may_be_quoted() -> None:
    source = MemorySource([({"__name__": "my.metric", "my label": "x"}, [(0, 2.0)])])
    rows = list(evaluate('sum by ("my label") ({"my.metric", "my label"!=""})', source, 0).rows())
    assert rows == [({"my label": "x"}, [(0, 2.0)])]


def test_matchers_are_kept_as_written() -> None:
    node = parse('up{a="1",b!="2",c=~"3",d!~"4"}').node
    assert isinstance(node, Selector)
    assert [one.kind for one in node.matchers] == [MatchKind.EQUAL, *MatchKind]


def test_holt_winters_is_double_exponential_smoothing() -> None:
    source = MemorySource({"x": [(second * 1000, float(second**2)) for second in range(60)]})
    old, new = (
        next(iter(evaluate(f"{name}(x[1m], 0.3, 0.6)", source, 59_000).rows()))
        for name in ("holt_winters", "double_exponential_smoothing")
    )
    assert old == new


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('{job!=""}', True),
        ('{job!~""}', True),
        ('{job!~".*"}', True),
        ('{job!~"x|"}', True),
        ('{job!="x"}', False),
        ('{job!~"x"}', False),
        ('{job!~".+"}', False),
        ('{job!="x", instance!=""}', True),
    ],
)
def test_a_selector_needs_a_matcher_that_an_absent_label_does_not_satisfy(text: str, accepted: bool) -> None:
    if accepted:
        assert parse(text).selectors()
    else:
        with pytest.raises(QueryError, match="non-empty matcher"):
            parse(text)
