"""What uptime is: three-valued, additive, and in step with the calendar of whoever looks."""

import itertools
import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.checks.uptime import timeline
from mainstay.observe.checks.uptime.timeline import Course, Record, calendar, course, share

HOUR = 3600.0
moments = st.integers(0, 2_000_000).map(float)
spans = st.lists(st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair))), max_size=12)
courses = st.builds(
    lambda first, now, down, some, out: course(first, now, down=down, degraded=some, excluded=timeline.merged(out)),
    st.none() | moments, moments, spans, spans, spans,
)  # fmt: skip
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]
)


def seconds(of: timeline.Spans) -> set[int]:
    """The model: every single second, as a set."""
    return {second for start, end in of for second in range(int(start), int(end))}


small = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (float(min(p)), float(max(p)))), max_size=8
)


@given(small, small)
def test_spans_behave_like_sets_of_seconds(one: list[timeline.Span], other: list[timeline.Span]) -> None:
    a, b = timeline.merged(one), timeline.merged(other)
    assert seconds(a) == seconds(tuple(one))
    assert seconds(timeline.overlap(a, b)) == seconds(a) & seconds(b)
    assert seconds(timeline.without(a, b)) == seconds(a) - seconds(b)
    for merged in (a, timeline.overlap(a, b), timeline.without(a, b)):
        assert all(x[1] <= y[0] for x, y in itertools.pairwise(merged))
        assert all(start < end for start, end in merged)


@given(courses, moments, moments)
def test_uptime_lies_between_none_and_all(of: Course, start: float, end: float) -> None:
    found = share(of, start, end)
    assert found.uptime is None or 0 <= found.uptime <= 1
    assert 0 <= found.down_s + found.degraded_s <= found.known_s + 1e-6
    assert (found.uptime is None) == (found.known_s == 0)
    assert timeline.fraction(of, start, end) == pytest.approx(found.uptime)


@given(courses, st.lists(moments, min_size=2, max_size=8))
def test_shares_add_up_over_any_partition(of: Course, cuts: list[float]) -> None:
    edges = sorted(cuts)
    whole = share(of, edges[0], edges[-1])
    parts = [share(of, a, b) for a, b in itertools.pairwise(edges)]
    for name in ("known_s", "down_s", "degraded_s"):
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(whole, name))


@given(courses, zones, st.integers(1, 40))
def test_days_lose_no_second_and_count_none_twice(of: Course, zone: str, days: int) -> None:
    now = datetime.fromtimestamp(2_000_000, UTC)
    found = calendar(now, days, ZoneInfo(zone))
    whole = share(of, found.edges[0], found.edges[-1])
    per_day = timeline.per_day(of, found)
    assert sum(one.known_s for one in per_day) == pytest.approx(whole.known_s)
    assert sum(one.down_s for one in per_day) == pytest.approx(whole.down_s)
    assert timeline.uptimes(of, found.edges) == pytest.approx(tuple(one.uptime for one in per_day))


@given(spans, spans, spans, moments, st.lists(moments, min_size=2, max_size=8))
def test_a_record_tells_at_any_time_what_a_course_computed_then_tells(
    down: list[timeline.Span], some: list[timeline.Span], out: list[timeline.Span], now: float, cuts: list[float]
) -> None:
    first, excluded, edges = 1_000.0, timeline.merged(out), sorted(cuts)
    ended = {"down": [span for span in down if span[1] <= now], "degraded": [span for span in some if span[1] <= now]}
    then = course(first, now, excluded=excluded, **ended)
    lasting = course(first, math.inf, excluded=excluded, **ended)
    assert timeline.until(lasting, now) == then
    kept = Record.of(lasting, now)
    for seconds_then, seconds_kept in zip(then.seconds(edges), kept.seconds(edges), strict=True):
        assert seconds_kept == pytest.approx(seconds_then)
    assert timeline.fraction(kept, edges[0], edges[-1]) == pytest.approx(timeline.fraction(then, edges[0], edges[-1]))


def test_what_lasts_until_now_lasts_for_ever_and_nothing_else_does() -> None:
    assert timeline.endless(((1, 2), (3, 5)), 5) == ((1, 2), (3, math.inf))
    assert timeline.endless(((1, 2), (3, 4)), 5) == ((1, 2), (3, 4))
    assert timeline.endless((), 5) == ()


@given(st.lists(courses, max_size=4), st.lists(courses, max_size=4))
def test_an_application_is_down_exactly_while_a_deciding_check_is(deciding: list[Course], others: list[Course]) -> None:
    whole = timeline.united(deciding, others)
    assert whole.down == timeline.merged(span for one in deciding for span in one.down)
    assert timeline.overlap(whole.down, whole.degraded) == ()
    assert timeline.without(whole.down, whole.known) == ()
    assert timeline.without(whole.degraded, whole.known) == ()


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 12, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
        ("Europe/Berlin", datetime(2026, 6, 1, 12, tzinfo=UTC), 24),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 4, tzinfo=UTC), 24.5),
        ("America/Sao_Paulo", datetime(2018, 11, 4, 12, tzinfo=UTC), 23),  # midnight itself does not exist
    ],
)
def test_a_day_has_the_hours_that_the_clock_of_the_zone_gives_it(zone: str, at: datetime, hours: float) -> None:
    edges = calendar(at, 1, ZoneInfo(zone)).edges
    assert edges[1] - edges[0] == hours * HOUR


def test_time_before_the_first_result_is_not_known() -> None:
    of = course(10 * HOUR, 20 * HOUR, down=[(5 * HOUR, 11 * HOUR)])
    assert share(of, 0, 10 * HOUR).uptime is None
    assert share(of, 0, 20 * HOUR) == timeline.Share(10 * HOUR, HOUR, 0)


def test_a_check_without_any_result_has_no_uptime() -> None:
    assert share(course(None, 20 * HOUR, down=[(1, 2)]), 0, 20 * HOUR).uptime is None


def test_downtime_within_maintenance_does_not_count() -> None:
    of = course(0, 10 * HOUR, down=[(2 * HOUR, 4 * HOUR)], excluded=((1 * HOUR, 3 * HOUR),))
    found = share(of, 0, 10 * HOUR)
    assert (found.known_s, found.down_s) == (8 * HOUR, HOUR)


def test_degraded_counts_as_up_but_is_told() -> None:
    found = share(course(0, 10 * HOUR, degraded=[(2 * HOUR, 4 * HOUR)], down=[(3 * HOUR, 4 * HOUR)]), 0, 10 * HOUR)
    assert found.uptime == pytest.approx(0.9)
    assert found.degraded_s == HOUR


def test_a_day_without_data_is_not_green() -> None:
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    days = calendar(now, 5, UTC)
    of = course((now - timedelta(days=1)).timestamp(), now.timestamp())
    assert timeline.uptimes(of, days.edges) == (None, None, None, 1.0, 1.0)


@pytest.mark.parametrize(
    ("events", "paused_now", "expected"),
    [
        ([], False, ()),
        ([], True, ((0, 100),)),
        ([(10, True), (20, False)], False, ((10, 20),)),
        ([(10, False)], False, ((0, 10),)),  # paused from before
        ([(90, True)], True, ((90, 100),)),
        ([(10, True), (12, True), (20, False), (21, False)], False, ((10, 20),)),
    ],
)
def test_pauses_follow_from_what_the_journal_says(
    events: list[tuple[float, bool]], paused_now: bool, expected: timeline.Spans
) -> None:
    assert timeline.pauses(events, paused_now=paused_now, start=0, now=100) == expected


def test_hours_without_any_result_are_silence() -> None:
    watched = [0.0, 3600.0, 5 * 3600.0]
    assert timeline.silent_stretches(watched, 5.5 * 3600, 6 * 3600) == ((7200.0, 18000.0),)


def test_time_since_the_last_result_is_silence_once_an_hour_has_passed() -> None:
    assert timeline.silent_stretches([0.0], 3000.0, 3000.0 + 3600) == ()
    assert timeline.silent_stretches([0.0], 3000.0, 3000.0 + 3601) == ((3000.0, 6601.0),)
