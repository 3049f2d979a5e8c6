"""What crashes its process is found, and set aside at the third time; who was only in flight, or was killed, is not."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mainstay.cli import main
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes import notices, setaside, work
from mainstay.foundation.processes.models import Suspect
from mainstay.foundation.processes.setaside import LOOKUPS, Known, blame, refresh, release
from mainstay.foundation.processes.work import Death, SetAside, WorkFile, working_on
from mainstay.respond.alerts.models import Alert

WORKER = """
import ctypes, os, signal, sys, threading, time
from pathlib import Path
from mainstay.foundation.processes.work import WorkFile, working_on
work = WorkFile(Path(sys.argv[1]), "worker")
work.open()
beside = threading.Event()

def other():
    with working_on("rule", 7):
        beside.set()
        time.sleep(60)

threading.Thread(target=other, daemon=True).start()
beside.wait()
with working_on("check", 1):
    pass
with working_on("check", 2):
    {end}
"""
IN_FLIGHT = (("check", "2"), ("rule", "7"))


def ended(home: Path, end: str) -> int:
    home.mkdir(exist_ok=True)
    program = WORKER.replace("{end}", end)
    done = subprocess.run([sys.executable, "-c", program, str(home)], capture_output=True, timeout=30, check=False)
    return done.returncode


@pytest.mark.parametrize(
    ("end", "counts"),
    [
        ("ctypes.string_at(0)", True),
        ("os.abort()", True),
        ("os.kill(os.getpid(), signal.SIGBUS)", True),
        ("work.note_stacks(); os._exit(70)", True),  # the watchdog
        ("os.kill(os.getpid(), signal.SIGKILL)", False),  # an operator, a chaos run, a machine that is switched off
        ("os._exit(1)", False),
        ("sys.exit()", False),
        ("work.close()", False),
    ],
)
def test_what_was_in_flight_is_known_after_a_crash_and_nobody_is_blamed_for_a_kill(
    tmp_path: Path, end: str, counts: bool
) -> None:
    ended(tmp_path, end)
    deaths = list(WorkFile(tmp_path, "worker").take_over())
    assert [death.items for death in deaths] == ([IN_FLIGHT] if counts else [])
    assert all("most recent call first" in death.stacks for death in deaths)
    assert list(WorkFile(tmp_path, "worker").take_over()) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_who_lives_is_not_taken_for_dead(tmp_path: Path) -> None:
    code = WORKER.replace("{end}", "print('there', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as alive:
        assert alive.stdout is not None
        alive.stdout.readline()
        assert list(WorkFile(tmp_path, "worker").take_over()) == []
        assert len(list((tmp_path / "work").iterdir())) == 2
        alive.kill()


def test_marking_costs_next_to_nothing(tmp_path: Path) -> None:
    noting = WorkFile(tmp_path, "worker")
    noting.open()
    try:
        begin = time.thread_time()
        for _ in range(20_000):
            with working_on("rule", 12):
                pass
        assert (time.thread_time() - begin) / 20_000 < 20e-6  # see docs/decisions/0012 for what was measured
    finally:
        noting.close()


# --- blame ----------------------------------------------------------------------------------------------------------

ITEMS = {2: Known("the culprit", "1", None, "/things/2/"), 7: Known("a bystander", "1")}


@pytest.fixture
def things(db: None) -> Iterator[dict[int, Known]]:
    items = dict(ITEMS)

    def look_up(ids: Sequence[int]) -> Mapping[int, Known]:
        return {number: items[number] for number in ids if number in items}

    LOOKUPS["thing"] = look_up
    yield items
    del LOOKUPS["thing"]
    work.know(frozenset(), frozenset())
    work.cleared()


CRASH = Death((("thing", "2"), ("thing", "7"), ("pigeon", "1")), "Fatal Python error: Segmentation fault")


def do_well(number: int) -> None:
    with working_on("thing", number):
        pass


def crash(noon: datetime, *minutes: float) -> None:
    """Crash at these minutes; the bystander is worked on well after each."""
    for minute in minutes:
        at = noon + timedelta(minutes=minute)
        blame(CRASH, "worker", at)
        refresh(at)
        do_well(7)
        refresh(at)


def test_at_the_third_crash_the_culprit_is_set_aside_and_the_bystander_goes_on(
    things: dict[int, Known], noon: datetime
) -> None:
    crash(noon, 0, 5)
    do_well(7)
    assert not Alert.objects.exists()
    blame(CRASH, "worker", noon + timedelta(minutes=10))
    refresh(noon)
    do_well(7)
    with pytest.raises(SetAside, match=r"mainstay doctor --release thing:2"):
        do_well(2)
    (told,) = notices.current(noon)
    assert (told.title, told.grave, told.href) == ("The thing the culprit is set aside.", True, "/things/2/")
    assert Entry.objects.filter(kind="process.item_set_aside", subject="thing:2").count() == 1
    alert = Alert.objects.get()
    assert (alert.name, alert.severity, alert.ended_at) == ("the thing the culprit is set aside", "critical", None)


def test_crashes_far_apart_are_not_counted_together(things: dict[int, Known], noon: datetime) -> None:
    crash(noon, 0, 40, 80, 120)
    assert not Suspect.objects.exclude(set_aside_at=None).exists()


def test_who_was_worked_on_well_between_is_no_longer_suspected(things: dict[int, Known], noon: datetime) -> None:
    for minute in (0, 5, 10, 15):
        blame(CRASH, "worker", noon + timedelta(minutes=minute))
        refresh(noon)
        do_well(2)
        do_well(7)
        refresh(noon)
    assert not Suspect.objects.exists()


def test_an_edit_or_a_person_releases_it(things: dict[int, Known], noon: datetime) -> None:
    crash(noon, 0, 5, 10)
    things[2] = Known("the culprit", "2")
    refresh(noon + timedelta(minutes=11))
    do_well(2)
    assert Alert.objects.get().ended_at is not None
    crash(noon, 20, 21, 22)
    with pytest.raises(SetAside):
        do_well(2)
    assert release(("thing", "2"), COMMAND_LINE, "released by a person", noon)
    refresh(noon)
    do_well(2)
    assert not release(("thing", "2"), COMMAND_LINE, "again", noon)
    assert Entry.objects.filter(kind="process.item_released").count() == 2


def test_a_person_releases_it_by_the_command_that_is_shown(
    things: dict[int, Known], noon: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    crash(noon, 0, 5, 10)
    (shown,) = notices.current(noon)
    words = shown.detail.partition("mainstay ")[2].split()
    assert main(words) == 0
    assert capsys.readouterr().out == "thing:2 is worked on again within a few seconds.\n"
    refresh(noon)
    do_well(2)
    assert Entry.objects.get(kind="process.item_released").facts["reason"] == "released by a person"
    assert main(words) == 1
    assert "thing:2 is not set aside" in capsys.readouterr().err


def test_what_is_gone_is_forgotten(things: dict[int, Known], noon: datetime) -> None:
    crash(noon, 0, 5, 10)
    things.clear()
    refresh(noon)
    assert not Suspect.objects.exists()
    assert notices.current(noon) == []


# --- real processes -------------------------------------------------------------------------------------------------

PROGRAM = """
import ctypes, os, signal, sys
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.foundation.processes.setaside import LOOKUPS, Known
from mainstay.foundation.processes.work import SetAside, working_on
LOOKUPS["thing"] = lambda ids: {number: Known(f"thing {number}", "1") for number in ids}
rounds = []

def work(now, process):
    for number in range(5):
        try:
            with working_on("thing", number):
                if number == 3:
                    ctypes.string_at(0)
        except SetAside:
            rounds.append(number)
    if len(rounds) > 3:
        os.kill(os.getpid(), signal.SIGTERM)

runner = Runner("worker", [Cycle("work", 0.05, work)])
runner.stop_on_signals()
runner.start()
runner.wait()
runner.goodbye()
print("went on without", set(rounds))
"""


@pytest.mark.long
def test_an_item_that_crashes_its_process_is_set_aside_at_the_third_death_and_the_others_go_on(tmp_path: Path) -> None:
    ours = ("MAINSTAY_", "DATABASE_URL")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {"DJANGO_SETTINGS_MODULE": "mainstay.settings", "MAINSTAY_HOME": f"{tmp_path}/var"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)],
            env=environ, capture_output=True, text=True, timeout=60, check=False,
        )
        for _ in range(4)
    ]  # fmt: skip
    assert [run.returncode for run in runs] == [-11, -11, -11, 0], runs[-1].stderr
    assert runs[-1].stdout == "went on without {3}\n"
    assert "crashed while it worked on: thing 3" in runs[1].stderr
    with sqlite3.connect(tmp_path / "var" / "mainstay.sqlite3") as database:
        found = database.execute("SELECT kind, item FROM processes_suspect WHERE set_aside_at IS NOT NULL").fetchall()
    database.close()
    assert found == [("thing", "3")]


def test_a_real_rule_check_scrape_and_message_are_known_by_name() -> None:
    assert set(LOOKUPS) >= {"rule", "check", "scrape", "delivery"}
    assert setaside.DEATHS == 3
