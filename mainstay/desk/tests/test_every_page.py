"""Every page with every role, signed out, and without the form's token; and no way is shown that is closed.

The table is made from the addresses of all wings and the permission that each page declares: a new page is in it.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import Resolver404, get_resolver, resolve, reverse

from mainstay.desk.find import ACTIONS
from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import Desk, of_wings
from mainstay.foundation.accounts.access import permission_of
from mainstay.foundation.accounts.permissions import (
    OPERATIONS_VIEW,
    PEOPLE_EDIT,
    PEOPLE_VIEW,
    PERMISSIONS,
    SETTINGS_VIEW,
    STATUS_VIEW,
    Permission,
    Role,
)
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.kit.nav import PLACES


class Needs(NamedTuple):
    """What looking at an address needs, and what doing something there; None: it cannot be done."""

    look: Permission | None
    act: Permission | None = None


# What takes another permission to be done than to be looked at.
ACTS = {"/people/{user_id}/": PEOPLE_EDIT}
# Marked public. Each guards itself, and has tests of its own.
PUBLIC = {
    "/healthz", "/metrics", "/sign-in/{token}", "/prometheus/api/v1/{path}", "/prometheus/-/healthy",
    "/prometheus/-/ready", "/^api(?:/|$)",
}  # fmt: skip
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


def methods_of(view: Callable[..., Any]) -> Collection[str]:
    """The methods that a page says it answers to; one that says nothing, to all."""
    return getattr(view, "methods", None) or {"GET", "POST"}


def needs_of(address: str, view: Callable[..., Any]) -> Needs:
    methods, needed = methods_of(view), permission_of(view)
    return Needs(needed if "GET" in methods else None, ACTS.get(address, needed) if "POST" in methods else None)


VIEWS = dict(addresses(get_resolver().url_patterns))
TABLE = {address: needs_of(address, view) for address, view in sorted(VIEWS.items()) if permission_of(view) is not None}
LOOKED_AT = {address: needs.look for address, needs in TABLE.items() if needs.look is not None}
DONE = {address: needs.act for address, needs in TABLE.items() if needs.act is not None}


@pytest.fixture
def places(shared_desk: Desk, db: None) -> dict[str, Any]:
    found = dict(shared_desk.places)
    for further in of_wings("further"):
        found |= further(found, now())
    return found


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_page_declares_a_permission_of_a_wing_or_is_known_to_be_public() -> None:
    assert {address for address, view in VIEWS.items() if getattr(view, "public", False)} == PUBLIC
    assert set(VIEWS) - PUBLIC == set(TABLE)
    assert {permission_of(VIEWS[address]) for address in TABLE} <= set(PERMISSIONS)
    assert all(needs.look or needs.act for needs in TABLE.values())
    assert set(ACTS) <= set(DONE)


def test_whoever_may_only_look_can_do_nothing() -> None:
    """A page that was given the permission of its neighbour by mistake shows up here."""
    looking = {STATUS_VIEW, OPERATIONS_VIEW, PEOPLE_VIEW, SETTINGS_VIEW}
    assert {address for address, needed in DONE.items() if needed in looking} == {"/journal/verify/"}
    changing = {address for address, needed in LOOKED_AT.items() if needed not in looking}
    assert changing - set(DONE) == {"/rules/starter"}, "what only shows, yet is not open to all who look"
    stakeholder = {address for address, needed in LOOKED_AT.items() if Role.STAKEHOLDER in needed.roles}
    assert stakeholder == {
        *("/", "/find", "/applications/", "/applications/{application}/", "/applications/{application}/days/"),
        *("/me/", "/sign-in/password"),
    }


@pytest.mark.parametrize("role", Role)
def test_a_deed_is_refused_to_whom_the_permission_table_says(places: dict[str, Any], role: Role) -> None:
    client = signed_in(role)
    refused = [address for address, needed in DONE.items() if role not in needed.roles]
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


# A target's identity is known to the metrics store alone.
NUMBERED = sorted(address for address in LOOKED_AT if "{" in address and "{identity}" not in address)


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
    assert set(re.findall(r"<kbd>g</kbd> <kbd>(\w)</kbd>", keys)) == set(opens)


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
        if permission is not None and role not in permission.roles:
            wrong.add(f"{kind} {address}")
    return wrong


@pytest.mark.long
@pytest.mark.parametrize("role", Role)
def test_a_page_is_shown_to_whom_the_table_says_and_shows_no_link_or_button_that_would_be_refused(
    places: dict[str, Any], role: Role
) -> None:
    client = signed_in(role)
    answers = {address: client.get(address.format(**places)) for address in LOOKED_AT}
    shown = {address: 302 if address in LEADS_ON else 200 for address in LOOKED_AT}
    assert {address: answer.status_code for address, answer in answers.items()} == {
        address: shown[address] if role in needed.roles else 403 for address, needed in LOOKED_AT.items()
    }
    wrong = {
        address: refused_ways(answer.content.decode(), role)
        for address, answer in answers.items()
        if role in LOOKED_AT[address].roles and address not in LEADS_ON | FILES
    }
    assert not any(wrong.values()), wrong
