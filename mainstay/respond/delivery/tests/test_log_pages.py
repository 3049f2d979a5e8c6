"""The log of deliveries."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import lines, page, signed_in, title
from mainstay.desk.tests.desk import Desk, caller, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.write import Subject
from mainstay.respond.alerts.wording import message, subject
from mainstay.respond.delivery.actions import remove_channel
from mainstay.respond.delivery.kinds.tests.samples import NOTICE, changed
from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.models import Attempt, Channel, Delivery, Group
from mainstay.respond.delivery.outbox import owe
from mainstay.respond.delivery.sending.groups import gather
from mainstay.respond.delivery.sending.send import claim


@pytest.fixture
def here(db: None) -> Desk:
    found = desk()
    Delivery.objects.exclude(pk=found.delivery.pk).delete()
    return found


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in(Role.SUPPORT)


def _owe(here: Desk, event: Event = Event.REMIND) -> Delivery:
    return owe(message(here.alert, event, now()), ["ops"], subject(here.alert), now()).deliveries[0]


def test_a_message_about_no_alert_is_listed_told_and_given_by_the_api(client: Client, here: Desk) -> None:
    [row] = owe(NOTICE, ["ops"], Subject("bug", 17, "BUG-17"), now()).deliveries
    assert (row.event, row.thread, row.urgency) == ("notice", "bug:17", 12)  # like a page about a major alert
    assert "BUG-17" in page(client, "/deliveries/")
    html = page(client, f"/deliveries/{row.pk}/")
    assert "BUG-17 must be fixed within 30 minutes" in html
    assert "Does the notice message reach ops?" in html
    found = caller(Role.SUPPORT).get(f"/deliveries/{row.pk}")
    assert (found["event"], found["alert"], found["message"]["kind"]) == ("notice", None, "notice")
    gather(now())
    assert Delivery.objects.get(pk=row.pk).status == "queued"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {"trigger", "remind", "resolve"}),
        ({"event": "remind"}, {"remind"}),
        ({"status": "waiting"}, {"trigger", "resolve"}),
        ({"status": "delivered"}, {"remind"}),
        ({"status": "withdrawn"}, set()),
        ({"channel": "ops"}, {"trigger", "remind", "resolve"}),
        ({"channel": "other"}, set()),
        ({"status": "bogus", "event": "bogus"}, {"trigger", "remind", "resolve"}),
    ],
)
def test_the_log_is_narrowed_by_the_address(client: Client, here: Desk, query: dict[str, str], shown: set[str]) -> None:
    Delivery.objects.filter(pk=here.delivery.pk).update(event="trigger", status="queued")
    Delivery.objects.filter(pk=_owe(here).pk).update(status="delivered", delivered_at=now())
    _owe(here, Event.RESOLVE)
    assert {row["event"] for row in lines(client.get("/deliveries/", {**query, "format": "jsonl"}))} == shown


def test_what_went_to_a_removed_channel_is_found_by_its_name(client: Client, here: Desk) -> None:
    Channel.objects.all().delete()
    assert "removed since" in page(client, "/deliveries/", channel="ops")


def test_the_headline_says_how_much_waits(client: Client, here: Desk) -> None:
    Delivery.objects.update(status="queued")
    assert title(page(client, "/deliveries/")) == "1 message waits to be delivered."
    Delivery.objects.update(status="delivered", delivered_at=now())
    assert title(page(client, "/deliveries/")) == "Everything owed was delivered."


def test_each_attempt_of_a_delivery_is_shown_with_its_answer(client: Client, here: Desk) -> None:
    for i in range(7):
        Attempt.objects.create(
            delivery=here.delivery, at=now(), duration_s=0.1, outcome="retry", answer=f"HTTP 503, {i}"
        )
    html = page(client, f"/deliveries/{here.delivery.pk}/")
    assert all(f"HTTP 503, {i}" in html for i in range(7))
    assert here.delivery.key in html
    assert f"/alerts/{here.alert.pk}/" in html


def test_a_fallback_and_what_it_stands_for_lead_to_each_other(client: Client, here: Desk) -> None:
    other = _owe(here)
    Delivery.objects.filter(pk=other.pk).update(fallback_of=here.delivery)
    assert f"/deliveries/{other.pk}/" in page(client, f"/deliveries/{here.delivery.pk}/")
    assert f"/deliveries/{here.delivery.pk}/" in page(client, f"/deliveries/{other.pk}/")


def _retry(client: Client, row: Delivery) -> Any:
    return client.post(f"/deliveries/{row.pk}/retry", follow=True)


def test_retrying_makes_it_due_now(client: Client, here: Desk) -> None:
    later = now().replace(year=2099)
    Delivery.objects.filter(pk=here.delivery.pk).update(status="queued", attempts=2, due_at=later)
    assert "Tried again now" in _retry(client, here.delivery).content.decode()
    assert Delivery.objects.get(pk=here.delivery.pk).due_at < later


def test_what_is_delivered_or_paused_is_not_retried(client: Client, here: Desk) -> None:
    Delivery.objects.update(status="delivered", delivered_at=now())
    assert "Nothing waits" in _retry(client, here.delivery).content.decode()
    Channel.objects.update(paused=True)
    assert "is paused: resume it first" in _retry(client, here.delivery).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_log(client: Client, here: Desk) -> None:
    counts = []
    for size in (5, 45):
        for _ in range(size):
            Attempt.objects.create(delivery=_owe(here), at=now(), duration_s=0.1, outcome="retry", answer="HTTP 503")
        with CaptureQueriesContext(connection) as found:
            page(client, "/deliveries/")
        counts.append(len(found))
    assert counts[0] == counts[1] <= 10


# --- groups --------------------------------------------------------------------------------------------------------


@pytest.fixture
def group(here: Desk) -> Group:
    """More pages waited than go singly: a group tells of two, and of one that was over before it was tried."""
    at = now()
    here.delivery.delete()
    for number in range(21):
        each = changed(message(here.alert, Event.TRIGGER, at), severity="critical", dedup_key=f"other-{number}")
        owe(each, ["ops"], Subject("alert", 900 + number, f"other {number}"), at)
    owe(changed(message(here.alert, Event.TRIGGER, at), severity="minor"), ["ops"], subject(here.alert), at)
    over = changed(message(here.alert, Event.TRIGGER, at), dedup_key="over")
    owe(over, ["ops"], Subject("alert", 990, "was over"), at)
    owe(changed(over, event=Event.RESOLVE), ["ops"], Subject("alert", 990, "was over"), at)
    gather(at)
    return Group.objects.get()


def test_a_group_lists_its_messages_and_the_alerts_that_they_tell_of(client: Client, here: Desk, group: Group) -> None:
    html = page(client, "/deliveries/", group=str(group.pk))
    assert title(html) == "3 alerts told together to ops: 2 firing, 1 over."
    assert here.alert.name in html
    assert "was over" in html
    found = lines(client.get("/deliveries/", {"group": str(group.pk), "format": "jsonl"}))
    assert sorted(row["status"] for row in found) == ["grouped", "grouped", "queued", "withdrawn", "withdrawn"]
    assert {row["group"] for row in found} == {group.pk}
    assert "was over" in page(client, "/deliveries/", group="x")  # no group: all


def test_each_page_that_a_group_tells_says_so_and_leads_to_it(client: Client, here: Desk, group: Group) -> None:
    mine = Delivery.objects.get(status="grouped", subject=f"alert:{here.alert.pk}")
    link = f"/deliveries/?group={group.pk}"
    html = page(client, f"/deliveries/{mine.pk}/")
    assert title(html) == "A group tells the trigger message to ops."
    assert link in html
    alert = page(client, f"/alerts/{here.alert.pk}/")
    assert "more than 20 pages wait" in alert
    assert link in alert
    withdrawn = Delivery.objects.filter(status="withdrawn").first()
    assert withdrawn is not None
    assert "it was over before it could be sent" in page(client, f"/deliveries/{withdrawn.pk}/")


def test_a_message_of_a_group_shows_what_it_says_before_and_after_it_is_written(
    client: Client, here: Desk, group: Group
) -> None:
    mine = Delivery.objects.get(subject=f"group:{group.pk}")
    assert "2 alerts are firing" in page(client, f"/deliveries/{mine.pk}/")
    assert claim(mine, 1, now())
    assert "2 alerts are firing" in page(client, f"/deliveries/{mine.pk}/")
    assert f"/deliveries/?group={group.pk}" in page(client, "/journal/")


def test_programs_see_groups(here: Desk, group: Group) -> None:
    call = caller()
    found = call.get(f"/deliveries?group={group.pk}")["items"]
    assert {row["group"] for row in found} == {group.pk}
    assert len(call.get("/deliveries?status=grouped")["items"]) == 2
    [own] = [row for row in found if row["subject"] == f"group:{group.pk}"]
    told = call.get(f"/deliveries/{own['id']}")["message"]
    assert (len(told["alerts"]), told["more"], own["alert"]) == (3, 0, None)


def test_removing_a_channel_ends_its_groups(here: Desk, group: Group) -> None:
    channel = Channel.objects.get(name="ops")
    Channel.objects.filter(pk=channel.pk).update(managed_by="")
    channel.refresh_from_db()
    remove_channel(channel, COMMAND_LINE, now())
    group.refresh_from_db()
    assert group.ended_at is not None
    assert not Delivery.objects.filter(status="queued").exists()
