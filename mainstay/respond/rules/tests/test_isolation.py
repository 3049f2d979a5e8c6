"""One rule that fails, in whatever way, takes down only itself."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import DataError, OperationalError, connection
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.words.text import storable
from mainstay.observe.metrics.exposition import Parser
from mainstay.observe.metrics.store import Store
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.tests.conftest import ops  # noqa: F401  # a fixture
from mainstay.respond.delivery.models import Delivery
from mainstay.respond.rules import actions
from mainstay.respond.rules.engine import evaluation
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.sources import StoreSource
from mainstay.respond.rules.engine.state import Vector
from mainstay.respond.rules.models import Instance, RuleState
from mainstay.respond.rules.spec import RuleGroupSpec
from mainstay.respond.rules.template import Scope, Template, TemplateProblem
from mainstay.respond.rules.tests.conftest import Monitor, ms
from mainstay.respond.rules.tests.test_evaluation import (
    START,
    Said,
    second,
    turn,
)
from mainstay.respond.rules.tests.test_evaluation import (
    evaluation as evaluating,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ops")]


class Panic(BaseException):
    """As a panic in Rust reaches Python."""


def group(me: Actor, name: str, *rules: dict[str, Any]) -> None:
    actions.put_group(RuleGroupSpec.model_validate({"name": name, "rules": list(rules)}), me, START)


def alert_names() -> set[str]:
    return {alert.labels["alertname"] for alert in Alert.objects.filter(ended_at=None)}


def failing(on: str, error: Exception) -> Callable[..., Any]:
    """Refuse every statement in which a text stands."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if on in sql or on in str(params):
            raise error
        return execute(sql, params, many, context)

    return refuse


@pytest.mark.fault("M23")
def test_a_rule_that_cannot_be_recorded_does_not_hold_up_the_others(me: Actor) -> None:
    group(me, "one", {"alert": "Broken", "expr": "a"}, {"alert": "Beside", "expr": "b"})
    group(me, "two", {"alert": "Other", "expr": "c"})
    said = Said()
    said.says = {"a": [({"job": "bad"}, 1.0), ({"job": "good"}, 1.0)], "b": [({}, 1.0)], "c": [({}, 1.0)]}
    held = evaluating(said)
    with connection.execute_wrapper(failing('"job": "bad"', DataError("unsupported Unicode escape sequence"))):
        turn(held, 0, 15)
        assert alert_names() == {"Broken", "Beside", "Other"}
        assert [one.labels["job"] for one in Instance.objects.filter(rule__name="Broken")] == ["good"]
        turn(held, 30)
    state = RuleState.objects.get(rule__name="Broken")
    assert (state.health, state.since) == ("err", second(15))
    assert "cannot be recorded: DataError: unsupported Unicode" in state.reason
    assert Delivery.objects.count() == 3
    turn(held, 45)  # it can be recorded now: nothing was forgotten, nothing is told twice
    assert Delivery.objects.count() == 4
    turn(held, 60)
    assert RuleState.objects.get(rule__name="Broken").health == "ok"


@pytest.mark.fault("M23")
def test_a_label_that_no_database_can_store_pages_all_the_same(me: Actor, tmp_path: Path) -> None:
    """The whole way: a target exposes NUL, a template makes one, and a label of a query is no text at all."""
    group(
        me,
        "hostile",
        {"alert": "Nul", "expr": "errors > 0", "annotations": {"summary": r'{{ "a\x00b" }} {{ $labels.path }}'}},
        {"alert": "Bytes", "expr": r'label_replace(errors, "x", "\xff\x00", "", "")'},
        {"record": "made", "expr": r'label_replace(errors, "x", "\xff\x00", "", "")'},
    )
    group(me, "good", {"alert": "Good", "expr": "vector(1)"})
    at_ms = round(START.timestamp() * 1000)
    store = Store(tmp_path / "store")
    found = Parser().parse(b'errors{path="/x\x00y"} 1\n')
    layout, stream = store.layout(found.layout.label_sets(), "shop"), store.stream("shop", "shop")
    held = Evaluation(lambda: StoreSource(store, time.monotonic), lambda _group: True, lambda: 0, lambda: True, "")
    for number in range(3):
        store.tick(at_ms + number * 15_000)
        stream.put(at_ms + number * 15_000, layout, np.array([1.0]))
        turn(held, number * 15)
    store.close()
    assert alert_names() == {"Nul", "Bytes", "Good"}
    nul = Alert.objects.get(labels__alertname="Nul")
    assert (nul.name, nul.labels["path"]) == ("a\ufffdb /x\ufffdy", "/x\ufffdy")
    assert set(RuleState.objects.values_list("health", flat=True)) == {"ok"}


@pytest.mark.fault("M1")
@pytest.mark.parametrize(
    "error", [Panic("called `Option::unwrap()` on a `None` value"), RecursionError("deep"), MemoryError()]
)
def test_a_panic_met_by_one_rule_stops_no_other(me: Actor, error: BaseException) -> None:
    group(me, "one", {"alert": "Broken", "expr": "a"}, {"alert": "Beside", "expr": "b"})
    said = Said()
    said.says = {"a": error, "b": [({}, 1.0)]}  # type: ignore[dict-item]  # Said raises Exceptions; a panic is none

    def ask(text: str) -> Vector:
        if text == "a":
            raise error
        return said.says[text]  # type: ignore[return-value]

    said.ask = ask  # type: ignore[method-assign]
    held = evaluating(said)
    turn(held, 0, 15, 30)
    assert alert_names() == {"Beside"}
    state = RuleState.objects.get(rule__name="Broken")
    assert state.health == "err"
    assert f"a defect of Mainstay: {type(error).__name__}" in state.reason


@pytest.mark.fault("M1")
def test_a_query_in_a_template_that_the_parser_cannot_bear_stops_no_rule(me: Actor, tmp_path: Path) -> None:
    asked = (
        "up @ -1m",
        "up offset nan",
        "up[1e300]",
        "up @ 1" + "0" * 400,
        "(" * 9_000,
        "-" * 9_000 + "up",
        '\\"\\\\q\\"',
    )
    group(
        me, "one",
        {"alert": "Odd", "expr": "vector(1)",
         "annotations": {f"a{number}": f'{{{{ query "{text}" }}}}' for number, text in enumerate(asked)}},
        {"alert": "Beside", "expr": "vector(1)"},
    )  # fmt: skip
    store = Store(tmp_path / "store")
    held = Evaluation(lambda: StoreSource(store, time.monotonic), lambda _group: True, lambda: 0, lambda: True, "")
    turn(held, 0, 15)
    store.close()
    assert alert_names() == {"Odd", "Beside"}
    said = Alert.objects.get(labels__alertname="Odd").annotations
    assert said.pop("a0") == "[]"  # a minute before 1970, as Prometheus 3 has it: nothing is there
    assert all(text.startswith("<error expanding template: ") for text in said.values())


@pytest.mark.fault("M1")
def test_a_time_before_1970_in_a_template_stops_no_rule_also_after_a_restart(me: Actor, monitor: Monitor) -> None:
    group(
        me, "one",
        {"alert": "Odd", "expr": "up == 1", "annotations": {"summary": '{{ query "up @ -1m" }}'}},
        {"alert": "Beside", "expr": "up == 1"},
    )  # fmt: skip
    for number in (0, 15, 30):
        if number == 15:
            monitor.restart()
        monitor.store.tick(ms(number))
        layout = monitor.store.layout([{"__name__": "up", "job": "shop"}], "shop")
        monitor.store.stream("shop", "shop").put(ms(number), layout, np.array([1.0]))
        monitor.turn(number)
    assert alert_names() == {"Odd", "Beside"}
    assert Alert.objects.get(labels__alertname="Odd").annotations["summary"] == "[]"  # a time at which nothing was
    assert set(RuleState.objects.values_list("health", flat=True)) == {"ok"}


def test_an_alert_whose_summary_cannot_be_written_is_named_after_its_rule(me: Actor, tmp_path: Path) -> None:
    group(me, "one", {"alert": "Odd", "expr": "vector(1)", "annotations": {"summary": '{{ query "up{" }} is bad'}})
    store = Store(tmp_path / "store")
    held = Evaluation(lambda: StoreSource(store, time.monotonic), lambda _group: True, lambda: 0, lambda: True, "")
    turn(held, 0, 15)
    store.close()
    alert = Alert.objects.get()
    assert alert.name == "Odd"
    assert alert.annotations["summary"].startswith("<error expanding template: ")


def test_a_storm_is_committed_in_pieces_the_severest_first_and_what_was_not_is_done_again(
    me: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "PIECE_MOST_S", 60.0)  # so that the number alone counts, however slow the machine
    group(me, "storm", {"alert": "Storm", "expr": "a", "labels": {"severity": "{{ $labels.severity }}"}})
    said = Said()
    severities = ["minor"] * 40 + ["critical"] * 40 + ["major"] * 40
    said.says["a"] = [({"n": f"{number}", "severity": one}, 1.0) for number, one in enumerate(severities)]
    held = evaluating(said)
    turn(held, 0)
    committed: list[int] = []

    def counting(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if 'INSERT INTO "alerts_alert"' in sql:
            committed.append(1)
            if len(committed) == 60:
                raise OperationalError("the server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(counting), pytest.raises(OperationalError):
        turn(held, 15)
    first = list(Alert.objects.order_by("id").values_list("severity", flat=True))
    assert first == ["critical"] * 40 + ["major"] * 10  # one piece; the second was taken back whole
    turn(held, 16)
    assert Alert.objects.count() == Delivery.objects.count() == Instance.objects.count() == 120
    assert list(Alert.objects.order_by("id").values_list("severity", flat=True))[50:] == ["major"] * 30 + ["minor"] * 40


def test_a_piece_ends_when_its_time_is_over(me: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "PIECE_MOST_S", 0.0)
    group(me, "storm", {"alert": "Storm", "expr": "a"})
    said = Said()
    said.says["a"] = [({"n": f"{number}"}, 1.0) for number in range(5)]
    held = evaluating(said)
    turn(held, 0, 15, 30)
    assert Alert.objects.count() == Delivery.objects.count() == 5


def test_a_rule_that_takes_long_is_evaluated_after_the_others_and_ends(
    me: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "RULE_MOST_S", 0.05)
    monkeypatch.setattr(evaluation, "SLOW_S", 0.02)
    group(
        me, "a slow one", {"alert": "Slow", "expr": "slow", "annotations": {"a": "{{ $value }}", "b": "{{ $value }}"}}
    )
    group(me, "quick", {"alert": "Quick", "expr": "quick"})
    said = Said()
    order: list[str] = []

    def ask(text: str) -> Vector:
        order.append(text)
        if text == "slow":
            order.extend(sorted(alert_names()))
            time.sleep(0.06)
        return [({}, 1.0)] if text == "slow" or order.count("quick") == 2 else []

    said.ask = ask  # type: ignore[method-assign]
    held = evaluating(said)
    turn(held, 0, 15, 30)
    assert order == ["slow", "quick", "quick", "slow", "Quick"]  # what pages is committed before the slow one begins
    state = RuleState.objects.get(rule__name="Slow")
    assert state.health == "err"
    assert "take longer than 0.05 s" in state.reason


BOMBS = (
    '{{ $x := printf "%60000d" 1 }}{{ range 49000 }}{{ $y := reReplaceAll "" "b" $x }}{{ end }}',
    '{{ $x := printf "%60000d" 1 }}{{ range 49000 }}{{ $y := reReplaceAll "( *)*( *)*" "$1" $x }}{{ end }}',
    '{{ $x := printf "%60000d" 1 }}{{ range 49000 }}{{ $y := title $x }}{{ end }}',
    '{{ range 49000 }}{{ $y := printf "%60000d" 1 }}{{ end }}',
    '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
    "{{ range 1000000000 }}{{ range 1000000000 }}{{ end }}{{ end }}",
    '{{ reReplaceAll "\\xff" "\xff" "a" | printf "%q" }}{{ printf "%c" 0 }}',
    '{{ match "(a{1000}){1000}" "a" }}',
    '{{ query "\xff\ud800" }}',
    '{{ parseDuration "99999999999999999999y" }}',
    "{{ toTime 1e300 }}{{ humanizeTimestamp 1e300 }}{{ humanizeDuration 1e300 }}{{ humanize1024 1e308 }}",
)


@pytest.mark.parametrize("text", BOMBS)
def test_a_template_that_means_harm_ends_soon_and_gives_a_text_that_can_be_stored(text: str) -> None:
    began = time.process_time()
    found = Template.compile(text).expand(
        Scope({"path": "\ud800"}, float("nan"), query=lambda asked: [({}, len(asked))])
    )
    assert time.process_time() - began < 5
    assert found == storable(found)
    assert len(found) < 200_000


@given(st.text(st.sampled_from('{}$.|"\\ab01%c()- \n\0\ud800'), max_size=40), st.floats())
def test_any_template_renders_or_says_why_not(inside: str, value: float) -> None:
    for text in (inside, f"{{{{ {inside} }}}}", f'{{{{ printf "{inside}" $value }}}}', f"{{{{ $value | {inside} }}}}"):
        try:
            template = Template.compile(text)
        except TemplateProblem:
            continue
        assert template.expand(Scope({"a": inside}, value)) == storable(template.expand(Scope({"a": inside}, value)))
