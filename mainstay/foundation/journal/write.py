"""Writing facts, and hearing of them inside the same transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.kinds import EntryKind
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.stored import ROWS_MOST, insert

Handler = Callable[[Entry], None]
ManyHandler = Callable[[Sequence[Entry]], None]
_handlers: dict[str, list[ManyHandler]] = {}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fact is about: `Subject("check", 12, "shop/storefront", application=3)`."""

    type: str
    id: int
    name: str
    application: int | None = None

    @property
    def key(self) -> str:
        """How the journal stores it: `check:12`."""
        return f"{self.type}:{self.id}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that is to be written."""

    kind: EntryKind
    subject: Subject
    actor: Actor
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Each:
    """A handler of single entries, as one of many."""

    handler: Handler

    def __call__(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.handler(entry)


def write(kind: EntryKind, subject: Subject, actor: Actor, at: datetime, /, **facts: Any) -> Entry:
    """Append one fact, in the transaction of the change it tells of, and call the handlers of its kind.

    Raises:
        BadFact: the facts are not those that the kind declares.
        RuntimeError: no transaction is open; a fact without its change (or the reverse) must be impossible.
    """
    return write_all([Fact(kind, subject, actor, at, facts)])[0]


def write_all(given: Iterable[Fact]) -> list[Entry]:
    """Append facts, a hundred to a statement, then call the handlers of each kind with all its entries, in order.

    Raises:
        BadFact, RuntimeError: as `write`.
    """
    facts = list(given)
    if facts and not transaction.get_connection().in_atomic_block:
        raise RuntimeError(f"journal.write({facts[0].kind.name}) needs the transaction of the change it tells of")
    for fact in facts:
        fact.kind.check(fact.facts)
    entries = [
        Entry(
            at=fact.at,
            kind=fact.kind.name,
            subject=fact.subject.key,
            subject_name=fact.subject.name[:300],
            application=fact.subject.application,
            actor=fact.actor.key[:100],
            actor_name=fact.actor.name[:200],
            facts=dict(fact.facts),
        )
        for fact in facts
    ]
    for at in range(0, len(entries), ROWS_MOST):
        insert(entries[at : at + ROWS_MOST])
    of_kind: dict[str, list[Entry]] = {}
    for entry in entries:
        of_kind.setdefault(entry.kind, []).append(entry)
    for name, those in of_kind.items():
        for handler in _handlers.get(name, ()):
            handler(those)
    return entries


def on(kind: EntryKind) -> Callable[[Handler], Handler]:
    """Register a handler that runs inside the transaction of every fact of `kind`: the only upward path."""

    def register(handler: Handler) -> Handler:
        on_all(kind)(_Each(handler))
        return handler

    return register


def on_all(kind: EntryKind) -> Callable[[ManyHandler], ManyHandler]:
    """Register a handler of all entries of `kind` that are written together; for what many changes share."""

    def register(handler: ManyHandler) -> ManyHandler:
        handlers = _handlers.setdefault(kind.name, [])
        if handler not in handlers:
            handlers.append(handler)
        return handler

    return register
