"""What somebody made for others to come in ends with their own rights: tokens and one-time links."""

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from mainstay.desk.tests.browser import page, signed_in
from mainstay.desk.tests.desk import desk
from mainstay.foundation.accounts.actions import (
    create_token,
    deactivate,
    edit_user,
    make_sign_in_link,
    reactivate,
    revoke_token,
)
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import SignInLink, Token, User
from mainstay.foundation.accounts.permissions import Role, covers
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    User.objects.create_user("root@example.org", role=Role.ADMIN.value)
    return User.objects.create_user("ada@example.org", name="Ada", role=Role.ADMIN.value)


def made(ada: User, role: Role) -> str:
    return create_token(f"as {role.value}", role, ada.actor, now())[1]


def status(token: str, address: str = "/api/v1/me", method: str = "get") -> int:
    answer = getattr(Client(), method)(address, headers={"Authorization": f"Bearer {token}"})
    return int(answer.status_code)


@pytest.mark.fault("S6")
@pytest.mark.parametrize("role", Role)
def test_the_tokens_of_who_is_deactivated_end_and_are_listed(ada: User, role: Role) -> None:
    token = made(ada, role)
    assert status(token) == 200
    assert [one.name for one in deactivate(ada, COMMAND_LINE, now())] == [f"as {role.value}"]
    assert status(token) == 401
    assert status(token, f"/api/v1/users/{ada.pk}/reactivate", "post") == 401
    assert Entry.objects.filter(kind="token.revoked", actor=COMMAND_LINE.key).count() == 1
    reactivate(ada, COMMAND_LINE, now())
    assert status(token) == 401


@pytest.mark.fault("S6")
@pytest.mark.parametrize("present", [role for role in Role if role is not Role.ADMIN])
def test_of_who_is_demoted_the_tokens_end_that_may_do_more(ada: User, present: Role) -> None:
    tokens = {role: made(ada, role) for role in Role}
    ended = {one.role for one in edit_user(ada, COMMAND_LINE, now(), role=present)}
    assert Role.ADMIN.value in ended
    assert present.value not in ended
    for role, token in tokens.items():
        assert (role.value in ended) == (not covers(present, role)) == (status(token) == 401)


def test_who_keeps_the_rights_keeps_the_tokens(ada: User) -> None:
    token = made(ada, Role.ADMIN)
    assert edit_user(ada, COMMAND_LINE, now(), name="Ada L.", email="al@example.org") == []
    assert status(token) == 200


@pytest.mark.fault("S6")
def test_a_token_that_a_token_made_ends_with_the_person_behind_both_and_with_the_first(ada: User) -> None:
    for end in ("person", "token"):
        parent, _ = create_token("parent", Role.ADMIN, ada.actor, now())
        child, _ = create_token("child", Role.ADMIN, parent.actor, now())
        grandchild, secret = create_token("grandchild", Role.SUPPORT, child.actor, now())
        assert grandchild.maker == ada
        assert status(secret) == 200
        if end == "person":
            deactivate(ada, COMMAND_LINE, now())
            reactivate(ada, COMMAND_LINE, now())
        else:
            revoke_token(parent, COMMAND_LINE, now())
        assert status(secret) == 401
        assert not Token.objects.filter(revoked_at=None).exists()


@pytest.mark.fault("S6")
def test_rights_that_were_taken_in_another_way_count_at_once(ada: User) -> None:
    """A role that another program wrote, or a token made in the moment in which its maker lost the rights."""
    token = made(ada, Role.ADMIN)
    User.objects.filter(pk=ada.pk).update(role=Role.SUPPORT.value)
    assert status(token) == 401
    User.objects.filter(pk=ada.pk).update(role=Role.ADMIN.value, is_active=False)
    assert status(token) == 401


def test_tokens_of_the_command_line_are_nobodys(ada: User) -> None:
    token = create_token("ci", Role.ADMIN, COMMAND_LINE, now())[1]
    deactivate(ada, COMMAND_LINE, now())
    assert status(token) == 200


@pytest.mark.fault("S6")
@pytest.mark.parametrize("end", ["deactivated", "demoted"])
def test_a_link_for_somebody_else_ends_with_the_right_to_make_it(ada: User, end: str) -> None:
    root = User.objects.get(email="root@example.org")
    address = "/sign-in/" + make_sign_in_link(root, ada.actor, now(), timedelta(days=1)).rpartition("/")[2]
    if end == "deactivated":
        deactivate(ada, COMMAND_LINE, now())
    else:
        edit_user(ada, COMMAND_LINE, now(), role=Role.DEVOPS)
    assert Client().post(address).status_code == 410
    assert not SignInLink.objects.exists()


@pytest.mark.fault("S6")
def test_pages_list_the_tokens_that_somebody_made_and_those_that_ended() -> None:
    here, client = desk(), signed_in()
    other = User.objects.create_user("ada@example.org", role=Role.ADMIN.value)
    create_token("of Ada", Role.ADMIN, other.actor, now())
    assert "of Ada" in page(client, f"/people/{other.pk}/")
    said = client.post(f"/people/{other.pk}/deactivate", follow=True).content.decode()
    assert "Tokens they had made ended: of Ada." in said
    assert "of Ada" not in page(client, f"/people/{here.user.pk}/")


def test_makers_of_tokens_that_exist_are_told_by_the_journal(ada: User) -> None:
    parent, _ = create_token("parent", Role.ADMIN, ada.actor, now())
    create_token("child", Role.ADMIN, parent.actor, now())
    create_token("ci", Role.ADMIN, COMMAND_LINE, now())
    Token.objects.update(maker=None, parent=None)
    importlib.import_module("mainstay.foundation.accounts.migrations.0002_makers").from_journal(apps, connection)
    assert list(Token.objects.order_by("pk").values_list("maker", "parent")) == [
        (ada.pk, None),
        (ada.pk, parent.pk),
        (None, None),
    ]
