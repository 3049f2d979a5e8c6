"""Whatever is asked, the answer is one that the API has: 200, 400, 422 or, for want of time, 503."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.functions import FUNCTIONS
from mainstay.observe.metrics.serve.tests.parts import NOW_MS, Asked
from mainstay.observe.metrics.store import Store

NUMBERS = (
    "0", "1", "-1", "1e300", "1e308", "-1e308", "1e20", "1.8e19", "1e15", "9.3e15", "-9.3e15",
    "1e-300", "nan", "inf", "-inf", "Infinity",
    "0x1d", "0x_", "0x" + "f" * 400, "1_0", "9" * 5000, "292y", "293y",
    "99999999999y", "5m", "1m40s", "1h30m5ms", "-5m", "0s", "1m1m",
    "1e5m", "", " ", "\0", "١٢", "1,5", "2027-01-15T08:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
)  # fmt: skip
number = st.one_of(
    st.sampled_from(NUMBERS),
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=8),
)
text = st.sampled_from(
    ['""', '"a"', "'\\xff'", '"\\x00"', "`(a+)+$`", '"["', '"$1"', '"\uf8ff0\uf8ff"', '"é"', '"__name__"', '"job"']
)
selector = st.one_of(
    st.sampled_from(["up", "requests_total", "nothing", "{__name__=~'.+'}", "up{job!=''}", "up{instance=~`a|b`}"]),
    st.builds("up{{{}={}}}".format, st.sampled_from(["job", '"job"', "le", ""]), text),
)
moved = st.one_of(
    selector,
    st.builds("{} @ {}".format, selector, number),
    st.builds("{} offset {}".format, selector, number),
    st.builds("{}[{}]".format, selector, number),
    st.builds("{}[{}:{}]".format, selector, number, number),
    st.builds("{}[{}] @ {} offset {}".format, selector, number, number, number),
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(
        ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "> bool", "and", "or", "unless", "/ on(job) group_left",
         "* ignoring(instance)", "=~", "@", "offset", ":"]
    )  # fmt: skip
    aggregation = st.sampled_from(
        [
            "sum",
            "avg by (job)",
            "topk",
            "bottomk",
            "quantile",
            "count_values",
            "limitk",
            "limit_ratio",
            "stddev",
            "group",
            "mad",
        ]
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, operator, inner),
        st.builds("-{}".format, inner),
        st.builds("{}({})".format, st.sampled_from(sorted(FUNCTIONS)), inner),
        st.builds("{}({}, {})".format, st.sampled_from(sorted(FUNCTIONS)), inner, inner),
        st.builds("label_replace({}, {}, {}, {}, {})".format, inner, text, text, text, text),
        st.builds("label_join({}, {}, {}, {})".format, inner, text, text, text),
        st.builds("{}({})".format, aggregation, inner),
        st.builds("{}({}, {})".format, aggregation, st.one_of(number, text), inner),
        st.builds("({})[{}:{}]".format, inner, number, number),
        st.builds("({}) @ {}".format, inner, number),
    )


expressions = st.recursive(st.one_of(moved, number, text), grown, max_leaves=6)
soup = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "up",
                "@",
                "offset",
                "[",
                "]",
                "(",
                ")",
                "{",
                "}",
                ",",
                ":",
                "5m",
                "1e300",
                "#",
                "\n",
                '"',
                "start()",
                "by",
                "or",
            ]
        ),
        number,
        text,
    )
).map(" ".join)
queries = st.one_of(expressions, soup, st.text(max_size=40))


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    store = Store(Path(tmp_path_factory.mktemp("store")))
    labels = [{"__name__": name, "instance": i, "job": "shop"} for name in ("requests_total", "up") for i in "ab"]
    layout, stream = store.layout(labels, "shop"), store.stream("shop", "shop")
    for step in range(41):
        store.tick(NOW_MS - (40 - step) * 15_000)
        stream.put(NOW_MS - (40 - step) * 15_000, layout, np.array([step * 15.0, step * 30.0, 1.0, 0.0]))
    yield Asked(store)
    store.close()


USUAL = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def answered(ask: Asked, path: str, **given: str | list[str]) -> None:
    status, document = ask(path, **given)
    assert status in {200, 400, 422, 503}, (path, given, document)
    assert status == 200 or document["error"]


@USUAL
@given(query=queries)
@example("up @ -1m")
@example("sort_by_label(up, 0)")
@example("label_join(up, 'a', 'b', 0)")
@example("m offset nan")
@example("m[1e300]")
@example("m @ 100*0 + m @ 300*0")
@example('label_replace(up, "a", "\\xff", "", "")')
@example('"\ud800\\n"')
@example("m @ " + "1" * 100_000 + "x")
@example("m @" + " " * 100_000 + "x")
@example("m offset" + " " * 100_000 + "x")
@example("m[" + " " * 100_000 + "x")
@example("99999999999999999999y")
@example("0x" + "f" * 400)
def test_any_query_is_answered_or_refused_with_a_reason(ask: Asked, query: str) -> None:
    answered(ask, "query", query=query)
    answered(ask, "query_range", query=query, start=f"{NOW_MS / 1000 - 60}", end=f"{NOW_MS / 1000}", step="15")
    answered(ask, "format_query", query=query)
    answered(ask, "parse_query", query=query)
    answered(ask, "query_exemplars", query=query)
    answered(ask, "series", match=query)


@USUAL
@given(data=st.data())
def test_any_number_in_any_parameter_is_understood_or_refused_with_a_reason(ask: Asked, data: st.DataObject) -> None:
    def some(*names: str, **fixed: str) -> dict[str, str | list[str]]:
        chosen = data.draw(st.sets(st.sampled_from(names)))
        return {**fixed, **{name: data.draw(number, label=name) for name in sorted(chosen)}}

    common = ("timeout", "limit", "lookback_delta", "stats")
    answered(ask, "query", **some("time", *common, query="rate(up[1m])"))
    answered(ask, "query_range", **some("start", "end", "step", *common, query="up"))
    around = {"start": "1799999000", "end": "1800000000", "step": "15"}
    answered(ask, "query_range", **(around | some("start", "end", "step", *common, query="up")))
    answered(ask, "series", **some("start", "end", *common, match="up"))
    answered(ask, "labels", **some("start", "end", "match", *common))
    answered(ask, "label/job/values", **some("start", "end", "match", *common))
    answered(ask, "metadata", **some("limit", "limit_per_metric", "metric"))
    answered(ask, "query_exemplars", **some("start", "end", query="up"))
    answered(ask, "status/tsdb", **some("limit"))


@pytest.mark.fault("M4", "S17")
@pytest.mark.parametrize("name", ["start", "end", "step", "lookback_delta", "timeout", "limit"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e308", "1e300", "-1e300"])
def test_a_number_out_of_bounds_is_refused_by_name(ask: Asked, name: str, value: str) -> None:
    around = {"start": "1799999000", "end": "1800000000", "step": "15"}
    status, document = ask("query_range", **(around | {name: value, "query": "up"}))
    assert (status, document["errorType"]) == (400, "bad_data")
    assert f"invalid parameter {name}" in str(document["error"])


def test_a_label_that_is_no_text_is_answered_with_a_sign_in_its_place(ask: Asked) -> None:
    found = ask.data("query", query=r'label_replace(vector(1), "a", "x\xff", "", "")')
    assert isinstance(found, dict)
    assert found["result"][0]["metric"] == {"a": "x\ufffd"}
