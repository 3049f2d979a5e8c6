"""Rules from evaluation to the page: what fires is an alert, what is owed is owed once, and nothing is forgotten."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.clock import from_unix
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes import notices
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.windows import Window
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.plan import Matcher
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.tests.conftest import ops  # noqa: F401  # a fixture
from mainstay.respond.alerts.tests.parts import VIEWER, events
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine import records
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.outcome import Rows, SourceAway
from mainstay.respond.rules.engine.state import Vector
from mainstay.respond.rules.models import Instance, Rule, RuleGroup, RuleState
from mainstay.respond.rules.spec import RuleGroupSpec

pytestmark = pytest.mark.django_db
START = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


class Said:
    """A source that says at each instant what the test put down for an expression."""

    records = True

    def __init__(self) -> None:
        self.says: dict[str, Vector | Exception] = {}
        self.recorded: dict[str, Rows] = {}
        self.metrics = {"errors"}

    def at(self, at_ms: int) -> "Said":
        self.at_ms = at_ms
        return self

    def ask(self, text: str) -> Vector:
        found = self.says.get(text, ())
        if isinstance(found, Exception):
            raise found
        return found

    def record(self, key: str, rows: Rows) -> None:
        self.recorded[key] = rows

    def keep(self, keys: Collection[str]) -> None:
        self.recorded = {key: rows for key, rows in self.recorded.items() if key in keys}

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        return int(any(matcher.value in self.metrics for matcher in matchers))


@pytest.fixture
def said() -> Said:
    return Said()


def evaluation(said: Said) -> Evaluation:
    return Evaluation(lambda: said, lambda _group: True, lambda: 0, lambda: True, "")


def second(number: float) -> datetime:
    return START + timedelta(seconds=number)


def turn(held: Evaluation, *seconds: float) -> None:
    for number in seconds:
        held.cycle(second(number), 1)


def group(me: Actor, **rule: Any) -> RuleGroup:
    given = {"alert": "ErrorRate", "expr": "errors > 0.05", "for": "30s", "labels": {"severity": "critical"}} | rule
    return actions.put_group(RuleGroupSpec.model_validate({"name": "shop", "rules": [given]}), me, START)


FIVE = [({"job": "shop"}, 0.08)]


def test_an_alert_fires_when_its_condition_has_held_for_long_enough_pages_once_and_resolves(
    me: Actor,
    said: Said,
    ops: Channel,  # noqa: F811
) -> None:
    group(me, annotations={"summary": "{{ $labels.job }}: {{ $value | humanizePercentage }} errors"})
    held = evaluation(said)
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 15)
    assert Instance.objects.get().state == "pending"
    assert not Alert.objects.exists()
    turn(held, 30, 45)
    alert = Alert.objects.get()
    assert (alert.name, alert.severity, alert.value) == ("shop: 8% errors", "critical", 0.08)
    assert alert.labels == {"alertname": "ErrorRate", "job": "shop", "severity": "critical"}
    assert events() == ["trigger ops"]
    turn(held, 60, 75)
    assert events() == ["trigger ops"]
    said.says["errors > 0.05"] = []
    turn(held, 90)
    alert.refresh_from_db()
    assert alert.ended_at == second(90)
    assert events() == ["trigger ops", "resolve ops"]
    assert not Instance.objects.exists()


def test_a_restart_forgets_neither_pending_nor_firing(me: Actor, said: Said, ops: Channel) -> None:  # noqa: F811
    group(me)
    said.says["errors > 0.05"] = FIVE
    turn(evaluation(said), 0, 15)
    anew = evaluation(said)
    turn(anew, 20, 30)
    assert Instance.objects.get().state == "pending"
    turn(anew, 45)
    assert Alert.objects.get().started_at == second(45)
    third = evaluation(said)
    turn(third, 50, 60, 75)
    assert events() == ["trigger ops"]
    said.says["errors > 0.05"] = []
    turn(third, 90)
    assert events() == ["trigger ops", "resolve ops"]


def test_a_source_that_is_away_changes_nothing_and_is_told(me: Actor, said: Said, ops: Channel) -> None:  # noqa: F811
    group(me, **{"for": "0s"})
    held = evaluation(said)
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 15)
    assert events() == ["trigger ops"]
    said.says["errors > 0.05"] = SourceAway("the server does not answer")
    turn(held, 30, 45)
    assert Alert.objects.get().ended_at is None
    state = RuleState.objects.get()
    assert (state.health, state.reason) == ("unknown", "the server does not answer")
    assert Entry.objects.filter(kind="rule.health").last().facts["health"] == "unknown"  # type: ignore[union-attr]
    said.says["errors > 0.05"] = []
    turn(held, 60, 75)
    assert Alert.objects.get().ended_at is not None
    assert RuleState.objects.get().health == "ok"


def test_a_rule_that_fails_says_so_and_the_others_go_on(me: Actor, said: Said, ops: Channel) -> None:  # noqa: F811
    rules = [{"alert": "Broken", "expr": "bad"}, {"alert": "Fine", "expr": "good"}]
    actions.put_group(RuleGroupSpec.model_validate({"name": "two", "rules": rules}), me, START)
    held = evaluation(said)
    said.says = {"bad": QueryError("many-to-many matching not allowed"), "good": [({}, 1.0)]}
    turn(held, 0, 15)
    assert [alert.labels["alertname"] for alert in Alert.objects.all()] == ["Fine"]
    broken = RuleState.objects.get(rule__name="Broken")
    assert (broken.health, broken.reason) == ("err", "many-to-many matching not allowed")


def test_a_rule_whose_series_do_not_exist_says_which(me: Actor, said: Said) -> None:
    group(me)
    held = evaluation(said)
    said.metrics.clear()
    turn(held, 0, 15)
    state = RuleState.objects.get()
    assert (state.health, state.reason) == ("no_series", "there is no series of errors, nor was there in 30 days")


def test_a_commit_that_fails_leaves_memory_as_it_was_and_is_done_again(
    me: Actor,
    said: Said,
    ops: Channel,  # noqa: F811
) -> None:
    group(me, **{"for": "0s"})
    held = evaluation(said)
    turn(held, 0)
    said.says["errors > 0.05"] = FIVE

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "alerts_alert" in sql:
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        turn(held, 15)
    assert not Alert.objects.exists()
    turn(held, 16)
    assert Alert.objects.get().started_at == second(15)
    assert Delivery.objects.count() == 1


def test_recording_rules_record_and_alerting_rules_record_their_alerts(me: Actor, said: Said) -> None:
    rules = [
        {"record": "job:errors:ratio", "expr": "errors", "labels": {"of": "shop"}},
        {"alert": "High", "expr": "job:errors:ratio > 0", "for": "1m"},
    ]
    actions.put_group(RuleGroupSpec.model_validate({"name": "two", "rules": rules}), me, START)
    held = evaluation(said)
    said.says = {"errors": [({"__name__": "errors", "job": "a"}, 2.0)], "job:errors:ratio > 0": [({"job": "a"}, 2.0)]}
    turn(held, 0, 15)
    record, alert = Rule.objects.order_by("position")
    assert said.recorded[f"rule:{record.pk}"] == [({"__name__": "job:errors:ratio", "job": "a", "of": "shop"}, 2.0)]
    assert said.recorded[f"rule:{alert.pk}"][0] == (
        {"__name__": "ALERTS", "alertname": "High", "alertstate": "pending", "job": "a"},
        1.0,
    )


def test_removing_a_rule_resolves_what_it_raised(me: Actor, said: Said, ops: Channel) -> None:  # noqa: F811
    made = group(me, **{"for": "0s"})
    held = evaluation(said)
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 15)
    actions.remove_group(made, me, second(20))
    assert Alert.objects.get().ended_at == second(20)
    turn(held, 30)
    assert events() == ["trigger ops", "resolve ops"]


def test_editing_a_rule_keeps_what_is_pending(me: Actor, said: Said) -> None:
    made = group(me)
    held = evaluation(said)
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 15)
    spec = actions.spec_of(made).model_copy(deep=True)
    spec.rules[0].for_ = 60.0
    actions.put_group(spec, me, second(20), existing=made)
    turn(held, 30, 45, 60)
    assert Instance.objects.get().state == "pending"
    turn(held, 75)
    assert Instance.objects.get().state == "firing"


def test_maintenance_by_labels_keeps_a_rule_from_paging(me: Actor, said: Said, ops: Channel) -> None:  # noqa: F811
    window = Window("deploy", None, Matchers.read({"job": "shop"}), START, second(3600))
    checks.announce(window, me, START)
    group(me, **{"for": "0s"})
    held = evaluation(said)
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 15)
    assert Alert.objects.get().decision == "maintenance"
    assert events() == []


def test_instants_lie_on_the_grid_and_missed_ones_are_counted(me: Actor, said: Said) -> None:
    group(me)
    held = evaluation(said)
    turn(held, 4, 16.2)
    assert said.at_ms == round(second(15).timestamp() * 1000)
    turn(held, 61)
    assert said.at_ms == round(second(60).timestamp() * 1000)
    assert held.figures.missed == 2


def test_nothing_is_evaluated_before_samples_have_come_in(me: Actor, said: Said) -> None:
    group(me)
    held = Evaluation(lambda: said, lambda _group: True, lambda: 0, lambda: False, "")
    turn(held, 0, 15, 30)
    assert held.figures.rounds == 0


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"expr": "sum by ("}, "rules.0.expr"),
        ({"expr": "errors[5m]"}, "rules.0.expr"),
        ({"labels": {"__name__": "x"}}, "rules.0.labels"),
        ({"annotations": {"summary": "{{ $labels.job"}}, "rules.0.annotations.summary"),
        ({"alert": None, "record": "a{b}"}, "rules.0.record"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_place(me: Actor, rule: dict[str, Any], field: str) -> None:
    if "record" in rule:
        rule |= {"for": "0s"}
    with pytest.raises(Refused) as refused:
        group(me, **rule)
    assert refused.value.field == field
    assert not RuleGroup.objects.exists()


@pytest.mark.fault("M11")
def test_a_rule_records_under_any_name_and_labels(me: Actor) -> None:
    labels = {"host.name": "x", "1a": "y"}
    made = group(me, alert=None, record="http.requests größe", labels=labels, **{"for": "0s"})
    rule = made.rules.get()
    assert (rule.alerts, rule.name, rule.labels) == (False, "http.requests größe", labels)


def test_rules_are_edited_only_by_those_who_may(me: Actor) -> None:
    made = group(me)
    for attempt in (lambda: group(VIEWER), lambda: actions.remove_group(made, VIEWER, START)):
        with pytest.raises(NotAllowed):
            attempt()


def test_times_come_from_the_grid_not_the_clock(me: Actor, said: Said) -> None:
    group(me, **{"for": "0s"})
    held = evaluation(said)
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 22)
    assert Alert.objects.get().started_at == from_unix(second(15).timestamp())


def test_a_group_that_cannot_be_loaded_costs_only_itself_and_is_told_once(
    me: Actor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = group(me)
    other = {"alert": "Slow", "expr": "errors > 0.05"}
    good = actions.put_group(RuleGroupSpec.model_validate({"name": "other", "rules": [other]}), me, START)
    real = records.load

    def load(only: list[int]) -> Any:
        if bad.pk in only:
            raise KeyError("a row of another version")
        return real(only)

    held = evaluation(Said())
    with monkeypatch.context() as patched:
        patched.setattr(records, "load", load)
        turn(held, 0, 1, 40, 80)
    assert set(held.groups) == {good.pk}
    assert caplog.text.count("cannot be loaded") == 1
    assert [notice["title"] for notice in notices.told()] == ["1 group of rules cannot be evaluated."]
    turn(held, 120)
    assert set(held.groups) == {bad.pk, good.pk}
    assert notices.told() == []


def test_groups_loaded_before_the_database_failed_stay_and_the_others_come_with_the_next_round(
    me: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = group(me)
    other = {"alert": "Slow", "expr": "errors > 0.05"}
    two = actions.put_group(RuleGroupSpec.model_validate({"name": "other", "rules": [other]}), me, START)
    real, calls = records.load, [0]

    def load(only: list[int]) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise OperationalError("database is locked")
        return real(only)

    monkeypatch.setattr(records, "load", load)
    held = evaluation(Said())
    with pytest.raises(OperationalError):
        turn(held, 0)
    turn(held, 1)
    assert set(held.groups) == {one.pk, two.pk}
    RuleGroup.objects.filter(pk=one.pk).update(version=99)  # an edit that nobody announced
    turn(held, 40)
    assert held.groups[one.pk].version == 99


# --- a clock that was set ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_was_set_neither_fires_nor_delays_a_rule(said: Said, ops: Channel, me: Actor, by_s: float) -> None:  # noqa: F811
    group(me, **{"for": "2m"})
    jumps: list[float] = []
    held = evaluation(said)
    held.jumped_s = lambda: jumps.pop() if jumps else 0.0
    said.says["errors > 0.05"] = FIVE
    turn(held, 0, 30, 60)
    assert not Alert.objects.exists()
    jumps.append(by_s)
    turn(held, by_s + 70, by_s + 90, by_s + 120)
    assert not Alert.objects.exists()
    turn(held, by_s + 150, by_s + 160)
    assert Alert.objects.get().ended_at is None
    jumps.append(by_s)
    turn(held, 2 * by_s + 170, 2 * by_s + 210)
    assert Alert.objects.get().ended_at is None


def test_a_pending_instance_from_the_future_waits_from_now(said: Said, ops: Channel, me: Actor) -> None:  # noqa: F811
    """The clock was set back while nothing ran."""
    group(me, **{"for": "2m"})
    said.says["errors > 0.05"] = FIVE
    turn(evaluation(said), 3600, 3630)
    again = evaluation(said)
    turn(again, 0, 30, 60, 90, 120)
    assert not Alert.objects.exists()
    turn(again, 150, 180)
    assert Alert.objects.exists()
