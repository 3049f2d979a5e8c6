"""Every operation × every role: the permission that an operation declares is the one that it asks for."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from ninja.operation import Operation

from mainstay.config.resources import resources
from mainstay.desk.api import api
from mainstay.desk.tests.desk import Caller, Desk, caller, first, of_wings
from mainstay.foundation.accounts.actions import create_token, create_user, deactivate, revoke_token
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Token
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.api.access import Needs
from mainstay.foundation.api.body import Document
from mainstay.foundation.clock import now

OPERATIONS = sorted(api.operations(), key=lambda one: (one[0], one[1]))
IDS = [operation.view_func.__name__ for _, _, operation in OPERATIONS]
EVERY = pytest.mark.parametrize(("route", "method", "operation"), OPERATIONS, ids=IDS)


def _bodies() -> Iterator[tuple[str, Document]]:
    """What each operation that takes something is sent: the example of its resource, unless its wing says another."""
    for route, method, operation in OPERATIONS:
        name = operation.view_func.__name__
        resource = resources().get(name.partition("_")[2])
        if resource is None or not resource.examples:
            continue
        if method == "PUT":
            yield name, resource.examples[0]
        elif method == "POST" and "/" not in route:
            within = {resource.within: first(resource.within)["name"]} if resource.within else {}
            yield name, resource.examples[0] | {"name": "other"} | within
    for wing in of_wings("BODIES"):
        yield from wing.items()


BODIES = dict(_bodies())
BEFORE: dict[str, Callable[[Mapping[str, Any]], object]] = {
    name: do for wing in of_wings("BEFORE") for name, do in wing.items()
}


def address_of(route: str, places: Mapping[str, object]) -> str:
    """The address of an operation on the desk. `{name}` is the application's or the channel's."""
    resource = route.split("/")[0].removesuffix("s")
    return "/" + re.sub(r"{(\w+)}", lambda hit: str(places[resource if hit[1] == "name" else hit[1]]), route)


def permission_of(operation: Operation) -> Needs:
    return next(guard for guard in operation.auth_callbacks if isinstance(guard, Needs))


@EVERY
def test_every_operation_declares_one_permission_and_says_what_it_does(
    route: str, method: str, operation: Operation
) -> None:
    guards = [guard for guard in operation.auth_callbacks if isinstance(guard, Needs)]
    assert len(guards) == len(operation.auth_callbacks) == 1
    assert operation.view_func.__doc__, "its first line is the summary in the OpenAPI document"


@pytest.mark.django_db
@EVERY
def test_every_operation_works_for_an_administrator(
    shared_desk: Desk, route: str, method: str, operation: Operation
) -> None:
    found, name = shared_desk, operation.view_func.__name__
    if name in BEFORE:
        BEFORE[name](found.places)
    answer = caller()(method, address_of(route, found.places), BODIES.get(name))
    assert answer.status_code in {200, 201, 204}, answer.content
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.long
@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
def test_an_operation_is_refused_to_roles_without_its_permission_and_only_to_those(
    shared_desk: Desk, role: Role
) -> None:
    found, call = shared_desk, caller(role)
    for route, method, operation in OPERATIONS:
        name, needed = operation.view_func.__name__, permission_of(operation).permission
        with transaction.atomic():  # what one operation removes is there again for the next
            answer = call(method, address_of(route, found.places), BODIES.get(name))
            transaction.set_rollback(True)
        if role in needed.roles:
            assert answer.status_code not in {401, 403}, (name, answer.content)
            assert answer.status_code < 500, (name, answer.content)
        else:
            assert answer.status_code == 403, (name, answer.status_code, answer.content)
            assert needed.name in answer.json()["detail"]


def _none(_: Desk) -> Caller:
    return Caller()


def _unknown(_: Desk) -> Caller:
    return Caller("mst_nobody-has-this")


def _expired(_: Desk) -> Caller:
    at = now() - timedelta(hours=2)
    return Caller(create_token("old", Role.ADMIN, COMMAND_LINE, at, expires_at=at + timedelta(hours=1))[1])


def _revoked(_: Desk) -> Caller:
    row, token = create_token("lost", Role.ADMIN, COMMAND_LINE, now())
    revoke_token(row, COMMAND_LINE, now())
    return Caller(token)


@pytest.mark.long
@pytest.mark.django_db
@pytest.mark.parametrize("who", [_none, _unknown, _expired, _revoked])
def test_nobody_without_a_usable_token_gets_anywhere(shared_desk: Desk, who: Callable[[Desk], Caller]) -> None:
    found = shared_desk
    call = who(found)
    for route, method, operation in OPERATIONS:
        answer = call(method, address_of(route, found.places), BODIES.get(operation.view_func.__name__))
        assert answer.status_code == 401, (operation.view_func.__name__, answer.status_code)
        assert answer["WWW-Authenticate"] == "Bearer"
        assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_a_stakeholder_in_a_browser_sees_applications_and_their_state_and_nothing_else(shared_desk: Desk) -> None:
    found = shared_desk
    browser = Client()
    browser.force_login(create_user("board@example.com", Role.STAKEHOLDER, "", COMMAND_LINE, now()))
    seen = []
    for route, method, operation in OPERATIONS:
        answer: Any = browser.generic(method, f"/api/v1{address_of(route, found.places)}")
        assert answer.status_code in {200, 403}, (route, answer.content)
        if answer.status_code == 200:
            seen.append(operation.view_func.__name__)
    expected = ["get_application", "get_status", "get_uptime", "list_applications", "list_statuses", "show_me"]
    assert sorted(seen) == expected


@pytest.mark.django_db
def test_a_browser_session_must_send_its_csrf_token_to_change_anything(shared_desk: Desk) -> None:
    found = shared_desk
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(create_user("ops@example.com", Role.DEVOPS, "", COMMAND_LINE, now()))
    assert browser.get("/api/v1/checks").status_code == 200
    address = f"/api/v1/checks/{found.check.pk}/pause"
    refused = browser.post(address)
    assert refused.status_code == 403
    assert "X-CSRFToken" in refused.json()["detail"]
    assert not type(found.check).objects.get(pk=found.check.pk).paused

    from django.conf import settings
    from django.middleware.csrf import _get_new_csrf_string

    secret = _get_new_csrf_string()
    browser.cookies[settings.CSRF_COOKIE_NAME] = secret
    assert browser.post(address, headers={"X-CSRFToken": "x" * 32}).status_code == 403
    assert browser.post(address, headers={"X-CSRFToken": secret}).status_code == 200


@pytest.mark.django_db
def test_a_foreign_site_cannot_use_a_session_even_with_a_plain_form(shared_desk: Desk) -> None:
    found = shared_desk
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(create_user("ops@example.com", Role.DEVOPS, "", COMMAND_LINE, now()))
    answer = browser.post(
        f"/api/v1/alerts/{found.alert.pk}/acknowledge", "note=hi", content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 403


@pytest.mark.django_db
def test_a_deactivated_person_is_nobody(shared_desk: Desk) -> None:
    user = create_user("gone@example.com", Role.ADMIN, "", COMMAND_LINE, now())
    browser = Client()
    browser.force_login(user)
    assert browser.get("/api/v1/me").status_code == 200
    deactivate(user, COMMAND_LINE, now())
    assert browser.get("/api/v1/me").status_code == 401


@pytest.mark.django_db
def test_a_token_counts_before_a_session(shared_desk: Desk) -> None:
    browser = Client()
    browser.force_login(create_user("boss@example.com", Role.ADMIN, "", COMMAND_LINE, now()))
    headers = {"Authorization": f"Bearer {caller(Role.STAKEHOLDER).token}"}
    assert browser.get("/api/v1/users", headers=headers).status_code == 403
    assert browser.get("/api/v1/me", headers={"Authorization": "Basic Ym9zczpib3Nz"}).status_code == 401


@pytest.mark.django_db
def test_the_use_of_a_token_is_noted_once_a_minute() -> None:
    call = caller()
    call.get("/me")
    first = Token.objects.latest("pk").last_used_at
    call.get("/me")
    assert first is not None
    assert Token.objects.latest("pk").last_used_at == first
    Token.objects.update(last_used_at=first - timedelta(minutes=2))
    call.get("/me")
    second = Token.objects.latest("pk").last_used_at
    assert second is not None
    assert second >= first
