"""Sends what the outbox holds until the receiver confirms it. At least once; never dropped.

A row is claimed by a conditional UPDATE, sent with its stable key, and marked delivered only on the receiver's word.
A worker that is killed between the receiver's word and our commit leaves a claimed row behind; the next one sends it
again with the same key. Each channel has few lanes of its own, so a receiver that hangs delays nobody else.
"""

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Exists, OuterRef, Q
from pydantic import ValidationError

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes import beat
from mainstay.foundation.secrets import LostKey, unseal_all
from mainstay.respond.delivery import facts
from mainstay.respond.delivery.http import AddressPolicy
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.message import Message
from mainstay.respond.delivery.models import Attempt, Delivery, Thread
from mainstay.respond.delivery.outbox import FALL_BACK_AFTER_ATTEMPTS, TOLD_AT_ATTEMPTS, owe, retry_at

log = logging.getLogger("mainstay.delivery")
WORKER = program("worker")
LANES = 16  # sends at once, in all …
LANES_PER_CHANNEL = 4  # … and to one channel
TIMEOUT_S = 20.0
CLAIM = timedelta(seconds=TIMEOUT_S + 40)  # a claim that is older belongs to a worker that hangs or is gone
CANDIDATES = 100


@dataclass(slots=True)
class _Sent:
    delivery: int
    at: datetime
    duration_s: float
    receipt: Receipt


class Sender:
    """Claims and sends; `cycle` is run again and again by the worker."""

    def __init__(self, policy: AddressPolicy) -> None:
        self.policy = policy
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="send")
        self._busy: Counter[int] = Counter()  # channel → sends under way
        self._unsaved: list[_Sent] = []  # confirmed or failed, but the database was away
        self._lock = threading.Lock()
        self._freed_at: float = 0.0

    def cycle(self, now: datetime, process: int) -> bool:
        """Take back what dead workers held, save what could not be saved, send what is due."""
        self._save_unsaved(process)
        if time.monotonic() - self._freed_at > 1.0:
            free_abandoned(now)
            self._freed_at = time.monotonic()
        started = 0
        for delivery in self._due(now):
            with self._lock:
                if sum(self._busy.values()) >= LANES:
                    break
                channel = delivery.channel_id or 0
                if self._busy[channel] >= LANES_PER_CHANNEL:
                    continue
                self._busy[channel] += 1
            if claim(delivery, process, now):
                self._pool.submit(self._send, delivery, process)
                started += 1
            else:
                with self._lock:
                    self._busy[channel] -= 1
        return started == LANES

    def stop(self, timeout_s: float) -> None:
        """Wait a little for sends under way; what does not end in time is sent again by the next worker."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        give_up = time.monotonic() + timeout_s
        while sum(self._busy.values()) and time.monotonic() < give_up:
            time.sleep(0.02)

    def _due(self, now: datetime) -> list[Delivery]:
        with self._lock:
            full = [channel for channel, count in self._busy.items() if count >= LANES_PER_CHANNEL]
        return list(
            Delivery.objects.filter(status="queued", due_at__lte=now, channel__isnull=False, channel__paused=False)
            .exclude(channel__in=full)
            .exclude(_earlier_one_waits())
            .select_related("channel")
            .order_by("due_at", "id")[:CANDIDATES]
        )

    def _send(self, delivery: Delivery, process: int) -> None:
        at, begin = clock_now(), time.monotonic()
        try:
            receipt = self._try(delivery)
            sent = _Sent(delivery.pk, at, time.monotonic() - begin, receipt)
            try:
                finish(sent, process)
            except DatabaseError as error:
                log.error("%s to %s: %s, but not yet recorded: %s", delivery.event, delivery.channel_name, receipt.outcome, error)
                connection.close()
                with self._lock:
                    self._unsaved.append(sent)
        except Exception:  # noqa: BLE001  # in a pool an exception would vanish; the claim runs out and it is sent again
            log.exception("delivery %d to %s failed", delivery.pk, delivery.channel_name)
        finally:
            with self._lock:
                self._busy[delivery.channel_id or 0] -= 1
            close_old_connections()

    def _try(self, delivery: Delivery) -> Receipt:
        channel = delivery.channel
        assert channel is not None  # noqa: S101  # `_due` selects only those that have one
        kind = CHANNELS.get(channel.kind)
        if kind is None:
            return Receipt("refused", f"The channel's kind {channel.kind} is not known to this version.")
        try:
            given = kind.Settings.model_validate(unseal_all(channel.config, settings.SECRET_KEY))
        except (ValidationError, LostKey) as error:
            return Receipt("refused", f"The channel's settings cannot be used: {error}")
        thread = Thread.objects.filter(channel=channel, thread=delivery.thread).first()
        return kind.send(
            given,
            Message.from_json(delivery.message),
            idempotency_key=delivery.key,
            state=thread.state if thread else {},
            timeout_s=TIMEOUT_S,
            policy=self.policy,
        )

    def _save_unsaved(self, process: int) -> None:
        with self._lock:
            waiting, self._unsaved = self._unsaved, []
        for place, sent in enumerate(waiting):
            try:
                finish(sent, process)
            except DatabaseError:
                with self._lock:
                    self._unsaved[:0] = waiting[place:]
                raise


def _earlier_one_waits() -> Exists:
    """A trigger must not be overtaken by its resolution: messages of a thread leave in order, per channel."""
    return Exists(
        Delivery.objects.filter(
            thread=OuterRef("thread"), channel=OuterRef("channel"), id__lt=OuterRef("id"), status__in=("queued", "sending")
        )
    )


def claim(delivery: Delivery, process: int, now: datetime) -> bool:
    """Take a queued delivery for this process; False when another was faster."""
    return bool(
        Delivery.objects.filter(pk=delivery.pk, status="queued").update(
            status="sending", claimed_by=process, claimed_until=now + CLAIM
        )
    )


def free_abandoned(now: datetime) -> int:
    """Queue again what dead workers had claimed; return how many."""
    working = beat.alive(now, "worker")
    abandoned = Q(claimed_until__lt=now) | ~Q(claimed_by__in=working)
    return Delivery.objects.filter(abandoned, status="sending").update(status="queued", claimed_by=None, claimed_until=None)


@transaction.atomic
def finish(sent: _Sent, process: int) -> None:
    """Record one attempt and what follows from it: delivered, tried again later, handed to a fallback as well."""
    delivery = Delivery.objects.select_related("channel").filter(pk=sent.delivery).first()
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
    delivery.answer = receipt.answer
    delivery.claimed_by = delivery.claimed_until = None
    subject = _subject(delivery)
    if receipt.outcome == "delivered":
        delivery.status, delivery.delivered_at = "delivered", now
        write(
            facts.PAGE_DELIVERED,
            subject,
            WORKER,
            now,
            event=delivery.event,
            channel=delivery.channel_name,
            seconds=round((now - delivery.created_at).total_seconds(), 3),
            attempt=delivery.attempts,
            delivery=delivery.pk,
        )
    else:
        refused = receipt.outcome == "refused"
        delivery.status = "queued"
        delivery.due_at = retry_at(now, delivery.attempts, receipt.retry_after_s, refused=refused)
        if delivery.attempts in TOLD_AT_ATTEMPTS or delivery.attempts % 100 == 0:
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
        if delivery.fallback and (refused or delivery.attempts >= FALL_BACK_AFTER_ATTEMPTS):
            _fall_back(delivery, now)
    delivery.save(
        update_fields=["status", "delivered_at", "due_at", "attempts", "answer", "claimed_by", "claimed_until", "fallback"]
    )


def _fall_back(delivery: Delivery, now: datetime) -> None:
    """Also send it by the next channel. This one is still tried: it may be the one that is read."""
    to, *rest = delivery.fallback
    delivery.fallback = []
    owed = owe(Message.from_json(delivery.message), [to], _subject(delivery), now, fallback=rest, fallback_of=delivery)
    if owed.deliveries:
        write(
            facts.PAGE_FELL_BACK,
            _subject(delivery),
            WORKER,
            now,
            event=delivery.event,
            channel=delivery.channel_name,
            to=to,
            delivery=owed.deliveries[0].pk,
        )


def _subject(delivery: Delivery) -> Subject:
    kind, _, number = delivery.subject.partition(":")
    return Subject(kind, int(number), delivery.subject_name, delivery.application)
