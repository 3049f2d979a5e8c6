"""What rules have recorded ends with them: with the next evaluation, also when a restart lies between."""

from typing import Any

import pytest

from mainstay.foundation.accounts.actor import Actor
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.respond.alerts.tests.conftest import ops  # noqa: F401  # a fixture
from mainstay.respond.rules import actions
from mainstay.respond.rules.models import RuleGroup
from mainstay.respond.rules.spec import RuleGroupSpec
from mainstay.respond.rules.tests.conftest import Monitor, ms
from mainstay.respond.rules.tests.test_evaluation import START, second

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ops"), pytest.mark.fault("M13")]
RECORD = {"record": "made", "expr": "vector(1)", "labels": {"a": "b"}}
ALERT = {"alert": "High", "expr": "vector(2)"}
WAITS = {"alert": "Waits", "expr": "vector(2)", "for": "1h"}
OTHER = {"record": "other", "expr": "vector(3)"}


def put(me: Actor, name: str, *rules: dict[str, Any], at_s: float = 0) -> RuleGroup:
    spec = RuleGroupSpec.model_validate({"name": name, "interval": "15s", "rules": list(rules)})
    existing = RuleGroup.objects.filter(name=name).first()
    return actions.put_group(spec, me, second(at_s) if at_s else START, existing=existing)


BEFORE = [
    "ALERTS High", "ALERTS Waits", "ALERTS_FOR_STATE High", "ALERTS_FOR_STATE Waits", "made", "other",
]  # fmt: skip
CHANGES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "a recording rule is removed": (
        [ALERT, WAITS, OTHER],
        ["ALERTS High", "ALERTS Waits", "ALERTS_FOR_STATE High", "ALERTS_FOR_STATE Waits", "other"],
    ),
    "an alerting rule is removed": (
        [RECORD, WAITS, OTHER],
        ["ALERTS Waits", "ALERTS_FOR_STATE Waits", "made", "other"],
    ),
    "one that is pending is removed": (
        [RECORD, ALERT, OTHER],
        ["ALERTS High", "ALERTS_FOR_STATE High", "made", "other"],
    ),
    "all but one are removed": ([OTHER], ["other"]),
    "alerts no longer fire": ([{**ALERT, "expr": "vector(2) > 3"}, OTHER], ["other"]),
    "it records under another name": ([{**RECORD, "record": "renamed"}, OTHER], ["other"]),
    "it gives nothing any more": ([{**RECORD, "expr": "vector(1) > 3"}, OTHER], ["other"]),
    "another rule makes the same series": ([OTHER, {**RECORD, "expr": "vector(9)"}], ["made", "other"]),
    "its place alone is another": ([OTHER, RECORD], ["made", "other"]),
}


@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize("change", CHANGES)
def test_series_of_what_is_gone_end_with_the_next_evaluation(
    me: Actor, monitor: Monitor, change: str, restarts: bool
) -> None:
    rules, after = CHANGES[change]
    put(me, "one", RECORD, ALERT, WAITS, OTHER)
    monitor.turn(0, 15, 30)
    assert monitor.there(30) == BEFORE
    put(me, "one", *rules, at_s=35)
    if restarts:
        monitor.restart()
        monitor.turn(36)  # it begins with the next instant of the grid
    monitor.turn(45)
    assert monitor.there(45) == after
    assert monitor.there(30) == BEFORE


@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
def test_series_of_a_group_that_is_removed_end_and_others_go_on(me: Actor, monitor: Monitor, restarts: bool) -> None:
    gone = put(me, "gone", RECORD, ALERT, WAITS)
    put(me, "stays", OTHER)
    monitor.turn(0, 15, 30)
    assert monitor.there(30) == BEFORE
    actions.remove_group(gone, me, second(35))
    if restarts:
        monitor.restart()
    monitor.turn(36, 45)
    assert monitor.there(45) == ["other"]


@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
def test_series_of_the_last_group_end_too(me: Actor, monitor: Monitor, restarts: bool) -> None:
    gone = put(me, "gone", RECORD, ALERT, WAITS, OTHER)
    monitor.turn(0, 15, 30)
    actions.remove_group(gone, me, second(35))
    if restarts:
        monitor.restart()
    monitor.turn(45)
    assert monitor.there(45) == []


def test_other_labels_of_a_rule_are_another_series(me: Actor, monitor: Monitor) -> None:
    put(me, "one", RECORD, ALERT)
    monitor.turn(0, 15, 30)
    put(me, "one", {**RECORD, "labels": {"a": "c"}}, {**ALERT, "labels": {"severity": "minor"}}, at_s=35)
    monitor.turn(45)
    assert [labels["a"] for labels, _ in evaluate("made", monitor.store, ms(45)).rows()] == ["c"]
    for name in ("ALERTS", "ALERTS_FOR_STATE"):
        found = evaluate(name, monitor.store, ms(45)).rows()
        assert [labels["severity"] for labels, _ in found] == ["minor"]


@pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])
def test_other_labels_of_a_group_are_other_series(me: Actor, monitor: Monitor, restarts: bool) -> None:
    made = put(me, "one", RECORD, ALERT)
    monitor.turn(0, 15, 30)
    spec = actions.spec_of(made).model_copy(update={"labels": {"team": "web"}})
    actions.put_group(spec, me, second(35), existing=made)
    if restarts:
        monitor.restart()
    monitor.turn(36, 45)
    assert monitor.there(45) == ["ALERTS High", "ALERTS_FOR_STATE High", "made"]
    found = evaluate('{__name__=~"made|ALERTS.*"}', monitor.store, ms(45)).rows()
    assert {labels.get("team") for labels, _ in found} == {"web"}


def test_a_group_that_comes_back_records_at_once(me: Actor, monitor: Monitor) -> None:
    """Its series are those of the rules that are gone: what ended must not end them again."""
    put(me, "one", RECORD, ALERT)
    monitor.turn(0, 15, 30)
    actions.remove_group(RuleGroup.objects.get(), me, second(31))
    put(me, "one", RECORD, ALERT, at_s=32)
    monitor.turn(33, 45, 60)
    assert monitor.there(45) == monitor.there(60) == ["ALERTS High", "ALERTS_FOR_STATE High", "made"]
    found = evaluate_range("made", monitor.store, ms(15), ms(60), 15_000)
    assert found.values.tolist() == [[1.0] * 4]
