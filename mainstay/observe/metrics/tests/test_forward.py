"""`/prometheus/api/v1/…`: who may ask, what is passed on, and what is answered when nobody answers."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.test import Client as Browser
from prometheus_client import CollectorRegistry, Gauge

from mainstay.foundation.accounts.actions import create_token, create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, Role
from mainstay.foundation.clock import now
from mainstay.observe.metrics.client import BadQuery, Client, MetricsAway, Server
from mainstay.observe.metrics.own import OWN
from mainstay.observe.metrics.pages import forward_views
from mainstay.observe.metrics.serve.answers import Prometheus
from mainstay.observe.metrics.serve.port import Port
from mainstay.observe.metrics.serve.tests.parts import NOW_MS, Asked, store  # noqa: F401  # a fixture
from mainstay.observe.metrics.store import Store
from tests.program import free_port

INNER, SCRAPER = "the-inner-token", "the-scrapers-token"


@pytest.fixture
def monitor(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: F811
    """A real port of a monitor, whose clock stands; pages ask it."""
    registry, port = CollectorRegistry(), free_port()
    Gauge("own", "A figure of its own.", registry=registry).set(7)
    may_scrape = f"Bearer {SCRAPER}".__eq__
    server = Port("127.0.0.1", port, registry, Asked(store).api.answer, INNER, may_scrape)
    url = f"http://127.0.0.1:{port}"
    inside = Client(Server(f"{url}/prometheus", {"Authorization": f"Bearer {INNER}"}))
    monkeypatch.setattr(forward_views, "client", lambda: inside)
    yield url
    server.stop()


def asked(
    path: str, role: Role | None = Role.SUPPORT, *, method: str = "GET", basic: bool = False, **given: str
) -> Any:
    headers = {}
    if role is not None:
        token = create_token("grafana", role, COMMAND_LINE, now())[1]
        pair = base64.b64encode(f"anyone:{token}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}" if basic else f"Bearer {token}"
    address = f"/prometheus/api/v1/{path}"
    if method == "POST":
        form = "application/x-www-form-urlencoded"
        return Browser().post(address, urlencode(given), content_type=form, headers=headers)
    return Browser().get(address, given, headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize("basic", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_is_answered_by_the_monitor(monitor: str, method: str, basic: bool) -> None:
    answer = asked("query", method=method, basic=basic, query='up{instance="a"}')
    assert answer.status_code == 200
    (found,) = answer.json()["data"]["result"]
    assert found["value"] == [NOW_MS / 1000, "1"]


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
def test_whoever_may_see_operations_may_ask(monitor: str, role: Role) -> None:
    expected = 200 if role in OPERATIONS_VIEW.roles else 403
    assert asked("labels", role).status_code == expected


@pytest.mark.django_db
def test_nobody_asks_without_a_token_and_a_browser_may_only_read(monitor: str) -> None:
    answer = asked("query", None, query="up")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Basic ")
    browser = Browser()
    browser.force_login(create_user("kim@example.com", Role.SUPPORT, "Kim", COMMAND_LINE, now()))
    assert browser.get("/prometheus/api/v1/query", {"query": "up"}).status_code == 200
    assert browser.post("/prometheus/api/v1/query", {"query": "up"}).status_code == 401
    for wrong in ("Basic !!!", "Basic " + base64.b64encode(b"no colon").decode(), "Bearer nothing", "Digest x"):
        assert Browser().get("/prometheus/api/v1/labels", headers={"Authorization": wrong}).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["admin/tsdb/delete_series", "write", "status/secrets", "../../api/v1/checks", "label/x/values/more"]
)
def test_only_what_reads_samples_is_passed_on(monitor: str, path: str) -> None:
    assert asked(path).status_code == 404


@pytest.mark.fault("M17")
@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "status/buildinfo", "status/config", "status/flags", "status/runtimeinfo", "status/tsdb", "status/tsdb/blocks",
        "status/walreplay", "alertmanagers", "parse_query", "format_query", "query_exemplars",
    ],
)  # fmt: skip
def test_what_prometheus_tells_of_itself_is_answered(monitor: str, path: str) -> None:
    answer = asked(path, query="up")
    assert (answer.status_code, answer.json()["status"]) == (200, "success")


@pytest.mark.fault("M17")
def test_the_document_names_every_path_that_is_answered() -> None:
    text = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text("utf-8")
    table = text.split("| below `/api/v1/` |")[1].split("\n\n")[0]
    paths = {path for row in table.splitlines()[2:] for path in re.findall(r"`([^`]+)`", row.split("|")[1])}
    mine = {path for path in paths if path in OWN}
    assert mine == set(OWN)
    assert all(forward_views.READ.fullmatch(path.replace("NAME", "job")) for path in paths - mine)
    api = Prometheus(None, lambda: NOW_MS, lambda: 0.0)  # type: ignore[arg-type]  # no store is asked
    scraper = {"targets", "targets/metadata", "scrape_pools", "label/NAME/values"}
    assert set(api._paths) == (paths - {"rules", "alerts"}) - scraper


@pytest.mark.fault("M17")
@pytest.mark.django_db
def test_the_configuration_is_our_own_whatever_server_keeps_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_views, "client", lambda: pytest.fail("the server was asked"))
    assert "mainstay export" in asked("status/config").json()["data"]["yaml"]


def live(what: str, role: Role | None = Role.SUPPORT, method: str = "GET") -> Any:
    headers = {} if role is None else {"Authorization": f"Bearer {create_token('k8s', role, COMMAND_LINE, now())[1]}"}
    return Browser().generic(method, f"/prometheus/-/{what}", headers=headers)


@pytest.mark.fault("M17")
@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("what", ["healthy", "ready"])
def test_liveness_is_told_as_by_prometheus(monitor: str, what: str, method: str) -> None:
    answer = live(what, method=method)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain")
    assert answer.content in ({f"Mainstay is {what}.\n".encode()} if method == "GET" else {b""})
    assert live(what, None).status_code == 401
    assert live(what, method="POST").status_code == 405
    assert live("reload").status_code == 404


@pytest.mark.fault("M17")
@pytest.mark.django_db
def test_it_is_healthy_but_not_ready_while_nobody_answers_for_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Client(Server(f"http://127.0.0.1:{free_port()}"))
    monkeypatch.setattr(forward_views, "client", lambda: nowhere)
    assert live("healthy").status_code == 200
    answer = live("ready")
    assert answer.status_code == 503
    assert b"does not answer" in answer.content


@pytest.mark.fault("M17")
def test_a_parameter_of_the_form_counts_before_that_of_the_address(monitor: str) -> None:
    inside = Client(Server(f"{monitor}/prometheus", {"Authorization": f"Bearer {INNER}"}))
    found = inside.forward("/api/v1/query", "query=vector(1)&limit=0", b"query=vector(2)")
    assert b'"2"' in found.body


@pytest.mark.django_db
@pytest.mark.fault("M11")
@pytest.mark.parametrize("name", ["instance", "U__instance", "U__inst_61_nce", "%69nstance"])
def test_values_of_a_label_are_asked_for_by_its_name_however_it_is_written(monitor: str, name: str) -> None:
    assert asked(f"label/{name}/values").json()["data"] == ["a", "b"]


@pytest.mark.django_db
@pytest.mark.fault("M11")
@pytest.mark.parametrize("name", ["host.name", "größe €", "50%25", "a?b", "U__a_2f_b", "%2E%2E."])
def test_a_label_that_is_nowhere_has_no_values_whatever_its_name(monitor: str, name: str) -> None:
    answer = asked(f"label/{name.replace('?', '%3F')}/values")
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.django_db
@pytest.mark.parametrize("name", [".", "..", "%2e%2e", "a/../..", ""])
def test_a_name_of_a_label_leads_nowhere_else(monitor: str, name: str) -> None:
    assert asked(f"label/{name}/values").status_code == 404


@pytest.mark.fault("M11")
def test_the_client_asks_for_labels_of_any_name(monitor: str, store: Store) -> None:  # noqa: F811
    layout = store.layout([{"__name__": "a.b", "größe/€": "5"}], "shop")
    store.stream("x", "shop").put(NOW_MS, layout, np.array([1.0]))
    client = Client(Server(f"{monitor}/prometheus", {"Authorization": f"Bearer {INNER}"}))
    assert client.label_values("größe/€") == ["5"]
    assert client.label_values("größe/€", ['{"a.b"}']) == ["5"]


@pytest.mark.django_db
def test_errors_of_the_query_are_passed_on_as_they_are(monitor: str) -> None:
    answer = asked("query", query="sum(")
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    assert asked("query", method="POST", query="x" * 1_100_000).status_code == 413


@pytest.mark.django_db
def test_a_monitor_that_is_away_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Client(Server(f"http://127.0.0.1:{free_port()}"))
    monkeypatch.setattr(forward_views, "client", lambda: nowhere)
    answer = asked("query", query="up")
    assert (answer.status_code, answer.json()["errorType"]) == (503, "unavailable")
    assert "does not answer" in answer.json()["error"]


def test_the_monitors_port_answers_its_own_processes_only_and_scrapers_with_a_token(monitor: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {INNER}x"}):
        with pytest.raises(MetricsAway, match="own processes"):
            Client(Server(f"{monitor}/prometheus", headers)).query("up")
    assert Client(Server(monitor)).forward("/metrics", "").status == 401
    figures = Client(Server(monitor, {"Authorization": f"Bearer {SCRAPER}"})).forward("/metrics", "")
    assert figures.status == 200
    assert b"own 7.0" in figures.body


def test_the_client_reads_what_the_monitor_says(monitor: str) -> None:
    client = Client(Server(f"{monitor}/prometheus", {"Authorization": f"Bearer {INNER}"}))
    assert [(one.labels["instance"], one.value) for one in client.query("up")] == [("a", 1.0), ("b", 0.0)]
    assert [one.value for one in client.query("1 + 1")] == [2.0]
    (curve,) = client.query_range('up{instance="a"}', NOW_MS / 1000 - 30, NOW_MS / 1000, 15)
    assert curve.points == [(NOW_MS / 1000 - 30, 1.0), (NOW_MS / 1000 - 15, 1.0), (NOW_MS / 1000, 1.0)]
    assert client.label_values("instance") == ["a", "b"]
    assert client.labels(["up"]) == ["__name__", "instance", "job"]
    assert len(client.series(["up"], 0, NOW_MS / 1000)) == 2
    with pytest.raises(BadQuery, match="query"):
        client.query("sum(")
    with pytest.raises(BadQuery, match="matrix"):
        client.query("up[5m]")


def test_a_user_in_the_address_becomes_a_header_and_never_a_text(tmp_path: Path) -> None:
    server = Server.at("https://kim:s%40cret@metrics.example:9090/base/", {"X-Scope-OrgID": "shop"}, 5.0)
    assert server.url == "https://metrics.example:9090/base"
    assert server.headers["Authorization"] == "Basic " + base64.b64encode(b"kim:s@cret").decode()
    assert server.headers["X-Scope-OrgID"] == "shop"
    assert "cret" not in repr(server)
