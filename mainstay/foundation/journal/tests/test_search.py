"""Finding entries: by index at once, by text within a budget that the answer admits."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mainstay.foundation.accounts import facts
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages import search
from mainstay.foundation.journal.pages.search import Search, find, read

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
LEE = Actor("user:7", "Lee Ångström")


def _put(count: int, *, at: datetime = NOON, step: timedelta = timedelta(seconds=1), **given: Any) -> list[Entry]:
    first = {
        "kind": "team.created",
        "subject": "team:1",
        "subject_name": "Payments",
        "actor": "program:cli",
        "actor_name": "command line",
        "facts": {},
    }
    rows = [Entry(**{**first, **given}, at=at + step * i) for i in range(count)]
    return Entry.objects.bulk_create(rows)


def _names(found: search.Found) -> list[str]:
    return [entry.subject_name for entry in found.entries]


@pytest.fixture(autouse=True)
def _database(db: None) -> None:
    """All of these need one."""


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Search(), {"a", "b", "c"}),
        (Search(kind="team.edited"), {"b"}),
        (Search(subject="team:3"), {"c"}),
        (Search(application=9), {"c"}),
        (Search(actor="user:7"), {"b"}),
        (Search(text="ångström"), {"b"}),
        (Search(text="name email"), {"b"}),
        (Search(text="EDITED"), {"b"}),
        (Search(text="nothing"), set()),
        (Search(kind="team.edited", text="lee", subject="team:2"), {"b"}),
        (Search(kind="no.such.kind"), set()),
    ],
)
def test_each_condition_narrows(wanted: Search, shown: set[str]) -> None:
    _put(1, subject_name="a")
    _put(
        1,
        subject_name="b",
        subject="team:2",
        kind="team.edited",
        actor=LEE.key,
        actor_name=LEE.name.lower(),
        facts={"fields": ["name", "email"]},
    )
    _put(1, subject_name="c", subject="team:3", application=9)
    assert set(_names(find(wanted))) == shown
    assert {entry.subject_name for entry in search.entries(wanted)} == shown


def test_letters_beyond_ascii_are_found_in_facts() -> None:
    _put(1, subject_name="a", kind="check.changed", facts={"message": "Prüfung schlug fehl"})
    assert _names(find(Search(text="Prüfung"))) == ["a"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "100%"])
def test_a_sign_that_means_something_to_the_database_is_only_itself(text: str) -> None:
    _put(1, subject_name="plain")
    _put(1, subject_name=f"with {text} in it")
    assert _names(find(Search(text=text))) == [f"with {text} in it"]


def test_a_span_of_time_includes_its_beginning_and_not_its_end() -> None:
    _put(60, step=timedelta(minutes=1))
    found = find(Search(since=NOON + timedelta(minutes=10), until=NOON + timedelta(minutes=20)))
    assert [entry.at.minute for entry in found.entries] == list(range(19, 9, -1))


def test_an_entry_whose_clock_was_off_is_not_missed() -> None:
    _put(5)
    _put(1, at=NOON + timedelta(days=9), subject_name="from the future")
    _put(5, at=NOON + timedelta(minutes=1))
    assert "from the future" in _names(find(Search(since=NOON + timedelta(days=8))))
    assert len(find(Search(until=NOON + timedelta(hours=1))).entries) == 10


def test_a_span_without_entries_is_empty() -> None:
    _put(3)
    assert find(Search(since=NOON + timedelta(days=1))).entries == []
    assert find(Search(until=NOON - timedelta(days=1))).entries == []


@pytest.mark.parametrize(
    "wanted",
    [Search(), Search(text="payments"), Search(kind="team.created", text="payments"), Search(actor="program:cli")],
)
def test_walking_shows_every_entry_once_in_both_directions(wanted: Search) -> None:
    rows = _put(23)
    seen: list[int] = []
    found = find(wanted, size=5)
    while found.entries:
        seen += [entry.pk for entry in found.entries]
        assert found.older is (len(seen) < len(rows))
        found = find(wanted, before=seen[-1], size=5)
    assert seen == [row.pk for row in reversed(rows)]
    back: list[int] = []
    found = find(wanted, after=seen[-1], size=5)
    while found.entries:
        back += [entry.pk for entry in reversed(found.entries)]
        assert found.newer is (len(back) < len(rows) - 1)
        found = find(wanted, after=back[-1], size=5)
    assert back == list(reversed(seen[:-1]))


def test_a_search_that_spends_its_budget_says_how_far_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLICE_ENTRIES", 10)
    monkeypatch.setattr(search, "BUDGET_ENTRIES", 30)
    old = _put(1, subject_name="needle")
    rows = _put(100, at=NOON + timedelta(hours=1))
    found = find(Search(text="needle"))
    assert found.entries == []
    assert found.reached is not None
    reached: int | None = found.reached.pk
    assert reached == rows[-30].pk
    steps = 1
    while reached is not None:
        found = find(Search(text="needle"), before=reached)
        reached = found.reached.pk if found.reached else None
        steps += 1
    assert [entry.pk for entry in found.entries] == [old[0].pk]
    assert steps == 4


def test_a_search_that_came_to_the_end_does_not_offer_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLICE_ENTRIES", 10)
    _put(25)
    found = find(Search(text="nothing like it"))
    assert (found.entries, found.reached, found.older) == ([], None, False)


def test_an_index_narrows_before_the_text_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLICE_ENTRIES", 10)
    monkeypatch.setattr(search, "BUDGET_ENTRIES", 20)
    _put(1, subject="team:9", subject_name="needle")
    _put(100)
    found = find(Search(subject="team:9", text="needle"))
    assert _names(found) == ["needle"]
    assert found.reached is None


# --- reading a query string -----------------------------------------------------------------------------------------


def test_a_day_is_a_day_of_the_readers_zone() -> None:
    wanted, problems = read({"since": "2026-03-01", "until": "2026-03-01"}, ZoneInfo("America/New_York"))
    assert problems == []
    assert wanted.since == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert wanted.until == datetime(2026, 3, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text"),
    [("since", "yesterday"), ("until", "2026-13-01"), ("application", "shop"), ("until", "9999-12-31")],
)
def test_what_cannot_be_understood_is_said_and_left_out(name: str, text: str) -> None:
    wanted, problems = read({name: text}, UTC_ZONE)
    assert len(problems) == 1
    assert problems[0].startswith(f"{name}: ")
    assert wanted == Search()


def test_signs_no_database_takes_are_dropped() -> None:
    assert read({"q": "a\0b", "subject": " team:1 "}, UTC_ZONE)[0] == Search(text="ab", subject="team:1")


def test_what_the_program_writes_is_found_by_the_words_people_see(me: Actor) -> None:
    from django.db import transaction

    from mainstay.foundation.journal.write import Subject, write

    with transaction.atomic():
        write(
            facts.TOKEN_CREATED, Subject("token", 1, "grafana"), COMMAND_LINE, NOON, role="stakeholder", expires="never"
        )
    for word in ("grafana", "token", "expires", "stakeholder", "created as"):
        assert _names(find(Search(text=word))) == ["grafana"]
