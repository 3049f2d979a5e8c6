"""`mainstay status`: 0 when nothing is wrong, 1 when something is, and what."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.cli import main
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.processes.models import Process
from mainstay.observe.checks.actions import pause, put_check
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.spec import CheckSpec
from mainstay.respond.alerts.actions import acknowledge, fire
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.delivery.actions import put_channel, send_test
from mainstay.respond.delivery.models import Delivery
from mainstay.respond.delivery.spec import ChannelSpec

pytestmark = pytest.mark.django_db
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def running(now: datetime) -> None:
    for role in ("web", "monitor", "worker"):
        Process.objects.create(role=role, host="h", pid=1, boot="", started_at=now, beat_at=now)


@pytest.fixture
def check(me: Actor, now: datetime) -> Check:
    application = put_application(ApplicationSpec(name="shop"), me, now)
    spec = CheckSpec.model_validate({"name": "web", "tcp": {"host": "127.0.0.1", "port": 1}, "severity": "critical"})
    row = put_check(application, spec, me, now)
    CheckState.objects.filter(pk=row.pk).update(health="up", last_at=now)
    return row


def told(capsys: Captured, status: int) -> str:
    assert main(["status"]) == status
    return capsys.readouterr().out


@pytest.mark.usefixtures("running", "check")
def test_all_is_well_when_all_is_well(capsys: Captured) -> None:
    assert told(capsys, 0).splitlines()[-1] == "All is well."


def test_a_role_without_a_process_is_wrong(capsys: Captured) -> None:
    assert "  ✗ worker: missing. no sign of life; if Mainstay does not run, start it: mainstay up" in told(capsys, 1)


@pytest.mark.usefixtures("running")
def test_a_check_that_is_down_is_wrong_and_says_why(check: Check, now: datetime, capsys: Captured) -> None:
    CheckState.objects.filter(pk=check.pk).update(health="down", since=now, message="connection refused")
    out = told(capsys, 1)
    assert f"  ✗ shop/web: down, since {now:%Y-%m-%d %H:%M:%S}Z. connection refused\n" in out
    assert out.splitlines()[-1] == "Something is wrong."


@pytest.mark.usefixtures("running")
def test_a_check_that_nobody_looks_at_is_wrong(check: Check, now: datetime, capsys: Captured) -> None:
    CheckState.objects.filter(pk=check.pk).update(last_at=now - timedelta(hours=1))
    assert "shop/web: unknown. overdue: no result when one was due" in told(capsys, 1)


@pytest.mark.usefixtures("running")
def test_a_pause_and_a_first_result_still_to_come_are_told_but_not_wrong(
    check: Check, me: Actor, now: datetime, capsys: Captured
) -> None:
    CheckState.objects.filter(pk=check.pk).update(health="unknown", last_at=None)
    assert "  – shop/web: unknown. no result yet\n" in told(capsys, 0)
    pause(check, me, now, paused=True)
    assert "  – shop/web: paused" in told(capsys, 0)


@pytest.mark.usefixtures("running")
def test_an_open_alert_is_wrong_also_when_somebody_has_it(
    check: Check, me: Actor, now: datetime, capsys: Captured
) -> None:
    alert = fire(of_check(check, "critical", "shop/web is down", "refused"), now)
    assert "✗ shop/web is down: critical, since" in told(capsys, 1)
    acknowledge(alert, me, now)
    assert "command line has it" in told(capsys, 1)


@pytest.mark.usefixtures("running")
def test_a_message_that_waits_too_long_or_failed_is_wrong(me: Actor, now: datetime, capsys: Captured) -> None:
    spec = ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1/"}})
    send_test(put_channel(spec, me, now), me, now)
    assert "ops" not in told(capsys, 0)  # just owed: the worker sends it in a moment
    Delivery.objects.update(attempts=2, answer="connection refused")
    assert "  ✗ ops: 1 waiting, since" in told(capsys, 1)
    Delivery.objects.update(attempts=0, answer="", created_at=now - timedelta(minutes=1))
    assert "not sent yet" in told(capsys, 1)


@pytest.mark.usefixtures("running")
def test_json_tells_the_same_to_programs(check: Check, now: datetime, capsys: Captured) -> None:
    CheckState.objects.filter(pk=check.pk).update(health="degraded", since=now, message="slow")
    assert main(["status", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "wrong"
    assert document["checks"] == [
        {"name": "shop/web", "state": "degraded", "detail": "slow", "since": f"{now:%Y-%m-%d %H:%M:%S}Z", "wrong": True}
    ]
    assert {process["state"] for process in document["processes"]} == {"ok"}
    assert (document["alerts"], document["deliveries"]) == ([], [])


@pytest.mark.usefixtures("running")
def test_of_many_alerts_the_gravest_comes_first_and_one_that_follows_from_another_last(
    check: Check, now: datetime, capsys: Captured
) -> None:
    for number, (severity, decision) in enumerate([("critical", "unreachable"), ("critical", ""), ("minor", "")]):
        Alert.objects.create(
            source=f"test:{number}", name=f"{severity}{decision}", severity=severity, started_at=now, decision=decision
        )
    lines = [line.split()[1] for line in told(capsys, 1).partition("Alerts\n")[2].splitlines()[:3]]
    assert lines == ["critical:", "minor:", "criticalunreachable:"]


@pytest.mark.usefixtures("running", "check")
def test_a_notice_is_told_whole_for_it_ends_with_what_to_do(now: datetime, capsys: Captured) -> None:
    notice = {"code": "x", "title": "The clock was set.", "grave": False, "since": now.isoformat()}
    Process.objects.filter(role="worker").update(
        detail={"notices": [notice | {"detail": "word " * 60 + "Set the clock."}]}
    )
    out = told(capsys, 0)
    assert "– The clock was set: warning, since" in out
    assert "Set the clock.\n" in out
    assert out.splitlines()[-1] == "Nothing is wrong, but see the notices."
