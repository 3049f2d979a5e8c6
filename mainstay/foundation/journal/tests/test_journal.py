"""The journal: what is written, what is refused, and what verification finds."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal import kinds
from mainstay.foundation.journal.kinds import BadFact, EntryKind, declare
from mainstay.foundation.journal.models import Entry, Seal
from mainstay.foundation.journal.seal import seal_once, verify
from mainstay.foundation.journal.write import Fact, Subject, on, on_all, write, write_all

SUBJECT = Subject("thing", 7, "thing seven")


@pytest.fixture
def kind() -> Iterator[EntryKind]:
    yield declare("test.happened", "{subject} happened {times} times", times=int)
    del kinds.KINDS["test.happened"]


@pytest.fixture
def five(kind: EntryKind, me: Actor, noon: datetime, transactional_db: None) -> list[int]:
    """Five entries, sealed in two seals."""
    ids = []
    for number in range(5):
        with transaction.atomic():
            ids.append(write(kind, SUBJECT, me, noon + timedelta(seconds=number), times=number).pk)
        if number == 2:
            assert seal_once(noon) == 3
    assert seal_once(noon) == 2
    return ids


def tamper(statement: str, *values: str | int | bytes | None) -> None:
    """Do what a person with access to the database file could: change rows past the triggers."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement, values)
            cursor.execute("SET session_replication_role = DEFAULT")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
        cursor.execute("PRAGMA foreign_keys = OFF")
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name}")
        cursor.execute(statement, values)
        cursor.execute("PRAGMA foreign_keys = ON")
        for _, sql in triggers:
            cursor.execute(sql)


def test_a_fact_reads_as_a_sentence(kind: EntryKind, me: Actor, noon: datetime, db: None) -> None:
    write(kind, SUBJECT, me, noon, times=3)
    assert Entry.objects.get().sentence() == "thing seven happened 3 times"


def test_a_kind_that_is_no_longer_declared_is_still_shown() -> None:
    assert kinds.sentence("gone.kind", "shop", {"a": 1}) == "shop: gone.kind a=1"


@pytest.mark.parametrize("facts", [{}, {"times": "three"}, {"times": 3, "more": 1}])
def test_a_fact_with_other_fields_than_declared_is_refused(
    facts: dict[str, object], kind: EntryKind, me: Actor, noon: datetime, db: None
) -> None:
    with pytest.raises(BadFact):
        write(kind, SUBJECT, me, noon, **facts)
    assert not Entry.objects.exists()


def test_a_fact_outside_the_transaction_of_its_change_is_refused(
    kind: EntryKind, me: Actor, noon: datetime, transactional_db: None
) -> None:
    with pytest.raises(RuntimeError, match="needs the transaction"):
        write(kind, SUBJECT, me, noon, times=1)


def test_facts_that_are_written_together_are_heard_together_and_keep_their_order(
    kind: EntryKind, me: Actor, noon: datetime, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mainstay.foundation.journal import write as module

    monkeypatch.setattr(module, "_handlers", {})
    together, single = [], []

    @on_all(kind)
    def many(entries: Sequence[Entry]) -> None:
        together.append([entry.facts["times"] for entry in entries])

    @on(kind)
    def one(entry: Entry) -> None:
        single.append(entry.facts["times"])

    with CaptureQueriesContext(connection) as seen:
        entries = write_all(Fact(kind, SUBJECT, me, noon, {"times": number}) for number in range(20))
    assert len([query for query in seen if query["sql"].startswith("INSERT")]) == 1
    assert together == [list(range(20))]
    assert single == list(range(20))
    assert [entry.pk for entry in entries] == sorted(entry.pk for entry in entries)
    stored = Entry.objects.order_by("id").values_list("facts__times", flat=True)
    assert list(stored) == list(range(20))
    assert write_all([]) == []


def test_of_facts_that_are_written_together_a_bad_one_refuses_all(
    kind: EntryKind, me: Actor, noon: datetime, db: None
) -> None:
    with pytest.raises(BadFact):
        write_all([Fact(kind, SUBJECT, me, noon, {"times": 1}), Fact(kind, SUBJECT, me, noon, {"times": "x"})])
    assert not Entry.objects.exists()


def test_a_handler_runs_in_the_same_transaction_and_can_undo_it(
    kind: EntryKind, me: Actor, noon: datetime, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mainstay.foundation.journal import write as module

    monkeypatch.setattr(module, "_handlers", {})
    heard = []

    @on(kind)
    def handler(entry: Entry) -> None:
        heard.append(entry.pk)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(kind, SUBJECT, me, noon, times=1)
    assert heard
    assert not Entry.objects.exists()


def test_what_was_sealed_verifies(five: list[int]) -> None:
    found = verify()
    assert (found.problem, found.entries, found.seals, found.unsealed) == ("", 5, 2, 0)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("column", ["kind", "subject", "subject_name", "actor", "actor_name"])
def test_an_altered_entry_is_named(five: list[int], place: int, column: str) -> None:
    tamper(f"UPDATE journal_entry SET {column} = 'other' WHERE id = %s", five[place])
    found = verify()
    assert found.entry == five[place]
    assert "altered" in found.problem


def test_altered_facts_and_times_are_named(five: list[int], noon: datetime) -> None:
    tamper("UPDATE journal_entry SET facts = %s WHERE id = %s", '{"times": 99}', five[1])
    assert verify().entry == five[1]


def test_a_missing_entry_is_named(five: list[int]) -> None:
    tamper("DELETE FROM journal_entry WHERE id = %s", five[3])
    found = verify()
    assert (found.entry, found.problem) == (five[3], f"entry {five[3]} is missing")


def test_an_entry_that_was_slipped_in_is_named(five: list[int]) -> None:
    seal = Entry.objects.get(pk=five[0]).seal_id
    tamper(
        "INSERT INTO journal_entry (id, at, kind, subject, subject_name, actor, actor_name, facts, seal_id)"
        " SELECT 99, at, kind, subject, subject_name, actor, actor_name, facts, %s FROM journal_entry WHERE id = %s",
        seal,
        five[0],
    )
    assert verify().entry == 99


def test_reordered_entries_are_named(five: list[int]) -> None:
    first, second = five[0], five[1]
    for one, other in ((first, -1), (second, first), (-1, second)):
        tamper("UPDATE journal_entry SET id = %s WHERE id = %s", other, one)
    assert verify().entry == first


def test_a_seal_that_was_recomputed_over_altered_entries_breaks_the_chain(five: list[int]) -> None:
    first = Seal.objects.order_by("id")[0]
    leaves = bytes(first.leaves)[:-1] + b"\0"
    tamper("UPDATE journal_seal SET leaves = %s WHERE id = %s", leaves, first.pk)
    assert verify().problem


def test_a_removed_seal_is_noticed(five: list[int]) -> None:
    last = Seal.objects.order_by("-id")[0]
    head = verify().head
    tamper("DELETE FROM journal_seal WHERE id = %s", last.pk)
    assert "a seal that is gone" in verify().problem
    tamper("DELETE FROM journal_entry WHERE seal_id = %s", last.pk)
    if connection.vendor == "sqlite":
        assert "have no entry" in verify().problem
        tamper("UPDATE sqlite_sequence SET seq = %s WHERE name = 'journal_entry'", five[2])
    assert verify().problem == ""  # a clean cut of the end shows only against a head that was noted
    assert "rewritten or cut" in verify(expected_head=head).problem


@pytest.mark.parametrize(
    "statement", ["UPDATE journal_entry SET kind = 'x'", "DELETE FROM journal_entry", "DELETE FROM journal_seal"]
)
def test_the_database_itself_refuses_to_change_the_past(five: list[int], statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verify().problem == ""


def test_an_entry_that_commits_late_falls_into_a_later_seal(
    kind: EntryKind, me: Actor, noon: datetime, transactional_db: None
) -> None:
    entries = []
    for number in (-5, 7, -6):
        with transaction.atomic():
            entry = Entry(pk=number, at=noon, kind=kind.name, subject="thing:1", facts={"times": 1})
            entry.save(force_insert=True)
        assert seal_once(noon) == 1
        entries.append(entry)
    found = verify()
    assert [one for one in found.findings if one.problem.startswith(("entry", "seal"))] == []
    assert found.entries == 3


def test_sealing_nothing_makes_no_seal(db: None, noon: datetime) -> None:
    assert seal_once(noon) == 0
    assert not Seal.objects.exists()
