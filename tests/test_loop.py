"""The first complete loop, by file and by API alone: described, checked, paged, acknowledged, resolved."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.config.reference import CONTRACT
from tests.parts import Receiver, Target
from tests.program import Program, until

pytestmark = pytest.mark.slow


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program, running, with nothing to watch yet."""
    one = Program(tmp_path / "program")
    one.start()
    yield one
    one.stop()


def follow(program: Program, target: Target, receiver: Receiver) -> None:
    """Take the loop from "up" to "resolved", looking through the API."""

    def storefront() -> dict[str, Any]:
        return next(row for row in program.api("GET", "/checks")["items"] if row["name"] == "storefront")

    def open_alerts() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = program.api("GET", "/alerts?state=open")["items"]
        return rows

    until(lambda: storefront()["status"] == "up", "the storefront is up, checked for real", within_s=15)
    assert not open_alerts()
    target.down = {""}
    alert = until(open_alerts, "an alert is open", within_s=15)[0]
    until(lambda: receiver.pages, "the receiver has the page", within_s=3)
    assert (alert["severity"], receiver.pages[0].status, receiver.pages[0].event) == ("critical", "firing", "trigger")
    assert "500" in receiver.pages[0].body["alerts"][0]["annotations"]["description"]
    told = program.api("GET", f"/alerts/{alert['id']}")
    assert "severity-critical" in str(told), "why it paged"
    program.api("POST", f"/alerts/{alert['id']}/acknowledge", {"note": "on it"})
    until(lambda: [page.event for page in receiver.pages] == ["trigger", "acknowledge"], "the acknowledgement is told")
    target.down = set()
    until(lambda: not open_alerts(), "recovery resolves it", within_s=20)
    until(lambda: receiver.pages[-1].status == "resolved", "the resolution is sent")
    assert len({page.body["alerts"][0]["fingerprint"] for page in receiver.pages}) == 1
    story = [entry["kind"] for entry in program.api("GET", "/journal?limit=200")["items"]]
    for kind in (
        "check.changed",
        "alert.fired",
        "alert.paged",
        "page.delivered",
        "alert.acknowledged",
        "alert.resolved",
    ):
        assert kind in story
    program.command("journal", "verify")


def test_the_loop_by_the_file_of_the_contract(program: Program, parts: tuple[Target, Receiver], tmp_path: Path) -> None:
    target, receiver = parts
    file = tmp_path / "shop.yaml"
    text = CONTRACT.replace("9001", str(target.port)).replace("9999", str(receiver.port))
    file.write_text(text.replace("Shop", "fine"))  # what the target says
    assert "storefront" in program.command("plan", str(file))
    program.command("apply", str(file))
    follow(program, target, receiver)
    again = program.command("plan", str(file), "--json")
    assert '"verb": "add"' not in again
    assert "storefront" in program.command("export")


def test_the_loop_by_the_api_with_a_token_alone(program: Program, parts: tuple[Target, Receiver]) -> None:
    target, receiver = parts
    environment = {"name": "production", "url": f"http://127.0.0.1:{target.port}"}
    program.api("POST", "/applications", {"name": "shop", "tier": "critical", "environments": [environment]})
    program.api("POST", "/channels", {"name": "ops", "webhook": {"url": f"http://127.0.0.1:{receiver.port}/hook"}})
    program.api("POST", "/routes", {"match": {"severity": "critical"}, "notify": ["ops"]})
    check = {
        "application": "shop",
        "name": "storefront",
        "environment": "production",
        "http": {"url": f"http://127.0.0.1:{target.port}/", "expect": {"status": 200, "body_contains": "fine"}},
        "every": "1s",
        "fail_after": 2,
        "recover_after": 2,
        "severity": "critical",
    }
    made = program.api("POST", "/checks", check, Idempotency_Key="once")
    assert program.api("POST", "/checks", check, Idempotency_Key="once") == made
    follow(program, target, receiver)
