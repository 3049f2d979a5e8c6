"""Applications: how all of them are, and one with everything about it."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.tests.browser import exported, fragment, page, signed_in, title
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.models import Application, Component
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.clock import now
from mainstay.observe.checks.models import Check, CheckState, Downtime
from mainstay.observe.checks.tests.parts import check
from mainstay.respond.alerts.actions import fire
from mainstay.respond.alerts.sources.checks import of_check

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return signed_in(Role.ADMIN)


def seen(name: str, health: str = "up", *, of: str = "shop", severity: str = "major") -> Check:
    made = check(name, of=of, severity=severity)
    CheckState.objects.filter(pk=made.pk).update(
        health=health, since=now(), first_at=now() - timedelta(days=10), last_at=now(), last_health=health
    )
    return made


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as found:
        assert client.get(address).status_code == 200
    return len(found)


def test_the_list_says_how_many_are_not_well(client: Client) -> None:
    seen("front")
    assert title(page(client, "/applications/")) == "shop is fine."
    seen("site", "down", of="blog")
    seen("api", of="pay")
    assert title(page(client, "/applications/")) == "1 down of 3 applications."


def test_what_wants_attention_comes_first(client: Client) -> None:
    seen("site", of="aaa")
    seen("site", "down", of="zzz")
    seen("site", "degraded", of="mmm")
    text = page(client, "/applications/")
    assert sorted(["aaa", "mmm", "zzz"], key=lambda name: text.index(f">{name}</a>")) == ["zzz", "mmm", "aaa"]
    text = page(client, "/applications/", 200, sort="-name")
    assert sorted(["aaa", "mmm", "zzz"], key=lambda name: text.index(f">{name}</a>")) == ["zzz", "mmm", "aaa"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "sho"}, ["shop"]),
        ({"tier": "critical"}, ["blog"]),
        ({"status": "down"}, ["blog"]),
        ({"owner": "nobody"}, []),
        ({"sort": "uptime"}, ["blog", "shop"]),
    ],
)
def test_the_list_filters_and_exports(client: Client, query: dict[str, str], names: list[str]) -> None:
    seen("front")
    down = seen("site", "down", of="blog")
    Application.objects.filter(name="blog").update(tier="critical")
    Downtime.objects.create(
        check_ref=down, application=down.application, health="down", started_at=now() - timedelta(hours=24)
    )
    rows = json.loads(exported(client.get("/applications/", {**query, "format": "json"})))
    assert [row["name"] for row in rows] == names
    if "blog" in names:
        assert rows[0]["uptime_90d_percent"] == pytest.approx(90, abs=0.1)


def test_an_application_nobody_watches_is_not_fine(client: Client) -> None:
    Application.objects.create(name="shop", created_at=now())
    assert title(page(client, "/applications/")) == "Nothing watches shop yet."
    text = page(client, "/applications/shop/")
    assert title(text) == "Nothing watches shop yet."
    assert text.count("no data") >= 4


def test_the_list_asks_the_database_equally_often_whatever_it_holds(client: Client) -> None:
    for i in range(5):
        seen("site", of=f"app-{i}")
    few = queries(client, "/applications/")
    for i in range(5, 50):
        seen("site", of=f"app-{i}")
    assert queries(client, "/applications/") == few


def test_pages_of_the_list(client: Client) -> None:
    Application.objects.bulk_create(Application(name=f"app-{i:03}", created_at=now()) for i in range(60))
    assert "50 of 60 shown" in page(client, "/applications/")
    assert "10 of 60 shown" in page(client, "/applications/", 200, page="2")
    assert page(client, "/applications/", 200, page="nonsense").count("data-row") == 50


# --- one ------------------------------------------------------------------------------------------------------------


def build() -> Application:
    """A shop whose parts need each other, and one of another application."""
    me, at = COMMAND_LINE, now()
    put_application(ApplicationSpec.model_validate({"name": "billing", "components": [{"name": "ledger"}]}), me, at)
    document = {
        "name": "shop",
        "tier": "critical",
        "environments": [{"name": "production", "url": "http://127.0.0.1:9001"}],
        "links": [{"label": "Dashboard", "url": "https://grafana.example/"}],
        "components": [{"name": "database"}, {"name": "api", "needs": ["database", "billing/ledger"]}],
    }
    return put_application(ApplicationSpec.model_validate(document), me, at)


def test_the_page_shows_the_whole_life(client: Client) -> None:
    build()
    made = seen("front", "down", severity="critical")
    Check.objects.filter(pk=made.pk).update(component=Component.objects.get(name="api"))
    fire(of_check(Check.objects.get(pk=made.pk), "critical", "shop/front is down", "HTTP 500."), now())
    text = page(client, "/applications/shop/")
    assert title(text) == "shop is down."
    for part in (
        "front is down",
        "HTTP 500.",
        "/acknowledge",
        "api needs database, billing/ledger",
        "Dashboard",
        "production",
    ):
        assert part in text, part
    assert 'class="node tone-bad"' in text
    assert 'class="node foreign"' in text


def test_a_stakeholder_sees_status_and_uptime_but_no_checks() -> None:
    build()
    made = seen("front", "down")
    fire(of_check(Check.objects.get(pk=made.pk), "critical", "shop/front is down", "HTTP 500."), now())
    text = page(signed_in(Role.STAKEHOLDER), "/applications/shop/")
    assert title(text) == "shop is down."
    assert "Uptime, 90 days" in text
    assert "HTTP 500." not in text
    assert f"/checks/{made.pk}/" not in text
    assert "Journal</h2>" not in text


def test_an_application_has_a_fixed_number_of_queries(client: Client) -> None:
    build()
    for i in range(5):
        made = seen(f"check-{i}", "down")
        fire(of_check(Check.objects.get(pk=made.pk), "major", f"shop/check-{i} is down", ""), now())
    few = queries(client, "/applications/shop/")
    for i in range(5, 50):
        made = seen(f"check-{i}", "down")
        fire(of_check(Check.objects.get(pk=made.pk), "major", f"shop/check-{i} is down", ""), now())
    assert queries(client, "/applications/shop/") == few


def test_days_are_exported(client: Client) -> None:
    build()
    seen("front")
    rows = json.loads(exported(client.get("/applications/shop/days/?format=json")))
    assert len(rows) == 90
    assert rows[0]["uptime_percent"] is None
    assert rows[-1]["uptime_percent"] == 100


def test_parts_are_rendered_alone(client: Client) -> None:
    build()
    for part in ("live", "recent"):
        assert fragment(client, "/applications/shop/", part).content.decode().lstrip().startswith(f'<div id="{part}"')
