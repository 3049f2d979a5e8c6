"""How allauth behaves here: nobody signs up by themselves; people come by invitation, link or single sign-on."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import Http404, HttpRequest
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern

from mainstay.foundation import secrets
from mainstay.foundation.accounts.access import needs, public
from mainstay.foundation.accounts.permissions import SELF_EDIT, Role

try:
    from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
except ImportError:  # the app is not installed while no issuer is set
    DefaultSocialAccountAdapter = object

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
    """Sign-up is closed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


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
