"""The Prometheus HTTP API: its answers, its errors, its numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.metrics.serve.tests.parts import NOW_MS, Asked, ask, store  # noqa: F401  # fixtures
from mainstay.observe.metrics.serve.text import of_float

NOW = NOW_MS / 1000


def test_an_instant_query_answers_with_labels_time_and_a_number_as_text(ask: Asked) -> None:  # noqa: F811
    assert ask.data("query", query="up") == {
        "resultType": "vector",
        "result": [
            {"metric": {"__name__": "up", "instance": "a", "job": "shop"}, "value": [NOW, "1"]},
            {"metric": {"__name__": "up", "instance": "b", "job": "shop"}, "value": [NOW, "0"]},
        ],
    }


def test_scalars_texts_and_raw_samples_have_shapes_of_their_own(ask: Asked) -> None:  # noqa: F811
    assert ask.data("query", query="1 + 1", time="12.5") == {"resultType": "scalar", "result": [12.5, "2"]}
    assert ask.data("query", query='"text"', time="12") == {"resultType": "string", "result": [12, "text"]}
    raw = ask.data("query", query='up{instance="a"}[31s]')
    assert raw == {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "up", "instance": "a", "job": "shop"},
                "values": [[NOW - 30, "1"], [NOW - 15, "1"], [NOW, "1"]],
            }
        ],
    }


def test_a_range_query_answers_with_every_step(ask: Asked) -> None:  # noqa: F811
    found = ask.data(
        "query_range", query="sum(increase(requests_total[1m]) > bool 0)", start=f"{NOW - 60}", end=f"{NOW}", step="30s"
    )
    assert found == {
        "resultType": "matrix",
        "result": [{"metric": {}, "values": [[NOW - 60, "2"], [NOW - 30, "2"], [NOW, "2"]]}],
    }
    rfc = "2027-01-15T08:00:00Z"
    assert ask.data("query", query="vector(1)", time=rfc) == ask.data("query", query="vector(1)", time=f"{NOW}")


def test_series_labels_values_and_metadata_are_listed(ask: Asked) -> None:  # noqa: F811
    assert ask.data("series", match="up") == [
        {"__name__": "up", "instance": "a", "job": "shop"},
        {"__name__": "up", "instance": "b", "job": "shop"},
    ]
    assert ask.data("series", match=["up", '{instance="a"}'], limit="2") == [
        {"__name__": "up", "instance": "a", "job": "shop"},
        {"__name__": "up", "instance": "b", "job": "shop"},
    ]
    assert ask.data("labels") == ["__name__", "instance", "job"]
    assert ask.data("label/__name__/values") == ["requests_total", "up"]
    assert ask.data("label/instance/values", match='up{instance="b"}') == ["b"]
    assert ask.data("label/nowhere/values") == []
    assert ask.data("metadata") == {"requests_total": [{"type": "counter", "help": "Requests answered.", "unit": ""}]}
    assert ask.data("metadata", metric="up") == {}
    assert ask.data("query_exemplars", query="up", start="0", end="1") == []
    assert ask.data("format_query", query="sum(up)by(job)") == "sum by (job) (up)"
    assert ask.data("own") == ["ours"]
    build = ask.data("status/buildinfo")
    assert isinstance(build, dict)
    assert build["version"][0].isdigit()


@pytest.mark.parametrize(
    ("path", "given_", "status", "kind", "told"),
    [
        ("query", {}, 400, "bad_data", "the parameter query is missing"),
        ("query", {"query": "sum("}, 400, "bad_data", "invalid parameter query"),
        ("query", {"query": "up", "time": "noon"}, 400, "bad_data", "invalid parameter time"),
        ("query", {"query": "up", "time": "nan"}, 400, "bad_data", "invalid parameter time"),
        ("query", {"query": "up", "timeout": "soon"}, 400, "bad_data", "invalid parameter timeout"),
        ("query", {"query": "up + on() up"}, 422, "execution", "many"),
        ("query", {"query": "up", "limit": "-1"}, 400, "bad_data", "invalid parameter limit"),
        ("query_range", {"query": "up", "start": "9", "end": "1", "step": "1"}, 400, "bad_data", "before start"),
        ("query_range", {"query": "up", "start": "0", "end": "9", "step": "0"}, 400, "bad_data", "more than 0"),
        ("query_range", {"query": "up", "start": "0", "end": "1e6", "step": "1"}, 400, "bad_data", "11,000"),
        ("query_range", {"query": "up[1m]", "start": "0", "end": "9", "step": "1"}, 422, "execution", "range"),
        ("series", {}, 400, "bad_data", "no match[]"),
        ("series", {"match": "sum(up)"}, 400, "bad_data", "no selector"),
        ("label//values", {}, 404, "not_found", "nothing"),
        ("label/U__/values", {}, 400, "bad_data", "the name of the label is empty"),
        ("nowhere", {}, 404, "not_found", "nothing"),
    ],
)
def test_what_cannot_be_answered_says_why(
    path: str,
    given_: dict[str, str],
    status: int,
    kind: str,
    told: str,
    ask: Asked,  # noqa: F811
) -> None:
    found = ask.refused(path, **given_)
    assert found[:2] == (status, kind)
    assert told in str(found[2])


def test_a_query_that_would_need_a_thousand_million_samples_is_refused_with_its_cost(ask: Asked) -> None:  # noqa: F811
    status, kind, message = ask.refused("query", query="max_over_time(rate(requests_total[10m])[10y:1s])")
    assert (status, kind) == (422, "execution")
    assert any(word.replace(",", "").isdigit() and int(word.replace(",", "")) > 10**8 for word in str(message).split())


def test_a_query_that_takes_too_long_is_ended(ask: Asked) -> None:  # noqa: F811
    ask.api._seconds = iter([0.0, *[1e9] * 1000]).__next__
    assert ask.refused("query", query="sum(rate(requests_total[5m]))")[:2] == (503, "timeout")


def test_a_regular_expression_bomb_is_harmless(ask: Asked) -> None:  # noqa: F811
    assert ask.data("query", query='up{instance=~"(a+)+(a+)+(a+)+$(a|aa)+b"}') == {"resultType": "vector", "result": []}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (0.1, "0.1"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (123456789012345680.0, "123456789012345680"), (1e-6, "0.000001"), (1e-7, "1e-07"), (1.5e-9, "1.5e-09"),
        (-2.5e300, "-2.5e+300"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1.5e-5, "0.000015"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert of_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_as_they_were(value: float) -> None:
    assert float(of_float(value)) == value
