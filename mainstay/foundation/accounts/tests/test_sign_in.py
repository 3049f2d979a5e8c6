"""Getting in: by one-time link, by password, with a second factor; and what the journal keeps of it."""

import base64
import hashlib
import hmac
import re
import struct
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver

from mainstay.desk.tests.browser import page, title
from mainstay.foundation.accounts.actions import deactivate, edit_user, make_sign_in_link, reactivate
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.pages.browsers import browser_of
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.accounts.sessions import stored_key
from mainstay.foundation.accounts.signals import network_of
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry

PASSWORD = "a quiet harbour at dawn"
OTHER = "seven grey gulls overhead"


@pytest.fixture(autouse=True)
def _fresh(db: None, settings: Any) -> None:
    cache.clear()
    # Stretching a password takes most of a second, as it should; here it is done some hundred times.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def lee() -> User:
    return User.objects.create_user("lee@example.org", PASSWORD, name="Lee", role=Role.SUPPORT.value)


def _link(user: User, lasts: timedelta = timedelta(days=1)) -> str:
    return "/sign-in/" + make_sign_in_link(user, COMMAND_LINE, now(), lasts).rpartition("/")[2]


def _sign_in(client: Client, password: str = PASSWORD, email: str = "lee@example.org") -> Any:
    return client.post("/account/login/", {"login": email, "password": password})


def _inside(client: Client) -> bool:
    return client.get("/me/").status_code == 200


def _kinds(user: User | None = None) -> list[str]:
    rows = Entry.objects.filter(subject=f"user:{user.pk if user else 0}").order_by("pk")
    return [row.kind for row in rows if row.kind.startswith("user.sign")]


# --- the one-time link ----------------------------------------------------------------------------------------------


def test_looking_at_a_link_does_not_use_it_up(lee: User) -> None:
    address = _link(lee)
    for _ in range(3):
        html = page(Client(), address)
        assert "This link signs you in once" in html
        assert "lee@example.org" not in html
    client = Client()
    assert client.post(address).headers["Location"] == "/sign-in/password"
    html = page(client, "/sign-in/password")
    assert f"Signed in as {lee}." in html
    assert "Repeat password" in html
    assert _inside(client)


def test_a_used_link_is_void(lee: User) -> None:
    address = _link(lee)
    Client().post(address)
    stranger = Client()
    html = page(stranger, address, 410)
    assert "no longer works" in html
    assert "mainstay user link EMAIL" in html
    answer = stranger.post(address)
    assert answer.status_code == 410
    assert not _inside(stranger)


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "a/b"])
def test_a_link_that_never_was_lets_nobody_in(token: str) -> None:
    client = Client()
    assert client.get(f"/sign-in/{token}").status_code in {404, 410}
    assert client.post(f"/sign-in/{token}").status_code in {404, 410}
    assert not _inside(client)


def test_a_link_expires(lee: User) -> None:
    address = _link(lee, timedelta(minutes=10))
    with time_machine.travel(now() + timedelta(minutes=11), tick=False):
        assert Client().get(address).status_code == 410
        assert Client().post(address).status_code == 410


def test_a_newer_link_voids_the_one_before(lee: User) -> None:
    first, second = _link(lee), _link(lee)
    assert Client().post(first).status_code == 410
    assert Client().post(second).status_code == 302


def test_a_deactivated_person_is_not_let_in(lee: User) -> None:
    User.objects.create_user("root@example.org", PASSWORD, role=Role.ADMIN.value)
    address = _link(lee)
    deactivate(lee, COMMAND_LINE, now())
    assert Client().post(address).status_code == 410
    assert _sign_in(Client()).status_code == 200


def test_a_page_of_a_link_is_kept_by_nobody(lee: User) -> None:
    answer = Client().get(_link(lee))
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_who_comes_by_link_chooses_a_password_without_knowing_the_old_one(lee: User) -> None:
    client = Client()
    client.post(_link(lee))
    html = page(client, "/sign-in/password")
    assert "Choose a password" in html
    answer = client.post("/sign-in/password", {"new_password1": OTHER, "new_password2": OTHER})
    assert answer.headers["Location"] == "/me/"
    assert _inside(client)  # still the same session
    assert "1 browser<" in page(client, "/me/")
    assert UserSession.objects.filter(user=lee, session_key=stored_key(client.session.session_key)).exists()
    assert _sign_in(Client(), OTHER).status_code == 302
    assert _sign_in(Client(), PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("short", "short", "too short"),
        ("password1234", "password1234", "too common"),
        ("lee@example.org", "lee@example.org", "too similar"),
        (OTHER, "something else entirely", "The two are not the same"),
    ],
)
def test_a_bad_password_is_refused_with_the_reason(lee: User, first: str, second: str, says: str) -> None:
    client = Client()
    client.post(_link(lee))
    answer = client.post("/sign-in/password", {"new_password1": first, "new_password2": second})
    assert answer.status_code == 422
    assert says in answer.content.decode()


def test_without_the_link_the_old_password_is_asked_for(lee: User) -> None:
    client = Client()
    _sign_in(client)
    assert client.get("/sign-in/password").headers["Location"] == "/account/password/change/"


def test_long_after_the_link_the_old_password_is_asked_for(lee: User) -> None:
    client = Client()
    client.post(_link(lee))
    with time_machine.travel(now() + timedelta(hours=1), tick=False):
        assert client.get("/sign-in/password").headers["Location"] == "/account/password/change/"


def test_a_link_signs_out_whoever_was_signed_in_before(lee: User) -> None:
    other = User.objects.create_user("root@example.org", PASSWORD, role=Role.ADMIN.value)
    client = Client()
    client.force_login(other)
    client.post(_link(lee))
    assert title(page(client, "/me/")) == "Your profile"


# --- the password, and what the journal keeps -----------------------------------------------------------------------


def test_signing_in_is_in_the_journal_once_with_its_way(lee: User) -> None:
    _sign_in(Client())
    Client().post(_link(lee))
    found = [row.facts["method"] for row in Entry.objects.filter(kind="user.signed_in").order_by("pk")]
    assert found == ["password", "one-time link"]


def test_a_failed_sign_in_is_in_the_journal_without_password_or_full_address(lee: User) -> None:
    client = Client(REMOTE_ADDR="203.0.113.77")
    _sign_in(client, "wrong-password-typed")
    entry = Entry.objects.get(kind="user.sign_in_failed")
    assert (entry.subject, entry.facts) == (f"user:{lee.pk}", {"address": "203.0.113.0/24"})
    _sign_in(client, "wrong-password-typed", "my-password-in-the-wrong@field.example")
    entry = Entry.objects.latest("pk")
    assert (entry.subject, entry.subject_name) == ("user:0", "somebody unknown")
    for row in Entry.objects.all():
        assert "wrong" not in f"{row.facts}{row.subject_name}{row.actor_name}"


def test_after_five_failures_even_the_right_password_waits(lee: User) -> None:
    client = Client()
    for _ in range(5):
        assert _sign_in(client, "not the password").status_code == 200
    answer = _sign_in(client)
    assert "Too many failed login attempts" in answer.content.decode()
    assert not _inside(client)
    assert _kinds(lee) == ["user.sign_in_failed"] * 5  # what was not even tried is no entry
    with time_machine.travel(now() + timedelta(minutes=6), tick=False):
        assert _sign_in(client).status_code == 302


@pytest.mark.fault("S12")
def test_a_stranger_cannot_lock_out_whose_address_they_try(lee: User) -> None:
    owner, stranger = Client(REMOTE_ADDR="198.51.100.7"), Client(REMOTE_ADDR="203.0.113.9")
    for _ in range(4):
        for _ in range(6):
            _sign_in(stranger, "not the password")
        assert "Too many failed login attempts" in _sign_in(stranger).content.decode()
        assert not _inside(stranger)
        _sign_in(owner)
        assert _inside(owner)
        owner.cookies.clear()


@pytest.mark.fault("S12")
def test_a_browser_that_is_known_and_a_link_let_the_owner_in_whatever_strangers_do(lee: User) -> None:
    known = Client(REMOTE_ADDR="198.51.100.7")
    _sign_in(known)
    known.post("/account/logout/")
    for number in range(250):  # more than one address may be tried from anywhere
        _sign_in(Client(REMOTE_ADDR=f"198.51.{number}.7"), "not the password")
    elsewhere = Client(REMOTE_ADDR="192.0.2.1")
    assert "Too many failed login attempts" in _sign_in(elsewhere).content.decode()
    _sign_in(known)
    assert _inside(known)
    elsewhere.post(_link(lee))
    assert _inside(elsewhere)


def test_a_known_browser_has_a_count_of_its_own_and_is_known_for_one_person(lee: User) -> None:
    User.objects.create_user("kim@example.org", OTHER, role=Role.SUPPORT.value)
    known = Client()
    _sign_in(known)
    known.post("/account/logout/")
    for _ in range(5):
        _sign_in(known, "not the password")
    assert "Too many failed login attempts" in _sign_in(known).content.decode()
    assert _sign_in(Client()).status_code == 302
    for _ in range(5):
        _sign_in(Client(), "not the password", "kim@example.org")
    assert "Too many failed login attempts" in _sign_in(known, OTHER, "kim@example.org").content.decode()


@pytest.mark.parametrize("cookie", ["", "1:aa", "x", "1:aa:bb:cc", "9" * 400])
def test_a_made_up_cookie_makes_no_browser_known(lee: User, cookie: str) -> None:
    client = Client()
    client.cookies[settings.KNOWN_COOKIE_NAME] = cookie
    for _ in range(5):
        _sign_in(client, "not the password")
    assert "Too many failed login attempts" in _sign_in(client).content.decode()


def test_one_network_tries_thirty_passwords_of_all_people_in_five_minutes(lee: User) -> None:
    for number in range(30):
        _sign_in(Client(), "not the password", f"p{number}@example.org")
    assert "Too many failed login attempts" in _sign_in(Client()).content.decode()


def test_failures_of_one_address_do_not_lock_out_another_person(lee: User) -> None:
    User.objects.create_user("kim@example.org", OTHER, role=Role.SUPPORT.value)
    for _ in range(5):
        _sign_in(Client(), "not the password")
    assert _sign_in(Client(), OTHER, "kim@example.org").status_code == 302


def test_changing_the_password_is_in_the_journal(lee: User) -> None:
    client = Client()
    _sign_in(client)
    sent = {"oldpassword": PASSWORD, "password1": OTHER, "password2": OTHER}
    assert client.post("/account/password/change/", sent).status_code == 302
    assert Entry.objects.latest("pk").facts == {"fields": ["password"]}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::9", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_an_address_is_kept_without_its_last_part(address: str, network: str) -> None:
    assert network_of(address) == network


# --- the second factor ----------------------------------------------------------------------------------------------


def _code(secret: str, at: float | None = None) -> str:
    """RFC 6238: what an authenticator app shows."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int((time.time() if at is None else at) // 30)), hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[place : place + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def _enrol(client: Client) -> str:
    assert client.get("/account/2fa/totp/activate/").headers["Location"].startswith("/account/reauthenticate/")
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    html = page(client, "/account/2fa/totp/activate/")
    secret = re.search(r"<code>([A-Z2-7]{16,})</code>", html)
    assert secret is not None
    with time_machine.travel(now(), tick=False):  # a code is good for half a minute, which may end meanwhile
        answer = client.post("/account/2fa/totp/activate/", {"code": _code(secret[1])})
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    return secret[1]


def test_a_second_factor_is_set_up_and_asked_for_from_then_on(
    lee: User, django_capture_on_commit_callbacks: Any
) -> None:
    client = Client()
    _sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        secret = _enrol(client)
    assert "authenticator app added" in str([row.facts for row in Entry.objects.filter(kind="user.edited")])
    assert secret not in Authenticator.objects.get(type="totp").data["secret"]  # stored encrypted
    fresh = Client()
    assert _sign_in(fresh).headers["Location"] == "/account/2fa/authenticate/"
    assert not _inside(fresh)
    with time_machine.travel(now() + timedelta(minutes=2), tick=False):
        assert fresh.post("/account/2fa/authenticate/", {"code": "000000"}).status_code == 200
        assert not _inside(fresh)
        assert fresh.post("/account/2fa/authenticate/", {"code": _code(secret)}).status_code == 302
        assert _inside(fresh)
    found = Entry.objects.filter(kind="user.signed_in").latest("pk")
    assert found.facts == {"method": "password and second factor"}
    assert _kinds(lee).count("user.sign_in_failed") == 1


def test_a_link_stands_for_the_password_not_for_the_second_factor(lee: User) -> None:
    client = Client()
    _sign_in(client)
    secret = _enrol(client)
    fresh = Client()
    assert fresh.post(_link(lee)).headers["Location"] == "/account/2fa/authenticate/"
    assert not _inside(fresh)
    with time_machine.travel(now() + timedelta(minutes=2), tick=False):
        answer = fresh.post("/account/2fa/authenticate/", {"code": _code(secret)})
        assert answer.headers["Location"] == "/sign-in/password"
        assert _inside(fresh)


def test_a_lost_phone_is_mended_by_an_administrator(lee: User) -> None:
    client = Client()
    _sign_in(client)
    _enrol(client)
    admin = Client()
    admin.force_login(User.objects.create_user("root@example.org", PASSWORD, role=Role.ADMIN.value))
    assert "Remove the second factor" in page(admin, f"/people/{lee.pk}/")
    admin.post(f"/people/{lee.pk}/second-factor")
    fresh = Client()
    _sign_in(fresh)
    assert _inside(fresh)


# --- sessions -------------------------------------------------------------------------------------------------------


def test_the_own_browsers_are_listed_and_one_is_signed_out(lee: User) -> None:
    here = Client(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    there = Client(HTTP_USER_AGENT="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1")
    _sign_in(here)
    _sign_in(there)
    html = page(here, "/me/")
    assert "Firefox on Linux" in html
    assert "Safari on iPhone" in html
    other = UserSession.objects.get(session_key=stored_key(there.session.session_key))
    here.post(f"/me/sessions/{other.pk}/revoke")
    assert not _inside(there)
    assert _inside(here)
    assert Entry.objects.filter(kind="session.revoked", subject=f"user:{lee.pk}").count() == 1


def test_nobody_ends_a_session_of_somebody_else(lee: User) -> None:
    victim, attacker = Client(), Client()
    _sign_in(victim)
    attacker.force_login(User.objects.create_user("kim@example.org", PASSWORD, role=Role.DEVOPS.value))
    session = UserSession.objects.get(user=lee)
    assert attacker.post(f"/me/sessions/{session.pk}/revoke").status_code == 404
    assert _inside(victim)


def test_signing_out_everywhere_else_keeps_this_one(lee: User) -> None:
    clients = [Client() for _ in range(3)]
    for client in clients:
        _sign_in(client)
    clients[0].post("/me/sessions/revoke")
    assert [_inside(client) for client in clients] == [True, False, False]


def test_an_administrator_signs_somebody_out_everywhere(lee: User) -> None:
    client, admin = Client(), Client()
    _sign_in(client)
    admin.force_login(User.objects.create_user("root@example.org", PASSWORD, role=Role.ADMIN.value))
    assert "1 session." in admin.post(f"/people/{lee.pk}/sign-out", follow=True).content.decode()
    assert not _inside(client)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "unknown browser"),
        ("MyTool/1.0", "MyTool/1.0"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
    ],
)
def test_a_browser_is_named_as_people_call_it(header: str, name: str) -> None:
    assert browser_of(header) == name


# --- the pages of the sign-in library -------------------------------------------------------------------------------

FOR_ALL, FOR_ONESELF, REFUSED = "for all", "for oneself", "refused"
ACCOUNT_PAGES = {
    "login/": FOR_ALL,
    "logout/": FOR_ALL,
    "inactive/": FOR_ALL,
    "2fa/authenticate/": FOR_ALL,
    "reauthenticate/": FOR_ONESELF,
    "password/change/": FOR_ONESELF,
    "password/set/": FOR_ONESELF,
    "2fa/": FOR_ONESELF,
    "2fa/reauthenticate/": FOR_ONESELF,
    "2fa/totp/activate/": FOR_ONESELF,
    "2fa/totp/deactivate/": FOR_ONESELF,
    "2fa/recovery-codes/": FOR_ONESELF,
    "2fa/recovery-codes/generate/": FOR_ONESELF,
    "2fa/recovery-codes/download/": FOR_ONESELF,
    "sessions/": REFUSED,
    "signup/": REFUSED,
    "email/": REFUSED,
    "confirm-email/": REFUSED,
    "password/reset/": REFUSED,
    "password/reset/done/": REFUSED,
    "password/reset/key/done/": REFUSED,
    "login/code/confirm/": REFUSED,
}


def test_every_page_of_the_sign_in_library_is_in_the_table() -> None:
    found = {
        str(page.pattern)
        for part in get_resolver().url_patterns
        for inner in getattr(part, "url_patterns", ())
        if str(inner.pattern) == "account/"
        for page in inner.url_patterns
    }
    assert found == set(ACCOUNT_PAGES)


@pytest.mark.parametrize(("address", "access"), ACCOUNT_PAGES.items())
def test_a_page_of_the_sign_in_library_obeys_the_table(address: str, access: str, lee: User) -> None:
    client, inside = Client(), Client()
    inside.force_login(lee)
    for method in ("get", "post"):
        answer = getattr(client, method)(f"/account/{address}")
        if access == REFUSED:
            assert answer.status_code == getattr(inside, method)(f"/account/{address}").status_code == 404
        elif access == FOR_ONESELF:
            assert answer.headers["Location"].startswith("/account/login/?next=")
        else:
            assert answer.status_code in {200, 302, 405}


@pytest.mark.fault("S5")
@pytest.mark.parametrize("address", ["mine.too@example.org", "root@example.com"])
def test_nobody_gives_themselves_another_address(lee: User, address: str) -> None:
    client = Client()
    client.force_login(lee)
    before = Entry.objects.count()
    for sent in ({"action_add": "", "email": address}, {"action_primary": "", "email": address}):
        assert client.post("/account/email/", sent).status_code == 404
    assert not EmailAddress.objects.exists()
    assert User.objects.get(pk=lee.pk).email == "lee@example.org"
    assert Entry.objects.count() == before


@pytest.mark.fault("S4")
def test_no_link_is_made_for_whatever_name_a_request_was_sent_to(lee: User, mailoutbox: list[Any]) -> None:
    answer = Client().post("/account/password/reset/", {"email": lee.email}, headers={"host": "evil.example"})
    assert answer.status_code in {400, 404}
    assert mailoutbox == []
    assert make_sign_in_link(lee, COMMAND_LINE, now(), timedelta(hours=1)).startswith(settings.BASE_URL)


@pytest.mark.fault("D7")
def test_who_forgot_the_password_is_told_who_makes_a_link(lee: User) -> None:
    text = Client().get("/account/login/").content.decode()
    assert "password/reset" not in text
    assert "An administrator makes a sign-in link under People" in text
    assert Client().get("/account/password/reset/").status_code == 404


@pytest.mark.fault("S4")
def test_who_was_deactivated_comes_back_by_a_new_link_only(lee: User) -> None:
    old = _link(lee)
    deactivate(lee, COMMAND_LINE, now())
    reactivate(lee, COMMAND_LINE, now())
    client = Client()
    _sign_in(client)
    client.post(old)
    client.post("/account/password/reset/", {"email": lee.email})
    assert not _inside(client)
    client.post(_link(lee))
    assert _inside(client)


def test_another_address_signs_out_and_the_old_one_lets_nobody_in(lee: User) -> None:
    client = Client()
    _sign_in(client)
    EmailAddress.objects.create(user=lee, email=lee.email, primary=True, verified=True)
    edit_user(lee, COMMAND_LINE, now(), email="lee.new@example.org")
    assert not _inside(client)
    _sign_in(client)
    assert not _inside(client)
    _sign_in(client, email="lee.new@example.org")
    assert _inside(client)


def test_no_page_of_signing_in_links_to_one_that_is_closed(lee: User) -> None:
    visitor, inside = Client(), Client()
    inside.force_login(lee)
    pages = [
        (visitor, "/account/login/"),
        (inside, "/me/"),
        (inside, "/account/reauthenticate/"),
        (inside, "/account/2fa/"),
    ]
    for client, address in pages:
        text = page(client, address) if client.get(address).status_code == 200 else ""
        for link in set(re.findall(r'href="(/[^"#?]*)', text)):
            if not link.startswith("/static/"):
                assert client.get(link).status_code != 404, (address, link)
    assert "mainstay user link" in page(visitor, "/account/login/")


def test_under_a_foreign_host_name_the_answer_says_which_setting_to_change() -> None:
    for address in ("/", "/api/v1/alerts"):
        answer = Client().get(address, headers={"host": "desk.elsewhere.example"})
        assert answer.status_code == 400
        assert b"MAINSTAY_HOSTS" in answer.content
        assert b"elsewhere" not in answer.content


def test_whoever_changes_their_own_address_is_sent_to_sign_in_with_it() -> None:
    ada = User.objects.create_user("ada@example.org", PASSWORD, name="Ada", role=Role.ADMIN.value)
    client = Client()
    _sign_in(client, email="ada@example.org")
    given = {"email": "ada.b@example.org", "name": "Ada", "role": "admin", "time_zone": "UTC"}
    answer = client.post(f"/people/{ada.pk}/", given)
    assert (answer.status_code, answer.headers.get("Location")) == (302, "/account/login/")
    assert not _inside(client)
    _sign_in(client, email="ada.b@example.org")
    assert _inside(client)
