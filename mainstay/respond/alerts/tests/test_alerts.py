"""The life of an alert: fired, paged, acknowledged, silenced, reminded, resolved, whoever acts at the same time."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.actions import remove_application
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.refusal import Refused
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.tests.parts import NOON, after, check, down, see, slow, spec, up, watch, watched
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.actions import (
    acknowledge,
    after_jump,
    consider_due,
    end_silence,
    fire,
    pull_in,
    silence,
    unacknowledge,
)
from mainstay.respond.alerts.decide import Code
from mainstay.respond.alerts.models import Alert, Route, Silence
from mainstay.respond.alerts.pages.story import decisions
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.alerts.tests.parts import KIM, LEE, channel, delivered, events, fall, route, silencing, the_alert
from mainstay.respond.delivery.message import Message
from mainstay.respond.delivery.models import Channel, Delivery
from tests.database import at_once

pytestmark = pytest.mark.django_db
for_threads = pytest.mark.django_db(transaction=True)


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
    delivered()
    consider_due(after(780))
    assert events()[-1] == "remind ops"


def test_given_back_on_a_route_without_reminders_those_who_heard_of_it_hear_that_it_is_open_again(
    ops: Channel, me: Actor
) -> None:
    channel("night", me)
    Route.objects.update(notify=["ops", "night"])
    fall(check())
    acknowledge(the_alert(), KIM, after(120))
    assert unacknowledge(the_alert(), LEE, after(180))
    assert events()[-2:] == ["trigger ops", "trigger night"]
    sent = Message.from_json(Delivery.objects.latest("pk").message)
    assert sent.text == "Lee gave it back: nobody has it now. It has been so for 2 min. HTTP 500."
    assert sent.reason.startswith("Lee gave it back, and those who heard that it was taken must hear so; route all")
    paged = Entry.objects.filter(kind="alert.paged").latest("pk")
    assert (paged.facts["code"], paged.facts["reason"]) == ("given_back", sent.reason)
    told = decisions(the_alert())[0]
    assert (told.verdict, told.reason) == ("Paged again ops, night", sent.reason)
    assert the_alert().decision == "given_back"
    consider_due(after(9_000))
    assert len(events()) == 6


def test_given_back_under_a_silence_they_hear_of_it_when_the_silence_is_over(ops: Channel) -> None:
    fall(check())
    acknowledge(the_alert(), KIM, after(120))
    silence(silencing({"application": "shop"}, NOON, after(300), "deploy"), KIM, after(130))
    unacknowledge(the_alert(), KIM, after(180))
    assert (events(), the_alert().decision) == (["trigger ops", "acknowledge ops"], "silenced")
    consider_due(after(300))
    assert events() == ["trigger ops", "acknowledge ops", "trigger ops"]


def test_given_back_and_taken_again_by_another_only_the_taking_is_told(ops: Channel) -> None:
    fall(check())
    acknowledge(the_alert(), KIM, after(120))
    quiet = silence(silencing({"application": "shop"}, NOON, after(900), "deploy"), KIM, after(130))
    unacknowledge(the_alert(), KIM, after(180))
    acknowledge(the_alert(), LEE, after(190))
    end_silence(quiet, KIM, after(200))
    consider_due(after(900))
    assert events() == ["trigger ops", "acknowledge ops", "acknowledge ops"]
    assert the_alert().given_back_by == ""


def test_an_alert_that_was_taken_before_it_paged_pages_when_given_back(me: Actor, ops: Channel) -> None:
    quiet = silence(silencing({"check": "front"}, NOON, after(900), "deploy"), KIM, NOON)
    fall(check())
    acknowledge(the_alert(), KIM, after(120))
    end_silence(quiet, KIM, after(130))
    unacknowledge(the_alert(), KIM, after(180))
    assert events() == ["trigger ops"]
    assert the_alert().decision == "first_page"


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
            lambda: fire(of_check(row, "minor", "shop/front is down", "again"), after(120)),
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
        at_once(held.flush, partial(acknowledge, alert, KIM, after(120)))
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


def test_a_silence_holds_and_its_end_pages(ops: Channel) -> None:
    silence(silencing({"application": "shop"}, NOON, after(300), "deploy"), KIM, NOON)
    fall(check())
    assert (the_alert().decision, the_alert().look_at) == ("silenced", after(300))
    assert consider_due(after(299)) == 0
    consider_due(after(300))
    assert events() == ["trigger ops"]


def test_a_silence_that_is_ended_early_pages_at_once(ops: Channel) -> None:
    row = silence(silencing({"application": "shop"}, NOON, after(3000), "deploy"), KIM, NOON)
    fall(check())
    end_silence(row, KIM, after(100))
    consider_due(after(100))
    assert events() == ["trigger ops"]
    assert Silence.objects.get().ends_at == after(100)


def test_a_silence_stops_the_reminders_of_what_it_covers(ops: Channel) -> None:
    Route.objects.update(remind_every_s=600)
    fall(check())
    delivered()
    silence(silencing({"check": "front"}, NOON, after(3000), "known"), KIM, after(100))
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
    with pytest.raises((Refused, ValidationError)) as refused:
        silence(silencing(**values), KIM, NOON)
    assert field in (getattr(refused.value, "field", None) or str(refused.value))
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


def test_one_alert_that_cannot_be_decided_on_does_not_hold_up_the_others(
    ops: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    silence(silencing({"application": "shop"}, NOON, after(300), "deploy"), KIM, NOON)
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


# --- a clock that was set ---------------------------------------------------------------------------------------------


def test_reminders_go_on_when_the_clock_was_set_back(me: Actor) -> None:
    channel("ops", me)
    route(me, remind_every="10m")
    fall(check(), 3660)
    assert events() == ["trigger ops"]
    delivered()
    back = after(60)  # an hour earlier
    assert (consider_due(back), pull_in(back)) == (0, 1)
    assert consider_due(back) == 1  # not yet
    assert events() == ["trigger ops"]
    assert consider_due(back + timedelta(minutes=10)) == 1
    assert events() == ["trigger ops", "remind ops"]


def test_an_alert_that_is_held_is_looked_at_soon_when_the_clock_was_set_back(me: Actor) -> None:
    fall(check(), 3660)
    assert the_alert().decision == "no_route"
    assert pull_in(after(3665)) == 0
    assert pull_in(after(60)) == 1
    assert consider_due(after(60)) == 1
    assert pull_in(after(61)) == 0


def test_reminders_do_not_come_all_at_once_when_the_clock_was_set_forward(me: Actor) -> None:
    channel("ops", me)
    route(me, remind_every="10m")
    fall(check(), 60)
    delivered()
    after_jump(timedelta(hours=1))
    assert consider_due(after(3720)) == 0
    assert consider_due(after(60 + 3600 + 600)) == 1
    assert events() == ["trigger ops", "remind ops"]
