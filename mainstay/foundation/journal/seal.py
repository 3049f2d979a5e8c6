"""The hash chain: sealing in the background, and verifying.

Writers never wait for each other: an entry is written unsealed, and every second the worker chains all entries that
have committed since. An entry that commits late (its id lower than one already sealed) simply falls into a later
seal; the order *within* a seal is the order of ids.

Verifying names each entry and seal that is not what was written, and goes on with the rest. What is stored is read as
bytes (`stored.py`) and compared with what only the owner of the key can have made, so that neither a row that cannot be
read nor somebody who can write to the database hides anything. What remains: THREAT_MODEL.md.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, IntegrityError, connection, transaction

from mainstay.foundation.journal import triggers
from mainstay.foundation.journal.models import Entry, Seal
from mainstay.foundation.journal.stored import (
    LEAF,
    NONCE_BYTES,
    Row,
    SealRow,
    exactly,
    rows,
    seal_digest,
    seal_mac,
    seals,
)

BATCH = 5_000
NAMED_MOST = 100
SEALS_AT_ONCE = 50
ENTRIES_AT_ONCE = 20_000
NEWEST_SEALS = 500
NEWEST_ENTRIES = 10_000
_BUCKETS = 256


def seal_once(now: datetime, batch: int = BATCH) -> int:
    """Seal up to `batch` committed entries; return how many. Safe to run in any number of processes."""
    leaves = {row.id: LEAF.pack(row.id, row.leaf) for row in rows("e.seal_id IS NULL", most=batch)}
    if not leaves:
        return 0
    try:
        with transaction.atomic():
            _seal(leaves, now)
    except IntegrityError:  # another sealer took some of them between our reading and writing
        return 0
    return len(leaves)


def _seal(leaves: dict[int, bytes], now: datetime) -> None:
    last = Seal.objects.order_by("-id").only("id", "digest").first()
    number, at, data = last.pk + 1 if last else 1, exactly(now), b"".join(leaves.values())
    digest = seal_digest(bytes(last.digest) if last else b"", number, at, data)
    seal = Seal.objects.create(
        id=number,
        previous=last,
        is_first=None if last else True,
        sealed_at=now,
        leaves=data,
        digest=digest,
        mac=seal_mac(number, at, data, digest),
    )
    updated = Entry.objects.filter(seal=None, id__gte=min(leaves), id__lte=max(leaves), id__in=list(leaves)).update(
        seal=seal
    )
    if updated != len(leaves):
        raise IntegrityError("entries were sealed elsewhere")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written."""

    problem: str
    entry: int | None = None
    seal: int | None = None


@dataclass(slots=True)
class Verification:
    """What a verification found. Without findings, every entry that it looked at is what was written."""

    since: int = 0  # the seal after which it began
    entries: int = 0  # sealed ones that were compared
    seals: int = 0
    unsealed: int = 0
    head: str = ""  # digest of the newest seal in hex; keep it elsewhere to prove later that nothing was rewritten
    head_seal: int = 0
    findings: list[Finding] = field(default_factory=list)  # the first `NAMED_MOST`
    found: int = 0  # how many there are
    gaps: str = ""  # ids without an entry, where that may have a harmless cause

    @property
    def problem(self) -> str:
        """The first finding, or ""."""
        return self.findings[0].problem if self.findings else ""

    @property
    def entry(self) -> int | None:
        """The entry that the first finding is about."""
        return self.findings[0].entry if self.findings else None

    @property
    def whole(self) -> bool:
        """Whether it began at the first seal."""
        return self.since == 0

    def name(self, problem: str, entry: int | None = None, seal: int | None = None) -> None:
        """Add a finding."""
        self.found += 1
        if len(self.findings) < NAMED_MOST:
            self.findings.append(Finding(problem, entry, seal))


def verify(expected_head: str = "", *, noted: Iterable[str] = (), since: int = 0) -> Verification:
    """Look at every seal and every entry, and name what was altered, removed, put in or reordered.

    Args:
        expected_head: a head (hex) noted earlier; it must still be one of the seals.
        noted: more of these.
        since: a seal that was verified before; only what follows it is looked at.
    """
    looking = _Looking(Verification(since=since), {*filter(None, [expected_head]), *noted})
    for look in (looking.at_seals, looking.at_the_rest, looking.at_ids, looking.at_triggers):
        try:
            look()
        except DatabaseError as error:  # a damaged file, a table that is gone: what the next one looks at may be well
            looking.found.name(f"the journal cannot be read: {_line(error)}")
    return looking.found


def verify_newest(seals_most: int = NEWEST_SEALS, entries_most: int = NEWEST_ENTRIES) -> Verification:
    """Verify the newest seals, as many as the bounds allow but at least one: what a page can do in a moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, length(leaves) / %s FROM journal_seal ORDER BY id DESC LIMIT %s", [LEAF.size, seals_most + 1]
        )
        newest = cursor.fetchall()
    entries = 0
    for place, (seal, size) in enumerate(newest):
        entries += size or 0
        if place and (place == seals_most or entries > entries_most):
            return verify(since=seal)
    return verify()


class _Looking:
    def __init__(self, found: Verification, expected: set[str]) -> None:
        self.found = found
        self.expected = expected
        self.nonces = [array("Q") for _ in range(_BUCKETS)]
        self.missing: set[int] = set()  # sealed entries that are gone, up to `NAMED_MOST`
        self.strangers = 0  # seals without a mark of the key
        self.before: tuple[bytes, ...] = (b"",)  # what the next seal may follow; none: that cannot be told

    def at_seals(self) -> None:
        found = self.found
        last = found.since
        if found.since:
            last -= 1  # what follows a seal is chained to its digest, so that seal is looked at as well
            self.before = ()
        while part := seals(last, SEALS_AT_ONCE):
            for some in _in_pieces(part):
                entries = self._entries(some)
                for seal in some:
                    self._at_seal(seal, last)
                    if entries is not None and seal.id > found.since:
                        found.seals += 1
                        self._compare(seal, entries.get(str(seal.id).encode(), []))
                    last = seal.id
        if last < found.since:
            found.name(f"seal {found.since} is gone, after which to begin", seal=found.since)
        if self.strangers and self.strangers == found.seals:
            another = (
                "no seal carries the mark of this key: the journal was made with another key"
                " (restore the file keys/secret.key or MAINSTAY_SECRET_KEY), or somebody made it anew"
            )
            found.findings.insert(0, Finding(another))
            found.found += 1
        for head in sorted(self.expected - self._before(found.since)):
            found.name(f"the chain does not contain the expected head: it was rewritten or cut (head {head})")

    def _before(self, since: int) -> set[str]:
        """Return which of the expected heads belong to seals that were verified before."""
        if not since:
            return set()
        digests = Seal.objects.filter(pk__lte=since, digest__in=map(bytes.fromhex, self.expected))
        return {bytes(digest).hex() for digest in digests.values_list("digest", flat=True)}

    def _entries(self, some: list[SealRow]) -> dict[bytes, list[Row]] | None:
        first, last = max(some[0].id, self.found.since + 1), some[-1].id
        entries: dict[bytes, list[Row]] = defaultdict(list)
        try:
            for row in rows("e.seal_id BETWEEN %s AND %s", [first, last]):
                entries[row.seal or b""].append(row)
        except DatabaseError as error:
            self.found.name(f"the entries of seals {first} to {last} cannot be read: {_line(error)}", seal=first)
            return None
        return entries

    def _at_seal(self, seal: SealRow, last: int) -> None:
        found, number = self.found, seal.id
        if number != last + 1:
            gone = f"seal {last + 1} is" if number == last + 2 else f"seals {last + 1} to {number - 1} are"
            found.name(f"{gone} missing" if number > last else f"seal {number} is there twice", seal=number)
            self.before = ()
        digests = {before: seal_digest(before, number, seal.sealed_at, seal.leaves) for before in self.before}
        chained = not digests or seal.digest in digests.values()
        if not seal.links or not chained or not seal.leaves or len(seal.leaves) % LEAF.size:
            found.name(f"seal {number} was altered: its digest does not fit what precedes it", seal=number)
        elif seal.mac != seal_mac(number, seal.sealed_at, seal.leaves, seal.digest):
            self.strangers += 1
            found.name(f"seal {number} was altered, or not made by Mainstay: the mark of the key is wrong", seal=number)
        self.before = tuple({seal.digest, *digests.values()})
        found.head, found.head_seal = seal.digest.hex(), number
        self.expected.discard(found.head)

    def _compare(self, seal: SealRow, entries: list[Row]) -> None:
        found = self.found
        leaves = seal.leaves[: len(seal.leaves) // LEAF.size * LEAF.size]
        present = iter(entries)
        row = next(present, None)
        for number, digest in LEAF.iter_unpack(leaves):
            while row is not None and row.id < number:
                found.name(f"entry {row.id} was not there when seal {seal.id} was made", row.id, seal.id)
                row = next(present, None)
            if row is None or row.id > number:
                found.name(f"entry {number} is missing", number, seal.id)
                if len(self.missing) < NAMED_MOST:
                    self.missing.add(number)
                continue
            if row.leaf != digest:
                found.name(f"entry {number} was altered", number, seal.id)
            else:
                self._at_mark(row)
                found.entries += 1
            row = next(present, None)
        while row is not None:
            found.name(f"entry {row.id} was not there when seal {seal.id} was made", row.id, seal.id)
            row = next(present, None)

    def _at_mark(self, row: Row) -> None:
        if not row.is_ours:
            self.found.name(
                f"entry {row.id} was not written by Mainstay, or altered before it was sealed"
                if row.seal
                else f"entry {row.id}, not sealed yet, was altered or not written by Mainstay",
                row.id,
            )
        elif row.mark is not None:
            self.nonces[row.mark[0]].append(int.from_bytes(row.mark[:NONCE_BYTES], "big"))

    def at_the_rest(self) -> None:
        """Entries that no seal covers, those whose seal is gone, and those that are copies of another."""
        for row in rows("e.seal_id IS NULL"):
            self.found.unsealed += 1
            self._at_mark(row)
        for row in rows("e.seal_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM journal_seal s WHERE s.id = e.seal_id)"):
            self.found.name(f"entry {row.id} belongs to a seal that is gone", row.id)
        for bucket in self.nonces:
            if len(set(bucket)) < len(bucket):
                for nonce, times in Counter(bucket).items():
                    if times > 1:
                        self._name_copies(nonce.to_bytes(NONCE_BYTES, "big"))

    def _name_copies(self, nonce: bytes) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM journal_entry WHERE substr(mark, 1, %s) = %s ORDER BY id", [NONCE_BYTES, nonce]
            )
            first, *copies = (row[0] for row in cursor.fetchall())
        for number in copies:
            self.found.name(f"entry {number} is a copy of entry {first}", number)

    def at_ids(self) -> None:
        """Ids without an entry. Only PostgreSQL leaves some out of itself: those of transactions that were undone."""
        if not self.found.whole:
            return
        given = (
            "SELECT max(seq) FROM sqlite_sequence WHERE name = 'journal_entry'"
            if connection.vendor == "sqlite"
            else "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_entry_id_seq"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT ({given}), max(id), min(id), count(*) FROM journal_entry")  # noqa: S608
            highest, newest, oldest, count = cursor.fetchone()
            gaps: list[tuple[int, int]] = []
            if count and newest - oldest + 1 != count:
                cursor.execute(
                    "SELECT before + 1, id - 1 FROM (SELECT id, lag(id) OVER (ORDER BY id) AS before"
                    " FROM journal_entry) AS ids WHERE id > before + 1 ORDER BY id LIMIT %s",
                    [NAMED_MOST],
                )
                gaps = [gap for gap in cursor.fetchall() if not self.missing.issuperset(range(gap[0], gap[1] + 1))]
        highest, newest = int(highest or 0), newest or 0
        if highest < newest:
            self.found.name(f"the database would give ids up to {newest} again: its counter was set back to {highest}")
        elif highest > newest and not self.missing.issuperset(range(newest + 1, highest + 1)):
            gaps.append((newest + 1, highest))
        if connection.vendor == "sqlite":
            for first, last in gaps:
                self.found.name(f"{_ids(first, last)} no entry: deleted before a seal covered it", first)
        else:
            self.found.gaps = ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in gaps)

    def at_triggers(self) -> None:
        for problem in triggers.missing():
            self.found.name(f"{problem}: somebody changed the schema of the database")


def _line(error: DatabaseError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _ids(first: int, last: int) -> str:
    return f"id {first} has" if first == last else f"ids {first} to {last} have"


def _in_pieces(part: list[SealRow]) -> Iterator[list[SealRow]]:
    """Yield seals in pieces whose entries fit into memory."""
    piece: list[SealRow] = []
    size = 0
    for seal in part:
        piece.append(seal)
        size += len(seal.leaves) // LEAF.size
        if size >= ENTRIES_AT_ONCE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


@dataclass(frozen=True, slots=True)
class Proof:
    """One entry against its seal: its own digest now, and the one that was sealed (empty: not among the sealed)."""

    digest: str
    sealed: str

    @property
    def intact(self) -> bool:
        """Tell whether the entry is what was sealed."""
        return self.digest == self.sealed


def prove(entry: int, leaves: bytes | None) -> Proof:
    """Compare an entry with what its seal holds of it."""
    digest = next((row.leaf.hex() for row in rows("e.id = %s", [entry])), "")
    whole = (leaves or b"")[: len(leaves or b"") // LEAF.size * LEAF.size]
    return Proof(digest, next((leaf.hex() for number, leaf in LEAF.iter_unpack(whole) if number == entry), ""))
