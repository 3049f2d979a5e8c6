"""The monitor holds, probes and measures what it should, whatever failed meanwhile: driven as its cycles drive it."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.foundation import environment as env
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.models import Process, Revision
from mainstay.foundation.processes.run import lower
from mainstay.observe.checks.actions import pause, put_check, remove_check
from mainstay.observe.checks.models import Check, CheckState, Lease
from mainstay.observe.checks.probe.engine import Result
from mainstay.observe.checks.probe.outcome import Health as Outcomes
from mainstay.observe.checks.probe.outcome import Outcome
from mainstay.observe.checks.runtime.holding import changes
from mainstay.observe.checks.runtime.shards import shard_of
from mainstay.observe.checks.runtime.watching import Watching
from mainstay.observe.checks.tests.parts import NOON, after, application, check, heartbeat, spec, up
from mainstay.respond.alerts.models import Alert
from mainstay.role import end, works_of

pytestmark = pytest.mark.django_db
ROUND = timedelta(seconds=31)  # longer than what is wanted stays fresh
RARE: dict[str, Any] = {"http": {"url": "http://127.0.0.1:1/"}, "every": "1d"}


@contextmanager
def monitoring(home: Path) -> Iterator[Watching]:
    """A monitor that has all shards and whose prober runs; its cycles are called by hand."""
    works = works_of("monitor", env.read({"MAINSTAY_HOME": str(home), "METRICS_URL": "http://127.0.0.1:9"}))
    made = lower(works, Watching)
    made.prober.start()
    try:
        yield made
    finally:
        made.prober.stop(2.0)


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Watching]:
    with monitoring(tmp_path) as made:
        yield made
    for code in [notice["code"] for notice in notices.told()]:
        notices.end(str(code))


def process(name: str = "here", at: datetime = NOON) -> int:
    return Process.objects.create(role="monitor", host=name, pid=1, boot="", started_at=at, beat_at=at).pk


def probed(monitor: Watching) -> set[int]:
    """What the prober probes, once its loop has taken over what it was told."""
    turned = threading.Event()
    monitor.prober._post(turned.set)
    assert turned.wait(5.0)
    return set(monitor.prober.held())


@contextmanager
def refusing(
    number: int, raised: Callable[[], Exception] = lambda: OperationalError("database is locked")
) -> Iterator[None]:
    """Let the statement of this number fail, as a database that is locked or away would."""
    left = number

    def execute(run: Any, sql: str, *rest: Any) -> Any:
        nonlocal left
        if not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            left -= 1
            if left == 0:
                raise raised()
        return run(sql, *rest)

    with connection.execute_wrapper(execute):
        yield


# --- the comparison ------------------------------------------------------------------------------------------------

VERSIONS = st.dictionaries(st.integers(0, 20), st.integers(0, 3))


@given(VERSIONS, VERSIONS)
def test_what_is_held_becomes_what_is_wanted_and_nothing_else_is_touched(
    wanted: dict[int, int], held: dict[int, int]
) -> None:
    found = changes(wanted, held)
    after = {key: version for key, version in held.items() if key not in found.drop}
    after |= {key: wanted[key] for key in found.put}
    assert after == wanted
    assert not set(found.put) & set(found.drop)
    assert all(held.get(key) != wanted[key] for key in found.put)


# --- four ways in which checks were no longer probed ---------------------------------------------------------------


def test_checks_loaded_before_the_database_failed_are_probed_by_the_next_round(
    monitor: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainstay.observe.checks.runtime.holding.LOADED_AT_ONCE", 1)
    rows = {check(name, **RARE).pk for name in ("a", "b", "c")}
    one = process()
    monitor.hold(NOON, one)
    with pytest.raises(OperationalError), refusing(7):
        monitor.reload(NOON, one)
    assert len(probed(monitor)) in {1, 2}, "the database failed in the midst"
    monitor.reload(after(1), one)
    assert probed(monitor) == rows == set(monitor.watch.checks)


def test_a_check_let_go_is_taken_again_though_the_database_failed_in_between(monitor: Watching) -> None:
    row, one = check(**RARE), process()
    monitor.reload(NOON, one)
    monitor.watch.checks.pop(row.pk)
    monitor.watch.stale.add(row.pk)
    for statement in (1, 2):
        with pytest.raises(OperationalError), refusing(statement):
            monitor.reload(after(1), one)
    monitor.reload(after(2), one)
    assert set(monitor.watch.checks) == {row.pk} == probed(monitor)


def test_shards_that_come_while_checks_are_loaded_are_loaded_next(monitor: Watching) -> None:
    rows = {check(f"c{n}", **RARE).pk for n in range(64)}  # one in each shard, whichever of these the other takes
    one, other = process(), process("other")
    monitor.hold(NOON, one)
    Lease.objects.filter(shard=shard_of(min(rows))).update(holder=other)
    monitor.hold(NOON, one)
    assert not {shard_of(row) for row in rows} <= monitor.shards
    Process.objects.filter(pk=other).delete()

    def execute(run: Any, sql: str, *rest: Any) -> Any:
        found = run(sql, *rest)
        if "checks_checkstate" in sql and len(monitor.shards) < 64:
            monitor.hold(after(1), one)  # as the cycle of leases does, beside the one that loads
        return found

    with connection.execute_wrapper(execute):
        monitor.reload(after(1), one)
    monitor.reload(after(2), one)
    assert probed(monitor) == rows == set(monitor.watch.checks)


def test_a_check_of_an_unknown_kind_costs_only_itself(monitor: Watching, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = check("good", **RARE), check("bad", **RARE)
    Check.objects.filter(pk=bad.pk).update(kind="telepathy")
    one = process()
    for seconds in (0, 1, 2, 40, 80):
        monitor.reload(after(seconds), one)
    assert probed(monitor) == {good.pk} == set(monitor.watch.checks)
    state = CheckState.objects.get(pk=bad.pk)
    assert "no kind of check called 'telepathy'" in state.unusable
    assert [record.getMessage() for record in caplog.records if "telepathy" in record.getMessage()] == [
        f"{bad} cannot be probed: {state.unusable}"
    ], "said once"
    assert [notice["title"] for notice in notices.told()] == [f"1 check cannot be probed: {bad}."]
    Check.objects.filter(pk=bad.pk).update(kind="http")
    monitor.reload(after(120), one)
    assert probed(monitor) == {good.pk, bad.pk}
    assert CheckState.objects.get(pk=bad.pk).unusable == ""
    monitor.reload(after(121), one)
    assert notices.told() == []


def test_a_plan_that_the_prober_refuses_costs_only_its_check(monitor: Watching) -> None:
    good, bad = check("good", **RARE), check("bad", **RARE)
    Check.objects.filter(pk=bad.pk).update(every_s=0.001)
    one = process()
    monitor.reload(NOON, one)
    assert probed(monitor) == {good.pk} == set(monitor.watch.checks)
    assert "the interval must be at least" in CheckState.objects.get(pk=bad.pk).unusable


def test_an_edit_that_nobody_announced_is_noticed_within_half_a_minute(monitor: Watching) -> None:
    row, one = check(**RARE), process()
    monitor.reload(NOON, one)
    Check.objects.filter(pk=row.pk).update(fail_after=7, version=F("version") + 1)
    monitor.reload(after(31), one)
    assert monitor.watch.checks[row.pk].thresholds.fail_after == 7


def test_results_count_on_though_only_the_prober_had_lost_a_check(monitor: Watching) -> None:
    row, one = check(**RARE), process()
    monitor.reload(NOON, one)
    held = monitor.watch.checks[row.pk]
    monitor.watch.observe([up(row)])
    monitor.prober.update((), [row.pk])
    assert probed(monitor) == set()
    monitor.reload(after(6), one)
    assert probed(monitor) == {row.pk}
    assert monitor.watch.checks[row.pk] is held


def test_metrics_that_refuse_a_check_keep_nothing_from_being_probed(
    monitor: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, one = {check(name, **RARE).pk for name in ("a", "b")}, process()

    def know(*_given: Any) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(monitor.holding.metrics, "know", know)
        monitor.reload(NOON, one)
    assert probed(monitor) == rows
    assert monitor.holding.metrics.known() == {}
    monitor.reload(NOON + ROUND, one)
    assert set(monitor.holding.metrics.known()) == rows


# --- what others need ----------------------------------------------------------------------------------------------


def test_a_parent_is_asked_at_once_and_goes_down_by_its_own_interval_only(
    monitor: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = check("parent", every="20s", fail_after=2)
    children = [check(f"child{number}", needs=["parent"]) for number in range(3)]
    one = process()
    asked: list[int] = []
    monkeypatch.setattr(monitor.prober, "probe_now", asked.append)
    monkeypatch.setattr(monitor.prober, "update", lambda *_given: None)  # results come from here alone
    monitor.reload(NOON, one)

    def see(row: Check, seconds: float, health: Outcomes, *, extra: bool = False) -> None:
        at = after(seconds).timestamp()
        monitor.results([Result(row.pk, at, Outcome(health, at, 0.1, "Refused."), extra)])
        monitor.watch.flush(force=True)

    for row in (parent, *children):
        see(row, 0, Outcomes.UP)
    for number, row in enumerate(children):
        see(row, 10 + number / 10, Outcomes.DOWN)
        monitor.sweep(after(10.05 + number / 10), one)
        see(parent, 10.07 + number / 10, Outcomes.DOWN, extra=True)
    assert asked == [parent.pk] * 3
    assert set(Alert.objects.values_list("check_ref_id", flat=True)) == {row.pk for row in children}
    assert set(Alert.objects.values_list("decision", flat=True)) == {"waiting_for_needed"}
    see(parent, 20, Outcomes.DOWN)
    assert not Alert.objects.filter(check_ref=parent).exists(), "one failure of its own interval"
    see(parent, 40, Outcomes.DOWN)
    assert Alert.objects.get(check_ref=parent).started_at == after(40)


# --- any order of anything ---------------------------------------------------------------------------------------

ACTS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(("probed", "heartbeat", "paused"))),
    st.tuples(
        st.sampled_from(("edit", "pause", "remove", "vanish", "corrupt", "restore", "let go")), st.integers(0, 5)
    ),
    st.tuples(st.sampled_from(("other comes", "other goes", "round")), st.just(0)),
    st.tuples(st.sampled_from(("database", "prober", "metrics", "watch")), st.integers(1, 14)),
)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_while_it_stops_is_one_sentence_and_all_else_ends(
    monitor: Watching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process_id = process()
    Lease.objects.update_or_create(shard=1, defaults={"holder": process_id})

    def gone(*, force: bool) -> int:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(monitor.watch, "flush", gone)
    with caplog.at_level(logging.WARNING):
        end([monitor], process_id)
    assert [record.getMessage() for record in caplog.records] == [
        "the last results: not stored on stopping: the database refuses: the connection is closed"
    ]
    assert not Lease.objects.filter(holder=process_id).exists()


class World:
    """A monitor and people who do things around it."""

    def __init__(self, monitor: Watching) -> None:
        self.monitor = monitor
        self.at = NOON
        self.one = process()
        self.made = 0
        self.others: list[int] = []

    def round(self, seconds: float = 0.5) -> None:
        self.at += timedelta(seconds=seconds)
        Process.objects.filter(pk__in=[self.one, *self.others]).update(beat_at=self.at)
        self.monitor.hold(self.at, self.one)
        self.monitor.reload(self.at, self.one)
        probed(self.monitor)

    def act(self, what: str, which: Any) -> None:
        if what == "add":
            self.made += 1
            name = f"c{self.made}"
            heartbeat(name) if which == "heartbeat" else check(name, paused=which == "paused", **RARE)
        elif what == "other comes":
            self.others.append(process(f"other{len(self.others)}", self.at))
        elif what == "other goes" and self.others:
            gone = self.others.pop()
            Process.objects.filter(pk=gone).delete()
        elif what == "round":
            self.round()
        elif isinstance(which, int) and what in {"database", "prober", "metrics", "watch"}:
            self.fail(what, which)
        elif what not in {"other goes"}:
            self.change(what, which)

    def change(self, what: str, which: int) -> None:
        rows = list(Check.objects.select_related("application").order_by("pk"))
        if not rows:
            return
        row = rows[which % len(rows)]
        whole = row.kind == "heartbeat" or (row.kind == "http" and "url" in row.config)
        if what == "edit" and whole and row.kind == "http":
            put_check(application(), spec(row.name, severity="minor", paused=row.paused, **RARE), COMMAND_LINE,
                      self.at, existing=row)  # fmt: skip
        elif what == "pause":
            pause(row, COMMAND_LINE, self.at, paused=not row.paused)
        elif what == "remove":
            remove_check(row, COMMAND_LINE, self.at)
        elif what == "vanish":
            Check.objects.filter(pk=row.pk).update(kind="telepathy", version=F("version") + 1)
        elif what == "corrupt" and row.kind == "http":
            Check.objects.filter(pk=row.pk).update(config={"link": 5}, version=F("version") + 1)
            Revision.bump("checks")
        elif what == "restore" and row.kind in {"http", "telepathy"}:
            Check.objects.filter(pk=row.pk).update(kind="http", config={"url": "http://127.0.0.1:1/"})
        elif what == "let go":
            self.monitor.watch.checks.pop(row.pk, None)

    def fail(self, what: str, number: int) -> None:
        """A round in which the n-th statement, or the n-th call of the prober, the metrics or the watch, fails."""
        if what == "database":
            with refusing(number):
                self.tolerated()
            return
        monitor, left = self.monitor, number
        owner, name = {
            "prober": (monitor.prober, "update"),
            "metrics": (monitor.holding.metrics, "know"),
            "watch": (monitor.watch, "put"),
        }[what]
        real = getattr(owner, name)

        def broken(*given: Any) -> Any:
            nonlocal left
            left -= 1
            if left % 3 == 0:
                raise ValueError("no")
            return real(*given)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(owner, name, broken)
            self.tolerated()

    def tolerated(self) -> None:
        try:
            with transaction.atomic():
                self.round()
        except (OperationalError, ValueError):
            pass

    def assert_all_is_held(self) -> None:
        rows = list(Check.objects.select_related("state"))
        mine = [
            row
            for row in rows
            if shard_of(row.pk) in set(Lease.objects.filter(holder=self.one).values_list("shard", flat=True))
        ]
        usable = [row for row in mine if row.kind != "telepathy" and "link" not in row.config]
        monitor = self.monitor
        assert {one.id: one.version for one in monitor.watch.checks.values()} == {row.pk: row.version for row in usable}
        assert monitor.prober.held() == {
            row.pk: row.version for row in usable if not row.paused and row.kind != "heartbeat"
        }
        assert monitor.holding.metrics.known() == {row.pk: row.version for row in usable if not row.paused}
        assert {row.pk for row in mine if row.state.unusable} == {row.pk for row in mine} - {row.pk for row in usable}


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(acts=st.lists(ACTS, max_size=14))
def test_whatever_happened_two_rounds_later_all_that_is_wanted_is_held(
    acts: list[tuple[str, Any]], tmp_path: Path
) -> None:
    with transaction.atomic(), monitoring(tmp_path) as monitor:
        world = World(monitor)
        for what, which in acts:
            world.act(what, which)
        world.round(31)
        world.round(31)
        world.assert_all_is_held()
        transaction.set_rollback(True)
    notices.end("unusable")
