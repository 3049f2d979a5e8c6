"""Signing in and failing to: one journal entry each. Neither passwords nor what was typed as an address are kept."""

import ipaddress
from typing import Any

from allauth.account.signals import password_changed, password_set, user_logged_in
from allauth.mfa import signals as mfa
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest

from mainstay.foundation import clock
from mainstay.foundation.accounts import facts
from mainstay.foundation.accounts.actions import subject
from mainstay.foundation.accounts.actor import Actor, program
from mainstay.foundation.accounts.models import User
from mainstay.foundation.journal.kinds import EntryKind
from mainstay.foundation.journal.write import Subject, write

SIGN_IN = program("sign-in")
ONE_TIME_LINK = "one_time_link"
"""Marks a login whose entry `use_sign_in_link` has written already."""
_METHODS = {"password": "password", "mfa": "second factor", "socialaccount": "single sign-on"}


def network_of(address: str) -> str:
    """Return an IP address without its last part (/24 of IPv4, /48 of IPv6), enough to tell home from abroad."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


def _address(request: HttpRequest | None) -> str:
    return network_of(str(request.META.get("REMOTE_ADDR", ""))) if request is not None else ""


def _write(kind: EntryKind, about: Subject, actor: Actor, **found: Any) -> None:
    with transaction.atomic():
        write(kind, about, actor, clock.now(), **found)


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Somebody passed all steps of signing in."""
    if kwargs.get(ONE_TIME_LINK):
        return
    steps = request.session.get("account_authentication_methods", [])
    methods = list(dict.fromkeys(_METHODS.get(step.get("method"), str(step.get("method"))) for step in steps))
    _write(facts.USER_SIGNED_IN, subject(user), user.actor, method=" and ".join(methods) or "password")


@receiver(user_login_failed)
def failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A password did not fit. People type passwords into the wrong field, so an unknown address is not kept."""
    typed = str(credentials.get("email") or credentials.get("username") or "").strip().lower()
    user = User.objects.filter(email=typed).first()
    about = subject(user) if user is not None else Subject("user", 0, "somebody unknown")
    _write(facts.USER_SIGN_IN_FAILED, about, SIGN_IN, address=_address(request))


@receiver(mfa.authentication_failed)
def second_factor_failed(request: HttpRequest, user: User, **_: Any) -> None:
    """The password fitted, the code did not."""
    _write(facts.USER_SIGN_IN_FAILED, subject(user), SIGN_IN, address=_address(request))


@receiver([password_changed, password_set])
def password_was_set(request: HttpRequest, user: User, **_: Any) -> None:
    """Somebody chose another password."""
    _write(facts.USER_EDITED, subject(user), user.actor, fields=["password"])


@receiver([mfa.authenticator_added, mfa.authenticator_removed, mfa.authenticator_reset])
def second_factor_changed(request: HttpRequest, user: User, authenticator: Any, signal: Any, **_: Any) -> None:
    """A second factor was set up, removed, or its recovery codes were made anew."""
    word = {id(mfa.authenticator_added): "added", id(mfa.authenticator_removed): "removed"}.get(id(signal), "replaced")
    name = {"totp": "authenticator app", "recovery_codes": "recovery codes", "webauthn": "passkey"}
    what = name.get(authenticator.type, authenticator.type)
    _write(facts.USER_EDITED, subject(user), user.actor, fields=[f"{what} {word}"])
