"""A route may name who is on duty: that is found out when the page is sent, and the log and the reasons say how."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import pytest
from django.test import Client

from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import caller
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import Subject
from mainstay.foundation.refusal import Refused
from mainstay.observe.checks.tests.parts import NOON, after
from mainstay.respond.alerts import facts
from mainstay.respond.alerts.actions import Firing, acknowledge, consider_due, fire, silence
from mainstay.respond.alerts.decide import Code
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.alerts.tests.parts import KIM, channel, delivered, events, route, silencing, the_alert
from mainstay.respond.delivery import facts as delivery
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.tests.samples import NOTICE
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.outbox import owe
from mainstay.respond.delivery.receivers import RECEIVERS, channels_of
from mainstay.respond.delivery.sending.record import Sent, record

pytestmark = pytest.mark.django_db

HANDS_OVER_S = 600.0  # kim until then, lee afterwards, nobody an hour later
FULL = Firing(source="host:1", name="host 1 is full", severity="major", summary="", labels={"host": "1"})


def on_duty(names: Collection[str], now: datetime) -> Mapping[str, Sequence[str]]:
    """Schedules: `primary`, which hands over; `quiet`, which nobody ever has."""
    who = ["kim"] if now < after(HANDS_OVER_S) else ["lee", "lee-phone"] if now < after(3600) else []
    return {name: who if name == "primary" else [] for name in names if name in {"primary", "quiet"}}


@pytest.fixture(autouse=True)
def schedules(monkeypatch: pytest.MonkeyPatch, me: Actor) -> None:
    monkeypatch.setitem(RECEIVERS, "schedule", on_duty)
    for name in ("kim", "lee", "lee-phone", "ops"):
        channel(name, me)


def steps(alert: Alert) -> list[list[object]]:
    """The last decision as the journal has it."""
    kinds = (facts.ALERT_PAGED.name, facts.ALERT_HELD.name)
    entries = Entry.objects.filter(subject=f"alert:{alert.pk}", kind__in=kinds)
    found: list[list[object]] = entries.latest("pk").facts["steps"]
    return found


def test_the_page_goes_to_who_is_on_duty_when_it_is_sent_not_when_the_alert_fired(me: Actor) -> None:
    route(me, notify=["schedule:primary"])
    silence(silencing({"host": "1"}, NOON, after(HANDS_OVER_S), "deploy"), KIM, NOON)
    assert fire(FULL, NOON).decision == Code.SILENCED
    assert consider_due(after(HANDS_OVER_S)) == 1
    rows = Delivery.objects.order_by("pk")
    assert [(row.channel_name, row.receiver, row.via) for row in rows] == [
        ("lee", "schedule:primary", "schedule:primary"),
        ("lee-phone", "schedule:primary", "schedule:primary"),
    ]
    assert ["Who is schedule:primary now?", True, "lee, lee-phone"] in steps(the_alert())


def test_a_reminder_goes_to_who_has_it_then_and_the_end_to_all_who_were_paged(me: Actor) -> None:
    route(me, notify=["schedule:primary"], remind_every="10m")
    fire(FULL, NOON)
    assert events() == ["trigger kim"]
    delivered()
    consider_due(after(HANDS_OVER_S))
    assert events()[1:] == ["remind lee", "remind lee-phone"]
    acknowledge(the_alert(), KIM, after(700))
    assert events()[3:] == ["acknowledge kim", "acknowledge lee", "acknowledge lee-phone"]
    assert Delivery.objects.filter(event="acknowledge").exclude(receiver__in=["kim", "lee", "lee-phone"]).count() == 0


def test_the_fallback_is_whoever_has_it_when_the_page_falls_back(me: Actor) -> None:
    route(me, notify=["ops"], fallback=["schedule:quiet", "schedule:primary"])
    alert = fire(FULL, NOON)
    [row] = Delivery.objects.all()
    Delivery.objects.filter(pk=row.pk).update(status="sending", claimed_by=None)
    Delivery.objects.filter(pk=row.pk).update(claimed_by=0)
    record(Sent(row.pk, after(HANDS_OVER_S), 0.1, Receipt("refused", "gone")))
    fell = Delivery.objects.filter(fallback_of=row).order_by("pk")
    assert [(one.channel_name, one.receiver) for one in fell] == [
        ("lee", "schedule:primary"),
        ("lee-phone", "schedule:primary"),
    ]
    assert Entry.objects.filter(kind=delivery.PAGE_FELL_BACK.name).count() == 2
    alert.refresh_from_db()
    assert alert.paged_channels == ["lee", "lee-phone", "ops"]


def test_a_page_that_nobody_has_now_stays_owed_and_says_so(me: Actor) -> None:
    route(me, notify=["schedule:quiet"])
    alert = fire(FULL, NOON)
    assert (alert.decision, alert.reason) == (Code.NO_CHANNEL, "nobody is on duty for its routes now")
    assert alert.look_at is not None
    assert ["Who is schedule:quiet now?", False, "nobody"] in steps(alert)


def test_the_fallback_has_it_at_once_while_nobody_is_on_duty(me: Actor) -> None:
    route(me, notify=["schedule:quiet"], fallback=["schedule:primary"])
    fire(FULL, NOON)
    assert events() == ["trigger kim"]


def test_two_receivers_of_one_channel_get_one_message(me: Actor) -> None:
    route(me, notify=["kim", "schedule:primary"])
    fire(FULL, NOON)
    [row] = Delivery.objects.all()
    assert (row.channel_name, row.receiver, row.via) == ("kim", "kim", "")


def test_a_channel_of_a_receiver_that_was_removed_is_nobody(me: Actor) -> None:
    Channel.objects.filter(name="kim").delete()
    assert channels_of(["schedule:primary", "kim", "ops", "policy:x"], NOON) == {
        "schedule:primary": (),
        "ops": ("ops",),
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nobody", "no channel named nobody exists"),
        ("schedule:nobody", "no schedule named nobody exists"),
        ("policy:p", "policy:p is no receiver: name a channel or schedule:…"),
    ],
)
def test_a_receiver_that_does_not_exist_is_refused(me: Actor, name: str, problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        put_route(RouteSpec.model_validate({"name": "r", "notify": [name]}), me, NOON)


def test_any_message_can_be_owed_to_a_receiver(me: Actor) -> None:
    owed = owe(NOTICE, ["schedule:primary", "schedule:quiet", "nobody"], Subject("bug", 17, "BUG-17"), NOON)
    assert [(row.event, row.channel_name, row.receiver) for row in owed.deliveries] == [
        ("notice", "kim", "schedule:primary")
    ]
    assert owed.unknown == ("schedule:quiet", "nobody")


def test_the_log_of_deliveries_says_through_which_receiver(me: Actor) -> None:
    route(me, notify=["schedule:primary"])
    alert = fire(FULL, NOON)
    [row] = Delivery.objects.all()
    client: Client = signed_in(Role.SUPPORT)
    assert "as schedule:primary" in page(client, "/deliveries/")
    assert "schedule:primary, when it was owed" in page(client, f"/deliveries/{row.pk}/")
    html = page(client, f"/alerts/{alert.pk}/")
    assert "as schedule:primary" in html
    assert "Who is schedule:primary now?" in html
    assert caller(Role.SUPPORT).get(f"/deliveries/{row.pk}")["receiver"] == "schedule:primary"
