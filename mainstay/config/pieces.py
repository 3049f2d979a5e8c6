"""Carrying a plan out in pieces, one applier at a time; what is needed to go on is stored before the first piece.

A piece is one transaction of at most `PIECE_ITEMS` things or `PIECE_S`, each thing whole. Between two pieces others get
the database. Whoever carries a plan out holds a claim and renews it with each piece, by a conditional UPDATE in the
piece's own transaction, so that two can never do the same piece.
"""

import secrets as random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, sleep
from types import TracebackType

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction

from mainstay.config import facts
from mainstay.config.models import CLAIMED, Applying, cut_off
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor, NotAllowed
from mainstay.foundation.accounts.models import Token, User
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes.notices import Notice, source
from mainstay.foundation.secrets import seal, unseal

PIECE_ITEMS = 50
PIECE_S = 0.3
PAUSE_S = 0.1  # SQLite's waiters look again after at most this
SMALL = 25  # so many are one piece, however long they take
WAITS_S = 15.0
Step = Callable[[], None]


class Busy(RuntimeError):
    """Another file is being applied."""


class Lost(RuntimeError):
    """Somebody else took the file over."""


@dataclass(frozen=True, slots=True)
class Begin:
    """What is stored of a large file before its first piece."""

    managed_as: str
    text: str | bytes
    values: dict[str, str]
    actor: Actor
    at: datetime
    total: int


@dataclass(slots=True)
class Claim:
    """The right to apply: held inside `with`."""

    row: Applying
    at: Callable[[], datetime]
    ended: bool = False

    @property
    def begun(self) -> bool:
        """Whether it is applied in pieces, and so can be half done."""
        return bool(self.row.source)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        if self.ended:
            return
        mine = Applying.objects.filter(pk=self.row.pk, claim=self.row.claim, is_open=True)
        if kind is None or not self.begun:
            mine.delete()
        elif issubclass(kind, Exception):  # the worker goes on
            mine.update(claimed_until=self.at())

    def carry_out(self, steps: list[Step], *, settle: Step, end: Step, begin: Callable[[int], Begin]) -> None:
        """Do all steps, then `end`; `settle` closes each piece.

        Raises:
            BadFile: a step was refused; its piece is taken back.
            Lost: somebody else goes on.
        """
        if len(steps) <= SMALL and not self.begun:
            with transaction.atomic():
                self._count(len(steps))
                _do(steps, settle)
                self._close(end)
            return
        self._begin(begin(len(steps)))
        done = 0
        while done < len(steps):
            if done:
                sleep(PAUSE_S)
            with transaction.atomic():
                self._count(0)
                count = _some(steps[done : done + PIECE_ITEMS])
                settle()
                self._count(count)
                if done + count == len(steps):
                    self._close(end)
            done += count
            self.row.done += count
        if not steps:
            with transaction.atomic():
                self._close(end)

    def _close(self, end: Step) -> None:
        """End it in the transaction of its last piece, so that nobody finishes it once more."""
        end()
        Applying.objects.filter(pk=self.row.pk).delete()
        self.ended = True

    def stop(self, reason: str) -> None:
        """It cannot go on: say so, on Now and in the journal."""
        row, self.ended = self.row, True
        with transaction.atomic():
            if Applying.objects.filter(pk=row.pk, claim=row.claim, is_open=True).update(
                is_open=None, source="", stopped=reason
            ):
                actor = Actor(row.actor, row.actor_name)
                about = Subject("config", 0, row.managed_as)
                write(
                    facts.CONFIG_STOPPED, about, actor, self.at(), done=row.done, total=row.total, reason=reason[:1_000]
                )

    def _begin(self, given: Begin) -> None:
        row = self.row
        with transaction.atomic():
            self._count(0)
            if row.source:
                row.total = row.done + given.total
            else:
                text = given.text if isinstance(given.text, str) else given.text.decode(errors="surrogateescape")
                document = orjson.dumps({"text": text, "values": given.values}).decode()
                row.source, row.managed_as = seal(document, settings.SECRET_KEY), given.managed_as
                row.total = given.total
                about = Subject("config", 0, given.managed_as)
                write(facts.CONFIG_BEGUN, about, given.actor, given.at, total=given.total)
            Applying.objects.filter(pk=row.pk).update(source=row.source, managed_as=row.managed_as, total=row.total)
            Applying.objects.filter(is_open=None, managed_as=row.managed_as).delete()  # what was stopped is tried anew

    def _count(self, done: int) -> None:
        """Renew the claim; as the first statement of a piece it also keeps others out until the piece ends."""
        mine = Applying.objects.filter(pk=self.row.pk, claim=self.row.claim, is_open=True)
        if not mine.update(claimed_until=self.at() + CLAIMED, done=self.row.done + done):
            raise Lost("another process took this over and goes on with it")


def _do(steps: Iterable[Step], settle: Step) -> None:
    for step in (*steps, settle):
        step()


def _some(steps: list[Step]) -> int:
    """Do steps until `PIECE_S` are over; return how many."""
    give_up = monotonic() + PIECE_S
    for count, step in enumerate(steps, 1):
        step()
        if monotonic() > give_up:
            return count
    return len(steps)


def take(file: str, actor: Actor, at: Callable[[], datetime], *, finish: Callable[[], object]) -> Claim:
    """Return the right to apply; wait for who has it, and `finish` what was cut off.

    Raises:
        Busy: another file is still being applied after `WAITS_S`.
    """
    give_up = monotonic() + WAITS_S
    while True:
        claim = random.token_hex(16)
        try:
            with transaction.atomic():
                row = Applying.objects.create(
                    claim=claim,
                    claimed_until=at() + CLAIMED,
                    started_at=at(),
                    file=file[-300:],
                    actor=actor.key[:100],
                    actor_name=actor.name[:200],
                )
            return Claim(row, at)
        except IntegrityError:
            other = Applying.objects.filter(is_open=True).first()
        if other is None:
            continue
        if other.is_cut_off(at()):
            finish()
        elif monotonic() > give_up:
            so_far = f", {other.done} of {other.total} changes are done" if other.total else ""
            raise Busy(
                f"{other.actor_name} is applying {other.managed_as or other.file}{so_far}. Try again when it is done."
            )
        else:
            sleep(PAUSE_S)


def take_over(now: datetime) -> Claim | None:
    """Return the right to go on with a file whose applier is gone, or None. One that was only planned is forgotten."""
    found = Applying.objects.filter(cut_off(now))
    found.filter(source="").delete()
    row = found.first()
    if row is None:
        return None
    was, row.claim, row.claimed_until = row.claim, random.token_hex(16), now + CLAIMED
    taken = found.filter(pk=row.pk, claim=was).update(claim=row.claim, claimed_until=row.claimed_until)
    begun = monotonic()
    return Claim(row, lambda: now + timedelta(seconds=monotonic() - begun)) if taken else None


def source_of(row: Applying) -> tuple[bytes, dict[str, str]]:
    """Return the stored text and the values of its variables.

    Raises:
        LostKey.
    """
    found = orjson.loads(unseal(row.source, settings.SECRET_KEY))
    return found["text"].encode(errors="surrogateescape"), found["values"]


def actor_of(row: Applying, now: datetime) -> Actor:
    """Return who applied a file, with the rights that they have now.

    Raises:
        NotAllowed: they are gone.
    """
    kind, _, number = row.actor.partition(":")
    found: Actor | None = COMMAND_LINE if row.actor == COMMAND_LINE.key else None
    if kind == "user" and (user := User.objects.filter(pk=number, is_active=True).first()):
        found = user.actor
    if kind == "token" and (token := Token.objects.filter(pk=number).first()) and token.usable(now):
        found = token.actor
    if found is None:
        raise NotAllowed(f"{row.actor_name}, who applied it, may not any more. Apply the file again.")
    return found


@source
def unfinished(now: datetime) -> list[Notice]:
    """Say how far a file is, and of one that was stopped, why."""
    found = []
    for row in Applying.objects.exclude(managed_as="").order_by("id")[:5]:
        so_far = f"{row.done} of {row.total}"
        if row.is_open is None:
            title = f"Applying {row.managed_as} stopped after {so_far} changes."
            detail = f"{row.stopped} Mend the file or what it names, then apply it again."
        elif row.is_cut_off(now):
            title = f"Applying {row.managed_as} was cut off: {so_far} changes are done."
            detail = "The worker goes on with it within a minute, if it runs."
        else:
            title = f"{row.managed_as} is being applied: {so_far} changes are done."
            detail = f"{row.actor_name} applies it. Should it be cut off, the worker finishes it."
        found.append(
            Notice("apply", title, detail, grave=False, since=row.started_at.isoformat(), href="/journal/?kind=config")
        )
    return found
