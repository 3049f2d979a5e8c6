"""The pages that a plain resource gets from a class of five values: list, new, edit, delete."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.urls import path

from mainstay.desk.tests.browser import exported, page, signed_in, title
from mainstay.desk.urls import urlpatterns as all_pages
from mainstay.foundation.accounts.actions import put_team
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, Role
from mainstay.foundation.accounts.resource import TEAMS
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.clock import now
from mainstay.foundation.secrets import LostKey
from mainstay.kit.editing import Editing


class PlainPages(Editing[Team]):
    """Teams as a plain resource would show them."""

    resource, permission, model, place, kind = TEAMS, PEOPLE_EDIT, Team, "teams", "plain"
    columns = ("name", "email", "members")


PLAIN = PlainPages()
urlpatterns = [
    *all_pages,
    path("plain/", PLAIN.list, name="plains"),
    path("plain/new", PLAIN.new, name="plain_new"),
    path("plain/<str:name>/", PLAIN.edit, name="plain_edit"),
    path("plain/<str:name>/delete", PLAIN.delete, name="plain_delete"),
]


@pytest.fixture(autouse=True)
def payments(db: None) -> Iterator[Team]:
    lee = User.objects.create_user("lee@example.com", None, role="support")
    team = put_team("Payments", "pay@example.com", [lee], COMMAND_LINE, now())
    with override_settings(ROOT_URLCONF=__name__):
        yield team


def _post(address: str, **data: str) -> Any:
    return signed_in().post(address, data)


def test_the_list_shows_rows_with_links_and_files() -> None:
    html = page(signed_in(), "/plain/")
    assert title(html) == "Teams"
    assert '<a href="/plain/Payments/">Payments</a>' in html
    assert "<td>pay@example.com</td>" in html
    assert "<td>lee@example.com</td>" in html
    assert 'href="/plain/new"' in html
    file = exported(signed_in().get("/plain/?format=csv"))
    assert file.splitlines() == ["name,email,members", "Payments,pay@example.com,lee@example.com"]


def test_an_empty_list_says_so(payments: Team) -> None:
    payments.delete()
    assert "No plain yet" in page(signed_in(), "/plain/")


def test_who_may_not_change_anything_sees_the_list_alone() -> None:
    client = signed_in(Role.SUPPORT)
    html = page(client, "/plain/")
    assert "/plain/new" not in html
    assert "/plain/Payments/" not in html
    assert client.get("/plain/new").status_code == 403
    assert client.post("/plain/Payments/delete").status_code == 403


def test_one_is_added_and_changed_and_keeps_its_row(payments: Team) -> None:
    answer = _post("/plain/new", name="Web", members="lee@example.com")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/teams/")
    assert [user.email for user in Team.objects.get(name="Web").members.all()] == ["lee@example.com"]
    assert 'value="pay@example.com"' in page(signed_in(), "/plain/Payments/")
    assert _post("/plain/Payments/", name="Billing", email="").status_code == 302
    payments.refresh_from_db()
    assert (payments.name, payments.email, payments.members.count()) == ("Billing", "", 0)


def test_what_somebody_else_changed_meanwhile_is_not_overwritten_unasked(payments: Team) -> None:
    found = re.search(r'name="seen" value="(\w+)"', page(signed_in(), "/plain/Payments/"))
    assert found
    put_team("Payments", "new@example.com", [], COMMAND_LINE, now(), existing=payments)
    late = _post("/plain/Payments/", name="Payments", email="mine@example.com", seen=found[1])
    html = late.content.decode()
    assert late.status_code == 422
    assert html.count("This was changed since you opened it") == 1
    assert 'value="mine@example.com"' in html, "what was written is not lost either"
    payments.refresh_from_db()
    assert payments.email == "new@example.com"
    again = re.search(r'name="seen" value="(\w+)"', html)
    assert again
    assert _post("/plain/Payments/", name="Payments", email="mine@example.com", seen=again[1]).status_code == 302
    payments.refresh_from_db()
    assert payments.email == "mine@example.com"
    assert 'name="seen"' not in page(signed_in(), "/plain/new")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "Web", "email": "nowhere"}, "id_email_error"),
        ({"name": "Payments"}, "A team named Payments exists already."),
    ],
)
def test_what_is_wrong_is_said_beside_its_input(given: dict[str, str], error: str) -> None:
    answer = _post("/plain/new", **given)
    assert answer.status_code == 422
    assert error in answer.content.decode()
    assert Team.objects.count() == 1


def test_what_a_file_manages_is_shown_and_not_changed(payments: Team) -> None:
    Team.objects.update(managed_by="shop.yaml")
    html = page(signed_in(), "/plain/Payments/")
    assert "mainstay apply shop.yaml" in html
    assert "Remove…" not in html
    assert _post("/plain/Payments/delete").headers["Location"] == "/teams/"
    assert Team.objects.filter(name="Payments").exists()


def test_one_is_removed_by_a_form_alone() -> None:
    assert 'action="/plain/Payments/delete"' in page(signed_in(), "/plain/Payments/")
    assert signed_in().get("/plain/Payments/delete").status_code == 405
    assert _post("/plain/Payments/delete").status_code == 302
    assert not Team.objects.exists()


def test_what_is_not_there_is_not_found() -> None:
    assert signed_in().get("/plain/Nobody/").status_code == 404
    assert _post("/plain/Nobody/delete").status_code == 404


def test_a_row_that_cannot_be_read_costs_only_itself_and_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    put_team("Web", "", [], COMMAND_LINE, now())

    def read(row: Team) -> TeamSpec:
        if row.name == "Payments":
            raise LostKey("stored with another key")
        return TeamSpec(name=row.name)

    monkeypatch.setattr(TEAMS, "shown", read)
    client = signed_in()
    html = page(client, "/plain/")
    assert '<a href="/plain/Payments/">Payments</a>' in html
    assert "<td>Web" in html or ">Web</a>" in html
    assert "cannot be read" in page(client, "/plain/Payments/")
    assert client.post("/plain/Payments/", {"name": "Billing", "email": ""}).status_code == 302
    assert sorted(Team.objects.values_list("name", flat=True)) == ["Billing", "Web"]


def test_what_was_removed_while_its_form_was_open_is_said_to_be_gone(
    payments: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in()

    def found(_pages: PlainPages, _name: str) -> Team:
        row = Team.objects.get(name="Payments")
        Team.objects.filter(pk=row.pk).delete()  # between two statements
        return row

    monkeypatch.setattr(PlainPages, "find", found)
    answer = client.post("/plain/Payments/", {"name": "Billing", "email": ""})
    assert answer.status_code == 422
    assert "is not there any more" in answer.content.decode()
    assert not Team.objects.exists()
    put_team("Payments", "", [], COMMAND_LINE, now())
    answer = client.post("/plain/Payments/delete")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/teams/")
    assert "is not there any more" in page(client, "/teams/")
