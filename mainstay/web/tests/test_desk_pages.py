"""Every page of the desk with every role, signed out, and without the form's token."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from mainstay.foundation.accounts.permissions import PERMISSIONS, Permission, Role
from mainstay.foundation.journal.models import Entry
from mainstay.web.tests.browser import signed_in
from mainstay.web.tests.desk import Desk, desk

P = Permission
PAGES: dict[str, Permission] = {
    "/alerts/": P.OPERATIONS_VIEW,
    "/alerts/{alert_id}/": P.OPERATIONS_VIEW,
    "/silences/": P.OPERATIONS_VIEW,
    "/silences/new": P.ALERTS_RESPOND,
    "/channels/": P.OPERATIONS_VIEW,
    "/routes/who": P.OPERATIONS_VIEW,
    "/routes/new": P.DELIVERY_EDIT,
    "/routes/{route_id}/": P.DELIVERY_EDIT,
    "/routes/{route_id}/delete": P.DELIVERY_EDIT,
    "/new-channel/slack": P.DELIVERY_EDIT,
    "/channels/{channel}/": P.DELIVERY_EDIT,
    "/channels/{channel}/delete": P.DELIVERY_EDIT,
    "/deliveries/": P.OPERATIONS_VIEW,
    "/deliveries/{delivery_id}/": P.OPERATIONS_VIEW,
    "/journal/": P.OPERATIONS_VIEW,
    "/journal/{entry_id}/": P.OPERATIONS_VIEW,
    "/people/": P.PEOPLE_VIEW,
    "/people/permissions/": P.PEOPLE_VIEW,
    "/people/invite": P.PEOPLE_EDIT,
    "/people/{user_id}/": P.PEOPLE_VIEW,
    "/teams/": P.PEOPLE_VIEW,
    "/teams/new": P.PEOPLE_EDIT,
    "/teams/{team_id}/": P.PEOPLE_EDIT,
    "/tokens/": P.PEOPLE_VIEW,
    "/tokens/new": P.PEOPLE_EDIT,
    "/me/": P.SELF_EDIT,
    "/settings/": P.SETTINGS_VIEW,
}
DEEDS: dict[str, Permission] = {
    "/alerts/{alert_id}/acknowledge": P.ALERTS_RESPOND,
    "/alerts/{alert_id}/unacknowledge": P.ALERTS_RESPOND,
    "/silences/new": P.ALERTS_RESPOND,
    "/silences/{silence_id}/end": P.ALERTS_RESPOND,
    "/deliveries/{delivery_id}/retry": P.ALERTS_RESPOND,
    "/routes/new": P.DELIVERY_EDIT,
    "/routes/{route_id}/": P.DELIVERY_EDIT,
    "/routes/{route_id}/move": P.DELIVERY_EDIT,
    "/routes/{route_id}/delete": P.DELIVERY_EDIT,
    "/new-channel/slack": P.DELIVERY_EDIT,
    "/channels/{channel}/": P.DELIVERY_EDIT,
    "/channels/{channel}/test": P.DELIVERY_EDIT,
    "/channels/{channel}/pause": P.DELIVERY_EDIT,
    "/channels/{channel}/delete": P.DELIVERY_EDIT,
    "/journal/verify/": P.OPERATIONS_VIEW,
    "/people/invite": P.PEOPLE_EDIT,
    "/people/{user_id}/": P.PEOPLE_EDIT,
    "/people/{user_id}/link": P.PEOPLE_EDIT,
    "/people/{user_id}/sign-out": P.PEOPLE_EDIT,
    "/people/{user_id}/second-factor": P.PEOPLE_EDIT,
    "/people/{user_id}/deactivate": P.PEOPLE_EDIT,
    "/people/{user_id}/reactivate": P.PEOPLE_EDIT,
    "/teams/new": P.PEOPLE_EDIT,
    "/teams/{team_id}/": P.PEOPLE_EDIT,
    "/teams/{team_id}/delete": P.PEOPLE_EDIT,
    "/tokens/new": P.PEOPLE_EDIT,
    "/tokens/{token_id}/revoke": P.PEOPLE_EDIT,
    "/me/": P.SELF_EDIT,
    "/me/sessions/revoke": P.SELF_EDIT,
}


@pytest.fixture
def places(db: None) -> dict[str, Any]:
    here: Desk = desk()
    return {**here.places, "channel": "ops", "entry_id": Entry.objects.values_list("pk", flat=True).first()}


def _patterns(patterns: Any, prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _patterns(pattern.url_patterns, route)
        else:
            yield "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route)


def test_every_page_of_these_wings_is_in_the_tables() -> None:
    from mainstay.foundation.accounts import urls as accounts
    from mainstay.foundation.journal import urls as journal
    from mainstay.respond.alerts import urls as alerts
    from mainstay.respond.delivery import urls as delivery

    known = {re.sub(r"\{channel\}", "{name}", address) for address in {*PAGES, *DEEDS}}
    elsewhere = {"/deliveries/{delivery_id}/test", "/me/sessions/{session_id}/revoke"}
    elsewhere |= {"/sign-in/password", "/sign-in/{token}"}  # test_sign_in.py
    known = known - {"/new-channel/slack", "/settings/"} | {"/new-channel/{kind}"} | elsewhere
    wings = (accounts, journal, alerts, delivery)
    assert {address for wing in wings for address in _patterns(wing.urlpatterns)} == known


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


@pytest.mark.parametrize(
    "address",
    [
        "/alerts/{n}/",
        "/journal/{n}/",
        "/people/{n}/",
        "/teams/{n}/",
        "/routes/{n}/",
        "/deliveries/{n}/",
        "/channels/nobody/",
    ],
)
@pytest.mark.parametrize("number", ["0", "999999", str(2**63), "9" * 40])
def test_what_is_not_there_is_not_found(db: None, address: str, number: str) -> None:
    assert signed_in().get(address.format(n=number)).status_code == 404
