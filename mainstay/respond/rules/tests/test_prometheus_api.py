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


def asked(path: str, late: timedelta = timedelta(seconds=20), /, **given: str | list[str]) -> Any:
    answer = answered(path, late, **given)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def answered(path: str, late: timedelta = timedelta(seconds=20), /, **given: str | list[str]) -> Any:
    with time_machine.travel(NOON + late, tick=False):
        token = create_token(f"grafana {late}", Role.SUPPORT, COMMAND_LINE, NOON + timedelta(days=36500))[1]
        return Client().get(f"/prometheus/api/v1/{path}", given, headers={"Authorization": f"Bearer {token}"})


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


@pytest.mark.fault("M17")
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"match[]": '{severity="critical"}'}, ["ErrorRate"]),
        ({"match[]": '{severity=~"crit.*"}'}, ["ErrorRate"]),
        ({"match[]": '{severity="warning"}'}, []),
        ({"match[]": '{severity!="warning", severity=~".+"}'}, ["ErrorRate"]),
        ({"match[]": ['{severity="warning"}', '{severity="critical"}']}, ["ErrorRate"]),
        ({"match[]": '{severity="critical"}', "type": "record"}, []),
        ({"type": "ALERT"}, ["ErrorRate"]),
        ({"type": "record"}, ["job:errors"]),
        ({"rule_name[]": ["job:errors", "ErrorRate"]}, ["ErrorRate", "job:errors"]),
        ({"rule_group[]": ["other", "shop"]}, ["ErrorRate", "job:errors"]),
        ({"file[]": "other.yml"}, []),
        ({"group_limit": "5"}, ["ErrorRate", "job:errors"]),
    ],
)
def test_every_parameter_of_rules_counts(given: dict[str, str | list[str]], names: list[str], firing: Rule) -> None:
    assert [rule["name"] for group in asked("rules", **given)["groups"] for rule in group["rules"]] == names


@pytest.mark.fault("M17")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"type": "bogus"}, "invalid parameter type"),
        ({"exclude_alerts": "maybe"}, "invalid parameter exclude_alerts"),
        ({"match[]": "sum(up)"}, "invalid parameter match[]"),
        ({"match[]": "{}"}, "invalid parameter match[]"),
        ({"match[]": '{severity=~".*"}'}, "invalid parameter match[]"),
        ({"group_limit": "0"}, "invalid parameter group_limit"),
        ({"group_limit": "-1"}, "invalid parameter group_limit"),
        ({"group_limit": "all"}, "invalid parameter group_limit"),
        ({"group_next_token": "abc"}, "it needs group_limit"),
        ({"group_limit": "1", "group_next_token": "abc"}, "were rule groups changed?"),
    ],
)
def test_a_parameter_of_rules_that_cannot_be_read_is_refused(given: dict[str, str], told: str, firing: Rule) -> None:
    answer = answered("rules", **given)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    assert told in answer.json()["error"]


@pytest.mark.fault("M17")
@pytest.mark.parametrize(("given", "count"), [("true", 0), ("1", 0), ("T", 0), ("false", 1), ("0", 1), ("", 1)])
def test_alerts_of_rules_can_be_left_out(given: str, count: int, firing: Rule) -> None:
    (rule,) = asked("rules", exclude_alerts=given, type="alert")["groups"][0]["rules"]
    assert (len(rule["alerts"]), rule["state"]) == (count, "firing")


@pytest.mark.fault("M17")
def test_groups_come_in_pages(firing: Rule, me: Actor) -> None:
    for name in ("bread", "tea"):
        rules = [{"record": f"{name}:up", "expr": "up"}]
        actions.put_group(RuleGroupSpec.model_validate({"name": name, "rules": rules}), me, NOON)
    pages, given = [], {"group_limit": "1"}
    for _ in range(3):
        found = asked("rules", **given)
        pages.append([group["name"] for group in found["groups"]])
        if "groupNextToken" not in found:
            break
        given["group_next_token"] = found["groupNextToken"]
    assert pages == [["bread"], ["shop"], ["tea"]]
    assert len(found["groups"]) == 1
    assert "groupNextToken" not in found
    narrowed = asked("rules", group_limit="1", type="alert")
    assert [group["name"] for group in narrowed["groups"]] == ["shop"]
    assert "groupNextToken" not in narrowed


@pytest.mark.fault("M17")
def test_a_group_is_told_as_a_whole_however_few_of_its_rules_are_asked_for(firing: Rule) -> None:
    (group,) = asked("rules", type="record")["groups"]
    assert (group["evaluationTime"], group["lastEvaluation"]) == (0.25, "2026-03-02T12:00:00Z")


@pytest.mark.fault("M17")
def test_parameters_count_in_the_form_and_in_the_address(firing: Rule) -> None:
    token = create_token("grafana", Role.SUPPORT, COMMAND_LINE, NOON + timedelta(days=36500))[1]
    headers = {"Authorization": f"Bearer {token}"}
    answer = Client().post("/prometheus/api/v1/rules?type=record", {"rule_name[]": "ErrorRate"}, headers=headers)
    assert answer.json() == {"status": "success", "data": {"groups": []}}


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
