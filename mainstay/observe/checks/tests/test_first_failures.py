"""A check whose only results are bad, and too few to decide: nowhere is it fine, without a result, or 100 %."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.test import Client

from mainstay.desk.tests.browser import page, signed_in
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.clock import now
from mainstay.foundation.processes.models import Process
from mainstay.observe.checks import actions
from mainstay.observe.checks.decide import Health, failing
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.runtime.watched import Observation
from mainstay.observe.checks.tests.parts import check, see, watch

pytestmark = [pytest.mark.django_db, pytest.mark.fault("C13")]
REFUSED = "no connection to 127.0.0.1 port 9: the connection was refused."


@pytest.fixture
def client() -> Client:
    return signed_in()


def observed(health: Health = Health.DOWN, results: int = 1, **given: Any) -> Check:
    """A check with its first results, the last one just now."""
    row = check(fail_after=3, **given)
    CheckState.objects.filter(pk=row.pk).update(since=now() - timedelta(minutes=results))
    held = watch(row)
    for number in range(results, 0, -1):
        see(held, Observation(row.pk, now() - timedelta(minutes=number - 1), health, 0.01, message=REFUSED))
    return Check.objects.get(pk=row.pk)


@pytest.mark.parametrize(
    ("health", "failures", "warnings", "says"),
    [
        (Health.UNKNOWN, 0, 0, ""),
        (Health.UNKNOWN, 1, 1, "failing (1 of 3)"),
        (Health.UNKNOWN, 2, 2, "failing (2 of 3)"),
        (Health.UNKNOWN, 0, 2, "beyond a soft limit (2 of 3)"),
        (Health.UP, 2, 2, ""),
        (Health.DOWN, 3, 3, ""),
        (Health.DEGRADED, 0, 3, ""),
    ],
)
def test_only_who_was_never_fine_is_failing(health: Health, failures: int, warnings: int, says: str) -> None:
    assert failing(health, failures, warnings, 3) == says


def test_its_page_says_that_it_fails_and_its_uptime_is_not_whole(client: Client) -> None:
    row = observed(results=2)
    text = page(client, f"/checks/{row.pk}/")
    assert "failing (2 of 3)" in text
    assert "the connection was refused" in text
    assert "no recent result" not in text
    assert "90 days, 0 % up, 1 day with downtime" in text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("health", [Health.DOWN, Health.DEGRADED])
def test_now_does_not_say_that_all_is_well(client: Client, health: Health) -> None:
    for role in ("web", "monitor", "worker"):
        Process.objects.create(role=role, host="here", pid=1, boot="", started_at=now(), beat_at=now())
    observed(health)
    text = page(client, "/")
    assert "Nothing is wrong" not in text
    assert "all is well" not in text
    assert "shop / front is not up." in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "1 degraded" in text
    assert "without a result" not in text


def test_lists_and_the_application_know_it(client: Client) -> None:
    observed()
    assert "front" in page(client, "/checks/", 200, status="degraded")
    assert "front" not in page(client, "/checks/", 200, status="unknown")
    assert "is degraded" in page(client, "/applications/shop/")


def test_the_api_and_the_command_tell_it(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    row = observed()
    answer = orjson.loads(client.get(f"/api/v1/checks/{row.pk}").content)
    assert answer["status"] == "degraded"
    assert answer["reason"] == f"failing (1 of 3): {REFUSED}"


def test_only_what_was_measured_counts(client: Client) -> None:
    for name in ("a", "b", "c", "d"):
        observed(name=name)
    text = page(client, "/applications/shop/")
    assert "90 days, 0 % up, 1 day with downtime" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_after_a_pause_it_fails_since_the_first_result_then(client: Client, me: Actor) -> None:
    row = check(fail_after=3)
    CheckState.objects.filter(pk=row.pk).update(first_at=now() - timedelta(days=3))
    actions.pause(row, me, now() - timedelta(minutes=4), paused=True)
    actions.pause(row, me, now() - timedelta(minutes=3), paused=False)
    row = Check.objects.get(pk=row.pk)
    see(watch(row), Observation(row.pk, now(), Health.DOWN, 0.01, message=REFUSED))
    text = page(client, f"/checks/{row.pk}/")
    assert "failing (1 of 3)" in text
