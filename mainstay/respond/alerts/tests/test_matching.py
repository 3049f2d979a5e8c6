"""Silences, routes and maintenance match alike, whether a file, the API or a form wrote them, or an older version."""

import importlib
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.urls import reverse

from mainstay.config.apply import apply_text, plan_text
from mainstay.config.export import export
from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import Desk, caller, desk
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now
from mainstay.observe.checks.models import Maintenance
from mainstay.observe.checks.standing import windows
from mainstay.respond.alerts.decide import silenced_by
from mainstay.respond.alerts.models import Route, Silence
from mainstay.respond.alerts.routes import routes
from mainstay.respond.alerts.surroundings import silences

MATCH = {"severity": ["critical", "major"]}
TEXTS = ['instance=~"web-[0-9]+"', "team!=test"]
KEPT = MATCH | {"instance": {"=~": ["web-[0-9]+"]}, "team": {"!=": ["test"]}}
FITS = {"severity": "major", "instance": "web-7"}


@pytest.fixture(autouse=True)
def here(db: None) -> Desk:
    found = desk()
    for model in (Route, Silence, Maintenance):
        model.objects.all().delete()
    return found


FILE = """
routes:
  - {name: web, match: {severity: [critical, major]}, matchers: ['{instance=~"web-[0-9]+",team!="test"}'], notify: [ops]}
maintenance:
  - {name: move, match: {severity: [critical, major]}, matchers: ['instance=~"web-[0-9]+"', team!=test], cron: 0 3 * * *, duration: 1h}
"""  # noqa: E501


def test_a_route_is_the_same_from_a_file_the_api_and_the_form() -> None:
    assert apply_text(FILE, "shop.yaml", COMMAND_LINE, now()).problems == ()
    filed = Route.objects.get()
    body = {"name": "api", "match": MATCH, "matchers": TEXTS, "notify": ["ops"]}
    made = caller().post("/routes", body, 201)
    given = {"severity": ["critical", "major"], "match": 'instance=~"web-[0-9]+"\nteam != test', "notify": ["ops"]}
    signed_in().post("/routes/new", {"name": "form", **given})
    assert [row.match for row in Route.objects.order_by("position")] == [KEPT] * 3
    assert made["spec"]["matchers"] == TEXTS
    told = "severity is critical or major and instance matches web-[0-9]+ and team is not test"
    assert made["matches"] == told or connection.vendor == "postgresql"  # which keeps no order
    for route in routes():
        assert route.match.mismatch(FITS) == ""
        assert route.match.mismatch(FITS | {"team": "test"}) == "team is test, which is excluded"
    assert "instance=~&quot;web-[0-9]+&quot;" in page(signed_in(), reverse("route_edit", args=[filed.pk]))


def test_a_window_is_the_same_from_a_file_the_api_and_the_form() -> None:
    assert apply_text(FILE, "shop.yaml", COMMAND_LINE, now()).problems == ()
    body = {"match": MATCH, "matchers": TEXTS, "cron": "0 3 * * *", "duration": "1h"}
    assert caller().post("/maintenance", {"name": "api", **body}, 201)["matchers"] == TEXTS
    given = {"when": "recurring", "cron": "0 3 * * *", "duration": "1h", "time_zone": "UTC"}
    line = 'severity=~"critical|major", {}'.format(", ".join(TEXTS))
    signed_in().post("/maintenance/new/", {"name": "form", "match": line, **given})
    assert [row.match for row in Maintenance.objects.all()] == [KEPT] * 3
    assert all(window.covers(None, FITS) and not window.covers(None, {}) for window in windows())
    assert "team!=test" in page(signed_in(), "/maintenance/")


def test_a_silence_is_the_same_from_the_api_and_the_form() -> None:
    body = {"match": MATCH, "matchers": TEXTS, "duration": "1h", "comment": "why"}
    made = caller().post("/silences", body, 201)
    assert (made["match"], made["matchers"]) == (MATCH, TEXTS)
    line = '{severity=~"critical|major", ' + ", ".join(TEXTS) + "}"
    signed_in().post("/silences/new", {"matchers": line, "duration": "3600", "comment": "why"})
    assert [row.match for row in Silence.objects.all()] == [KEPT] * 2
    at = now() + timedelta(seconds=1)
    assert silenced_by(FITS, silences(at), at)
    assert not silenced_by(FITS | {"instance": "db-1"}, silences(at), at)
    assert "team!=test" in page(signed_in(), "/silences/")


def test_what_a_file_says_is_exported_and_applied_without_a_change() -> None:
    apply_text(FILE, "shop.yaml", COMMAND_LINE, now())
    document = export(now(), managed_by="shop.yaml")
    (route,) = document.document["routes"]
    assert (route["match"], route["matchers"]) == (MATCH, TEXTS)
    assert plan_text(document.text(), "shop.yaml", COMMAND_LINE, now()).changes_nothing
    assert plan_text(FILE, "shop.yaml", COMMAND_LINE, now()).changes_nothing


def test_a_mistake_has_its_place_in_a_file_the_api_and_the_form() -> None:
    text = 'routes:\n  - match: {a: b}\n    matchers:\n      - team!=x\n      - instance=~"["\n    notify: [ops]\n'
    (problem,) = apply_text(text, "shop.yaml", COMMAND_LINE, now()).problems
    says = "the regular expression of instance cannot be used: '[' is no pattern: missing ]: ["
    assert problem.shown("f") == f"f:5:9: routes[0].matchers[1]: {says}"
    bodies: dict[str, dict[str, Any]] = {
        "/routes": {"notify": ["ops"]},
        "/silences": {"duration": "1h", "comment": "x"},
        "/maintenance": {"name": "x", "cron": "0 3 * * *", "duration": "1h"},
    }
    for address, body in bodies.items():
        refused = caller().post(address, body | {"matchers": ["team!=x", 'instance=~"["']}, 422)
        assert refused["errors"] == [{"pointer": "/matchers/1", "detail": says}]
    html = signed_in().post("/silences/new", {"matchers": 'instance=~"["', "duration": "3600", "comment": "x"})
    assert html.status_code == 422
    assert "The regular expression of instance cannot be used" in html.content.decode()


@pytest.mark.parametrize(
    "body", [{}, {"match": {}}, {"match": {"a": ""}}, {"matchers": ["a!=b"]}, {"matchers": ['a=~".*"']}]
)
def test_a_silence_needs_a_label_that_an_alert_must_have(body: dict[str, Any]) -> None:
    refused = caller().post("/silences", body | {"duration": "1h", "comment": "x"}, 422)
    assert "would hide everything" in refused["detail"]


def test_rows_of_before_mean_what_they_meant() -> None:
    at = now()
    rows = [{"application": "shop"}, {"team": ""}, {"application": "shop", "team": ""}]
    for match in rows:
        Silence.objects.create(
            match=match, starts_at=at, ends_at=at + timedelta(hours=1), comment="", created_by="", created_at=at
        )
        Maintenance.objects.create(name="x", match=match, cron="* * * * *", duration_s=60, created_at=at)
    Route.objects.create(name="x", match={"severity": ["critical", "major"], "team": "a"}, created_at=at)
    migration = importlib.import_module("mainstay.respond.alerts.migrations.0005_empty_values")
    migration.keep_to_nothing(apps, SimpleNamespace(connection=connection))
    migration.keep_to_nothing(apps, SimpleNamespace(connection=connection))  # again changes nothing
    assert Silence.objects.filter(match={"application": "shop"}).count() == 1
    for labels in ({"application": "shop"}, {"application": "shop", "team": "a"}, {}):
        covered = [silence.id for silence in silences(at) if silence.match.matches(labels)]
        assert len(covered) == ("application" in labels)
        assert len([window for window in windows() if window.covers(None, labels)]) == ("application" in labels)
    (route,) = routes()
    assert route.match.mismatch({"severity": "major", "team": "a"}) == ""
    assert route.match.mismatch({"severity": "minor", "team": "a"}) == "severity is minor, not critical or major"
