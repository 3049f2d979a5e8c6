"""The journal's pages: entries, permalinks, proofs, files."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import exported, lines, page, signed_in, title
from mainstay.desk.tests.desk import Desk, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry, Seal
from mainstay.foundation.journal.seal import seal_once, verify_newest
from mainstay.foundation.journal.write import Subject, write
from mainstay.respond.delivery.facts import PAGE_WITHDRAWN


@pytest.fixture
def here(db: None) -> Desk:
    return desk()


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in(Role.SUPPORT)


def _seal_all() -> None:
    while seal_once(now(), batch=4):
        pass


def _open_the_database(trigger: str) -> None:
    """Take the triggers' guard away, as somebody with the database in hand could."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
        else:
            cursor.execute(f"DROP TRIGGER {trigger}")


def _tamper(pk: int, **given: Any) -> None:
    _open_the_database("journal_entry_fixed")
    Entry.objects.filter(pk=pk).update(**given)


def test_the_newest_entry_stands_first_and_leads_to_its_subject(client: Client, here: Desk) -> None:
    html = page(client, "/journal/")
    newest = Entry.objects.latest("pk")
    assert html.index(f"#{newest.pk}<") < html.index(f"#{newest.pk - 1}<")
    assert f'href="/alerts/{here.alert.pk}/"' in html
    assert f'href="/people/{here.user.pk}/"' in html


def test_filters_show_as_chips_that_remove_themselves(client: Client) -> None:
    html = page(client, "/journal/", subject="team:1", q="added")
    assert "about team 1" in html
    assert 'href="?q=added"' in html


def test_a_bad_time_is_said_and_does_not_hide_the_rest(client: Client) -> None:
    html = page(client, "/journal/", since="never")
    assert "is no time. Write 2026-03-31" in html
    assert "permalink" in html


def test_nothing_found_offers_everything(client: Client) -> None:
    assert "Show everything" in page(client, "/journal/", q="no such word at all")


def test_further_back_is_offered_with_how_far_it_looked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from mainstay.foundation.journal.pages import search

    monkeypatch.setattr(search, "SLICE_ENTRIES", 2)
    monkeypatch.setattr(search, "BUDGET_ENTRIES", 4)
    html = page(client, "/journal/", q="no such word")
    assert "Looked back to" in html
    reached = Entry.objects.order_by("-pk")[3]
    assert f"before={reached.pk}" in html


def test_an_entry_has_a_page_with_its_facts_and_steps(client: Client, here: Desk) -> None:
    entry = Entry.objects.get(kind="alert.paged")
    html = page(client, f"/journal/{entry.pk}/")
    assert title(html).startswith("Alert shop/storefront is down pages ops")
    assert "Has nobody acknowledged it?" in html
    assert "not sealed yet" in html


def test_a_sealed_entry_is_proven_and_an_altered_one_is_not(client: Client, here: Desk) -> None:
    _seal_all()
    entry = Entry.objects.get(kind="team.created")
    html = page(client, f"/journal/{entry.pk}/")
    assert "unchanged" in html
    assert entry.seal is not None
    assert bytes(entry.seal.digest).hex() in html
    _tamper(entry.pk, subject_name="Somebody else")
    html = page(client, f"/journal/{entry.pk}/")
    assert "altered" in html
    assert "unchanged" not in html


def test_verifying_the_newest_says_what_was_recomputed(client: Client) -> None:
    html = client.post("/journal/verify/").content.decode()
    assert title(html) == "Nothing is sealed yet, so there is nothing to verify."
    _seal_all()
    html = client.post("/journal/verify/").content.decode()
    assert title(html) == "The whole journal is as it was written."
    assert f"{Seal.objects.count()} seals with {Entry.objects.count()} entries" in html
    number = Entry.objects.get(kind="team.created").pk
    _tamper(number, actor_name="Nobody")
    html = client.post("/journal/verify/").content.decode()
    assert title(html) == "The journal was altered."
    assert f'href="/journal/{number}/"' in html


def test_a_part_is_never_called_the_whole(client: Client, here: Desk) -> None:
    _seal_all()
    found = verify_newest(seals_most=2)
    assert (found.seals, found.whole, found.problem) == (2, False, "")
    found = verify_newest(entries_most=5)
    assert (0 < found.entries <= 5, found.whole) == (True, False)


def test_a_seal_that_was_taken_out_is_noticed(client: Client, here: Desk) -> None:
    _seal_all()
    seals = list(Seal.objects.order_by("pk"))
    _open_the_database("journal_seal_fixed")
    Seal.objects.filter(pk=seals[0].pk).update(leaves=bytes(seals[0].leaves)[:-40])
    assert verify_newest().problem != ""


def test_files_hold_everything_that_matches(client: Client, here: Desk) -> None:
    rows = lines(client.get("/journal/", {"format": "jsonl", "kind": "team.created"}))
    assert [row["subject_name"] for row in rows] == ["Payments"]
    assert rows[0]["sentence"] == "Team Payments was added"
    text = exported(client.get("/journal/", {"format": "csv"}))
    assert len(text.splitlines()) >= Entry.objects.count()


def test_the_number_of_queries_does_not_grow_with_the_journal(client: Client, here: Desk) -> None:
    counts = []
    for size in (5, 50):
        Entry.objects.bulk_create(
            Entry(
                at=now() - timedelta(hours=1),
                kind="team.created",
                subject=f"team:{i}",
                subject_name="t",
                actor="a",
                actor_name="a",
                facts={},
            )
            for i in range(size)
        )
        with CaptureQueriesContext(connection) as found:
            page(client, "/journal/")
        counts.append(len(found))
    assert counts[0] == counts[1] <= 10


@pytest.mark.fault("D10")
def test_a_word_is_looked_for_in_sentences_and_not_in_hidden_facts(client: Client, here: Desk) -> None:
    about = Subject("channel", 1, "hidden-ops", None)
    given = {"event": "trigger", "channel": "pager", "reason": "over before it was sent", "delivery": 987654}
    write(PAGE_WITHDRAWN, about, COMMAND_LINE, now(), **given)
    for word, found in {
        "withdrawn": True, "hidden-ops": True, "OVER before": True, "page.withdrawn": True,
        "987654": False, "delivery": False, "reason": False, "withdrawn 987654": False,
    }.items():  # fmt: skip
        assert ("over before it was sent" in page(client, "/journal/", 200, q=word)) is found, word
        file = exported(client.get("/journal/", {"q": word, "format": "csv"}))
        assert ("over before it was sent" in file) is found, word
