"""Every page with every role, signed out, and without the form's token; and no way is shown that is closed.

One table, held against the URL patterns: a new page without an entry fails.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import Resolver404, get_resolver, resolve, reverse

from mainstay.desk.find import ACTIONS
from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import desk
from mainstay.foundation.accounts.access import permission_of
from mainstay.foundation.accounts.permissions import (
    ALERTS_RESPOND,
    OPERATIONS_VIEW,
    PEOPLE_EDIT,
    PEOPLE_VIEW,
    SELF_EDIT,
    SETTINGS_VIEW,
    STATUS_VIEW,
    Permission,
    Role,
)
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.kit.nav import PLACES
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.respond.alerts.actions import Firing, fire
from mainstay.respond.delivery.wing import DELIVERY_EDIT


class Needs(NamedTuple):
    """What looking at an address needs, and what doing something there; None: it cannot be done."""

    look: Permission | None
    act: Permission | None = None


def both(permission: Permission) -> Needs:
    return Needs(permission, permission)


def act(permission: Permission) -> Needs:
    return Needs(None, permission)


TABLE: dict[str, Needs] = {
    "/": Needs(STATUS_VIEW),
    "/find": Needs(STATUS_VIEW),
    "/applications/": Needs(STATUS_VIEW),
    "/applications/{application}/": Needs(STATUS_VIEW),
    "/applications/{application}/days/": Needs(STATUS_VIEW),
    "/add/application/": both(CATALOG_EDIT),
    "/applications/{application}/edit/": both(CATALOG_EDIT),
    "/applications/{application}/delete/": act(CATALOG_EDIT),
    "/checks/": Needs(OPERATIONS_VIEW),
    "/checks/{check_id}/": Needs(OPERATIONS_VIEW),
    "/checks/new/": both(CHECKS_EDIT),
    "/checks/try/": act(CHECKS_EDIT),
    "/checks/{check_id}/edit/": both(CHECKS_EDIT),
    "/checks/{check_id}/delete/": act(CHECKS_EDIT),
    "/checks/{check_id}/probe/": act(MAINTENANCE_EDIT),
    "/checks/{check_id}/pause/": act(MAINTENANCE_EDIT),
    "/metrics/explore": Needs(OPERATIONS_VIEW),
    "/metrics/complete": Needs(OPERATIONS_VIEW),
    "/applications/{application}/signals": Needs(OPERATIONS_VIEW),
    "/targets/": Needs(OPERATIONS_VIEW),
    "/targets/{identity}/": Needs(OPERATIONS_VIEW),
    "/add/scrape/": both(CHECKS_EDIT),
    "/scrapes/{scrape}/": Needs(OPERATIONS_VIEW),
    "/scrapes/{scrape}/edit/": both(CHECKS_EDIT),
    "/scrapes/{scrape}/pause/": act(MAINTENANCE_EDIT),
    "/scrapes/{scrape}/delete/": act(CHECKS_EDIT),
    "/maintenance/": Needs(OPERATIONS_VIEW),
    "/maintenance/new/": both(MAINTENANCE_EDIT),
    "/maintenance/{maintenance_id}/edit/": both(MAINTENANCE_EDIT),
    "/maintenance/{maintenance_id}/cancel/": act(MAINTENANCE_EDIT),
    "/alerts/": Needs(OPERATIONS_VIEW),
    "/alerts/{alert_id}/": Needs(OPERATIONS_VIEW),
    "/alerts/{alert_id}/acknowledge": act(ALERTS_RESPOND),
    "/alerts/{alert_id}/unacknowledge": act(ALERTS_RESPOND),
    "/rules/": Needs(OPERATIONS_VIEW),
    "/rules/sparks": Needs(OPERATIONS_VIEW),
    "/rules/new": both(CHECKS_EDIT),
    "/rules/starter": Needs(CHECKS_EDIT),
    "/rules/starter/{pack}/add": act(CHECKS_EDIT),
    "/rules/preview": act(CHECKS_EDIT),
    "/rules/alerts/{raised_id}/course": Needs(OPERATIONS_VIEW),
    "/rules/{rule_id}/": Needs(OPERATIONS_VIEW),
    "/rules/{rule_id}/course": Needs(OPERATIONS_VIEW),
    "/rules/{rule_id}/edit": both(CHECKS_EDIT),
    "/rules/{rule_id}/delete": act(CHECKS_EDIT),
    "/silences/": Needs(OPERATIONS_VIEW),
    "/silences/new": both(ALERTS_RESPOND),
    "/silences/{silence_id}/end": act(ALERTS_RESPOND),
    "/routes/who": Needs(OPERATIONS_VIEW),
    "/routes/new": both(DELIVERY_EDIT),
    "/routes/{route_id}/": both(DELIVERY_EDIT),
    "/routes/{route_id}/move": act(DELIVERY_EDIT),
    "/routes/{route_id}/delete": both(DELIVERY_EDIT),
    "/channels/": Needs(OPERATIONS_VIEW),
    "/new-channel/{kind}": both(DELIVERY_EDIT),
    "/channels/{channel}/": both(DELIVERY_EDIT),
    "/channels/{channel}/test": act(DELIVERY_EDIT),
    "/channels/{channel}/pause": act(DELIVERY_EDIT),
    "/channels/{channel}/delete": both(DELIVERY_EDIT),
    "/deliveries/": Needs(OPERATIONS_VIEW),
    "/deliveries/{delivery_id}/": Needs(OPERATIONS_VIEW),
    "/deliveries/{delivery_id}/test": Needs(OPERATIONS_VIEW),
    "/deliveries/{delivery_id}/retry": act(ALERTS_RESPOND),
    "/journal/": Needs(OPERATIONS_VIEW),
    "/journal/{entry_id}/": Needs(OPERATIONS_VIEW),
    "/journal/verify/": act(OPERATIONS_VIEW),
    "/people/": Needs(PEOPLE_VIEW),
    "/people/permissions/": Needs(PEOPLE_VIEW),
    "/people/invite": both(PEOPLE_EDIT),
    "/people/{user_id}/": Needs(PEOPLE_VIEW, PEOPLE_EDIT),
    "/people/{user_id}/link": act(PEOPLE_EDIT),
    "/people/{user_id}/sign-out": act(PEOPLE_EDIT),
    "/people/{user_id}/second-factor": act(PEOPLE_EDIT),
    "/people/{user_id}/deactivate": act(PEOPLE_EDIT),
    "/people/{user_id}/reactivate": act(PEOPLE_EDIT),
    "/teams/": Needs(PEOPLE_VIEW),
    "/teams/new": both(PEOPLE_EDIT),
    "/teams/{team_id}/": both(PEOPLE_EDIT),
    "/teams/{team_id}/delete": act(PEOPLE_EDIT),
    "/tokens/": Needs(PEOPLE_VIEW),
    "/tokens/new": both(PEOPLE_EDIT),
    "/tokens/{token_id}/revoke": act(PEOPLE_EDIT),
    "/me/": both(SELF_EDIT),
    "/me/sessions/revoke": act(SELF_EDIT),
    "/me/sessions/{session_id}/revoke": act(SELF_EDIT),
    "/sign-in/password": both(SELF_EDIT),
    "/settings/": Needs(SETTINGS_VIEW),
}
LOOKED_AT = {address: needs.look for address, needs in TABLE.items() if needs.look is not None}
DONE = {address: needs.act for address, needs in TABLE.items() if needs.act is not None}
# Marked public. Each guards itself, and has tests of its own.
PUBLIC = {"/healthz", "/metrics", "/sign-in/{token}", "/prometheus/api/v1/{path}", "/^api(?:/|$)"}
# The API (test_api_permissions.py) and the pages of the sign-in library (accounts/tests/test_sign_in.py).
APART = ("/api/v1/", "/account/")
LEADS_ON = {"/sign-in/password"}  # to where a password is changed, unless one came by a link
FILES = {"/applications/{application}/days/"}  # CSV: nothing in it leads anywhere


def addresses(patterns: Any, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    """Every address as the table writes it, with its view."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern.url_patterns, route)
        elif not route.startswith(APART):
            yield as_in_table(route), pattern.callback


def as_in_table(route: str) -> str:
    """`applications/<slug:name>/` → `/applications/{application}/`."""
    resource = route.strip("/").split("/")[0].removesuffix("s")
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda hit: f"{{{resource if hit[1] == 'name' else hit[1]}}}", route)


@pytest.fixture
def places(db: None) -> dict[str, Any]:
    here = desk()
    test = here.delivery
    test.pk, test.event, test.key = None, "test", "a test"
    test.save(force_insert=True)
    rule = here.rules.rules.get(alerts=True)
    labels = {"alertname": "ErrorRate"}
    firing = Firing(
        source=f"rule:{rule.pk}:0a1b", name="The shop fails", severity="critical", summary="", labels=labels
    )
    return {
        **here.places,
        "rule_id": rule.pk,
        "pack": "hosts",
        "raised_id": fire(firing, now()).pk,
        "delivery_id": test.pk,
        "entry_id": Entry.objects.values_list("pk", flat=True).first(),
        "kind": "slack",
        "session_id": 1,
    }


def holders(permission: Permission) -> frozenset[Role]:
    return permission.roles


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_page_is_in_the_table_or_public() -> None:
    found = dict(addresses(get_resolver().url_patterns))
    assert {address for address, view in found.items() if getattr(view, "public", False)} == PUBLIC
    assert set(found) - PUBLIC == set(TABLE)


def test_every_page_declares_a_permission_of_the_table() -> None:
    found = dict(addresses(get_resolver().url_patterns))
    wrong = {address: permission_of(found[address]) for address in TABLE}
    assert {address: one for address, one in wrong.items() if one not in TABLE[address] or one is None} == {}


@pytest.mark.parametrize("role", Role)
def test_a_page_is_shown_to_whom_the_permission_table_says(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    found = {address: client.get(address.format(**places)).status_code for address in LOOKED_AT}
    shown = {address: 302 if address in LEADS_ON else 200 for address in LOOKED_AT}
    assert found == {
        address: shown[address] if role in holders(needed) else 403 for address, needed in LOOKED_AT.items()
    }


@pytest.mark.parametrize("role", Role)
def test_a_deed_is_refused_to_whom_the_permission_table_says(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    refused = [address for address, needed in DONE.items() if role not in holders(needed)]
    before = Entry.objects.count()
    assert {client.post(address.format(**places)).status_code for address in refused} <= {403}
    assert Entry.objects.count() == before


def test_signed_out_every_page_and_deed_leads_to_signing_in(places: dict[str, Any]) -> None:
    client = Client()
    for address in LOOKED_AT:
        answer = client.get(address.format(**places))
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/account/login/"), address
    for address in DONE:
        assert client.post(address.format(**places)).status_code == 302, address


def test_a_form_without_its_token_does_nothing(places: dict[str, Any]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = signed_in().cookies
    before = Entry.objects.count()
    for address in DONE:
        assert strict.post(address.format(**places)).status_code == 403, address
    assert Entry.objects.count() == before


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        ("application/x-www-form-urlencoded; charset=idna", "login=a"),
        ("application/x-www-form-urlencoded; charset=ISO-8859-1", "login=a"),
        ("application/x-www-form-urlencoded", "&a=1" * 3_000),
        ("multipart/form-data", "login=a"),
        ("multipart/form-data; boundary=\xff", "login=a"),
        (f"multipart/form-data; boundary={'b' * 300}", "login=a"),
    ],
)
@pytest.mark.parametrize("address", ["/account/login/", "/", "/nowhere"])
def test_a_form_that_cannot_be_read_is_refused_and_is_no_defect(
    address: str, content_type: str, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.get("/account/login/")
    assert browser.cookies, "a form is only read where there is a token to compare"
    answer = browser.post(address, sent, content_type=content_type)
    assert answer.status_code in {400, 403, 404}
    assert not [record for record in caplog.records if record.levelname == "ERROR" and record.name == "django.request"]


def test_what_only_posts_does_not_answer_to_a_link_and_what_only_shows_not_to_a_form(places: dict[str, Any]) -> None:
    client = signed_in()
    for address, needs in TABLE.items():
        if needs.look is None:
            assert client.get(address.format(**places)).status_code == 405, address
        if needs.act is None:
            assert client.post(address.format(**places)).status_code == 405, address


NUMBERED = sorted(address for address in LOOKED_AT if re.search(r"\{\w+_id\}|\{application\}|\{channel\}", address))


@pytest.mark.parametrize("address", NUMBERED)
@pytest.mark.parametrize("number", ["0", "999999", str(2**63), "9" * 40])
def test_what_is_not_there_is_not_found(db: None, address: str, number: str) -> None:
    assert signed_in().get(re.sub(r"\{\w+\}", number, address)).status_code == 404


# --- what is shown is open ------------------------------------------------------------------------------------------


def navigation(html: str) -> dict[str, str]:
    """The places in the sidebar: name of the key → address."""
    side = html.partition('<nav class="side"')[2].partition("</nav>")[0]
    return {key: href for href, key in re.findall(r'<a class="place" href="([^"]+)" data-go="(\w)"', side)}


@pytest.mark.parametrize("role", Role)
def test_the_navigation_shows_a_role_every_place_that_it_may_open_and_no_other(
    places: dict[str, Any], role: Role
) -> None:
    client = signed_in(role)
    every = {place.key: reverse(place.url) for place in PLACES if place.icon}
    opens = {key: href for key, href in every.items() if client.get(href).status_code == 200}
    html = page(client, "/")
    assert navigation(html) == opens
    assert set(re.findall(r'data-go="(\w)"', html)) == set(opens), "the bars of a phone show others"
    keys = html.partition('<dl class="shortcuts">')[2].partition("</dl>")[0]
    below = {place.key for place in PLACES if place.group == "below"}
    assert set(re.findall(r"<kbd>g</kbd> <kbd>(\w)</kbd>", keys)) == set(opens) - below


@pytest.mark.long
@pytest.mark.parametrize("role", Role)
def test_find_offers_a_role_every_page_that_it_may_open_and_no_other(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    offered = set(re.findall(r'href="([^"?]+)', page(client, "/find")))
    wanted = {reverse(url) for url in (*(place.url for place in PLACES), *(action.url for action in ACTIONS))}
    assert offered == {href for href in wanted if client.get(href).status_code != 403}


def refused_ways(html: str, role: Role) -> set[str]:
    """The links and forms of a page that `role` would be refused, by the table."""
    ways = [("look", href) for href in re.findall(r'<a\b[^>]*\bhref="(/[^"#?]*)', html)]
    ways += [("act", action) for action in re.findall(r'<form method="post" action="(/[^"#?]*)', html)]
    wrong = set()
    for kind, href in ways:
        try:
            address = as_in_table(f"/{resolve(href).route}")
        except Resolver404:
            wrong.add(f"{href} leads nowhere")
            continue
        needs = TABLE.get(address)
        permission = getattr(needs, kind) if needs is not None else None
        if permission is not None and role not in holders(permission):
            wrong.add(f"{kind} {address}")
    return wrong


@pytest.mark.long
@pytest.mark.parametrize("role", Role)
def test_no_page_shows_a_role_a_link_or_a_button_that_would_be_refused(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    found = {}
    for address, needed in LOOKED_AT.items():
        if role in holders(needed) and address not in LEADS_ON | FILES:
            wrong = refused_ways(page(client, address.format(**places)), role)
            if wrong:
                found[address] = wrong
    assert found == {}
