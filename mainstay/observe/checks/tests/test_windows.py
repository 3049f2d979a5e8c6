"""Maintenance windows: what they cover and how long, also on the nights when clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.windows import Window, covering, last_start, next_start, open_until, validate

HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def nightly(cron: str, zone: str, duration: timedelta) -> Window:
    return Window("nightly", cron=cron, zone=zone, duration=duration)


def test_a_single_window_is_open_from_its_start_until_just_before_its_end() -> None:
    window = Window("deploy", starts_at=utc("2026-03-02 12:00"), ends_at=utc("2026-03-02 13:00"))
    assert open_until(window, utc("2026-03-02 11:59:59")) is None
    assert open_until(window, utc("2026-03-02 12:00")) == utc("2026-03-02 13:00")
    assert open_until(window, utc("2026-03-02 13:00")) is None
    assert next_start(window, utc("2026-03-02 11:00")) == utc("2026-03-02 12:00")
    assert next_start(window, utc("2026-03-02 12:00")) is None


@pytest.mark.parametrize(
    ("cron", "zone", "duration", "begins", "ends"),
    [
        ("30 2 * * *", "Europe/Berlin", 2 * HOUR, "2026-03-29 01:00", "2026-03-29 03:00"),
        ("0 1 * * *", "Europe/Berlin", 2 * HOUR, "2026-03-29 00:00", "2026-03-29 02:00"),
        ("30 2 * * *", "Europe/Berlin", 2 * HOUR, "2026-10-25 00:30", "2026-10-25 02:30"),
        ("0 23 * * *", "Europe/Berlin", 4 * HOUR, "2026-10-24 21:00", "2026-10-25 01:00"),
        ("30 1 * * 0", "America/New_York", 3 * HOUR, "2026-11-01 05:30", "2026-11-01 08:30"),
        ("30 2 8 3 *", "America/New_York", HOUR, "2026-03-08 07:00", "2026-03-08 08:00"),
        ("45 1 * * *", "Australia/Lord_Howe", HOUR, "2026-04-04 14:45", "2026-04-04 15:45"),
        ("15 2 * * *", "Australia/Lord_Howe", HOUR, "2026-10-03 15:30", "2026-10-03 16:30"),
        ("0 0 29 2 *", "UTC", 24 * HOUR, "2028-02-29 00:00", "2028-03-01 00:00"),
        ("0 22 31 * *", "UTC", 4 * HOUR, "2026-12-31 22:00", "2027-01-01 02:00"),
        ("0 0 L * *", "Europe/Berlin", 24 * HOUR, "2026-02-27 23:00", "2026-02-28 23:00"),
    ],
)
def test_a_recurring_window_lasts_its_duration_on_the_clock_of_the_world(
    cron: str, zone: str, duration: timedelta, begins: str, ends: str
) -> None:
    window, begin, end = nightly(cron, zone, duration), utc(begins), utc(ends)
    validate(window)
    assert open_until(window, begin - timedelta(seconds=1)) is None
    moment = begin
    while moment < end:  # no hole in between, not even where the wall clock reads the same twice
        assert open_until(window, moment) == end, moment
        assert last_start(window, moment) == begin
        moment += timedelta(minutes=5)
    assert open_until(window, end - timedelta(microseconds=1)) == end
    assert open_until(window, end) is None
    assert next_start(window, begin - timedelta(seconds=1)) == begin


def test_a_window_that_is_longer_than_its_period_is_always_open() -> None:
    window = nightly("0 * * * *", "UTC", 2 * HOUR)
    assert open_until(window, utc("2026-03-02 12:30")) == utc("2026-03-02 14:00")


@pytest.mark.parametrize(
    ("window", "word"),
    [
        (Window("w"), "starts_at, ends_at"),
        (Window("w", starts_at=utc("2026-01-01")), "starts_at, ends_at"),
        (Window("w", starts_at=utc("2026-01-01"), ends_at=utc("2026-01-01")), "ends_at"),
        (Window("w", starts_at=utc("2026-01-02"), ends_at=utc("2026-01-01")), "ends_at"),
        (Window("w", cron="0 3 * * *"), "duration"),
        (Window("w", cron="0 3 * * *", duration=HOUR, ends_at=utc("2026-01-01")), "not both"),
        (Window("w", cron="0 25 * * *", duration=HOUR), "cron"),
        (Window("w", cron="0 0 30 2 *", duration=HOUR), "cron"),
        (Window("w", cron="0 3 * * *", duration=HOUR, zone="Mars/Olympus"), "no time zone"),
    ],
)
def test_a_window_that_cannot_be_is_refused_with_the_field(window: Window, word: str) -> None:
    with pytest.raises(match=word):
        validate(window)


def test_a_window_covers_by_application_and_labels() -> None:
    assert Window("all").covers(1, {})
    assert not Window("one", application=2).covers(1, {})
    assert Window("some", match=Matchers.read({"a": "x"})).covers(1, {"a": "x", "b": "y"})
    assert not Window("some", match=Matchers.read({"a": "x"})).covers(1, {"a": "y"})
    assert Window("some", match=Matchers.read({"a": ""})).covers(1, {})


def test_of_several_windows_the_one_that_lasts_longest_is_named() -> None:
    now = utc("2026-03-02 12:00")
    short = Window("short", starts_at=now, ends_at=now + HOUR)
    long = Window("long", starts_at=now, ends_at=now + 2 * HOUR)
    other = Window("other", application=9, starts_at=now, ends_at=now + 9 * HOUR)
    found = covering([short, long, other], 1, {}, now)
    assert found is not None
    assert (found.window.name, found.until) == ("long", now + 2 * HOUR)
    assert covering([other], 1, {}, now) is None


def test_a_window_over_the_hour_that_comes_twice_ends_after_it_begins() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = datetime(2026, 10, 25, 2, 30, tzinfo=berlin), datetime(2026, 10, 25, 2, 10, tzinfo=berlin, fold=1)
    validate(Window("move", starts_at=first, ends_at=second))  # 40 minutes later, by an earlier wall clock
    with pytest.raises(Refused):
        validate(Window("move", starts_at=second, ends_at=first))
