"""`GET /metrics`: Mainstay's own figures, and who may read them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from mainstay.desk import selfmetrics
from mainstay.desk.tests.desk import caller, desk
from mainstay.foundation.accounts.actions import create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import seal_once
from mainstay.foundation.processes.models import Process
from mainstay.foundation.secrets import inner_token, scrape_token
from mainstay.observe.checks.models import Ping
from mainstay.respond.alerts.actions import acknowledge
from mainstay.respond.delivery import status as delivery
from mainstay.respond.delivery.models import Attempt, Delivery

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test's database held is not counted here."""
    monkeypatch.setattr(delivery, "_attempts", delivery._Attempts())


def figures(at: datetime | None = None) -> dict[tuple[str, ...], float]:
    """Every sample, by name and the values of its labels, in the reverse order of their names."""
    text = selfmetrics.text(at or now()).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items(), reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_checks_alerts_deliveries_journal_and_pings_are_counted() -> None:
    found = desk()
    seen = figures()
    assert seen["mainstay_checks", "down"] == 1
    assert seen["mainstay_checks", "unknown"] == 1
    assert seen["mainstay_checks", "up"] == 0
    assert seen["mainstay_alerts_open", "critical", "false"] == 1
    assert seen["mainstay_deliveries_waiting", "ops"] == 1
    assert seen["mainstay_journal_entries_unsealed",] == Entry.objects.count()
    assert seen["mainstay_pings_unhandled",] == 1
    acknowledge(found.alert, COMMAND_LINE, now())
    seal_once(now())
    Ping.objects.update(handled=True)
    seen = figures()
    assert seen["mainstay_alerts_open", "critical", "true"] == 1
    assert seen["mainstay_alerts_open", "critical", "false"] == 0
    assert seen["mainstay_journal_entries_unsealed",] == seen["mainstay_pings_unhandled",] == 0


def test_the_age_of_the_oldest_waiting_message_is_told() -> None:
    found, at = desk(), now()
    Delivery.objects.filter(pk=found.delivery.pk).update(created_at=at - timedelta(seconds=90), status="sending")
    assert figures(at)["mainstay_delivery_oldest_waiting_seconds", "ops"] == pytest.approx(90)
    Delivery.objects.update(status="delivered")
    assert ("mainstay_deliveries_waiting", "ops") not in figures(at)


def test_the_lag_of_processes_is_told_and_a_missing_one_has_none() -> None:
    at = now()
    Process.objects.create(role="monitor", host="a", pid=1, boot="", started_at=at, beat_at=at, lag_s=3.5)
    seen = figures(at)
    assert seen["mainstay_process_lag_seconds", "monitor"] == 3.5
    assert seen["mainstay_processes", "monitor"] == 1
    assert seen["mainstay_processes", "worker"] == 0
    assert ("mainstay_process_lag_seconds", "worker") not in seen


def test_attempts_are_counted_once_however_often_they_are_read(django_assert_num_queries: Any) -> None:
    found, at = desk(), now()

    def attempt(outcome: str, when: datetime) -> None:
        Attempt.objects.create(delivery=found.delivery, at=when, duration_s=0.1, outcome=outcome)

    def counted() -> list[float]:
        seen = figures(at)
        return [seen.get(("mainstay_delivery_attempts_total", outcome, "ops"), 0) for outcome in ("retry", "delivered")]

    attempt("retry", at - timedelta(hours=1))
    attempt("retry", at - timedelta(seconds=1))
    assert [counted(), counted()] == [[2, 0], [2, 0]]
    attempt("delivered", at)
    assert counted() == [2, 1]
    later = at + timedelta(hours=1)
    seen = figures(later)
    assert seen["mainstay_delivery_attempts_total", "retry", "ops"] == 2
    Attempt.objects.all().delete()
    assert counted() == [2, 1], "a counter never goes down"


@pytest.mark.fault("D17")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-Forwarded-For": "127.0.0.1"}])
def test_wherever_a_scraper_is_it_needs_a_token(headers: dict[str, str]) -> None:
    for at in ("127.0.0.1", "::1", "192.0.2.7"):
        answer = Client(REMOTE_ADDR=at).get("/metrics", headers=headers)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_our_own_monitor_scrapes_by_a_token_that_opens_nothing_else() -> None:
    own = {"Authorization": f"Bearer {scrape_token(settings.SECRET_KEY)}"}
    answer = Client().get("/metrics", headers=own)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert Client().get("/api/v1/checks", headers=own).status_code == 401
    inner = {"Authorization": f"Bearer {inner_token(settings.SECRET_KEY)}"}
    assert Client().get("/metrics", headers=inner).status_code == 401


def test_a_token_or_session_that_may_see_operations_is_needed() -> None:
    assert Client().get("/metrics").status_code == 401
    for role, status in ((Role.SUPPORT, 200), (Role.STAKEHOLDER, 403)):
        headers = {"Authorization": f"Bearer {caller(role).token}"}
        assert Client().get("/metrics", headers=headers).status_code == status
        browser = Client()
        browser.force_login(create_user(f"{role}@example.com", role, "", COMMAND_LINE, now()))
        assert browser.get("/metrics").status_code == status


def test_a_database_that_is_away_is_a_503() -> None:
    def away(*_: object) -> None:
        raise OperationalError("away")

    own = {"Authorization": f"Bearer {scrape_token(settings.SECRET_KEY)}"}
    with connection.execute_wrapper(away):
        assert Client().get("/metrics", headers=own).status_code == 503
    assert Client().post("/metrics").status_code == 405
