"""Uptime from the records: downtimes, pauses as the journal tells them, maintenance, and nobody watching."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.actions import announce, cancel, pause
from mainstay.observe.checks.models import Check, CheckState, Downtime, Hour, Maintenance
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.tests.parts import NOON, check, down, see, up, watch
from mainstay.observe.checks.uptime import timeline
from mainstay.observe.checks.uptime.records import closed_windows, courses, lasting
from mainstay.observe.checks.uptime.timeline import Share
from mainstay.observe.checks.windows import Window, open_until

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def watched(name: str = "front", **given: Any) -> Check:
    """A check whose first result came at noon, and its newest just now."""
    made = check(name, **given)
    CheckState.objects.filter(pk=made.pk).update(first_at=NOON, last_at=at(10), health="up")
    return made


def share(one: Check, until: float = 10, since: float = 0) -> Share:
    """What the record says of `one`, in hours after noon."""
    now = at(until)
    of = courses(listing.read(Check.objects.filter(pk=one.pk)), NOON - DAY, now)[one.pk]
    found = timeline.share(of, at(since).timestamp(), now.timestamp())
    return Share(*(round(seconds / 3600, 4) for seconds in (found.known_s, found.down_s, found.degraded_s)))


def gone(one: Check, start: float, end: float | None, health: str = "down") -> None:
    Downtime.objects.create(
        check_ref=one,
        application=one.application,
        health=health,
        started_at=at(start),
        ended_at=None if end is None else at(end),
    )


def test_a_downtime_counts_until_it_ends_or_until_now() -> None:
    one = watched()
    gone(one, 1, 2)
    gone(one, 9, None)
    gone(one, 4, 4.5, "degraded")
    assert share(one) == Share(10, 2, 0.5)


def test_what_results_bring_about_is_what_uptime_tells() -> None:
    one = check("front")
    made = watch(one)
    see(made, up(one, 0), down(one, 3600), up(one, 7200))
    CheckState.objects.filter(pk=one.pk).update(last_at=at(4))
    assert share(one, until=4) == Share(4, 1, 0)


def test_a_pause_is_not_known_time() -> None:
    one = watched()
    pause(one, COMMAND_LINE, at(2), paused=True)
    pause(one, COMMAND_LINE, at(5), paused=False)
    gone(one, 6, 7)
    assert share(one) == Share(7, 1, 0)


def test_a_check_that_is_still_paused_is_not_known_since() -> None:
    one = watched()
    pause(one, COMMAND_LINE, at(4), paused=True)
    assert share(one) == Share(4, 0, 0)


def test_a_check_paused_before_the_window_is_not_known_at_all() -> None:
    one = watched()
    pause(one, COMMAND_LINE, NOON, paused=True)
    found = courses(listing.read(Check.objects.filter(pk=one.pk)), at(5), at(10))[one.pk]
    assert timeline.share(found, at(5).timestamp(), at(10).timestamp()).uptime is None


def test_maintenance_is_not_known_time_for_what_it_covers() -> None:
    one, other = watched(), watched("back", labels={"team": "web"})
    window = Window("move", match=Matchers.read({"team": "web"}), starts_at=at(1), ends_at=at(3))
    announce(window, COMMAND_LINE, NOON)
    gone(one, 1, 2)
    gone(other, 1, 4)
    assert share(one) == Share(10, 1, 0)
    assert share(other) == Share(8, 1, 0)


def test_maintenance_counts_from_when_it_was_announced_and_until_it_was_called_off() -> None:
    one = watched()
    row = announce(Window("move", starts_at=at(1), ends_at=at(9)), COMMAND_LINE, at(2))
    cancel(row, COMMAND_LINE, at(5))
    assert share(one).known_s == 7


def test_maintenance_that_recurs_is_left_out_each_time() -> None:
    one = watched()
    window = Window("backup", cron="0 * * * *", duration=timedelta(minutes=15), zone="Europe/Berlin")
    announce(window, COMMAND_LINE, NOON - DAY)
    assert share(one).known_s == 7.5


NIGHTS = [
    # 02:30 in Berlin: skipped on 29 March (it opens at 03:00), there twice on 25 October (it opens at the first).
    ("30 2 * * *", "2026-03-28T12:00+00:00", 2, ["29 01:00", "30 00:30"]),
    ("30 2 * * *", "2026-10-24T12:00+00:00", 2, ["25 00:30", "26 01:30"]),
    ("15,45 2 * * *", "2026-03-28T12:00+00:00", 1, ["29 01:00"]),
    ("30 2 * * *", "2026-10-24T12:00+00:00", 775 / 1_440, ["25 00:30"]),  # looked at before the hour comes again …
    ("30 2 * * *", "2026-10-24T12:00+00:00", 805 / 1_440, ["25 00:30"]),  # … and within it
]


@pytest.mark.parametrize(("cron", "since", "days", "starts"), NIGHTS)
def test_a_recurring_window_is_left_out_when_it_was_open_on_nights_when_clocks_change(
    cron: str, since: str, days: float, starts: list[str]
) -> None:
    begin = datetime.fromisoformat(since)
    now = begin + days * DAY
    window = Window("backup", cron=cron, duration=timedelta(minutes=20), zone="Europe/Berlin")
    announce(window, COMMAND_LINE, begin)
    (found,) = closed_windows(begin, now)
    expected = [datetime.fromisoformat(f"{since[:8]}{start}+00:00") for start in starts]
    assert found.spans == tuple((at.timestamp(), at.timestamp() + 1_200) for at in expected)
    minute = begin
    while minute < now:
        paging = any(start <= minute.timestamp() < end for start, end in found.spans)
        assert (open_until(window, minute) is not None) == paging, minute
        minute += timedelta(minutes=5)


def test_a_window_without_a_check_that_it_names_changes_nothing() -> None:
    one = watched()
    announce(
        Window("move", match=Matchers.read({"check": "other"}), starts_at=at(1), ends_at=at(9)), COMMAND_LINE, NOON
    )
    assert share(one).known_s == 10
    assert Maintenance.objects.count() == 1


def hours(one: Check, *numbers: int) -> None:
    Hour.objects.bulk_create(Hour(check_ref=one, hour=at(number), results=60, duration_sum_s=6) for number in numbers)


def test_hours_in_which_nobody_watched_are_not_known() -> None:
    one = watched()
    hours(one, 0, 1, 5, 6, 7, 8, 9)
    assert share(one) == Share(7, 0, 0)


def test_silence_is_told_by_any_check_that_is_probed_often() -> None:
    one, other = watched(), watched("back")
    hours(other, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    hours(one, 0)
    assert share(one).known_s == 10


def test_a_monitor_that_stopped_two_hours_ago_leaves_two_hours_unknown() -> None:
    one = watched()
    hours(one, *range(10))
    assert share(one, until=12).known_s == 10


def test_all_checks_are_read_in_a_fixed_number_of_queries() -> None:
    for i in range(5):
        gone(watched(f"check-{i}"), 1, 2)
    announce(Window("move", starts_at=at(1), ends_at=at(3)), COMMAND_LINE, NOON)

    def count() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        rows = listing.read(Check.objects.all())
        with CaptureQueriesContext(connection) as queries:
            courses(rows, NOON, at(10))
        return len(queries)

    few = count()
    for i in range(5, 50):
        gone(watched(f"check-{i}"), 1, 2)
    assert count() == few


def test_lean_rows_tell_the_same_status_and_uptime() -> None:
    one = watched()
    gone(one, 1, 2)
    everything = Check.objects.all()
    (full,), (lean,) = listing.read(everything), listing.read_lean(everything)
    assert lean.shown([], at(10)) == full.shown([], at(10))
    assert courses([lean], NOON, at(10)) == courses([full], NOON, at(10))


def test_a_glance_tells_the_same_status_and_uptime_of_what_is_fine_late_down_and_paused() -> None:
    watched("fine")
    late, broken, paused = watched("late"), watched("broken"), watched("paused")
    CheckState.objects.filter(pk=late.pk).update(last_at=at(9))
    CheckState.objects.filter(pk=broken.pk).update(health="down")
    pause(paused, COMMAND_LINE, at(9), paused=True)
    gone(broken, 8, None)
    everything, now = Check.objects.all(), at(10)
    full, found = listing.seen(everything, now), listing.glance(everything, now)
    assert {row.id: shown.status for row, shown in found} == {row.id: shown.status for row, shown in full}
    assert [row.name for row, _ in found] == ["fine", "late", "broken", "paused"]
    assert courses([row for row, _ in found], NOON, now) == courses([row for row, _ in full], NOON, now)


@pytest.mark.parametrize("until", [10, 11.5])
def test_the_uptime_of_what_lasts_is_that_of_the_course_at_the_same_time(until: float) -> None:
    never, once, lasting_ones, unseen = watched("never"), watched("once"), watched("lasting"), check("unseen")
    gone(once, 1, 2)
    gone(lasting_ones, 4, 5)
    gone(lasting_ones, 9, None)
    rows, now = listing.matching(listing.Filters(), at(until)), at(until)
    each = courses(rows, NOON, now)
    found = {check: one.uptime(now.timestamp()) for check, one in lasting(rows, NOON, now).items()}
    assert found == {
        check: pytest.approx(timeline.fraction(of, NOON.timestamp(), now.timestamp())) for check, of in each.items()
    }
    assert found[never.pk] == 1
    assert found[unseen.pk] is None


def test_silence_is_told_by_others_once_those_that_told_it_are_paused() -> None:
    several = [watched(f"check-{i}") for i in range(7)]
    hours(several[0], *range(10))
    hours(several[6], *(hour for hour in range(10) if hour != 5))
    assert share(several[6]).known_s == 10
    for one in several[:2]:
        pause(one, COMMAND_LINE, NOON, paused=True)
    hours(several[2], 0, 9)
    assert share(several[5]).known_s == 9
