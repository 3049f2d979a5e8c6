"""What is wrong with a query is said, with where and how to mend it; hostile queries do no harm."""

import subprocess
import sys
import time

import pytest

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.functions import NATIVE_HISTOGRAM_FUNCTIONS
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range

SOURCE = MemorySource(
    {
        'up{job="shop",instance="a"}': [(0, 1.0)],
        'up{job="shop",instance="b"}': [(0, 0.0)],
        'info{job="shop",version="1"}': [(0, 1.0)],
        'info{job="shop",version="2"}': [(0, 1.0)],
    }
)


def failure(query: str) -> QueryError:
    with pytest.raises(QueryError) as caught:
        evaluate(query, SOURCE, 0)
    return caught.value


@pytest.mark.parametrize(
    ("query", "says", "position"),
    [
        ("1 + reat(up[5m])", "no function 'reat'. Did you mean rate?", 4),
        ("sum(rate(up))", "Give it a range, as in rate(metric[5m])", 4),
        ("abs(up[5m])", "Leave out the range", 0),
        ("abs(1)", "vector(…)", 0),
        ("clamp_min(up, up)", "scalar(…)", 0),
        ("1 == 1", "1 == bool 1", None),
        ("up[5m] + 1", "A range needs a function", None),
        ("up[5m][10m:]", "Put a function such as rate(…)", None),
        ("time()[5m:]", "vector(…)", None),
        ("(up)[5m]", "subquery: (…)[5m:1m]", None),
        ("sum(up", "Close every bracket", None),
        ("up)", "parenthesis", 2),
        ("", "Write a metric's name", None),
        ("up{job=~'('}", "regular expression '(' is not valid", None),
        ("{job=''}", "at least one non-empty matcher", 0),
        ("{job=~'.*'}", "at least one non-empty matcher", 0),
        ("up{job='a' or job='b'}", "Join two selectors with the operator or", None),
        ("up + fill(0) up", "experimental and not supported", None),
        ("info(up)", "experimental in Prometheus and not supported", 0),
        ('histogram_quantiles(up, "q", 0.5)', "experimental in Prometheus and not supported", 0),
        *(
            (query, "anchored and smoothed are experimental in Prometheus and not supported", None)
            for query in ("increase(up[3m] anchored)", "rate(up{job='shop'}[3m]smoothed)", "up smoothed")
        ),
        *(
            (query, "Arithmetic in durations is experimental in Prometheus and not supported", None)
            for query in (
                "rate(up[1m+2m])",
                "rate(up[2m*(1+1)])",
                "up[step()]",
                "up[5m:step()]",
                "up[5m:1m * 2]",
                "up offset (1m*2)",
                "up offset -(2m)",
                "up offset step()",
                "up OFFSET min(step(), 1s)",
            )
        ),
        ("rate(up[-5m])", "Unexpected character inside brackets", 8),
        ('up{job="[1m+2m] smoothed"} +', "Check the operators", None),
        ("up @ 1e300", "out of bounds", 3),
        (r'label_replace(up, "a", "\q", "b", "c")', "no escape", None),
        (r'label_replace(up, "\xff", "", "job", "(.*)")', "invalid", None),
        ('label_replace(up, "", "", "job", "(.*)")', "invalid destination label name", None),
        ('label_replace(up, "a", "$1", "job", "(")', "regular expression '(' is not valid", None),
        (r'count_values("a\xc5z", up)', r'invalid label name "a\xc5z"', None),
        ("topk(NaN, up)", "Parameter value is NaN", None),
        ("topk(1e300, up)", "overflows int64", None),
        ("limit_ratio(NaN, up)", "Ratio value is NaN", None),
        ("holt_winters(up[5m], 2, 0.5)", "smoothing factor", None),
        ("double_exponential_smoothing(up[5m], 0.5, 1)", "trend factor", None),
        ("foo bar", "Check the operators", None),
        ("up[5x]", "30s, 5m or 1h30m", None),
    ],
)
def test_an_error_says_what_is_wrong_and_how_to_mend_it(query: str, says: str, position: int | None) -> None:
    found = failure(query)
    assert says in found.message
    assert found.position == position


@pytest.mark.parametrize("name", NATIVE_HISTOGRAM_FUNCTIONS)
def test_functions_of_native_histograms_are_refused_by_name(name: str) -> None:
    assert "native histograms, which are not supported" in failure(f"{name}(up)").message


def test_two_series_on_the_one_side_are_named() -> None:
    assert failure("up * on (job) group_left (version) info").message == (
        'found duplicate series for the match group {job="shop"} on the right hand-side of the operation: '
        '[info{job="shop", version="2"}, info{job="shop", version="1"}];'
        "many-to-many matching not allowed: matching labels must be unique on one side"
    )
    assert "on the left hand-side" in failure("info * on (job) group_right up").message


def test_many_to_one_must_be_asked_for() -> None:
    assert failure('up + on (job) info{version="1"}').message == (
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
    )


TWO = MemorySource({'m{job="a",i="1"}': [(0, 1.0)], 'm{job="a",i="2"}': [(0, 9.0)], 'o{job="a",v="x"}': [(0, 5.0)]})
MANY_TO_ONE = "multiple matches for labels: many-to-one matching must be explicit"


@pytest.mark.fault("M7")
@pytest.mark.parametrize(
    ("query", "says"),
    [
        *((f"m {operator} on (job) o", MANY_TO_ONE) for operator in (">", ">=", "<", "<=", "==", "!=", "+", "> bool")),
        ("m > ignoring (i, v) o", MANY_TO_ONE),
        ("m == on () o", MANY_TO_ONE),
        ("o < on (job) m", "found duplicate series"),
        ("o > on (job) m", "found duplicate series"),
        ('{__name__="m"} > on (job) group_left (i) label_replace(o, "i", "z", "", "")', "grouping labels must ensure"),
        ('label_replace(o, "i", "z", "", "") < on (job) group_right (i) m', "grouping labels must ensure"),
    ],
)
def test_a_comparison_is_refused_whatever_it_leaves(query: str, says: str) -> None:
    """One series, both or none may be left: an expression must not fail and work by turns."""
    for at_ms in (0, 60_000):
        with pytest.raises(QueryError, match=says):
            evaluate(query, TWO, at_ms)
    with pytest.raises(QueryError, match=says):
        evaluate_range(query, TWO, 0, 60_000, 30_000)


def test_results_of_a_group_must_stay_different() -> None:
    source = MemorySource({'a{x="1",y="2"}': [(0, 1.0)], 'b{x="1",y="2"}': [(0, 1.0)], 'c{x="1"}': [(0, 1.0)]})
    with pytest.raises(QueryError, match="grouping labels must ensure unique matches"):
        evaluate('{__name__=~"a|b"} * on (x) group_left c', source, 0)


def test_series_that_become_equal_are_refused() -> None:
    with pytest.raises(QueryError, match="cannot contain metrics with the same labelset"):
        evaluate('label_replace(up, "instance", "same", "", "")', SOURCE, 0)
    with pytest.raises(QueryError, match="cannot contain metrics with the same labelset"):
        evaluate('rate({__name__=~"a|b"}[5m])', MemorySource({n: [(0, 1.0), (1000, 2.0)] for n in ("a", "b")}), 1000)


def test_a_range_query_of_a_range_is_refused() -> None:
    for query in ("up[5m]", '"text"'):
        with pytest.raises(QueryError, match="invalid expression type"):
            evaluate_range(query, SOURCE, 0, 1000, 1000)
    with pytest.raises(QueryError, match="longer than 0"):
        evaluate_range("up", SOURCE, 0, 1000, 0)
    with pytest.raises(QueryError, match="before its start"):
        evaluate_range("up", SOURCE, 1000, 0, 1000)


@pytest.mark.parametrize(
    "query",
    [
        "(" * 100_000 + "1" + ")" * 100_000,
        "-" * 100_000 + "up",
        "1" + " + 1" * 20_000,
        "abs(" * 300 + "up" + ")" * 300,
        "up" + " or up" * 400,
        "max_over_time(" * 90 + "up" + "[5m:])" * 90,
        "a" * 1_000_000,
        "up \uf8ff0\uf8ff",
        "up @ " + "1" * 100_000 + "x",
        "up @" + " " * 100_000 + "x",
        "up offset" + " " * 100_000 + "x",
        "up @ 0x" + "f" * 100_000,
        "up[" + "9" * 100_000 + "y]",
        "up{job=~'" + "(" * 40_000 + "'}",
        "\0",
    ],
)
def test_a_monstrous_query_is_refused(query: str) -> None:
    begin = time.process_time()
    with pytest.raises(QueryError):
        evaluate(query, SOURCE, 0)
    assert time.process_time() - begin < 5


def test_a_nested_query_of_the_deepest_kind_works() -> None:
    assert len(evaluate("max_over_time(" * 45 + "up" + "[5m:5m])" * 45, SOURCE, 0)) == 2


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "(a{0,50}){0,20}b", "(?:(?:a*)*)*c"])
def test_a_regular_expression_bomb_is_harmless(pattern: str) -> None:
    source = MemorySource([({"__name__": "up", "job": "a" * 20_000 + "!"}, [(0, 1.0)])])
    begin = time.process_time()
    assert len(evaluate(f'up{{job=~"{pattern}"}}', source, 0)) == 0
    evaluate(f'label_replace(up, "x", "$1", "job", "{pattern}")', source, 0)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "(?=a)", "a**", "[z-a]"])
def test_a_regular_expression_that_cannot_be_compiled_is_refused(pattern: str) -> None:
    with pytest.raises(QueryError, match="not valid"):
        parse(f"up{{job=~`{pattern}`}}")


@pytest.mark.fault("M4")
@pytest.mark.parametrize(
    "query",
    [
        "m[1e300]", "m[1e20]", "m offset 1e300", "m offset -1e300",
        "m[1m:1e300]", "m[1.8e19]", "m[1e15]", "m offset nan",
        "m offset inf",
        "m[9999y]", "m offset 9999y", "m[0]", "m[1m:0]", "99999999999999999999y",
        "0x1ffffffffffffffffffff",
        "m @ nan", "m @ 1e300",
        "m @", "m @ x", "m @ 5M", "m @ 0x_", 'm{a="\ud800"}', '"\ud800\\n"', "m[NaN]", "sort_by_label(m, 0)",
    ],
)  # fmt: skip
def test_a_number_or_a_text_that_the_parser_cannot_bear_is_refused_with_a_reason(query: str) -> None:
    assert failure(query).message.endswith(".")


SHAPES = (
    "({}",
    "-{}",
    "{}+m",
    "m^{}",
    "abs({}",
    "sum({}",
    "{} or m",
    "{} < bool m",
    "{}[5m:1m]",
    "m + -{}",
    "m{{a=~'{}'",
)


def test_no_query_overflows_the_stack_of_a_small_thread() -> None:
    """An overflow in the library would end the process: no except catches it. (Threads have 1 MiB where musl is.)"""
    code = f"""
import threading
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import parse
def run():
    for shape in {SHAPES!r}:
        for depth in (99, 240, 499, 5_000, 60_000):
            head, _, tail = shape.replace("{{{{", "{{").partition("{{}}")
            for text in (head * depth + "m" + tail * depth, head * depth + "m" + tail * depth + ")" * depth):
                try:
                    parse(text)
                except QueryError:
                    pass
threading.stack_size(1 << 20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")
