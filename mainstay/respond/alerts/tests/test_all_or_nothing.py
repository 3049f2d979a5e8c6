"""Killed at any statement, a change has happened with its alert and its pages, or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import CheckState, Downtime, Result
from mainstay.observe.checks.tests.parts import after, check, down, see, up, watch
from mainstay.respond.alerts.actions import (
    acknowledge,
    consider,
    resolve,
)
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.alerts.tests.parts import KIM, delivered, events, fall, route, the_alert
from mainstay.respond.delivery.models import Channel, Delivery

pytestmark = pytest.mark.django_db


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
