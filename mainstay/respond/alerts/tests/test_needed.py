"""Alerts of checks that need others: who pages when both are down, and when one of them comes back."""

import pytest

from mainstay.foundation.accounts.actor import Actor
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.tests.parts import after, check, down, see, up, watch
from mainstay.respond.alerts.actions import (
    consider_due,
)
from mainstay.respond.alerts.decide import SETTLE
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages import story
from mainstay.respond.alerts.tests.parts import events
from mainstay.respond.delivery.models import Channel

pytestmark = pytest.mark.django_db


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


@pytest.mark.fault("D12")
def test_the_reason_keeps_the_spelling_of_what_it_begins_with(ops: Channel, me: Actor) -> None:
    held, parent, child, _ = family(me)
    see(held, down(parent, 10))
    see(held, down(child, 11))
    consider_due(after(12))
    alert = Alert.objects.get(name="shop/child is down")
    said = "shop/parent, which it needs, is down and has its own alert"
    assert story.deciding_now(alert, after(12)).reason == said
    assert said in [one.reason for one in story.decisions(alert)]


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
