"""A replay does what the rule would have done, evaluation by evaluation, and is fast enough to be a preview."""

import time
from random import Random

import numpy as np
import pytest

from mainstay.observe.metrics.promql import Limits, MemorySource, evaluate
from mainstay.respond.rules.files import Rule
from mainstay.respond.rules.replay import Interval, replay
from mainstay.respond.rules.state import Change, Instance, State, step
from mainstay.respond.rules.threshold import Threshold
from mainstay.respond.rules.unit_tests import vector_of

MINUTE = 60_000
START = 1_700_000_000_000 // MINUTE * MINUTE
RULES = [
    Rule("load > 90", alert="Load"),
    Rule("load > 90", alert="Load", for_s=120, keep_firing_for_s=300),
    Rule("load > 50 and load < 95", alert="Load", for_s=60, labels={"owner": "{{ $labels.instance }}-x"}),
    Rule("90 < load", alert="Load", labels={"level": "{{ if gt $value 95.0 }}high{{ else }}low{{ end }}"}, for_s=60),
    Rule("absent(load{instance='b'})", alert="Gone", keep_firing_for_s=120),
    Rule("sum(load) > 100", alert="Sum", for_s=180),
    Rule("vector(time() % 3600) > 1800", alert="Half", for_s=600),
]


def noise(seed: int, steps: int) -> MemorySource:
    random = Random(seed)
    series: dict[str, list[tuple[int, float]]] = {f'load{{instance="{name}"}}': [] for name in "abc"}
    for points in series.values():
        level, there = 50.0, True
        for number in range(steps):
            if random.random() < 0.1:
                level, there = random.uniform(0, 120), random.random() < 0.8
            if there:
                points.append((START + number * MINUTE, level + random.random()))
    return MemorySource(series)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.expr)
@pytest.mark.parametrize("limit", [0, 1])
def test_a_replay_is_what_the_rule_does_step_by_step(rule: Rule, limit: int) -> None:
    steps = 300
    source = noise(3, steps)
    instances: dict[str, Instance] = {}
    changes: list[Change] = []
    for number in range(steps):
        at_ms = START + number * MINUTE
        stepped = step(rule, instances, vector_of(evaluate(rule.expr, source, at_ms)), at_ms, limit=limit)
        instances = dict(stepped.instances)
        changes += stepped.changes
    found = replay(rule, source, START, START + (steps - 1) * MINUTE, MINUTE, limit=limit)
    assert sorted(found.changes, key=_place) == sorted(changes, key=_place)
    assert found.pages == sum(change.code == "fired" for change in changes)
    assert found.steps == steps
    assert bool(found.error) is (limit > 0 and any(change.code == "over_limit" for change in changes))


def _place(change: Change) -> tuple[int, str, str]:
    return change.at_ms, change.fingerprint, change.code


def test_intervals_lines_and_threshold() -> None:
    points = [(START + number * MINUTE, 95.0 if 5 <= number < 10 or number >= 18 else 10.0) for number in range(20)]
    source = MemorySource({'load{instance="a"}': points, 'load{instance="b"}': [(at, 1.0) for at, _ in points]})
    rule = Rule("load > 90", alert="Load", for_s=120)
    found = replay(rule, source, START, START + 19 * MINUTE, MINUTE)
    assert [(each.state, (each.begin_ms - START) // MINUTE, each.end_ms and (each.end_ms - START) // MINUTE)
            for each in found.intervals] == [
        (State.PENDING, 5, 7), (State.FIRING, 7, 10), (State.PENDING, 18, None),
    ]  # fmt: skip
    assert isinstance(found.intervals[0], Interval)
    assert found.intervals[0].labels == {"alertname": "Load", "instance": "a"}
    assert found.pages == 1
    assert found.threshold == Threshold("load", ">", 90.0)
    assert [line.labels["instance"] for line in found.lines] == ["a", "b"]
    assert found.lines[0].values[4:6].tolist() == [10.0, 95.0]
    assert found.lines[0].times_ms[0] == START


def test_where_there_is_no_value_the_line_has_a_hole() -> None:
    source = MemorySource({"load": [(START, 95.0)]})
    found = replay(Rule("load > 90", alert="Load"), source, START, START + 10 * MINUTE, MINUTE)
    assert np.isnan(found.lines[0].values[6:]).all()
    assert found.lines[0].values[0] == 95.0


@pytest.mark.parametrize(
    ("rule", "step_ms", "message"),
    [
        (Rule("load +", alert="A"), MINUTE, "Invalid promql"),
        (Rule("load[5m]", alert="A"), MINUTE, "range"),
        (Rule("load", alert="A"), 0, "empty"),
        (Rule("load", alert="A"), 10, "shorter range or a wider step"),
    ],
)
def test_what_cannot_be_replayed_says_why(rule: Rule, step_ms: int, message: str) -> None:
    found = replay(rule, noise(1, 10), START, START + 100 * MINUTE, step_ms)
    assert message in found.error
    assert found.intervals == ()


def test_too_costly_a_query_is_refused() -> None:
    found = replay(RULES[0], noise(1, 100), START, START + 99 * MINUTE, MINUTE, limits=Limits(max_samples=10))
    assert "samples" in found.error


def test_a_week_at_a_minute_takes_less_than_two_seconds() -> None:
    source = noise(5, 10_080)
    began = time.process_time()
    found = replay(RULES[1], source, START, START + 10_079 * MINUTE, MINUTE)
    assert found.steps == 10_080
    assert found.pages > 20
    assert time.process_time() - began < 2.0
