"""`/prometheus/api/v1/rules` and `/alerts`: what Grafana's alert list and others read."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from mainstay.foundation.accounts.actions import create_token
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor
from mainstay.foundation.accounts.permissions import Role
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine.state import Instance as Plain
from mainstay.respond.rules.engine.state import State, fingerprint
from mainstay.respond.rules.models import Instance, Rule, RuleState
from mainstay.respond.rules.prometheus import scientific
from mainstay.respond.rules.spec import RuleGroupSpec

pytestmark = pytest.mark.django_db
NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
GROUP = {
    "name": "shop",
    "interval": "30s",
    "rules": [
        {"alert": "ErrorRate", "expr": "errors > 0.05", "for": "5m", "labels": {"severity": "critical"}},
        {"record": "job:errors", "expr": "sum by (job) (errors)"},
    ],
}


def asked(path: str, late: timedelta = timedelta(seconds=20), /, **given: str) -> Any:
    with time_machine.travel(NOON + late, tick=False):
        token = create_token(f"grafana {late}", Role.SUPPORT, COMMAND_LINE, NOON + timedelta(days=36500))[1]
        answer = Client().get(f"/prometheus/api/v1/{path}", given, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


@pytest.fixture
def firing(me: Actor) -> Rule:
    actions.put_group(RuleGroupSpec.model_validate(GROUP), me, NOON, by_file="shop.rules.yml")
    rule = Rule.objects.get(name="ErrorRate")
    at_ms = round(NOON.timestamp() * 1000)
    labels = {"alertname": "ErrorRate", "job": "shop", "severity": "critical"}
    kept = Plain(labels, {"summary": "many errors"}, State.FIRING, 0.08, at_ms, at_ms).document()
    Instance.objects.create(rule=rule, fingerprint=fingerprint(labels), state="firing", kept=kept, changed_at=NOON)
    RuleState.objects.filter(rule=rule).update(health="ok", evaluated_at=NOON, duration_s=0.25, results=1)
    RuleState.objects.filter(rule__alerts=False).update(health="err", reason="many-to-many", evaluated_at=NOON)
    return rule


ALERT = {
    "labels": {"alertname": "ErrorRate", "job": "shop", "severity": "critical"},
    "annotations": {"summary": "many errors"},
    "state": "firing",
    "activeAt": "2026-03-02T12:00:00Z",
    "value": "8e-02",
}


def test_rules_are_told_as_prometheus_tells_them(firing: Rule) -> None:
    (group,) = asked("rules")["groups"]
    assert {name: group[name] for name in group if name != "rules"} == {
        "name": "shop", "file": "shop.rules.yml", "interval": 30.0, "limit": 0, "evaluationTime": 0.25,
        "lastEvaluation": "2026-03-02T12:00:00Z",
    }  # fmt: skip
    alerting, recording = group["rules"]
    assert alerting == {
        "state": "firing", "name": "ErrorRate", "query": "errors > 0.05", "duration": 300.0, "keepFiringFor": 0.0,
        "labels": {"severity": "critical"}, "annotations": {}, "alerts": [ALERT], "health": "ok",
        "evaluationTime": 0.25, "lastEvaluation": "2026-03-02T12:00:00Z", "type": "alerting",
    }  # fmt: skip
    assert (recording["type"], recording["health"], recording["lastError"]) == ("recording", "err", "many-to-many")
    assert "alerts" not in recording
    alerting = asked("rules", timedelta(minutes=10))["groups"][0]["rules"][0]
    assert (alerting["state"], alerting["health"]) == ("firing", "unknown")
    assert alerting["lastError"] == "Not evaluated since 2026-03-02 12:00 UTC; does the monitor run?"


def test_rules_are_narrowed_by_type_name_group_and_file(firing: Rule) -> None:
    def names(**given: str) -> list[str]:
        return [rule["name"] for group in asked("rules", **given)["groups"] for rule in group["rules"]]

    assert names(type="alert") == ["ErrorRate"]
    assert names(type="record") == ["job:errors"]
    assert names(**{"rule_name[]": "job:errors"}) == ["job:errors"]
    assert names(**{"rule_group[]": "other"}) == []
    assert names(**{"file[]": "shop.rules.yml"}) == ["ErrorRate", "job:errors"]


def test_what_is_pending_or_firing_is_listed(firing: Rule) -> None:
    assert asked("alerts") == {"alerts": [ALERT]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.08, "8e-02"), (1.0, "1e+00"), (0.0, "0e+00"), (-12.5, "-1.25e+01"), (1e21, "1e+21"),
        (123456.0, "1.23456e+05"), (2.5e-9, "2.5e-09"), (100.0, "1e+02"), (float("nan"), "NaN"),
        (float("-inf"), "-Inf"),
    ],
)  # fmt: skip
def test_values_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert scientific(value) == text
