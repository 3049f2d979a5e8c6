"""Commands: real processes, their ends, their output and what they inherit."""

import time
from pathlib import Path

import pytest

from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.probe.outcome import Health


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


@pytest.mark.parametrize(
    ("script", "health", "message"),
    [
        ("echo fine; exit 0", Health.UP, ""),
        ("echo 'DISK WARNING - 12 % free | /=88%;80;90'; exit 1", Health.DEGRADED, "DISK WARNING - 12 % free"),
        ("echo 'DISK CRITICAL'; echo more; exit 2", Health.DOWN, "DISK CRITICAL"),
        ("echo >&2 'no such disk'; exit 3", Health.DOWN, "no such disk"),
        ("exit 7", Health.DOWN, "/bin/sh ended with status 7 and said nothing."),
        ("kill -9 $$", Health.DOWN, "/bin/sh was ended by signal 9 and said nothing."),
        ("printf '\\377\\000broken'; exit 2", Health.DOWN, "\ufffd broken"),
    ],
)
def test_the_exit_status_is_the_verdict(probe: Probe, script: str, health: Health, message: str) -> None:
    outcome = probe("command", {"command": shell(script)}, commands_allowed=True)
    assert (outcome.health, outcome.message) == (health, message)


def test_commands_are_off_unless_allowed(probe: Probe, tmp_path: Path) -> None:
    outcome = probe("command", {"command": ["/usr/bin/touch", str(tmp_path / "ran")]})
    assert outcome.health is Health.DOWN
    assert "was not run: programs are not run here: to allow it, set MAINSTAY_COMMANDS=on" in outcome.message
    assert not (tmp_path / "ran").exists()


@pytest.mark.timing
def test_the_whole_process_group_is_ended_at_the_timeout(probe: Probe, tmp_path: Path) -> None:
    script = f"(trap '' TERM; sleep 30 & echo $! > {tmp_path}/child; wait) & trap '' TERM; wait"
    outcome = probe("command", {"command": shell(script)}, timeout_s=0.5, commands_allowed=True)
    assert outcome.health is Health.DOWN
    assert "did not end within 500 ms" in outcome.message
    assert outcome.duration_s < 1
    child = int((tmp_path / "child").read_text())
    deadline = time.perf_counter() + 2
    while _alive(child) and time.perf_counter() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_flood_of_output_is_bounded_and_harmless(probe: Probe) -> None:
    settings = {"command": shell("head -c 20000000 /dev/zero | tr '\\0' x; exit 1")}
    outcome = probe("command", settings, commands_allowed=True)
    assert outcome.health is Health.DEGRADED
    assert len(str(outcome.facts["output"])) <= 2000


def test_the_environment_is_clean(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "s3cret")
    settings = {"command": ["/usr/bin/env"], "environment": {"A": "1"}, "secret_environment": {"B": "2"}}
    output = str(probe("command", settings, commands_allowed=True).facts["output"])
    assert "DATABASE_URL" not in output
    assert {"A=1", "B=2"} <= set(output.splitlines())


def test_conditions_and_latency_of_a_command(probe: Probe) -> None:
    odd = {"command": shell("echo 5; exit 4"), "conditions": ["[STATUS] == 4", "[BODY] > 4"]}
    assert probe("command", odd, commands_allowed=True).health is Health.UP
    slow = {"command": shell("sleep 0.1"), "warn": {"max_latency": "50ms"}}
    assert probe("command", slow, commands_allowed=True).health is Health.DEGRADED


@pytest.mark.parametrize("command", [["/nonexistent/program"], ["/etc/passwd"]])
def test_a_program_that_can_not_be_started_is_down(probe: Probe, command: list[str]) -> None:
    outcome = probe("command", {"command": command}, commands_allowed=True)
    assert "could not be started" in outcome.message
