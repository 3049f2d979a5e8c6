"""Cron on the wall clock: nights with 23, 25 and 24½ hours, leap days, ends of months."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.observe.checks import cron

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Expression, zone, after → the following times, all UTC.
TIMES = [
    ("30 2 * * *", BERLIN, "2026-03-27 12:00", ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"]),
    ("0 3 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 01:00"]),
    ("59 1 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 00:59", "2026-03-29 23:59"]),
    # 02:30 comes twice on this night; the first one counts, and from within the second hour the next is tomorrow's.
    ("30 2 * * *", BERLIN, "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25 00:30", ["2026-10-26 01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25 01:10", ["2026-10-26 01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25 01:50", ["2026-10-26 01:30"]),
    ("0 2 * * *", BERLIN, "2026-10-25 00:59", ["2026-10-26 01:00"]),
    ("30 2 * * *", NEW_YORK, "2026-03-07 12:00", ["2026-03-08 07:00", "2026-03-09 06:30"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31 12:00", ["2026-11-01 05:30", "2026-11-02 06:30"]),
    ("30 1 * * *", NEW_YORK, "2026-11-01 06:10", ["2026-11-02 06:30"]),
    # Lord Howe turns half an hour: +11 → +10:30 on 5 April, back on 4 October.
    ("45 1 * * *", LORD_HOWE, "2026-04-04 12:00", ["2026-04-04 14:45", "2026-04-05 15:15"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-04 15:05", ["2026-04-05 15:15"]),
    ("15 2 * * *", LORD_HOWE, "2026-10-03 10:00", ["2026-10-03 15:30", "2026-10-04 15:15"]),
    ("0 * * * *", LORD_HOWE, "2026-04-04 13:30", ["2026-04-04 14:00", "2026-04-04 15:30", "2026-04-04 16:30"]),
    ("0 0 29 2 *", "UTC", "2026-01-01 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
    ("0 0 31 * *", "UTC", "2026-01-31 00:00", ["2026-03-31 00:00", "2026-05-31 00:00"]),
    ("0 12 L * *", "UTC", "2026-01-31 12:00", ["2026-02-28 12:00", "2026-03-31 12:00"]),
    ("0 0 1 1 *", "UTC", "2026-12-31 23:59", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ("*/15 * * * *", BERLIN, "2026-10-25 00:50", ["2026-10-25 01:00", "2026-10-25 01:15"]),
    ("0 4 * * 1", BERLIN, "2026-03-29 12:00", ["2026-03-30 02:00", "2026-04-06 02:00"]),
]


@pytest.mark.parametrize(("expression", "zone", "after", "following"), TIMES)
def test_the_next_times(expression: str, zone: str, after: str, following: list[str]) -> None:
    at: datetime | None = utc(after)
    for expected in following:
        assert at is not None
        at = cron.next_after(expression, zone, at)
        assert at == utc(expected)


@pytest.mark.parametrize(("expression", "zone", "after", "following"), TIMES)
def test_the_last_time_is_found_from_every_minute_until_the_next(
    expression: str, zone: str, after: str, following: list[str]
) -> None:
    begin, end = utc(following[0]), utc(following[1]) if len(following) > 1 else utc(following[0])
    step = timedelta(minutes=7) if end - begin < timedelta(days=2) else timedelta(days=13)
    moment = begin
    while moment < end:
        assert cron.last_until(expression, zone, moment) == begin, moment
        moment += step
    assert cron.last_until(expression, zone, begin) == begin
    assert cron.last_until(expression, zone, begin + timedelta(microseconds=1)) == begin
    assert cron.last_until(expression, zone, begin - timedelta(microseconds=1)) != begin


def forwards(expression: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = cron.next_after(expression, zone, since - timedelta(microseconds=1))
    while at is not None and at <= until:
        found.append(at)
        at = cron.next_after(expression, zone, at)
    return found


def backwards(expression: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = cron.last_until(expression, zone, until)
    while at is not None and at >= since:
        found.append(at)
        at = cron.last_until(expression, zone, at - timedelta(microseconds=1))
    return found[::-1]


# Expression, zone, from, to → all times between, UTC.
NIGHTS = [
    # 02:30 does not exist and comes at 03:00; 02:15 and 02:45 come together with it.
    ("30 2 * * *", BERLIN, "2026-03-28 00:00", "2026-03-30 12:00", ["28 01:30", "29 01:00", "30 00:30"]),
    ("15,45 2 * * *", BERLIN, "2026-03-29 00:00", "2026-03-30 01:00", ["29 01:00", "30 00:15", "30 00:45"]),
    ("0 2,3 * * *", BERLIN, "2026-03-29 00:00", "2026-03-30 01:00", ["29 01:00", "30 00:00", "30 01:00"]),
    # 02:30 comes twice, at 00:30 and 01:30 UTC, and counts once; wherever in those two hours one stands.
    ("30 2 * * *", BERLIN, "2026-10-24 00:00", "2026-10-26 12:00", ["24 00:30", "25 00:30", "26 01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25 00:00", "2026-10-25 01:10", ["25 00:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25 00:31", "2026-10-25 01:50", []),
    ("0,50 2 * * *", BERLIN, "2026-10-25 00:00", "2026-10-25 01:20", ["25 00:00", "25 00:50"]),
    # Every hour goes by the instant: 23 and 25 of them.
    ("0 * * * *", BERLIN, "2026-03-29 00:00", "2026-03-29 02:00", ["29 00:00", "29 01:00", "29 02:00"]),
    ("0 * * * *", BERLIN, "2026-10-25 00:00", "2026-10-25 02:00", ["25 00:00", "25 01:00", "25 02:00"]),
    ("30 2 * * *", NEW_YORK, "2026-03-07 12:00", "2026-03-09 12:00", ["08 07:00", "09 06:30"]),
    ("30 1 * * *", NEW_YORK, "2026-11-01 00:00", "2026-11-01 06:20", ["01 05:30"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-04 12:00", "2026-04-04 15:10", ["04 14:45"]),
    ("15 2 * * *", LORD_HOWE, "2026-10-03 10:00", "2026-10-04 20:00", ["03 15:30", "04 15:15"]),
]


@pytest.mark.parametrize(("expression", "zone", "since", "until", "times"), NIGHTS)
def test_on_nights_when_clocks_change_all_searches_agree(
    expression: str, zone: str, since: str, until: str, times: list[str]
) -> None:
    begin, end = utc(since), utc(until)
    expected = [utc(f"{since[:8]}{time}") for time in times]
    assert cron.newest(expression, zone, begin, end, 100) == expected
    assert forwards(expression, zone, begin, end) == expected
    assert backwards(expression, zone, begin, end) == expected


def test_of_too_many_times_the_newest_are_found() -> None:
    end = utc("2026-03-30 00:00")
    found = cron.newest("*/10 * * * *", "UTC", utc("2026-01-01 00:00"), end, 1_000)
    assert (len(found), found[-1], found[0]) == (1_000, end, end - timedelta(minutes=9_990))


zones = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Asia/Kathmandu"])
minutes = st.integers(0, 2 * 365 * 24 * 60).map(lambda count: utc("2026-01-01") + timedelta(minutes=count))
fixed = st.builds("{} {} * * *".format, st.integers(0, 59), st.integers(0, 23))


@settings(deadline=None)
@given(fixed, zones, minutes)
def test_a_daily_time_comes_once_on_every_day_of_the_calendar(expression: str, zone: str, after: datetime) -> None:
    place = ZoneInfo(zone)
    first = cron.next_after(expression, zone, after)
    assert first is not None
    second = cron.next_after(expression, zone, first)
    assert second is not None
    assert after < first < second
    assert (second.astimezone(place).date() - first.astimezone(place).date()).days == 1


@settings(deadline=None)
@given(fixed, zones, minutes)
def test_last_and_next_agree(expression: str, zone: str, moment: datetime) -> None:
    last = cron.last_until(expression, zone, moment)
    following = cron.next_after(expression, zone, moment)
    assert last is not None
    assert following is not None
    assert last <= moment < following
    assert cron.next_after(expression, zone, last) == following


nights = st.sampled_from(["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04"])
frequent = st.sampled_from(["*/20 * * * *", "10 * * * *", "5,35 1-3 * * *", "*/30 2 * * *", "0 */2 * * *", "0 2 * * 0"])


@settings(deadline=None)
@given(fixed | frequent, zones, nights, st.integers(-1_440, 1_440), st.integers(0, 4_320))
def test_the_times_of_a_stretch_are_those_found_one_by_one(
    expression: str, zone: str, night: str, begin: int, length: int
) -> None:
    since = utc(night) + timedelta(minutes=begin)
    until = since + timedelta(minutes=length)
    assert cron.newest(expression, zone, since, until, 1_000) == forwards(expression, zone, since, until)


@pytest.mark.parametrize(
    ("expression", "zone", "word"),
    [
        ("* * * *", "UTC", "no cron expression"),
        ("60 * * * *", "UTC", "no cron expression"),
        ("x", "UTC", "no cron expression"),
        ("", "UTC", "no cron expression"),
        ("0 0 30 2 *", "UTC", "no cron expression"),
        ("0 0 * 2 1#5", "Europe/Berlin", ""),
        ("0 3 * * *", "Europe/Atlantis", "no time zone"),
        ("0 3 * * *", "../etc/passwd", "no time zone"),
        ("0 3 * * *", "", "no time zone"),
        ("0 3 * * *", "Europe/Berlin", ""),
    ],
)
def test_what_cannot_be_is_named(expression: str, zone: str, word: str) -> None:
    found = cron.problem(expression, zone)
    assert word in found
    assert bool(found) == bool(word)
