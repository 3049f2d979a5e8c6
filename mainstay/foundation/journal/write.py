"""Writing facts, and hearing of them inside the same transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.kinds import EntryKind
from mainstay.foundation.journal.models import Entry

Handler = Callable[[Entry], None]
_handlers: dict[str, list[Handler]] = {}


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


def write(kind: EntryKind, subject: Subject, actor: Actor, at: datetime, /, **facts: Any) -> Entry:
    """Append one fact, in the transaction of the change it tells of, and call the handlers of its kind.

    Raises:
        BadFact: the facts are not those that the kind declares.
        RuntimeError: no transaction is open; a fact without its change (or the reverse) must be impossible.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError(f"journal.write({kind.name}) needs the transaction of the change it tells of")
    kind.check(facts)
    entry = Entry(
        at=at,
        kind=kind.name,
        subject=subject.key,
        subject_name=subject.name[:300],
        application=subject.application,
        actor=actor.key[:100],
        actor_name=actor.name[:200],
        facts=facts,
    )
    entry.save(force_insert=True)
    for handler in _handlers.get(kind.name, ()):
        handler(entry)
    return entry


def on(kind: EntryKind) -> Callable[[Handler], Handler]:
    """Register a handler that runs inside the transaction of every fact of `kind`: the only upward path."""

    def register(handler: Handler) -> Handler:
        handlers = _handlers.setdefault(kind.name, [])
        if handler not in handlers:
            handlers.append(handler)
        return handler

    return register
