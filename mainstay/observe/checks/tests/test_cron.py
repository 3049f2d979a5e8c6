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
