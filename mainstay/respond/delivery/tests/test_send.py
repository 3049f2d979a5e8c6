"""Sending until the receiver confirms: with real receivers on 127.0.0.1, several workers, and a database that fails."""

import logging
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection

from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import Subject
from mainstay.foundation.processes.models import Process
from mainstay.foundation.refusal import Managed, Refused
from mainstay.foundation.secrets import MASK, seal
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, closed_port, hang, reply, reset
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.models import Attempt, Channel, Delivery, Thread
from mainstay.respond.delivery.outbox import owe, waiting
from mainstay.respond.delivery.sending import record, send
from mainstay.respond.delivery.sending.lanes import LANES_PER_CHANNEL
from mainstay.respond.delivery.sending.record import Sent
from mainstay.respond.delivery.sending.send import Sender, claim, free_abandoned
from mainstay.respond.delivery.spec import ChannelSpec
from mainstay.respond.delivery.tests.parts import (
    NOON,
    PATIENCE_S,
    Anywhere,
    Dying,
    channel,
    cycle,
    idle,
    message,
    owed,
    process,
    until,
)
from mainstay.respond.delivery.waiting import waiting as waiting_pages
from tests.database import at_once, away

pytestmark = pytest.mark.django_db(transaction=True)


def fresh(row: Delivery) -> Delivery:
    return Delivery.objects.get(pk=row.pk)


def keys(receiver: Receiver) -> list[str]:
    return [request.headers["idempotency-key"] for request in receiver.requests]


def sent_events(receiver: Receiver) -> list[str]:
    return [request.headers["x-mainstay-event"] for request in receiver.requests]


# --- outcomes ------------------------------------------------------------------------------------------------------


def test_a_message_is_delivered_once_and_told(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    row = owed()
    cycle(sender, worker)
    cycle(sender, worker)
    row = fresh(row)
    assert (row.status, row.attempts, row.claimed_by, row.answer[:8]) == ("delivered", 1, None, "HTTP 200")
    assert keys(receiver) == [row.key]
    entry = Entry.objects.get(kind="page.delivered")
    assert (entry.subject, entry.facts["channel"], entry.facts["attempt"]) == ("alert:1", "ops", 1)
    assert Attempt.objects.get().outcome == "delivered"


@pytest.mark.parametrize(
    ("answer", "outcome", "least_s", "most_s"),
    [
        (reply(500), "retry", 0.8, 1.3),
        (reply(503, Retry_After="30"), "retry", 30, 36.1),
        (reply(429, Retry_After="7"), "retry", 7, 8.5),
        (reply(429, Retry_After="99999"), "retry", 3600, 4321),
        (reply(404), "refused", 48, 72.1),
        (reply(301, Location="/x"), "refused", 48, 72.1),
        (reset, "unknown", 0.8, 1.3),
    ],
)
def test_what_did_not_arrive_is_tried_again_with_the_same_key(
    answer: Any, outcome: str, least_s: float, most_s: float, receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    receiver.answers = [answer, reply()]
    row = owed()
    cycle(sender, worker)
    attempt = Attempt.objects.get()
    assert attempt.outcome == outcome
    row = fresh(row)
    assert row.status == "queued"
    ended = attempt.at + timedelta(seconds=attempt.duration_s)
    assert least_s <= (row.due_at - ended).total_seconds() <= most_s
    cycle(sender, worker, later_s=least_s - 2)
    assert len(receiver.requests) == 1  # not before its time
    cycle(sender, worker, later_s=most_s + 5)
    assert fresh(row).status == "delivered"
    assert keys(receiver) == [row.key, row.key]


def test_a_receiver_that_is_not_there_is_tried_until_it_is(sender: Sender, worker: int) -> None:
    port = closed_port()
    made = channel(f"http://127.0.0.1:{port}/")
    row = owed()
    for number in range(4):
        cycle(sender, worker, later_s=1000 * (number + 1))
    assert (fresh(row).status, fresh(row).attempts) == ("queued", 4)
    with Receiver() as late:
        spec = ChannelSpec.model_validate({"name": "ops", "webhook": {"url": late.url()}})
        actions.put_channel(spec, Actor("user:1", "Kim", Role.ADMIN), clock_now(), existing=made)
        assert fresh(row).due_at <= clock_now()  # what waits is sent at once when the channel is mended
        cycle(sender, worker)
        assert keys(late) == [row.key]
    told = Entry.objects.filter(kind="page.failing").count()
    assert told == 1  # the first failure is told, not each


def test_an_address_that_the_policy_forbids_is_never_connected_to(receiver: Receiver, worker: int) -> None:
    class Nowhere:
        def check(self, ip: str, host: str) -> str | None:
            return "not there"

    channel(receiver.url())
    row = owed()
    sender = Sender(Nowhere())
    cycle(sender, worker)
    sender.stop(1)
    assert receiver.requests == []
    assert "forbids" in fresh(row).answer


def test_a_channel_whose_secret_cannot_be_opened_says_so_and_can_be_mended(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    made = channel(receiver.url())
    Channel.objects.update(config={"url": seal("http://x", "another key")})
    row = owed()
    cycle(sender, worker)
    assert "settings cannot be used" in fresh(row).answer
    made.refresh_from_db()
    spec = ChannelSpec.model_validate({"name": "ops", "webhook": {"url": receiver.url()}})
    actions.put_channel(spec, Actor("user:1", "Kim", Role.ADMIN), clock_now(), existing=made)
    cycle(sender, worker)
    assert fresh(row).status == "delivered"


def test_a_defect_while_sending_is_recorded_and_backed_off(
    receiver: Receiver, sender: Sender, worker: int, caplog: pytest.LogCaptureFixture
) -> None:
    channel(receiver.url())
    row = owed()
    Delivery.objects.update(message="{}")
    with caplog.at_level(logging.CRITICAL):
        cycle(sender, worker)
    row = fresh(row)
    assert (row.status, row.attempts) == ("queued", 1)
    assert "Mainstay failed while sending (ValueError)" in row.answer


# --- order and lanes -----------------------------------------------------------------------------------------------


def test_messages_of_a_thread_leave_in_order_per_channel(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(receiver.url())
    receiver.answers = [reply(500), reply()]
    for event in (Event.TRIGGER, Event.ACKNOWLEDGE, Event.RESOLVE):
        owed(event)
    for _ in range(5):
        cycle(sender, worker, later_s=5)
    assert sent_events(receiver) == ["trigger", "trigger", "acknowledge", "resolve"]


def test_a_thread_that_is_stuck_does_not_hold_up_another_thread_or_channel(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    channel(receiver.url("/other"), "other")
    stuck = owed(thread="stuck")
    Delivery.objects.filter(pk=stuck.pk).update(due_at=clock_now() + timedelta(hours=1))
    behind = owed(Event.RESOLVE, "stuck")
    owed(thread="free")
    owed(Event.RESOLVE, "stuck", to="other")
    cycle(sender, worker)
    assert sorted(sent_events(receiver)) == ["resolve", "trigger"]
    assert fresh(behind).status == "queued"
    assert waiting(["stuck", "other"]) == {"stuck": {"ops"}}


def test_a_receiver_that_hangs_delays_no_other_channel(sender: Sender, worker: int, receiver: Receiver) -> None:
    with Receiver() as hanging:
        hanging.answers = [hang]
        channel(hanging.url(), "slow")
        channel(receiver.url(), "ops")
        for number in range(30):
            owed(thread=f"slow-{number}", to="slow")
        cycle(sender, worker, wait=False)
        until(lambda: len(hanging.requests) == LANES_PER_CHANNEL)
        row = owed(thread="urgent")
        cycle(sender, worker, wait=False)
        until(lambda: fresh(row).status == "delivered")
        cycle(sender, worker, wait=False)
        assert len(hanging.requests) == LANES_PER_CHANNEL
        hanging.released.set()
        until(lambda: idle(sender))


def test_a_thousand_messages_for_one_channel_do_not_hide_one_for_another(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(f"http://127.0.0.1:{closed_port()}/", "dead")
    channel(receiver.url())
    template = owed(thread="dead", to="dead")
    Delivery.objects.bulk_create(
        Delivery(
            channel=template.channel, channel_name="dead", event="trigger", thread=f"dead-{number}", key=f"k{number}",
            message=template.message, subject="alert:1", subject_name="x", created_at=NOON, due_at=NOON,
        )
        for number in range(1_000)
    )  # fmt: skip
    row = owed()
    cycle(sender, worker)
    assert fresh(row).status == "delivered"


def test_a_paused_channel_keeps_its_messages(receiver: Receiver, sender: Sender, worker: int) -> None:
    made = channel(receiver.url())
    Channel.objects.update(paused=True)
    row = owed()
    cycle(sender, worker)
    assert (fresh(row).status, receiver.requests) == ("queued", [])
    made.refresh_from_db()
    actions.put_channel(actions.spec_of(made).model_copy(update={"paused": False}), COMMAND, clock_now(), existing=made)
    cycle(sender, worker)
    assert fresh(row).status == "delivered"


COMMAND = Actor("user:1", "Kim", Role.ADMIN)


@pytest.mark.fault("D3")
@pytest.mark.parametrize("answers", [404, 500, 429, None])
def test_a_test_is_tried_once_and_never_makes_now_red(
    answers: int | None, receiver: Receiver, sender: Sender, worker: int
) -> None:
    if answers is not None:
        receiver.answers = [reply(answers, "nobody here")] * 3
    made = channel(receiver.url() if answers is not None else f"http://127.0.0.1:{closed_port()}/")
    row = actions.send_test(made, COMMAND, clock_now())
    for later in (0, 60, 3600):
        cycle(sender, worker, later_s=later)
    row.refresh_from_db()
    assert (row.status, row.attempts, Attempt.objects.count()) == ("failed", 1, 1)
    assert ("nobody here" if answers is not None else "cannot be reached") in row.answer
    assert waiting_pages(clock_now() + timedelta(hours=2)) == []
    assert Entry.objects.filter(kind="page.failing").count() == 1


@pytest.mark.fault("D3")
def test_a_person_gives_up_what_waits_and_the_journal_says_so(receiver: Receiver, sender: Sender, worker: int) -> None:
    channel(f"http://127.0.0.1:{closed_port()}/")
    row = owed()
    cycle(sender, worker)
    with pytest.raises(NotAllowed):
        actions.discard(row, Actor("user:2", "Pat", Role.STAKEHOLDER), clock_now())
    assert actions.discard(fresh(row), COMMAND, clock_now())
    assert (fresh(row).status, fresh(row).answer) == ("withdrawn", "Kim gave it up")
    assert Entry.objects.get(kind="page.withdrawn").facts["reason"] == "given up by hand"
    cycle(sender, worker, later_s=3600)
    assert fresh(row).attempts == 1
    assert not actions.discard(fresh(row), COMMAND, clock_now()), "nothing waits any more"
    assert waiting_pages(clock_now() + timedelta(hours=2)) == []


# --- fallback ------------------------------------------------------------------------------------------------------


def test_a_channel_that_does_not_answer_falls_back_after_two_attempts_and_is_still_tried(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(f"http://127.0.0.1:{closed_port()}/", "dead")
    channel(receiver.url())
    row = owed(to="dead", fallback=("ops",))
    cycle(sender, worker)
    assert Delivery.objects.count() == 1
    cycle(sender, worker, later_s=60)
    cycle(sender, worker, later_s=61)
    second = Delivery.objects.exclude(pk=row.pk).get()
    assert (second.channel_name, second.status, second.fallback_of_id) == ("ops", "delivered", row.pk)
    assert second.key != row.key
    assert fresh(row).status == "queued"
    assert Entry.objects.get(kind="page.fell_back").facts["to"] == "ops"


def test_a_refusal_falls_back_at_once_and_on_over_the_whole_chain(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    receiver.answers = [reply(404)]
    for name in ("a", "b", "c"):
        channel(receiver.url(f"/{name}"), name)
    owed(to="a", fallback=("gone", "b", "c"))
    for _ in range(4):
        cycle(sender, worker)
    assert [request.path for request in receiver.requests] == ["/a", "/b", "/c"]


def test_two_channels_that_fail_share_one_fallback(receiver: Receiver, sender: Sender, worker: int) -> None:
    receiver.answers = [reply(404)]
    for name in ("a", "b", "mail"):
        channel(receiver.url(f"/{name}"), name)
    owe(message(), ["a", "b"], Subject("alert", 1, "x"), clock_now(), fallback=["mail"])
    for _ in range(3):
        cycle(sender, worker)
    assert sorted(request.path for request in receiver.requests) == ["/a", "/b", "/mail"]


# --- workers that die, and a database that fails -------------------------------------------------------------------


def test_a_worker_that_dies_after_the_receivers_word_and_before_its_commit_leads_to_the_same_key_again(
    receiver: Receiver, sender: Sender, worker: int
) -> None:
    channel(receiver.url())
    row = owed()
    dying = Dying(Anywhere())
    cycle(dying, worker, wait=False)
    until(lambda: receiver.requests)
    cycle(sender, process())
    assert fresh(row).status == "sending"  # as long as it might be alive
    Process.objects.filter(pk=worker).delete()
    sender._freed_at = 0.0
    cycle(sender, process())
    assert fresh(row).status == "delivered"
    assert keys(receiver) == [row.key, row.key]
    dying.stop(0)


def test_claims_of_dead_workers_and_old_claims_are_freed_and_those_of_living_ones_are_not(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    now = clock_now()
    dead = process(now - timedelta(minutes=1))
    rows = [owed(thread=f"t{number}") for number in range(3)]
    assert claim(rows[0], dead, now)
    assert claim(rows[1], worker, now)
    assert claim(rows[2], worker, now - timedelta(minutes=2))
    assert free_abandoned(now) == 2
    assert [fresh(row).status for row in rows] == ["queued", "sending", "queued"]


def test_a_send_under_way_is_not_freed_by_its_own_process(worker: int) -> None:
    """After the database was away for long, the process looks dead: its beat is missing."""
    channel("http://127.0.0.1:1/")
    row = owed()
    assert claim(row, worker, clock_now())
    Process.objects.update(beat_at=NOON)
    assert free_abandoned(clock_now(), [row.pk]) == 0
    assert free_abandoned(clock_now()) == 1


def test_of_many_workers_one_claims(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    for number in range(5):
        row = owed(thread=f"t{number}")
        found = at_once(*[lambda row=row, one=one: claim(row, one, clock_now()) for one in range(4)])
        assert sorted(map(str, found)) == ["False", "False", "False", "True"]


def test_two_senders_send_each_message_once_and_in_order(receiver: Receiver, worker: int) -> None:
    channel(receiver.url())
    for number in range(8):
        owed(thread=f"t{number}")
        owed(Event.RESOLVE, f"t{number}")
    senders = {Sender(Anywhere()): process() for _ in range(2)}

    def work(sender: Sender) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while Delivery.objects.exclude(status="delivered").exists() and time.monotonic() < give_up:
            cycle(sender, senders[sender])

    errors = [found for found in at_once(*[lambda one=one: work(one) for one in senders]) if found is not None]
    for sender in senders:
        sender.stop(PATIENCE_S)
    assert errors == []
    assert len(keys(receiver)) == len(set(keys(receiver))) == 16
    by_thread: dict[str, list[str]] = {}
    for request in receiver.requests:
        by_thread.setdefault(request.json["groupKey"], []).append(request.headers["x-mainstay-event"])
    assert set(map(tuple, by_thread.values())) == {("trigger", "resolve")}


def test_while_the_database_is_away_between_send_and_record_the_same_process_does_not_send_twice(
    receiver: Receiver, worker: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    channel(receiver.url())
    row = owed()
    failures: list[Sent] = []
    really = record.record

    def failing(sent: Sent) -> None:
        if len(failures) < 3:
            failures.append(sent)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            raise OperationalError("away")
        really(sent)

    monkeypatch.setattr(send, "record", failing)
    monkeypatch.setattr(send, "RECORD_AGAIN_S", 0.01)
    sender = Sender(Anywhere())
    with caplog.at_level(logging.CRITICAL):
        cycle(sender, worker, wait=False)
        Process.objects.update(beat_at=NOON)  # the beat could not be written either
        while not idle(sender):
            sender._freed_at = 0.0
            cycle(sender, worker, wait=False)
            time.sleep(0.005)
    sender.stop(1)
    assert len(failures) == 3
    assert fresh(row).status == "delivered"
    assert keys(receiver) == [row.key]


def test_a_claim_that_the_database_refuses_costs_no_lane(
    receiver: Receiver, sender: Sender, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel(receiver.url())
    row = owed()
    sender._due(clock_now())
    for _ in range(LANES_PER_CHANNEL + 1):
        sender._freed_at = time.monotonic()
        monkeypatch.setattr(sender, "_due", lambda _now: [row])  # read before the database went away
        with pytest.raises(OperationalError), away():
            cycle(sender, worker, wait=False)
    monkeypatch.undo()
    assert idle(sender)
    cycle(sender, worker)
    assert fresh(row).status == "delivered"


def test_an_answer_that_cannot_be_stored_does_not_stop_the_recording(
    receiver: Receiver, worker: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    channel(receiver.url())
    rows = [owed(thread="bad"), owed(thread="good")]
    really = record.record

    def picky(sent: Sent) -> None:
        if sent.delivery == rows[0].pk and not sent.receipt.answer.startswith("The answer cannot"):
            raise DataError("invalid byte sequence")
        really(sent)

    monkeypatch.setattr(send, "record", picky)
    sender = Sender(Anywhere())
    with caplog.at_level(logging.CRITICAL):
        cycle(sender, worker)
    sender.stop(1)
    assert [fresh(row).status for row in rows] == ["delivered", "delivered"]


def test_stopping_waits_for_what_is_under_way_and_begins_nothing(receiver: Receiver, worker: int) -> None:
    channel(receiver.url())
    sender = Sender(Anywhere())
    row = owed()
    cycle(sender, worker, wait=False)
    sender.stop(PATIENCE_S)
    assert fresh(row).status == "delivered"
    other = owed(thread="t2")
    cycle(sender, worker)
    assert fresh(other).status == "queued"


# --- recording -----------------------------------------------------------------------------------------------------


def sent(row: Delivery, outcome: Any, process: int, **given: Any) -> Sent:
    return Sent(row.pk, clock_now(), 0.1, Receipt(outcome, "said so", **given), process)


def test_a_late_failure_does_not_undo_what_another_worker_delivered(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    row = owed()
    claim(row, worker, clock_now())
    other = process()
    Delivery.objects.update(claimed_by=other)  # the claim ran out and was taken over
    record.record(sent(row, "unknown", worker))
    assert (fresh(row).status, fresh(row).claimed_by, fresh(row).attempts) == ("sending", other, 1)
    record.record(sent(row, "delivered", other))
    record.record(sent(row, "retry", worker))
    assert fresh(row).status == "delivered"


def test_a_delivery_that_was_withdrawn_while_it_was_sent_stays_withdrawn_unless_it_arrived(
    receiver: Receiver, worker: int, me: Actor
) -> None:
    made = channel(receiver.url())
    rows = [owed(thread=f"t{number}") for number in range(3)]
    for row in rows[:2]:
        claim(row, worker, clock_now())
    actions.remove_channel(made, me, clock_now())
    assert Entry.objects.filter(kind="page.withdrawn").count() == 3
    record.record(sent(rows[0], "retry", worker))
    record.record(sent(rows[1], "delivered", worker))
    assert [fresh(row).status for row in rows] == ["withdrawn", "delivered", "withdrawn"]


def test_what_a_channel_wants_back_is_kept_per_thread(worker: int) -> None:
    made = channel("http://127.0.0.1:1/")
    row = owed()
    claim(row, worker, clock_now())
    record.record(sent(row, "delivered", worker, state={"ts": "17.5"}))
    thread = Thread.objects.get()
    assert (thread.channel, thread.thread, thread.state) == (made, "t1", {"ts": "17.5"})
    second = owed(Event.RESOLVE)
    assert send._state_of(Delivery.objects.select_related("channel").get(pk=second.pk)) == {"ts": "17.5"}


def test_two_records_at_once_count_both_attempts(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    row = owed()
    claim(row, worker, clock_now())
    at_once(*[lambda: record.record(sent(row, "unknown", worker)) for _ in range(4)])
    assert (fresh(row).attempts, Attempt.objects.count(), fresh(row).status) == (4, 4, "queued")


# --- what people do ------------------------------------------------------------------------------------------------


def test_only_who_may_edit_channels_does(me: Actor) -> None:
    made = channel("http://127.0.0.1:1/")
    support = Actor("user:8", "Support", Role.SUPPORT)
    for act in (
        lambda: actions.remove_channel(made, support, NOON),
        lambda: actions.send_test(made, support, NOON),
        lambda: actions.put_channel(actions.spec_of(made), support, NOON, existing=made),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_a_channel_of_a_file_is_edited_there_and_keeps_its_name(me: Actor) -> None:
    spec = ChannelSpec.model_validate({"name": "ops", "webhook": {"url": "http://127.0.0.1:1/s3cret"}})
    made = actions.put_channel(spec, me, NOON, by_file="shop.yaml")
    with pytest.raises(Managed):
        actions.remove_channel(made, me, NOON)
    with pytest.raises(Refused, match="cannot be renamed"):
        actions.put_channel(spec.model_copy(update={"name": "x"}), me, NOON, existing=made, by_file="shop.yaml")
    with pytest.raises(Refused, match="already"):
        actions.put_channel(spec, me, NOON)
    assert actions.shown_spec(made) == {"name": "ops", "webhook": {"url": MASK}}
    assert "s3cret" not in str(made.config) + made.target


def test_a_test_message_takes_the_same_way(receiver: Receiver, sender: Sender, worker: int, me: Actor) -> None:
    made = channel(receiver.url())
    row = actions.send_test(made, me, clock_now())
    cycle(sender, worker)
    assert fresh(row).status == "delivered"
    assert sent_events(receiver) == ["test"]


def test_a_waiting_message_can_be_tried_at_once(receiver: Receiver, sender: Sender, worker: int, me: Actor) -> None:
    channel(receiver.url())
    row = owed()
    Delivery.objects.update(due_at=clock_now() + timedelta(hours=1))
    assert actions.retry_now(row, me, clock_now())
    cycle(sender, worker)
    assert fresh(row).status == "delivered"
    assert not actions.retry_now(row, me, clock_now())


def test_a_claim_from_a_future_that_will_not_come_is_none(worker: int) -> None:
    """The worker lives, but the clock was set back since it claimed."""
    channel("http://127.0.0.1:1/")
    row, now = owed(), clock_now()
    assert claim(row, worker, now + timedelta(hours=1))
    assert free_abandoned(now, [row.pk]) == 0
    assert free_abandoned(now) == 1


def test_a_worker_whose_beats_lie_in_the_future_does_not_count_as_alive(worker: int) -> None:
    channel("http://127.0.0.1:1/")
    row, now = owed(), clock_now()
    assert claim(row, process(now + timedelta(hours=1)), now)
    assert free_abandoned(now) == 1
