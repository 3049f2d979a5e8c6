"""The real program, whose clock is set while it runs: nobody is paged for it, and it is said."""

import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clockshift.shift import shift
from tests.parts import Receiver
from tests.program import ROOT, Program, until

HEARTBEATS = 5
KEYS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(HEARTBEATS)]


def configuration(receiver: Receiver) -> str:
    """Heartbeats that report every two seconds, with a grace of four."""
    checks: list[dict[str, Any]] = [
        {"name": f"job-{number}", "heartbeat": {"every": "2s", "grace": "4s", "key": key}, "severity": "critical"}
        for number, key in enumerate(KEYS)
    ]
    return yaml.safe_dump(
        {
            "applications": [{"name": "jobs", "checks": checks}],
            "channels": [{"name": "ops", "webhook": {"url": f"http://127.0.0.1:{receiver.port}/hook"}}],
            "routes": [{"name": "all", "match": {}, "notify": ["ops"]}],
        }
    )


@pytest.mark.fault("R6")
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_clock_that_is_set_forth_and_back_pages_for_none_and_hides_none(tmp_path: Path) -> None:
    receiver, file, shifted = Receiver(), tmp_path / "jobs.yaml", tmp_path / "shift"
    receiver.start()
    file.write_text(configuration(receiver))
    shift(shifted, 0.0)
    extra = {"CLOCKSHIFT_FILE": str(shifted), "PYTHONPATH": str(ROOT / "tests" / "clockshift")}
    program = Program(tmp_path / "program", extra=extra)
    stop, pinged = threading.Event(), set(KEYS)

    def ping() -> None:
        while not stop.wait(0.5):
            for key in sorted(pinged):
                try:
                    urllib.request.urlopen(f"{program.url}/ping/{key}", timeout=5).close()
                except OSError:
                    continue

    def states() -> set[str]:
        return {check["status"] for check in program.api("GET", "/checks")["items"]}

    pinger = threading.Thread(target=ping, daemon=True)
    try:
        program.start("--apply", str(file))
        pinger.start()
        until(lambda: states() == {"up"}, "all have reported")
        for seconds in (3600.0, 0.0, -3600.0, 0.0):
            shift(shifted, seconds)
            for _ in range(4):
                time.sleep(2.0)
                assert states() == {"up"}, f"at {seconds:g} s\n{program.log}"
        assert receiver.pages == []
        shift(shifted, -3600.0)
        pinged.remove(KEYS[0])
        until(lambda: receiver.pages, "the one that is gone pages", within_s=25)
        assert {page.body["commonLabels"]["check"] for page in receiver.pages} == {"job-0"}
        told = program.command("journal", "show", "--since", "24h")
        assert "was set forward by 1 h, to" in told
        assert "was set back by 1 h, to" in told
        assert "The clock was set back by 1 h: warning" in program.command("status", status=None)
    finally:
        stop.set()
        program.stop()
        receiver.stop()
