"""`mainstay token` and `mainstay user` as people and scripts run them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.cli import main
from mainstay.foundation.accounts.actions import create_token, create_user, use_sign_in_link
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import Token, User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.api.access import token_actor
from mainstay.foundation.journal.models import Entry

pytestmark = pytest.mark.django_db
Captured = pytest.CaptureFixture[str]


def refused(arguments: list[str], capsys: Captured) -> str:
    """Run a command that fails; return its one line on stderr."""
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mainstay: ")
    assert captured.err.count("\n") == 1
    return captured.err


def usage(arguments: list[str], capsys: Captured) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_create_prints_the_token_and_a_line_end_and_nothing_else(capsys: Captured) -> None:
    assert main(["token", "create", "--role", "devops", "--name", "ci"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    token = captured.out.removesuffix("\n")
    assert token.startswith("mst_")
    assert token.split() == [token]
    assert token_actor(token).role is Role.DEVOPS
    assert Token.objects.get().expires_at is None
    assert Entry.objects.filter(kind="token.created", subject_name="ci").count() == 1


@pytest.mark.parametrize(("span", "hours"), [("12h", 12), ("90d", 2160), ("2w", 336)])
def test_a_token_can_expire(span: str, hours: int, capsys: Captured) -> None:
    assert main(["token", "create", "--role", "admin", "--name", "x", "--expires", span]) == 0
    row = Token.objects.get()
    assert row.expires_at is not None
    assert row.expires_at - row.created_at == timedelta(hours=hours)


@pytest.mark.parametrize("span", ["", "90", "0d", "-1d", "1.5d", "90 days", "9999999d"])
def test_a_span_that_is_none_is_wrong_usage(span: str, capsys: Captured) -> None:
    said = usage(["token", "create", "--role", "admin", "--name", "x", f"--expires={span}"], capsys)
    assert "is no span of time: write for example 12h, 90d or 52w" in said


def test_an_unknown_role_names_those_that_exist(capsys: Captured) -> None:
    assert "'devops'" in usage(["token", "create", "--role", "root", "--name", "x"], capsys)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_a_token_needs_a_name_that_fits(name: str, capsys: Captured) -> None:
    assert "give a name of 1 to 100 characters" in refused(
        ["token", "create", "--role", "admin", "--name", name], capsys
    )
    assert not Token.objects.exists()


def test_the_list_never_shows_a_token(me: Actor, noon: datetime, capsys: Captured) -> None:
    _, token = create_token("ci", Role.DEVOPS, me, datetime.now(UTC))
    create_token("old", Role.ADMIN, me, noon, expires_at=noon + timedelta(hours=1))
    assert main(["token", "list"]) == 0
    shown = capsys.readouterr().out
    assert token not in shown
    header, first, second = shown.splitlines()
    assert header.split() == ["ID", "NAME", "ROLE", "BEGINS", "STATE", "CREATED", "EXPIRES", "LAST", "USED"]
    assert f"{token[:8]}  in use" in first
    assert "expired" in second
    assert main(["token", "list", "--json"]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["in use", "expired"]


def test_a_revoked_token_opens_nothing(me: Actor, capsys: Captured) -> None:
    from mainstay.foundation.api.problems import Problem

    _, token = create_token("ci", Role.DEVOPS, me, datetime.now(UTC))
    assert main(["token", "revoke", "ci"]) == 0
    with pytest.raises(Problem):
        token_actor(token)
    capsys.readouterr()
    assert "no token in use has the name or number ci" in refused(["token", "revoke", "ci"], capsys)


def test_tokens_of_one_name_are_revoked_by_number(me: Actor, noon: datetime, capsys: Captured) -> None:
    rows = [create_token("ci", Role.DEVOPS, me, noon)[0] for _ in range(2)]
    said = refused(["token", "revoke", "ci"], capsys)
    assert f"2 tokens are called ci; name one by its number: {rows[0].pk}, {rows[1].pk}" in said
    assert main(["token", "revoke", str(rows[1].pk)]) == 0
    assert list(Token.objects.filter(revoked_at=None)) == [rows[0]]


def test_a_person_is_added_and_signs_in_once_by_link(capsys: Captured) -> None:
    assert main(["user", "create", "Sam@Example.org", "--role", "developer", "--name", "Sam"]) == 0
    assert "mainstay user link sam@example.org" in capsys.readouterr().out
    user = User.objects.get()
    assert (user.email, user.role, user.name) == ("sam@example.org", "developer", "Sam")
    assert main(["user", "link", "sam@example.org"]) == 0
    link = capsys.readouterr().out.strip()
    token = link.rpartition("/")[2]
    assert use_sign_in_link(token, datetime.now(UTC)) == user
    assert use_sign_in_link(token, datetime.now(UTC)) is None


def test_a_role_is_changed_and_a_person_deactivated(me: Actor, noon: datetime, capsys: Captured) -> None:
    create_user("sam@example.org", Role.SUPPORT, "", me, noon)
    assert main(["user", "role", "sam@example.org", "devops"]) == 0
    assert User.objects.get().role == "devops"
    assert main(["user", "deactivate", "sam@example.org"]) == 0
    assert not User.objects.get().is_active
    capsys.readouterr()
    assert "was deactivated and cannot sign in" in refused(["user", "link", "sam@example.org"], capsys)


def test_a_deactivated_person_is_reactivated_and_let_in(me: Actor, noon: datetime, capsys: Captured) -> None:
    user = create_user("sam@example.org", Role.SUPPORT, "", me, noon)
    assert main(["user", "deactivate", "sam@example.org"]) == 0
    capsys.readouterr()
    assert "mainstay user reactivate sam@example.org" in refused(["user", "link", "sam@example.org"], capsys)
    assert main(["user", "reactivate", "sam@example.org"]) == 0
    assert "sam@example.org has access as support" in capsys.readouterr().out
    assert main(["user", "link", "sam@example.org"]) == 0
    assert use_sign_in_link(capsys.readouterr().out.strip().rpartition("/")[2], datetime.now(UTC)) == user


def test_the_last_administrator_stays(me: Actor, noon: datetime, capsys: Captured) -> None:
    create_user("ada@example.org", Role.ADMIN, "", me, noon)
    assert "the last administrator must stay" in refused(["user", "role", "ada@example.org", "support"], capsys)
    assert "the last administrator must stay" in refused(["user", "deactivate", "ada@example.org"], capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "nonsense", "--role", "support"], "'nonsense' is not an e-mail address"),
        (["create", "sam@example.org", "--role", "support"], "sam@example.org is there already"),
        (["link", "kim@example.org"], "nobody has the address kim@example.org. List the people: mainstay user list"),
        (["role", "kim@example.org", "support"], "nobody has the address"),
    ],
)
def test_what_cannot_be_is_one_line_on_stderr(
    arguments: list[str], said: str, me: Actor, noon: datetime, capsys: Captured
) -> None:
    create_user("sam@example.org", Role.SUPPORT, "", me, noon)
    assert said in refused(["user", *arguments], capsys)


def test_people_are_listed(me: Actor, noon: datetime, capsys: Captured) -> None:
    create_user("sam@example.org", Role.SUPPORT, "Sam \x1b[31m", me, noon)
    assert main(["user", "list"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert main(["user", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["email"], row["role"], row["active"], row["last_sign_in_at"]) == (
        "sam@example.org",
        "support",
        True,
        None,
    )


WITH_HELP = """
    token, token create, token list, token revoke, user, user create, user link, user list, user role, user deactivate,
    user reactivate,
    journal, journal verify, journal show, journal export, status, doctor
"""


@pytest.mark.parametrize("words", [words.strip() for words in WITH_HELP.split(",")])
def test_every_help_shows_an_example(words: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])
    assert ended.value.code == 0
    assert f"example:\n  mainstay {words.split()[0]}" in capsys.readouterr().out


def test_an_act_must_be_named(capsys: Captured) -> None:
    assert "ACT" in usage(["token"], capsys)
    assert "ACT" in usage(["user"], capsys)
