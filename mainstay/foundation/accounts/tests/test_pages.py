"""The pages of people, teams and tokens, and the own account."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mainstay.desk.tests.browser import exported, page, signed_in, title
from mainstay.desk.tests.desk import Desk, desk
from mainstay.foundation import secrets
from mainstay.foundation.accounts.actions import create_token, put_team
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import SignInLink, Team, Token, User
from mainstay.foundation.accounts.permissions import PERMISSIONS, Role
from mainstay.foundation.accounts.sessions import stored_key
from mainstay.foundation.accounts.zone import TimeZone
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry


@pytest.fixture
def here(db: None) -> Desk:
    return desk()


@pytest.fixture
def client(here: Desk) -> Client:
    return signed_in()


# --- people ---------------------------------------------------------------------------------------------------------


def test_the_headline_counts_those_without_a_second_factor(client: Client) -> None:
    count = User.objects.count()
    html = page(client, "/people/")
    assert title(html) == "People"
    assert f"{count} people have access, {count} without a second factor" in html


def test_people_are_found_by_name_address_and_role(client: Client) -> None:
    assert "lee@example.com" in page(client, "/people/", q="Lee")
    assert "lee@example.com" not in page(client, "/people/", q="nobody")
    assert "lee@example.com" not in page(client, "/people/", role="admin")
    assert "lee@example.com" in exported(client.get("/people/", {"format": "csv", "role": "support"}))


def test_an_invitation_shows_a_link_once_that_lets_the_person_in(client: Client) -> None:
    sent = {"email": "New@Example.org", "name": "", "role": "developer", "time_zone": "Europe/Berlin"}
    answer = client.post("/people/invite", sent)
    assert answer.headers["Cache-Control"] == "no-store"
    found = re.search(rf"{settings.BASE_URL}(/sign-in/[\w-]+)", answer.content.decode())
    assert found is not None
    user = User.objects.get(email="new@example.org")
    assert (user.role, user.time_zone) == ("developer", "Europe/Berlin")
    assert found[1] not in page(client, f"/people/{user.pk}/")
    assert Client().post(found[1]).status_code == 302


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"email": "lee@example.com"}, "is there already"),
        ({"email": "no address"}, "valid email"),
        ({"role": "emperor"}, "Select a valid choice"),
        ({"time_zone": "Mars/Olympus"}, "is no time zone"),
    ],
)
def test_a_bad_invitation_is_refused_with_the_reason(client: Client, given: dict[str, str], says: str) -> None:
    before = User.objects.count()
    sent = {"email": "new@example.org", "role": "support", "time_zone": "UTC", **given}
    answer = client.post("/people/invite", sent)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert User.objects.count() == before


def test_a_role_is_given_and_the_last_administrator_keeps_it(client: Client, here: Desk) -> None:
    sent = {"name": "Lee", "role": "devops", "time_zone": "UTC"}
    client.post(f"/people/{here.user.pk}/", {**sent, "email": here.user.email})
    assert User.objects.get(pk=here.user.pk).role == "devops"
    User.objects.filter(email="root@example.com").delete()
    admin = User.objects.get(role="admin")
    answer = client.post(f"/people/{admin.pk}/", {**sent, "email": admin.email, "role": "support"})
    assert answer.status_code == 422
    assert "last administrator must stay one" in answer.content.decode()
    assert "last administrator must stay" in client.post(f"/people/{admin.pk}/deactivate", follow=True).content.decode()


def test_an_administrator_changes_an_address_and_no_two_people_share_one(client: Client, here: Desk) -> None:
    sent = {"name": "Lee", "role": "support", "time_zone": "UTC"}
    taken = client.post(
        f"/people/{here.user.pk}/", {**sent, "email": User.objects.filter(role="admin")[0].email.upper()}
    )
    assert taken.status_code == 422
    assert "is there already" in taken.content.decode()
    client.post(f"/people/{here.user.pk}/", {**sent, "email": "Lee.New@Example.org"})
    assert User.objects.get(pk=here.user.pk).email == "lee.new@example.org"
    edited = Entry.objects.filter(kind="user.edited", subject=f"user:{here.user.pk}").latest("pk")
    assert edited.facts["fields"] == ["email"]


def test_a_deactivated_person_is_shown_as_such_and_gets_no_link(client: Client, here: Desk) -> None:
    client.post(f"/people/{here.user.pk}/deactivate")
    assert "was deactivated" in title(page(client, f"/people/{here.user.pk}/"))
    before = SignInLink.objects.count()
    assert "would not let them in" in client.post(f"/people/{here.user.pk}/link", follow=True).content.decode()
    assert SignInLink.objects.count() == before


def test_a_reactivated_person_is_let_in_by_a_new_link_and_by_nothing_older(client: Client, here: Desk) -> None:
    address = f"/people/{here.user.pk}/"
    here.user.set_password("an old password of theirs")
    here.user.save()

    def make_link() -> str:
        found = re.search(rf"{settings.BASE_URL}(/sign-in/[\w-]+)", client.post(f"{address}link").content.decode())
        assert found is not None
        return found[1]

    old = make_link()
    client.post(f"{address}deactivate")
    assert f'action="{address}reactivate"' in page(client, address)
    assert "may sign in again" in client.post(f"{address}reactivate", follow=True).content.decode()
    assert title(page(client, address)) == "Lee has access as support engineer."
    assert "was reactivated as support" in Entry.objects.latest("pk").sentence()
    assert not Client().login(username="lee@example.com", password="an old password of theirs")
    Client().post(old)
    assert SignInLink.objects.filter(user=here.user).count() == 0
    assert Client().post(make_link()).status_code == 302
    assert SignInLink.objects.get(user=here.user).used_at is not None
    assert "has access already" in client.post(f"{address}reactivate", follow=True).content.decode()
    assert Entry.objects.filter(kind="user.reactivated").count() == 1


def test_an_invitation_of_a_deactivated_person_says_to_reactivate_them(client: Client, here: Desk) -> None:
    client.post(f"/people/{here.user.pk}/deactivate")
    sent = {"email": "Lee@example.com", "name": "", "role": "support", "time_zone": "UTC"}
    assert "reactivate them instead" in client.post("/people/invite", sent).content.decode()


def test_addresses_of_sessions_are_for_administrators_only(here: Desk) -> None:
    browser = Client(REMOTE_ADDR="203.0.113.77")
    browser.force_login(here.user)
    from allauth.usersessions.models import UserSession

    key = stored_key(browser.session.session_key)
    UserSession.objects.create(user=here.user, session_key=key, ip="203.0.113.77", user_agent="curl/8")
    assert "203.0.113.77" in page(signed_in(Role.ADMIN), f"/people/{here.user.pk}/")
    assert "203.0.113.77" not in page(signed_in(Role.DEVELOPER), f"/people/{here.user.pk}/")


def test_the_number_of_queries_does_not_grow_with_people_teams_and_tokens(client: Client) -> None:
    for address, make in (
        ("/people/", lambda i: User.objects.create_user(f"p{i}@example.org", None, role="support")),
        ("/teams/", lambda i: put_team(f"t{i}", "", list(User.objects.all()[:3]), COMMAND_LINE, now())),
        ("/tokens/", lambda i: create_token(f"k{i}", Role.DEVOPS, COMMAND_LINE, now())),
    ):
        counts = []
        for size in (5, 45):
            for i in range(size):
                make(f"{size}-{i}")
            with CaptureQueriesContext(connection) as found:
                page(client, address)
            counts.append(len(found))
        assert counts[0] == counts[1] <= 10, address


# --- permissions ----------------------------------------------------------------------------------------------------


def test_the_table_on_the_page_is_the_table_of_the_program(client: Client) -> None:
    html = page(client, "/people/permissions/")
    rows = re.findall(r"<small>([\w.]+)</small></th>(.*?)</tr>", html, re.S)
    shown = {name: re.findall(r'visually-hidden">(yes|no)<', cells) for name, cells in rows}
    expected = {one.name: ["yes" if role in one.roles else "no" for role in Role] for one in PERMISSIONS}
    assert shown == expected


# --- teams ----------------------------------------------------------------------------------------------------------


def test_a_team_is_made_changed_and_removed(client: Client, here: Desk) -> None:
    client.post("/teams/new", {"name": "Search", "email": "", "members": [here.user.pk]})
    team = Team.objects.get(name="Search")
    client.post(f"/teams/{team.pk}/", {"name": "Find", "email": "f@example.org", "members": []})
    team.refresh_from_db()
    assert (team.name, team.members.count()) == ("Find", 0)
    client.post(f"/teams/{team.pk}/delete")
    assert not Team.objects.filter(pk=team.pk).exists()


def test_a_team_that_owns_something_stays(client: Client, here: Desk) -> None:
    here.application.owner = here.team
    here.application.save(update_fields=["owner"])
    html = client.post(f"/teams/{here.team.pk}/delete", follow=True).content.decode()
    assert "still owns shop" in html
    assert "It owns shop" in page(client, f"/teams/{here.team.pk}/")


def test_a_team_of_a_file_is_shown_but_not_changed(client: Client, here: Desk) -> None:
    Team.objects.filter(pk=here.team.pk).update(managed_by="shop.yaml")
    assert "mainstay apply shop.yaml" in page(client, f"/teams/{here.team.pk}/")
    assert client.post(f"/teams/{here.team.pk}/", {"name": "Other"}).status_code == 422
    assert Team.objects.get(pk=here.team.pk).name == "Payments"


def test_a_taken_name_is_refused(client: Client, here: Desk) -> None:
    answer = client.post("/teams/new", {"name": "Payments"})
    assert answer.status_code == 422
    assert "exists already" in answer.content.decode()


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_works_until_it_is_revoked(client: Client) -> None:
    answer = client.post("/tokens/new", {"name": "ci", "role": "devops", "expires": "90"})
    assert answer.headers["Cache-Control"] == "no-store"
    found = re.search(r"<code>(mst_[\w-]+)</code>", answer.content.decode())
    assert found is not None
    row = Token.objects.get(name="ci")
    assert row.digest == secrets.digest(found[1])
    assert row.expires_at is not None
    assert (row.expires_at - row.created_at).days == 90
    html = page(client, "/tokens/")
    assert found[1] not in html
    assert row.hint in html
    headers = {"Authorization": f"Bearer {found[1]}"}
    assert Client().get("/api/v1/alerts", headers=headers).status_code == 200
    client.post(f"/tokens/{row.pk}/revoke")
    assert Client().get("/api/v1/alerts", headers=headers).status_code == 401
    assert "was revoked already" in client.post(f"/tokens/{row.pk}/revoke", follow=True).content.decode()


@pytest.mark.parametrize("given", [{"name": " "}, {"role": "emperor"}, {"expires": "7"}])
def test_a_bad_token_is_refused(client: Client, given: dict[str, str]) -> None:
    before = Token.objects.count()
    assert client.post("/tokens/new", {"name": "ci", "role": "devops", "expires": "0", **given}).status_code == 422
    assert Token.objects.count() == before


# --- the own account ------------------------------------------------------------------------------------------------


def test_people_change_their_own_name_and_zone_but_not_their_role(here: Desk) -> None:
    client = Client()
    client.force_login(here.user)
    client.post("/me/", {"name": "Lee Second", "time_zone": "Asia/Tokyo", "role": "admin"})
    user = User.objects.get(pk=here.user.pk)
    assert (user.name, user.time_zone, user.role) == ("Lee Second", "Asia/Tokyo", "support")
    assert Entry.objects.latest("pk").facts == {"fields": ["name", "time_zone"]}
    assert client.post("/me/", {"name": "", "time_zone": "Mars/Olympus"}).status_code == 422


def test_times_are_shown_in_the_zone_of_whoever_looks(here: Desk) -> None:
    seen = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(timezone.get_current_timezone_name())
        return HttpResponse()

    def ask(user: Any, path: str = "/") -> None:
        request = RequestFactory().get(path)
        request.user = user
        TimeZone(view)(request)

    here.user.time_zone = "Asia/Tokyo"
    ask(here.user)
    here.user.time_zone = "No/Where"
    ask(here.user)
    ask(None)
    assert seen == ["Asia/Tokyo", "UTC", "UTC"]
    assert timezone.get_current_timezone_name() == "UTC"
