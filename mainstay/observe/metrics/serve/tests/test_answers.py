"""The Prometheus HTTP API: its answers, its errors, its numbers."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.metrics.serve.tests.parts import NOW_MS, Asked, ask, store  # noqa: F401  # fixtures
from mainstay.observe.metrics.serve.text import of_float, of_floats
from mainstay.observe.metrics.store import Store

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
        ("query_exemplars", {"query": "up", "start": "9", "end": "1"}, 400, "bad_data", "before start"),
        ("query_exemplars", {"query": "up", "start": "soon"}, 400, "bad_data", "invalid parameter start"),
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


# --- no parameter is ignored ---------------------------------------------------------------------------------------

TRUNCATED = ["results truncated due to limit"]
START, END = f"{NOW - 9}", f"{NOW}"


@pytest.mark.fault("M17")
@pytest.mark.parametrize(
    ("path", "given_", "told"),
    [
        ("query_exemplars", {}, "the parameter query is missing"),
        ("query_exemplars", {"query": "sum("}, "invalid parameter query"),
        ("parse_query", {}, "the parameter query is missing"),
        ("parse_query", {"query": "up{"}, "invalid parameter query"),
        ("format_query", {"query": "up{"}, "invalid parameter query"),
        ("metadata", {"limit": "some"}, "invalid parameter limit"),
        ("metadata", {"limit_per_metric": "x"}, "invalid parameter limit_per_metric"),
        ("status/tsdb", {"limit": "0"}, "invalid parameter limit"),
        ("status/tsdb", {"limit": "10001"}, "invalid parameter limit"),
        ("status/tsdb", {"limit": "many"}, "invalid parameter limit"),
        ("series", {"match": "up", "start": "soon"}, "invalid parameter start"),
        ("labels", {"limit": "-1"}, "invalid parameter limit"),
        ("labels", {"match": "{}"}, "invalid parameter match[]"),
        ("labels", {"match": '{job=~".*"}'}, "invalid parameter match[]"),
        ("label/job/values", {"match": ""}, "invalid parameter match[]"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused(
    path: str,
    given_: dict[str, str],
    told: str,
    ask: Asked,  # noqa: F811
) -> None:
    status, kind, message = ask.refused(path, **given_)
    assert (status, kind) == (400, "bad_data")
    assert told in str(message)


@pytest.mark.fault("M17")
@pytest.mark.parametrize(
    ("path", "given_", "count", "warnings"),
    [
        ("query", {"query": "up", "limit": "1"}, 1, TRUNCATED),
        ("query", {"query": "up", "limit": "2"}, 2, None),
        ("query", {"query": "up", "limit": "0"}, 2, None),
        ("query", {"query": "up[1m]", "limit": "1"}, 1, TRUNCATED),
        ("query", {"query": "1", "limit": "1"}, 2, None),
        ("query_range", {"query": "up", "start": START, "end": END, "step": "5", "limit": "1"}, 1, TRUNCATED),
        ("query_range", {"query": "up", "start": START, "end": END, "step": "5", "limit": "3"}, 2, None),
        ("series", {"match": "up", "limit": "1"}, 1, TRUNCATED),
        ("series", {"match": "up", "limit": "2"}, 2, None),
        ("series", {"match": ["up", '{instance="a"}'], "limit": "2"}, 2, TRUNCATED),
        ("labels", {"limit": "2"}, 2, TRUNCATED),
        ("labels", {"limit": "3"}, 3, None),
        ("label/instance/values", {"limit": "1"}, 1, TRUNCATED),
        ("label/instance/values", {"limit": "2"}, 2, None),
        ("metadata", {"limit": "0"}, 0, TRUNCATED),
        ("metadata", {"limit": "-1"}, 1, None),
        ("metadata", {"limit": "1", "limit_per_metric": "1"}, 1, None),
    ],
)  # fmt: skip
def test_a_limit_that_cuts_is_told(
    path: str,
    given_: dict[str, str | list[str]],
    count: int,
    warnings: list[str] | None,
    ask: Asked,  # noqa: F811
) -> None:
    status, document = ask(path, **given_)
    data = document["data"]
    assert isinstance(data, dict | list)
    found = data["result"] if isinstance(data, dict) and "result" in data else data
    assert (status, len(found), document.get("warnings")) == (200, count, warnings)


@pytest.mark.fault("M17")
@pytest.mark.parametrize("path", ["series", "labels", "label/job/values", "query_exemplars"])
def test_the_first_and_last_time_of_go_are_all_time(path: str, ask: Asked) -> None:  # noqa: F811
    asked = {"match": "up"} if path != "query_exemplars" else {"query": "up"}
    bounds = {"start": "-292273086-05-16T16:47:06Z", "end": "292277025-08-18T07:12:54.999999999Z"}
    assert ask.data(path, **asked, **bounds) == ask.data(path, **asked)


@pytest.mark.fault("M17")
@pytest.mark.parametrize(("wanted", "infos"), [("all", 1), ("1", 0), ("true", 0)])
def test_stats_tell_what_a_query_cost(wanted: str, infos: int, ask: Asked) -> None:  # noqa: F811
    ask.api._seconds = iter(float(second) for second in range(100)).__next__
    status, document = ask("query", query="sum_over_time(up[1m])", stats=wanted)
    data = document["data"]
    assert status == 200
    assert isinstance(data, dict)
    assert len(data["result"]) == 2
    assert data["stats"]["samples"] == {"totalQueryableSamples": 8, "peakSamples": 8}
    timings = data["stats"]["timings"]
    assert set(timings) == {
        "evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime",
    }  # fmt: skip
    assert timings["execTotalTime"] == timings["queryPreparationTime"] + timings["innerEvalTime"] > 0
    told = document.get("infos", [])
    assert isinstance(told, list)
    assert len(told) == infos
    ranged = ask.data("query_range", query="up", start=f"{NOW - 60}", end=f"{NOW}", step="15", stats=wanted)
    assert isinstance(ranged, dict)
    assert ranged["stats"]["samples"]["peakSamples"] > 0
    plain = ask.data("query", query="up")
    assert isinstance(plain, dict)
    assert "stats" not in plain


@pytest.mark.fault("M17")
def test_status_tells_what_the_store_holds(ask: Asked) -> None:  # noqa: F811
    found = ask.data("status/tsdb", limit="2")
    assert found == {
        "headStats": {
            "numSeries": 4, "numLabelPairs": 5, "chunkCount": 0, "minTime": NOW_MS - 600_000, "maxTime": NOW_MS,
        },
        "seriesCountByMetricName": [{"name": "requests_total", "value": 2}, {"name": "up", "value": 2}],
        "labelValueCountByLabelName": [{"name": "__name__", "value": 2}, {"name": "instance", "value": 2}],
        "memoryInBytesByLabelName": [{"name": "__name__", "value": 32}, {"name": "job", "value": 16}],
        "seriesCountByLabelValuePair": [
            {"name": "job=shop", "value": 4}, {"name": "__name__=requests_total", "value": 2},
        ],
    }  # fmt: skip
    flags, runtime = ask.data("status/flags"), ask.data("status/runtimeinfo")
    assert isinstance(flags, dict)
    assert isinstance(runtime, dict)
    assert (flags["query.lookback-delta"], flags["query.timeout"]) == ("5m", "30s")
    assert flags["storage.tsdb.retention.time"] == runtime["storageRetention"] == "15d"
    assert (runtime["timeSeriesCount"], runtime["reloadConfigSuccess"]) == (4, True)
    assert runtime["serverTime"] == "2027-01-15T08:00:00.000Z"
    config = ask.data("status/config")
    assert isinstance(config, dict)
    assert "mainstay export" in config["yaml"]
    assert ask.data("status/tsdb/blocks") == {"blocks": []}
    assert ask.data("status/walreplay") == {"min": 0, "max": 0, "current": 0}
    assert ask.data("alertmanagers") == {"activeAlertmanagers": [], "droppedAlertmanagers": []}


@pytest.mark.fault("M17")
def test_a_store_without_samples_has_a_status_too(tmp_path: Path) -> None:
    empty = Store(tmp_path / "empty")
    try:
        found = Asked(empty).data("status/tsdb")
    finally:
        empty.close()
    assert isinstance(found, dict)
    assert found["headStats"] == {
        "numSeries": 0, "numLabelPairs": 0, "chunkCount": 0, "minTime": 2**63 - 1, "maxTime": -(2**63),
    }  # fmt: skip


# --- trees of queries ----------------------------------------------------------------------------------------------


def selected(name: str, **fields: object) -> dict[str, object]:
    matcher = {"name": "__name__", "value": name, "type": "="}
    plain = {"offset": 0, "timestamp": None, "startOrEnd": None, "anchored": False, "smoothed": False}
    return {"type": "vectorSelector", "name": name, "matchers": [matcher], **plain, **fields}


@pytest.mark.fault("M17")
@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("up", selected("up")),
        ("up offset 5m", selected("up", offset=300_000)),
        ("up offset -5m", selected("up", offset=-300_000)),
        ("up @ 100.5", selected("up", timestamp=100_500)),
        ("up @ start()", selected("up", startOrEnd="start")),
        ("up[5m] @ end()", selected("up", type="matrixSelector", range=300_000, startOrEnd="end")),
        ("1e21", {"type": "numberLiteral", "val": "1000000000000000000000"}),
        ("1e-7", {"type": "numberLiteral", "val": "0.0000001"}),
        ("Inf", {"type": "numberLiteral", "val": "+Inf"}),
        ('"a"', {"type": "stringLiteral", "val": "a"}),
        ("-up", {"type": "unaryExpr", "op": "-", "expr": selected("up")}),
        (
            "up[5m:1m] offset 1h",
            {
                "type": "subquery", "expr": selected("up"), "range": 300_000, "step": 60_000, "offset": 3_600_000,
                "timestamp": None, "startOrEnd": None,
            },
        ),
        (
            "up[5m:]",
            {
                "type": "subquery", "expr": selected("up"), "range": 300_000, "step": 0, "offset": 0,
                "timestamp": None, "startOrEnd": None,
            },
        ),
        (
            "topk by (job) (3, up)",
            {
                "type": "aggregation", "op": "topk", "expr": selected("up"), "grouping": ["job"], "without": False,
                "param": {"type": "numberLiteral", "val": "3"},
            },
        ),
        (
            "a > bool on (job) group_left (x) b",
            {
                "type": "binaryExpr", "op": ">", "lhs": selected("a"), "rhs": selected("b"), "bool": True,
                "matching": {
                    "card": "many-to-one", "labels": ["job"], "on": True, "include": ["x"],
                    "fillValues": {"lhs": None, "rhs": None},
                },
            },
        ),
        (
            "1 + 2",
            {
                "type": "binaryExpr", "op": "+", "bool": False, "matching": None,
                "lhs": {"type": "numberLiteral", "val": "1"}, "rhs": {"type": "numberLiteral", "val": "2"},
            },
        ),
        (
            "round(up)",
            {
                "type": "call", "args": [selected("up")],
                "func": {"name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector"},
            },
        ),
        (
            'sort_by_label(up, "job")',
            {
                "type": "call", "args": [selected("up"), {"type": "stringLiteral", "val": "job"}],
                "func": {
                    "name": "sort_by_label", "argTypes": ["vector", "string"], "variadic": -1, "returnType": "vector",
                },
            },
        ),
    ],
)  # fmt: skip
def test_a_query_is_told_as_a_tree(query: str, tree: dict[str, object], ask: Asked) -> None:  # noqa: F811
    assert ask.data("parse_query", query=query) == tree


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


@given(st.lists(st.floats() | st.integers(-(1 << 60), 1 << 60).map(float)))
def test_many_numbers_are_written_as_each_of_them(values: list[float]) -> None:
    assert of_floats(values) == [of_float(value) for value in values]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_as_they_were(value: float) -> None:
    assert float(of_float(value)) == value
