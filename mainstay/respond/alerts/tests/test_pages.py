"""The pages of alerts: what is open, who has it, why it paged or did not."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import HTMX, exported, lines, page, signed_in, title
from mainstay.desk.tests.desk import Desk, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes.models import Process
from mainstay.observe.checks.models import Result
from mainstay.respond.alerts.actions import acknowledge, resolve, silence
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.alerts.tests.parts import silencing
from mainstay.respond.delivery.models import Attempt


@pytest.fixture
def here(db: None) -> Desk:
    return desk()


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in(Role.SUPPORT)


def _alert(name: str, at: datetime, **given: Any) -> Alert:
    labels = {
        "application": "shop",
        "check": name,
        "severity": given.get("severity", "major"),
        **given.pop("labels", {}),
    }
    found = {"severity": "major", "source": f"test:{name}", "started_at": at, **given}
    return Alert.objects.create(name=name, labels=labels, **found)


def _reload(row: Alert) -> Alert:
    return Alert.objects.get(pk=row.pk)


# --- the list -------------------------------------------------------------------------------------------------------


def test_open_alerts_come_first_the_gravest_on_top(client: Client, here: Desk) -> None:
    at = now()
    _alert("late-minor", at, severity="minor")
    _alert("major-one", at - timedelta(hours=1))
    _alert("over-since-long", at, ended_at=at)
    html = page(client, "/alerts/")
    places = [html.index(name) for name in ("storefront is down", "major-one", "late-minor", "over-since-long")]
    assert places == sorted(places)


def test_the_headline_says_how_many_nobody_has(client: Client, here: Desk) -> None:
    assert title(page(client, "/alerts/")) == "1 alert is open, nobody has it."
    acknowledge(here.alert, here.user.actor, now())
    assert title(page(client, "/alerts/")) == "1 alert is open, somebody has it."
    resolve(_reload(here.alert), "the check is up again", now())
    assert title(page(client, "/alerts/")) == "Nothing is firing."


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"state": "open"}, {"free", "taken", "quiet"}),
        ({"state": "firing"}, {"free"}),
        ({"state": "acknowledged"}, {"taken"}),
        ({"state": "silenced"}, {"quiet"}),
        ({"state": "resolved"}, {"over"}),
        ({"severity": "critical"}, {"taken"}),
        ({"q": "HTTP 418"}, {"over"}),
        ({"q": "nothing like it"}, set()),
        ({"state": "bogus", "severity": "bogus"}, {"free", "taken", "quiet", "over"}),
    ],
)
def test_the_list_is_narrowed_by_the_address(client: Client, query: dict[str, str], shown: set[str]) -> None:
    Alert.objects.all().delete()
    at = now()
    _alert("free", at)
    _alert("taken", at, severity="critical", acknowledged_at=at, acknowledged_by="Lee")
    _alert("quiet", at)
    _alert("over", at, ended_at=at, summary="HTTP 418")
    silence(silencing({"check": "quiet"}, at, at + timedelta(hours=1), "known"), COMMAND_LINE, at)
    assert {row["name"] for row in lines(client.get("/alerts/", {**query, "format": "jsonl"}))} == shown
    html = page(client, "/alerts/", **query)
    assert {name for name in ("free", "taken", "quiet", "over") if f">{name}</a>" in html} == shown


def test_an_alert_of_another_application_is_filtered_out(client: Client, here: Desk) -> None:
    _alert("elsewhere", now(), labels={"application": "billing"})
    html = page(client, "/alerts/", application="shop")
    assert "storefront is down" in html
    assert "elsewhere" not in html


def test_what_is_over_is_paged_by_cursor(client: Client, here: Desk) -> None:
    at = now()
    for i in range(70):
        _alert(f"past-{i:02}", at, ended_at=at, source=f"test:{i}")
    html = page(client, "/alerts/")
    assert "past-69" in html
    assert "past-19" not in html
    older = page(client, "/alerts/", before=str(Alert.objects.get(name="past-20").pk))
    assert "past-19" in older
    assert "storefront is down" not in older  # open ones stand on the first page only


@pytest.mark.parametrize("query", [{}, {"state": "open"}, {"state": "resolved"}])
def test_the_number_of_queries_does_not_grow_with_the_list(client: Client, here: Desk, query: dict[str, str]) -> None:
    counts = []
    for size in (5, 45):
        for i in range(size):
            _alert(f"open-{size}-{i}", now(), source=f"test:{size}-{i}")
            _alert(f"over-{size}-{i}", now(), ended_at=now(), source=f"test:{size}-{i}")
        with CaptureQueriesContext(
            connection,
        ) as found:
            page(client, "/alerts/", **query)
        counts.append(len(found))
    assert counts[0] == counts[1] <= 12


def test_without_any_alert_the_page_teaches_the_next_step(client: Client, here: Desk) -> None:
    Alert.objects.all().delete()
    html = page(client, "/alerts/")
    assert "No alert has fired yet" in html
    assert "mainstay apply" in html


def test_a_name_is_text_not_markup(client: Client, here: Desk) -> None:
    _alert("<script>alert(1)</script>", now(), summary="<b>x</b>")
    html = page(client, "/alerts/")
    assert "<script>alert(1)" not in html
    assert "<b>x</b>" not in html


def test_the_file_holds_all_that_match(client: Client, here: Desk) -> None:
    found = exported(client.get("/alerts/", {"format": "csv"})).splitlines()
    assert found[0].startswith("id,name,state,severity")
    assert "shop/storefront is down,firing,critical" in found[1]
    assert json.loads(exported(client.get("/alerts/", {"format": "json"})))[0]["labels"]["check"] == "storefront"


# --- one alert ------------------------------------------------------------------------------------------------------


def test_an_alert_that_paged_says_why_with_every_step(client: Client, here: Desk) -> None:
    html = page(client, f"/alerts/{here.alert.pk}/")
    assert "Why did this page?" in html
    assert "Paged ops" in html
    assert "It fires and route severity-critical matches" in html
    for question in (
        "Is it still firing?",
        "Has nobody acknowledged it?",
        "Is it not silenced?",
        "Route severity-critical",
    ):
        assert question in html


def test_an_alert_that_did_not_page_says_why_not(client: Client, here: Desk) -> None:
    from mainstay.observe.checks.models import Check
    from mainstay.respond.alerts.actions import fire

    resolve(here.alert, "the check is up again", now())
    silence(silencing({"check": "storefront"}, now(), now() + timedelta(hours=1), "known trouble"), COMMAND_LINE, now())
    row = fire(of_check(Check.objects.get(pk=here.check.pk), "critical", "down again", "HTTP 503"), now())
    html = page(client, f"/alerts/{row.pk}/")
    assert "Why did this not page?" in html
    assert "known trouble" in html
    assert "Would not page" in html
    assert "No message was owed" in html


def test_what_would_happen_now_is_decided_live_and_writes_nothing(client: Client, here: Desk) -> None:
    address, before = f"/alerts/{here.alert.pk}/", Entry.objects.count()
    assert "Has paged" in page(client, address)
    silence(silencing(dict(here.alert.labels), now(), now() + timedelta(hours=1), "quiet now"), COMMAND_LINE, now())
    decision = _reload(here.alert).decision
    assert "quiet now" in page(client, address)
    assert Entry.objects.count() == before + 1  # the silence itself
    assert _reload(here.alert).decision == decision


def test_each_attempt_stands_with_the_receivers_answer(client: Client, here: Desk) -> None:
    at = now()
    for i in range(8):
        Attempt.objects.create(
            delivery=here.delivery, at=at, duration_s=0.2, outcome="retry", answer=f"HTTP 503 no. {i}"
        )
    type(here.delivery).objects.filter(pk=here.delivery.pk).update(attempts=8)
    html = page(client, f"/alerts/{here.alert.pk}/")
    assert "HTTP 503 no. 7" in html
    assert "HTTP 503 no. 1" not in html  # the newest five
    assert "8 attempts in all" in html


def test_the_course_of_the_check_is_drawn_with_beginning_and_end(client: Client, here: Desk) -> None:
    at = here.alert.started_at
    for i in range(-20, 20):
        Result.objects.create(check_ref=here.check, at=at + timedelta(seconds=5 * i), health="up", duration_s=0.1)
    resolve(_reload(here.alert), "the check is up again", at + timedelta(seconds=60))
    html = page(client, f"/alerts/{here.alert.pk}/")
    assert "data-chart" in html
    assert ">fired<" in html
    assert ">resolved<" in html


def test_without_results_of_that_time_the_page_says_so(client: Client, here: Desk) -> None:
    Result.objects.all().delete()
    assert "No single results of that time" in page(client, f"/alerts/{here.alert.pk}/")


def test_an_alert_outlives_its_check_and_application(client: Client, here: Desk) -> None:
    Alert.objects.filter(pk=here.alert.pk).update(check_ref=None, application=None)
    assert title(page(client, f"/alerts/{here.alert.pk}/")) == "shop/storefront is down."


def test_the_number_of_queries_does_not_grow_with_deliveries_and_entries(client: Client, here: Desk) -> None:
    from mainstay.respond.alerts.wording import message, subject
    from mainstay.respond.delivery.message import Event
    from mainstay.respond.delivery.outbox import owe

    counts = []
    for size in (5, 25):
        for _ in range(size):
            owe(message(here.alert, Event.REMIND, now()), ["ops"], subject(here.alert), now())
        with CaptureQueriesContext(connection) as found:
            page(client, f"/alerts/{here.alert.pk}/")
        counts.append(len(found))
    assert counts[0] == counts[1]


# --- taking it ------------------------------------------------------------------------------------------------------


def test_acknowledging_takes_the_alert_with_a_note(client: Client, here: Desk) -> None:
    answer = client.post(f"/alerts/{here.alert.pk}/acknowledge", {"note": "looking at the proxy"}, follow=True)
    html = answer.content.decode()
    assert answer.redirect_chain[-1][0] == f"/alerts/{here.alert.pk}/"
    assert "You have it." in html
    assert "looking at the proxy" in html
    assert _reload(here.alert).state == "acknowledged"


def test_who_comes_second_hears_who_was_faster(client: Client, here: Desk) -> None:
    acknowledge(here.alert, here.user.actor, now())
    html = client.post(f"/alerts/{here.alert.pk}/acknowledge", follow=True).content.decode()
    assert "Lee was faster" in html
    assert _reload(here.alert).acknowledged_by == "Lee"


def test_what_is_over_cannot_be_taken(client: Client, here: Desk) -> None:
    resolve(here.alert, "the check is up again", now())
    assert "It is over already" in client.post(f"/alerts/{here.alert.pk}/acknowledge", follow=True).content.decode()


def test_giving_back_makes_it_nobodys(client: Client, here: Desk) -> None:
    acknowledge(here.alert, here.user.actor, now())
    assert "Give it back" in page(client, f"/alerts/{here.alert.pk}/")
    client.post(f"/alerts/{here.alert.pk}/unacknowledge")
    assert _reload(here.alert).state == "firing"


def test_after_a_deed_the_browser_goes_on_where_it_came_from_but_never_elsewhere(client: Client, here: Desk) -> None:
    address = f"/alerts/{here.alert.pk}/acknowledge"
    assert client.post(address, {"next": "/?x=1"}).headers["Location"] == "/?x=1"
    for bad in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        assert client.post(address, {"next": bad}).headers["Location"] == f"/alerts/{here.alert.pk}/"


def test_htmx_gets_a_message_and_stays(client: Client, here: Desk) -> None:
    answer = client.post(f"/alerts/{here.alert.pk}/acknowledge", headers=HTMX)
    assert answer.status_code == 204
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["tone"] == "ok"


def test_a_reader_is_offered_no_deed(here: Desk) -> None:
    html = page(signed_in(Role.PRODUCT), f"/alerts/{here.alert.pk}/")
    assert 'data-opens="acknowledge"' not in html
    assert "Silence like this" not in html


@pytest.mark.fault("D13")
def test_what_is_unreachable_is_not_counted_as_firing(client: Client, here: Desk) -> None:
    Alert.objects.update(ended_at=now())
    at = now()
    cause = _alert("router-down", at - timedelta(hours=1))
    for number in range(3):
        follower = _alert(f"behind-{number}", at)
        Alert.objects.filter(pk=follower.pk).update(decision="unreachable", severity="critical")
    Alert.objects.filter(pk=cause.pk).update(severity="major")
    for role in ("web", "monitor", "worker"):
        Process.objects.create(role=role, host="here", pid=1, boot="", started_at=at, beat_at=at)
    assert title(page(client, "/")) == "router-down, and 3 more because of it."
    assert title(page(client, "/alerts/")) == "1 alert is open, nobody has it."
    assert "1 major · 3 unreachable" in page(client, "/alerts/")


@pytest.mark.fault("D11")
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"state": "resolved"}, "Resolved alerts"),
        ({"state": "acknowledged"}, "Acknowledged alerts"),
        ({"state": "silenced"}, "Silenced alerts"),
        ({"state": "firing"}, "Firing alerts"),
        ({"state": "open"}, "Open alerts"),
        ({"severity": "minor"}, "Alerts that match"),
        ({"q": "nothing like it"}, "Alerts that match"),
        ({"state": "resolved", "severity": "critical"}, "Resolved alerts"),
    ],
)
def test_the_title_speaks_of_what_is_listed(client: Client, here: Desk, asked: dict[str, str], says: str) -> None:
    assert title(page(client, "/alerts/", 200, **asked)) == says
