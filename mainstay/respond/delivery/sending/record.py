"""Recording what became of a send: the attempt, and what follows from it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.journal.write import Subject, write
from mainstay.respond.delivery import facts
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.message import Event, Message
from mainstay.respond.delivery.models import Attempt, Delivery, Group, Thread
from mainstay.respond.delivery.outbox import FALL_BACK_AFTER_ATTEMPTS, TOLD_AT_ATTEMPTS, Owing, owe_all, retry_at
from mainstay.respond.delivery.receivers import channels_of

WORKER = program("worker")
BARELY_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Sent:
    """One send that has ended: of which delivery, when it began, how long it took, what the receiver said."""

    delivery: int
    at: datetime
    duration_s: float
    receipt: Receipt
    process: int = 0  # that had claimed it


@transaction.atomic
def record(sent: Sent) -> None:
    """Record one attempt and what follows from it: delivered, tried again later, handed to a fallback as well.

    A test is tried once: whoever sent it looks at the answer.
    """
    rows = Delivery.objects.select_for_update(of=("self",)).select_related("channel")
    delivery = rows.filter(pk=sent.delivery).first()
    if delivery is None or delivery.status == "delivered":
        return
    receipt, now = sent.receipt, sent.at + timedelta(seconds=sent.duration_s)
    Attempt.objects.create(
        delivery=delivery, at=sent.at, duration_s=sent.duration_s, outcome=receipt.outcome, answer=receipt.answer
    )
    if receipt.state and delivery.channel is not None:
        Thread.objects.update_or_create(
            channel=delivery.channel, thread=delivery.thread, defaults={"state": dict(receipt.state), "updated_at": now}
        )
    delivery.attempts += 1
    if receipt.outcome != "delivered" and (delivery.status, delivery.claimed_by) != ("sending", sent.process):
        # Withdrawn, or taken over by another worker: what becomes of it is not for this attempt to say.
        delivery.save(update_fields=["attempts"])
        return
    delivery.answer = receipt.answer
    delivery.claimed_by = delivery.claimed_until = None
    subject = _subject(delivery)
    if receipt.outcome == "delivered":
        delivery.status, delivery.delivered_at = "delivered", now
        if delivery.of_group:
            Group.objects.filter(deliveries=delivery, failing=True).update(failing=False)
        write(
            facts.PAGE_DELIVERED,
            subject,
            WORKER,
            now,
            event=delivery.event,
            channel=delivery.channel_name,
            seconds=round(max(0.0, (now - delivery.created_at).total_seconds()), 3),
            attempt=delivery.attempts,
            delivery=delivery.pk,
        )
    else:
        refused = receipt.outcome == "refused"
        is_test = delivery.event == Event.TEST
        delivery.status = "failed" if is_test else "queued"
        delivery.due_at = retry_at(now, delivery.attempts, receipt.retry_after_s, refused=refused)
        if is_test or delivery.attempts in TOLD_AT_ATTEMPTS or delivery.attempts % 100 == 0:
            write(
                facts.PAGE_FAILING,
                subject,
                WORKER,
                now,
                event=delivery.event,
                channel=delivery.channel_name,
                answer=receipt.answer[:500],
                attempt=delivery.attempts,
                delivery=delivery.pk,
            )
        given_up = refused or delivery.attempts >= FALL_BACK_AFTER_ATTEMPTS
        if delivery.of_group and given_up:
            Group.objects.filter(deliveries=delivery).update(failing=True)  # its alerts fall back, each by its route
        elif delivery.fallback and given_up:
            fall_back(delivery, now)
    delivery.save(
        update_fields=[
            "status",
            "delivered_at",
            "due_at",
            "attempts",
            "answer",
            "claimed_by",
            "claimed_until",
            "fallback",
        ]
    )


def fall_back(delivery: Delivery, now: datetime) -> None:
    """Also send it to the next receiver that is somebody now. This one is still tried: it may be what is read."""
    receivers, delivery.fallback = delivery.fallback, []
    if not receivers:
        return
    # Several channels of one page may fail; what takes their place gets it once.
    siblings = Delivery.objects.filter(thread=delivery.thread, event=delivery.event, created_at=delivery.created_at)
    paged = dict(siblings.values_list("pk", "channel_name"))
    channels = {
        receiver: [name for name in names if name not in paged.values()]
        for receiver, names in channels_of(receivers, now).items()
    }
    waiting = [receiver for receiver in receivers if channels.get(receiver)]
    if not waiting:
        return
    receiver, *rest = waiting
    sent = Delivery.objects.filter(channel_name__in=channels[receiver], fallback_of__in=list(paged))
    has_it = set(sent.values_list("channel_name", flat=True))
    to = [name for name in channels[receiver] if name not in has_it]
    message, subject = Message.from_json(delivery.message), _subject(delivery)
    via = dict.fromkeys(to, receiver)
    owing = Owing(message, to, subject, now, fallback=rest, fallback_of=delivery, via=via)
    for row in owe_all([owing])[0].deliveries if to else ():
        write(
            facts.PAGE_FELL_BACK,
            subject,
            WORKER,
            now,
            event=delivery.event,
            channel=delivery.channel_name,
            to=row.channel_name,
            delivery=row.pk,
        )


def _subject(delivery: Delivery) -> Subject:
    kind, _, number = delivery.subject.partition(":")
    return Subject(kind, int(number), delivery.subject_name, delivery.application)


def barely(sent: Sent) -> None:
    """Record only that it has arrived, or when to try again: its row holds what nothing else can be made of."""
    arrived = sent.receipt.outcome == "delivered"
    now = sent.at + timedelta(seconds=sent.duration_s)
    rows = Delivery.objects.filter(pk=sent.delivery, status="sending", claimed_by=sent.process)
    rows.update(
        status="delivered" if arrived else "queued",
        delivered_at=now if arrived else None,
        due_at=now + BARELY_AGAIN,
        claimed_by=None,
        claimed_until=None,
    )
