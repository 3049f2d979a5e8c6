"""What is asked and what is shown of the answer, without pages."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mainstay.observe.metrics.client import BadQuery, Curve, MetricsAway, Sample
from mainstay.observe.metrics.pages import browse, explore
from mainstay.observe.metrics.pages.explore import Asked, answer, asked, automatic_step, line_of, position, problem_of

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


def of(**given: str) -> Asked:
    return asked({name.rstrip("_"): [text] for name, text in given.items()}, NOON, BERLIN)


def test_without_anything_it_is_the_last_hour_up_to_now() -> None:
    found = of(q="up")
    assert (found.range, found.end - found.start, found.step_s) == ("1h", 3600, 15)
    assert found.end == NOON
    assert of(range="nonsense").range == "1h"


def test_a_chosen_time_is_in_the_zone_of_the_person_and_may_have_an_offset() -> None:
    found = of(q="up", range="custom", from_="2026-03-02T12:00", to="2026-03-02T13:00")
    assert found.start == datetime(2026, 3, 2, 11, 0, tzinfo=UTC).timestamp()
    assert found.end - found.start == 3600
    assert of(q="up", from_="2026-03-02T10:00:00Z", to="2026-03-02T11:00:00Z").start == NOON - 7200
    assert of(q="up", from_="1772400000").range == "custom"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"range": "custom"}, "Say from when."),
        ({"range": "custom", "from_": "yesterday"}, "Say from when."),
        (
            {"range": "custom", "from_": "2026-03-02T12:00", "to": "2026-03-01T12:00"},
            "“From” must lie before “to”; an hour before it is shown.",
        ),
    ],
)
def test_a_time_that_means_nothing_is_told_and_something_is_shown(given: dict[str, str], problem: str) -> None:
    found = of(q="up", **given)
    assert found.problem == problem
    assert found.start < found.end


@pytest.mark.parametrize(
    ("length", "step"), [(900, 5), (3600, 15), (21_600, 120), (86_400, 600), (604_800, 3600), (2_592_000, 14_400)]
)
def test_the_step_gives_about_as_many_points_as_a_chart_has_room_for(length: float, step: float) -> None:
    assert automatic_step(length) == step


def test_a_step_that_would_give_too_many_points_is_not_taken() -> None:
    assert of(q="up", range="1h", step="1m").step_s == 60
    assert of(q="up", range="30d", step="1").step_s == automatic_step(2_592_000)
    assert of(q="up", step="x").step_s == 15


def test_at_most_so_many_expressions_and_none_that_is_empty() -> None:
    found = asked({"q": ["a", " ", *"bcdefgh"]}, NOON, BERLIN)
    assert found.expressions == ("a", "b", "c", "d", "e", "f")


class Source:
    """Gives `count` series with rising values, or raises."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error, self.ranges = count, error, list[str]()

    def query(self, text: str, at: float | None = None) -> list[Sample]:
        if self.error:
            raise self.error
        return [Sample({}, at or 0, float(self.count))] if self.count else []

    def query_range(self, text: str, start: float, end: float, step_s: float) -> list[Curve]:
        if self.error:
            raise self.error
        self.ranges.append(text)
        number = min(self.count, 18) if text.startswith("topk") else self.count
        return [
            Curve({"__name__": "x", "job": "shop", "pod": f"p{i:03}"}, [(start, 0.0), (end, float(i))])
            for i in range(number)
        ]


def test_of_many_series_the_highest_are_drawn_and_what_to_narrow_by_is_told() -> None:
    found = answer(Source(25), "x", of(q="x"))
    assert (len(found.lines), found.total, found.highest_only) == (18, 25, False)
    assert [line.labels["pod"] for line in found.lines[:2]] == ["p024", "p023"]
    assert found.narrow_by == [("pod", 25)]
    assert found.common == {"__name__": "x", "job": "shop"}
    assert len({(line.tone, line.dash) for line in found.lines}) == 18


def test_of_very_many_series_only_the_highest_are_fetched() -> None:
    source = Source(5_000)
    found = answer(source, "x # all of them", of(q="x"))
    assert source.ranges == ["topk(18, (\nx # all of them\n))"]
    assert (len(found.lines), found.total, found.highest_only) == (18, 5_000, True)


def test_values_are_shown_in_the_unit_of_their_names() -> None:
    found = answer(Source(2), "disk_used_ratio", of(q="x"))
    assert found.lines[1].last == 100.0
    assert found.unit.shown == "%"


def test_a_source_that_is_away_is_no_empty_answer() -> None:
    found = answer(Source(1, MetricsAway("it does not answer")), "x", of(q="x"))
    assert found.problem is not None
    assert (found.problem.away, found.problem.text, found.lines) == (True, "it does not answer", ())


@pytest.mark.parametrize(
    ("message", "text", "line", "at"),
    [
        ('invalid parameter "query": 1:5: parse error: unexpected end', "sum(rate", "sum(rate", "r"),
        ('invalid parameter "query": 2:7: parse error: bad regexp', "up\n + up{a=~1}", " + up{a=~1}", "a"),
        ("invalid parameter query: There is no function 'foo'. Did you mean floor?", "1 + foo(x)", "1 + foo(x)", "f"),
        ("1:9: parse error: unexpected end of input", "sum(up) +", "sum(up) +", "+"),
        ("1:10: parse error: unexpected end of input", "sum(up) +", "sum(up) +", "⏎"),
        ("Unclosed left parenthesis. Close it.", "sum(rate(a[5m]) + 1", "sum(rate(a[5m]) + 1", "("),
        ("many-to-many matching not allowed", "a / b", "", "⏎"),
    ],
)
def test_an_error_is_shown_at_its_place(message: str, text: str, line: str, at: str) -> None:
    found = problem_of(message, text)
    assert (found.line, found.at) == (line, at)
    assert found.text[0].isupper()
    assert found.text.endswith((".", "?"))
    assert not found.text.startswith("Invalid parameter")


def test_a_long_line_is_shown_around_the_place() -> None:
    found = problem_of("1:301: parse error: no", "a" * 300 + "!" + "b" * 300)
    assert found.at == "!"
    assert len(found.line) <= 121


def test_broken_expressions_are_told_as_such() -> None:
    found = answer(Source(1, BadQuery("1:1: parse error: no")), "!", of(q="x"))
    assert found.problem is not None
    assert (found.problem.away, found.problem.column) == (False, 0)


def test_series_are_named_by_what_tells_them_apart() -> None:
    labels = {"__name__": "x", "job": "shop", "pod": "a"}
    assert explore.name_of(labels, {"__name__": "x", "job": "shop"}) == ("", [("pod", "a")])
    assert explore.name_of(labels, {}) == ("x", [("job", "shop"), ("pod", "a")])
    assert explore.name_of({}, {}, "value") == ("value", [])
    assert explore.written(labels) == 'x{job="shop", pod="a"}'
    assert explore.written({}) == "{}"
    assert explore.written({"__name__": "a.b", "host.name": 'x"'}) == '{"a.b", "host.name"="x\\""}'


def test_one_label_that_tells_all_series_apart_is_enough_to_name_them() -> None:
    rows = [{"check": "api", "url": "http://a/long", "job": "c"}, {"check": "web", "url": "http://b/long", "job": "c"}]
    assert explore.telling(rows) == "check"
    assert explore.telling([*rows, {"check": "api", "url": "x"}]) == "url"
    assert explore.telling([{"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "2"}]) == ""
    assert explore.telling(rows[:1]) == ""


METADATA = {
    "http_request_duration_seconds": [{"type": "histogram", "help": "How long."}],
    "http_requests_total": [{"type": "counter", "help": "Requests."}],
    "gc_seconds": [{"type": "summary", "help": ""}],
    "queue_depth": [{"type": "gauge", "help": "Waiting."}],
}
NAMES = [
    "http_request_duration_seconds_bucket", "http_request_duration_seconds_sum", "http_request_duration_seconds_count",
    "http_requests_total", "gc_seconds", "gc_seconds_sum", "gc_seconds_count", "queue_depth", "up",
]  # fmt: skip


def test_metrics_are_listed_by_family_with_a_first_expression() -> None:
    found = {one.name: (one.kind, one.expression) for one in browse.families(NAMES, METADATA)}
    assert found == {
        "gc_seconds": ("summary", "rate(gc_seconds_sum[5m]) / rate(gc_seconds_count[5m])"),
        "http_request_duration_seconds": (
            "histogram",
            "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        ),
        "http_requests_total": ("counter", "rate(http_requests_total[5m])"),
        "queue_depth": ("gauge", "queue_depth"),
        "up": ("", "up"),
    }
    assert [one.name for one in browse.matching(browse.families(NAMES, METADATA), "waiting")] == ["queue_depth"]


def test_without_metadata_a_histogram_is_known_by_its_buckets() -> None:
    found = browse.families(["x_seconds_bucket", "x_seconds_sum", "x_seconds_count", "jobs_total"], {})
    assert [(one.name, one.kind) for one in found] == [("jobs_total", ""), ("x_seconds", "histogram")]


def test_lines_and_columns_become_offsets_and_back() -> None:
    text = "up\n + foo(x)"
    assert position(text, 2, 4) == 6
    assert text[6:9] == "foo"
    assert line_of(text, 6) == (" + foo(x)", 3)
    assert position(text, 9, 9) == len(text)
    assert line_of("", 0) == ("", 0)
