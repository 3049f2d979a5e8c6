"""Silences: made from an alert or by labels, ended early."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import page, signed_in, title
from mainstay.desk.tests.desk import Desk, caller, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.respond.alerts.actions import silence
from mainstay.respond.alerts.models import Silence
from mainstay.respond.alerts.tests.parts import silencing


@pytest.fixture
def here(db: None) -> Desk:
    found = desk()
    Silence.objects.all().delete()
    return found


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in(Role.SUPPORT)


def _make(client: Client, **given: Any) -> Any:
    return client.post("/silences/new", {"duration": "3600", "comment": "a repair", **given}, follow=True)


def test_silence_like_this_is_prefilled_with_what_tells_the_alert_apart(client: Client, here: Desk) -> None:
    html = page(client, f"/alerts/{here.alert.pk}/")
    assert '<input type="checkbox" name="label" value="application=shop" checked>' in html
    assert '<input type="checkbox" name="label" value="severity=critical">' in html


def test_ticked_labels_become_a_silence_that_holds_the_alert(client: Client, here: Desk) -> None:
    answer = _make(client, label=["application=shop", "check=storefront"], next=f"/alerts/{here.alert.pk}/")
    assert answer.redirect_chain[-1][0] == f"/alerts/{here.alert.pk}/"
    row = Silence.objects.get()
    assert row.match == {"application": "shop", "check": "storefront"}
    assert row.ends_at - row.starts_at == timedelta(hours=1)
    html = page(client, "/silences/")
    assert title(html) == "1 silence in force, holding 1 open alert."


def test_an_alert_says_which_silence_holds_it(client: Client, here: Desk) -> None:
    silence(silencing({"check": "storefront"}, now(), now() + timedelta(hours=1), "being mended"), COMMAND_LINE, now())
    html = page(client, f"/alerts/{here.alert.pk}/")
    assert "Silenced by command line" in html
    assert "being mended" in html


def test_labels_as_text_may_begin_later_in_the_own_zone(client: Client) -> None:
    _make(client, matchers="application=shop, environment=production", starts="2099-03-02T22:00")
    row = Silence.objects.get()
    assert row.starts_at.isoformat() == "2099-03-02T22:00:00+00:00"
    assert "Begin later" in page(client, "/silences/")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"matchers": ""}, "Name at least one label"),
        ({"matchers": "shop"}, "is not name=value"),
        ({"matchers": "a=1", "comment": " "}, "This field is required"),
        ({"matchers": "a=1", "duration": "7"}, "Select a valid choice"),
        ({"matchers": "a=1", "starts": "2001-01-01T00:00"}, "Must be after the start and in the future"),
        ({"matchers": "a=1", "label": ["a=2"]}, "given twice with different values"),
    ],
)
def test_what_is_wrong_is_said_beside_the_form_and_nothing_is_made(
    client: Client, given: dict[str, Any], says: str
) -> None:
    answer = _make(client, **given)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Silence.objects.exists()


def test_a_form_that_comes_back_keeps_the_ticked_labels(client: Client) -> None:
    html = _make(client, label=['note="a, b"'], comment="").content.decode()
    assert "note=&quot;a, b&quot;" in html


def test_ending_early_ends_it_now(client: Client) -> None:
    row = silence(silencing({"check": "storefront"}, now(), now() + timedelta(hours=5), "known"), COMMAND_LINE, now())
    assert "early" in client.post(f"/silences/{row.pk}/end", follow=True).content.decode()
    row.refresh_from_db()
    assert row.ends_at <= now()
    assert title(page(client, "/silences/")) == "Nothing is silenced."
    assert "It had ended already" in client.post(f"/silences/{row.pk}/end", follow=True).content.decode()


def test_the_number_of_queries_does_not_grow_with_silences(client: Client) -> None:
    counts = []
    for size in (5, 45):
        for i in range(size):
            silence(
                silencing({"check": f"c{size}-{i}"}, now(), now() + timedelta(hours=5), "known"), COMMAND_LINE, now()
            )
        with CaptureQueriesContext(connection) as found:
            page(client, "/silences/")
        counts.append(len(found))
    assert counts[0] == counts[1]


@pytest.mark.fault("D4")
@pytest.mark.parametrize(
    ("starts", "ends", "told"),
    [
        ("2099-03-29T00:30", "2099-03-29T03:30:00+00:00", "2099-03-29 03:30 UTC"),  # clocks go forward at 02:00
        ("2099-10-25T00:30", "2099-10-25T02:30:00+00:00", "2099-10-25 02:30 UTC"),  # and back at 03:00
    ],
)
def test_a_silence_over_a_dst_night_lasts_as_long_as_it_says_and_the_journal_tells_its_end(
    client: Client, starts: str, ends: str, told: str
) -> None:
    User.objects.update(time_zone="Europe/Berlin")
    _make(client, matchers="application=shop", starts=starts, duration="14400")
    row = Silence.objects.get()
    assert row.ends_at - row.starts_at == timedelta(hours=4)
    assert row.ends_at.isoformat() == ends
    entry = Entry.objects.filter(kind="silence.created").latest("id")
    assert entry.facts["until"] == ends
    assert f"until {told}," in entry.sentence()


def test_a_silence_given_in_another_zone_is_told_in_utc(here: Desk) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begin, end = datetime(2099, 7, 1, 12, tzinfo=berlin), datetime(2099, 7, 1, 14, tzinfo=berlin)
    silence(silencing({"check": "storefront"}, begin, end, "known"), COMMAND_LINE, now())
    assert "until 2099-07-01 12:00 UTC," in Entry.objects.filter(kind="silence.created").latest("id").sentence()


@pytest.mark.parametrize(
    ("ticket", "shown"),
    [
        ("OPS-212", '<span class="not-a-link">OPS-212</span>'),
        ("https://tickets.example/212", 'href="https://tickets.example/212"'),
        ("javascript:alert(1)", '<span class="not-a-link">javascript:alert(1)</span>'),
        ("", ""),
    ],
)
def test_a_ticket_is_asked_for_shown_and_journalled(client: Client, here: Desk, ticket: str, shown: str) -> None:
    assert 'name="ticket"' in page(client, "/silences/new")
    assert 'name="ticket"' in page(client, f"/alerts/{here.alert.pk}/")
    _make(client, matchers="application=shop", ticket=ticket)
    assert shown in page(client, "/silences/")
    alert = page(client, f"/alerts/{here.alert.pk}/")
    assert shown in alert
    assert f"covers it: a repair{f' ({ticket})' if ticket else ''}" in alert
    made = caller().get("/silences")["items"][0]
    assert made["ticket"] == ticket
    again = {"match": made["match"], "duration": "1h", "comment": "why", "ticket": ticket}
    assert caller().post("/silences", again, 201)["ticket"] == ticket
    entry = Entry.objects.get(kind="silence.created", subject=f"silence:{made['id']}")
    assert entry.facts["ticket"] == ticket
    assert entry.sentence().endswith(f"a repair {ticket}".strip())


def test_a_ticket_is_one_short_line(client: Client) -> None:
    assert _make(client, matchers="a=b", ticket="x" * 201).status_code == 422
    assert (
        "at most 200"
        in caller().post(
            "/silences", {"match": {"a": "b"}, "duration": "1h", "comment": "x", "ticket": "x" * 201}, 422
        )["detail"]
    )
