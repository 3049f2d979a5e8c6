"""What stands around a check: windows, and checks that it needs being down; and marking it as blocked."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.models import Component, Dependency, Environment
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks import actions
from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.models import Check, CheckState, Downtime
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.runtime import reachability
from mainstay.observe.checks.standing import all_labels, around, graph, graph_of, shown, standing, windows
from mainstay.observe.checks.tests.parts import NOON, after, application, check, down, see, up, watch
from mainstay.observe.checks.windows import Window

pytestmark = pytest.mark.django_db


def blocked() -> dict[str, str | None]:
    rows = CheckState.objects.select_related("check_ref", "blocked_by")
    return {row.check_ref.name: row.blocked_by.name if row.blocked_by else None for row in rows}


def test_needs_and_components_make_one_graph() -> None:
    shop = application()
    Environment.objects.create(application=shop, name="production")
    front, database = (Component.objects.create(application=shop, name=name) for name in ("front", "database"))
    Dependency.objects.create(component=front, needs=database)
    a = check("a", component="front", environment="production")
    b = check("b", component="database", environment="production")
    c = check("c", needs=["a"])
    d = check("d", component="database", paused=True)
    assert graph() == {a.pk: {b.pk}, c.pk: {a.pk}}
    assert d.pk not in graph()


def test_without_dependencies_there_is_no_graph() -> None:
    check()
    assert graph() == {}


@pytest.mark.parametrize("seed", range(6))
def test_the_part_of_the_graph_that_is_read_for_some_checks_says_what_the_whole_says(seed: int) -> None:
    chance = random.Random(seed)
    shop = application()
    for name in ("production", "staging"):
        Environment.objects.create(application=shop, name=name)
    parts = [Component.objects.create(application=shop, name=f"p{number}") for number in range(5)]
    for place, part in enumerate(parts):
        for needed in chance.sample(parts[:place], min(place, chance.randint(0, 2))):
            Dependency.objects.create(component=part, needs=needed)
    rows = []
    for number in range(12):
        given = {"component": chance.choice(parts).name} if chance.random() < 0.6 else {}
        given |= {"environment": chance.choice(("production", "staging"))} if chance.random() < 0.7 else {}
        rows.append(check(f"c{number}", paused=chance.random() < 0.2, **given))
    for row in rows:
        row.needs.set(chance.sample([other for other in rows if other != row], chance.choice((0, 0, 1, 2))))
    whole = graph()
    for row in rows:
        assert graph_of([row.pk]) == {check: needed for check, needed in whole.items() if check == row.pk}
    some = {row.pk for row in rows[:4]}
    assert graph_of(some) == {check: needed for check, needed in whole.items() if check in some}


def test_reading_what_stands_around_many_checks_costs_what_one_costs() -> None:
    parent = check("parent")
    rows = [check(f"c{number}", needs=["parent"]) for number in range(10)]
    counts = []
    for some in (rows[:1], rows):
        with CaptureQueriesContext(connection) as seen:
            found = around([row.pk for row in some], windows())
        counts.append(len(seen))
        assert {needed for each in found.needs.values() for needed in each} == {parent.pk}
    assert counts[0] == counts[1] <= 8


def test_hundreds_are_marked_as_blocked_in_few_statements() -> None:
    parent = check("parent")
    rows = [check(f"c{number}") for number in range(30)]
    through = Check.needs.through
    through.objects.bulk_create(through(from_check=row, to_check=parent) for row in rows)
    held = watch(parent, *rows)
    see(held, *(down(row) for row in (parent, *rows)))
    with CaptureQueriesContext(connection) as seen:
        assert reachability.sweep(held, graph(), after(1)) == 30
    assert len(seen) <= 10
    assert Entry.objects.filter(kind="check.blocked").count() == 30


def test_a_needed_check_that_is_down_blocks_and_one_that_is_failing_is_waited_for() -> None:
    parent, child = check("parent", fail_after=2), check("child", needs=["parent"])
    held = watch(parent, child)
    see(held, up(parent, 0), up(child, 0), down(child, 20))
    assert standing(child, after(20), after(20)).waits_for == "shop/parent"  # not asked since the trouble began
    see(held, up(parent, 21))
    assert standing(child, after(21), after(20)).waits_for == ""
    see(held, down(parent, 22))
    assert standing(child, after(22), after(20)).waits_for == "shop/parent"
    see(held, down(parent, 23))
    found = standing(child, after(23), after(20))
    assert (found.blocked_by, found.back) == ("shop/parent", "")


def test_after_a_needed_check_is_back_the_child_gets_a_chance_to_follow() -> None:
    parent, child = check("parent"), check("child", needs=["parent"], recover_after=2)
    held = watch(parent, child)
    see(held, up(parent), up(child), down(parent, 10), down(child, 11), up(parent, 60))
    found = standing(child, after(60), after(11))
    assert (found.blocked_by, found.back, found.back_at) == ("", "shop/parent", after(60))
    see(held, up(child, 61))  # on its way, and not failing
    assert standing(child, after(61), after(11)).back == "shop/parent"
    see(held, down(child, 62))  # it fails by itself
    assert standing(child, after(62), after(11)).back == ""


def test_a_paused_needed_check_is_no_excuse(me: Actor) -> None:
    parent, child = check("parent"), check("child", needs=["parent"])
    see(watch(parent, child), down(parent), down(child, 1))
    assert standing(child, after(1), after(1)).blocked_by == "shop/parent"
    actions.pause(parent, me, after(2), paused=True)
    assert standing(child, after(2), after(1)).blocked_by == ""


def test_the_window_that_covers_is_found_by_labels(me: Actor) -> None:
    row = check(labels={"tier": "1"})
    window = Window("deploy", match=Matchers.read({"tier": "1", "check": "front"}), starts_at=NOON, ends_at=after(60))
    announced = actions.announce(window, me, NOON)
    found = standing(row, after(1), NOON).cover
    assert found is not None
    assert (found.window.name, found.until) == ("deploy", after(60))
    assert standing(row, after(60), NOON).cover is None
    actions.cancel(announced, me, after(2))
    assert windows() == []


def test_labels_tell_what_a_check_belongs_to() -> None:
    row = check(labels={"check": "a liar", "own": "1"})
    assert all_labels(row) == {"own": "1", "application": "shop", "check": "front", "kind": "http", "severity": "major"}


def test_a_child_and_a_grandchild_of_a_down_check_are_marked_and_freed() -> None:
    a = check("a")
    b, c = check("b", needs=["a"]), check("c", needs=["b"])
    held = watch(a, b, c)
    see(held, *(up(row) for row in (a, b, c)), *(down(row, 10) for row in (a, b, c)))
    assert reachability.sweep(held, graph(), after(11)) == 2
    assert blocked() == {"a": None, "b": "a", "c": "a"}
    assert reachability.sweep(held, graph(), after(12)) == 0
    see(held, up(a, 20))
    assert reachability.sweep(held, graph(), after(21)) == 2
    assert blocked() == {"a": None, "b": None, "c": "b"}
    see(held, up(b, 30), up(c, 30))
    reachability.sweep(held, graph(), after(31))
    assert blocked() == {"a": None, "b": None, "c": None}
    told = Entry.objects.filter(kind__in=["check.blocked", "check.unblocked"]).order_by("id")
    assert [(row.subject_name, row.kind.removeprefix("check.")) for row in told] == [
        ("shop/b", "blocked"), ("shop/c", "blocked"),
        ("shop/b", "unblocked"), ("shop/c", "blocked"),
        ("shop/c", "unblocked"),
    ]  # fmt: skip


def test_going_down_again_before_the_sweep_leaves_memory_and_database_in_step() -> None:
    a, b = check("a"), check("b", needs=["a"])
    held = watch(a, b)
    see(held, down(a), down(b))
    reachability.sweep(held, graph(), after(1))
    see(held, up(b, 2), down(b, 3))
    reachability.sweep(held, graph(), after(4))
    assert blocked() == {"a": None, "b": "a"}


def test_a_check_that_needs_nothing_any_more_is_freed() -> None:
    a, b = check("a"), check("b", needs=["a"])
    held = watch(a, b)
    see(held, down(a), down(b))
    reachability.sweep(held, graph(), after(1))
    actions.set_needs(b, [])
    assert reachability.sweep(held, graph(), after(2)) == 1
    assert blocked() == {"a": None, "b": None}


def test_a_state_that_another_writer_moved_on_is_left_as_it_is() -> None:
    a, b, c = check("a"), check("b", needs=["a"]), check("c", needs=["a"])
    held = watch(a, b, c)
    see(held, down(a), down(b), down(c))
    CheckState.objects.filter(pk=b.pk).update(health="up", changes=F("changes") + 1)
    assert reachability.sweep(held, graph(), after(1)) == 1
    assert blocked() == {"a": None, "b": None, "c": "a"}
    assert not Entry.objects.filter(kind="check.blocked", subject_name="shop/b").exists()


def test_many_blocked_checks_are_few_short_transactions_the_most_severe_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "TURN_S", 60.0)
    a = check("a")
    names = [f"b{number}" for number in range(120)]
    rows = [check(name, severity="critical" if name == "b119" else "minor") for name in names]
    held = watch(a, *rows)
    see(held, down(a), *(down(row) for row in rows))
    needs = {row.pk: frozenset({a.pk}) for row in rows}
    with CaptureQueriesContext(connection) as asked:
        assert reachability.sweep(held, needs, after(1)) == 120
    statements = [query["sql"] for query in asked]
    assert sum("SAVEPOINT" in sql and not sql.startswith("RELEASE") for sql in statements) == 3
    assert sum("UPDATE checks_checkstate" in sql.replace('"', "") for sql in statements) == 3
    told = Entry.objects.filter(kind="check.blocked").order_by("id")
    assert [told.first().subject_name, told.count()] == ["shop/b119", 120]  # type: ignore[union-attr]  # there is one


def test_a_round_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "AT_ONCE", 2)
    monkeypatch.setattr(reachability, "TURN_S", 0.0)
    a = check("a")
    rows = [check(f"b{number}") for number in range(7)]
    held = watch(a, *rows)
    see(held, down(a), *(down(row) for row in rows))
    needs = {row.pk: frozenset({a.pk}) for row in rows}
    assert [reachability.sweep(held, needs, after(second)) for second in (1, 2, 3, 4, 5)] == [2, 2, 2, 1, 0]


@pytest.mark.fault("C12")
def test_extra_probes_for_children_do_not_bring_a_parent_down() -> None:
    parent = check("parent", every="20s", fail_after=2)
    children = [check(f"child{number}", needs=["parent"]) for number in range(5)]
    held = watch(parent, *children)
    see(held, up(parent), *(up(row) for row in children))
    for number, row in enumerate(children):
        see(held, down(row, 10.1 + number / 10), replace(down(parent, 10.15 + number / 10), extra=True))
    state = CheckState.objects.get(pk=parent.pk)
    assert (state.health, state.failures, state.last_health) == ("up", 0, "down")
    assert standing(children[0], after(11), after(10.1)).waits_for == "shop/parent", "its verdict is out"
    see(held, down(parent, 20))
    assert CheckState.objects.get(pk=parent.pk).health == "up"
    see(held, down(parent, 40))
    assert standing(children[0], after(40), after(10.1)).blocked_by == "shop/parent"
    assert Downtime.objects.get(check_ref=parent).started_at == after(10.15), "down since it was first seen failing"


def test_an_extra_probe_that_succeeds_lets_the_child_page_and_ends_the_parents_run_of_failures() -> None:
    parent, child = check("parent", fail_after=2), check("child", needs=["parent"])
    held = watch(parent, child)
    see(held, up(parent), up(child), down(parent, 10), down(child, 11))
    assert standing(child, after(11), after(11)).waits_for == "shop/parent"
    see(held, replace(up(parent, 11.2), extra=True))
    assert standing(child, after(12), after(11)).waits_for == ""
    see(held, down(parent, 20))
    assert CheckState.objects.get(pk=parent.pk).health == "up", "two failures, but not in a row"


@pytest.mark.parametrize("late", [False, True])
def test_what_people_see_follows_the_row_the_windows_and_the_time(late: bool) -> None:
    row = check(every="30s")
    see(watch(row), up(row))
    row = Check.objects.select_related("application", "state").get()
    now = after(120 if late else 10)
    assert shown(row, row.state, [], now, all_labels(row)).status is (Status.UNKNOWN if late else Status.UP)
    covering = Window("w", starts_at=NOON, ends_at=NOON + timedelta(hours=1))
    assert shown(row, row.state, [covering], now, all_labels(row)).status is Status.MAINTENANCE


def test_a_resumed_check_is_not_overdue_until_a_result_was_due_since(me: Actor) -> None:
    row = check(every="60s", timeout="10s")
    see(watch(row), up(row))
    actions.pause(row, me, after(600), paused=True)
    actions.pause(row, me, after(90_000), paused=False)
    row = Check.objects.select_related("application", "state").get()
    (full,), (lean,) = listing.read(Check.objects.all()), listing.read_lean(Check.objects.all())
    for seconds, reason in ((90_001, ""), (90_130, ""), (90_131, "overdue")):
        now = after(seconds)
        found = shown(row, row.state, [], now, all_labels(row))
        assert found.status is Status.UNKNOWN
        assert found.reason.startswith(reason) if reason else found.reason == ""
        assert full.shown([], now) == lean.shown([], now) == found


@pytest.mark.fault("D18")
@pytest.mark.parametrize(
    "window",
    [
        {"starts_at": after(100), "ends_at": after(4000)},
        {"cron": "*/5 * * * *", "duration": timedelta(minutes=3)},
    ],
)
def test_maintenance_is_since_the_window_began_and_not_since_the_health(window: dict[str, Any]) -> None:
    row = check()
    see(watch(row), up(row))
    row = Check.objects.select_related("application", "state").get()
    began = window.get("starts_at", after(300))
    seen = shown(row, row.state, [Window("w", **window)], began + timedelta(seconds=20), all_labels(row))
    assert (seen.status, seen.since) == (Status.MAINTENANCE, began)
