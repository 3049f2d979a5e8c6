"""Lists: pages that are complete and stable, filters, and a number of queries that does not grow with the rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from mainstay.desk.api import api
from mainstay.desk.tests.desk import Caller, Desk, caller
from mainstay.desk.tests.test_api_permissions import address_of
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.catalog import facts
from mainstay.foundation.catalog.actions import subject
from mainstay.foundation.catalog.models import Application, Component, Environment
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import Fact, write_all
from mainstay.observe.checks.models import Check, CheckState, Ping, Result
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.models import Delivery

pytestmark = pytest.mark.django_db
LISTS = sorted(
    (route, operation.view_func.__name__)
    for route, method, operation in api.operations()
    if method == "GET" and operation.view_func.__name__.startswith("list_")
)


def many(found: Desk, at: datetime, count: int) -> None:
    """Add `count` of everything that lists show."""
    made_applications = Application.objects.bulk_create(
        Application(name=f"app{i}", owner=found.team, created_at=at) for i in range(count)
    )
    Environment.objects.bulk_create(Environment(application=each, name="production") for each in made_applications)
    Component.objects.bulk_create(
        Component(application=each, name=name) for each in made_applications for name in ("web", "db")
    )
    write_all(
        Fact(facts.APPLICATION_CREATED, subject(each), COMMAND_LINE, at, {"tier": each.tier})
        for each in made_applications
    )
    made = Check.objects.bulk_create(
        Check(application=found.application, name=f"c{i}", kind="http", target="x", created_at=at) for i in range(count)
    )
    CheckState.objects.bulk_create(
        CheckState(check_ref=check, health="down", blocked_by=found.check, last_at=at) for check in made
    )
    Result.objects.bulk_create(
        Result(check_ref=found.check, at=at - timedelta(seconds=i // 2), health="up", duration_s=0.1)
        for i in range(count)
    )
    Ping.objects.bulk_create(Ping(check_ref=found.check, at=at, kind="success") for _ in range(count))
    Alert.objects.bulk_create(
        Alert(
            source=f"check:{check.pk}", check_ref=check, application=found.application, name="x", severity="major",
            labels={}, started_at=at,
        )
        for check in made
    )  # fmt: skip
    Delivery.objects.bulk_create(
        Delivery(
            channel=found.channel, channel_name="ops", event="trigger", thread=str(number), key=f"k{number}",
            message="{}", subject="alert:1", subject_name="x", created_at=at, due_at=at,
        )
        for number in range(count)
    )  # fmt: skip


def pages(call: Caller, address: str, limit: int) -> Iterator[list[Any]]:
    cursor = ""
    joint = "&" if "?" in address else "?"
    for _ in range(1_000):
        page = call.get(f"{address}{joint}limit={limit}&cursor={cursor}")
        yield page["items"]
        if page["next"] is None:
            return
        cursor = page["next"]
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(("route", "name"), LISTS, ids=[name for _, name in LISTS])
def test_a_list_asks_as_many_queries_for_thirty_rows_as_for_three(shared_desk: Desk, route: str, name: str) -> None:
    found, call, at = shared_desk, caller(), now()
    address = address_of(route, found.places)
    many(found, at, 3)
    call.get(address)  # notes the token's use, once
    with CaptureQueriesContext(connection) as few:
        call.get(address)
    Application.objects.filter(name__startswith="app").delete()
    Check.objects.filter(name__startswith="c").delete()
    Delivery.objects.filter(channel_name="ops").delete()
    many(found, at, 30)
    with CaptureQueriesContext(connection) as more:
        call.get(address)
    assert len(more) <= len(few), [query["sql"] for query in more.captured_queries]
    assert not [query["sql"] for query in more.captured_queries if "COUNT(" in query["sql"]]


@pytest.mark.parametrize(
    ("address", "queries"),
    [
        ("/checks", 3),
        ("/checks?status=unreachable", 3),
        ("/checks?application=shop&kind=http&severity=major&label=team&q=c1", 3),
        ("/alerts?state=open&application=shop", 3),
        ("/deliveries?channel=ops", 3),
        ("/journal?kind=check&application=shop", 3),
        ("/applications", 4),
        ("/status", 4),
    ],
)
def test_the_number_of_queries_is_pinned(
    shared_desk: Desk, address: str, queries: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    found, call = shared_desk, caller()
    many(found, now(), 30)
    call.get("/me")
    with django_assert_num_queries(queries):
        call.get(address)


@pytest.mark.parametrize("limit", [1, 7, 1_000])
@pytest.mark.parametrize(
    "address", ["/checks", "/alerts", "/deliveries", "/journal", "/applications", "/checks?status=down"]
)
def test_the_pages_of_a_list_hold_every_row_once(shared_desk: Desk, address: str, limit: int) -> None:
    found, call = shared_desk, caller()
    many(found, now(), 20)
    whole = [row["id"] for row in call.get(f"{address}{'&' if '?' in address else '?'}limit=1000")["items"]]
    assert len(set(whole)) == len(whole) > 0
    assert [row["id"] for page in pages(call, address, limit) for row in page] == whole


def test_a_row_that_comes_or_goes_between_pages_moves_no_other(shared_desk: Desk) -> None:
    found, call = shared_desk, caller()
    many(found, now(), 6)
    first = call.get("/alerts?limit=3")
    seen = [row["id"] for row in first["items"]]
    Alert.objects.filter(pk=seen[-1]).delete()
    fresh = Alert.objects.create(source="check:0", name="new", severity="minor", started_at=now())
    rest = [row["id"] for row in call.get(f"/alerts?limit=100&cursor={first['next']}")["items"]]
    assert fresh.pk not in rest
    assert not set(seen) & set(rest)
    assert len(seen) + len(rest) == 7


def test_results_of_one_instant_are_neither_lost_nor_doubled_between_pages(shared_desk: Desk) -> None:
    found, call = shared_desk, caller()
    many(found, now(), 20)
    address = f"/checks/{found.check.pk}/results"
    rows = [row for page in pages(call, address, 3) for row in page]
    assert len({row["id"] for row in rows}) == len(rows) == 21
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    first, last = rows[5]["at"], rows[0]["at"]
    between = call.get(f"{address}?from={first}&to={last}")["items"]
    assert {row["id"] for row in between} == {row["id"] for row in rows if first <= row["at"] < last}


def test_checks_are_found_by_what_they_are_and_how_they_stand(shared_desk: Desk) -> None:
    found, call = shared_desk, caller()
    many(found, now(), 3)
    Check.objects.filter(name="c0").update(paused=True, labels={"team": "web", "zone": "a=b"}, severity="minor")

    def names(query: str) -> list[str]:
        return [row["name"] for row in call.get(f"/checks?{query}")["items"]]

    assert names("status=paused") == ["c0"]
    assert names("status=unreachable") == ["c1", "c2"]
    assert names("status=down") == ["storefront"]
    assert names("status=unknown") == ["nightly"]
    assert names("status=up") == []
    assert names("kind=heartbeat") == ["nightly"]
    assert names("severity=minor") == ["c0"]
    assert names("label=team") == ["storefront", "c0"]
    assert names("label=team%3Dweb") == ["c0"]
    assert names("label=zone%3Da%3Db") == ["c0"]
    assert names("label=none") == []
    assert names("application=none") == []
    assert names("q=STORE") == ["storefront"]


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_routes_come_in_the_order_in_which_they_are_tried(shared_desk: Desk, limit: int) -> None:
    call = caller()
    for name, position in (("last", 9), ("first", 1), ("also-first", 1), ("second", 2)):
        call.post("/routes", {"name": name, "notify": ["ops"], "position": position}, 201)
    found = [row["name"] for page in pages(call, "/routes", limit) for row in page]
    assert found == ["severity-critical", "first", "also-first", "second", "last"]


def test_alerts_are_found_by_state_severity_and_application(shared_desk: Desk) -> None:
    found, call, at = shared_desk, caller(), now()
    many(found, at, 3)
    first, second = Alert.objects.exclude(pk=found.alert.pk).order_by("pk")[:2]
    Alert.objects.filter(pk=first.pk).update(ended_at=at)
    Alert.objects.filter(pk=second.pk).update(acknowledged_at=at, acknowledged_by="Lee")

    def count(query: str) -> int:
        return len(call.get(f"/alerts?{query}")["items"])

    assert [count(f"state={state}") for state in ("open", "firing", "acknowledged", "resolved")] == [3, 2, 1, 1]
    assert count("severity=critical") == 1
    assert count("application=shop") == 4
    assert count("application=none") == 0


def test_an_entry_of_the_journal_is_there_before_it_is_sealed(shared_desk: Desk) -> None:
    call = caller()
    assert {row["sealed"] for row in call.get("/journal")["items"]} == {False}
    assert Entry.objects.exists()
