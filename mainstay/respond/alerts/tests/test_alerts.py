"""From a check that goes down to the messages owed: one transaction, whoever else acts at the same time."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import remove_application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.refusal import Managed, Refused
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import Check, CheckState, Downtime, Result
from mainstay.observe.checks.tests.parts import NOON, after, check, down, see, slow, spec, up, watch, watched
from mainstay.observe.checks.watch import Watch
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.actions import (
    acknowledge,
    consider,
    consider_due,
    end_silence,
    fire,
    resolve,
    silence,
    unacknowledge,
)
from mainstay.respond.alerts.decide import SETTLE, Code
from mainstay.respond.alerts.models import Alert, Route, Silence
from mainstay.respond.alerts.routes import default_name, put_route, remove_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery import actions as delivery
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.record import Sent, record
from mainstay.respond.delivery.spec import ChannelSpec
from tests.database import at_once

pytestmark = pytest.mark.django_db
for_threads = pytest.mark.django_db(transaction=True)
KIM, LEE = Actor("user:1", "Kim", Role.SUPPORT), Actor("user:2", "Lee", Role.DEVELOPER)
VIEWER = Actor("user:9", "Viewer", Role.STAKEHOLDER)


def channel(name: str, me: Actor) -> Channel:
    given = {"name": name, "webhook": {"url": f"http://127.0.0.1:1/{name}"}}
    return delivery.put_channel(ChannelSpec.model_validate(given), me, NOON)


def route(me: Actor, name: str = "all", **given: Any) -> Route:
    return put_route(RouteSpec.model_validate({"name": name, "notify": ["ops"], **given}), me, NOON)


@pytest.fixture
def ops(request: pytest.FixtureRequest, me: Actor) -> Channel:
    """A channel to which every alert goes."""
    request.getfixturevalue("transactional_db" if "for_threads" in request.keywords else "db")
    made = channel("ops", me)
    route(me)
    return made


@pytest.fixture
def owed(transactional_db: None, me: Actor) -> Channel:
    """The same, for tests with several connections."""
    made = channel("ops", me)
    route(me)
    return made


def events(*, of: Check | None = None) -> list[str]:
    """What is owed, in order: `trigger ops`."""
    rows = Delivery.objects.order_by("id")
    if of is not None:
        rows = rows.filter(subject__in=[f"alert:{alert.pk}" for alert in Alert.objects.filter(source=f"check:{of.pk}")])
    return [f"{row.event} {row.channel_name}" for row in rows]


def delivered() -> None:
    Delivery.objects.update(status="delivered")


def the_alert() -> Alert:
    return Alert.objects.get()


def fall(row: Check, seconds: float = 60, held: Watch | None = None) -> Watch:
    """The check answers, then it does not."""
    held = held or watch(row)
    see(held, up(row, seconds - 1), down(row, seconds))
    return held


# --- all or nothing ------------------------------------------------------------------------------------------------


@contextmanager
def failing_at(number: int, *, afterwards: bool) -> Iterator[list[str]]:
    """Let the database fail at its `number`th statement, before or after it was carried out; yield those seen."""
    seen: list[str] = []

    def wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        if len(seen) == number and not afterwards:
            raise OperationalError("killed")
        found = execute(sql, params, many, context)
        if len(seen) == number:
            raise OperationalError("killed")
        return found

    with connection.execute_wrapper(wrapper):
        yield seen


def everything() -> list[Any]:
    """All that a change of a check moves."""
    states = [(row.pk, row.health, row.changes, row.failures) for row in CheckState.objects.order_by("pk")]
    counts = [model.objects.count() for model in (Alert, Delivery, Entry, Result, Downtime)]
    paged = list(Alert.objects.order_by("pk").values_list("ended_at", "paged_at", "decision"))
    return [states, counts, paged]


@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("turn", ["down", "up"])
def test_killed_at_any_statement_a_change_has_happened_with_its_alert_and_pages_or_not_at_all(
    turn: str, afterwards: bool, owed: Channel
) -> None:
    row = check()
    held = fall(row) if turn == "up" else watch(row)
    if turn == "down":
        see(held, up(row, 1))
    before = everything()
    held.observe([up(row, 100) if turn == "up" else down(row, 100)])
    for number in range(1, 300):
        with failing_at(number, afterwards=afterwards) as seen:
            try:
                held.flush()
            except OperationalError:
                connection.close()  # as the runner of a cycle does
            else:
                break
        assert everything() == before, seen[-1]
    assert number > 15  # every statement has had its turn
    assert events() == (["trigger ops"] if turn == "down" else ["trigger ops", "resolve ops"])
    assert Alert.objects.count() == 1
    assert Result.objects.count() == (2 if turn == "down" else 3)


@pytest.mark.parametrize("act", ["acknowledge", "resolve", "remind", "pause"])
def test_killed_at_any_statement_what_people_and_the_worker_do_is_whole_or_not_done(
    act: str, owed: Channel, me: Actor
) -> None:
    route(me, "remind", remind_every="10m")
    Route.objects.filter(name="all").delete()
    row = check()
    fall(row)
    delivered()
    acts: dict[str, Callable[[], object]] = {
        "acknowledge": lambda: acknowledge(the_alert(), KIM, after(120)),
        "resolve": lambda: resolve(the_alert(), "because", after(120)),
        "remind": lambda: consider(the_alert(), after(720)),
        "pause": lambda: checks.pause(row, me, after(120), paused=True),
    }
    before = everything()
    for number in range(1, 300):
        with failing_at(number, afterwards=True) as seen:
            try:
                acts[act]()
            except OperationalError:
                connection.close()  # as the runner of a cycle does
            else:
                break
        assert everything() == before, seen[-1]
    word = {"acknowledge": "acknowledge", "resolve": "resolve", "remind": "remind", "pause": "resolve"}[act]
    assert events() == ["trigger ops", f"{word} ops"]


# --- the life of an alert ------------------------------------------------------------------------------------------


def test_a_check_that_goes_down_fires_pages_and_resolves(ops: Channel) -> None:
    row = check(severity="critical", runbook="https://wiki.example/front")
    held = fall(row)
    alert = the_alert()
    assert (alert.name, alert.severity, alert.summary) == ("shop/front is down", "critical", "HTTP 500.")
    assert (alert.decision, alert.paged_channels, alert.paged_at) == ("first_page", ["ops"], after(60))
    see(held, up(row, 120))
    alert = the_alert()
    assert (alert.state, alert.ended_at, alert.look_at) == ("resolved", after(120), None)
    assert events() == ["trigger ops", "resolve ops"]
    assert Delivery.objects.values("thread").distinct().count() == 1
    assert Delivery.objects.values("key").distinct().count() == 2


def test_a_second_outage_is_another_alert_with_another_thread(ops: Channel) -> None:
    row = check()
    held = fall(row)
    see(held, up(row, 120), down(row, 180))
    assert Alert.objects.count() == 2
    assert events() == ["trigger ops", "resolve ops", "trigger ops"]
    assert Delivery.objects.values("thread").distinct().count() == 2


def test_degraded_is_minor_and_pages_again_when_it_goes_down(ops: Channel) -> None:
    row = check(severity="critical")
    held = watch(row)
    see(held, up(row), slow(row, 10))
    acknowledge(the_alert(), KIM, after(11))
    see(held, down(row, 20))
    alert = the_alert()
    assert (alert.severity, alert.state, alert.labels["severity"]) == ("critical", "firing", "critical")
    assert events() == ["trigger ops", "acknowledge ops", "trigger ops"]
    see(held, slow(row, 30))  # better, but the alert keeps its weight
    assert the_alert().severity == "critical"
    assert len(events()) == 3


def test_resolving_tells_exactly_those_who_were_paged(ops: Channel, me: Actor) -> None:
    channel("night", me)
    channel("other", me)
    route(me, "night", notify=["night"], match={"severity": "critical"})
    Route.objects.filter(name="night").update(position=0, also=True)
    major, critical = check("a"), check("b", severity="critical")
    held = watch(major, critical)
    see(held, up(major), up(critical), down(major, 10), down(critical, 10), up(major, 20), up(critical, 20))
    assert events(of=major) == ["trigger ops", "resolve ops"]
    assert events(of=critical) == ["trigger night", "trigger ops", "resolve night", "resolve ops"]


def test_an_alert_that_paged_nobody_resolves_silently(me: Actor) -> None:
    row = check()
    held = fall(row)
    assert the_alert().decision == "no_route"
    see(held, up(row, 120))
    assert events() == []
    assert the_alert().state == "resolved"


def test_an_alert_without_a_route_pages_as_soon_as_there_is_one(me: Actor) -> None:
    fall(check())
    channel("ops", me)
    put_route(RouteSpec(name="late", notify=["ops"]), me, after(90))
    assert consider_due(after(90)) == 1
    assert events() == ["trigger ops"]


@pytest.mark.parametrize("act", ["pause", "remove", "target", "application"])
def test_what_is_no_longer_watched_is_resolved(act: str, ops: Channel, me: Actor) -> None:
    row = check()
    fall(row)
    if act == "pause":
        checks.pause(row, KIM, after(120), paused=True)
    elif act == "remove":
        checks.remove_check(row, me, after(120))
    elif act == "target":
        other = spec(http={"url": "http://127.0.0.1:1/elsewhere"})
        checks.put_check(row.application, other, me, after(120), existing=row)
    else:
        remove_application(row.application, me, after(120))
    assert (the_alert().state, the_alert().ended_at) == ("resolved", after(120))
    assert events() == ["trigger ops", "resolve ops"]


def test_an_edit_that_resets_nothing_leaves_the_alert(ops: Channel, me: Actor) -> None:
    row = check()
    fall(row)
    checks.put_check(row.application, spec(labels={"a": "b"}), me, after(120), existing=row)
    assert the_alert().state == "firing"


def test_every_decision_is_in_the_journal_with_its_steps(ops: Channel) -> None:
    fall(check())
    paged = Entry.objects.get(kind="alert.paged")
    assert (paged.facts["code"], paged.facts["channels"]) == ("first_page", ["ops"])
    assert ["Is it still firing?", True, "yes"] in paged.facts["steps"]


# --- acknowledging -------------------------------------------------------------------------------------------------


def test_acknowledging_tells_the_paged_and_stops_reminders(ops: Channel, me: Actor) -> None:
    Route.objects.update(remind_every_s=600)
    fall(check())
    delivered()
    assert acknowledge(the_alert(), KIM, after(120), "on it")
    assert the_alert().state == "acknowledged"
    assert consider_due(after(9_000)) == 0
    assert events() == ["trigger ops", "acknowledge ops"]
    assert not acknowledge(the_alert(), LEE, after(130))
    assert the_alert().acknowledged_by == "Kim"


def test_a_resolved_alert_cannot_be_acknowledged(ops: Channel) -> None:
    row = check()
    see(fall(row), up(row, 120))
    assert not acknowledge(the_alert(), KIM, after(130))


def test_given_back_reminders_start_again(ops: Channel) -> None:
    Route.objects.update(remind_every_s=600)
    fall(check())
    delivered()
    acknowledge(the_alert(), KIM, after(120))
    delivered()
    assert unacknowledge(the_alert(), KIM, after(180))
    assert not unacknowledge(the_alert(), KIM, after(180))
    assert the_alert().look_at == after(780)
    consider_due(after(780))
    assert events()[-1] == "remind ops"


def test_an_alert_that_was_taken_before_it_paged_pages_when_given_back(me: Actor, ops: Channel) -> None:
    quiet = silence({"check": "front"}, NOON, after(900), "deploy", KIM, NOON)
    fall(check())
    acknowledge(the_alert(), KIM, after(120))
    end_silence(quiet, KIM, after(130))
    unacknowledge(the_alert(), KIM, after(180))
    assert events() == ["trigger ops"]


@for_threads
def test_of_two_who_acknowledge_at_once_exactly_one_wins(owed: Channel) -> None:
    row = check()
    fall(row)
    for _ in range(5):
        found = at_once(*[lambda who=who: acknowledge(the_alert(), who, after(120)) for who in (KIM, LEE, KIM, LEE)])
        assert sorted(map(str, found)) == ["False", "False", "False", "True"]
        unacknowledge(the_alert(), KIM, after(121))
    assert Entry.objects.filter(kind="alert.acknowledged").count() == 5


@for_threads
def test_an_acknowledgement_of_this_very_moment_is_not_overwritten_by_the_check(owed: Channel) -> None:
    row = check(severity="minor")
    fall(row)
    for _ in range(8):
        at_once(
            lambda: acknowledge(the_alert(), KIM, after(120)),
            lambda: fire(row, "minor", "shop/front is down", "again", after(120)),
            lambda: consider_due(after(120)),
        )
        assert (the_alert().acknowledged_by, the_alert().look_at) == ("Kim", None)
        unacknowledge(the_alert(), KIM, after(121))


@for_threads
def test_resolving_and_acknowledging_at_once_end_in_order(owed: Channel) -> None:
    for number in range(6):
        row = check(f"c{number}")
        held = fall(row)
        held.observe([up(row, 120)])
        alert = Alert.objects.get(source=f"check:{row.pk}")
        at_once(lambda held=held: held.flush(), lambda alert=alert: acknowledge(alert, KIM, after(120)))
        alert.refresh_from_db()
        assert alert.state == "resolved"
        assert events(of=row)[-1] == "resolve ops" or events(of=row)[-2:] == ["acknowledge ops", "resolve ops"]


@for_threads
def test_two_workers_remind_once(owed: Channel) -> None:
    Route.objects.update(remind_every_s=600)
    for number in range(3):
        fall(check(f"c{number}"))
    delivered()
    at_once(*[lambda: consider_due(after(700)) for _ in range(3)])
    assert events().count("remind ops") == 3


# --- silences, maintenance, reminders ------------------------------------------------------------------------------


def test_a_silence_holds_and_its_end_pages(ops: Channel) -> None:
    silence({"application": "shop"}, NOON, after(300), "deploy", KIM, NOON)
    fall(check())
    assert (the_alert().decision, the_alert().look_at) == ("silenced", after(300))
    assert consider_due(after(299)) == 0
    consider_due(after(300))
    assert events() == ["trigger ops"]


def test_a_silence_that_is_ended_early_pages_at_once(ops: Channel) -> None:
    row = silence({"application": "shop"}, NOON, after(3000), "deploy", KIM, NOON)
    fall(check())
    end_silence(row, KIM, after(100))
    consider_due(after(100))
    assert events() == ["trigger ops"]
    assert Silence.objects.get().ends_at == after(100)


def test_a_silence_stops_the_reminders_of_what_it_covers(ops: Channel) -> None:
    Route.objects.update(remind_every_s=600)
    fall(check())
    delivered()
    silence({"check": "front"}, NOON, after(3000), "known", KIM, after(100))
    consider_due(after(100))
    consider_due(after(700))
    assert events() == ["trigger ops"]
    consider_due(after(3000))
    assert events() == ["trigger ops", "remind ops"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"match": {}}, "match"),
        ({"ends_at": NOON}, "ends_at"),
        ({"ends_at": NOON + timedelta(days=366)}, "ends_at"),
        ({"starts_at": NOON - timedelta(hours=2), "ends_at": NOON - timedelta(hours=1)}, "ends_at"),
        ({"comment": "  "}, "comment"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(given: dict[str, Any], field: str) -> None:
    values = {"match": {"a": "b"}, "starts_at": NOON, "ends_at": after(60), "comment": "why", **given}
    with pytest.raises(Refused) as refused:
        silence(**values, actor=KIM, now=NOON)
    assert refused.value.field == field
    assert not Silence.objects.exists()


def test_maintenance_holds_and_its_end_pages(ops: Channel) -> None:
    checks.announce(Window("deploy", starts_at=NOON, ends_at=after(70)), KIM, NOON)
    fall(check())
    assert (the_alert().decision, the_alert().look_at) == ("maintenance", after(70))
    consider_due(after(70))
    assert events() == ["trigger ops"]


def test_maintenance_that_is_cancelled_pages_at_once(ops: Channel) -> None:
    row = checks.announce(Window("deploy", starts_at=NOON, ends_at=after(9000)), KIM, NOON)
    fall(check())
    checks.cancel(row, KIM, after(61))
    consider_due(after(61))
    assert events() == ["trigger ops"]


def test_a_check_that_comes_back_within_its_maintenance_has_paged_nobody(ops: Channel) -> None:
    checks.announce(Window("deploy", starts_at=NOON, ends_at=after(900)), KIM, NOON)
    row = check()
    see(fall(row), up(row, 120))
    consider_due(after(900))
    assert events() == []


def test_reminders_go_on_until_somebody_acknowledges(ops: Channel) -> None:
    Route.objects.update(remind_every_s=600)
    fall(check())
    for number in range(1, 4):
        delivered()
        assert consider_due(after(60 + 600 * number - 1)) == 0
        assert consider_due(after(60 + 600 * number)) == 1
    assert events() == ["trigger ops"] + ["remind ops"] * 3


def test_a_reminder_does_not_pile_up_where_the_page_before_still_waits(ops: Channel, me: Actor) -> None:
    channel("mail", me)
    Route.objects.update(remind_every_s=600, notify=["ops", "mail"])
    fall(check())
    Delivery.objects.filter(channel_name="mail").update(status="delivered")
    consider_due(after(700))
    assert events() == ["trigger ops", "trigger mail", "remind mail"]
    consider_due(after(1400))
    assert events()[3:] == []
    assert "still waits" in the_alert().reason
    assert the_alert().look_at is not None


# --- what it needs -------------------------------------------------------------------------------------------------


def family(me: Actor) -> tuple[Watch, Check, Check, Check]:
    parent = check("parent")
    child, grandchild = check("child", needs=["parent"]), check("grandchild", needs=["child"])
    held = watch(parent, child, grandchild)
    see(held, *(up(row) for row in (parent, child, grandchild)))
    return held, parent, child, grandchild


def test_children_and_grandchildren_of_a_down_check_do_not_page(ops: Channel, me: Actor) -> None:
    held, parent, child, grandchild = family(me)
    see(held, down(parent, 10))
    see(held, down(child, 11), down(grandchild, 11))
    for seconds in range(12, 200, 10):
        see(held, down(parent, seconds), down(child, seconds), down(grandchild, seconds))
        consider_due(after(seconds))
    assert events() == ["trigger ops"]
    assert events(of=parent) == ["trigger ops"]
    assert {row.name: row.decision for row in Alert.objects.all()} == {
        "shop/parent is down": "first_page",
        "shop/child is down": "unreachable",
        "shop/grandchild is down": "unreachable",
    }


def test_a_child_that_fails_first_waits_for_the_verdict_on_its_parent(ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(child, 10))
    consider_due(after(11))
    assert Alert.objects.get().decision == "waiting_for_needed"
    see(held, down(parent, 12))
    consider_due(after(13))
    assert events() == ["trigger ops"]
    assert events(of=parent) == ["trigger ops"]


def test_a_child_whose_parent_is_fine_pages(ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(child, 10))
    see(held, up(parent, 11))
    consider_due(after(12))
    assert events() == ["trigger ops"]
    assert events(of=child) == ["trigger ops"]


def test_a_child_whose_parent_never_answers_pages_after_a_minute(ops: Channel, me: Actor) -> None:
    held, _, child, _ = family(me)
    see(held, down(child, 10))
    consider_due(after(9 + SETTLE.total_seconds()))
    assert events() == []
    consider_due(after(10 + SETTLE.total_seconds()))
    assert events() == ["trigger ops"]


def test_when_the_parent_is_back_the_child_gets_a_chance_and_then_pages(ops: Channel, me: Actor) -> None:
    held, parent, child, grandchild = family(me)
    see(held, down(parent, 10), down(child, 11), down(grandchild, 11))
    consider_due(after(12))
    see(held, up(parent, 60))
    consider_due(after(60))
    assert events(of=child) == []  # it had no chance yet to come back, too
    assert Alert.objects.get(name="shop/child is down").decision == "waiting_for_needed"
    see(held, down(child, 65))
    consider_due(after(66))
    assert events(of=child) == ["trigger ops"]
    assert events(of=grandchild) == []


def test_a_child_that_follows_its_parent_pages_nobody(ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(parent, 10), down(child, 11))
    see(held, up(parent, 60))
    consider_due(after(60))
    see(held, up(child, 70))
    consider_due(after(200))
    assert events() == ["trigger ops", "resolve ops"]


def test_a_child_that_is_never_asked_again_pages_a_minute_after_its_parent_is_back(ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(parent, 10), down(child, 11))
    see(held, up(parent, 60))
    consider_due(after(60 + SETTLE.total_seconds() - 1))
    assert events(of=child) == []
    consider_due(after(60 + SETTLE.total_seconds()))
    assert events(of=child) == ["trigger ops"]


@pytest.mark.parametrize("act", ["pause", "remove"])
def test_a_parent_that_is_paused_or_removed_is_no_excuse_any_more(act: str, ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(parent, 10), down(child, 11))
    consider_due(after(12))
    if act == "pause":
        checks.pause(parent, me, after(60), paused=True)
    else:
        checks.remove_check(parent, me, after(60))
    consider_due(after(60))
    assert events(of=child) == ["trigger ops"]


def test_hundreds_of_children_are_not_considered_every_second(ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(parent, 10), down(child, 11))
    consider_due(after(12))
    assert consider_due(after(20)) == 0
    assert consider_due(after(43)) == 1


# --- channels and routes -------------------------------------------------------------------------------------------


def test_a_page_whose_channel_is_gone_stays_owed_and_says_so(ops: Channel, me: Actor) -> None:
    delivery.remove_channel(ops, me, after(1))
    fall(check())
    alert = the_alert()
    assert (alert.decision, alert.paged_at) == ("no_channel", None)
    assert "ops exists no more" in alert.reason
    assert alert.look_at is not None
    channel("ops", me)
    consider_due(alert.look_at)
    assert events() == ["trigger ops"]


def test_a_channel_that_is_gone_is_passed_over_and_a_fallback_steps_in(ops: Channel, me: Actor) -> None:
    channel("mail", me)
    channel("chat", me)
    Route.objects.update(notify=["ops", "chat"], fallback=["mail"])
    delivery.remove_channel(Channel.objects.get(name="chat"), me, after(1))
    fall(check("a"))
    assert events() == ["trigger ops"]
    delivery.remove_channel(ops, me, after(2))
    fall(check("b"))
    assert events() == ["trigger ops", "trigger mail"]


def test_who_is_paged_as_a_fallback_hears_how_it_goes_on(ops: Channel, me: Actor) -> None:
    channel("mail", me)
    Route.objects.update(fallback=["mail"])
    row = check()
    held = fall(row)
    refuse(Delivery.objects.get())
    assert events() == ["trigger ops", "trigger mail"]
    assert the_alert().paged_channels == ["mail", "ops"]
    acknowledge(the_alert(), KIM, after(90))
    see(held, up(row, 120))
    assert sorted(events()[2:]) == ["acknowledge mail", "acknowledge ops", "resolve mail", "resolve ops"]


def test_a_fallback_that_comes_after_the_end_hears_of_the_end_too(ops: Channel, me: Actor) -> None:
    channel("mail", me)
    Route.objects.update(fallback=["mail"])
    row = check()
    see(fall(row), up(row, 120))
    refuse(Delivery.objects.get(event="trigger"))
    assert events()[-2:] == ["trigger mail", "resolve mail"]


def refuse(row: Delivery) -> None:
    Delivery.objects.filter(pk=row.pk).update(status="sending", claimed_by=1)
    record(Sent(row.pk, after(80), 0.1, Receipt("refused", "HTTP 404."), 1))


def test_routes_are_put_in_order_edited_and_removed(ops: Channel, me: Actor) -> None:
    second = route(me, "second")
    assert [row.name for row in Route.objects.all()] == ["all", "second"]
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00", "timezone": "Europe/Berlin"}
    edited = RouteSpec.model_validate({"name": "second", "notify": ["ops"], "hours": hours})
    put_route(edited, me, after(1), existing=second)
    assert Entry.objects.get(kind="route.edited").facts == {"fields": ["hours"]}
    remove_route(second, me, after(2))
    assert Route.objects.count() == 1


def test_a_route_to_an_unknown_channel_is_refused(ops: Channel, me: Actor) -> None:
    for field in ("notify", "fallback"):
        with pytest.raises(Refused) as refused:
            route(me, "x", **{field: ["nobody"]})
        assert refused.value.field == field
    with pytest.raises(Refused, match="already"):
        route(me)


def test_a_route_of_a_file_is_edited_there(ops: Channel, me: Actor) -> None:
    row = put_route(RouteSpec(name="x", notify=["ops"]), me, NOON, by_file="shop.yaml")
    with pytest.raises(Managed):
        put_route(RouteSpec(name="x", notify=["ops"], also=True), me, NOON, existing=row)
    with pytest.raises(Managed):
        remove_route(row, me, NOON)


@pytest.mark.parametrize(
    ("match", "name"),
    [({}, "everything"), ({"severity": "critical"}, "severity-critical"), ({"a": ["b", "ü c"]}, "a-b---c")],
)
def test_a_route_without_name_is_named_after_its_match(match: dict[str, Any], name: str) -> None:
    assert default_name(RouteSpec(match=match)) == name


def test_only_who_may_respond_does(ops: Channel) -> None:
    fall(check())
    for act in (
        lambda: acknowledge(the_alert(), VIEWER, after(70)),
        lambda: unacknowledge(the_alert(), VIEWER, after(70)),
        lambda: silence({"a": "b"}, NOON, after(99), "why", VIEWER, NOON),
        lambda: put_route(RouteSpec(notify=["ops"]), KIM, NOON),
    ):
        with pytest.raises(NotAllowed):
            act()


# --- one bad record ------------------------------------------------------------------------------------------------


def test_one_alert_that_cannot_be_decided_on_does_not_hold_up_the_others(
    ops: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    silence({"application": "shop"}, NOON, after(300), "deploy", KIM, NOON)
    bad, good = check("bad"), check("good")
    see(watch(bad, good), up(bad), up(good), down(bad, 10), down(good, 10))
    Alert.objects.filter(name__contains="bad").update(severity="no such severity")
    with caplog.at_level(logging.CRITICAL):
        assert consider_due(after(300)) == 2
    assert events() == ["trigger ops"]
    assert events(of=good) == ["trigger ops"]
    assert Alert.objects.get(name__contains="bad").look_at == after(330)


def test_a_decision_changes_code_but_is_told_once(ops: Channel) -> None:
    Route.objects.all().delete()
    fall(check())
    for seconds in range(90, 400, 30):
        consider_due(after(seconds))
    assert Entry.objects.filter(kind="alert.held", facts__code=Code.NO_ROUTE.value).count() == 1


def test_a_stale_monitor_fires_nothing(ops: Channel) -> None:
    row = check()
    old = watch(row)
    held = fall(row)
    see(held, up(row, 120))
    see(old, down(row, 60))
    assert events() == ["trigger ops", "resolve ops"]
    assert watched(row).state.health == "up"
