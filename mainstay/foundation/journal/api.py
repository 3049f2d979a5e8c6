"""The API of the journal: reading facts, and proving that none was altered."""

import threading
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from ninja import Query, Router
from pydantic import BaseModel, Field, StringConstraints

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import needs
from mainstay.foundation.api.collection import columns
from mainstay.foundation.api.marks import marked
from mainstay.foundation.api.pagination import Page, cut, decode, encode
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Paging, Search, Time
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal import kinds
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.seal import verify

router = Router()
SEARCHED_AT_ONCE = 200_000  # entries that a search without an index looks at for one page
_verifying = threading.Lock()

Key = Annotated[str, StringConstraints(pattern=r"^([a-z_]+:[A-Za-z0-9_.-]+)?$", max_length=100)]


class EntryRow(BaseModel):
    """One fact."""

    id: int
    at: datetime
    kind: str = Field(examples=["check.changed"])
    sentence: str = Field(examples=["shop/storefront went from up to down: HTTP 503"])
    subject: str = Field(examples=["check:12"])
    subject_name: str = Field(description="As it was called then.")
    application: int | None = Field(description="Id of the application; it may be gone.")
    actor: str = Field(examples=["user:3"])
    actor_name: str
    facts: dict[str, Any] = Field(description="The fields of its kind; see GET /journal/kinds.")
    sealed: bool = Field(description="Whether the hash chain covers it yet.")


class EntryFilter(Paging):
    """Which facts."""

    subject: Key = Field(default="", description="What they are about, such as check:12 or alert:7.")
    kind: Annotated[str, StringConstraints(max_length=60, pattern=r"^[a-z_.]*$")] = Field(
        default="", description="One kind (check.changed), or the first part of several (check)."
    )
    application: Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-zA-Z0-9_-]*$")] = Field(
        default="", description="Name of an application."
    )
    actor: Key = Field(default="", description="Who did it, such as user:3, token:5 or program:monitor.")
    since: Time | None = Field(default=None, alias="from", description="At this time or later.")
    until: Time | None = Field(default=None, alias="to", description="Before this time.")
    q: Search = Field(default="", description="Part of the name of what it is about or of who did it.")


class KindField(BaseModel):
    """A field of a kind of fact."""

    name: str
    type: str = Field(examples=["str"])


class KindRow(BaseModel):
    """A kind of fact."""

    name: str
    sentence: str = Field(description="With {fields} to be filled in.")
    fields: list[KindField]


class FindingRow(BaseModel):
    """One thing that is not as it was written."""

    problem: str = Field(examples=["entry 12 was altered"])
    entry: int | None
    seal: int | None


class VerificationResult(BaseModel):
    """What a verification of the hash chain found."""

    proven: bool = Field(description="Every entry is what was written.")
    entries: int
    seals: int
    unsealed: int = Field(description="Entries that the chain does not cover yet.")
    head: str = Field(
        description="Digest of the newest seal. Kept elsewhere, it proves later that nothing was rewritten."
    )
    problem: str = Field(description="The first finding.")
    entry: int | None = Field(description="The entry that the first finding is about.")
    findings: list[FindingRow] = Field(description="What is not as it was written, the first hundred.")
    found: int = Field(description="How many findings there are.")
    gaps: str = Field(description="Ids without an entry: transactions that were undone on PostgreSQL.")


def _entry(row: Entry) -> dict[str, Any]:
    return columns(row, EntryRow, sentence=row.sentence(), sealed=row.seal_id is not None)


@router.get("/journal", auth=needs(OPERATIONS_VIEW), response=Page[EntryRow])
def list_entries(request: HttpRequest, given: Query[EntryFilter]) -> dict[str, Any]:
    """List facts, the newest first.

    A search by `q` or `actor` looks at a bounded number of facts per page: a page may then hold few items, or none,
    and still have a `next`.
    """
    rows = Entry.objects.all()
    if given.subject:
        rows = rows.filter(subject=given.subject)
    if given.kind:
        rows = rows.filter(kind__in=_kinds(given.kind))
    if given.application:
        rows = rows.filter(
            application__in=list(Application.objects.filter(name=given.application).values_list("pk", flat=True))
        )
    if given.since is not None:
        rows = rows.filter(at__gte=given.since)
    if given.until is not None:
        rows = rows.filter(at__lt=given.until)
    searched = Q()
    if given.actor:
        searched &= Q(actor=given.actor)
    if given.q:
        searched &= Q(subject_name__icontains=given.q) | Q(actor_name__icontains=given.q)
    before = decode(given.cursor) if given.cursor else None
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return _search(rows, searched, given.limit) if searched else _page(rows, given.limit)


def _page(rows: QuerySet[Entry], limit: int) -> dict[str, Any]:
    return cut(list(rows.order_by("-pk")[: limit + 1]), _entry, limit, lambda row: encode(row.pk))


def _search(rows: QuerySet[Entry], searched: Q, limit: int) -> dict[str, Any]:
    """Look at the next `SEARCHED_AT_ONCE` of `rows` only, so that no search reads a million facts at once."""
    newest_first = rows.order_by("-pk")
    bound = newest_first.values_list("pk", flat=True)[SEARCHED_AT_ONCE - 1 : SEARCHED_AT_ONCE].first()
    found = _page(rows.filter(searched, pk__gte=bound) if bound is not None else rows.filter(searched), limit)
    if found["next"] is None and bound is not None:
        found["next"] = encode(bound)
    return found


def _kinds(given: str) -> list[str]:
    """A declared kind, or all that begin so: an index serves a list of names, but no beginning of one."""
    if given in kinds.KINDS:
        return [given]
    return [name for name in kinds.KINDS if name.startswith(given.rstrip(".") + ".")] or [given]


@router.get("/journal/kinds", auth=needs(OPERATIONS_VIEW), response=Page[KindRow])
def list_kinds(request: HttpRequest) -> dict[str, Any]:
    """List the kinds of facts and their fields."""
    rows = [
        {
            "name": kind.name,
            "sentence": kind.template,
            "fields": [{"name": name, "type": _type(declared)} for name, declared in kind.fields.items()],
        }
        for kind in sorted(kinds.KINDS.values(), key=lambda kind: kind.name)
    ]
    return {"items": rows, "next": None}


def _type(declared: type | tuple[type, ...]) -> str:
    return " | ".join(one.__name__ for one in declared) if isinstance(declared, tuple) else declared.__name__


class Expectation(BaseModel):
    """What a verification is held against."""

    expected_head: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$", max_length=64)] = Field(
        default="", description="A `head` that was noted earlier; the chain must still contain it."
    )


@router.get("/journal/verify", auth=needs(OPERATIONS_VIEW), response=VerificationResult)
@marked(problems=(429,))
def verify_journal(request: HttpRequest, given: Query[Expectation]) -> dict[str, Any]:
    """Recompute the hash chain over all facts.

    Takes about ten seconds per million facts, so one runs at a time; another is refused with 429.
    """
    if not _verifying.acquire(blocking=False):
        raise Problem(429, "A verification is under way. Try again when it has ended.", headers={"Retry-After": "10"})
    try:
        found = verify(given.expected_head)
    finally:
        _verifying.release()
    findings = [asdict(one) for one in found.findings]
    return columns(found, VerificationResult, proven=not found.problem, findings=findings)
