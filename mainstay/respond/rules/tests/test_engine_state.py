"""The life of alerts: each change and its reason, what a failure leaves alone, and what a restart keeps."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.respond.rules.engine.outcome import Health, RuleFails, SourceAway, ended, evaluate, recorded
from mainstay.respond.rules.engine.state import (
    Code,
    Instance,
    State,
    Stepped,
    Surroundings,
    Vector,
    alert_series,
    fingerprint,
    step,
)
from mainstay.respond.rules.files.read import Rule

MINUTE = 60_000
DB1 = {"__name__": "load", "instance": "db1"}
RULE = Rule(
    "load > 90",
    alert="Load",
    for_s=120,
    keep_firing_for_s=180,
    labels={"severity": "critical"},
    annotations={"summary": "{{ $labels.instance }} is at {{ $value }}"},
)


def live(rule: Rule, *results: Vector | None, limit: int = 0) -> list[Stepped]:
    """Evaluate minute by minute; None is no evaluation."""
    stepped = Stepped({})
    found = []
    for minute, result in enumerate(results):
        if result is not None:
            stepped = step(rule, stepped.instances, result, minute * MINUTE, limit=limit)
        found.append(stepped)
    return found


def codes(steps: list[Stepped]) -> list[list[str]]:
    return [[change.code.value for change in stepped.changes] for stepped in steps]


def only(stepped: Stepped) -> Instance:
    (instance,) = stepped.instances.values()
    return instance


def test_it_waits_fires_is_kept_and_resolves() -> None:
    holds: Vector = [(DB1, 95.0)]
    steps = live(RULE, holds, holds, holds, [], [], [], [])
    assert codes(steps) == [["pending"], [], ["fired"], ["kept"], [], [], ["resolved"]]
    fired = steps[2].changes[0]
    assert (fired.before, fired.after) == (State.PENDING, State.FIRING)
    assert fired.labels == {"alertname": "Load", "instance": "db1", "severity": "critical"}
    assert fired.reason == ("the condition has held since 1970-01-01 00:00:00Z, which is at least the 2m of `for`")
    assert "keep_firing_for 3m holds it until 1970-01-01 00:06:00Z" in steps[3].changes[0].reason
    assert "keep_firing_for 3m is over" in steps[6].changes[0].reason
    assert only(steps[6]).resolved_at_ms == 6 * MINUTE


def test_what_ends_before_for_is_over_never_fires() -> None:
    steps = live(RULE, [(DB1, 95.0)], [], [(DB1, 95.0)])
    assert codes(steps) == [["pending"], ["cancelled"], ["pending"]]
    assert steps[1].instances == {}
    assert only(steps[2]).active_at_ms == 2 * MINUTE
    assert "ended after 1m, before it had held for 2m" in steps[1].changes[0].reason


def test_a_condition_that_comes_back_while_kept_fires_on() -> None:
    holds: Vector = [(DB1, 95.0)]
    steps = live(RULE, holds, holds, holds, [], holds, [], [])
    assert codes(steps)[3:] == [["kept"], ["back"], ["kept"], []]
    assert only(steps[4]).kept_since_ms is None
    assert only(steps[6]).fired_at_ms == 2 * MINUTE


def test_without_for_it_fires_at_once_and_without_keep_firing_for_it_ends_at_once() -> None:
    rule = Rule("load > 90", alert="Load")
    steps = live(rule, [(DB1, 95.0)], [])
    assert codes(steps) == [["fired"], ["resolved"]]
    assert steps[0].changes[0].before is State.INACTIVE


def test_what_has_resolved_is_remembered_for_15_minutes() -> None:
    rule = Rule("load > 90", alert="Load")
    steps = live(rule, [(DB1, 95.0)], *[[]] * 17)
    assert only(steps[16]).resolved_at_ms == MINUTE
    assert steps[17].instances == {}


def test_value_and_annotations_follow_while_labels_stay() -> None:
    first, second = live(RULE, [(DB1, 95.0)], [(DB1, 97.5)])
    assert only(first).annotations == {"summary": "db1 is at 95"}
    assert only(second).annotations == {"summary": "db1 is at 97.5"}
    assert (only(second).value, only(second).active_at_ms) == (97.5, 0)


def test_a_label_made_of_the_value_makes_another_alert() -> None:
    rule = Rule("load", alert="Load", labels={"level": "{{ if gt $value 90.0 }}high{{ else }}low{{ end }}"})
    steps = live(rule, [(DB1, 95.0)], [(DB1, 10.0)])
    assert codes(steps)[1] == ["resolved", "fired"]


def test_two_series_with_the_same_labels_are_an_error_and_change_nothing() -> None:
    rule = Rule("load", alert="Load", labels={"instance": "all"})
    before = live(rule, [(DB1, 95.0)])[0]
    stepped = step(rule, before.instances, [(DB1, 1.0), ({"instance": "db2"}, 2.0)], MINUTE)
    assert stepped.instances is before.instances
    assert stepped.changes == ()
    assert (
        'two series have the same labels once the labels of the alert are applied: {alertname="Load"' in stepped.error
    )


def test_over_its_limit_a_rule_loses_all_its_alerts_and_says_so() -> None:
    rule = Rule("load", alert="Load")
    db2 = {"instance": "db2"}
    steps = live(rule, [(DB1, 1.0)], [(DB1, 1.0), (db2, 1.0)], limit=1)
    assert steps[1].error == "2 alerts are more than the limit of 1; all alerts of the rule are dropped"
    assert codes(steps)[1] == ["over_limit"]
    assert steps[1].instances == {}


def test_the_series_of_alerts() -> None:
    steps = live(RULE, [(DB1, 95.0)], [(DB1, 95.0)], [(DB1, 95.0)])
    labels = {"alertname": "Load", "instance": "db1", "severity": "critical"}
    assert alert_series(RULE, steps[1].instances.values()) == [
        ({**labels, "__name__": "ALERTS", "alertstate": "pending"}, 1.0),
        ({**labels, "__name__": "ALERTS_FOR_STATE"}, 0.0),
    ]
    assert alert_series(RULE, steps[2].instances.values())[0][0]["alertstate"] == "firing"


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.floats(),
    st.sampled_from(State),
    st.tuples(*[st.none() | st.integers(0, 2**53)] * 3),
)
def test_an_instance_goes_through_json(
    labels: dict[str, str], value: float, state: State, times: tuple[int | None, int | None, int | None]
) -> None:
    instance = Instance(labels, labels, state, value, 5, *times)
    again = Instance.restored(json.loads(json.dumps(instance.document(), allow_nan=False)))
    assert again == instance or (math.isnan(value) and math.isnan(again.value))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_a_fingerprint_depends_on_the_labels_and_not_on_their_order(labels: dict[str, str]) -> None:
    turned = dict(reversed(labels.items()))
    assert fingerprint(turned) == fingerprint(labels)
    assert fingerprint({**labels, "more": "x"}) != fingerprint(labels)
    assert fingerprint({"a": "b"}) == fingerprint({"a": "b"}) == "a02f56d750ea2248"  # on every machine, in every run


# One rule, evaluated once


def test_a_failure_and_a_source_that_is_away_leave_everything_as_it_was() -> None:
    firing = live(RULE, [(DB1, 95.0)], [(DB1, 95.0)], [(DB1, 95.0)])[-1].instances

    def fails(_text: str) -> Vector:
        raise QueryError("too many samples")

    def away(_text: str) -> Vector:
        raise SourceAway("http://metrics:9090 does not answer")

    for ask, health, reason in (
        (fails, Health.ERR, "too many samples"),
        (away, Health.UNKNOWN, "http://metrics:9090 does not answer"),
    ):
        outcome = evaluate(RULE, ask, firing, 60 * MINUTE)
        assert (outcome.health, outcome.reason) == (health, reason)
        assert outcome.instances is firing
        assert outcome.changes == ()
        assert outcome.rows == ()


def test_pending_time_goes_on_over_a_gap() -> None:
    steps = live(RULE, [(DB1, 95.0)], None, None, [(DB1, 95.0)])
    assert codes(steps)[-1] == ["fired"]  # the condition held before and after, as Prometheus sees it, too


def test_an_evaluation_gives_instances_changes_and_rows() -> None:
    outcome = evaluate(RULE, lambda _text: [(DB1, 95.0)], {}, 0)
    assert (outcome.health, outcome.results, len(outcome.rows)) == (Health.OK, 1, 2)
    assert [change.code for change in outcome.changes] == [Code.PENDING]


def test_a_recording_rule_makes_series() -> None:
    rule = Rule("load", record="job:load", labels={"team": "ops", "instance": ""})
    assert recorded(rule, [(DB1, 1.5)]) == [({"__name__": "job:load", "team": "ops"}, 1.5)]
    with pytest.raises(RuleFails, match="the same labels"):
        recorded(rule, [(DB1, 1.5), ({"instance": "db2"}, 2.0)])
    with pytest.raises(RuleFails, match="more than the limit of 1"):
        recorded(Rule("load", record="a"), [(DB1, 1.5), ({"instance": "db2"}, 2.0)], limit=1)
    outcome = evaluate(rule, lambda _text: [(DB1, 1.5), ({"instance": "db2"}, 2.0)], {}, 0)
    assert (outcome.health, outcome.rows) == (Health.ERR, ())


def test_series_that_are_written_no_more_end() -> None:
    assert ended([({"a": "1"}, 1.0), ({"a": "2"}, 1.0)], [({"a": "2"}, 3.0)]) == [{"a": "1"}]


def test_templates_can_ask_queries() -> None:
    rule = Rule("load", alert="Load", annotations={"n": "{{ len (query `up`) }}"})
    around = Surroundings(query=lambda text: [({}, 1.0)] * (3 if text == "up" else 0))
    assert only(step(rule, {}, [(DB1, 1.0)], 0, around=around)).annotations == {"n": "3"}
