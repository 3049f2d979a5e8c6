"""The pages of checks: lists that filter and export, one check with its course, and what people do there."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import exported, fragment, page, seen_in, signed_in, title
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.actions import announce, pause
from mainstay.observe.checks.models import Check, CheckState, Downtime, Hour, Ping, Result
from mainstay.observe.checks.tests.parts import check, heartbeat
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.actions import fire
from mainstay.respond.alerts.sources.checks import of_check

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return signed_in(Role.ADMIN)


def seen(name: str, health: str = "up", **given: Any) -> Check:
    """A check with a recent result."""
    made = check(name, **given)
    CheckState.objects.filter(pk=made.pk).update(
        health=health, since=now() - timedelta(minutes=5), message="" if health == "up" else "HTTP 500.",
        first_at=now() - timedelta(days=10), last_at=now(), last_health=health, last_duration_s=0.2,
    )  # fmt: skip
    return made


def queries(client: Client, address: str) -> int:
    client.get(address)  # the first request of a test fills caches of templates and content types
    with CaptureQueriesContext(connection) as found:
        assert client.get(address).status_code == 200
    return len(found)


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_title_says_how_many_fail(client: Client) -> None:
    seen("front")
    assert title(page(client, "/checks/")) == "The one check is not failing."
    seen("back", "down")
    seen("side", "degraded")
    assert title(page(client, "/checks/")) == "1 down and 1 degraded of 3 checks."


def test_checks_without_recent_results_are_not_called_fine(client: Client) -> None:
    made = seen("front")
    CheckState.objects.filter(pk=made.pk).update(last_at=now() - timedelta(hours=1))
    assert title(page(client, "/checks/")) == "1 of 1 check has no recent result."


def test_an_empty_list_teaches_the_next_step(client: Client) -> None:
    text = page(client, "/checks/")
    assert "Nothing is watched yet" in text
    assert "mainstay apply" in text


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["back", "front", "other"]),
        ({"application": "blog"}, ["other"]),
        ({"status": "down"}, ["back"]),
        ({"status": "paused"}, ["other"]),
        ({"status": "up"}, ["front"]),
        ({"status": "maintenance"}, []),
        ({"severity": "critical"}, ["front"]),
        ({"kind": "tcp"}, ["back"]),
        ({"label": "team=web"}, ["front"]),
        ({"label": "team"}, ["front", "other"]),
        ({"q": "127.0.0.1 fro"}, ["front"]),
        ({"q": "mail"}, ["other"]),
        ({"q": "database"}, ["back"]),
        ({"q": "staging"}, ["back"]),
        ({"status": "no such status"}, ["back", "front", "other"]),
        ({"q": "\0"}, ["back", "front", "other"]),
    ],
)
def test_the_list_filters_by_url(client: Client, query: dict[str, str], names: list[str]) -> None:
    seen("front", severity="critical", labels={"team": "web"})
    seen("back", "down", tcp={"host": "127.0.0.1", "port": 1}, http=None, severity="major")
    seen("other", of="blog", labels={"team": "mail"}, paused=True)
    shop = Application.objects.get(name="shop")
    where = {
        "component": shop.components.create(name="database"),
        "environment": shop.environments.create(name="staging"),
    }
    Check.objects.filter(name="back").update(**where)
    answer = client.get("/checks/", {**query, "format": "json"})
    assert sorted(row["name"] for row in json.loads(exported(answer))) == names
    text = page(client, "/checks/", 200, **query)
    assert all((f">{name}</a>" in text) == (name in names) for name in ("front", "back", "other"))


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["aa", "bb", "cc"]),
        ("-name", ["cc", "bb", "aa"]),
        ("state", ["bb", "aa", "cc"]),
        ("latency", ["cc", "aa", "bb"]),
        ("uptime", ["bb", "aa", "cc"]),
        ("nonsense", ["aa", "bb", "cc"]),
    ],
)
def test_the_list_sorts_by_url(client: Client, sort: str, names: list[str]) -> None:
    for name, health, duration in (("aa", "up", 0.2), ("bb", "down", 0.3), ("cc", "up", 0.1)):
        made = seen(name, health)
        CheckState.objects.filter(pk=made.pk).update(last_duration_s=duration)
    Downtime.objects.create(
        check_ref=Check.objects.get(name="bb"), application=Check.objects.get(name="bb").application, health="down",
        started_at=now() - timedelta(hours=3),
    )  # fmt: skip
    text = page(client, "/checks/", 200, sort=sort)
    assert sorted(names, key=lambda name: text.index(f">{name}</a>")) == names


def test_what_a_window_covers_is_shown_in_maintenance(client: Client) -> None:
    seen("front", "down", labels={"team": "web"})
    moment = now()
    announce(
        Window("move", match=Matchers.read({"team": "web"}), starts_at=moment, ends_at=moment + timedelta(hours=1)),
        COMMAND_LINE,
        moment,
    )
    (row,) = json.loads(exported(client.get("/checks/?status=maintenance&format=json")))
    assert (row["status"], row["reason"]) == ("maintenance", "in maintenance: move")


def test_the_export_is_safe_in_a_spreadsheet_and_has_units_in_its_headings(client: Client) -> None:
    seen("front")
    head, row = exported(client.get("/checks/?format=csv")).splitlines()
    assert "last_duration_s" in head
    assert "uptime_30d_percent" in head
    assert row.split(",")[1:3] == ["shop", "front"]


def test_the_list_asks_the_database_equally_often_whatever_it_holds(client: Client) -> None:
    for i in range(5):
        seen(f"check-{i}")
    few = queries(client, "/checks/")
    for i in range(5, 50):
        seen(f"check-{i}", labels={"team": "web"})
    assert queries(client, "/checks/") == few


def test_a_poll_that_brings_nothing_new_is_answered_without_content(client: Client) -> None:
    made = seen("front")
    first = fragment(client, "/checks/")
    assert "<html" not in first.content.decode()
    assert fragment(client, "/checks/", seen=seen_in(first.content.decode())).status_code == 204
    CheckState.objects.filter(pk=made.pk).update(health="down")
    changed = fragment(client, "/checks/", seen=seen_in(first.content.decode()))
    assert changed.status_code == 200
    assert '<span id="headline" hx-swap-oob="true">1 down of 1 check.</span>' in changed.content.decode()


# --- one check ------------------------------------------------------------------------------------------------------


def test_the_page_of_a_check_says_how_it_is_and_since_when(client: Client) -> None:
    made = seen("front", "down")
    text = page(client, f"/checks/{made.pk}/")
    assert title(text) == "shop / front is down."
    assert "HTTP 500." in text


def test_a_check_nobody_has_looked_at_is_not_called_up(client: Client) -> None:
    made = check("front")
    assert title(page(client, f"/checks/{made.pk}/")) == "shop / front waits for its first result."


def test_uptime_without_results_is_no_data(client: Client) -> None:
    made = check("front")
    text = page(client, f"/checks/{made.pk}/")
    assert text.count("no data") >= 4
    assert "100&nbsp;%" not in text


@pytest.mark.parametrize("name", ["1h", "6h", "24h", "48h", "7d", "30d", "90d", "nonsense"])
def test_the_chart_covers_the_range_that_is_asked_for(client: Client, name: str) -> None:
    made = seen("front", every="30s")
    moment = now()
    Result.objects.bulk_create(
        Result(
            check_ref=made, at=moment - timedelta(seconds=30 * i), health="up" if i % 20 else "down", duration_s=0.2,
            dns_s=0.01, connect_s=0.02, tls_s=0.0, first_byte_s=0.1, transfer_s=0.07, code=200,
        )
        for i in range(120)
    )  # fmt: skip
    hour = moment.replace(minute=0, second=0, microsecond=0)
    Hour.objects.bulk_create(
        Hour(check_ref=made, hour=hour - timedelta(hours=i), results=120, duration_sum_s=24, duration_max_s=1)
        for i in range(1, 200)
    )
    Downtime.objects.create(
        check_ref=made, application=made.application, health="down", started_at=moment - timedelta(minutes=9),
        ended_at=moment - timedelta(minutes=4),
    )  # fmt: skip
    text = page(client, f"/checks/{made.pk}/", 200, range=name)
    assert "no data in this range" not in text
    assert "<title>down</title>" in text  # shaded
    assert ("first byte" in text) == (name not in {"7d", "30d", "90d"})


def test_many_results_are_read_by_the_minute(client: Client) -> None:
    made = seen("front", every="1s")
    moment = now().replace(second=0, microsecond=0)
    Result.objects.bulk_create(
        Result(check_ref=made, at=moment - timedelta(seconds=i), health="up", duration_s=0.1 if i % 2 else 0.3)
        for i in range(1, 301)
    )
    text = page(client, f"/checks/{made.pk}/", 200, range="6h")
    assert "one point per minute" in text
    assert "mean of the minute: lowest 200" in text
    assert "slowest of the minute: lowest 300" in text


def test_results_are_exported(client: Client) -> None:
    made = seen("front")
    Result.objects.create(check_ref=made, at=now(), health="down", duration_s=0.5, code=503, message="=cmd()")
    text = exported(client.get(f"/checks/{made.pk}/?format=csv"))
    assert text.splitlines()[0].startswith("at,health,duration_s,dns_s")
    assert "'=cmd()" in text


def test_a_check_has_a_fixed_number_of_queries(client: Client) -> None:
    made = seen("front")
    few = queries(client, f"/checks/{made.pk}/")
    for i in range(50):
        Result.objects.create(check_ref=made, at=now(), health="up", duration_s=0.1)
        pause(made, COMMAND_LINE, now(), paused=i % 2 == 0)
        made.refresh_from_db()
    seen("other")
    assert queries(client, f"/checks/{made.pk}/") == few


def test_an_open_alert_stands_above_everything_with_its_next_action(client: Client) -> None:
    made = seen("front", "down")
    alert = fire(of_check(Check.objects.get(pk=made.pk), "major", "shop/front is down", "HTTP 500."), now())
    text = page(client, f"/checks/{made.pk}/")
    assert text.index(f'action="/alerts/{alert.pk}/acknowledge"') < text.index("Uptime, 90 days")


def test_an_unknown_check_is_not_found(client: Client) -> None:
    assert client.get("/checks/1/").status_code == 404
    assert client.get(f"/checks/{2**70}/").status_code == 404


def test_parts_are_rendered_alone(client: Client) -> None:
    made = seen("front")
    for part in ("live", "course", "latest"):
        answer = fragment(client, f"/checks/{made.pk}/", part)
        assert answer.content.decode().lstrip().startswith(f'<div id="{part}"')


# --- heartbeats -----------------------------------------------------------------------------------------------------


def test_a_heartbeat_shows_the_lines_that_report_to_it(client: Client) -> None:
    made = heartbeat("job")
    text = page(client, f"/checks/{made.pk}/")
    assert title(text) == "shop / job waits for its first ping."
    assert f"/ping/{made.ping_key}" in text
    assert "Probe now" not in text


def test_the_log_of_a_ping_is_escaped(client: Client) -> None:
    made = heartbeat("job")
    Ping.objects.create(check_ref=made, at=now(), kind="fail", exit_status=3, body="<script>x</script>", duration_s=4.0)
    text = page(client, f"/checks/{made.pk}/")
    assert "&lt;script&gt;x" in text
    assert "<script>x" not in text
    assert "exit 3" in text


# --- what people do there -------------------------------------------------------------------------------------------


def test_pausing_and_resuming(client: Client) -> None:
    made = seen("front")
    client.post(f"/checks/{made.pk}/pause/", {"paused": "1"})
    assert title(page(client, f"/checks/{made.pk}/")) == "shop / front is paused."
    client.post(f"/checks/{made.pk}/pause/", {"paused": ""})
    made.refresh_from_db()
    assert not made.paused


def test_support_may_pause_but_not_edit() -> None:
    made = seen("front")
    support = signed_in(Role.SUPPORT)
    assert support.post(f"/checks/{made.pk}/pause/", {"paused": "1"}).status_code == 302
    answer = support.get(f"/checks/{made.pk}/edit/")
    assert answer.status_code == 403
    assert "checks.edit" in answer.content.decode()


def test_removing_a_check(client: Client) -> None:
    made = seen("front")
    assert client.post(f"/checks/{made.pk}/delete/").status_code == 302
    assert not Check.objects.exists()


def test_what_a_file_manages_is_not_removed_here(client: Client) -> None:
    made = seen("front")
    Check.objects.update(managed_by="shop.yaml")
    answer = client.post(f"/checks/{made.pk}/delete/", follow=True)
    assert "managed by the file shop.yaml" in answer.content.decode()
    assert Check.objects.exists()


def test_maintenance_is_announced_shown_and_called_off(client: Client) -> None:
    seen("front")
    form = {
        "name": "move", "application": "shop", "match": "check=front", "when": "once",
        "starts_at": "2026-01-01T10:00", "ends_at": "2199-01-01T10:00",
    }  # fmt: skip
    assert client.post("/maintenance/new/", form).status_code == 302
    assert title(page(client, "/maintenance/")) == "In maintenance: move."
    (row,) = json.loads(exported(client.get("/maintenance/?format=json")))
    assert (row["application"], row["match"], row["state"]) == ("shop", {"check": "front"}, "active")
    client.post(f"/maintenance/{row['id']}/cancel/")
    assert title(page(client, "/maintenance/")) == "Nothing is in maintenance."


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"when": "once", "starts_at": "2026-01-01T10:00", "ends_at": "2026-01-01T09:00"}, "ends_at"),
        ({"when": "once", "starts_at": "", "ends_at": "2026-01-01T09:00"}, "starts_at"),
        ({"when": "recurring", "cron": "61 * * * *", "duration": "1h", "time_zone": "UTC"}, "cron"),
        ({"when": "recurring", "cron": "0 3 * * *", "duration": "soon", "time_zone": "UTC"}, "duration"),
        ({"when": "recurring", "cron": "0 3 * * *", "duration": "1h", "time_zone": "Nowhere/At_all"}, "time_zone"),
        ({"when": "once", "starts_at": "2026-01-01T10:00", "ends_at": "2026-01-01T11:00", "match": "web"}, "match"),
    ],
)
def test_a_window_that_cannot_be_is_refused_at_its_field(client: Client, given: dict[str, str], field: str) -> None:
    answer = client.post("/maintenance/new/", {"name": "move", **given})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()


# --- a check that cannot be probed ------------------------------------------------------------------------------------


def test_a_check_of_an_unknown_kind_is_shown_everywhere_and_can_be_removed(client: Client) -> None:
    seen("front")
    made = seen("mind")
    Check.objects.filter(pk=made.pk).update(kind="telepathy")
    why = "there is no kind of check called 'telepathy' here"
    CheckState.objects.filter(pk=made.pk).update(unusable=why)
    text = page(client, f"/checks/{made.pk}/")
    assert title(text) == "shop / mind cannot be probed."
    assert "telepathy (unknown kind)" in text
    assert "cannot be probed: there is no kind of check called" in text
    for address in ("/", "/checks/", "/checks/?status=unknown", "/applications/", "/applications/shop/"):
        assert "mind" in page(client, address), address
    page(client, f"/checks/{made.pk}/edit/", 409)
    listed = client.get("/api/v1/checks").json()["items"]
    assert [(one["name"], one["status"]) for one in listed] == [("front", "up"), ("mind", "unknown")]
    detail = client.get(f"/api/v1/checks/{made.pk}").json()
    assert (detail["status"], detail["kind"]) == ("unknown", "telepathy")
    assert why in detail["reason"]
    assert exported(client.get("/checks/?format=csv"))
    assert client.post(f"/checks/{made.pk}/probe/").status_code == 200
    assert client.post(f"/checks/{made.pk}/pause/").status_code < 400
    assert client.post(f"/checks/{made.pk}/delete/").status_code < 400
    assert not Check.objects.filter(pk=made.pk).exists()


@pytest.mark.fault("D11")
def test_the_title_of_a_filtered_list_speaks_of_what_is_listed(client: Client) -> None:
    CheckState.objects.filter(pk=check("front").pk).update(health="down", since=now(), last_at=now())
    assert title(page(client, "/checks/")) == "1 down of 1 check."
    assert title(page(client, "/checks/", 200, status="down")) == "1 check matches."
    for asked in ({"status": "up"}, {"status": "paused"}, {"q": "nowhere"}, {"kind": "dns"}):
        assert title(page(client, "/checks/", 200, **asked)) == "No check matches."
