"""Storms are few messages: a real sender against a real receiver, slow, dead, or killed in between."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes.models import Process
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.tests.receiver import Behaviour, Handler, Receiver, closed_port, reply
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.models import Attempt, Delivery, Group, GroupMember
from mainstay.respond.delivery.sending.groups import gather
from mainstay.respond.delivery.sending.lanes import LANES_PER_CHANNEL, LANES_PER_SLOW_CHANNEL, Lanes
from mainstay.respond.delivery.sending.send import Sender, claim, due_to
from mainstay.respond.delivery.tests.parts import Anywhere, Dying, channel, cycle, idle, process, say, until, waits

pytestmark = pytest.mark.django_db(transaction=True)


def slow(seconds: float) -> Behaviour:
    def behave(handler: Handler) -> None:
        time.sleep(seconds)
        reply()(handler)

    return behave


def run(sender: Sender, process: int, done: Any, within_s: float) -> float:
    """Turn the sender as the worker does until `done`; return how long it took."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < within_s, "it took too long"
        sender.cycle(clock_now(), process)
        time.sleep(0.05)
    return time.monotonic() - began


def alerts(receiver: Receiver) -> dict[str, set[str]]:
    """Alert → the states in which some body has it."""
    found: dict[str, set[str]] = {}
    for request in list(receiver.requests):
        for alert in request.json["alerts"]:
            found.setdefault(alert["generatorURL"], set()).add(alert["status"])
    return found


def groups(receiver: Receiver) -> list[dict[str, Any]]:
    return [request.json for request in list(receiver.requests) if len(request.json["alerts"]) > 1]


# --- a storm -------------------------------------------------------------------------------------------------------


@pytest.mark.fault("R10")
def test_a_storm_at_a_slow_receiver_is_few_messages_and_a_critical_one_passes_it(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    receiver.answers = [slow(2.0)]
    for number in range(300):
        say(number, severity="minor" if number % 3 else "major")
    began = time.monotonic()
    run(sender, worker, lambda: groups(receiver), 10)
    assert sum(len(request.json["alerts"]) + request.json["truncatedAlerts"] for request in receiver.requests) > 100
    urgent = say(999, severity="critical")
    run(sender, worker, lambda: "http://127.0.0.1/alerts/999/" in alerts(receiver), 10)
    run(sender, worker, lambda: Delivery.objects.get(pk=urgent.pk).status == "delivered", 10)
    assert Delivery.objects.filter(status="queued").exists()  # before those that waited longer
    for number in range(300):
        say(number, Event.RESOLVE, severity="minor" if number % 3 else "major")
    run(sender, worker, lambda: not waits(), 40)
    assert time.monotonic() - began < 60
    assert len(receiver.requests) < 50
    [group] = Group.objects.all()
    first, *_, last = groups(receiver)
    assert (first["status"], len(first["alerts"]), first["truncatedAlerts"]) == ("firing", 100, 180)
    assert (last["status"], len(last["alerts"])) == ("resolved", 100)
    assert last["truncatedAlerts"] in {180, 181}  # the critical one took the place of one that was still to go singly
    assert {body["groupKey"] for body in groups(receiver)} == {first["groupKey"]}
    assert first["commonAnnotations"]["mainstay_url"].endswith(f"/deliveries/?group={group.pk}")
    # Each alert is in some body, or counted in a group of which Mainstay lists each.
    singly = set(alerts(receiver)) - {alert["generatorURL"] for body in groups(receiver) for alert in body["alerts"]}
    members = {f"http://127.0.0.1/alerts/{row.thread.removeprefix('alert-')}/" for row in group.members.all()}
    assert singly | members == {f"http://127.0.0.1/alerts/{number}/" for number in [*range(300), 999]}
    assert not singly & members
    assert {state for url in singly - {"http://127.0.0.1/alerts/999/"} for state in alerts(receiver)[url]} == {
        "firing", "resolved",
    }  # fmt: skip
    assert set(group.members.values_list("state", flat=True)) == {"over"}
    keys = [request.headers["idempotency-key"] for request in receiver.requests]
    assert len(keys) == len(set(keys))


def test_what_was_over_before_it_was_tried_is_one_summary(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    for number in range(60):
        say(number)
        say(number, Event.RESOLVE)
    stays = say(100, severity="critical")
    run(sender, worker, lambda: not waits(), 20)
    [single, summary] = sorted(receiver.requests, key=lambda request: len(request.json["alerts"]))
    assert single.headers["idempotency-key"] == stays.key
    assert summary.json["status"] == "resolved"
    assert {alert["status"] for alert in summary.json["alerts"]} == {"resolved"}
    assert {alert["endsAt"][:4] for alert in summary.json["alerts"]} == {str(clock_now().year)}
    assert summary.json["commonAnnotations"]["summary"].endswith(
        "60 alerts fired and were over before they could be sent"
    )
    assert Delivery.objects.filter(status="withdrawn").count() == 120
    [entry] = Entry.objects.filter(kind="page.grouped")
    assert (entry.facts["alerts"], entry.facts["channel"]) == (60, "ops")
    assert not Entry.objects.filter(kind="page.withdrawn").exists()


def test_few_that_are_over_go_as_page_and_resolution(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    for number in range(10):
        say(number)
        say(number, Event.RESOLVE)
    run(sender, worker, lambda: not waits(), 20)
    assert len(receiver.requests) == 20
    assert not Group.objects.exists()


@pytest.mark.fault("R10")
def test_two_thousand_that_are_over_are_one_summary(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    template = say(0)
    rows = [
        Delivery(
            channel=template.channel, channel_name="ops", event=event, thread=f"alert-{number}", key=f"{event}{number}",
            message=template.message, subject=f"alert:{number}", subject_name="x", created_at=template.created_at,
            due_at=template.due_at, urgency=urgency,
        )
        for number in range(1, 2000)
        for event, urgency in (("trigger", 12), ("resolve", 15))
    ]  # fmt: skip
    Delivery.objects.bulk_create(rows)
    say(0, Event.RESOLVE)
    took_s = run(sender, worker, lambda: not waits(), 30)
    print(f"\n4,000 waiting messages: {len(receiver.requests)} sent in {took_s:.1f} s")
    assert [request.json["truncatedAlerts"] for request in receiver.requests] == [1900]


# --- what was tried is never given up ------------------------------------------------------------------------------


def test_what_a_killed_worker_may_have_sent_is_neither_grouped_nor_withdrawn(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    sent = say(1, severity="critical")
    dying = Dying(Anywhere())
    cycle(dying, worker, wait=False)
    until(lambda: receiver.requests)
    dying.stop(0)
    Process.objects.filter(pk=worker).delete()
    assert Delivery.objects.get(pk=sent.pk).attempts == 0  # nobody recorded it
    say(1, Event.RESOLVE, severity="critical")
    for number in range(2, 60):
        say(number)
    run(sender, process(), lambda: not waits(), 20)
    mine = [request for request in receiver.requests if request.json["alerts"][0]["generatorURL"].endswith("/1/")]
    events = [(request.headers["x-mainstay-event"], len(request.json["alerts"])) for request in mine]
    assert events == [("trigger", 1), ("trigger", 1), ("resolve", 1)]
    assert mine[0].headers["idempotency-key"] == mine[1].headers["idempotency-key"] == sent.key


def test_a_group_message_that_a_killed_worker_sent_is_sent_again_with_the_same_key_and_body(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    for number in range(40):
        say(number)
    gather(clock_now())
    dying = Dying(Anywhere())
    cycle(dying, worker, wait=False, later_s=2)  # the group's message goes before the pages
    until(lambda: groups(receiver))
    dying.stop(0)
    for number in range(40, 50):
        say(number)  # they join meanwhile: what was sent stays as it was, an update tells of them
    Process.objects.filter(pk=worker).delete()
    second = process()
    for _ in range(60):
        sender._freed_at = 0.0
        cycle(sender, second, later_s=9)
    bodies = groups(receiver)
    told = [request for request in receiver.requests if len(request.json["alerts"]) > 1]
    assert [request.headers["x-mainstay-event"] for request in told][:2] == ["trigger", "trigger"]
    assert told[0].headers["idempotency-key"] == told[1].headers["idempotency-key"]
    assert bodies[0] == bodies[1]
    assert len(set(alerts(receiver))) == 50
    by_key = {request.headers["idempotency-key"]: request.body for request in told}
    assert all(by_key[request.headers["idempotency-key"]] == request.body for request in told)


def test_what_another_worker_has_written_already_is_not_written_anew(receiver: Receiver, worker: int) -> None:
    channel(receiver.url())
    for number in range(40):
        say(number)
    gather(clock_now())
    late = Delivery.objects.get(subject__startswith="group:")
    first = Delivery.objects.get(pk=late.pk)
    assert claim(first, worker, clock_now())
    Delivery.objects.filter(pk=late.pk).update(status="queued")  # its worker was killed
    for number in range(40, 50):
        say(number)
    gather(clock_now())
    assert claim(late, worker, clock_now())
    assert late.message == first.message == Delivery.objects.get(pk=late.pk).message
    assert Delivery.objects.filter(subject__startswith="group:").count() == 2  # an update tells of the others


def test_what_was_delivered_before_is_known_even_without_a_time_of_its_first_attempt(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    for number in range(40):
        say(number)
    Delivery.objects.filter(thread="alert-39").update(status="delivered", tried_at=None)
    again = say(39, severity="minor")
    say(39, Event.RESOLVE)
    gather(clock_now())
    assert Delivery.objects.get(pk=again.pk).status == "queued"


def test_two_workers_gather_each_page_once(receiver: Receiver, worker: int) -> None:
    channel(receiver.url())
    for number in range(120):
        say(number)
    senders = {Sender(Anywhere()): process() for _ in range(2)}
    errors: list[BaseException] = []

    def work(one: Sender) -> None:
        try:
            run(one, senders[one], lambda: not waits(), 30)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(one,)) for one in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    for one in senders:
        one.stop(5)
    assert errors == []
    assert Group.objects.count() == 1
    singly = [request for request in receiver.requests if len(request.json["alerts"]) == 1]
    assert len(singly) + GroupMember.objects.count() == 120
    keys = [request.headers["idempotency-key"] for request in receiver.requests]
    assert len(keys) == len(set(keys))


# --- the life of a group -------------------------------------------------------------------------------------------


def _storm(sender: Sender, worker: int, number: int = 40) -> Group:
    for each in range(number):
        say(each)
    cycle(sender, worker)
    for _ in range(25):
        cycle(sender, worker, later_s=2)
    return Group.objects.get()


def told(receiver: Receiver, group: Group) -> list[str]:
    return [
        request.headers["x-mainstay-event"] for request in receiver.requests if group.thread in request.json["groupKey"]
    ]


def test_what_follows_pages_of_a_group_is_one_update_and_at_last_one_resolution(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    group = _storm(sender, worker)
    assert told(receiver, group) == ["trigger"]
    mine = [int(row.thread.removeprefix("alert-")) for row in group.members.order_by("id")]
    for number in mine[:5]:
        say(number, Event.RESOLVE)
        say(number + 1000)  # another page: few wait, and few went in the last minute, so it goes singly
    cycle(sender, worker, later_s=70)
    cycle(sender, worker, later_s=70)
    assert told(receiver, group) == ["trigger"]  # that some are over can wait
    cycle(sender, worker, later_s=400)
    assert told(receiver, group) == ["trigger", "update"]
    for number in mine[5:]:
        say(number, Event.ACKNOWLEDGE)
    cycle(sender, worker, later_s=400)
    cycle(sender, worker, later_s=800)
    assert told(receiver, group) == ["trigger", "update", "acknowledge"]
    for number in mine[5:]:
        say(number, Event.RESOLVE)
    for _ in range(3):
        cycle(sender, worker, later_s=800)
    assert told(receiver, group) == ["trigger", "update", "acknowledge", "resolve"]
    assert Group.objects.get().ended_at is not None
    assert not waits()
    assert Entry.objects.filter(kind="page.grouped").count() == 4


def test_an_alert_that_is_paged_again_leaves_its_group(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    group = _storm(sender, worker)
    number = int(group.members.order_by("id").first().thread.removeprefix("alert-"))  # type: ignore[union-attr]
    say(number, severity="critical")
    cycle(sender, worker)
    say(number, Event.RESOLVE, severity="critical")
    cycle(sender, worker)
    last = [request for request in receiver.requests if len(request.json["alerts"]) == 1][-2:]
    assert [request.headers["x-mainstay-event"] for request in last] == ["trigger", "resolve"]
    assert {request.json["alerts"][0]["generatorURL"] for request in last} == {f"http://127.0.0.1/alerts/{number}/"}
    assert group.members.get(thread=f"alert-{number}").state == "single"


def test_what_left_its_group_may_join_it_again(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    group = _storm(sender, worker)
    number = int(group.members.order_by("id").first().thread.removeprefix("alert-"))  # type: ignore[union-attr]
    say(number, severity="minor")
    gather(clock_now() + timedelta(seconds=61))  # when those sent singly count no more
    assert group.members.get(thread=f"alert-{number}").state == "single"
    for each in range(100, 125):
        say(each, severity="critical")
    gather(clock_now())
    assert group.members.get(thread=f"alert-{number}").state == "open"
    say(number, Event.RESOLVE, severity="minor")
    for _ in range(25):
        cycle(sender, worker, later_s=60)
    assert group.members.get(thread=f"alert-{number}").state == "over"
    assert not waits()


def test_a_reminder_of_many_is_one(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    group = _storm(sender, worker)
    for row in group.members.all():
        say(int(row.thread.removeprefix("alert-")), Event.REMIND)
    cycle(sender, worker, later_s=60)
    cycle(sender, worker, later_s=60)
    assert told(receiver, group) == ["trigger", "remind"]


def test_a_later_storm_is_a_new_group(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    _storm(sender, worker)
    Group.objects.update(created_at=clock_now() - timedelta(hours=1))
    for number in range(100, 140):
        say(number)
    for _ in range(15):
        cycle(sender, worker, later_s=2)
    assert Group.objects.count() == 2


def test_a_group_that_does_not_get_through_falls_back_with_each_of_its_alerts(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(f"http://127.0.0.1:{closed_port()}/", "dead")
    channel(receiver.url())
    for number in range(40):
        say(number, to="dead", fallback=("ops",))
    for turn in range(60):
        cycle(sender, worker, later_s=3 * turn)
    assert set(alerts(receiver)) == {f"http://127.0.0.1/alerts/{number}/" for number in range(40)}
    assert Entry.objects.filter(kind="page.fell_back").count() == 40
    assert Group.objects.get(channel_name="dead").failing


def test_a_page_that_cannot_be_read_does_not_keep_its_group_from_being_sent(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    rows = [say(number) for number in range(40)]
    Delivery.objects.filter(pk=rows[-1].pk).update(message="{}")
    cycle(sender, worker)
    for _ in range(25):
        cycle(sender, worker, later_s=2)
    [body] = groups(receiver)
    assert (len(body["alerts"]), body["truncatedAlerts"]) == (19, 1)


# --- order and lanes -----------------------------------------------------------------------------------------------


def test_the_most_urgent_goes_first_then_the_oldest(worker: int) -> None:
    made = channel("http://127.0.0.1:1/")
    minor, major, critical = say(1, severity="minor"), say(2), say(3, severity="critical")
    second = say(4, severity="critical")
    say(3, Event.RESOLVE, severity="critical")
    assert due_to(made.pk, clock_now(), 9) == [critical.pk, second.pk, major.pk, minor.pk]
    Delivery.objects.filter(pk=critical.pk).update(status="delivered")
    assert due_to(made.pk, clock_now(), 3)[0] == second.pk


@pytest.mark.timing
def test_asking_for_what_is_due_is_cheap_with_five_thousand_waiting(worker: int) -> None:
    made = channel("http://127.0.0.1:1/")
    template = say(0)
    Delivery.objects.bulk_create(
        Delivery(
            channel=made, channel_name="ops", event=event, thread=f"alert-{number}", key=f"{event}{number}",
            message=template.message, subject=f"alert:{number}", subject_name="x", created_at=template.created_at,
            due_at=template.due_at, urgency=12 + 3 * place,
        )
        for place, event in enumerate(("trigger", "resolve"))
        for number in range(2500)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    began = time.perf_counter()
    for _ in range(10):
        assert len(due_to(made.pk, clock_now(), 8)) == 8
    each_ms = (time.perf_counter() - began) * 100
    print(f"\nwhat is due of 5,000: {each_ms:.2f} ms")
    assert each_ms < 20


def test_lanes_grow_while_the_receiver_is_slow_and_well_and_shrink_when_it_fails() -> None:
    lanes = Lanes()

    def ends(outcome: Any, seconds: float) -> int:
        assert lanes.take(1, 7)
        lanes.learn(1, Receipt(outcome, ""), seconds)
        lanes.free(1)
        return lanes.rooms(7)

    assert lanes.rooms(7) == LANES_PER_CHANNEL
    assert (
        [ends("delivered", 2.0) for _ in range(8)]
        == [3, 4, 5, 6, 7, 8, 8, 8]
        == [*range(3, LANES_PER_SLOW_CHANNEL), 8, 8, 8]
    )
    assert ends("unknown", 20.0) == 1
    assert ends("delivered", 0.01) == LANES_PER_CHANNEL
    assert ends("retry", 0.01) == 1


def test_slow_channels_leave_lanes_to_the_others() -> None:
    lanes = Lanes()
    number = 0
    for channel_id in (1, 2, 3, 4):
        for _ in range(6):
            number += 1
            assert lanes.take(number, channel_id)
            lanes.learn(number, Receipt("delivered", ""), 2.0)
            lanes.free(number)
    taken = [lanes.take(100 + each, each % 4 + 1) for each in range(32)]
    assert sum(taken) == 16
    assert all(lanes.take(200 + each, 5 + each // 2) for each in range(16))
    assert not lanes.take(300, 50)


@pytest.mark.timing
def test_a_receiver_that_is_slow_gets_more_lanes(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    receiver.answers = [slow(0.6)]
    for number in range(20):
        say(number)
    took_s = run(sender, worker, lambda: not waits(), 15)
    assert took_s < 5  # two lanes take 6 s
    assert Attempt.objects.count() == 20
    assert idle(sender)
