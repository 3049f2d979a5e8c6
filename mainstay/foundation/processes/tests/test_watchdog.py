"""The watchdog: who hangs, who only has much to do, and that a process which hangs is really ended and started anew."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from mainstay.foundation.processes import watchdog
from mainstay.foundation.processes.watchdog import Turn, Watchdog

SECONDS = range(1, 700)


def first_word(turns: Iterator[Turn]) -> tuple[int, str]:
    """Look once a second; return after how many seconds something was wrong, and what."""
    dog = Watchdog()
    for second in SECONDS:
        wrong = dog.look(1000.0 + second, [next(turns)])
        if wrong:
            return second, wrong
    return 0, ""


def test_who_stands_at_one_place_for_a_minute_hangs() -> None:
    second, wrong = first_word(iter(lambda: Turn("flush", round=1, place="recv"), None))
    assert second == 61
    assert wrong == "flush hangs: it has not moved for 60 s"


def test_who_moves_has_ten_times_as_long() -> None:
    second, wrong = first_word(Turn("flush", round=1, place=place) for place in SECONDS)
    assert second == 601
    assert wrong == "flush does not come to an end: its round has taken 600 s"


def test_who_waits_for_its_next_round_or_begins_new_ones_does_not_hang() -> None:
    assert first_word(Turn("flush", round=number // 50, place="recv") for number in SECONDS) == (0, "")
    assert first_word(iter(lambda: Turn("flush"), None)) == (0, "")


def test_each_cycle_has_its_own_patience() -> None:
    second, _ = first_word(iter(lambda: Turn("metrics", round=1, place="duckdb", patience_s=300), None))
    assert second == 301


def test_the_dead_are_told_at_once() -> None:
    assert first_word(iter(lambda: Turn("flush", dead=True), None)) == (1, "flush has died")


def test_a_machine_that_slept_finds_nobody_overdue() -> None:
    dog, turn = Watchdog(), Turn("flush", round=1, place="recv")
    dog.look(1000.0, [turn])
    assert dog.look(1000.0 + 86_400, [turn]) == ""
    assert dog.look(1001.0 + 86_400, [turn]) == ""


def test_the_place_of_a_thread_stays_while_it_waits_and_changes_when_it_goes_on() -> None:
    steps = [threading.Event() for _ in range(2)]
    reached = [threading.Event() for _ in range(2)]

    def work() -> None:
        for mine, step in zip(reached, steps, strict=True):
            mine.set()
            step.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    reached[0].wait(10)
    time.sleep(0.05)
    before = watchdog.place_of(thread.ident)
    assert before == watchdog.place_of(thread.ident)
    steps[0].set()
    reached[1].wait(10)
    time.sleep(0.05)
    assert watchdog.place_of(thread.ident) != before
    steps[1].set()
    thread.join()
    assert watchdog.place_of(thread.ident) is None


PROGRAM = """
import ctypes, os, signal, sys, threading, time
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from mainstay.foundation.processes import watchdog
from mainstay.foundation.processes.run import Cycle, Runner
watchdog.LOOK_EVERY_S = 0.05
done = []

class PanicException(BaseException):  # as a Rust library raises it
    pass

{what}

runner = Runner("worker", [Cycle("odd", 0.01, odd, patience_s=0.5), Cycle("even", 0.01, lambda at, me: done.append(1))])
runner.stop_on_signals()
runner.start()
runner.wait()
runner.goodbye()
print("ended well", len(done) > 5)
"""
PANICS = """
def odd(at, me):
    done.append(2)
    if done.count(2) > 2:
        os.kill(os.getpid(), signal.SIGTERM)
    raise PanicException("called `Option::unwrap()` on a `None` value")
"""
DIES = "def odd(at, me): raise SystemExit"
HANGS = "def odd(at, me): threading.Event().wait()"
HANGS_IN_C = "def odd(at, me): ctypes.PyDLL(None).usleep(0); ctypes.CDLL(None).sleep(3600)"
LOCKED = """
import sqlite3
from django.conf import settings
def odd(at, me):
    other = sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(3.0, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    time.sleep(3.5)
    other.execute("ROLLBACK")
"""


def run(tmp_path: object, what: str) -> subprocess.CompletedProcess[str]:
    ours = ("MAINSTAY_", "DATABASE_URL")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {"DJANGO_SETTINGS_MODULE": "mainstay.settings", "MAINSTAY_HOME": f"{tmp_path}/var"}
    program = textwrap.dedent(PROGRAM).replace("{what}", what)
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_cycle_survives_a_panic(tmp_path: object) -> None:
    done = run(tmp_path, PANICS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ended well True\n"
    assert "odd: failed; trying again" in done.stderr


@pytest.mark.parametrize(
    ("what", "words"),
    [(DIES, "the cycle odd has died"), (HANGS, "the cycle odd hangs"), (HANGS_IN_C, "the cycle odd hangs")],
    ids=["dies", "hangs", "hangs in C"],
)
def test_a_cycle_that_died_or_hangs_ends_its_process_with_all_stacks(tmp_path: object, what: str, words: str) -> None:
    done = run(tmp_path, what)
    assert done.returncode == watchdog.STATUS, done.stderr
    assert words in done.stderr
    assert "most recent call first" in done.stderr


def test_while_the_database_does_not_answer_nobody_is_ended(tmp_path: object) -> None:
    done = run(tmp_path, LOCKED)
    assert done.returncode == 0, done.stderr
    assert "hangs" not in done.stderr
