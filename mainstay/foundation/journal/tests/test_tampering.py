"""What somebody with write access to the database does to the journal, and what `verify` says: the faults S10 and S11,
and a thousand random alterations. What is not noticed is listed here (`UNNOTICED`) and in THREAT_MODEL.md.
"""

import random
import string
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from mainstay.cli import main
from mainstay.foundation.accounts import facts
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.journal import heads
from mainstay.foundation.journal.models import Entry, Seal
from mainstay.foundation.journal.seal import Verification, seal_once, verify, verify_newest
from mainstay.foundation.journal.write import Subject, write

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SEALS, PER_SEAL, UNSEALED = 4, 3, 3
COLUMNS = ("at", "kind", "subject", "subject_name", "application", "actor", "actor_name", "facts", "mark")
SEAL_COLUMNS = ("previous_id", "is_first", "sealed_at", "leaves", "digest", "mac")

pytestmark = pytest.mark.django_db


def add(number: int) -> int:
    with transaction.atomic():
        at = NOON + timedelta(seconds=number, microseconds=number % 3)
        subject = Subject("team", number, f"team {number}", number if number % 2 else None)
        return write(facts.TEAM_CREATED, subject, COMMAND_LINE, at).pk


def sql(statement: str, *values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


@pytest.fixture
def journal() -> list[int]:
    """Four seals of three entries, and three that are not sealed yet; the database no longer defends them."""
    made = []
    for seal in range(SEALS):
        made += [add(seal * PER_SEAL + number) for number in range(PER_SEAL)]
        assert seal_once(NOON + timedelta(seconds=seal)) == PER_SEAL
    made += [add(100 + number) for number in range(UNSEALED)]
    assert verify().problem == ""
    _undefended()
    return made


def _undefended() -> None:
    if connection.vendor == "postgresql":
        sql("SET LOCAL session_replication_role = replica")
    else:
        for name in ("entry_fixed", "entry_kept", "entry_marked", "seal_fixed", "seal_kept"):
            sql(f"DROP TRIGGER journal_{name}")
        sql("PRAGMA ignore_check_constraints = ON")


def problems(found: Verification) -> list[str]:
    """What was found, without the triggers that the fixture took away."""
    return [one.problem for one in found.findings if "trigger" not in one.problem]


# --- S10 --------------------------------------------------------------------------------------------------------
DEEP = '{"a":' + "[" * 5_000 + "]" * 5_000 + "}"
UNREADABLE = [
    ("facts", DEEP),
    ("facts", '{"times": ' + "9" * 400 + "}"),
    ("facts", '{"a": 1, "a": 2}'),
    ("facts", "no JSON"),
    ("facts", "[1]"),
    *(
        [
            ("facts", b"\xff\xfe{}"),
            ("facts", b"{}"),
            ("at", "yesterday"),
            ("at", 12),
            ("at", b"\x00"),
            ("application", "ten"),
            ("application", 2.5),
            ("kind", b"team.created"),
            ("mark", "text"),
            ("actor_name", 7),
        ]
        if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
        else [("at", "infinity"), ("at", "-infinity"), ("at", "4713-01-01 BC"), ("at", "294276-01-01")]
    ),
]


@pytest.mark.fault("S10")
@pytest.mark.parametrize(("column", "value"), UNREADABLE)
def test_an_entry_that_cannot_be_read_is_named_and_so_is_what_comes_after(
    journal: list[int], column: str, value: Any
) -> None:
    sql(f"UPDATE journal_entry SET {column} = %s WHERE id = %s", value, journal[1])
    sql("UPDATE journal_entry SET kind = 'x' WHERE id = %s", journal[8])
    found = verify()
    assert problems(found) == [f"entry {journal[1]} was altered", f"entry {journal[8]} was altered"]
    assert found.entries == SEALS * PER_SEAL - 2


@pytest.mark.fault("S10")
@pytest.mark.skipif("sqlite3" not in settings.DATABASES["default"]["ENGINE"], reason="PostgreSQL stores no such text")
def test_an_entry_of_broken_utf8_is_named(journal: list[int]) -> None:
    sql("UPDATE journal_entry SET subject_name = CAST(x'ff6162' AS TEXT) WHERE id = %s", journal[1])
    sql("UPDATE journal_entry SET facts = CAST(x'7b7dc3' AS TEXT) WHERE id = %s", journal[-1])
    found = verify()
    assert problems(found) == [
        f"entry {journal[1]} was altered",
        f"entry {journal[-1]}, not sealed yet, was altered or not written by Mainstay",
    ]


def test_an_entry_that_cannot_be_read_is_sealed_and_does_not_end_the_sealing(journal: list[int]) -> None:
    sql("UPDATE journal_entry SET facts = 'no JSON', kind = '' WHERE id = %s", journal[-2])
    assert seal_once(NOON) == UNSEALED
    assert problems(verify()) == [f"entry {journal[-2]} was not written by Mainstay, or altered before it was sealed"]


def test_facts_that_cannot_be_read_are_shown_as_such(journal: list[int]) -> None:
    sql("UPDATE journal_entry SET facts = %s WHERE id = %s", DEEP, journal[1])
    row = Entry.objects.get(pk=journal[1])
    assert row.facts == {"unreadable": DEEP[:200]}
    assert row.sentence()


@pytest.mark.fault("S10")
@pytest.mark.parametrize("leaves", [b"", b"\x00" * 39, b"\x00" * 41, b"\x00" * 40])
def test_a_seal_of_another_length_is_named_and_so_is_what_comes_after(journal: list[int], leaves: bytes) -> None:
    second = Seal.objects.order_by("id")[1].pk
    sql("UPDATE journal_seal SET leaves = %s WHERE id = %s", leaves, second)
    sql("UPDATE journal_entry SET kind = 'x' WHERE id = %s", journal[8])
    said = problems(verify())
    assert said[0] == f"seal {second} was altered: its digest does not fit what precedes it"
    assert said[-1] == f"entry {journal[8]} was altered"
    assert not any(f"seal {second + 1} was altered" in one for one in said)


@pytest.mark.fault("S10")
def test_the_time_of_a_seal_is_covered(journal: list[int]) -> None:
    value = "garbage" if connection.vendor == "sqlite" else "infinity"
    sql("UPDATE journal_seal SET sealed_at = %s WHERE id = 2", value)
    sql("UPDATE journal_seal SET sealed_at = %s WHERE id = 4", "2026-03-02 12:00:04")
    assert problems(verify()) == [
        f"seal {seal} was altered: its digest does not fit what precedes it" for seal in (2, 4)
    ]


@pytest.mark.fault("S11")
# --- S11 --------------------------------------------------------------------------------------------------------
def test_an_entry_that_was_put_in_before_its_seal_is_named(journal: list[int]) -> None:
    shown = ", ".join(COLUMNS[1:-1])
    sql(
        f"INSERT INTO journal_entry (at, {shown}, mark) SELECT %s, {shown}, NULL FROM journal_entry WHERE id = %s",
        "2026-03-01 12:00:00",
        journal[0],
    )
    new = journal[-1] + 1
    said = f"entry {new}, not sealed yet, was altered or not written by Mainstay"
    assert problems(verify()) == [said]
    seal_once(NOON)
    assert problems(verify()) == [f"entry {new} was not written by Mainstay, or altered before it was sealed"]


def test_a_copy_of_an_entry_is_named_although_its_mark_is_good(journal: list[int]) -> None:
    shown = ", ".join(COLUMNS)
    sql(f"INSERT INTO journal_entry ({shown}) SELECT {shown} FROM journal_entry WHERE id = %s", journal[0])
    seal_once(NOON)
    assert problems(verify()) == [f"entry {journal[-1] + 1} is a copy of entry {journal[0]}"]


@pytest.mark.fault("S11")
def test_an_unsealed_entry_that_was_deleted_leaves_a_gap_that_is_told(journal: list[int]) -> None:
    sql("DELETE FROM journal_entry WHERE id = %s", journal[-2])
    found = verify()
    if connection.vendor == "sqlite":
        assert problems(found) == [f"id {journal[-2]} has no entry: deleted before a seal covered it"]
    else:  # PostgreSQL leaves such gaps itself when a transaction is undone
        assert (problems(found), found.gaps) == ([], str(journal[-2]))


@pytest.mark.fault("S11")
def test_seals_that_were_all_made_anew_without_the_key_are_named(journal: list[int]) -> None:
    from mainstay.foundation.journal.stored import LEAF, rows, seal_digest, seals

    sql("UPDATE journal_entry SET actor_name = 'somebody else' WHERE id = %s", journal[4])
    before = b""
    for seal in seals(0, 100):
        leaves = b"".join(LEAF.pack(row.id, row.leaf) for row in rows("e.seal_id = %s", [seal.id]))
        before = seal_digest(before, seal.id, seal.sealed_at, leaves)
        sql("UPDATE journal_seal SET leaves = %s, digest = %s WHERE id = %s", leaves, before, seal.id)
    said = problems(verify())
    assert f"entry {journal[4]} was not written by Mainstay, or altered before it was sealed" in said
    assert sum("the mark of the key is wrong" in one for one in said) == SEALS - 1


def test_a_journal_of_another_key_says_which_key_is_missing(
    journal: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SECRET_KEY", "another key")
    assert verify().problem.startswith("no seal carries the mark of this key")


def test_what_was_verified_can_be_left_out(journal: list[int]) -> None:
    found = verify(since=2)
    assert (problems(found), found.seals, found.entries, found.unsealed) == ([], 2, 2 * PER_SEAL, UNSEALED)
    sql("UPDATE journal_entry SET kind = 'x' WHERE id = %s", journal[0])
    assert problems(verify(since=1)) == []
    assert problems(verify()) == [f"entry {journal[0]} was altered"]
    sql("UPDATE journal_seal SET digest = %s WHERE id = 2", b"x" * 32)
    assert problems(verify(since=2)) != []
    assert problems(verify(since=9)) != []
    assert verify_newest(seals_most=1).since == SEALS - 1


def test_a_head_noted_outside_names_an_end_that_was_cut_off(journal: list[int], tmp_path: Path) -> None:
    file = tmp_path / heads.NAME
    heads.note(file)
    head = verify().head
    assert heads.noted(file) == [head]
    sql("DELETE FROM journal_entry WHERE seal_id = 4 OR seal_id IS NULL")
    sql("DELETE FROM journal_seal WHERE id = 4")
    if connection.vendor == "sqlite":
        sql("UPDATE sqlite_sequence SET seq = %s WHERE name = 'journal_entry'", journal[8])
    assert problems(verify()) == []
    cut = f"the chain does not contain the expected head: it was rewritten or cut (head {head})"
    assert problems(verify(noted=heads.noted(file))) == [cut]
    add(200)
    seal_once(NOON)
    heads.note(file)  # what goes on after the cut does not wipe out the note
    assert len(heads.noted(file)) == 2
    assert problems(verify(noted=heads.noted(file))) == [cut]
    add(201)
    seal_once(NOON)
    heads.note(file)
    assert [line.partition(" ")[0] for line in file.read_text().splitlines()] == ["4", "5"]


# --- a thousand random alterations --------------------------------------------------------------------------------
UNNOTICED = {
    "unsealed entry deleted and the gap closed": "the second before a seal is protected by nothing but its mark",
    "ids of unsealed entries exchanged": "their order is covered from their seal on",
    "end cut off": "a shorter chain is a whole chain; the head noted outside of the database shows it",
    "gap in ids": "PostgreSQL leaves gaps of its own; they are told, but prove nothing",
}
Act = Callable[["Tamperer"], str]


class Refused(Exception):
    """The database itself refused, or the act does not fit what is there."""


class Tamperer:
    """Does one random thing to the journal. Each act returns "" when it must be named, or its class of `UNNOTICED`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sqlite = connection.vendor == "sqlite"

    def act(self) -> tuple[str, str]:
        chosen = self.random.choice(ACTS)
        return chosen.__name__, chosen(self)

    def one(self, query: str, *values: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            rows = cursor.fetchall()
        if not rows:
            raise Refused
        return self.random.choice(rows)[0]

    def entry(self, where: str = "1 = 1") -> int:
        return int(self.one(f"SELECT id FROM journal_entry WHERE {where}"))

    def seal(self) -> int:
        return int(self.one("SELECT id FROM journal_seal"))

    def value(self, column: str, present: Any) -> Any:
        """Another value for a column: of its own kind, of another, or the same but for a bit."""
        choice = self.random
        if isinstance(present, memoryview | bytes):
            data = bytearray(present)
            kind = choice.randrange(4)
            if kind == 0 and data:
                data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
            elif kind == 1:
                data += b"\0"
            elif kind == 2:
                data = data[: choice.randrange(len(data) + 1)]
            else:
                data = bytearray(choice.randbytes(len(data)))
            return bytes(data)
        if column in {"at", "sealed_at"}:
            return (NOON + timedelta(microseconds=choice.randrange(-(10**12), 10**12))).strftime("%Y-%m-%d %H:%M:%S.%f")
        if column in {"application", "previous_id", "is_first"}:
            if column == "is_first" and not self.sqlite:
                return choice.choice([None, True, False])
            return choice.choice([None, 0, 1, 2, choice.randrange(2**40)])
        text = present if isinstance(present, str) else ""
        if column == "facts":
            return choice.choice(['{"a":1}', "{}", " {}", "{} ", "null", "[]", DEEP, text + " "])
        place = choice.randrange(len(text) + 1)
        letter = choice.choice(string.ascii_letters + "äé\u200b ")
        return choice.choice([text[:place] + letter + text[place:], text[:place], text.upper(), letter])[:60]

    def odd(self) -> Any:
        """A value of a type that the column does not have; SQLite takes it."""
        return self.random.choice([b"\xff", 2**62, 1.5, "text", "", None])

    def sealed_or(self, entry: int, unnoticed: str) -> str:
        sealed = self.one("SELECT seal_id IS NOT NULL FROM journal_entry WHERE id = %s", entry)
        return "" if sealed else unnoticed


def alter_entry(t: Tamperer) -> str:
    entry, column = t.entry(), t.random.choice(COLUMNS)
    present = t.one(f"SELECT {column} FROM journal_entry WHERE id = %s", entry)
    value = t.odd() if t.sqlite and t.random.random() < 0.3 else t.value(column, present)
    if sql(f"UPDATE journal_entry SET {column} = %s WHERE id = %s", value, entry) != 1:
        raise Refused
    return ""


def alter_seal(t: Tamperer) -> str:
    seal, column = t.seal(), t.random.choice(SEAL_COLUMNS)
    present = t.one(f"SELECT {column} FROM journal_seal WHERE id = %s", seal)
    value = t.odd() if t.sqlite and t.random.random() < 0.3 else t.value(column, present)
    sql(f"UPDATE journal_seal SET {column} = %s WHERE id = %s", value, seal)
    return ""


def delete_entry(t: Tamperer) -> str:
    entry = t.entry()
    named = t.sealed_or(entry, "" if t.sqlite else "gap in ids")
    sql("DELETE FROM journal_entry WHERE id = %s", entry)
    return named


def delete_seal(t: Tamperer) -> str:
    seal = t.seal()
    sql("UPDATE journal_seal SET previous_id = NULL WHERE previous_id = %s", seal)
    sql("DELETE FROM journal_seal WHERE id = %s", seal)
    return ""


def insert_entry(t: Tamperer) -> str:
    shown = ", ".join(COLUMNS[:-1])
    source, at = t.entry(), (NOON + timedelta(seconds=t.random.randrange(-(10**6), 10**6))).isoformat(" ")
    mark = t.random.choice([None, t.random.randbytes(40)])
    seal = t.random.choice([None, t.seal()])
    sql(
        f"INSERT INTO journal_entry ({shown}, mark, seal_id) SELECT %s, {shown.partition(', ')[2]}, %s, %s"
        " FROM journal_entry WHERE id = %s",
        at[:19],
        mark,
        seal,
        source,
    )
    return ""


def duplicate_entry(t: Tamperer) -> str:
    shown = ", ".join((*COLUMNS, t.random.choice(["NULL", "seal_id"])))
    sql(
        f"INSERT INTO journal_entry ({', '.join(COLUMNS)}, seal_id) SELECT {shown} FROM journal_entry WHERE id = %s",
        t.entry(),
    )
    return ""


def swap_ids(t: Tamperer) -> str:
    one, other = t.entry(), t.entry()
    if one == other:
        raise Refused
    named = t.sealed_or(one, t.sealed_or(other, "ids of unsealed entries exchanged"))
    for was, now in ((one, -1), (other, one), (-1, other)):
        sql("UPDATE journal_entry SET id = %s WHERE id = %s", now, was)
    return named


def swap_contents(t: Tamperer) -> str:
    column = t.random.choice(COLUMNS)
    one, other = t.entry(), t.entry()
    values = [t.one(f"SELECT {column} FROM journal_entry WHERE id = %s", entry) for entry in (one, other)]
    if bytes(values[0]) == bytes(values[1]) if column == "mark" else values[0] == values[1]:
        raise Refused
    for entry, value in zip((other, one), values, strict=True):
        sql(f"UPDATE journal_entry SET {column} = %s WHERE id = %s", value, entry)
    return ""


def move_entry(t: Tamperer) -> str:
    entry, seal = t.entry(), t.random.choice([None, t.seal(), 99])
    present = t.one("SELECT seal_id FROM journal_entry WHERE id = %s", entry)
    if present == seal:
        raise Refused
    sql("UPDATE journal_entry SET seal_id = %s WHERE id = %s", seal, entry)
    return ""


def renumber_entry(t: Tamperer) -> str:
    new = t.random.choice([0, -7, 10**6, t.random.randrange(10**9, 2**62)])
    sql("UPDATE journal_entry SET id = %s WHERE id = %s", new, t.entry())
    return ""


def renumber_seal(t: Tamperer) -> str:
    seal, new = t.seal(), t.random.choice([0, 50, 2**40])
    sql("UPDATE journal_seal SET id = %s WHERE id = %s", new, seal)
    sql("UPDATE journal_seal SET previous_id = %s WHERE previous_id = %s", new, seal)
    sql("UPDATE journal_entry SET seal_id = %s WHERE seal_id = %s", new, seal)
    return ""


def swap_seals(t: Tamperer) -> str:
    one, other, column = t.seal(), t.seal(), t.random.choice(["leaves", "digest", "mac", "sealed_at"])
    if one == other:
        raise Refused
    values = [t.one(f"SELECT {column} FROM journal_seal WHERE id = %s", seal) for seal in (one, other)]
    for seal, value in zip((other, one), values, strict=True):
        sql(f"UPDATE journal_seal SET {column} = %s WHERE id = %s", value, seal)
    return ""


def add_seal(t: Tamperer) -> str:
    last = int(t.one("SELECT max(id) FROM journal_seal"))
    sql(
        "INSERT INTO journal_seal (id, previous_id, is_first, sealed_at, leaves, digest, mac)"
        " SELECT id + 1, id, NULL, sealed_at, leaves, digest, mac FROM journal_seal WHERE id = %s",
        last,
    )
    return ""


def cut_the_end(t: Tamperer) -> str:
    last = t.seal()
    sql("DELETE FROM journal_entry WHERE seal_id IS NULL OR seal_id >= %s", last)
    sql("DELETE FROM journal_seal WHERE id >= %s", last)
    newest = t.one("SELECT coalesce(max(id), 0) FROM journal_entry")
    if t.sqlite and t.random.random() < 0.5:
        return ""
    if t.sqlite:
        sql("UPDATE sqlite_sequence SET seq = %s WHERE name = 'journal_entry'", newest)
    return "end cut off"


def close_the_gap(t: Tamperer) -> str:
    entry = t.entry("seal_id IS NULL")
    newest = int(t.one("SELECT max(id) FROM journal_entry"))
    sql("DELETE FROM journal_entry WHERE id = %s", entry)
    for number in range(entry + 1, newest + 1):
        sql("UPDATE journal_entry SET id = %s WHERE id = %s", number - 1, number)
    if t.sqlite:
        sql("UPDATE sqlite_sequence SET seq = %s WHERE name = 'journal_entry'", newest - 1)
    return "unsealed entry deleted and the gap closed"


def set_the_counter(t: Tamperer) -> str:
    newest = int(t.one("SELECT max(id) FROM journal_entry"))
    value = t.random.choice([1, newest - 1, newest + 5])
    if t.sqlite:
        sql("UPDATE sqlite_sequence SET seq = %s WHERE name = 'journal_entry'", value)
        return ""
    sql("SELECT setval('journal_entry_id_seq', %s)", value)
    return "gap in ids" if value > newest else ""


def seal_in_their_place(t: Tamperer) -> str:
    """Make a seal as Mainstay does, but without the key."""
    from mainstay.foundation.journal.stored import LEAF, exactly, rows, seal_digest

    last = int(t.one("SELECT max(id) FROM journal_seal"))
    before = bytes(t.one("SELECT digest FROM journal_seal WHERE id = %s", last))
    leaves = b"".join(LEAF.pack(row.id, row.leaf) for row in rows("e.seal_id IS NULL"))
    digest = seal_digest(before, last + 1, exactly(NOON), leaves)
    sql(
        "INSERT INTO journal_seal (id, previous_id, is_first, sealed_at, leaves, digest, mac)"
        " VALUES (%s, %s, NULL, %s, %s, %s, %s)",
        *(last + 1, last, "2026-03-02 12:00:00", leaves, digest, t.random.randbytes(32)),
    )
    sql("UPDATE journal_entry SET seal_id = %s WHERE seal_id IS NULL", last + 1)
    return ""


ACTS: list[Act] = [
    *([alter_entry] * 8),
    *([alter_seal] * 6),
    *(delete_entry, delete_seal, insert_entry, insert_entry, duplicate_entry, swap_ids, swap_contents, swap_contents),
    *(move_entry, renumber_entry, renumber_seal, swap_seals, add_seal, cut_the_end, close_the_gap),
    *(set_the_counter, seal_in_their_place),
]


def _all() -> list[Any]:
    """Everything that the tables hold, as stored."""
    columns = [("id", "seal_id", *COLUMNS), ("id", *SEAL_COLUMNS)]
    held: list[Any] = []
    for table, names in zip(("journal_entry", "journal_seal"), columns, strict=True):
        if connection.vendor == "sqlite":
            shown = ", ".join(f"typeof({name}), hex({name})" for name in names)
        else:
            shown = ", ".join(f"{name}::text" for name in names)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {shown} FROM {table} ORDER BY id")
            held += cursor.fetchall()
    with connection.cursor() as cursor:
        place = "seq FROM sqlite_sequence" if connection.vendor == "sqlite" else "last_value FROM journal_entry_id_seq"
        cursor.execute(f"SELECT {place}")
        return [*held, *sorted(map(str, cursor.fetchall()))]


class _Undo(Exception):
    pass


def test_each_random_alteration_is_named_or_is_of_a_class_that_is_written_down(journal: list[int]) -> None:
    alterations = 1_000 if connection.vendor == "sqlite" else 200
    before, counts, seed = _all(), Counter[str](), 0
    head = verify().head
    sequence = _sequence()
    while counts.total() < alterations:
        seed += 1
        tamperer = Tamperer(seed)
        try:
            with transaction.atomic():
                name, unnoticed = tamperer.act()
                if _all() != before:
                    found = verify(expected_head=head)
                    where = f"seed {seed}: {name}"
                    said = problems(found)
                    if unnoticed == "end cut off":
                        assert said == [problem for problem in said if "expected head" in problem], where
                    elif unnoticed:
                        assert unnoticed in UNNOTICED, where
                        assert said == [], where
                        assert (unnoticed != "gap in ids") or found.gaps, where
                    else:
                        assert said, where
                    counts[name] += 1
                raise _Undo
        except (_Undo, Refused, DatabaseError):
            pass
        _restore(sequence)
    assert _all() == before
    assert len(counts) == len({act.__name__ for act in ACTS})


def _sequence() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            return 0
        cursor.execute("SELECT last_value FROM journal_entry_id_seq")
        return int(cursor.fetchone()[0])


def _restore(sequence: int) -> None:
    """PostgreSQL's sequences are not part of a transaction."""
    if sequence:
        sql("SELECT setval('journal_entry_id_seq', %s)", sequence)


def test_what_is_not_noticed_is_written_down() -> None:
    text = (Path(__file__).parents[4] / "THREAT_MODEL.md").read_text(encoding="utf-8")
    assert [name for name in UNNOTICED if name not in text.lower()] == []


@pytest.mark.parametrize("act", ["drop", "disable", "replace", "add"])
def test_triggers_that_no_longer_defend_the_journal_are_named(act: str) -> None:
    add(1)
    seal_once(NOON)
    assert verify().problem == ""
    if connection.vendor == "postgresql":
        sql("SET CONSTRAINTS ALL IMMEDIATE")
    on = "" if connection.vendor == "sqlite" else " ON journal_entry"
    if act == "drop":
        sql(f"DROP TRIGGER journal_entry_kept{on}")
    elif act == "disable" and connection.vendor == "postgresql":
        sql("ALTER TABLE journal_entry DISABLE TRIGGER journal_entry_kept")
    elif act == "replace" and connection.vendor == "postgresql":
        sql(
            "CREATE OR REPLACE FUNCTION journal_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN OLD; END $$"
        )
    elif connection.vendor == "postgresql":
        sql("CREATE TRIGGER mine BEFORE INSERT ON journal_entry FOR EACH ROW EXECUTE FUNCTION journal_append_only()")
    elif act == "add":
        sql("CREATE TRIGGER mine AFTER INSERT ON journal_entry BEGIN DELETE FROM journal_seal; END")
    else:
        sql("DROP TRIGGER journal_entry_kept")
        sql("CREATE TRIGGER journal_entry_kept BEFORE DELETE ON journal_entry WHEN 0 BEGIN SELECT 1; END")
    assert "trigger" in verify().problem


def test_a_table_that_is_gone_is_told_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("an error ends the transaction that holds this test")
    add(1)
    seal_once(NOON)
    sql("ALTER TABLE journal_seal RENAME TO hidden")
    assert main(["journal", "verify"]) == 1
    assert "the journal cannot be read: no such table" in capsys.readouterr().err
