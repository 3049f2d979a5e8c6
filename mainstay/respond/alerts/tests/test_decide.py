"""Whether an alert pages, whom, and why: every code, and the order in which the questions are asked."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.words.matching import Matchers
from mainstay.foundation.words.names import weight
from mainstay.respond.alerts.decide import (
    LOOK_AGAIN,
    LOOK_LATER,
    SETTLE,
    AlertFacts,
    Code,
    Decision,
    Hours,
    RouteFacts,
    SilenceFacts,
    World,
    silenced_by,
)
from mainstay.respond.alerts.decide import decide as decide_in

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ALERT = AlertFacts(labels={"severity": "major", "application": "shop"}, severity="major", started_at=NOON)
OPS = RouteFacts("all", notify=("ops",))


def decide(alert: AlertFacts, routes: list[RouteFacts], silences: list[SilenceFacts], now: datetime) -> Decision:
    return decide_in(alert, World(routes, silences), now)


def silence(number: int = 1, **given: object) -> SilenceFacts:
    values: dict[str, object] = {
        "starts_at": NOON - HOUR,
        "ends_at": NOON + HOUR,
        "match": Matchers.read({"application": "shop"}),
    }
    return SilenceFacts(number, **{**values, **given}, comment="deploy")  # type: ignore[arg-type]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OUTSIDE = replace(OPS, hours=Hours(begin=time(20), end=time(22)))
PAGED = replace(ALERT, paged_at=NOON, paged_severity="major")
CASES: dict[Code, tuple[AlertFacts, list[RouteFacts], list[SilenceFacts], timedelta | None]] = {
    # the alert, routes, silences → and after how long it is looked at again
    Code.FIRST_PAGE: (ALERT, [OPS], [], None),
    Code.SEVERITY_ROSE: (replace(PAGED, severity="critical"), [OPS], [], None),
    Code.GIVEN_BACK: (replace(PAGED, given_back_by="Kim", told=("ops",)), [OPS], [], None),
    Code.REMINDER: (replace(PAGED, paged_at=NOON - HOUR), [replace(OPS, remind_every=HOUR)], [], HOUR),
    Code.RESOLVED: (replace(ALERT, ended_at=NOON), [OPS], [], None),
    Code.ACKNOWLEDGED: (replace(ALERT, acknowledged_by="Kim"), [OPS], [], None),
    Code.MAINTENANCE: (replace(ALERT, maintenance="deploy", maintenance_until=NOON + HOUR), [OPS], [], LOOK_LATER),
    Code.UNREACHABLE: (replace(ALERT, blocked_by="shop/db"), [OPS], [], LOOK_LATER),
    Code.WAITING_FOR_NEEDED: (replace(ALERT, waits_for="shop/db"), [OPS], [], LOOK_AGAIN),
    Code.SILENCED: (ALERT, [OPS], [silence()], HOUR),
    Code.NO_ROUTE: (ALERT, [replace(OPS, match=Matchers.read({"application": "other"}))], [], LOOK_LATER),
    Code.OUTSIDE_HOURS: (ALERT, [OUTSIDE], [], LOOK_LATER),
    Code.NO_CHANNEL: (ALERT, [RouteFacts("all")], [], LOOK_LATER),
    Code.ALREADY_PAGED: (PAGED, [OPS], [], None),
}


def test_every_code_has_its_case() -> None:
    assert set(CASES) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_reached_with_a_reason_and_the_time_to_look_again(code: Code) -> None:
    alert, routes, silences, again = CASES[code]
    found = decide(alert, routes, silences, NOON)
    assert found.code is code
    assert found.reason
    assert found.page == (code in {Code.FIRST_PAGE, Code.SEVERITY_ROSE, Code.GIVEN_BACK, Code.REMINDER})
    assert bool(found.channels) == found.page
    assert found.look_at == (NOON + again if again is not None else None)
    assert found.steps
    assert all(step.question and step.detail for step in found.steps)
    if not found.page and code is not Code.ALREADY_PAGED:
        assert not found.steps[-1].passed or code in {Code.NO_CHANNEL}


def test_what_holds_it_first_is_the_reason() -> None:
    """One alert with every hindrance; they are taken away one by one, in the order of the questions."""
    alert = AlertFacts(
        labels={"application": "shop"}, severity="major", started_at=NOON, ended_at=NOON, acknowledged_by="Kim",
        maintenance="deploy", maintenance_until=NOON + HOUR, blocked_by="db", back="db", back_at=NOON, waits_for="db",
    )  # fmt: skip
    order = []
    silences = [silence()]
    cleared: list[dict[str, Any]] = [
        {"ended_at": None},
        *({name: ""} for name in ("acknowledged_by", "maintenance", "blocked_by", "back", "waits_for")),
    ]
    for values in cleared:
        order.append(decide(alert, [OPS], silences, NOON).code)
        alert = replace(alert, **values)
    order.append(decide(alert, [OPS], silences, NOON).code)
    order.append(decide(alert, [OPS], [], NOON).code)
    assert order == [
        Code.RESOLVED, Code.ACKNOWLEDGED, Code.MAINTENANCE, Code.UNREACHABLE, Code.WAITING_FOR_NEEDED,
        Code.WAITING_FOR_NEEDED, Code.SILENCED, Code.FIRST_PAGE,
    ]  # fmt: skip


def test_a_page_tells_every_question_that_was_asked_in_order() -> None:
    asked = replace(ALERT, started_at=NOON - HOUR, back="shop/db", back_at=NOON - HOUR, waits_for="shop/dns")
    assert [(step.question, step.passed) for step in decide(asked, [OPS], [], NOON).steps] == [
        ("Is it still firing?", True),
        ("Has nobody acknowledged it?", True),
        ("Is it outside maintenance?", True),
        ("Is what it needs up?", True),
        ("Had it time to follow what it needs?", True),
        ("Is the verdict in on what it needs?", True),
        ("Is it not silenced?", True),
        ("Route all", True),
    ]


def test_maintenance_is_looked_at_again_when_it_ends() -> None:
    alert = replace(ALERT, maintenance="deploy", maintenance_until=NOON + timedelta(seconds=5))
    assert decide(alert, [OPS], [], NOON).look_at == NOON + timedelta(seconds=5)


def test_a_page_waits_a_minute_at_most_for_the_verdict_on_what_it_needs() -> None:
    alert = replace(ALERT, waits_for="shop/db")
    assert decide(alert, [OPS], [], NOON + SETTLE - timedelta(microseconds=1)).code is Code.WAITING_FOR_NEEDED
    found = decide(alert, [OPS], [], NOON + SETTLE)
    assert found.page
    assert any("gave no answer within 60 s" in step.detail for step in found.steps)


def test_a_page_waits_a_minute_at_most_for_following_what_came_back() -> None:
    alert = replace(ALERT, started_at=NOON - HOUR, back="shop/db", back_at=NOON)
    assert decide(alert, [OPS], [], NOON + SETTLE - timedelta(microseconds=1)).code is Code.WAITING_FOR_NEEDED
    assert decide(alert, [OPS], [], NOON + SETTLE).page


@pytest.mark.parametrize(
    ("severity", "paged", "code"),
    [
        ("critical", "major", Code.SEVERITY_ROSE),
        ("major", "minor", Code.SEVERITY_ROSE),
        ("major", "critical", Code.ALREADY_PAGED),
        ("major", "major", Code.ALREADY_PAGED),
        ("strange", "minor", Code.ALREADY_PAGED),
        ("minor", "strange", Code.SEVERITY_ROSE),
    ],
)
def test_a_rise_in_severity_pages_again_and_a_fall_does_not(severity: str, paged: str, code: Code) -> None:
    alert = replace(PAGED, severity=severity, paged_severity=paged)
    assert decide(alert, [OPS], [], NOON).code is code


GIVEN_BACK = replace(PAGED, given_back_by="Kim", told=("night", "ops"))


@pytest.mark.parametrize(
    ("alert", "routes", "silences", "code", "channels"),
    [
        (GIVEN_BACK, [OPS], [], Code.GIVEN_BACK, ("ops", "night")),
        (GIVEN_BACK, [RouteFacts("new", notify=("new",))], [], Code.GIVEN_BACK, ("new", "night", "ops")),
        (GIVEN_BACK, [], [], Code.GIVEN_BACK, ("night", "ops")),
        (GIVEN_BACK, [RouteFacts("nobody")], [], Code.GIVEN_BACK, ("night", "ops")),
        (GIVEN_BACK, [OPS], [silence()], Code.SILENCED, ()),
        (GIVEN_BACK, [OUTSIDE], [], Code.OUTSIDE_HOURS, ()),
        (replace(GIVEN_BACK, maintenance="deploy"), [OPS], [], Code.MAINTENANCE, ()),
        (replace(GIVEN_BACK, acknowledged_by="Lee"), [OPS], [], Code.ACKNOWLEDGED, ()),
        (replace(GIVEN_BACK, severity="critical"), [OPS], [], Code.SEVERITY_ROSE, ("ops", "night")),
        (replace(GIVEN_BACK, paged_at=None, told=()), [OPS], [], Code.FIRST_PAGE, ("ops",)),
    ],
)
def test_given_back_all_who_heard_that_it_was_taken_hear_so_unless_something_holds_it(
    alert: AlertFacts,
    routes: list[RouteFacts],
    silences: list[SilenceFacts],
    code: Code,
    channels: tuple[str, ...],
) -> None:
    found = decide(alert, routes, silences, NOON)
    assert (found.code, found.channels) == (code, channels)
    assert found.page or found.look_at is not None or code is Code.ACKNOWLEDGED
    if code is Code.GIVEN_BACK:
        assert found.reason.startswith("Kim gave it back")
        assert found.steps[-1].question == "Does anybody believe that it is taken?"


def test_reminders_come_at_the_shortest_interval_of_the_routes_that_match() -> None:
    routes = [replace(OPS, also=True, remind_every=HOUR), RouteFacts("b", notify=("b",), remind_every=10 * MINUTE)]
    for minutes, page in ((9, False), (10, True), (25, True)):
        found = decide(PAGED, routes, [], NOON + minutes * MINUTE)
        assert found.page == page
    assert decide(PAGED, routes, [], NOON).look_at == NOON + 10 * MINUTE


def test_routes_are_tried_in_order_and_the_first_decides_unless_it_says_also() -> None:
    first = RouteFacts("first", notify=("a", "b"), fallback=("x", "c"))
    second = RouteFacts("second", notify=("b", "c"), fallback=("y",))
    assert decide(ALERT, [first, second], [], NOON).channels == ("a", "b")
    both = decide(ALERT, [replace(first, also=True), second], [], NOON)
    assert both.channels == ("a", "b", "c")
    assert both.fallback == ("x", "y")  # c is notified anyhow
    assert both.reason == "it fires and route first and second matches"


def test_a_route_that_is_closed_lets_the_next_one_have_it() -> None:
    found = decide(ALERT, [OUTSIDE, RouteFacts("night", notify=("night",))], [], NOON)
    assert found.channels == ("night",)
    assert [step.passed for step in found.steps if step.question.startswith("Route")] == [False, True]


def test_without_any_route_the_reason_says_what_to_do() -> None:
    assert "add one" in decide(ALERT, [], [], NOON).reason


@pytest.mark.parametrize(
    ("match", "word"),
    [
        ({}, ""),
        ({"severity": ["major", "critical"]}, ""),
        ({"severity": "critical"}, "severity is major, not critical"),
        ({"severity": ["minor", "critical"]}, "severity is major, not minor or critical"),
        ({"team": "a"}, "the alert has no team"),
    ],
)
def test_a_mismatch_is_named(match: dict[str, str | list[str]], word: str) -> None:
    found = decide(ALERT, [replace(OPS, match=Matchers.read(match))], [], NOON)
    assert found.steps[-1].detail == (word or "matches: ops")


BERLIN, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"
DAY = Hours(("mon", "tue", "wed", "thu", "fri"), time(8), time(18), BERLIN)
NIGHT = Hours(("sun",), time(22), time(6), BERLIN)


@pytest.mark.parametrize(
    ("hours", "at", "contains"),
    [
        (Hours(), "2026-03-02 00:00", True),
        (Hours(("tue",)), "2026-03-02 23:59", False),
        (Hours(("tue",)), "2026-03-03 00:00", True),
        (DAY, "2026-03-02 06:59:59", False),
        (DAY, "2026-03-02 07:00", True),
        (DAY, "2026-03-02 16:59:59", True),
        (DAY, "2026-03-02 17:00", False),
        (DAY, "2026-03-01 12:00", False),  # Sunday
        (DAY, "2026-03-30 06:00", True),  # summer time since yesterday
        # From Sunday 22:00 to Monday 06:00: the day is that of the beginning.
        (NIGHT, "2026-03-01 20:59", False),
        (NIGHT, "2026-03-01 21:00", True),
        (NIGHT, "2026-03-02 04:59", True),
        (NIGHT, "2026-03-02 05:00", False),
        (NIGHT, "2026-03-02 21:30", False),
        (NIGHT, "2026-03-01 04:59", False),  # Saturday's night
        # Nights with 23 and 25 hours: Sunday 29 March, 25 October.
        (Hours(("sat",), time(22), time(6), BERLIN), "2026-03-29 03:59", True),
        (Hours(("sat",), time(22), time(6), BERLIN), "2026-03-29 04:00", False),
        (Hours(("sat",), time(22), time(6), BERLIN), "2026-10-25 04:59", True),
        (Hours(("sat",), time(22), time(6), BERLIN), "2026-10-25 05:00", False),
        # The hour that comes twice is inside twice; the one that does not come is nowhere.
        (Hours(begin=time(2), end=time(3), zone=BERLIN), "2026-10-25 00:30", True),
        (Hours(begin=time(2), end=time(3), zone=BERLIN), "2026-10-25 01:30", True),
        (Hours(begin=time(2), end=time(3), zone=BERLIN), "2026-03-29 01:00", False),
        (Hours(begin=time(1, 30), end=time(2), zone=LORD_HOWE), "2026-04-04 14:45", True),
        (Hours(begin=time(1, 30), end=time(2), zone=LORD_HOWE), "2026-04-04 15:15", True),
        (Hours(begin=time(1, 30), end=time(2), zone=LORD_HOWE), "2026-04-04 15:30", False),
        (Hours(("sun",), time(0), time(1), "America/New_York"), "2028-02-27 05:30", True),
        (Hours(("tue",), time(0), time(12), "UTC"), "2028-02-29 11:00", True),
    ],
)
def test_hours_are_those_of_the_wall_clock(hours: Hours, at: str, contains: bool) -> None:
    assert hours.contain(utc(at)) == contains


@given(
    st.times().map(lambda t: t.replace(microsecond=0, tzinfo=None)),
    st.times().map(lambda t: t.replace(microsecond=0, tzinfo=None)),
    st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 1, 1)),  # noqa: DTZ001  # made aware below
)
def test_hours_and_their_complement_share_out_the_day(begin: time, end: time, at: datetime) -> None:
    moment = at.replace(tzinfo=UTC)
    inside, outside = Hours(begin=begin, end=end), Hours(begin=end, end=begin)
    if begin == end:
        assert inside.contain(moment)
    else:
        assert inside.contain(moment) != outside.contain(moment)


def test_a_silence_holds_from_its_start_until_just_before_its_end() -> None:
    one = silence()
    labels = ALERT.labels
    assert silenced_by(labels, [one], NOON - HOUR) is one
    assert silenced_by(labels, [one], NOON + HOUR) is None
    assert silenced_by(labels, [one], NOON - HOUR - MINUTE) is None
    assert silenced_by({"application": "other"}, [one], NOON) is None
    assert silenced_by({}, [silence(match=Matchers.read({"team": ""}))], NOON) is not None


def test_of_several_silences_the_longest_is_named() -> None:
    long = silence(2, ends_at=NOON + 2 * HOUR)
    assert decide(ALERT, [OPS], [silence(), long, silence(3)], NOON).look_at == long.ends_at


def test_severities_have_an_order() -> None:
    assert weight("critical") > weight("major") > weight("minor") > weight("unheard of")


alerts = st.builds(
    AlertFacts,
    labels=st.dictionaries(st.sampled_from(["severity", "application"]), st.sampled_from(["major", "shop"])),
    severity=st.sampled_from(["minor", "major", "critical"]),
    started_at=st.just(NOON),
    ended_at=st.none() | st.just(NOON),
    acknowledged_by=st.sampled_from(["", "Kim"]),
    paged_at=st.none() | st.just(NOON),
    paged_severity=st.sampled_from(["", "minor", "major"]),
    given_back_by=st.sampled_from(["", "Lee"]),
    told=st.sampled_from([(), ("a",), ("d",)]),
    maintenance=st.sampled_from(["", "deploy"]),
    blocked_by=st.sampled_from(["", "db"]),
    waits_for=st.sampled_from(["", "db"]),
    back=st.sampled_from(["", "db"]),
    back_at=st.just(NOON),
)
routes = st.lists(
    st.builds(
        RouteFacts,
        name=st.just("r"),
        match=st.sampled_from([Matchers.read(), Matchers.read({"severity": "major"})]),
        notify=st.sampled_from([(), ("a",), ("a", "b")]),
        fallback=st.sampled_from([(), ("a", "c")]),
        remind_every=st.none() | st.just(HOUR),
        also=st.booleans(),
    ),
    max_size=3,
)


@given(alerts, routes, st.booleans(), st.integers(0, 7200))
def test_an_open_alert_that_has_paged_nobody_is_never_forgotten(
    alert: AlertFacts, given_routes: list[RouteFacts], silenced: bool, seconds: int
) -> None:
    now = NOON + timedelta(seconds=seconds)
    found: Decision = decide(alert, given_routes, [silence(match=Matchers.read())] if silenced else [], now)
    waits = (
        not found.page
        and (alert.paged_at is None or bool(alert.given_back_by and alert.told))
        and not alert.ended_at
        and not alert.acknowledged_by
    )
    if waits:
        assert found.look_at is not None
        assert found.look_at > now
    assert not (set(found.fallback) & set(found.channels))
