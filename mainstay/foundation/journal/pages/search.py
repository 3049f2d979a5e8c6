"""Finding entries: by what an index answers at once, and by text in a bounded number of entries per request.

Subject, application and kind have indexes that end in the id, so their entries come newest first without sorting. A
time span is turned into bounds of the id. Text and actor have no index: those are looked for in slices until
the page is full or the budget is spent, and the page then says how far it has looked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import islice
from operator import and_
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from mainstay.foundation.journal.kinds import KINDS
from mainstay.foundation.journal.models import Entry
from mainstay.kit.lists import rows_at

SLICE_ENTRIES = 5_000
BUDGET_ENTRIES = 20_000  # looked through per request: well under 100 ms
CLOCKS_DIFFER_MOST = timedelta(minutes=15)
"""Ids follow the order of writing, times that of the writers' clocks. So much may they contradict each other (a slow
transaction, another host) without an entry being missed …"""
OUTLIERS = 200
"""… and so many entries at the edge of a span may have a time that is out of order altogether."""
WORDS_MOST = 6
SAID_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; empty means any. Times are aware, `since` inclusive, `until` exclusive."""

    kind: str = ""
    subject: str = ""
    application: int | None = None
    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    @property
    def scans(self) -> bool:
        """Tell whether entries must be looked through one by one."""
        return bool(self.text or self.actor)


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, newest first.

    `newer`/`older`: there is or may be more on that side. `reached`: the entry up to which was looked, when the
    budget ended the search before the page was full.
    """

    entries: list[Entry]
    newer: bool
    older: bool
    reached: Entry | None = None


def read(given: Mapping[str, str], zone: ZoneInfo) -> tuple[Search, list[str]]:
    """Return what a query string asks for, and what in it cannot be understood, as sentences."""
    problems = []

    def moment(name: str, *, end: bool) -> datetime | None:
        text = given.get(name, "").strip()
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text)
            if found.tzinfo is None:
                found = found.replace(tzinfo=zone)
            # A day as an end includes that day.
            return (found + timedelta(days=1) if end and len(text) == 10 else found).astimezone(UTC)
        except (ValueError, OverflowError):
            problems.append(f"{name}: {text!r} is no time. Write 2026-03-31 or 2026-03-31T14:00.")
            return None

    number = given.get("application", "").strip()
    if number and not (number.isascii() and number.isdecimal() and len(number) < 19):
        problems.append(f"application: {number!r} is not the number of an application.")
        number = ""
    search = Search(
        kind=given.get("kind", "").strip()[:60],
        subject=given.get("subject", "").strip()[:80],
        application=int(number) if number else None,
        actor=given.get("actor", "").strip()[:100],
        since=moment("since", end=False),
        until=moment("until", end=True),
        text=given.get("q", "").replace("\0", "").strip()[:200],
    )
    return search, problems


def entries(search: Search) -> QuerySet[Entry]:
    """Return all entries that `search` may describe, unordered and unbounded (for exports; see `says`)."""
    return _told(_indexed(search), search)


def says(entry: Entry, search: Search) -> bool:
    """Tell whether an entry's sentence, its actor or its kind has every word: facts that nobody sees do not count."""
    if not search.text:
        return True  # an export of everything writes no sentence for nothing
    seen = f"{entry.sentence()} {entry.actor_name} {entry.kind}".casefold()
    return all(word.casefold() in seen for word in search.text.split()[:WORDS_MOST])


def find(search: Search, *, before: int | None = None, after: int | None = None, size: int = 50) -> Found:
    """Return a page of what `search` describes: the newest, those before an id, or those after one."""
    rows = _indexed(search)
    if not search.scans:
        return Found(*rows_at(rows, before, after, size))
    return _scan(rows, search, before, after, size)


def _scan(rows: QuerySet[Entry], search: Search, before: int | None, after: int | None, size: int) -> Found:
    """Look through slices of entries, away from the cursor, until the page is full or the budget is spent."""
    up = after is not None
    order = "pk" if up else "-pk"
    if after is not None:
        rows = rows.filter(pk__gt=after)
    elif before is not None:
        rows = rows.filter(pk__lt=before)
    ids = rows.order_by(order).values_list("pk", flat=True)
    found, budget, edge, ended = list[Entry](), BUDGET_ENTRIES, 0, False
    while len(found) <= size and budget > 0 and not ended:
        ahead = ids if not edge else ids.filter(pk__gt=edge) if up else ids.filter(pk__lt=edge)
        first = ahead.first()
        if first is None:
            ended = True
            break
        last = ahead[SLICE_ENTRIES - 1 : SLICE_ENTRIES].first()
        ended = last is None
        bounds = {"pk__gte" if up else "pk__lte": first} | ({"pk__lte" if up else "pk__gte": last} if last else {})
        told = _told(rows.filter(**bounds), search).order_by(order).iterator(chunk_size=SAID_AT_ONCE)
        found += islice((entry for entry in told if says(entry, search)), size + 1 - len(found))
        budget, edge = budget - SLICE_ENTRIES, last or 0
    full = len(found) > size
    shown = found[:size][::-1] if up else found[:size]
    if up:
        return Found(shown, newer=full or not ended, older=True)
    reached = None if full or ended else Entry.objects.filter(pk=edge).first()
    return Found(shown, newer=before is not None, older=full, reached=reached)


def _indexed(search: Search) -> QuerySet[Entry]:
    rows = Entry.objects.all()
    if search.subject:
        rows = rows.filter(subject=search.subject)
    if search.application is not None:
        rows = rows.filter(application=search.application)
    if search.kind:
        rows = rows.filter(kind=search.kind)
    by_time = Entry.objects.values_list("pk", flat=True)
    if search.since is not None:
        first = list(by_time.filter(at__gte=search.since - CLOCKS_DIFFER_MOST).order_by("at", "pk")[:OUTLIERS])
        rows = rows.filter(at__gte=search.since, pk__gte=min(first)) if first else rows.none()
    if search.until is not None:
        last = list(by_time.filter(at__lt=search.until + CLOCKS_DIFFER_MOST).order_by("-at", "-pk")[:OUTLIERS])
        rows = rows.filter(at__lt=search.until, pk__lte=max(last)) if last else rows.none()
    return rows


def _told(rows: QuerySet[Entry], search: Search) -> QuerySet[Entry]:
    """Keep what the actor did and what tells of every word of the text."""
    if search.actor:
        rows = rows.filter(actor=search.actor)
    words = search.text.split()[:WORDS_MOST]
    if words:
        rows = rows.annotate(told=Cast("facts", TextField())).filter(reduce(and_, (_word(word) for word in words)))
    return rows


def _word(word: str) -> Q:
    """Match a word where an entry's sentence could have it from: names, facts, or the template of its kind."""
    lower = word.lower()
    kinds = [kind.name for kind in KINDS.values() if lower in kind.template.lower() or lower in kind.name]
    stored = json.dumps(word, ensure_ascii=False)[1:-1]
    return (
        Q(subject_name__icontains=word) | Q(actor_name__icontains=word) | Q(told__icontains=stored) | Q(kind__in=kinds)
    )
