"""Every page of Now, applications, checks and maintenance with every role, signed out, and without the form's token."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from mainstay.foundation.accounts.permissions import PERMISSIONS, Permission, Role
from mainstay.foundation.journal.models import Entry
from mainstay.web.tests.browser import signed_in
from mainstay.web.tests.desk import desk

P = Permission
PAGES: dict[str, Permission] = {
    "/": P.STATUS_VIEW,
    "/find": P.STATUS_VIEW,
    "/applications/": P.STATUS_VIEW,
    "/applications/{application}/": P.STATUS_VIEW,
    "/add/application/": P.CATALOG_EDIT,
    "/applications/{application}/edit/": P.CATALOG_EDIT,
    "/checks/": P.OPERATIONS_VIEW,
    "/checks/{check_id}/": P.OPERATIONS_VIEW,
    "/checks/new/": P.CHECKS_EDIT,
    "/checks/{check_id}/edit/": P.CHECKS_EDIT,
    "/maintenance/": P.OPERATIONS_VIEW,
    "/maintenance/new/": P.MAINTENANCE_EDIT,
    "/maintenance/{maintenance_id}/edit/": P.MAINTENANCE_EDIT,
}
DEEDS: dict[str, Permission] = {
    "/add/application/": P.CATALOG_EDIT,
    "/applications/{application}/edit/": P.CATALOG_EDIT,
    "/applications/{application}/delete/": P.CATALOG_EDIT,
    "/checks/new/": P.CHECKS_EDIT,
    "/checks/try/": P.CHECKS_EDIT,
    "/checks/{check_id}/edit/": P.CHECKS_EDIT,
    "/checks/{check_id}/delete/": P.CHECKS_EDIT,
    "/checks/{check_id}/probe/": P.MAINTENANCE_EDIT,
    "/checks/{check_id}/pause/": P.MAINTENANCE_EDIT,
    "/maintenance/new/": P.MAINTENANCE_EDIT,
    "/maintenance/{maintenance_id}/edit/": P.MAINTENANCE_EDIT,
    "/maintenance/{maintenance_id}/cancel/": P.MAINTENANCE_EDIT,
}


@pytest.fixture
def places(db: None) -> dict[str, Any]:
    return desk().places


def _patterns(patterns: Any, prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        yield "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", prefix + str(pattern.pattern)).replace("{name}", "{application}")


def test_every_page_of_these_wings_is_in_the_tables() -> None:
    from mainstay.foundation.catalog import urls as catalog
    from mainstay.observe.checks import urls as checks

    ours = {"/", "/find", "/applications/", "/applications/{application}/"}
    found = {address for wing in (catalog, checks) for address in _patterns(wing.urlpatterns)}
    assert found | ours == {*PAGES, *DEEDS}


@pytest.mark.parametrize("role", Role)
def test_a_page_is_shown_to_whom_the_permission_table_says(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    found = {address: client.get(address.format(**places)).status_code for address in PAGES}
    assert found == {address: 200 if role in PERMISSIONS[needed] else 403 for address, needed in PAGES.items()}


@pytest.mark.parametrize("role", Role)
def test_a_deed_is_refused_to_whom_the_permission_table_says(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    refused = {address: needed for address, needed in DEEDS.items() if role not in PERMISSIONS[needed]}
    before = Entry.objects.count()
    assert {client.post(address.format(**places)).status_code for address in refused} <= {403}
    assert Entry.objects.count() == before


def test_signed_out_every_page_and_deed_leads_to_signing_in(places: dict[str, Any]) -> None:
    client = Client()
    for address in PAGES:
        answer = client.get(address.format(**places))
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/account/login/"), address
    for address in DEEDS:
        assert client.post(address.format(**places)).status_code == 302, address


def test_a_form_without_its_token_does_nothing(places: dict[str, Any]) -> None:
    client = signed_in()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    before = Entry.objects.count()
    for address in DEEDS:
        assert strict.post(address.format(**places)).status_code == 403, address
    assert Entry.objects.count() == before


def test_what_only_posts_does_not_answer_to_a_link(places: dict[str, Any]) -> None:
    client = signed_in()
    for address in set(DEEDS) - set(PAGES):
        assert client.get(address.format(**places)).status_code == 405, address


@pytest.mark.parametrize("number", ["0", "999999", str(2**63), "9" * 40])
@pytest.mark.parametrize(
    "address", ["/checks/{n}/", "/checks/{n}/edit/", "/maintenance/{n}/edit/", "/applications/nobody{n}/"]
)
def test_what_is_not_there_is_not_found(db: None, address: str, number: str) -> None:
    assert signed_in().get(address.format(n=number)).status_code == 404
