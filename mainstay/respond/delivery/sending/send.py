"""Sends what the outbox holds until the receiver confirms it. At least once; never dropped.

A row is claimed by a conditional UPDATE, sent with its stable key, and marked delivered only on the receiver's word.
A worker that is killed between the receiver's word and our commit leaves a claimed row behind; the next one sends it
again with the same key. The most urgent goes first. Each channel has few lanes of its own (`lanes.py`), so a receiver
that hangs delays nobody else; when many pages wait for one channel, groups tell them (`groups.py`).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from pydantic import ValidationError

from mainstay.foundation import gaps, store
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.processes import beat
from mainstay.foundation.processes.outage import outage
from mainstay.foundation.processes.work import working_on
from mainstay.foundation.secrets import LostKey, unseal_all
from mainstay.net.http import AddressPolicy
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.message import Message
from mainstay.respond.delivery.models import Delivery, Thread
from mainstay.respond.delivery.outbox import CLOCK_MAY_DIFFER
from mainstay.respond.delivery.sending.groups import compose, gather
from mainstay.respond.delivery.sending.lanes import LANES, Lanes
from mainstay.respond.delivery.sending.record import Sent, barely, record

log = logging.getLogger("mainstay.delivery")
TIMEOUT_S = 20.0
CLAIM = timedelta(seconds=TIMEOUT_S + 40)  # a claim that is older belongs to a worker that hangs or is gone
PUT_OFF = timedelta(minutes=1)
RECORD_AGAIN_S, RECORD_AGAIN_MOST_S = 0.1, 2.0


class Sender:
    """Claims and sends; `cycle` is run again and again by the worker."""

    def __init__(self, policy: AddressPolicy, *, freed: Callable[[], object] = lambda: None) -> None:
        """`freed` is called when a lane has become free, so that what waits need not wait for the next cycle."""
        self.policy = policy
        self._freed = freed
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="send")
        self.lanes = Lanes()
        self._sent: queue.SimpleQueue[Sent | None] = queue.SimpleQueue()  # None: no more will come
        self._freed_at = 0.0
        self._stopping = False
        self._recorder = threading.Thread(target=self._record_sent, name="record", daemon=True)
        self._recorder.start()

    def cycle(self, now: datetime, process: int) -> bool:
        """Take back what dead workers held, send what is due; return whether more may be waiting."""
        if time.monotonic() - self._freed_at > 1.0:
            free_abandoned(now, self.lanes.held())
            self._freed_at = time.monotonic()
        if self._stopping or not _something_is_due(now):
            return False
        gather(now)
        started = 0
        for delivery in self._due(now):
            if self._stopping or not self.lanes.take(delivery.pk, delivery.channel_id or 0):
                continue
            submitted = False
            try:
                state = _state_of(delivery)
                if claim(delivery, process, now):
                    self._pool.submit(self._send, delivery, state, process)
                    submitted = True
                    started += 1
            except DatabaseError:
                raise
            except Exception:  # a defect met by one message must not keep the others from being sent
                log.exception("delivery %d to %s cannot be sent now", delivery.pk, delivery.channel_name)
                Delivery.objects.filter(pk=delivery.pk, status="queued").update(due_at=now + PUT_OFF)
            finally:
                if not submitted:
                    self._free(delivery.pk)
        return started == LANES

    def stop(self, timeout_s: float) -> None:
        """Wait a little for sends under way; what does not end in time is sent again by the next worker."""
        self._stopping = True
        give_up = time.monotonic() + timeout_s
        while self.lanes.busy and time.monotonic() < give_up:
            time.sleep(0.02)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not self.lanes.busy:
            self._sent.put(None)
            self._recorder.join(1.0)

    def _due(self, now: datetime) -> list[Delivery]:
        # Each channel has its own share: a thousand messages for one must not hide the one for another.
        found = [number for channel in due_channels(now) for number in due_to(channel, now, self.lanes.rooms(channel))]
        due = Delivery.objects.filter(pk__in=found).select_related("channel")
        return sorted(due, key=lambda delivery: (delivery.urgency, delivery.due_at, delivery.pk))

    def _send(self, delivery: Delivery, state: Mapping[str, str], process: int) -> None:
        """Runs in a lane. It never asks the database: neither a lock there nor a connection per lane is wanted."""
        at, begin = clock_now(), time.monotonic()
        try:
            with working_on("delivery", delivery.pk):
                receipt = self._try(delivery, state)
        except BaseException as error:  # a defect, or a panic in a library: seen, backed off and falling back
            log.exception("delivery %d to %s failed", delivery.pk, delivery.channel_name)
            receipt = Receipt("unknown", f"Mainstay failed while sending ({type(error).__name__}); see its log.")
        duration_s = time.monotonic() - begin
        self.lanes.learn(delivery.pk, receipt, duration_s)
        self._sent.put(Sent(delivery.pk, at, duration_s, receipt, process))

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
                        for sent in sorted(batch, key=lambda sent: sent.delivery):  # all lock them in this order
                            record(sent)
                    outage.answered("record", time.monotonic())
                    break
                except (DataError, IntegrityError):
                    log.exception("sends could not be recorded together")
                    self._record_singly(batch)
                    break
                except DatabaseError as error:
                    outage.refused("record", error, time.monotonic())
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
                Sender._record_barely(replace(sent, receipt=Receipt(sent.receipt.outcome, "It cannot be stored.")))
            except Exception:
                log.exception("delivery %d could not be recorded", sent.delivery)
                Sender._record_barely(sent)

    @staticmethod
    def _record_barely(sent: Sent) -> None:
        """Record as much as can be, so that what has arrived is not sent a second time. Nothing ends this thread."""
        for attempt in (record, barely):
            try:
                attempt(sent)
                return
            except Exception:  # at last its claim runs out, and it is sent again with the same key
                log.exception("delivery %d could not be recorded", sent.delivery)
                connection.close()

    def _free(self, delivery: int) -> None:
        self.lanes.free(delivery)
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
    return bool(store.select("SELECT 1 FROM delivery_delivery WHERE status = 'queued' AND due_at <= %s LIMIT 1", now))


def due_channels(now: datetime) -> list[int]:
    """Return the channels for which something is due."""
    return store.firsts(
        "SELECT DISTINCT d.channel_id FROM delivery_delivery d JOIN delivery_channel c ON c.id = d.channel_id"
        " WHERE d.status = 'queued' AND d.due_at <= %s AND NOT c.paused",
        now,
    )


def due_to(channel: int, now: datetime, most: int) -> list[int]:
    """Return what is due to a channel, the most urgent first, then the oldest.

    A trigger must not be overtaken by its resolution: messages of a thread leave in order, per channel. What follows a
    page that a group told is for the group to tell.
    """
    if most <= 0:
        return []
    # `status` as a literal: SQLite uses an index of one status only where the statement itself names it.
    return store.firsts(
        "SELECT d.id FROM delivery_delivery d WHERE d.status = 'queued' AND d.channel_id = %s AND d.due_at <= %s"
        " AND NOT EXISTS (SELECT 1 FROM delivery_delivery e WHERE e.thread = d.thread AND e.channel_id = %s"
        " AND e.id < d.id AND e.status IN ('queued', 'sending'))"
        " AND NOT EXISTS (SELECT 1 FROM delivery_groupmember m WHERE m.thread = d.thread AND m.channel_id = %s"
        " AND m.state IN ('open', 'acknowledged'))"
        " ORDER BY d.urgency, d.due_at, d.id LIMIT %s",
        channel, now, channel, channel, most,
    )  # fmt: skip


def claim(delivery: Delivery, process: int, now: datetime) -> bool:
    """Take a queued delivery for this process; False when another was faster.

    A message of a group is written now, with all that the group holds now, and stays the same over all attempts.
    """
    if not delivery.of_group:
        return _claim(delivery, process, now)
    with transaction.atomic():
        row = Delivery.objects.select_for_update(no_key=True).filter(pk=delivery.pk, status="queued").first()
        if row is None or not _claim(row, process, now):
            return False
        delivery.message = row.message if row.tried_at is not None else compose(row, now)
    return True


def _claim(delivery: Delivery, process: int, now: datetime) -> bool:
    return bool(
        Delivery.objects.filter(pk=delivery.pk, status="queued").update(
            status="sending", claimed_by=process, claimed_until=now + CLAIM, tried_at=Coalesce(F("tried_at"), now)
        )
    )


def free_abandoned(now: datetime, held: Collection[int] = ()) -> int:
    """Queue again what dead workers had claimed; return how many.

    Args:
        held: deliveries that this process has under way. After the database was away, its own beat may be missing.
    """
    if not store.select("SELECT 1 FROM delivery_delivery WHERE status = 'sending' LIMIT 1"):
        return 0
    working = beat.alive(now, "worker")
    slack = gaps.detector.slack(CLAIM)  # a clock that was set makes no claim older …
    too_far = now + CLAIM + slack + CLOCK_MAY_DIFFER  # … and one from a future that will not come is none
    abandoned = Q(claimed_until__lt=now - slack) | Q(claimed_until__gt=too_far) | ~Q(claimed_by__in=working)
    rows = Delivery.objects.filter(abandoned, status="sending").exclude(pk__in=held)
    return rows.update(status="queued", claimed_by=None, claimed_until=None)
