"""When a heartbeat is due: intervals, cron in a zone, runs under way, nights when clocks change."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.observe.checks.heartbeats import NEVER, Rhythm, due_at, end_of_run, expected_at, failed, missing

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_interval_counts_from_the_last_ping() -> None:
    rhythm = Rhythm(every=HOUR, grace=5 * MINUTE)
    assert expected_at(rhythm, NOON) == NOON + HOUR
    assert due_at(rhythm, NOON, None) == NOON + HOUR + 5 * MINUTE


@pytest.mark.parametrize(
    ("cron", "zone", "last", "due"),
    [
        ("0 3 * * *", "Europe/Berlin", "2026-03-02 02:00:05", "2026-03-03 02:30"),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28 02:00:05", "2026-03-29 01:30"),  # a day of 23 hours
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 01:30:05", "2026-03-29 01:30"),  # 02:30 does not exist
        ("0 3 * * *", "Europe/Berlin", "2026-10-24 01:00:05", "2026-10-25 02:30"),  # a day of 25 hours
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 00:30:05", "2026-10-25 01:00"),  # the first 02:30
        # The job of the first 02:30 takes 40 minutes and reports at 02:10, the second time round.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 01:10:00", "2026-10-26 02:00"),
        ("30 1 * * *", "America/New_York", "2026-11-01 06:15:00", "2026-11-02 07:00"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 15:05:00", "2026-04-05 15:45"),
        ("0 0 29 2 *", "UTC", "2026-03-01 00:00:00", "2028-02-29 00:30"),
        ("0 6 31 * *", "UTC", "2026-08-31 06:01:00", "2026-10-31 06:30"),
    ],
)
def test_a_cron_rhythm_is_due_its_grace_after_the_next_time_on_the_wall(
    cron: str, zone: str, last: str, due: str
) -> None:
    assert due_at(Rhythm(cron=cron, zone=zone, grace=30 * MINUTE), utc(last), None) == utc(due)


@settings(deadline=None)
@given(
    st.sampled_from(["30 2 * * *", "0 3 * * 0", "*/10 * * * *", "0 0 L * *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(0, 366 * 24 * 60),
)
def test_a_ping_is_never_followed_by_a_time_that_is_past(cron: str, zone: str, minute: int) -> None:
    last = utc("2026-01-01") + timedelta(minutes=minute)
    assert expected_at(Rhythm(cron=cron, zone=zone), last) > last


def test_a_run_under_way_has_its_own_limit() -> None:
    rhythm = Rhythm(every=HOUR, grace=5 * MINUTE, max_runtime=3 * HOUR)
    assert due_at(rhythm, NOON, NOON + 10 * MINUTE) == NOON + 10 * MINUTE + 3 * HOUR
    assert due_at(Rhythm(every=HOUR, grace=5 * MINUTE), NOON, NOON + MINUTE) == NOON + 6 * MINUTE


def test_a_cron_expression_that_never_comes_due_stops_nobody_else() -> None:
    assert due_at(Rhythm(cron="0 0 * 2 MON#5", grace=DAY), NOON, None) <= NEVER


@pytest.mark.parametrize(
    ("run", "earlier", "open_since", "began", "still"),
    [
        # the pings before the end, newest first: kind, run, minutes after noon
        ("", [("start", "", 1)], 1, 1, None),
        ("", [("start", "", 5), ("start", "", 1)], 1, 5, None),  # started anew; the last start began what ended
        ("", [], None, None, None),
        ("", [("start", "a", 1)], 1, 1, None),
        ("a", [("start", "a", 1)], 1, 1, None),
        ("a", [("start", "b", 2), ("start", "a", 1)], 1, 1, 2),  # b is still running
        ("b", [("start", "b", 2), ("start", "a", 1)], 1, 2, 1),
        ("b", [("success", "a", 3), ("start", "b", 2), ("start", "a", 1)], 1, 2, None),
        ("c", [("start", "b", 2), ("start", "a", 1)], 1, None, 1),  # its start was never heard
        ("a", [("start", "b", 9), ("fail", "", 5), ("start", "c", 4), ("start", "a", 1)], 9, None, 9),
        ("a", [("start", "a", 3), ("success", "a", 2), ("start", "a", 1)], 3, 3, None),
    ],
)
def test_an_end_is_paired_with_the_start_of_its_run(
    run: str, earlier: list[tuple[str, str, int]], open_since: int | None, began: int | None, still: int | None
) -> None:
    def at(minutes: int | None) -> datetime | None:
        return NOON + minutes * MINUTE if minutes is not None else None

    rows = [(kind, other, NOON + minutes * MINUTE) for kind, other, minutes in earlier]
    assert end_of_run(run, rows, at(open_since)) == (at(began), at(still))


def test_sentences_say_what_was_expected_and_what_came() -> None:
    rhythm = Rhythm(every=HOUR, grace=90 * MINUTE, max_runtime=2 * DAY)
    assert missing(rhythm, NOON, NOON, None) == (
        "No ping by 2026-03-02 13:00:00 UTC and 1 h 30 min of grace; the last came at 2026-03-02 12:00:00 UTC."
    )
    assert missing(rhythm, None, NOON, None).endswith("none has ever come.")
    assert (
        missing(rhythm, NOON, NOON, NOON) == "The run that started at 2026-03-02 12:00:00 UTC did not end within 2 d."
    )
    assert failed(7, "one\n\n disk full \n") == "The job reported a failure with exit status 7: disk full"
    assert failed(None, "") == "The job reported a failure by /fail."
    assert len(failed(1, "x" * 9_999)) < 300
