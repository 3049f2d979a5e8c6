"""Heartbeats over jumps of the clock, suspended machines, databases that were away, and a busy monitor."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from mainstay.foundation import gaps
from mainstay.foundation.processes.models import Process
from mainstay.observe.checks.models import Check, CheckState, Ping, Result
from mainstay.observe.checks.runtime import arrivals
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.tests.parts import Clocks, after, heartbeat, watch, watched
from mainstay.observe.checks.wing import TAKES_PINGS
from tests.database import away

pytestmark = pytest.mark.django_db
for_threads = pytest.mark.django_db(transaction=True)
MANY = 30
BEGAN = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(gaps, "detector", made.detector)
    return made


@pytest.fixture
def jobs() -> list[Check]:
    """Heartbeats that report every 20 s, with a grace of 10 s."""
    return [heartbeat(f"job-{number}", every="20s", grace="10s") for number in range(MANY)]


class Desk:
    """A monitor's sweep and its intake of pings, turn by turn."""

    def __init__(self, clocks: Clocks, rows: list[Check]) -> None:
        self.clocks, self.rows = clocks, rows
        self.held = watch(*rows)
        self.gaps = clocks.detector.follow()

    def restart(self) -> None:
        self.held = Watch()
        for row in self.rows:
            one = watched(row)
            one.due_at = arrivals.due_on_loading(one, one.due_at, self.clocks.now)
            self.held.put(one)
        self.gaps = self.clocks.detector.follow()

    def ping(self, *rows: Check) -> None:
        for row in rows:
            Ping.objects.create(check_ref=row, at=self.clocks.now, kind="success")
        arrivals.take(self.held, Ping.objects.filter(handled=False).order_by("id"), self.gaps)

    def sweep(self) -> int:
        return arrivals.miss(self.held, self.clocks.now, self.gaps)

    def run(self, seconds: int, pinged: list[Check], every_s: int = 20) -> int:
        """Let time pass with a sweep a second; return how many were missed."""
        missed = 0
        for second in range(seconds):
            if second % every_s == 0:
                self.ping(*pinged)
            self.clocks.go(1.0)
            missed += self.sweep()
        return missed


@pytest.fixture
def desk(clocks: Clocks, jobs: list[Check]) -> Desk:
    made = Desk(clocks, jobs)
    made.ping(*jobs)
    return made


@pytest.mark.fault("R4")
def test_a_suspended_machine_pages_for_none_and_one_that_is_gone_is_noticed(desk: Desk, jobs: list[Check]) -> None:
    gone, *others = jobs
    desk.clocks.go(15)
    desk.clocks.sleep(40)
    assert desk.sweep() == 0
    assert desk.run(20, others) == 1
    assert CheckState.objects.get(health="down").pk == gone.pk


def test_without_anyone_who_knows_of_gaps_all_would_page(desk: Desk) -> None:
    desk.clocks.sleep(40)
    assert arrivals.miss(desk.held, desk.clocks.now) == MANY


@pytest.mark.fault("R4")
@for_threads
def test_a_database_that_was_away_pages_for_none(desk: Desk, jobs: list[Check]) -> None:
    desk.clocks.go(10)
    with away():
        for _ in range(34):
            desk.clocks.go(1.0, committed=False)
            try:
                desk.sweep()
            except DatabaseError:
                pass
    assert desk.sweep() == 0  # although nobody has committed since: that it may write tells it
    assert desk.run(60, jobs) == 0


def test_gaps_without_end_do_not_hide_a_job_that_is_gone(desk: Desk, jobs: list[Check]) -> None:
    gone, *others = jobs
    missed = 0
    for _ in range(6):
        desk.ping(*others)
        desk.clocks.sleep(34)
        missed += desk.sweep()
        desk.ping(*others)
        missed += desk.run(8, [])
    assert missed > 0
    assert set(CheckState.objects.filter(health="down").values_list("pk", flat=True)) == {gone.pk}


def test_a_monitor_that_restarts_again_and_again_does_not_hide_a_job_that_is_gone(
    desk: Desk, jobs: list[Check]
) -> None:
    gone, *others = jobs
    missed = 0
    for _ in range(8):
        desk.ping(*others)
        desk.clocks.go(15)
        desk.restart()
        missed += desk.sweep()
    assert missed > 0
    assert set(CheckState.objects.filter(health="down").values_list("pk", flat=True)) == {gone.pk}


@pytest.mark.fault("R6")
@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 40.0, -40.0, 40 * 86_400.0])
def test_a_clock_that_was_set_pages_for_none_and_hides_none(desk: Desk, jobs: list[Check], by_s: float) -> None:
    gone, *others = jobs
    desk.clocks.go(15)
    desk.clocks.set(by_s)
    assert desk.sweep() == 0
    assert desk.run(14, others) == 0
    assert desk.run(3, []) == 1  # as late as without the jump: 30 s after its last ping
    assert CheckState.objects.get(health="down").pk == gone.pk


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_just_after_it_was_read_pages_for_none(desk: Desk, jobs: list[Check], by_s: float) -> None:
    others = jobs[1:]
    desk.clocks.go(15)
    read = desk.clocks.now
    desk.clocks.set(by_s)
    assert arrivals.miss(desk.held, read, desk.gaps) == 0
    assert desk.run(14, others) == 0
    assert desk.run(3, []) == 1


def test_a_clock_that_is_set_back_while_a_miss_is_decided_pages_for_none(
    desk: Desk, jobs: list[Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, *others = jobs
    desk.clocks.go(29)
    desk.ping(*others)
    desk.clocks.go(2)
    really = arrivals._unread

    def and_then_it_is_set(*given: Any) -> set[int]:
        desk.clocks.set(-3600.0)
        return really(*given)

    monkeypatch.setattr(arrivals, "_unread", and_then_it_is_set)
    assert desk.sweep() == 1  # the one that is late by either clock
    assert CheckState.objects.get(health="down").pk == gone.pk


def test_a_ping_that_was_not_yet_understood_when_the_clock_was_set_counts_from_then(
    desk: Desk, jobs: list[Check]
) -> None:
    for by_s in (3600.0, -3600.0):
        desk.clocks.go(15)
        for row in jobs:
            Ping.objects.create(check_ref=row, at=desk.clocks.now, kind="success")
        desk.clocks.set(by_s)
        assert desk.sweep() == 0
        desk.ping()
        assert {one.due_at for one in desk.held.checks.values()} == {desk.clocks.now + timedelta(seconds=30)}


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_ping_that_is_understood_before_the_sweep_notices_a_jump_counts_once(desk: Desk, by_s: float) -> None:
    desk.clocks.go(15)
    desk.clocks.set(by_s)
    desk.ping(*desk.rows)
    assert desk.sweep() == 0
    assert {one.due_at for one in desk.held.checks.values()} == {desk.clocks.now + timedelta(seconds=30)}


def test_a_moved_due_time_outlives_a_restart(desk: Desk) -> None:
    desk.clocks.go(15)
    desk.clocks.set(-3600.0)
    desk.sweep()
    assert set(CheckState.objects.values_list("due_at", flat=True)) == {desk.clocks.now + timedelta(seconds=15)}
    desk.restart()
    assert {one.due_at for one in desk.held.checks.values()} == {desk.clocks.now + timedelta(seconds=15)}


def test_a_clock_that_was_set_back_while_nothing_ran_hides_none(desk: Desk) -> None:
    desk.clocks.go(5)
    desk.clocks.set(-3600.0)
    desk.clocks.detector.begin()
    desk.restart()
    assert desk.run(31, []) == MANY


def test_a_second_chance_is_there_again_after_a_ping(desk: Desk, jobs: list[Check]) -> None:
    for _ in range(2 * arrivals.CHANCES_MOST):
        desk.clocks.go(15)
        desk.clocks.sleep(40)
        assert desk.sweep() == 0
        desk.ping(*jobs)
    assert not CheckState.objects.filter(second_chances__gt=0).exists()


# --- decided while nobody else can write ------------------------------------------------------------------------------


@pytest.mark.fault("R2")
@for_threads
def test_a_ping_that_was_answered_while_the_monitor_waited_for_the_database_is_no_miss(clocks: Clocks) -> None:
    row = heartbeat(every="20s", grace="10s")
    held = watch(row)
    clocks.go(31)
    with _while_another_writes() as others:
        missing = threading.Thread(target=_closing(lambda: arrivals.miss(held, clocks.now, clocks.detector.follow())))
        missing.start()
        others(missing, lambda: Ping.objects.create(check_ref=row, at=after(29.9), kind="success"))
        missing.join(10.0)
    assert not missing.is_alive()
    arrivals.take(held, Ping.objects.filter(handled=False))
    assert CheckState.objects.get().health == "up"
    assert not Result.objects.filter(health="down").exists()


class _while_another_writes:  # noqa: N801  # reads as what it does
    """Holds what a miss must wait for, until it waits; then writes and lets go."""

    def __enter__(self) -> Callable[[threading.Thread, Callable[[], object]], None]:
        self._atomic = transaction.atomic()
        self._atomic.__enter__()
        list(CheckState.objects.select_for_update())
        return self._write

    def _write(self, waiting: threading.Thread, write: Callable[[], object]) -> None:
        waiting.join(0.7)
        assert waiting.is_alive()  # it has decided that something is late, and waits
        write()
        self._atomic.__exit__(None, None, None)

    def __exit__(self, *_error: object) -> None:
        pass


def _closing(act: Callable[[], object]) -> Callable[[], None]:
    def acted() -> None:
        try:
            act()
        finally:
            connection.close()

    return acted


class Web:
    """The beats of the web process, and a sweep a second that asks whether anybody takes pings."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.row = Process.objects.create(role="web", host="here", pid=1, started_at=BEGAN, beat_at=BEGAN)
        self.reception = arrivals.Reception(desk.clocks.detector)
        self.monotonic = 100.0

    def run(self, seconds: int, *, beats: bool = True, takes_pings: bool = True) -> int:
        missed = 0
        for _ in range(seconds):
            self.desk.clocks.go(1.0)
            self.monotonic += 1.0
            if beats:
                self.row.beat_at += timedelta(seconds=1)
                self.row.detail = {TAKES_PINGS: takes_pings}
                self.row.save()
            if not self.reception.closed(self.monotonic):
                missed += self.desk.sweep()
        return missed


def test_while_no_web_process_takes_pings_none_is_missed_and_afterwards_each_has_its_grace(
    desk: Desk, jobs: list[Check]
) -> None:
    web = Web(desk)
    gone, *others = jobs
    assert web.run(15) == 0
    assert web.run(70, beats=False) == 0
    assert web.run(1) == 0
    assert [gap.kind for gap in desk.clocks.detector.lately(5)] == [gaps.Kind.NO_PINGS]
    desk.ping(*others)
    assert web.run(15) == 1
    assert CheckState.objects.get(health="down").pk == gone.pk


def test_a_web_process_that_beats_but_stores_no_pings_is_as_good_as_away(desk: Desk) -> None:
    web = Web(desk)
    assert web.run(15) == 0
    assert web.run(70, takes_pings=False) == 0
    assert web.run(10) == 0
    assert web.run(20) == MANY


def test_a_web_process_that_never_stored_a_ping_since_the_monitor_began_is_away_too(desk: Desk) -> None:
    web = Web(desk)
    assert web.run(70, takes_pings=False) == 0
    assert web.run(10) == 0
    assert web.run(20) == MANY


def test_a_web_process_that_is_gone_for_good_hides_no_miss_for_longer_than_five_minutes(desk: Desk) -> None:
    web = Web(desk)
    web.run(15)
    assert web.run(290, beats=False) == 0
    assert web.run(20, beats=False) == MANY


def test_a_monitor_that_stood_still_does_not_take_the_web_process_for_away(desk: Desk) -> None:
    web = Web(desk)
    web.run(5)
    web.monotonic += 70.0
    web.run(1)
    assert gaps.Kind.NO_PINGS not in {gap.kind for gap in desk.clocks.detector.lately(5)}


def test_without_any_web_process_misses_are_noticed(desk: Desk) -> None:
    web = Web(desk)
    web.row.delete()
    assert web.run(40, beats=False) == MANY
