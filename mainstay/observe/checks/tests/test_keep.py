"""How long results are kept, and the hourly figures that outlive them."""

from datetime import datetime, timedelta

import pytest

from mainstay.foundation.processes import notices
from mainstay.foundation.store import insert, moment
from mainstay.observe.checks.models import Hour, Ping, Result
from mainstay.observe.checks.tests.parts import NOON, after, check
from mainstay.observe.checks.uptime import retention

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def result(at: datetime, health: str = "up", duration_s: float = 0.1, number: int = 1) -> None:
    Result.objects.create(check_ref_id=number, at=at, health=health, duration_s=duration_s)


def test_an_hour_sums_its_results_up() -> None:
    row = check()
    for at, health, duration_s in ((0, "up", 0.1), (1800, "down", 0.5), (3599, "degraded", 0.2), (3600, "up", 9.0)):
        result(after(at), health, duration_s, row.pk)
    assert retention.roll_up(NOON + 2 * HOUR - timedelta(seconds=1)) == 1
    hour = Hour.objects.get()
    assert (hour.hour, hour.results, hour.bad) == (NOON, 3, 2)
    assert hour.duration_sum_s == pytest.approx(0.8)
    assert hour.duration_max_s == 0.5


def test_an_hour_is_made_once_and_only_when_its_results_are_in() -> None:
    result(NOON)
    assert retention.roll_up(NOON + HOUR) == 0  # the last seconds of it may not be committed yet
    assert retention.roll_up(NOON + HOUR + retention.COMPLETE_AFTER) == 1
    assert retention.roll_up(NOON + HOUR + retention.COMPLETE_AFTER) == 0
    assert Hour.objects.count() == 1


def test_a_long_stop_does_not_stop_the_figures_for_ever() -> None:
    result(NOON)
    retention.roll_up(NOON + 2 * HOUR)
    result(NOON + 90 * DAY)
    assert retention.roll_up(NOON + 90 * DAY + 2 * HOUR) == 1
    assert Hour.objects.filter(hour=NOON + 90 * DAY).exists()


def test_many_hours_are_made_in_several_rounds() -> None:
    for hour in range(60):
        result(NOON + hour * HOUR)
    now = NOON + 61 * HOUR
    assert [retention.roll_up(now) for _ in range(3)] == [48, 12, 0]
    assert Hour.objects.count() == 60


def test_each_check_has_its_own_hour() -> None:
    for number in (1, 2):
        result(NOON, number=number)
    retention.roll_up(NOON + 2 * HOUR)
    assert Hour.objects.count() == 2


def test_without_results_there_is_nothing_to_make() -> None:
    assert retention.roll_up(NOON) == 0


def test_what_is_old_goes_and_what_is_not_stays() -> None:
    now = NOON + 1000 * DAY
    row = check()
    for age in (timedelta(hours=47), timedelta(hours=49)):
        result(now - age)
    for age in (89 * DAY, 91 * DAY):
        Ping.objects.create(check_ref=row, at=now - age, kind="success")
    for age in (399 * DAY, 401 * DAY):
        Hour.objects.create(check_ref=row, hour=now - age)
    assert retention.trim(now, 48 * 3600) is False
    assert Result.objects.get().at == now - timedelta(hours=47)
    assert Ping.objects.get().at == now - 89 * DAY
    assert Hour.objects.get().hour == now - 399 * DAY


def test_a_clean_up_goes_in_steps_and_says_whether_more_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 10)
    for number in range(25):
        result(NOON + timedelta(seconds=number))
    assert [retention.trim(NOON + 9 * DAY, 3600) for _ in range(3)] == [True, True, False]
    assert not Result.objects.exists()


def test_a_whole_step_fits_into_one_statement() -> None:
    row = (1, moment(NOON), "up", 0.1, "")
    insert(Result, ("check_ref_id", "at", "health", "duration_s", "message"), [row] * retention.AT_ONCE)
    assert retention.trim(NOON + 9 * DAY, 3600) is True
    assert not Result.objects.exists()


def run_for_days(days: int, until: datetime, number: int = 1) -> None:
    for hours in range(0, 24 * days, 6):
        result(until - timedelta(hours=hours), number=number)


@pytest.mark.fault("R7")
def test_a_clock_that_is_wrong_for_a_while_deletes_nothing() -> None:
    run_for_days(20, NOON)
    before = Result.objects.count()
    for wrong in (NOON + 40 * DAY, NOON + 40 * DAY + timedelta(seconds=75)):  # results come by it, too
        result(wrong)
        retention.trim(retention.trusted(wrong), 20 * 86_400)
    assert Result.objects.count() == before + 2
    right = NOON + timedelta(minutes=2)
    result(right)
    retention.trim(retention.trusted(right), 20 * 86_400)
    assert Result.objects.count() == before + 3
    assert retention.trusted(right) == right


def test_after_a_long_pause_what_is_old_goes_a_day_later() -> None:
    run_for_days(3, NOON)
    back = NOON + 40 * DAY
    result(back)
    assert retention.trusted(back + timedelta(minutes=1)) == NOON
    run_for_days(1, back + 25 * HOUR)
    later = back + 25 * HOUR
    assert retention.trusted(later) == later
    retention.trim(later, 48 * 3600)
    assert not Result.objects.filter(at__lt=back).exists()


def test_a_clock_that_is_not_trusted_is_told_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_told", {})
    retention.tell_distrust(NOON + 40 * DAY, NOON)
    (told,) = notices.told()
    assert told["title"] == "It is 2026-04-11 12:00 UTC, if the clock is right."
    retention.tell_distrust(NOON, NOON)
    assert notices.told() == []


def test_hours_from_the_future_do_not_end_the_hourly_figures() -> None:
    row = check()
    Hour.objects.create(check_ref=row, hour=NOON + 40 * DAY)
    result(NOON, number=row.pk)
    assert retention.roll_up(NOON + 2 * HOUR) == 1
    assert Hour.objects.filter(hour=NOON).exists()
