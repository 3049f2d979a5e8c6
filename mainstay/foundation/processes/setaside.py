"""Items that take their process with them are set aside: a rule or a check that crashes a library stops only itself.

Who was in flight when a process crashed is suspected, and cleared by being worked on well once. Who was in flight at
three crashes within an hour, and never worked on well between them, is set aside: journalled, shown on Now and paged
about, until it is edited or released. Why only crashes count: docs/decisions/0012.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from mainstay.foundation.accounts.actor import Actor, program
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.pieces import is_of_the_content
from mainstay.foundation.processes import facts, notices, work
from mainstay.foundation.processes.models import Suspect
from mainstay.foundation.processes.notices import Notice
from mainstay.foundation.processes.work import Death, Item

log = logging.getLogger("mainstay.processes")
DEATHS = 3
WITHIN = timedelta(hours=1)
EVERY_S = 5.0
SUSPECTS_MOST = 1000
PROCESSES = program("processes")


@dataclass(frozen=True, slots=True)
class Known:
    """What a wing says of an item: its name, its version (an edit makes another one), its application, its page.

    The address is a text: `reverse` would load all pages into the process that asks.
    """

    name: str
    version: str
    application: int | None = None
    href: str = ""


LOOKUPS: dict[str, Callable[[Sequence[int]], Mapping[int, Known]]] = {}
"""Kind of item → what finds them by id; who is not found is gone. Each wing registers its kinds when it is ready."""


def look_up(items: Iterable[Item]) -> dict[Item, Known]:
    """Return what is known of `items`; those that are gone, or of a kind that nobody registered, are missing."""
    by_kind: dict[str, list[int]] = {}
    for kind, number in items:
        if _is_number(number):
            by_kind.setdefault(kind, []).append(int(number))
    return {
        (kind, str(number)): known
        for kind, numbers in by_kind.items()
        if kind in LOOKUPS
        for number, known in LOOKUPS[kind](numbers).items()
    }


def _is_number(text: str) -> bool:
    """Whether it can be the id of a row."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def counted(deaths: Sequence[str], now: datetime) -> list[str]:
    """Return the deaths, as ISO times, with that of `now`: the last three within an hour."""
    recent = [at for at in deaths if now - WITHIN < (_time(at) or now - WITHIN) <= now]
    return [*recent, now.isoformat()][-DEATHS:]


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def blame(death: Death, role: str, now: datetime) -> None:
    """Suspect what was in flight at a crash, and set aside what was so three times."""
    log.error("the %s process before this one crashed while it worked on: %s", role, _listed(death.items) or "nothing")
    log.error("its stacks: %s", death.stacks[:20_000])
    known = look_up(death.items)
    for item, one in known.items():
        try:
            _blame(item, one, now)
        except Exception as error:  # what the journal's listeners meet with one item must not keep us from starting
            if not is_of_the_content(error):
                raise
            log.exception("%s %s cannot be suspected", *item)


@transaction.atomic
def _blame(item: Item, one: Known, now: datetime) -> None:
    suspect, _ = Suspect.objects.select_for_update().get_or_create(
        kind=item[0], item=item[1], defaults={"version": one.version, "suspected_at": now}
    )
    if suspect.set_aside_at is not None:
        return
    before = suspect.deaths if suspect.version == one.version else []
    suspect.deaths, suspect.version = counted(before, now), one.version
    if len(suspect.deaths) >= DEATHS:
        suspect.set_aside_at = now
        subject = Subject(item[0], int(item[1]), one.name, one.application)
        write(facts.SET_ASIDE, subject, PROCESSES, now, deaths=DEATHS)
        log.error("%s %s (%s) is set aside", *item, one.name)
    suspect.save()


def refresh(now: datetime, _process: int = 0) -> None:
    """Clear who was worked on well, release who was edited or is gone, and know the others in this process."""
    for kind, number in work.cleared():
        Suspect.objects.filter(kind=kind, item=number, set_aside_at=None).delete()
    rows = list(Suspect.objects.order_by("id")[:SUSPECTS_MOST])
    known = look_up((row.kind, row.item) for row in rows)
    kept: list[Suspect] = []
    for row in rows:
        found = known.get((row.kind, row.item))
        if not _is_number(row.item):
            log.error("%s %s was suspected, which there cannot be", row.kind, row.item)
            row.delete()
        elif found is not None and found.version == row.version:
            kept.append(row)
        elif row.set_aside_at is None:
            row.delete()
        else:
            _release_quietly(row, "it was edited" if found else "it is gone", now)
    work.know(
        frozenset((row.kind, row.item) for row in kept if row.set_aside_at is not None),
        frozenset((row.kind, row.item) for row in kept if row.set_aside_at is None),
    )


def _release_quietly(row: Suspect, reason: str, now: datetime) -> None:
    try:
        release((row.kind, row.item), PROCESSES, reason, now)
    except Exception as error:  # what the journal's listeners meet with one item must not keep a process from starting
        if not is_of_the_content(error):
            raise
        log.exception("%s %s cannot be released", row.kind, row.item)


@transaction.atomic
def release(item: Item, actor: Actor, reason: str, now: datetime) -> bool:
    """Have an item worked on again; False when it was not set aside."""
    gone, _ = Suspect.objects.filter(kind=item[0], item=item[1], set_aside_at__isnull=False).delete()
    if not gone:
        return False
    known = look_up([item]).get(item)
    name = known.name if known else f"{item[0]} {item[1]}"
    subject = Subject(item[0], int(item[1]), name, known.application if known else None)
    write(facts.RELEASED, subject, actor, now, reason=reason)
    return True


@notices.source
def set_aside_notices(_now: datetime) -> list[Notice]:
    """What is set aside, for Now."""
    rows = list(Suspect.objects.filter(set_aside_at__isnull=False).order_by("id")[: notices.SHOWN_MOST])
    known = look_up((row.kind, row.item) for row in rows)
    found = []
    for row in rows:
        one = known.get((row.kind, row.item))
        assert row.set_aside_at is not None
        found.append(
            Notice(
                code="set-aside",
                title=f"The {row.kind} {one.name if one else row.item} is set aside.",
                detail=f"It took its process with it {DEATHS} times and is not worked on. Edit it, or run:"
                f" mainstay doctor --release {row.kind}:{row.item}",
                grave=True,
                since=row.set_aside_at.isoformat(),
                href=one.href if one else "",
            )
        )
    return found


def _listed(items: Iterable[Item]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in items)
