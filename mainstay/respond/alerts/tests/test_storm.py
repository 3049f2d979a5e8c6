"""Hundreds of checks fail at once and come back: in bounded transactions, the most severe first, nothing lost."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from mainstay.foundation import pieces
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.actions import remove_application
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal import write as journal
from mainstay.foundation.journal.kinds import EntryKind
from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks import facts as checks
from mainstay.observe.checks.actions import announce, pause, remove_check
from mainstay.observe.checks.models import Check, CheckState, Result
from mainstay.observe.checks.runtime.results import CHANGES_AT_ONCE, Watch
from mainstay.observe.checks.tests.parts import NOON, after, application, down, up, watch
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.actions import acknowledge, consider_due, unacknowledge
from mainstay.respond.alerts.decide import LOOK_LATER, LOOK_RARELY
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.alerts.routes import remove_route
from mainstay.respond.alerts.tests.parts import KIM, channel, events
from mainstay.respond.delivery.models import Channel, Delivery

pytestmark = pytest.mark.django_db

STATEMENTS_OF_A_PIECE = 45  # whatever is in it
STATEMENTS_OF_A_DECISION = 25  # of one transaction of decisions
WAITS_MOST_S = 2.0


def many(number: int, **given: object) -> list[Check]:
    """Checks of all severities in turn, each up once."""
    shop = application()
    rows = Check.objects.bulk_create(
        Check(
            application=shop, name=f"c{place}", kind="tcp", fail_after=1, recover_after=1, created_at=NOON,
            severity=("minor", "major", "critical")[place % 3], **given,
        )
        for place in range(number)
    )  # fmt: skip
    CheckState.objects.bulk_create(
        CheckState(check_ref=row, health="up", since=NOON, last_at=NOON, first_at=NOON) for row in rows
    )
    return rows


def all_down(held: Watch, rows: list[Check], seconds: float = 60) -> None:
    held.observe(down(row, seconds) for row in rows)
    flushed(held)


def flushed(held: Watch) -> None:
    while held.flush(force=True):
        pass


def decided(seconds: float) -> int:
    """Let the worker decide until nothing is due."""
    done = 0
    while found := consider_due(after(seconds)):
        done += found
    return done


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Callable[[EntryKind], list[int]]:
    """How many entries of a kind are written together, each time."""
    monkeypatch.setattr(journal, "_handlers", {kind: list(those) for kind, those in journal._handlers.items()})

    def listen(kind: EntryKind) -> list[int]:
        seen: list[int] = []
        journal.on_all(kind)(lambda entries: seen.append(len(entries)))
        return seen

    return listen


@pytest.fixture
def no_piece_lasts_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are of full size, however slow the machine is."""
    monkeypatch.setattr(pieces, "LASTS_S", float("inf"))


# --- how much at once ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_piece_lasts_too_long")
def test_a_piece_costs_as_many_statements_as_a_single_change(ops: Channel) -> None:
    rows = many(2 * CHANGES_AT_ONCE + 1)
    held = watch(*rows)
    counts = []
    for some in (rows[:1], rows[1 : CHANGES_AT_ONCE + 1]):
        held.observe(down(row, 60) for row in some)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            held.flush()
        counts.append(len(seen))
    assert counts[0] == counts[1] <= STATEMENTS_OF_A_PIECE
    assert Delivery.objects.count() == CHANGES_AT_ONCE + 1


@pytest.mark.usefixtures("no_piece_lasts_too_long")
def test_a_piece_of_recoveries_costs_as_many_statements_as_a_single_one(ops: Channel) -> None:
    rows = many(CHANGES_AT_ONCE + 1)
    held = watch(*rows)
    all_down(held, rows)
    counts = []
    for some in (rows[:1], rows[1:]):
        held.observe(up(row, 120) for row in some)
        with CaptureQueriesContext(connection) as seen:
            held.flush()
        counts.append(len(seen))
    assert counts[0] == counts[1] <= STATEMENTS_OF_A_PIECE
    assert not Alert.objects.filter(ended_at=None).exists()


@pytest.mark.fault("R1")
def test_an_outage_and_the_recovery_are_written_in_pieces(
    ops: Channel, groups: Callable[[EntryKind], list[int]]
) -> None:
    changed = groups(checks.CHECK_CHANGED)
    rows = many(60)
    held = watch(*rows)
    all_down(held, rows)
    assert sum(changed) == 60
    assert max(changed) <= CHANGES_AT_ONCE
    held.observe(up(row, 120) for row in rows)
    flushed(held)
    assert sum(changed) == 120
    assert max(changed) <= CHANGES_AT_ONCE
    assert sorted(events()) == ["resolve ops"] * 60 + ["trigger ops"] * 60


def test_the_most_severe_are_written_first(ops: Channel) -> None:
    rows = many(60)
    all_down(watch(*rows), rows)
    severities = list(Alert.objects.order_by("id").values_list("severity", flat=True))
    assert severities[:40] == ["critical"] * 20 + ["major"] * 20


def test_a_severe_outage_passes_those_that_wait(ops: Channel) -> None:
    rows = many(90)
    minor, critical = [row for row in rows if row.severity == "minor"], [r for r in rows if r.severity == "critical"]
    held = watch(*rows)
    held.observe(down(row, 60) for row in minor)
    late = iter([critical[:3]])

    @journal.on_all(checks.CHECK_CHANGED)
    def meanwhile(_entries: object) -> None:
        held.observe(down(row, 61) for row in next(late, []))

    try:
        flushed(held)
    finally:
        journal._handlers[checks.CHECK_CHANGED.name].remove(meanwhile)
    severities = list(Alert.objects.order_by("id").values_list("severity", flat=True))
    assert set(severities[CHANGES_AT_ONCE : CHANGES_AT_ONCE + 3]) == {"critical"}
    assert len(severities) == 33


@pytest.mark.long
def test_the_steps_of_one_check_stay_in_order_over_pieces(ops: Channel) -> None:
    rows = many(40)
    held = watch(*rows)
    for seconds in range(6):
        held.observe((down if seconds % 2 == 0 else up)(row, seconds) for row in rows)
    flushed(held)
    assert Result.objects.count() == 240
    for row in rows[:3]:
        told = Entry.objects.filter(subject=f"check:{row.pk}", kind="check.changed").order_by("id")
        assert [entry.facts["health"] for entry in told] == ["down", "up"] * 3
    assert not held.stale
    assert {watched.changes for watched in held.checks.values()} == {6}


def test_one_check_that_cannot_be_recorded_costs_only_itself(ops: Channel, caplog: pytest.LogCaptureFixture) -> None:
    rows = many(30)
    held = watch(*rows)
    bad = rows[7]

    def refused(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        if "alerts_alert" in sql and sql.startswith("INSERT") and f"'check:{bad.pk}'" in repr(params):
            raise DataError("no")
        return execute(sql, params, many, context)

    with caplog.at_level("CRITICAL"), connection.execute_wrapper(refused):
        all_down(held, rows)
    assert Alert.objects.count() == Delivery.objects.count() == 29
    assert held.stale == {bad.pk}
    assert CheckState.objects.get(pk=bad.pk).health == "up"


@pytest.mark.django_db(transaction=True)
def test_killed_between_two_pieces_nothing_is_lost_and_nothing_pages_twice(owed: Channel) -> None:
    rows = many(60)
    first = watch(*rows)
    first.observe(down(row, 60) for row in rows)
    pieces = 0

    def second_fails(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        nonlocal pieces
        pieces += "alerts_alert" in sql and sql.startswith("INSERT")
        if pieces == 2:
            raise OperationalError("killed")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(second_fails), pytest.raises(OperationalError):
        flushed(first)
    connection.close()
    written = Alert.objects.count()
    assert 0 < written < 60
    assert Delivery.objects.count() == written
    then = watch(*rows)  # another process begins from what the database has
    all_down(then, rows, 70)
    flushed(first)  # and the first, which was only suspended, changes nothing any more
    assert events() == ["trigger ops"] * 60
    assert Alert.objects.count() == 60


@pytest.mark.fault("R1")
@pytest.mark.django_db(transaction=True)
def test_others_write_while_hundreds_go_down_and_come_back(owed: Channel) -> None:
    rows = many(300)
    held = watch(*rows)
    all_down(held, rows[:1])
    waits: list[float] = []
    refused: list[BaseException] = []
    over = threading.Event()

    def person() -> None:
        while not over.wait(0.02):
            alert, began = Alert.objects.get(source=f"check:{rows[0].pk}"), time.monotonic()
            try:
                (unacknowledge if alert.acknowledged_at else acknowledge)(alert, KIM, after(61))
            except OperationalError as error:
                refused.append(error)
            waits.append(time.monotonic() - began)
        connection.close()

    thread = threading.Thread(target=person)
    thread.start()
    try:
        all_down(held, rows[1:])
        held.observe(up(row, 120) for row in rows[1:])
        flushed(held)
    finally:
        over.set()
        thread.join(30)
    assert refused == []
    assert len(waits) >= 10  # it had its turn between the pieces
    assert max(waits) < WAITS_MOST_S
    assert Alert.objects.filter(ended_at=None).count() == 1


# --- alerts that something holds -------------------------------------------------------------------------------------


@pytest.fixture
def family(ops: Channel) -> tuple[Watch, Check, list[Check]]:
    """Sixty checks that need one that is down; all alerts but its own are held."""
    parent, *children = many(61)
    Check.objects.filter(pk=parent.pk).update(name="proxy")
    through = Check.needs.through
    through.objects.bulk_create(through(from_check=child, to_check=parent) for child in children)
    held = watch(parent, *children)
    all_down(held, [parent], 60)
    all_down(held, children, 61)
    Result.objects.all().delete()
    parent.refresh_from_db()
    assert events() == ["trigger ops"]
    return held, parent, children


def rest(seconds: float = 61) -> float:
    """Decide once more soon afterwards, as for whatever changed in the moment of the decision; return until when."""
    decided(seconds + LOOK_LATER.total_seconds())
    return seconds + LOOK_LATER.total_seconds()


@pytest.mark.fault("R16")
def test_held_alerts_are_not_touched_while_nothing_changes(family: tuple[Watch, Check, list[Check]]) -> None:
    assert decided(90) == 0
    assert decided(91) == 60  # once, soon
    for seconds in range(92, 91 + int(LOOK_RARELY.total_seconds()), 30):
        assert consider_due(after(seconds)) == 0
    assert decided(91 + LOOK_RARELY.total_seconds()) == 60
    assert events() == ["trigger ops"]


def recovers(held: Watch, parent: Check, children: list[Check], _me: Actor, at: float) -> None:
    held.observe([up(parent, at)])
    flushed(held)
    held.observe(down(child, at + 1) for child in children)
    flushed(held)


def is_removed(_held: Watch, parent: Check, _children: list[Check], me: Actor, at: float) -> None:
    remove_check(parent, me, after(at))


def is_paused(_held: Watch, parent: Check, _children: list[Check], me: Actor, at: float) -> None:
    pause(parent, me, after(at), paused=True)


def goes_with_its_application(_held: Watch, parent: Check, _children: list[Check], me: Actor, at: float) -> None:
    Check.objects.filter(pk=parent.pk).update(application=application("other"))
    remove_application(Application.objects.get(name="other"), me, after(at))


@pytest.mark.fault("R16")
@pytest.mark.parametrize("act", [recovers, is_removed, is_paused, goes_with_its_application])
def test_all_page_as_soon_as_what_they_need_no_longer_holds_them(
    act: Callable[..., None], family: tuple[Watch, Check, list[Check]], me: Actor
) -> None:
    held, parent, children = family
    at = rest()
    assert decided(at + 10) == 0
    act(held, parent, children, me, at + 20)
    decided(at + 22)
    assert sum(event == "trigger ops" for event in events()) == 61


def test_decisions_cost_few_statements_and_the_most_severe_come_first(
    family: tuple[Watch, Check, list[Check]], me: Actor
) -> None:
    held, parent, children = family
    is_paused(held, parent, children, me, rest() + 20)
    with CaptureQueriesContext(connection) as seen:
        assert decided(200) == 60
    transactions = 2  # of fifty and of ten
    assert len(seen) <= transactions * STATEMENTS_OF_A_DECISION
    subjects = list(Delivery.objects.filter(event="trigger").order_by("id").values_list("subject", flat=True))
    severity = {f"alert:{alert.pk}": alert.severity for alert in Alert.objects.all()}
    assert [severity[subject] for subject in subjects[1:]] == ["critical"] * 20 + ["major"] * 20 + ["minor"] * 20


@pytest.mark.parametrize("end", ["maintenance is cut short", "a channel is added", "a route is removed"])
def test_whatever_held_alerts_asks_for_a_look_when_it_ends(end: str, ops: Channel, me: Actor) -> None:
    rows = many(3)
    if end == "maintenance is cut short":
        window = announce(Window("move", starts_at=NOON, ends_at=after(7200)), me, NOON)
    elif end == "a channel is added":
        Channel.objects.all().delete()
    else:
        silent = Route.objects.create(name="first", position=0, notify=[], created_at=NOON)
    all_down(watch(*rows), rows)
    at = rest(60)
    assert decided(at + 120) == 0
    assert events() == []
    if end == "maintenance is cut short":
        announce(Window("move", starts_at=NOON, ends_at=after(at + 130)), me, after(at + 129), existing=window)
        decided(at + 129)
    elif end == "a channel is added":
        channel("ops", me)
        Alert.objects.filter(look_at=NOON).update(look_at=after(at + 130))  # that helper's channel is added at noon
    else:
        remove_route(silent, me, after(at + 130))
    decided(at + 130)
    assert events() == ["trigger ops"] * 3


def test_outside_the_hours_of_its_route_an_alert_is_looked_at_rarely_and_when_they_begin(ops: Channel) -> None:
    Route.objects.update(times={"days": ["mon"], "from": "12:17", "to": "13:00", "timezone": "UTC"})
    rows = many(3)
    all_down(watch(*rows), rows)
    assert decided(90) == 3
    assert set(Alert.objects.values_list("decision", "look_at")) == {("outside_hours", after(690))}
    assert decided(690) == 3
    assert set(Alert.objects.values_list("look_at", flat=True)) == {after(17 * 60)}
    decided(17 * 60)
    assert events() == ["trigger ops"] * 3


# --- removal ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def doomed(ops: Channel) -> list[Check]:
    rows = many(60)
    all_down(watch(*rows), rows)
    return rows


@pytest.mark.fault("R1")
def test_an_application_with_many_checks_is_removed_in_pieces(
    doomed: list[Check], groups: Callable[[EntryKind], list[int]], me: Actor
) -> None:
    removed = groups(checks.CHECK_REMOVED)
    remove_application(doomed[0].application, me, after(120))
    assert sum(removed) == 60
    assert max(removed) <= 25
    assert not Check.objects.exists()
    assert not Result.objects.exists()
    assert events().count("resolve ops") == 60


@pytest.mark.django_db(transaction=True)
def test_a_removal_that_is_cut_off_has_removed_whole_checks_and_can_be_done_again(
    transactional_db: None, owed: Channel, groups: Callable[[EntryKind], list[int]], me: Actor
) -> None:
    rows = many(60)
    all_down(watch(*rows), rows)
    removed = groups(checks.CHECK_REMOVED)

    @journal.on_all(checks.CHECK_REMOVED)
    def cut_off(_entries: object) -> None:
        if len(removed) == 2:
            raise OperationalError("killed")

    with pytest.raises(OperationalError):
        remove_application(rows[0].application, me, after(120))
    left = Check.objects.count()
    assert 0 < left < 60
    assert Alert.objects.filter(ended_at=None).count() == CheckState.objects.count() == left
    assert Application.objects.exists()
    journal._handlers[checks.CHECK_REMOVED.name].remove(cut_off)
    remove_application(rows[0].application, me, after(121))
    assert not Application.objects.exists()
    assert events().count("resolve ops") == 60


def test_a_removal_inside_a_transaction_is_one(doomed: list[Check], me: Actor) -> None:
    with transaction.atomic():
        remove_application(doomed[0].application, me, after(120))
    assert not Check.objects.exists()
