"""Rules that are not evaluated, or fail for long, are told by the process that does not evaluate them."""

from datetime import timedelta
from typing import Any

import pytest

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.processes.beat import register
from mainstay.foundation.processes.models import Process
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.tests.conftest import ops  # noqa: F401  # a fixture
from mainstay.respond.alerts.tests.parts import events
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine.outcome import SourceAway
from mainstay.respond.rules.engine.overdue import Lookout
from mainstay.respond.rules.models import RuleGroup, RuleState
from mainstay.respond.rules.spec import RuleGroupSpec
from mainstay.respond.rules.tests.test_evaluation import START, Said, evaluation, second

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ops")]


def group(me: Actor, *rules: dict[str, Any], existing: RuleGroup | None = None, **given: Any) -> RuleGroup:
    spec = RuleGroupSpec.model_validate({"name": "shop", "rules": list(rules), **given})
    return actions.put_group(spec, me, START, existing=existing)


def look(lookout: Lookout, begin: float, end: float, *, evaluates: bool = False) -> None:
    """Look every 15 s; the rules are evaluated meanwhile, or are not."""
    for number in range(int(begin), int(end) + 1, 15):
        if evaluates:
            RuleState.objects.update(evaluated_at=second(number))
        lookout.cycle(second(number), 1)


def opened() -> list[tuple[str, str]]:
    return list(Alert.objects.filter(ended_at=None).order_by("id").values_list("name", "severity"))


def test_rules_that_are_not_evaluated_are_one_alert_that_ends_when_they_are(me: Actor) -> None:
    group(me, *({"alert": f"R{n}", "expr": "up == 0", "labels": {"severity": "critical"}} for n in range(200)))
    lookout = Lookout()
    look(lookout, 0, 60, evaluates=True)
    look(lookout, 75, 180)
    assert opened() == []
    look(lookout, 195, 300)
    assert opened() == [("200 rules are not evaluated", "critical")]
    assert events() == ["trigger ops"]
    alert = Alert.objects.get()
    assert "Not evaluated since 2026-03-02 12:01 UTC: R0, R1, R2, R3, R4 and 195 more." in alert.summary
    assert "No monitor is running." in alert.summary
    look(lookout, 315, 330, evaluates=True)
    assert opened() == []
    assert events() == ["trigger ops", "resolve ops"]


def test_one_group_that_is_not_evaluated_is_told_while_the_others_are(me: Actor) -> None:
    process = register("monitor", START)
    group(me, {"alert": "Held", "expr": "up == 0", "labels": {"severity": "minor"}})
    group(me, {"alert": "Fine", "expr": "up == 0"}, name="other")
    lookout = Lookout()
    for number in range(0, 300, 15):
        RuleState.objects.filter(rule__name="Fine").update(evaluated_at=second(number))
        if number < 60:
            RuleState.objects.update(evaluated_at=second(number))
        Process.objects.filter(pk=process.pk).update(beat_at=second(number))
        lookout.cycle(second(number), 1)
    assert opened() == [("Rule Held has not been evaluated since 2026-03-02 12:00 UTC", "minor")]
    assert "The monitor runs" in Alert.objects.get().summary


def test_a_start_after_a_long_stop_waits_before_it_says_anything(me: Actor) -> None:
    group(me, {"alert": "Held", "expr": "up == 0"})
    RuleState.objects.update(evaluated_at=START - timedelta(days=3))
    lookout = Lookout()
    look(lookout, 0, 120)
    assert opened() == []
    look(lookout, 135, 150)
    assert len(opened()) == 1


def test_a_machine_that_slept_and_a_clock_that_was_set_page_nobody(me: Actor) -> None:
    group(me, {"alert": "Held", "expr": "up == 0"})
    lookout = Lookout()
    look(lookout, 0, 60, evaluates=True)
    look(lookout, 40 * 86_400, 40 * 86_400 + 90)
    look(lookout, 75, 150)
    assert opened() == []


def test_a_new_rule_and_one_of_long_intervals_have_their_time(me: Actor) -> None:
    made = group(me, {"alert": "Old", "expr": "up == 0"}, interval="10m")
    lookout = Lookout()
    look(lookout, 0, 60, evaluates=True)
    look(lookout, 75, 1_800)
    assert opened() == []
    rules = {"alert": "Old", "expr": "up == 0"}, {"alert": "New", "expr": "up == 0"}
    group(me, *rules, existing=made)  # every 15 s from now on
    look(lookout, 1_815, 1_935)
    assert opened() == []
    look(lookout, 1_950, 1_950)
    assert opened() == [("2 rules are not evaluated", "major")]


def test_a_rule_that_fails_for_long_pages_with_its_own_severity_and_labels(me: Actor) -> None:
    rule = {"alert": "Bad", "expr": "bad", "labels": {"severity": "page", "team": "shop", "x": "{{ $value }}"}}
    made = group(me, rule, {"alert": "Fine", "expr": "good"})
    said = Said()
    said.says = {"bad": QueryError("many-to-many matching not allowed"), "good": []}
    held, lookout = evaluation(said), Lookout()
    for number in range(0, 315, 15):
        held.cycle(second(number), 1)
        lookout.cycle(second(number), 1)
        assert opened() == [], number
    for number in range(315, 400, 15):
        held.cycle(second(number), 1)
        lookout.cycle(second(number), 1)
    assert opened() == [("Rule Bad cannot be evaluated", "critical")]
    alert = Alert.objects.get()
    assert alert.labels == {"alertname": "RuleFails", "rule": "Bad", "severity": "critical", "team": "shop"}
    assert "many-to-many matching not allowed" in alert.summary
    said.says["bad"] = []
    for number in range(405, 460, 15):
        held.cycle(second(number), 1)
        lookout.cycle(second(number), 1)
    assert opened() == []
    assert events() == ["trigger ops", "resolve ops"]
    RuleState.objects.filter(rule__name="Bad").update(health="err", since=START)
    lookout.cycle(second(465), 1)
    assert len(opened()) == 1
    actions.remove_group(made, me, second(470))
    assert opened() == []


def test_many_rules_that_fail_are_few_alerts(me: Actor) -> None:
    group(me, *({"alert": f"R{n:02}", "expr": "up == 0"} for n in range(60)))
    RuleState.objects.update(health="err", reason="no", since=START, evaluated_at=second(600))
    lookout = Lookout()
    look(lookout, 600, 630, evaluates=True)
    assert len(opened()) == 11
    assert ("50 more rules cannot be evaluated", "major") in opened()
    RuleState.objects.exclude(rule__name__in=("R03", "R58")).update(health="ok")
    look(lookout, 645, 660, evaluates=True)
    assert {name for name, _ in opened()} == {"Rule R03 cannot be evaluated", "Rule R58 cannot be evaluated"}


def test_a_source_that_is_away_pages_nobody_for_each_rule(me: Actor) -> None:
    group(me, {"alert": "Held", "expr": "up == 0"})
    said = Said()
    said.says["up == 0"] = SourceAway("the server does not answer")
    held, lookout = evaluation(said), Lookout()
    for number in range(0, 900, 15):
        held.cycle(second(number), 1)
        lookout.cycle(second(number), 1)
    assert RuleState.objects.get().health == "unknown"
    assert opened() == []
