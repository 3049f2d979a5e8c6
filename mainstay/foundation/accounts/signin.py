"""How allauth behaves here: nobody signs up by themselves; people come by invitation, link or single sign-on."""

import secrets as random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern

from mainstay.foundation import secrets
from mainstay.foundation.accounts.access import needs, public
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import SELF_EDIT, Role
from mainstay.foundation.accounts.signals import network_of

try:
    from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
except ImportError:  # the app is not installed while no issuer is set
    DefaultSocialAccountAdapter = object

OF_A_KEY, OF_A_NETWORK, OF_AN_ADDRESS = "5/5m/key", "30/5m/key", "200/1h/key"  # wrong passwords
KNOWN_FOR_S = 400 * 86400
KNOWN_SALT = "mainstay known browser"

# Which pages of allauth there are, by name. All others are refused, also those that a later version adds: addresses
# change through `actions` alone, and who lost a password gets a link from an administrator.
FOR_ALL = frozenset({
    "account_login", "account_logout", "account_inactive", "mfa_authenticate", "mfa_login_webauthn",
    "openid_connect_login", "openid_connect_callback", "socialaccount_login_cancelled", "socialaccount_login_error",
})  # fmt: skip
FOR_ONESELF = frozenset({
    "account_reauthenticate", "account_change_password", "account_set_password", "mfa_index", "mfa_reauthenticate",
    "mfa_activate_totp", "mfa_deactivate_totp", "mfa_view_recovery_codes", "mfa_generate_recovery_codes",
    "mfa_download_recovery_codes", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn", "mfa_edit_webauthn",
})  # fmt: skip


def pages(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[URLPattern]:
    """Return allauth's pages flat, each public, for oneself, or refused."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from pages(pattern.url_patterns, route)
        elif pattern.name in FOR_ALL:
            yield URLPattern(
                RoutePattern(route, pattern.name, is_endpoint=True), _passed(pattern, public), name=pattern.name
            )
        elif pattern.name in FOR_ONESELF:
            guarded = _passed(pattern, needs(SELF_EDIT))
            yield URLPattern(RoutePattern(route, pattern.name, is_endpoint=True), guarded, name=pattern.name)
        elif isinstance(pattern.pattern, RoutePattern) and pattern.name:  # allauth asks for its address
            yield URLPattern(RoutePattern(route, pattern.name, is_endpoint=True), refused, name=pattern.name)


def _passed(pattern: URLPattern, door: Callable[[Any], Any]) -> Any:
    def view(request: HttpRequest, *args: Any, **given: Any) -> Any:
        return pattern.callback(request, *args, **given)

    return door(view)


@public
def refused(_request: HttpRequest, **_given: Any) -> Any:
    """Answer 404: allauth has this page, Mainstay does not."""
    raise Http404


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Sign-up is closed. Wrong passwords are counted so that a stranger cannot lock out whose address they try.

    A browser in which somebody has signed in before has a count of its own; from elsewhere they are counted by address
    and network, by network alone, and by address alone. A one-time link is never refused for them.
    """

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuse to try a password after too many wrong ones; raises a validation error."""
        address = str(credentials.get("email", "")).strip().lower()
        network = network_of(self.get_client_ip(request))
        if browser := known_browser(request, address):
            counted = [(OF_A_KEY, f"{address} {browser}")]
        else:
            counted = [(OF_A_KEY, f"{address} {network}"), (OF_A_NETWORK, network), (OF_AN_ADDRESS, address)]
        usage = ratelimit.RateLimitUsage(usage=[])
        for rate, key in counted:
            more = ratelimit.consume(
                request, app="mainstay", action="login_failed", config={"login_failed": rate}, key=key
            )
            if more is None:
                usage.rollback()  # what was not tried does not count
                raise self.validation_error("too_many_login_attempts")
            usage.usage += more.usage
        self._login_failed_rl_usage = usage  # undone by allauth when the password was right

    def post_login(self, request: HttpRequest, user: Any, **given: Any) -> Any:
        """Make the browser one that is known for this person."""
        response = super().post_login(request, user, **given)
        response.set_signed_cookie(
            settings.KNOWN_COOKIE_NAME,
            f"{user.pk}:{random.token_hex(16)}",
            salt=KNOWN_SALT,
            max_age=KNOWN_FOR_S,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return response


def known_browser(request: HttpRequest, address: str) -> str:
    """Return what a browser is counted by in which the person of this address has signed in; "" for any other."""
    value = str(request.get_signed_cookie(settings.KNOWN_COOKIE_NAME, "", salt=KNOWN_SALT, max_age=KNOWN_FOR_S))
    number, _, browser = value.partition(":")
    known = number and User.objects.filter(pk=int(number), email=address).exists()
    return browser if known else ""


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Who signs in at the issuer for the first time may read reports; an administrator gives more."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> Any:
        user = super().populate_user(request, sociallogin, data)
        user.role = Role.STAKEHOLDER.value
        user.name = data.get("name") or " ".join(filter(None, (data.get("first_name"), data.get("last_name"))))
        return user


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Second factors are stored encrypted."""

    def encrypt(self, text: str) -> str:
        from django.conf import settings

        return secrets.seal(text, settings.SECRET_KEY)

    def decrypt(self, encrypted_text: str) -> str:
        from django.conf import settings

        return secrets.unseal(encrypted_text, settings.SECRET_KEY)
