"""Cycles of a process, its beat, and what others conclude from it."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import OperationalError

from mainstay.foundation.processes import beat, canary
from mainstay.foundation.processes.models import Process, Revision
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.foundation.refusal import CannotStart
from tests.database import at_once

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 10.0


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.005)


@pytest.fixture
def started(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Runner]]:
    runners: list[Runner] = []
    before = set(threading.enumerate())

    def start(*cycles: Cycle, role: str = "worker") -> Runner:
        runners.append(Runner(role, cycles))
        runners[-1].start()
        return runners[-1]

    with caplog.at_level(logging.CRITICAL):
        yield start
        for runner in runners:
            runner.stop()
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE_S)
    for runner in runners:
        runner.goodbye()
    assert not Process.objects.exists()


def test_a_cycle_runs_again_and_again_with_the_time_and_the_process(started: Callable[..., Runner]) -> None:
    seen: list[tuple[datetime, int]] = []
    runner = started(Cycle("count", 0.01, lambda now, process: seen.append((now, process))))
    until(lambda: len(seen) > 3)
    assert {process for _, process in seen} == {runner.process_id}
    assert Process.objects.get().pk == runner.process_id


def test_a_cycle_with_more_to_do_does_not_pause_and_one_that_is_woken_runs_at_once(
    started: Callable[..., Runner],
) -> None:
    left = list(range(50))
    busy = Cycle("busy", 3600.0, lambda _now, _process: bool(left and left.pop() is not None))
    slow: list[int] = []
    asleep = Cycle("asleep", 3600.0, lambda _now, _process: slow.append(1))
    started(busy, asleep)
    until(lambda: not left and len(slow) == 1)
    asleep.wake.set()
    until(lambda: len(slow) == 2)


@pytest.mark.parametrize("error", [OperationalError("locked"), ZeroDivisionError()])
def test_a_cycle_that_fails_is_tried_again_and_is_not_on_time(error: Exception, started: Callable[..., Runner]) -> None:
    began: list[float | None] = []

    def run(_now: datetime, _process: int) -> None:
        began.append(cycle.running_since)
        if len(began) < 4:
            raise error

    cycle = Cycle("failing", 3600.0, run)
    started(cycle)
    until(lambda: len(began) == 4 and cycle.running_since is None)
    assert None not in began
    assert len(set(began)) == 1  # late since the first failure, not since the last attempt
    assert cycle.lag_s(time.monotonic()) == 0


def test_one_failing_cycle_does_not_hold_up_another(started: Callable[..., Runner]) -> None:
    seen: list[int] = []

    def broken(_now: datetime, _process: int) -> None:
        raise RuntimeError

    started(Cycle("broken", 0.01, broken), Cycle("fine", 0.01, lambda _now, _process: seen.append(1)))
    until(lambda: len(seen) > 5)


def test_lag_is_how_late_a_cycle_is() -> None:
    cycle = Cycle("x", 2.0, lambda _now, _process: None)
    cycle.due_at = 100.0
    assert (cycle.lag_s(99.0), cycle.lag_s(103.0)) == (0.0, 3.0)
    cycle.running_since = 100.0
    assert (cycle.lag_s(101.0), cycle.lag_s(110.0)) == (0.0, 8.0)


@pytest.mark.timing
def test_a_signal_ends_the_waiting_and_wakes_every_cycle(started: Callable[..., Runner]) -> None:
    runner = started(Cycle("asleep", 3600.0, lambda _now, _process: None))
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        runner.stop_on_signals()
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        begin = time.monotonic()
        runner.wait()
        assert time.monotonic() - begin < 2
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert runner.stopping.is_set()


def test_a_process_that_was_taken_for_dead_ends_itself(started: Callable[..., Runner]) -> None:
    kept = signal.getsignal(signal.SIGTERM)
    try:
        runner = started(Cycle("x", 3600.0, lambda _now, _process: None))
        runner.stop_on_signals()
        Process.objects.all().delete()
        until(lambda: runner.asked_to_stop)
    finally:
        signal.signal(signal.SIGTERM, kept)


def row(role: str = "worker", *, host: str = "elsewhere", pid: int = 1, boot: str = "", age_s: float = 0.0) -> Process:
    at = NOW - timedelta(seconds=age_s)
    return Process.objects.create(role=role, host=host, pid=pid, boot=boot, started_at=at, beat_at=at)


NOW = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


def test_a_process_is_alive_while_it_beats() -> None:
    fresh, silent = row(), row(age_s=12.5)
    row("web")
    assert beat.alive(NOW, "worker") == [fresh.pk]
    assert beat.alive(NOW - timedelta(seconds=1), "worker") == [fresh.pk, silent.pk]


def test_dead_processes_of_this_host_are_buried_at_once_those_of_others_after_a_day() -> None:
    here = socket.gethostname()
    me = row(host=here, pid=os.getpid(), boot=beat.boot_of(os.getpid()))
    row(host=here, pid=2**22 + 7)  # beyond the greatest pid
    row(host=here, pid=os.getpid(), boot="another life of this pid")
    other = row(age_s=3600)
    row(age_s=90_000)
    beat.bury(NOW)
    assert set(Process.objects.values_list("pk", flat=True)) == {me.pk, other.pk}


def test_health_is_that_of_the_best_process_of_each_role() -> None:
    row("web")
    Process.objects.filter(pk=row("monitor").pk).update(lag_s=9.0)
    row("worker", age_s=8)
    found = beat.health(NOW)
    assert {role: one.status for role, one in found.items()} == {"web": "ok", "monitor": "late", "worker": "late"}
    row("monitor")
    assert beat.health(NOW)["monitor"].status == "ok"
    assert beat.health(NOW + timedelta(seconds=30))["web"].status == "missing"


def test_revisions_count_every_change_of_several_at_once() -> None:
    errors = [found for found in at_once(*[lambda: Revision.bump("checks") for _ in range(8)]) if found is not None]
    assert errors == []
    assert Revision.current("checks") == 8
    assert Revision.current("other") == 0


@pytest.mark.fault("R14")
def test_a_cycle_that_is_woken_keeps_the_pause_after_a_failure(started: Callable[..., Runner]) -> None:
    began: list[float] = []

    def refused(_now: datetime, _process: int) -> None:
        began.append(time.monotonic())
        raise OperationalError("locked")

    cycle = Cycle("flush", 0.25, refused)
    started(cycle)
    give_up = time.monotonic() + 1.6
    while time.monotonic() < give_up:
        cycle.wake.set()
        time.sleep(0.002)
    assert 3 <= len(began) <= 4  # 0.2 s, 0.4 s, 0.8 s, not hundreds


def test_a_lag_that_cannot_be_told_does_not_stop_the_beat(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> float:
        raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL):
        runner = Runner("monitor", [], extra_lag=broken)
        runner.start()
        first = Process.objects.get().beat_at
        until(lambda: Process.objects.get().beat_at > first)
        runner.stop()
        until(lambda: not any(thread.name in {"beat", "watchdog"} for thread in threading.enumerate()))
    runner.goodbye()


@pytest.mark.parametrize("error", [MemoryError(), BaseException("a panic in a Rust library")])
def test_a_cycle_survives_whatever_is_raised_in_it(error: BaseException, started: Callable[..., Runner]) -> None:
    rounds: list[int] = []

    def run(_now: datetime, _process: int) -> None:
        rounds.append(1)
        if len(rounds) < 3:
            raise error

    started(Cycle("odd", 0.01, run))
    until(lambda: len(rounds) > 5)


def test_a_process_that_need_not_wait_for_the_database_registers_when_it_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [OperationalError("the database system is starting up")] * 2
    register = beat.register

    def refused_at_first(role: str, at: datetime) -> Process:
        if refusals:
            raise refusals.pop()
        return register(role, at)

    monkeypatch.setattr(beat, "register", refused_at_first)
    with caplog.at_level(logging.CRITICAL):
        runner = Runner("web", [])
        runner.start(wait=False)
        assert not Process.objects.exists()
        until(lambda: Process.objects.exists())
        runner.stop()
        until(lambda: not any(thread.name in {"beat", "watchdog"} for thread in threading.enumerate()))
    runner.goodbye()


@pytest.mark.fault("S20")
def test_a_key_that_does_not_open_the_database_is_refused(started: Callable[..., Runner]) -> None:
    canary.place("another key")
    with pytest.raises(CannotStart, match=r"restore the file keys/secret\.key"):
        Runner("worker", []).start()
    canary.place(settings.SECRET_KEY, anew=True)
    canary.place("is kept")
    started()
