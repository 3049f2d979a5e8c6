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
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q
from pydantic import ValidationError

from mainstay.foundation import gaps
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.processes import beat
from mainstay.foundation.secrets import LostKey, unseal_all
from mainstay.respond.delivery.http import AddressPolicy
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.message import Message
from mainstay.respond.delivery.models import Delivery, Thread
from mainstay.respond.delivery.outbox import CLOCK_MAY_DIFFER
from mainstay.respond.delivery.record import Sent, record

log = logging.getLogger("mainstay.delivery")
LANES = 32  # sends at once, in all …
LANES_PER_CHANNEL = 2  # … and to one channel: what is sent, but not recorded when killed, is sent twice
TIMEOUT_S = 20.0
CLAIM = timedelta(seconds=TIMEOUT_S + 40)  # a claim that is older belongs to a worker that hangs or is gone
RECORD_AGAIN_S, RECORD_AGAIN_MOST_S = 0.1, 2.0


class Sender:
    """Claims and sends; `cycle` is run again and again by the worker."""

    def __init__(self, policy: AddressPolicy, *, freed: Callable[[], object] = lambda: None) -> None:
        """`freed` is called when a lane has become free, so that what waits need not wait for the next cycle."""
        self.policy = policy
        self._freed = freed
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="send")
        self._busy: Counter[int] = Counter()  # channel → sends under way or not yet recorded
        self._lock = threading.Lock()
        self._sent: queue.SimpleQueue[Sent | None] = queue.SimpleQueue()  # None: no more will come
        self._channel_of: dict[int, int] = {}
        self._freed_at = 0.0
        self._stopping = False
        self._recorder = threading.Thread(target=self._record_sent, name="record", daemon=True)
        self._recorder.start()

    def cycle(self, now: datetime, process: int) -> bool:
        """Take back what dead workers held, send what is due; return whether more may be waiting."""
        if time.monotonic() - self._freed_at > 1.0:
            with self._lock:
                held = list(self._channel_of)
            free_abandoned(now, held)
            self._freed_at = time.monotonic()
        started = 0
        for delivery in self._due(now):
            if self._stopping or not self._take_lane(delivery):
                continue
            submitted = False
            try:
                state = _state_of(delivery)
                if claim(delivery, process, now):
                    self._pool.submit(self._send, delivery, state, process)
                    submitted = True
                    started += 1
            finally:
                if not submitted:
                    self._free(delivery.pk)
        return started == LANES

    def stop(self, timeout_s: float) -> None:
        """Wait a little for sends under way; what does not end in time is sent again by the next worker."""
        self._stopping = True
        give_up = time.monotonic() + timeout_s
        while sum(self._busy.values()) and time.monotonic() < give_up:
            time.sleep(0.02)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not sum(self._busy.values()):
            self._sent.put(None)
            self._recorder.join(1.0)

    def _take_lane(self, delivery: Delivery) -> bool:
        """Take a lane; False when there is none, or an attempt of this very delivery is not recorded yet."""
        channel = delivery.channel_id or 0
        with self._lock:
            full = sum(self._busy.values()) >= LANES or self._busy[channel] >= LANES_PER_CHANNEL
            if full or delivery.pk in self._channel_of:
                return False
            self._busy[channel] += 1
            self._channel_of[delivery.pk] = channel
            return True

    def _due(self, now: datetime) -> list[Delivery]:
        if not _something_is_due(now):
            return []
        with self._lock:
            full = [channel for channel, count in self._busy.items() if count >= LANES_PER_CHANNEL]
        due = (
            Delivery.objects.filter(status="queued", due_at__lte=now, channel__isnull=False, channel__paused=False)
            .exclude(channel__in=full)
            .exclude(_earlier_one_waits())
        )
        # Each channel has its own share: a thousand messages for one must not hide the one for another.
        found: list[Delivery] = []
        for channel in list(due.order_by().values_list("channel_id", flat=True).distinct()):
            mine = due.filter(channel=channel).select_related("channel").order_by("due_at", "id")
            found += mine[:LANES_PER_CHANNEL]
        return sorted(found, key=lambda delivery: (delivery.due_at, delivery.pk))

    def _send(self, delivery: Delivery, state: Mapping[str, str], process: int) -> None:
        """Runs in a lane. It never asks the database: neither a lock there nor a connection per lane is wanted."""
        at, begin = clock_now(), time.monotonic()
        try:
            receipt = self._try(delivery, state)
        except (
            Exception
        ) as error:  # a defect; recorded like any failure, so that it is seen, backed off, and falls back
            log.exception("delivery %d to %s failed", delivery.pk, delivery.channel_name)
            receipt = Receipt("unknown", f"Mainstay failed while sending ({type(error).__name__}); see its log.")
        self._sent.put(Sent(delivery.pk, at, time.monotonic() - begin, receipt, process))

    def _record_sent(self) -> None:
        """Record sends that have ended; those that end while a commit runs share the next one.

        What is sent but not yet recorded is sent again when the process is killed: sharing commits keeps that window
        short even when many end at once.
        """
        while True:
            first = self._sent.get()
            if first is None:
                connection.close()
                return
            batch = [first]
            while len(batch) < LANES and not self._sent.empty():
                more = self._sent.get()
                if more is None:
                    self._sent.put(None)
                    break
                batch.append(more)
            pause_s = RECORD_AGAIN_S
            while True:
                try:
                    with transaction.atomic():
                        for sent in batch:
                            record(sent)
                    break
                except (DataError, IntegrityError):
                    log.exception("sends could not be recorded together")
                    self._record_singly(batch)
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
            except (DataError, IntegrityError):
                log.exception("delivery %d: the receiver's answer cannot be stored", sent.delivery)
                record(replace(sent, receipt=Receipt(sent.receipt.outcome, "The answer cannot be stored.")))
            except Exception:  # its claim runs out and it is sent again, with the same key
                log.exception("delivery %d could not be recorded", sent.delivery)

    def _free(self, delivery: int) -> None:
        with self._lock:
            self._busy[self._channel_of.pop(delivery, 0)] -= 1
        self._freed()

    def _try(self, delivery: Delivery, state: Mapping[str, str]) -> Receipt:
        channel = delivery.channel
        assert channel is not None  # `_due` selects only those that have one
        kind = CHANNELS.get(channel.kind)
        if kind is None:
            return Receipt("refused", f"The channel's kind {channel.kind} is not known to this version.")
        try:
            given = kind.Settings.model_validate(unseal_all(channel.config, settings.SECRET_KEY))
        except (ValidationError, LostKey) as error:
            return Receipt("refused", f"The channel's settings cannot be used: {error}")
        return kind.send(
            given,
            Message.from_json(delivery.message),
            idempotency_key=delivery.key,
            state=state,
            timeout_s=TIMEOUT_S,
            policy=self.policy,
        )


def _state_of(delivery: Delivery) -> Mapping[str, str]:
    thread = Thread.objects.filter(channel=delivery.channel_id, thread=delivery.thread).first()
    state: Mapping[str, str] = thread.state if thread is not None else {}
    return state


def _something_is_due(now: datetime) -> bool:
    """Ask in plain SQL, ten times a second: building the real query costs two hundred times as much as this answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM delivery_delivery WHERE status = 'queued' AND due_at <= %s LIMIT 1",
            [connection.ops.adapt_datetimefield_value(now)],
        )
        return cursor.fetchone() is not None


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


def free_abandoned(now: datetime, held: Collection[int] = ()) -> int:
    """Queue again what dead workers had claimed; return how many.

    Args:
        held: deliveries that this process has under way. After the database was away, its own beat may be missing.
    """
    working = beat.alive(now, "worker")
    slack = gaps.detector.slack(CLAIM)  # a clock that was set makes no claim older …
    too_far = now + CLAIM + slack + CLOCK_MAY_DIFFER  # … and one from a future that will not come is none
    abandoned = Q(claimed_until__lt=now - slack) | Q(claimed_until__gt=too_far) | ~Q(claimed_by__in=working)
    rows = Delivery.objects.filter(abandoned, status="sending").exclude(pk__in=held)
    return rows.update(status="queued", claimed_by=None, claimed_until=None)
