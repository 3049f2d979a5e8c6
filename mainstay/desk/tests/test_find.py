"""Ctrl K: anything by name, and only what the person may see."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mainstay.desk.find import ACTIONS
from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import SECRET, Desk
from mainstay.foundation.accounts.permissions import Role
from mainstay.kit.nav import PLACES
from mainstay.observe.checks.tests.parts import check

pytestmark = pytest.mark.django_db


def found(role: Role, query: str) -> str:
    return page(signed_in(role), "/find", 200, q=query)


@pytest.mark.parametrize(
    ("query", "href"),
    [
        ("sho", "/applications/shop/"),
        ("storef", "/checks/{check}/"),
        ("shop/storef", "/checks/{check}/"),
        ("127.0.0.1 store", "/checks/{check}/"),
        ("payments", "/checks/{check}/"),  # a label
        ("is down", "/alerts/{alert}/"),
        ("#{alert}", "/alerts/{alert}/"),
        ("ops", "/channels/ops/"),
        ("lee", "/people/{user}/"),
        ("journ", "/journal/"),
        ("audit", "/journal/"),
        ("announce", "/maintenance/new/"),
        ("DOWN", "/checks/?status=down"),
        ("add rule", "/rules/new"),
        ("new silence", "/silences/new"),
        ("add route", "/routes/new"),
        ("add user", "/people/invite"),
        ("new team", "/teams/new"),
        ("new token", "/tokens/new"),
    ],
)
def test_anything_is_found(shared_desk: Desk, query: str, href: str) -> None:
    places = {"check": shared_desk.check.pk, "alert": shared_desk.alert.pk, "user": shared_desk.user.pk}
    assert f'href="{href.format(**places)}"' in found(Role.ADMIN, query.format(**places))


def test_a_stakeholder_finds_applications_only(shared_desk: Desk) -> None:
    text = found(Role.STAKEHOLDER, "sto")
    assert "/checks/" not in text
    assert 'href="/applications/shop/"' in found(Role.STAKEHOLDER, "shop")
    assert "/people/" not in found(Role.STAKEHOLDER, "lee")
    assert "/channels/" not in found(Role.STAKEHOLDER, "ops")


def test_no_query_offers_the_places(shared_desk: Desk) -> None:
    assert 'href="/alerts/"' in found(Role.SUPPORT, "")
    assert 'href="/alerts/"' not in found(Role.STAKEHOLDER, "")
    assert "Add application" not in found(Role.SUPPORT, "")


def test_nothing_found_says_so_and_escapes(shared_desk: Desk) -> None:
    text = found(Role.ADMIN, "<script>")
    assert "Nothing is called “&lt;script&gt;”" in text


def test_a_secret_is_not_found(shared_desk: Desk) -> None:
    assert "Nothing is called" in found(Role.ADMIN, SECRET)


@pytest.mark.parametrize("query", ["\0", "%", "_", "'", "\\", "x" * 5_000, "9" * 40, "/" * 90, "ſ ß İ"])
def test_strange_queries_are_answered(shared_desk: Desk, query: str) -> None:
    found(Role.ADMIN, query)


def test_every_place_leads_somewhere(shared_desk: Desk) -> None:
    client = signed_in(Role.ADMIN)
    for title in (*(place.label for place in PLACES), *(action.title for action in ACTIONS)):
        assert f">{title}<" in page(client, "/find", 200, q=title), title


def test_finding_has_a_fixed_number_of_queries(shared_desk: Desk) -> None:
    client: Client = signed_in(Role.ADMIN)

    def count() -> int:
        client.get("/find?q=check")
        with CaptureQueriesContext(connection) as queries:
            client.get("/find?q=check")
        return len(queries)

    check("check-0")
    few = count()
    for i in range(1, 40):
        check(f"check-{i}")
    assert count() == few
