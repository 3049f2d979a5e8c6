"""What of all that waits is sent singly, grouped or withdrawn, as a table; and when a group's messages may go."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.respond.delivery.sending.grouping import (
    HOLD,
    JOIN_FOR,
    SINGLY_MOST,
    Fate,
    Waiting,
    due_at,
    may_join,
    next_message,
    plan,
)

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
CRITICAL, MAJOR, MINOR = 2, 12, 22


def page(number: int, urgency: int = MAJOR, event: str = "trigger", **given: object) -> Waiting:
    return Waiting(number, f"t{number % 1000}", event, urgency, **given)  # type: ignore[arg-type]


def fates(waiting: list[Waiting]) -> dict[str, str]:
    return {verdict.thread: verdict.fate.value for verdict in plan(waiting, most=2)}


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        pytest.param([page(1), page(2)], {"t1": "singly", "t2": "singly"}, id="as many as people read"),
        pytest.param(
            [page(1), page(2), page(3)], {"t1": "singly", "t2": "singly", "t3": "grouped"}, id="one too many: the last"
        ),
        pytest.param(
            [page(1, MINOR), page(2, MAJOR), page(3, CRITICAL)],
            {"t3": "singly", "t2": "singly", "t1": "grouped"},
            id="the most severe go singly",
        ),
        pytest.param(
            [page(1), page(2), page(3), page(1003, 15, "resolve")],
            {"t1": "singly", "t2": "singly", "t3": "withdrawn"},
            id="what is over is withdrawn, whatever its severity",
        ),
        pytest.param(
            [page(1), page(1001, 15, "resolve"), page(2)],
            {"t1": "singly", "t2": "singly"},
            id="not while few wait: page and resolution go",
        ),
        pytest.param(
            [page(1), page(2), page(3), page(4, told=True), page(1004, 15, "resolve", told=True)],
            {"t1": "singly", "t2": "singly", "t3": "grouped", "t4": "singly"},
            id="what the receiver may know goes on singly",
        ),
        pytest.param(
            [page(1, 15, "resolve", member="open"), page(2, 15, "remind", member="open")],
            {"t1": "grouped", "t2": "grouped"},
            id="what a group told goes on in it",
        ),
        pytest.param([page(1, CRITICAL, member="open")], {"t1": "singly"}, id="paged again: by itself while few wait"),
        pytest.param(
            [page(1), page(2), page(3, MINOR, member="acknowledged")],
            {"t1": "singly", "t2": "singly", "t3": "grouped"},
            id="paged again in a crowd: stays in its group",
        ),
        pytest.param(
            [page(1, CRITICAL, member="open", telling=True), page(2)],
            {"t2": "singly"},
            id="paged again while a message of its group is under way: waits for it",
        ),
        pytest.param(
            [page(1, CRITICAL, member="open", telling=True, failing=True), page(2)],
            {"t1": "grouped", "t2": "singly"},
            id="paged again while its group does not get through: falls back with it",
        ),
        pytest.param(
            [page(1, member="open", telling=True), page(1001, 15, "resolve", member="open", telling=True)],
            {"t1": "grouped"},
            id="paged again and over while a message of its group is under way: its group says so",
        ),
        pytest.param([page(1, 15, "resolve")], {"t1": "singly"}, id="a resolution alone"),
        pytest.param([page(1, MINOR, "test"), page(2), page(3), page(4)],
                     {"t1": "singly", "t2": "singly", "t3": "singly", "t4": "grouped"}, id="a test is never grouped"),
    ],
)  # fmt: skip
def test_what_becomes_of_what_waits(waiting: list[Waiting], expected: dict[str, str]) -> None:
    assert fates(waiting) == expected


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        ((), ["singly", "singly", "grouped"]),
        ((12,), ["singly", "grouped", "grouped"]),
        ((12, 12), ["grouped", "grouped", "grouped"]),
        ((22, 22, 22), ["singly", "singly", "grouped"]),  # less urgent ones do not count against these
        ((2, 2), ["grouped", "grouped", "grouped"]),
    ],
)
def test_what_went_singly_of_late_counts_as_if_it_waited(recent: tuple[int, ...], expected: list[str]) -> None:
    found = {verdict.thread: verdict.fate.value for verdict in plan([page(n, 12) for n in (1, 2, 3)], 2, recent)}
    assert [found[thread] for thread in ("t1", "t2", "t3")] == expected


def test_a_critical_page_is_told_within_seconds_however_many_messages_its_group_had() -> None:
    later = due_at("update", NOON, 50, NOON, news=True)
    assert (later - NOON, due_at("update", NOON, 50, NOON, news=True, grave=True) - NOON) == (
        timedelta(seconds=30),
        timedelta(seconds=5),
    )


def test_each_verdict_has_a_reason_and_the_state_of_its_alert() -> None:
    acknowledged = page(1003, 15, "acknowledge")
    rows = [
        page(1),
        page(2),
        page(3),
        acknowledged,
        page(4),
        page(1004, 15, "resolve"),
        page(5, 15, "resolve", member="open"),
    ]
    found = {verdict.thread: verdict for verdict in plan(rows, most=2)}
    assert all(verdict.why for verdict in found.values())
    assert [found[name].state for name in ("t3", "t4", "t5")] == ["acknowledged", "over", "over"]
    assert (found["t4"].ids, found["t4"].page) == ((4, 1004), 4)


_ROWS = st.lists(
    st.builds(
        Waiting,
        id=st.integers(1, 10_000),
        thread=st.sampled_from([f"t{number}" for number in range(40)]),
        event=st.sampled_from(["trigger", "trigger", "resolve", "acknowledge", "remind"]),
        urgency=st.sampled_from([2, 5, 12, 15, 22, 25]),
    ),
    max_size=120,
    unique_by=lambda row: row.id,
)


@given(_ROWS)
def test_nothing_is_forgotten_and_nothing_live_is_withdrawn(rows: list[Waiting]) -> None:
    found = plan(rows)
    assert sorted(number for verdict in found for number in verdict.ids) == sorted(row.id for row in rows)
    events = {row.id: row.event for row in rows}
    pages_singly = 0
    for verdict in found:
        told = {events[number] for number in verdict.ids}
        if verdict.fate is Fate.WITHDRAWN:
            assert {"trigger", "resolve"} <= told
        if verdict.fate is Fate.GROUPED:
            assert "trigger" in told
            assert "resolve" not in told
        pages_singly += verdict.fate is Fate.SINGLY and verdict.state == "single"
    assert pages_singly <= SINGLY_MOST


@pytest.mark.parametrize(
    ("live", "unacknowledged", "told", "reminder", "event"),
    [
        (5, 5, False, False, "trigger"),
        (5, 5, True, False, "update"),
        (5, 5, True, True, "remind"),
        (5, 0, True, False, "acknowledge"),
        (0, 0, True, False, "resolve"),
        (0, 0, False, False, "resolve"),
    ],
)
def test_the_next_message_of_a_group(live: int, unacknowledged: int, told: bool, reminder: bool, event: str) -> None:
    assert next_message(live=live, unacknowledged=unacknowledged, told=told, reminder=reminder) == event


@pytest.mark.parametrize(
    ("event", "messages", "told_s", "news", "wait_s"),
    [
        ("trigger", 0, None, True, HOLD.total_seconds()),
        ("resolve", 0, None, False, HOLD.total_seconds()),  # the summary of what was over waits for more of it
        ("update", 1, -2, True, 3),
        ("update", 3, -2, True, 18),
        ("update", 50, -2, True, 28),
        ("update", 1, -2, False, 298),
        ("update", 1, -3000, True, 0),
        ("resolve", 1, -2, False, 0),
        ("update", 1, 3600, True, 5),  # the clock was set back by an hour since
    ],
)
def test_when_it_may_go(event: str, messages: int, told_s: int | None, news: bool, wait_s: float) -> None:
    told = None if told_s is None else NOON + timedelta(seconds=told_s)
    assert due_at(event, NOON, messages, told, news=news) == NOON + timedelta(seconds=wait_s)


def test_pages_join_a_group_for_a_while() -> None:
    assert may_join(NOON, NOON)
    assert not may_join(NOON, NOON + JOIN_FOR)
    assert not may_join(NOON, NOON - timedelta(hours=1))  # the clock was set back: it may be long ago
