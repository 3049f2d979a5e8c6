"""A channel, a sender and what it is given, for the tests of sending."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.journal.write import Subject
from mainstay.foundation.processes.models import Process
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.kinds.tests.samples import alert_message
from mainstay.respond.delivery.message import Event, Message
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.outbox import owe
from mainstay.respond.delivery.sending.send import Sender
from mainstay.respond.delivery.spec import ChannelSpec

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
PATIENCE_S = 10.0


class Anywhere:
    """The policy of a test: every address is allowed."""

    def check(self, ip: str, host: str) -> str | None:
        return None


class Dying(Sender):
    """A worker that is killed between the receiver's word and its own commit."""

    def _record_sent(self) -> None:
        pass


def process(at: datetime | None = None) -> int:
    at = at or clock_now()
    return Process.objects.create(role="worker", host="h", pid=1, boot="", started_at=at, beat_at=at).pk


def channel(url: str, name: str = "ops") -> Channel:
    spec = ChannelSpec.model_validate({"name": name, "webhook": {"url": url}})
    return actions.put_channel(spec, Actor("user:1", "Kim", Role.ADMIN), NOON)


def message(event: Event = Event.TRIGGER, thread: str = "t1", text: str = "HTTP 500.") -> Message:
    return alert_message(
        event=event, title="shop/front is down", text=text, severity="major", application="shop", environment="",
        labels={}, annotations={}, starts_at=NOON, url="http://127.0.0.1/alerts/1/", dedup_key=thread,
    )  # fmt: skip


def owed(
    event: Event = Event.TRIGGER, thread: str = "t1", *, to: str = "ops", fallback: tuple[str, ...] = ()
) -> Delivery:
    [row] = owe(
        message(event, thread), [to], Subject("alert", 1, "shop/front is down"), clock_now(), fallback=fallback
    ).deliveries
    return row


def until(true: Callable[[], object], what: str = "") -> None:
    """Wait for another thread, bounded."""
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up, what
        time.sleep(0.005)


def idle(sender: Sender) -> bool:
    return not sender.lanes.busy


def cycle(sender: Sender, process: int, *, later_s: float = 0.0, wait: bool = True) -> None:
    """One round, with the clock set ahead, until what it began is recorded."""
    sender.cycle(clock_now() + timedelta(seconds=later_s), process)
    if wait:
        until(lambda: idle(sender), "the sends of a round did not end")


def say(
    number: int, event: Event = Event.TRIGGER, severity: str = "major", *, to: str = "ops", **given: Any
) -> Delivery:
    """Owe a message about alert `number`."""
    now = clock_now()
    message = alert_message(
        event=event, title=f"shop/check-{number} is down", text="HTTP 500.", severity=severity, application="shop",
        environment="", labels={"check": f"check-{number}"}, annotations={}, starts_at=now - timedelta(minutes=1),
        ends_at=now if event is Event.RESOLVE else None, url=f"http://127.0.0.1/alerts/{number}/",
        dedup_key=f"alert-{number}",
    )  # fmt: skip
    return owe(message, [to], Subject("alert", number, message.title), now, **given).deliveries[0]


def waits() -> bool:
    return Delivery.objects.filter(status__in=("queued", "sending")).exists()
