"""The one transaction that writes what results change: all or nothing, once, and by one writer only."""

import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from django.db import DatabaseError, DataError, IntegrityError
from hypothesis import given
from hypothesis import strategies as st

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal import write as journal
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.foundation.words.text import storable
from mainstay.observe.checks import actions, facts
from mainstay.observe.checks.models import CheckState, Downtime, Result
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.tests.parts import after, check, down, see, slow, spec, up, watch, watched
from tests.database import at_once, away

pytestmark = pytest.mark.django_db
for_threads = pytest.mark.django_db(transaction=True)  # or for a database that fails


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No upper wing listens; a test may add listeners of its own."""
    monkeypatch.setattr(journal, "_handlers", {})


def changes() -> list[str]:
    rows = Entry.objects.filter(kind="check.changed").order_by("id")
    return [f"{row.subject_name} {row.facts['was']}>{row.facts['health']}" for row in rows]


def test_a_change_is_committed_with_its_entry_its_downtime_and_its_result() -> None:
    row = check()
    held = watch(row)
    see(held, up(row, 0), down(row, 60), up(row, 120))
    assert changes() == ["shop/front unknown>up", "shop/front up>down", "shop/front down>up"]
    downtime = Downtime.objects.get()
    assert (downtime.health, downtime.started_at, downtime.ended_at) == ("down", after(60), after(120))
    assert list(Result.objects.order_by("at").values_list("health", flat=True)) == ["up", "down", "up"]
    state = CheckState.objects.get()
    assert (state.health, state.since, state.message, state.changes) == ("up", after(120), "", 3)
    assert (state.first_at, state.last_at, state.last_health) == (after(0), after(120), "up")


def test_downtime_begins_with_the_first_failure_of_the_run() -> None:
    row = check(fail_after=3)
    see(watch(row), up(row, 0), down(row, 60), down(row, 120), down(row, 180))
    assert Downtime.objects.get().started_at == after(60)
    assert Entry.objects.get(facts__health="down").facts["first_bad_at"] == after(60).isoformat()


def test_downtimes_of_a_check_follow_each_other_without_overlap() -> None:
    row = check()
    see(watch(row), up(row, 0), slow(row, 10), down(row, 20), slow(row, 30), up(row, 40), down(row, 50))
    spans = Downtime.objects.order_by("id").values_list("health", "started_at", "ended_at")
    assert list(spans) == [
        ("degraded", after(10), after(20)),
        ("down", after(20), after(30)),
        ("degraded", after(30), after(40)),
        ("down", after(50), None),
    ]


def test_results_that_change_nothing_wait_for_the_next_commit() -> None:
    row = check()
    held = watch(row)
    see(held, up(row))
    assert not held.observe([up(row, 1)])
    assert held.flush() == 0
    assert held.observe([down(row, 2)])
    assert held.flush() == 2


@for_threads
def test_while_the_database_is_away_nothing_is_lost_and_nothing_doubled() -> None:
    row, other = check(), check("back")
    held = watch(row, other)
    see(held, up(row), up(other))
    held.observe([down(row, 1), up(other, 1)])
    for _ in range(3):
        with away(), pytest.raises(DatabaseError):
            held.flush()
        held.observe([up(other, 2)])
    assert changes()[2:] == []
    assert held.checks[row.pk].state.health == "up"  # memory only as far as the database
    assert held.failing() == [row.pk]
    assert held.flush() == 5
    assert changes()[2:] == ["shop/front up>down"]
    assert Result.objects.filter(check_ref=other).count() == 5
    assert held.flush(force=True) == 0
    assert Downtime.objects.count() == 1


def test_a_failure_in_the_middle_of_the_transaction_leaves_nothing(handlers: None, me: Actor) -> None:
    row, other = check(), check("back")
    held = watch(row, other)
    heard = []

    @on(facts.CHECK_CHANGED)
    def handler(entry: Entry) -> None:
        heard.append(entry.subject)
        if len(heard) == 2:
            raise DatabaseError("gone in the middle")

    held.observe([up(row), up(other)])
    with pytest.raises(DatabaseError):
        held.flush()
    assert (changes(), Result.objects.count(), CheckState.objects.filter(health="up").count()) == ([], 0, 0)
    assert held.flush() == 2
    assert len(changes()) == 2


def test_a_handler_that_raises_does_not_hold_up_other_checks(handlers: None, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = check("bad"), check("good")
    held = watch(bad, good)

    @on(facts.CHECK_CHANGED)
    def handler(entry: Entry) -> None:
        if entry.subject == f"check:{bad.pk}":
            raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL):
        see(held, up(bad), up(good), down(bad, 1), down(good, 1))
    assert changes() == ["shop/good unknown>up", "shop/good up>down"]
    assert CheckState.objects.get(pk=bad.pk).health == "unknown"
    assert held.stale == {bad.pk}
    assert set(held.checks) == {good.pk}


@pytest.mark.parametrize("error", [DataError("bad value"), IntegrityError("twice"), TypeError("no")])
def test_a_defect_of_the_content_is_not_tried_for_ever(
    error: Exception, handlers: None, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = check("bad"), check("good")
    held = watch(bad, good)

    @on(facts.CHECK_CHANGED)
    def handler(entry: Entry) -> None:
        if entry.subject == f"check:{bad.pk}":
            raise error

    with caplog.at_level(logging.CRITICAL):
        see(held, up(bad), up(good))
    assert changes() == ["shop/good unknown>up"]
    assert held.flush(force=True) == 0


def test_a_result_that_cannot_be_stored_is_dropped_alone(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = check("bad"), check("good")
    held = watch(bad, good)
    poison = replace(up(bad), facts={"x": object()})
    with caplog.at_level(logging.CRITICAL):
        see(held, poison, up(good), up(good, 1))
    assert changes() == ["shop/good unknown>up"]
    assert Result.objects.count() == 2
    assert held.stale == {bad.pk}


def test_whatever_a_peer_sends_can_be_stored() -> None:
    row = check()
    nasty = "a\0b\ud800c"
    seen = replace(down(row, message=nasty), facts={nasty: [nasty, {"k": nasty}], "é": "€"})
    see(watch(row), seen)
    state = CheckState.objects.get()
    assert state.message == "a\ufffdb\ufffdc"
    assert state.last_facts["é"] == "€"
    assert "\0" not in str(state.last_facts)


@given(st.text())
def test_storable_text_holds_neither_nul_nor_halves_of_pairs(text: str) -> None:
    storable(text).encode()
    assert "\0" not in storable(text)


def test_a_stale_writer_changes_nothing() -> None:
    row = check()
    old, new = watch(row), watch(row)
    see(new, up(row, 0), down(row, 10))
    see(old, up(row, 5))  # suspended, woken up, and not knowing of the other
    assert changes() == ["shop/front unknown>up", "shop/front up>down"]
    assert CheckState.objects.get().health == "down"
    assert old.stale == {row.pk}
    assert not old.checks


def test_a_stale_writer_does_not_even_move_the_counters() -> None:
    row = check(fail_after=3)
    see(watch(row), up(row))
    old, new = watch(row), watch(row)
    see(new, down(row, 1), down(row, 2), down(row, 3))
    see(old, down(row, 1))  # changes nothing by itself
    state = CheckState.objects.get()
    assert (state.failures, state.last_at) == (3, after(3))
    assert Result.objects.count() == 4
    assert old.stale == {row.pk}


@for_threads
def test_of_two_writers_at_once_exactly_one_tells() -> None:
    row = check()
    see(watch(row), up(row))
    writers = [watch(row) for _ in range(4)]
    for number, writer in enumerate(writers):
        writer.observe([down(row, number)])
    at_once(*[lambda writer=writer: writer.flush(force=True) for writer in writers])
    assert changes() == ["shop/front unknown>up", "shop/front up>down"]
    assert Downtime.objects.count() == 1
    assert sum(len(writer.stale) for writer in writers) == 3


@for_threads
def test_flush_and_settle_of_several_threads_neither_lose_nor_double() -> None:
    row, job = check(), check("job", heartbeat={"every": "1h"})
    held = watch(row, job)

    def probe() -> None:
        for number in range(25):
            held.observe([down(row, number) if number % 2 else up(row, number)])
            held.flush(force=True)

    def ping(kind: Any) -> None:
        for number in range(10):
            seen = [kind(job, number)]
            held.settle(seen.copy, lambda _stale: None)

    errors = at_once(probe, lambda: held.flush(force=True), lambda: ping(up), lambda: ping(down))
    assert [error for error in errors if isinstance(error, BaseException)] == []
    held.flush(force=True)
    assert Result.objects.count() == 45
    assert not held.stale
    for one in (row, job):
        state = CheckState.objects.get(pk=one.pk)
        told = Entry.objects.filter(subject=f"check:{one.pk}", kind="check.changed").order_by("id")
        assert state.changes == told.count()
        steps = [(entry.facts["was"], entry.facts["health"]) for entry in told]
        assert all(first[1] == then[0] for first, then in pairwise(steps))
        assert steps[-1][1] == state.health == held.checks[one.pk].state.health.value


def test_a_result_from_before_a_pause_does_not_page_after_it(me: Actor) -> None:
    row = check()
    held = watch(row)
    see(held, up(row))
    held.observe([down(row, 1)])
    actions.pause(row, me, after(2), paused=True)
    held.put(watched(row))  # the monitor notices before the result is committed
    held.flush(force=True)
    assert changes() == ["shop/front unknown>up"]
    assert CheckState.objects.get().health == "unknown"


def test_a_result_from_before_a_pause_is_fenced_even_if_the_monitor_has_not_noticed(me: Actor) -> None:
    row = check()
    held = watch(row)
    see(held, up(row))
    held.observe([down(row, 1)])
    actions.pause(row, me, after(2), paused=True)
    held.flush(force=True)
    assert changes() == ["shop/front unknown>up"]
    assert held.stale == {row.pk}


def test_results_count_on_over_an_edit_that_resets_nothing(me: Actor) -> None:
    row = check(fail_after=3)
    held = watch(row)
    see(held, up(row))
    held.observe([down(row, 1), down(row, 2)])
    actions.put_check(row.application, spec(fail_after=3, severity="minor"), me, after(2), existing=row)
    held.put(watched(row))
    held.observe([down(row, 3)])
    held.flush(force=True)
    assert changes()[1:] == ["shop/front up>down"]
    assert Result.objects.count() == 4


def test_a_check_that_is_loaded_while_its_results_are_committed_is_loaded_again(handlers: None) -> None:
    row = check()
    held = watch(row)

    @on(facts.CHECK_CHANGED)
    def handler(_entry: Entry) -> None:
        held.put(replace(before))

    before = watched(row)
    held.observe([up(row)])
    held.flush(force=True)
    assert held.stale == {row.pk}
    held.put(watched(row))
    see(held, down(row, 1))
    assert changes() == ["shop/front unknown>up", "shop/front up>down"]


def test_results_of_a_removed_check_leave_nothing_behind(me: Actor) -> None:
    row = check()
    held = watch(row)
    held.observe([up(row)])
    number = row.pk
    actions.remove_check(row, me, after(1))
    held.flush(force=True)
    assert not Result.objects.filter(check_ref=number).exists()
    assert changes() == []


def test_a_paused_check_takes_no_results() -> None:
    row = check(paused=True)
    held = watch(row)
    see(held, down(row))
    assert not Result.objects.exists()


def test_when_the_database_is_away_for_long_only_results_that_change_nothing_are_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mainstay.observe.checks.runtime.results.KEPT_MOST", 10)
    row = check()
    held = watch(row)
    with caplog.at_level(logging.CRITICAL):
        held.observe([up(row, 0), *(up(row, number) for number in range(1, 30)), down(row, 30)])
    assert held.lost > 0
    held.flush()
    assert changes() == ["shop/front unknown>up", "shop/front up>down"]


def test_flapping_is_told_once_and_its_end_once() -> None:
    row = check()
    seen = [up(row, 0), *(kind(row, 2 * n + place) for n in range(1, 7) for place, kind in ((0, down), (1, up)))]
    see(watch(row), *seen, *(up(row, 100 + number) for number in range(20)))
    entries = Entry.objects.filter(kind__in=["check.flapping", "check.settled"]).order_by("id")
    kinds = list(entries.values_list("kind", flat=True))
    assert kinds == ["check.flapping", "check.settled"]
    assert CheckState.objects.get().flapping is False


def test_a_restarted_monitor_goes_on_where_the_last_one_was() -> None:
    row = check(fail_after=3)
    see(watch(row), up(row), down(row, 1))
    see(watch(row), down(row, 2))
    see(watch(row), down(row, 3))
    assert changes()[1:] == ["shop/front up>down"]
    assert Downtime.objects.get().started_at == after(1)


def test_a_check_that_is_not_held_is_ignored() -> None:
    row = check()
    held = Watch()
    assert not held.observe([down(row)])
    assert held.flush(force=True) == 0


def test_facts_are_dated_by_their_result_not_by_their_commit() -> None:
    row = check()
    see(watch(row), up(row, 5))
    assert Entry.objects.get(kind="check.changed").at == after(5)
