"""No page is ever lost: processes are killed at random while checks change, and the receivers are counted.

200 changes of state (20 checks, down and up, five times), web, monitor and worker killed with SIGKILL all the while.
One receiver is always there; another one, of a second route, refuses connections for the first two minutes.
"""

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.parts import Receiver, Target
from tests.program import Program, free_port, until

CHECKS = 20
ROUNDS = 5
AWAY_S = 120.0
DUPLICATES_MOST = 0.02


def configuration(target: Target, receiver: Receiver, absent: Receiver) -> str:
    """Return a file with 20 checks and two channels that both hear of everything."""
    names = [f"check-{number}" for number in range(CHECKS)]
    document = {
        "applications": [
            {
                "name": "crashing",
                "checks": [
                    {
                        "name": name,
                        "http": {"url": f"http://127.0.0.1:{target.port}/{name}"},
                        "every": "1s",
                        "timeout": "2s",
                        "fail_after": 1,
                        "recover_after": 1,
                        "severity": "critical",
                    }
                    for name in names
                ],
            }
        ],
        "channels": [
            {"name": "there", "webhook": {"url": f"http://127.0.0.1:{receiver.port}/hook"}},
            {"name": "away", "webhook": {"url": f"http://127.0.0.1:{absent.port}/hook"}},
        ],
        "routes": [{"name": "all", "match": {}, "notify": ["there", "away"]}],
    }
    return yaml.safe_dump(document)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_no_page_is_lost_while_processes_are_killed_at_random(tmp_path: Path) -> None:
    target, receiver, absent = Target(), Receiver(), Receiver(port=free_port())
    target.start()
    receiver.start()
    file = tmp_path / "crash.yaml"
    file.write_text(configuration(target, receiver, absent))
    program = Program(tmp_path / "program")
    chance = random.Random(20260301)
    stop = threading.Event()
    killed: Counter[str] = Counter()

    def kill_now_and_then() -> None:
        while not stop.wait(chance.uniform(0.3, 1.6)):
            role = chance.choice(["web", "monitor", "worker"])
            killed[role] += program.kill(role)

    try:
        program.start("--apply", str(file))
        begin = time.monotonic()
        names = {f"check-{number}" for number in range(CHECKS)}
        until(lambda: _up(program) == names, "all checks are up", within_s=30)
        killer = threading.Thread(target=kill_now_and_then, daemon=True)
        killer.start()
        for round_number in range(ROUNDS):
            target.down = set(names)
            until(lambda: not _up(program), f"round {round_number}: all are down", within_s=60, every_s=0.3)
            target.down = set()
            until(lambda: _up(program) == names, f"round {round_number}: all are up", within_s=60, every_s=0.3)
        stop.set()
        killer.join()
        expected = ROUNDS * CHECKS
        until(lambda: _over(receiver) == expected, "every page and resolution has arrived", within_s=60)
        assert not absent.pages
        time.sleep(max(0.0, AWAY_S - (time.monotonic() - begin)))
        absent.start()
        until(lambda: _over(absent) == expected, "what was owed to the absent receiver arrives", within_s=100)
        sent = len(receiver.pages)
        twice = sent - len({page.key for page in receiver.pages})
        print(f"\nkilled {dict(killed)}; {sent} messages, {twice} of them twice ({twice / sent:.2%})")
        assert sum(killed.values()) >= 10
        assert twice < DUPLICATES_MOST * 2 * expected
        for there in (receiver, absent):
            bodies: dict[str, str] = {}
            for page in there.pages:  # what is sent twice has the same key and says the same
                assert bodies.setdefault(page.key, str(page.body)) == str(page.body)
            assert len(bodies) <= 2 * expected
            for statuses in _heard(there).values():  # a resolution never overtakes the page of its alert
                assert sorted(statuses) == statuses
        program.command("journal", "verify")
    finally:
        stop.set()
        program.stop()
        target.stop()
        receiver.stop()
        absent.stop()


def _up(program: Program) -> set[str]:
    """Ask the database itself: the web process may be dead at this moment."""
    import sqlite3

    with sqlite3.connect(program.home / "var" / "mainstay.sqlite3", timeout=20) as database:
        rows = database.execute(
            "SELECT c.name FROM checks_check c JOIN checks_checkstate s ON s.check_ref_id = c.id WHERE s.health = 'up'"
        ).fetchall()
    database.close()
    return {row[0] for row in rows}


def _heard(receiver: Receiver) -> dict[str, list[str]]:
    """Alert → its states as they arrived. One message may tell of many; no storm here is too large for its body."""
    found: dict[str, list[str]] = {}
    for page in list(receiver.pages):
        assert not page.body["truncatedAlerts"]
        for alert in page.body["alerts"]:
            found.setdefault(alert["generatorURL"], []).append(alert["status"])
    return found


def _over(receiver: Receiver) -> int:
    """Of how many alerts the receiver knows that they fired and are over (or that they were over before)."""
    return sum("resolved" in statuses for statuses in _heard(receiver).values())
