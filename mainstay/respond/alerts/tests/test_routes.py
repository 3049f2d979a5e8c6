"""Routes and the channels they name, also those that are gone and those that step in."""

import re
from typing import Any

import pytest

from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.refusal import Managed, Refused
from mainstay.observe.checks.tests.parts import NOON, after, check, see, up
from mainstay.respond.alerts.actions import (
    acknowledge,
    consider_due,
    silence,
    unacknowledge,
)
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.routes import default_name, put_route, remove_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.alerts.tests.parts import KIM, VIEWER, channel, events, fall, route, silencing, the_alert
from mainstay.respond.delivery import actions as delivery
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.sending.record import Sent, record

pytestmark = pytest.mark.django_db


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
    [({}, "everything"), ({"severity": "critical"}, "severity-critical"), ({"a": ["b", "c-d"]}, "a-b-c-d")],
)
def test_a_route_without_name_is_named_after_its_match(match: dict[str, Any], name: str) -> None:
    assert default_name(RouteSpec(match=match, notify=["ops"])) == name


def test_matches_that_no_name_can_hold_are_named_apart() -> None:
    """What is named alike is one route: a file would make the other, which people made, what it says of this."""
    specs = [
        *(RouteSpec(match={"team": team}) for team in ("b-c", "b c", "b/c", "日本", "中国", "x" * 200, "x" * 201)),
        *(RouteSpec(matchers=[text]) for text in ('team=~"b.c"', 'team=~"b+c"', 'team=~"b.c", team=~"b+c"')),
    ]
    names = [default_name(spec) for spec in specs]
    assert names[0] == "team-b-c"
    assert len(set(names)) == len(names)
    assert all(RouteSpec(name=name, notify=["ops"]).name == name for name in names)
    assert re.fullmatch("team-b-c-[0-9a-f]{8}", names[1])
    both: list[Any] = [{"a": "ü", "b": "c"}, {"b": "c", "a": "ü"}]
    assert len({default_name(RouteSpec(match=match)).rpartition("-")[2] for match in both}) == 1


def test_only_who_may_respond_does(ops: Channel) -> None:
    fall(check())
    for act in (
        lambda: acknowledge(the_alert(), VIEWER, after(70)),
        lambda: unacknowledge(the_alert(), VIEWER, after(70)),
        lambda: silence(silencing({"a": "b"}, NOON, after(99), "why"), VIEWER, NOON),
        lambda: put_route(RouteSpec(notify=["ops"]), KIM, NOON),
    ):
        with pytest.raises(NotAllowed):
            act()
