"""Sends what the outbox holds until the receiver confirms it. At least once; never dropped.

A row is claimed by a conditional UPDATE, sent with its stable key, and marked delivered only on the receiver's word.
A worker that is killed between the receiver's word and our commit leaves a claimed row behind; the next one sends it
again with the same key. Each channel has few lanes of its own, so a receiver that hangs delays nobody else.
"""

import logging
import queue
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Exists, OuterRef, Q
from pydantic import ValidationError

from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.processes import beat
from mainstay.foundation.secrets import LostKey, unseal_all
from mainstay.respond.delivery.http import AddressPolicy
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.message import Message
from mainstay.respond.delivery.models import Delivery, Thread
from mainstay.respond.delivery.record import Sent, record

log = logging.getLogger("mainstay.delivery")
LANES = 16  # sends at once, in all …
LANES_PER_CHANNEL = 4  # … and to one channel
TIMEOUT_S = 20.0
CLAIM = timedelta(seconds=TIMEOUT_S + 40)  # a claim that is older belongs to a worker that hangs or is gone
CANDIDATES = 100
RECORD_AGAIN_S, RECORD_AGAIN_MOST_S = 0.1, 2.0


class Sender:
    """Claims and sends; `cycle` is run again and again by the worker."""

    def __init__(self, policy: AddressPolicy) -> None:
        self.policy = policy
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="send")
        self._busy: Counter[int] = Counter()  # channel → sends under way or not yet recorded
        self._lock = threading.Lock()
        self._sent: queue.SimpleQueue[Sent] = queue.SimpleQueue()
        self._channel_of: dict[int, int] = {}
        self._freed_at = 0.0
        threading.Thread(target=self._record_sent, name="record", daemon=True).start()

    def cycle(self, now: datetime, process: int) -> bool:
        """Take back what dead workers held, send what is due; return whether more may be waiting."""
        if time.monotonic() - self._freed_at > 1.0:
            free_abandoned(now)
            self._freed_at = time.monotonic()
        started = 0
        for delivery in self._due(now):
            channel = delivery.channel_id or 0
            with self._lock:
                if sum(self._busy.values()) >= LANES:
                    break
                if self._busy[channel] >= LANES_PER_CHANNEL:
                    continue
                self._busy[channel] += 1
                self._channel_of[delivery.pk] = channel
            if claim(delivery, process, now):
                self._pool.submit(self._send, delivery)
                started += 1
            else:
                self._free(delivery.pk)
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

    def _send(self, delivery: Delivery) -> None:
        at, begin = clock_now(), time.monotonic()
        try:
            receipt = self._try(delivery)
        except Exception:  # in a pool an exception would vanish; the claim runs out and it is sent again
            log.exception("delivery %d to %s failed", delivery.pk, delivery.channel_name)
            self._free(delivery.pk)
        else:
            self._sent.put(Sent(delivery.pk, at, time.monotonic() - begin, receipt))
        finally:
            close_old_connections()

    def _record_sent(self) -> None:
        """Record sends that have ended; those that end while a commit runs share the next one.

        What is sent but not yet recorded is sent again when the process is killed: sharing commits keeps that window
        short even when many end at once.
        """
        while True:
            batch = [self._sent.get()]
            while len(batch) < LANES and not self._sent.empty():
                batch.append(self._sent.get())
            pause_s = RECORD_AGAIN_S
            while True:
                try:
                    with transaction.atomic():
                        for sent in batch:
                            record(sent)
                    break
                except DatabaseError as error:
                    log.error("%d sends have ended, but are not yet recorded: %s", len(batch), error)
                    connection.close()
                    time.sleep(pause_s)
                    pause_s = min(pause_s * 2, RECORD_AGAIN_MOST_S)
                except Exception:  # a defect met by one must not keep the others from being recorded
                    log.exception("sends could not be recorded together")
                    self._record_singly(batch)
                    break
            for sent in batch:
                self._free(sent.delivery)

    @staticmethod
    def _record_singly(batch: list[Sent]) -> None:
        for sent in batch:
            try:
                record(sent)
            except Exception:  # its claim runs out and it is sent again, with the same key
                log.exception("delivery %d could not be recorded", sent.delivery)

    def _free(self, delivery: int) -> None:
        with self._lock:
            self._busy[self._channel_of.pop(delivery, 0)] -= 1

    def _try(self, delivery: Delivery) -> Receipt:
        channel = delivery.channel
        assert channel is not None  # `_due` selects only those that have one
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


def _earlier_one_waits() -> Exists:
    """A trigger must not be overtaken by its resolution: messages of a thread leave in order, per channel."""
    return Exists(
        Delivery.objects.filter(
            thread=OuterRef("thread"),
            channel=OuterRef("channel"),
            id__lt=OuterRef("id"),
            status__in=("queued", "sending"),
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
    return Delivery.objects.filter(abandoned, status="sending").update(
        status="queued", claimed_by=None, claimed_until=None
    )
