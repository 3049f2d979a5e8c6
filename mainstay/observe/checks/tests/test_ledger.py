"""The ledger tells what the table tells, whatever happened to the table since it last looked."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.actions import announce, pause
from mainstay.observe.checks.models import Check, CheckState, Downtime, Hour
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.tests.parts import NOON, check
from mainstay.observe.checks.uptime import cache, timeline
from mainstay.observe.checks.uptime.cache import LEDGER, Ledger
from mainstay.observe.checks.uptime.records import courses, records
from mainstay.observe.checks.uptime.timeline import Course, Record
from mainstay.observe.checks.windows import Window

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
SINCE = NOON - 89 * DAY
Told = dict[int, tuple[list[timeline.Span], list[timeline.Span]]]


@pytest.fixture(autouse=True)
def kept_from_the_first_check_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FEW", 0)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def gone(one: Check, start: float, end: float | None, health: str = "down") -> Downtime:
    return Downtime.objects.create(
        check_ref=one,
        application=one.application,
        health=health,
        started_at=at(start),
        ended_at=None if end is None else at(end),
    )


def told(book: Ledger, *checks: Check, now: datetime = NOON) -> Told:
    """What `book` says of `checks`, in order and to the millisecond, as exact as the database tells it."""
    found = book.read([one.pk for one in checks], SINCE, now)
    spans = {number: one.spans(SINCE.timestamp(), now.timestamp()) for number, one in found.items()}
    return {number: (whole(down), whole(degraded)) for number, (down, degraded) in spans.items() if down or degraded}


def whole(spans: list[timeline.Span]) -> list[timeline.Span]:
    return sorted((round(start, 3), round(end, 3)) for start, end in spans)


def in_the_table(*checks: Check, now: datetime = NOON) -> Told:
    return told(Ledger(), *checks, now=now)


def queries(act: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as found:
        act()
    return len(found)


def test_what_began_and_ended_since_is_told() -> None:
    one, book = check("front"), Ledger()
    assert told(book, one) == {}
    lasting = gone(one, -5, None)
    assert told(book, one) == {one.pk: ([(at(-5).timestamp(), NOON.timestamp())], [])}
    Downtime.objects.filter(pk=lasting.pk).update(ended_at=at(-4))
    gone(one, -3, -2)
    gone(one, -1, None, "degraded")
    assert told(book, one) == {
        one.pk: (
            [(at(-5).timestamp(), at(-4).timestamp()), (at(-3).timestamp(), at(-2).timestamp())],
            [(at(-1).timestamp(), NOON.timestamp())],
        )
    }


def test_one_that_lasted_long_is_told_as_ended_when_it_ends() -> None:
    one, other, book = check("front"), check("back"), Ledger()
    lasting = gone(one, -100, None)
    for number in range(cache.RECENT + 10):
        gone(other, -50 + number / 10, -50 + number / 10 + 0.05)
    assert told(book, one)[one.pk][0] == [(at(-100).timestamp(), NOON.timestamp())]
    Downtime.objects.filter(pk=lasting.pk).update(ended_at=at(-60))
    assert told(book, one)[one.pk][0] == [(at(-100).timestamp(), at(-60).timestamp())]


def test_a_row_committed_after_one_with_a_higher_number_is_told() -> None:
    one, other, book = check("front"), check("back"), Ledger()
    late, early = gone(one, -5, -4), gone(other, -3, None)
    number = late.pk
    late.delete()
    told(book, one, other)
    Downtime.objects.create(
        pk=number, check_ref=one, application=one.application, health="down", started_at=at(-5), ended_at=at(-4)
    )
    assert early.pk > number
    assert told(book, one)[one.pk][0] == [(at(-5).timestamp(), at(-4).timestamp())]


def test_rows_of_a_transaction_that_was_rolled_back_are_forgotten() -> None:
    one, book = check("front"), Ledger()
    gone(one, -9, -8)
    with transaction.atomic():
        gone(one, -5, -4)
        assert len(told(book, one)[one.pk][0]) == 2
        transaction.set_rollback(True)
    assert told(book, one) == in_the_table(one)
    gone(one, -3, -2)  # on SQLite with the number of the one that never was
    assert told(book, one) == in_the_table(one)
    assert len(told(book, one)[one.pk][0]) == 2


def test_a_number_that_now_means_another_downtime_is_noticed() -> None:
    one, book = check("front"), Ledger()
    first, _ = gone(one, -9, -8), gone(one, -5, -4)
    told(book, one)
    Downtime.objects.filter(pk=first.pk).update(started_at=at(-10))
    assert told(book, one)[one.pk][0][0] == (at(-10).timestamp(), at(-8).timestamp())


def test_a_check_that_is_removed_while_down_leaves_nothing_behind() -> None:
    one, other, book = check("front"), check("back"), Ledger()
    gone(one, -9, None)
    gone(other, -5, -4)
    told(book, one, other)
    number = one.pk
    one.delete()
    assert number not in book.read([number, other.pk], SINCE, NOON)
    assert told(book, other) == in_the_table(other)


def test_whatever_happens_in_whatever_order_the_ledger_tells_what_the_table_tells() -> None:
    chance, book = random.Random(7), Ledger()
    checks = [check(f"check-{number}") for number in range(6)]
    for step in range(150):
        one = chance.choice(checks)
        match chance.randrange(4):
            case 0:
                if not Downtime.objects.filter(check_ref=one, ended_at=None).exists():
                    gone(one, step - 200, None, chance.choice(["down", "degraded"]))
            case 1:
                Downtime.objects.filter(check_ref=one, ended_at=None).update(ended_at=at(step - 199.5))
            case 2:
                gone(one, step - 200, step - 199.7)
            case _:
                with transaction.atomic():
                    gone(one, step - 200, step - 199.9)
                    if chance.random() < 0.5:
                        told(book, *checks)
                    transaction.set_rollback(chance.random() < 0.5)
        if chance.random() < 0.5:
            assert told(book, *checks) == in_the_table(*checks)


def test_a_look_costs_one_query_and_two_when_something_old_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "RECENT", 1)
    checks, book = [check(f"check-{number}") for number in range(20)], Ledger()
    lasting = gone(checks[0], -30, None)
    for one in checks[1:]:
        gone(one, -20, -19)
    assert [queries(lambda: told(book, *checks)) for _ in range(3)] == [1, 1, 1]
    Downtime.objects.filter(pk=lasting.pk).update(ended_at=at(-1))
    assert [queries(lambda: told(book, *checks)) for _ in range(2)] == [2, 1]


def test_looking_further_back_than_what_is_kept_reads_further_back() -> None:
    one, book = check("front"), Ledger()
    gone(one, -24 * 85, -24 * 84)
    later = NOON + 60 * DAY
    assert told(book, one, now=later) == in_the_table(one, now=later)
    assert told(book, one) == {one.pk: ([(at(-24 * 85).timestamp(), at(-24 * 84).timestamp())], [])}


def test_more_than_may_be_kept_is_read_from_the_table_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT_MOST", 3)
    one, book = check("front"), Ledger()
    for hour in range(5):
        gone(one, -50 + hour, -49.5 + hour)
    assert len(told(book, one)[one.pk][0]) == 5
    gone(one, -2, None)
    assert len(told(book, one)[one.pk][0]) == 6
    assert not book._ended


# --- applications ---------------------------------------------------------------------------------------------------


def watched(name: str, **given: Any) -> Check:
    made = check(name, **given)
    CheckState.objects.filter(pk=made.pk).update(first_at=at(-200), last_at=NOON, health="up")
    return made


def fared(now: datetime) -> Record:
    """The record of the one application there is."""
    rows = listing.read(Check.objects.all())
    [found] = records({rows[0].application_id: rows}, SINCE, now).values()
    return found


def computed(now: datetime) -> Course:
    """The same, computed anew from the courses of its checks."""
    rows = listing.read(Check.objects.all())
    each = courses(rows, SINCE, now)
    deciding = [each[row.id] for row in rows if row.severity == "critical"]
    return timeline.united(deciding, [each[row.id] for row in rows if row.severity != "critical"])


def agree(now: datetime) -> None:
    edges = [SINCE.timestamp() + hour * 3600 for hour in range(0, 24 * 92, 5)]
    for some, others in zip(fared(now).seconds(edges), computed(now).seconds(edges), strict=True):
        assert some == pytest.approx(others, abs=1e-3)


def test_the_record_of_an_application_is_what_its_checks_add_up_to_at_any_time() -> None:
    one, two = watched("front", severity="critical"), watched("back", severity="critical")
    minor = watched("side", severity="minor")
    gone(one, -100, -90)
    gone(two, -95, -85)
    gone(minor, -30, -10)
    lasting = gone(minor, -3, None)
    for minutes in range(0, 200, 40):
        agree(NOON + timedelta(minutes=minutes))
    Downtime.objects.filter(pk=lasting.pk).update(ended_at=at(3))
    agree(at(4))
    gone(two, 4, None)
    agree(at(5))
    agree(at(6))


def test_the_record_follows_pauses_maintenance_and_silence() -> None:
    one, two = watched("front", severity="critical"), watched("back", severity="critical", labels={"team": "web"})
    Hour.objects.bulk_create(
        Hour(check_ref=one, hour=at(hour), results=60) for hour in range(-200, 0) if hour not in (-60, -61)
    )
    gone(one, -100, None)
    agree(at(0.2))
    pause(one, COMMAND_LINE, at(0.3), paused=True)
    agree(at(0.4))
    agree(at(0.5))
    pause(one, COMMAND_LINE, at(0.6), paused=False)
    agree(at(0.7))
    announce(
        Window("move", match=Matchers.read({"team": "web"}), starts_at=at(0.75), ends_at=at(0.85)),
        COMMAND_LINE,
        at(0.7),
    )
    nightly = Window("backup", cron="0 * * * *", duration=timedelta(minutes=10), zone="Europe/Berlin")
    announce(nightly, COMMAND_LINE, at(0.7))
    for hours in (0.8, 0.9, 1.05, 1.5, 3.0):  # the last after the results have stopped
        agree(at(hours))
    assert two.pk


def test_a_record_is_computed_again_only_when_what_it_is_made_of_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = watched("front", severity="critical")
    gone(one, -5, -4)
    lasting = gone(one, -3, None)
    first, second = fared(NOON), fared(at(0.1))
    assert first.down is second.down
    assert second.until > first.until
    Downtime.objects.filter(pk=lasting.pk).update(ended_at=at(-1))
    assert fared(at(0.2)).down is not first.down


def test_everybody_reads_one_ledger() -> None:
    one = watched("front")
    gone(one, -5, -4)
    courses(listing.read(Check.objects.all()), SINCE, NOON)
    assert one.pk in LEDGER._ended
