"""What pings mean, and noticing the ones that do not come."""

import logging
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks import actions
from mainstay.observe.checks.models import Check, CheckState, Ping, Result
from mainstay.observe.checks.runtime import arrivals
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.tests.parts import MINUTE, after, check, heartbeat, spec, watch, watched
from tests.database import away

pytestmark = pytest.mark.django_db
for_threads = pytest.mark.django_db(transaction=True)  # or for a database that fails
HOUR_S = 3600.0


def ping(
    row: Check, seconds: float, kind: str = "success", run: str = "", body: str = "", status: int | None = None
) -> Ping:
    return Ping.objects.create(check_ref=row, at=after(seconds), kind=kind, run=run, body=body, exit_status=status)


def take(held: Watch) -> None:
    arrivals.take(held, Ping.objects.filter(handled=False).order_by("id"))


def health(row: Check) -> str:
    found: str = CheckState.objects.get(pk=row.pk).health
    return found


def unhandled() -> int:
    return Ping.objects.filter(handled=False).count()


def test_success_is_up_and_moves_the_due_time() -> None:
    row = heartbeat()
    held = watch(row)
    ping(row, 10)
    take(held)
    state = CheckState.objects.get()
    assert (state.health, state.pinged_at, state.due_at) == ("up", after(10), after(10) + 65 * MINUTE)
    assert held.checks[row.pk].due_at == state.due_at
    assert unhandled() == 0


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("fail", None, "The job reported a failure by /fail: no space left"),
        ("fail", 3, "The job reported a failure with exit status 3: no space left"),
    ],
)
def test_failure_is_down_with_the_last_line_of_the_log(kind: str, status: int | None, message: str) -> None:
    row = heartbeat()
    ping(row, 10, kind, body="copying\nno space left\n", status=status)
    take(watch(row))
    state = CheckState.objects.get()
    assert (state.health, state.message, state.last_code) == ("down", message, status)


def test_a_log_means_nothing_but_is_kept() -> None:
    row = heartbeat()
    ping(row, 10, "log", body="half way")
    take(watch(row))
    state = CheckState.objects.get()
    assert (state.health, state.pinged_at, unhandled()) == ("unknown", None, 0)


def test_a_run_is_timed_from_its_start() -> None:
    row = heartbeat(max_runtime="2h")
    held = watch(row)
    ping(row, 10, "start")
    take(held)
    assert CheckState.objects.get().due_at == after(10 + 2 * HOUR_S)
    ping(row, 100)
    take(held)
    assert Ping.objects.get(kind="success").duration_s == 90
    assert Result.objects.get().duration_s == 90
    state = CheckState.objects.get()
    assert (state.started_at, state.due_at) == (None, after(100) + 65 * MINUTE)


def test_start_and_end_that_arrive_together_are_paired() -> None:
    row = heartbeat()
    ping(row, 10, "start")
    ping(row, 25)
    ping(row, 30, "start")
    ping(row, 31, "fail")
    take(watch(row))
    assert list(Ping.objects.exclude(kind="start").order_by("id").values_list("duration_s", flat=True)) == [15, 1]


def test_overlapping_runs_are_told_apart_by_their_id() -> None:
    row = heartbeat(max_runtime="1h")
    held = watch(row)
    for at, kind, run in ((0, "start", "a"), (600, "start", "b"), (900, "success", "a")):
        ping(row, at, kind, run)
        take(held)
    assert Ping.objects.get(kind="success").duration_s == 900
    state = CheckState.objects.get()
    assert (state.started_at, state.due_at) == (after(600), after(600 + HOUR_S))  # b is still under way
    ping(row, 1000, "success", "b")
    take(held)
    assert Ping.objects.get(run="b", kind="success").duration_s == 400
    assert CheckState.objects.get().started_at is None


def test_a_job_that_starts_again_and_again_and_never_ends_is_noticed() -> None:
    row = heartbeat(max_runtime="30m")
    held = watch(row)
    for minute in range(0, 60, 5):
        ping(row, minute * 60, "start")
        take(held)
        arrivals.miss(held, after(minute * 60))
    assert health(row) == "down"
    assert "did not end within 30 min" in Entry.objects.get(facts__health="down").facts["message"]


def test_an_end_without_start_has_no_duration() -> None:
    row = heartbeat()
    ping(row, 10)
    take(watch(row))
    assert Ping.objects.get().duration_s is None


def test_a_ping_that_does_not_come_is_a_failure_once_per_period() -> None:
    row = heartbeat()
    held = watch(row)
    due = 65 * 60
    assert arrivals.miss(held, after(due - 0.001)) == 0
    assert arrivals.miss(held, after(due)) == 1
    state = CheckState.objects.get()
    assert state.health == "down"
    assert state.message.endswith("none has ever come.")
    assert arrivals.miss(held, after(due + 1)) == 0
    assert arrivals.miss(held, after(2 * due)) == 1
    assert Result.objects.filter(health="down").count() == 2
    assert Entry.objects.filter(kind="check.changed").count() == 1


def test_a_late_success_heals() -> None:
    row = heartbeat()
    held = watch(row)
    arrivals.miss(held, after(65 * 60))
    ping(row, 70 * 60)
    take(held)
    assert health(row) == "up"


def test_a_ping_that_lies_unread_in_the_table_is_not_a_missing_one() -> None:
    """After a restart both wait: the ping that came, and the due time that passed."""
    row = heartbeat()
    ping(row, 60 * 60)
    held = watch(row)
    assert arrivals.miss(held, after(66 * 60)) == 0
    take(held)
    assert health(row) == "up"


def test_an_unread_ping_does_not_excuse_for_ever() -> None:
    row = heartbeat()
    ping(row, 60 * 60)
    held = watch(row)
    held.unread.most_s = 0.0
    assert arrivals.miss(held, after(66 * 60)) == 1


def test_pings_are_understood_after_a_restart_in_whatever_order_things_load() -> None:
    row = heartbeat()
    ping(row, 10)
    held = Watch()  # the shards are taken, the checks are not loaded yet
    take(held)
    assert unhandled() == 1
    held.put(watched(row))
    take(held)
    assert (health(row), unhandled()) == ("up", 0)


def test_pings_of_a_check_that_cannot_be_loaded_do_not_pile_up(caplog: pytest.LogCaptureFixture) -> None:
    row = heartbeat()
    ping(row, 10)
    held = Watch()
    held.unknown.most_s = 0.0
    with caplog.at_level(logging.CRITICAL):
        take(held)
    assert unhandled() == 0


def test_pings_of_a_removed_check_are_passed_over(me: Actor) -> None:
    row = heartbeat()
    number = row.pk
    actions.remove_check(row, me, after(1))
    Ping.objects.create(check_ref_id=number, at=after(2), kind="success")
    take(Watch())
    assert unhandled() == 0


def test_a_paused_heartbeat_neither_fails_nor_misses() -> None:
    row = heartbeat(paused=True)
    held = watch(row)
    ping(row, 10, "fail")
    take(held)
    assert arrivals.miss(held, after(10 * HOUR_S)) == 0
    assert (health(row), unhandled()) == ("unknown", 0)


@for_threads
def test_while_the_database_is_away_no_ping_is_lost_or_counted_twice() -> None:
    row = heartbeat()
    held = watch(row)
    first = ping(row, 10, "fail")
    with away(), pytest.raises(DatabaseError):
        arrivals.take(held, [first])
    assert held.checks[row.pk].state.health == "unknown"
    assert unhandled() == 1
    take(held)
    take(held)
    assert (health(row), Result.objects.count()) == ("down", 1)


@for_threads
def test_a_miss_that_could_not_be_committed_is_noticed_again() -> None:
    row = heartbeat()
    held = watch(row)
    with away(), pytest.raises(DatabaseError):
        arrivals.miss(held, after(65 * 60))
    assert arrivals.miss(held, after(65 * 60 + 1)) == 1
    assert health(row) == "down"


def test_a_ping_that_meets_a_reset_is_taken_after_loading_anew(me: Actor) -> None:
    row = heartbeat()
    held = watch(row)
    actions.pause(row, me, after(1), paused=True)
    actions.pause(row, me, after(2), paused=False)
    ping(row, 3, "fail")
    take(held)
    assert (health(row), unhandled(), held.stale) == ("unknown", 1, {row.pk})
    held.put(watched(row))
    take(held)
    assert (health(row), unhandled()) == ("down", 0)


def test_a_monitor_that_was_suspended_does_not_call_missing_what_another_has_heard() -> None:
    row = heartbeat()
    ping(row, 10)
    take(watch(row))
    old, new = watch(row), watch(row)
    ping(row, 60 * 60)
    take(new)  # up as before: nothing that would fence the other one off
    assert arrivals.miss(old, after(66 * 60)) == 0
    assert health(row) == "up"


def test_a_heartbeat_that_is_resumed_gets_a_whole_period(me: Actor) -> None:
    row = heartbeat()
    ping(row, 10)
    take(watch(row))
    actions.pause(row, me, after(60), paused=True)
    actions.pause(row, me, after(9 * HOUR_S), paused=False)
    held = watch(row)
    assert arrivals.miss(held, after(9 * HOUR_S + 60)) == 0
    assert held.checks[row.pk].due_at == after(9 * HOUR_S) + 65 * MINUTE
    assert arrivals.miss(held, after(9 * HOUR_S) + 65 * MINUTE) == 1


def test_an_edited_grace_holds_from_the_last_ping(me: Actor) -> None:
    row = heartbeat()
    ping(row, 10)
    take(watch(row))
    edited = spec("job", heartbeat={"every": "1h", "grace": "2h"})
    actions.put_check(row.application, edited, me, after(20), existing=row)
    state = CheckState.objects.get()
    assert (state.health, state.due_at) == ("up", after(10) + timedelta(hours=3))


def test_an_edited_rhythm_starts_anew(me: Actor) -> None:
    row = heartbeat()
    ping(row, 10)
    take(watch(row))
    edited = spec("job", heartbeat={"every": "1d", "grace": "2h"})
    actions.put_check(row.application, edited, me, after(20), existing=row)
    state = CheckState.objects.get()
    assert (state.health, state.due_at) == ("unknown", after(20) + timedelta(hours=26))


def test_one_bad_heartbeat_does_not_keep_others_from_being_missed(caplog: pytest.LogCaptureFixture) -> None:
    row, other = heartbeat(), heartbeat("other")
    held = watch(row, other)
    CheckState.objects.filter(pk=row.pk).delete()
    with caplog.at_level(logging.CRITICAL):
        arrivals.miss(held, after(66 * 60))
    assert health(other) == "down"


def test_a_check_that_is_probed_takes_no_pings() -> None:
    row = check()
    ping(row, 1)
    take(watch(row))
    assert unhandled() == 0
    assert not Result.objects.exists()


def test_when_many_do_not_come_at_once_they_are_told_in_pieces_the_most_severe_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals, "TURN_S", 60.0)
    rows = [heartbeat(f"j{number}", severity=("minor", "critical")[number % 2]) for number in range(60)]
    held = watch(*rows)
    with CaptureQueriesContext(connection) as seen:
        assert arrivals.miss(held, after(7200)) == 60
    told = list(Entry.objects.filter(kind="check.changed").order_by("id").values_list("subject", flat=True))
    critical = {f"check:{row.pk}" for row in rows if row.severity == "critical"}
    assert len(told) == 60
    assert set(told[:25]) <= critical
    inserts = [query["sql"] for query in seen if query["sql"].startswith("INSERT")]
    assert len([sql for sql in inserts if "check.changed" in sql]) == 3
    assert arrivals.miss(held, after(7200)) == 0


def test_many_pings_are_understood_in_pieces_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstay.observe.checks.runtime.arrivals.TAKEN_AT_ONCE", 4)
    rows = [heartbeat(f"j{number}") for number in range(3)]
    held = watch(*rows)
    for seconds in range(4):
        for row in rows:
            ping(row, seconds, "fail" if seconds % 2 else "success")
    take(held)
    assert unhandled() == 0
    for row in rows:
        told = Entry.objects.filter(subject=f"check:{row.pk}", kind="check.changed").order_by("id")
        assert [entry.facts["health"] for entry in told] == ["up", "down", "up", "down"]
        assert held.checks[row.pk].pinged_at == after(3)
