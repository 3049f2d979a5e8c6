"""What a copy of the database is good for: no session, token, one-time link or ping key can be taken from it."""

import importlib
import uuid
from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from mainstay.desk.tests.desk import desk
from mainstay.foundation import secrets
from mainstay.foundation.accounts.actions import create_token, edit_user, make_sign_in_link
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.accounts.sessions import stored_key
from mainstay.foundation.clock import now
from mainstay.observe.checks.models import Check, key_digest
from mainstay.observe.checks.tests.parts import heartbeat

pytestmark = [pytest.mark.django_db, pytest.mark.fault("S8")]
PASSWORD = "a quiet harbour at dawn"  # of a person in this test


def copy() -> str:
    """All that the tables hold, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += [bytes(v).decode("latin-1") if isinstance(v, bytes | memoryview) else str(v)
                      for row in cursor.fetchall() for v in row]  # fmt: skip
    return "\n".join(found)


def in_copy(secret: str) -> bool:
    everything = copy()
    return secret in everything or secret.replace("-", "") in everything


@pytest.fixture
def lee() -> User:
    desk()
    return User.objects.create_user("lee@example.org", PASSWORD, role=Role.ADMIN.value)


def signed_in() -> Client:
    client = Client()
    client.post("/account/login/", {"login": "lee@example.org", "password": PASSWORD})
    assert client.get("/me/").status_code == 200
    return client


def test_no_stored_session_key_is_a_cookie(lee: User) -> None:
    cookie = signed_in().cookies[settings.SESSION_COOKIE_NAME].value
    assert not in_copy(cookie)
    stored = [*Session.objects.values_list("pk", flat=True), *UserSession.objects.values_list("session_key", flat=True)]
    assert stored_key(cookie) in stored
    for key in stored:
        thief = Client()
        thief.cookies[settings.SESSION_COOKIE_NAME] = key
        assert thief.get("/me/").status_code == 302


@pytest.mark.parametrize("how", ["a new password", "signing in again", "signing out"])
def test_no_key_is_stored_whatever_becomes_of_a_session(lee: User, how: str) -> None:
    client = signed_in()
    if how == "a new password":
        new = "seven grey gulls overhead"
        sent = {"oldpassword": PASSWORD, "password1": new, "password2": new}
        assert client.post("/account/password/change/", sent).status_code == 302
    elif how == "signing in again":
        client.post("/sign-in/" + make_sign_in_link(lee, COMMAND_LINE, now(), timedelta(1)).rpartition("/")[2])
    if how != "signing out":
        assert client.get("/me/").status_code == 200
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        assert not in_copy(cookie)
        assert list(UserSession.objects.filter(user=lee).values_list("session_key", flat=True)) == [stored_key(cookie)]
        return
    client.post("/account/logout/")
    assert client.get("/me/").status_code == 302
    signed_in()
    assert UserSession.objects.filter(user=lee).count() == 1


def test_whoever_loses_their_sessions_is_signed_out(lee: User) -> None:
    client = signed_in()
    edit_user(lee, COMMAND_LINE, now(), email="lee.new@example.org")
    assert client.get("/me/").status_code == 302


def test_sessions_from_before_go_on_under_their_digest(lee: User) -> None:
    client = signed_in()
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    Session.objects.filter(pk=stored_key(cookie)).update(session_key=cookie)
    UserSession.objects.update(session_key=cookie)
    migration = importlib.import_module("mainstay.foundation.accounts.migrations.0003_digests_of_sessions")
    migration.to_digests(apps, connection)
    assert not in_copy(cookie)
    assert client.get("/me/").status_code == 200


@pytest.mark.parametrize("with_key", [False, True], ids=["", "under an idempotency key"])
def test_tokens_are_nowhere(lee: User, with_key: bool) -> None:
    _, token = create_token("a", Role.ADMIN, COMMAND_LINE, now())
    headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": "k1"} if with_key else {})
    made = Client().post(
        "/api/v1/tokens", {"name": "b", "role": "support"}, content_type="application/json", headers=headers
    )
    assert made.status_code == 201
    assert not in_copy(token)
    assert not in_copy(made.json()["token"])
    assert secrets.digest(token) in copy()


def test_one_time_links_are_nowhere(lee: User) -> None:
    link = make_sign_in_link(lee, COMMAND_LINE, now(), timedelta(1)).rpartition("/")[2]
    assert not in_copy(link)


@pytest.mark.parametrize("given", [None, "5b6f1d0a-7c1e-4a53-9a57-3e1c8d2f4b60"], ids=["made", "given"])
def test_ping_keys_are_nowhere_and_are_shown_to_who_may_see_them(lee: User, given: str | None) -> None:
    from mainstay.observe.checks.actions import put_check, shown_spec, spec_of
    from mainstay.observe.checks.tests.parts import application, spec

    settings_: dict[str, Any] = {"every": "1h"} | ({"key": given} if given else {})
    row = put_check(application(), spec("job", heartbeat=settings_), COMMAND_LINE, now())
    row = Check.objects.get(pk=row.pk)
    assert row.ping_key is not None
    assert given in {None, str(row.ping_key)}
    assert row.ping_digest == key_digest(row.ping_key)
    assert not in_copy(str(row.ping_key))
    assert shown_spec(row)["heartbeat"].get("key") == given
    key = spec_of(row).settings.key  # type: ignore[attr-defined]
    assert key == (uuid.UUID(given) if given else None)
    client = signed_in()
    assert f"/ping/{row.ping_key}" in client.get(f"/checks/{row.pk}/").content.decode()


def test_an_edit_keeps_a_ping_key() -> None:
    row = heartbeat()
    key = row.ping_key
    row.name = "other"
    row.save()
    assert Check.objects.get(pk=row.pk).ping_key == key


def test_a_ping_key_that_cannot_be_opened_is_none_and_still_looked_up() -> None:
    row = heartbeat()
    digest = row.ping_digest
    Check.objects.filter(pk=row.pk).update(ping_sealed=secrets.seal(str(uuid.uuid4()), "another key"))
    row = Check.objects.get(pk=row.pk)
    assert row.ping_key is None
    row.save()
    assert Check.objects.get(pk=row.pk).ping_digest == digest
