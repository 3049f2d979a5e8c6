"""The hash chain: sealing in the background, and verifying.

Writers never wait for each other: an entry is written unsealed, and every second the worker chains all entries that
have committed since. An entry that commits late (its id lower than one already sealed) simply falls into a later
seal; the order *within* a seal is the order of ids.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import IntegrityError, transaction

from mainstay.foundation.journal.models import Entry, Seal

BATCH = 5_000
_LEAF = struct.Struct(">q32s")
_FIELDS = ("id", "at", "kind", "subject", "subject_name", "application", "actor", "actor_name", "facts")


def leaf_digest(row: tuple[Any, ...]) -> bytes:
    """Return the SHA-256 of one entry, given as the tuple of `_FIELDS`.

    The text hashed is canonical JSON (sorted keys, UTC time in microseconds), the same on every database.
    """
    at: datetime = row[1]
    body = [row[0], at.astimezone(UTC).isoformat(timespec="microseconds"), *row[2:]]
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()


def seal_once(now: datetime, batch: int = BATCH) -> int:
    """Seal up to `batch` committed entries; return how many. Safe to run in any number of processes."""
    rows = list(Entry.objects.filter(seal=None).order_by("id").values_list(*_FIELDS)[:batch])
    if not rows:
        return 0
    leaves = b"".join(_LEAF.pack(row[0], leaf_digest(row)) for row in rows)
    try:
        with transaction.atomic():
            last = Seal.objects.order_by("-id").only("id", "digest").first()
            digest = hashlib.sha256((bytes(last.digest) if last else b"") + leaves).digest()
            seal = Seal.objects.create(
                previous=last, is_first=None if last else True, sealed_at=now, leaves=leaves, digest=digest
            )
            ids = [row[0] for row in rows]
            updated = Entry.objects.filter(seal=None, id__gte=ids[0], id__lte=ids[-1], id__in=ids).update(seal=seal)
            if updated != len(ids):  # another sealer took some of them between our reading and writing
                raise IntegrityError("entries were sealed elsewhere")
    except IntegrityError:
        return 0
    return len(rows)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found. `problem` is empty when every sealed entry is what was sealed."""

    entries: int
    seals: int
    unsealed: int
    head: str  # digest of the newest seal in hex; keep it elsewhere to prove later that nothing was rewritten
    problem: str
    entry: int | None = None  # the first entry that was altered, is missing or was put in


def verify(expected_head: str = "") -> Verification:
    """Recompute the whole chain and name the first entry that was altered, removed, inserted or reordered.

    Args:
        expected_head: a head (hex) noted earlier; it must still be one of the seals.
    """
    previous, previous_id, entries, seals, heads = b"", None, 0, 0, set[str]()

    def found(problem: str, entry: int | None = None) -> Verification:
        return Verification(entries, seals, 0, previous.hex(), problem, entry)

    for seal in Seal.objects.order_by("id").iterator(chunk_size=20):
        leaves = bytes(seal.leaves)
        if seal.previous_id != previous_id:
            return found(f"seal {seal.pk} does not follow seal {previous_id}: a seal is missing or was put in")
        problem = _compare(seal, list(_LEAF.iter_unpack(leaves)))
        if problem:
            return found(*problem)
        if hashlib.sha256(previous + leaves).digest() != bytes(seal.digest):
            first = _LEAF.unpack_from(leaves)[0]
            return found(f"seal {seal.pk} was altered: its digest does not fit what precedes it", first)
        previous, previous_id = bytes(seal.digest), seal.pk
        seals, entries = seals + 1, entries + len(leaves) // _LEAF.size
        heads.add(previous.hex())
    orphan = Entry.objects.exclude(seal=None).exclude(seal__in=Seal.objects.all()).order_by("id").first()
    if orphan is not None:
        return found(f"entry {orphan.pk} belongs to a seal that is gone", orphan.pk)
    if expected_head and expected_head not in heads:
        return found("the chain does not contain the expected head: it was rewritten or cut")
    unsealed = Entry.objects.filter(seal=None).count()
    return Verification(entries, seals, unsealed, previous.hex(), "")


def _compare(seal: Seal, sealed: list[tuple[int, bytes]]) -> tuple[str, int] | None:
    present: Iterator[tuple[Any, ...]] = iter(
        Entry.objects.filter(seal=seal).order_by("id").values_list(*_FIELDS).iterator(chunk_size=2_000)
    )
    row = next(present, None)
    for entry_id, digest in sealed:
        if row is None or row[0] > entry_id:
            return f"entry {entry_id} is missing", entry_id
        if row[0] < entry_id:
            return f"entry {row[0]} was not there when seal {seal.pk} was made", row[0]
        if leaf_digest(row) != digest:
            return f"entry {entry_id} was altered", entry_id
        row = next(present, None)
    if row is not None:
        return f"entry {row[0]} was not there when seal {seal.pk} was made", row[0]
    return None
