"""What a page can prove of the chain at once: one entry against its seal, and the newest seals."""

import hashlib
from dataclasses import dataclass

from mainstay.foundation.journal.models import Entry, Seal
from mainstay.foundation.journal.seal import _FIELDS, _LEAF, _compare, leaf_digest

SEALS_MOST = 500
ENTRIES_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Recent:
    """What verifying the newest seals found. `problem` is empty when nothing was altered."""

    seals: int
    entries: int
    whole: bool  # it reached the first seal, so this is the whole journal
    problem: str
    entry: int | None = None


def verify_newest(seals_most: int = SEALS_MOST, entries_most: int = ENTRIES_MOST) -> Recent:
    """Recompute the newest seals, backwards, until one of the bounds is met. `seal.verify` does the whole chain."""
    seals = entries = 0
    follower: Seal | None = None
    for seal in Seal.objects.select_related("previous").order_by("-id")[:seals_most].iterator(chunk_size=20):
        leaves = bytes(seal.leaves)
        size = len(leaves) // _LEAF.size
        if seals and entries + size > entries_most:
            return Recent(seals, entries, whole=False, problem="")
        if follower is not None and follower.previous_id != seal.pk:
            problem = f"seal {follower.pk} does not follow seal {seal.pk}: a seal is missing or was put in"
            return Recent(seals, entries, whole=False, problem=problem)
        altered = _compare(seal, list(_LEAF.iter_unpack(leaves)))
        if altered:
            return Recent(seals, entries, whole=False, problem=altered[0], entry=altered[1])
        before = bytes(seal.previous.digest) if seal.previous is not None else b""
        if hashlib.sha256(before + leaves).digest() != bytes(seal.digest):
            problem = f"seal {seal.pk} was altered: its digest does not fit what precedes it"
            return Recent(seals, entries, whole=False, problem=problem, entry=_LEAF.unpack_from(leaves)[0])
        seals, entries, follower = seals + 1, entries + size, seal
    return Recent(seals, entries, whole=follower is None or follower.previous_id is None, problem="")


@dataclass(frozen=True, slots=True)
class Proof:
    """One entry against its seal: its own digest now, and the one that was sealed (empty: not among the sealed)."""

    digest: str
    sealed: str

    @property
    def intact(self) -> bool:
        """Tell whether the entry is what was sealed."""
        return self.digest == self.sealed


def prove(entry: Entry) -> Proof:
    """Compare an entry with what its seal holds of it; `entry.seal` must be loaded."""
    digest = leaf_digest(tuple(getattr(entry, name) for name in _FIELDS))
    sealed = ""
    if entry.seal is not None:
        sealed = next(
            (leaf.hex() for number, leaf in _LEAF.iter_unpack(bytes(entry.seal.leaves)) if number == entry.pk), ""
        )
    return Proof(digest.hex(), sealed)
