"""The outbox: owing a message, and the pure rules of when to try again."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from mainstay.foundation.journal.write import Subject
from mainstay.foundation.processes.setaside import Known
from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.delivery.message import Event, Message
from mainstay.respond.delivery.models import Attempt, Channel, Delivery
from mainstay.respond.delivery.receivers import channels_of, split

BACKOFF_S = (1, 2, 5, 10, 20, 30, 60, 60, 60, 120)  # then every …
BACKOFF_LAST_S = 300
JITTER = 0.2
FALL_BACK_AFTER_ATTEMPTS = 2
CLOCK_MAY_DIFFER = timedelta(seconds=5)  # between workers on several hosts
PULLED_IN_AT_ONCE = 1_000
TOLD_AT_ATTEMPTS = {1, 5, 20}  # failures that get a journal entry, and every 100th after those


def retry_at(
    now: datetime, attempts: int, retry_after_s: float | None, *, refused: bool, chance: float | None = None
) -> datetime:
    """Return when to try again after `attempts` failed ones.

    Args:
        retry_after_s: what the receiver asked for; honoured up to an hour.
        refused: the receiver will not take it until somebody mends the channel, so there is no hurry.
        chance: 0 to 1, for tests; else random, so that a receiver that comes back is not hit by all at once.
    """
    base: float = BACKOFF_S[attempts - 1] if attempts <= len(BACKOFF_S) else BACKOFF_LAST_S
    if refused:
        base = max(base, 60)
    if retry_after_s is not None:
        base = max(base, min(retry_after_s, 3600))
    spread = (random.random() if chance is None else chance) * 2 - 1  # noqa: S311  # jitter, not a secret
    # Never before the time that the receiver asked for.
    return now + timedelta(seconds=max(base * (1 + JITTER * spread), min(retry_after_s or 0.0, 3600.0)))


def urgency(severity: str, event: Event | None, *, group: bool = False) -> int:
    """Return how soon a message is sent: by severity; of one severity groups first, then pages, then what follows.

    Args:
        event: of an alert; None of any other message, which is news like a page.
    """
    news = event in {None, Event.TRIGGER, Event.UPDATE, Event.TEST}
    return 10 * SEVERITIES.index(severity) + (5 if not news else 0 if group else 2)


def severity_of(urgency: int) -> str:
    """Return the severity that an urgency was made of."""
    return SEVERITIES[min(max(urgency // 10, 0), len(SEVERITIES) - 1)]


@dataclass(frozen=True, slots=True)
class Owing:
    """A message that is to be put into the outbox: for these receivers, and for `fallback` where they do not answer.

    `via`: for channels among `receivers` that were resolved already, from which receiver.
    """

    message: Message
    receivers: Sequence[str]
    subject: Subject
    now: datetime
    fallback: Sequence[str] = ()
    fallback_of: Delivery | None = None
    via: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owed:
    """What `owe` put into the outbox, and which receivers got nothing: there are none, or they are nobody now."""

    deliveries: tuple[Delivery, ...]
    unknown: tuple[str, ...]


def owe(
    message: Message,
    receivers: Sequence[str],
    subject: Subject,
    now: datetime,
    *,
    fallback: Sequence[str] = (),
    fallback_of: Delivery | None = None,
) -> Owed:
    """Put one delivery per channel of the receivers into the outbox, in the transaction of the change that owes it."""
    return owe_all([Owing(message, receivers, subject, now, fallback, fallback_of)])[0]


def owe_all(owing: Sequence[Owing]) -> list[Owed]:
    """Put several messages into the outbox at once, in their order; return what became of each."""
    others = {receiver for one in owing for receiver in one.receivers if split(receiver)[0]}
    resolved = channels_of(others, max(one.now for one in owing)) if others else {}
    to = [_channels(one, resolved) for one in owing]
    names = {name for each in to for name in each}
    rows = {row.name: row for row in Channel.objects.filter(name__in=names)} if names else {}
    made = [_deliveries(one, each, rows) for one, each in zip(owing, to, strict=True)]
    Delivery.objects.bulk_create(delivery for each in made for delivery in each)
    return [Owed(tuple(each), _without(one, rows, resolved)) for one, each in zip(owing, made, strict=True)]


def _channels(owing: Owing, resolved: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the names of channels that a message goes to, each with the receiver that it is."""
    found: dict[str, str] = {}
    for receiver in owing.receivers:
        for name in resolved.get(receiver, ()) if split(receiver)[0] else (receiver,):
            found.setdefault(name, owing.via.get(name, receiver))
    return found


def _without(owing: Owing, rows: Mapping[str, Channel], resolved: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the receivers that no channel was found for."""
    return tuple(one for one in owing.receivers if one not in rows and not resolved.get(one))


def _deliveries(owing: Owing, to: Mapping[str, str], rows: Mapping[str, Channel]) -> list[Delivery]:
    message, subject = owing.message, owing.subject
    names = [name for name in to if name in rows]
    text = message.to_json() if names else ""
    return [
        Delivery(
            channel=rows[name],
            channel_name=name,
            receiver=to[name],
            event=message.event,
            thread=message.thread,
            key=uuid.uuid4().hex,
            message=text,
            subject=subject.key,
            subject_name=subject.name[:300],
            application=subject.application,
            fallback=list(owing.fallback),
            fallback_of=owing.fallback_of,
            created_at=owing.now,
            due_at=owing.now,
            urgency=urgency(message.urgency, message.alert.event if message.alert is not None else None),
        )
        for name in names
    ]


def pull_in(now: datetime) -> int:
    """Let what waits by a clock that was set back since be tried now, else it would wait for hours; return how many.

    Told by the rows themselves, so it holds over restarts: their last attempt (or they) would lie in the future.
    """
    ahead = now + CLOCK_MAY_DIFFER
    tried_ahead = Exists(Attempt.objects.filter(delivery=OuterRef("pk"), at__gt=ahead))
    waiting = Delivery.objects.filter(tried_ahead | Q(created_at__gt=ahead), status="queued", due_at__gt=ahead)
    stuck = list(waiting.values_list("pk", flat=True)[:PULLED_IN_AT_ONCE])
    return Delivery.objects.filter(pk__in=stuck, status="queued").update(due_at=now) if stuck else 0


def known(ids: Sequence[int]) -> Mapping[int, Known]:
    """Return what processes say of messages that took them down."""
    return {
        row.pk: Known(f"{row.subject_name} to {row.channel_name}", "", row.application)
        for row in Delivery.objects.filter(pk__in=ids)
    }


def waiting(threads: Sequence[str]) -> dict[str, set[str]]:
    """Return for each of `threads` the channels that still owe an earlier message; a reminder would only pile up."""
    found: dict[str, set[str]] = {}
    rows = Delivery.objects.filter(thread__in=threads, status__in=("queued", "sending"))
    for thread, channel in rows.values_list("thread", "channel_name"):
        found.setdefault(thread, set()).add(channel)
    return found
