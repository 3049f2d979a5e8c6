"""In a storm nothing overtakes what the receiver was told before: a group's message stays as it was written."""

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.journal.kinds import EntryKind
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import write
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.facts import CHANNEL_REMOVED
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, closed_port, reply
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.models import Channel, Delivery, Group, GroupMember
from mainstay.respond.delivery.sending.groups import gather
from mainstay.respond.delivery.sending.send import Sender, claim
from mainstay.respond.delivery.tests.parts import channel, cycle, say, until, waits
from tests.database import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def states(receiver: Receiver, number: int, since: int) -> list[str]:
    """How the receiver heard of an alert, from its request number `since` on."""
    return [
        alert["status"]
        for request in receiver.requests[since:]
        for alert in request.json["alerts"]
        if alert["generatorURL"].endswith(f"/{number}/")
    ]


def test_a_page_again_does_not_overtake_the_message_of_its_group_that_is_tried_again(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    for number in range(40):
        say(number)
    receiver.answers = [reply(500)]
    cycle(sender, worker)
    for _ in range(25):
        cycle(sender, worker, later_s=2)
    number = int(GroupMember.objects.order_by("id")[0].thread.removeprefix("alert-"))
    before = len(receiver.requests)
    receiver.answers = [reply()]
    say(number, severity="critical")  # it is worse than its group's message says, which is not taken yet
    cycle(sender, worker)
    say(number, Event.RESOLVE, severity="critical")
    for turn in range(30):
        cycle(sender, worker, later_s=60 * turn)
    assert states(receiver, number, before)[-1] == "resolved"
    assert sorted(states(receiver, number, before)) == states(receiver, number, before)
    for each in range(40):
        if each != number:
            say(each, Event.RESOLVE)
    for turn in range(30, 60):
        cycle(sender, worker, later_s=60 * turn)
    assert not waits()


def test_a_page_again_falls_back_where_its_group_does_not_get_through(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(f"http://127.0.0.1:{closed_port()}/", "dead")
    channel(receiver.url())
    for number in range(40):
        say(number, to="dead", fallback=("ops",))
    for turn in range(20):
        cycle(sender, worker, later_s=3 * turn)
    member = GroupMember.objects.order_by("id")[0]
    number = int(member.thread.removeprefix("alert-"))
    before = len(receiver.requests)
    say(number, severity="critical", to="dead", fallback=("ops",))
    for turn in range(20, 50):
        cycle(sender, worker, later_s=3 * turn)
    told = [alert for request in receiver.requests[before:] for alert in request.json["alerts"]]
    worse = [alert for alert in told if alert["generatorURL"].endswith(f"/{number}/")]
    assert Delivery.objects.filter(channel_name="ops", thread=member.thread, event="trigger").count() == 2
    assert worse


def test_a_channel_that_is_removed_withdraws_what_its_group_was_to_tell_and_the_journal_says_so_for_each(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    made = channel(receiver.url())
    for number in range(40):
        say(number)
    gather(clock_now())
    actions.remove_channel(made, COMMAND_LINE, clock_now())
    assert set(Delivery.objects.values_list("status", flat=True)) == {"withdrawn"}
    entries = set(Entry.objects.filter(kind="page.withdrawn").values_list("subject", flat=True))
    assert {f"alert:{number}" for number in range(40)} < entries


def test_a_channel_that_is_removed_leaves_what_its_group_has_told_as_it_is(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    made = channel(receiver.url())
    for number in range(40):
        say(number)
    cycle(sender, worker)
    for _ in range(25):
        cycle(sender, worker, later_s=2)
    assert not waits()
    actions.remove_channel(made, COMMAND_LINE, clock_now())
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered", "grouped"}
    assert not Entry.objects.filter(kind="page.withdrawn").exists()


@pytest.mark.postgresql  # SQLite has one lock: nobody can hold one and wait for another
def test_a_channel_is_removed_while_a_message_of_its_group_is_claimed(receiver: Receiver, worker: int) -> None:
    made = channel(receiver.url())
    for number in range(40):
        say(number)
    gather(clock_now())
    group = Group.objects.get()
    locked = threading.Event()

    def claiming() -> None:
        """Take its locks in the order of `claim`, with the other in between."""
        with transaction.atomic():
            Delivery.objects.select_for_update(no_key=True).get(subject=f"group:{group.pk}")
            locked.set()
            until(_somebody_waits, "the removal waits for the claim")
            Group.objects.select_for_update(no_key=True).get(pk=group.pk)

    def removing() -> None:
        locked.wait(10)
        actions.remove_channel(made, COMMAND_LINE, clock_now())

    assert at_once(claiming, removing) == [None, None]
    assert not Channel.objects.exists()


@pytest.mark.postgresql
def test_a_page_again_waits_for_a_message_that_another_worker_is_just_writing(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    for number in range(40):
        say(number)
    gather(clock_now())
    Delivery.objects.filter(event="trigger", group=None).update(status="delivered")
    member = GroupMember.objects.order_by("id")[0]
    again = say(int(member.thread.removeprefix("alert-")), severity="critical")
    written, gathered = threading.Event(), threading.Event()

    def writing() -> None:
        with transaction.atomic():
            assert claim(Delivery.objects.get(subject__startswith="group:"), worker, clock_now())
            written.set()
            until(lambda: gathered.is_set() or _somebody_waits(), "the other has gathered, or waits")

    def gathering() -> None:
        written.wait(10)
        gather(clock_now())
        gathered.set()

    assert at_once(writing, gathering) == [None, None]
    member.refresh_from_db()
    again.refresh_from_db()
    assert (member.state, again.status) == ("open", "queued")


@pytest.mark.postgresql
def test_what_is_owed_to_a_channel_while_it_is_removed_does_not_wait_for_ever(
    worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = channel("http://127.0.0.1:1/")

    def owing() -> None:
        try:
            say(1)
        except IntegrityError:
            pass  # the channel is gone: whoever wanted to page decides again
        finally:
            connection.close()

    page = threading.Thread(target=owing)

    def late(kind: EntryKind, *args: Any, **facts: Any) -> Entry:
        """Let a page be owed when all that waited is withdrawn and the channel is about to be deleted."""
        if kind is CHANNEL_REMOVED:
            page.start()
            until(lambda: not page.is_alive() or _somebody_waits(), "the page is stored, or waits for the removal")
        return write(kind, *args, **facts)

    monkeypatch.setattr(actions, "write", late)
    actions.remove_channel(made, COMMAND_LINE, clock_now())
    page.join(10)
    assert not page.is_alive()
    assert not waits()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
