"""The whole program when parts of it hang for good: each is ended and started anew; who is only stopped goes on."""

import os
import signal
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from mainstay.foundation.processes import supervise, watchdog
from tests.program import Program, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# Loaded by every process as it starts: a signal makes its main thread hang, as a defect in a library would.
HANGS = """
import ctypes, signal, time
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))
signal.signal(signal.SIGUSR2, lambda *_: ctypes.PyDLL(None).sleep(3600))  # and no other thread of it runs meanwhile
"""


def test_what_hangs_is_ended_even_if_it_holds_the_interpreter_and_what_is_stopped_is_not(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    program = Program(tmp_path / "program", extra={"PYTHONPATH": str(tmp_path)})
    try:
        program.start()
        until(lambda: "keeping metrics" in program.log, "the monitor has begun")
        before = program.children()
        os.kill(before["web"], signal.SIGUSR1)
        os.kill(before["monitor"], signal.SIGUSR2)
        os.kill(before["worker"], signal.SIGSTOP)
        until(
            lambda: f"web ended with status {watchdog.STATUS}" in program.log,
            "the loop of the web process is missed",
            within_s=watchdog.PATIENCE_S + 30,
        )
        assert "a loop beside the cycles hangs" in program.log
        until(
            lambda: "monitor was killed by signal 6" in program.log,
            "the supervisor misses the monitor",
            within_s=supervise.SILENT_MOST_S - watchdog.PATIENCE_S + 30,
        )
        assert "monitor hangs: nothing in it has moved for 90 s; ending it" in program.log
        until(lambda: "the monitor process before this one crashed" in program.log, "its stacks are told")
        assert program.children()["worker"] == before["worker"]
        os.kill(before["worker"], signal.SIGCONT)
        until(program.healthy, "healthy again")
        assert program.children()["worker"] == before["worker"]
        program.command("journal", "verify")
    finally:
        program.stop()


KEY = "7d1f4c52-1b0f-4a6e-9d0c-5f3f2f6f1a22"
JOB = {"name": "job", "heartbeat": {"every": "5s", "grace": "8s", "key": KEY}}


def pinged(program: Program, seconds: float) -> None:
    """Report to the heartbeat every second, as far as that is taken."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        try:
            urllib.request.urlopen(f"{program.url}/ping/{KEY}", timeout=1).close()
        except OSError:
            pass
        time.sleep(1)


def test_no_heartbeat_is_missed_while_the_web_process_is_stopped_and_cannot_take_it(tmp_path: Path) -> None:
    program = Program(tmp_path / "program")
    file = tmp_path / "file.yaml"
    file.write_text(yaml.safe_dump({"applications": [{"name": "shop", "checks": [JOB]}]}))

    def states() -> list[str]:
        return [entry["facts"]["health"] for entry in program.api("GET", "/journal?kind=check.changed")["items"]]

    try:
        program.start("--apply", str(file))
        pinged(program, 3)
        until(lambda: states() == ["up"], "the heartbeat is up")
        web = program.children()["web"]
        os.kill(web, signal.SIGSTOP)
        pinged(program, 30)
        os.kill(web, signal.SIGCONT)
        pinged(program, 12)
        assert states() == ["up"]
        assert "No pings were taken for " in program.log
        assert program.children()["web"] == web
        until(lambda: "down" in states(), "a job that is really gone is noticed")
    finally:
        program.stop()
