"""How allauth behaves here: nobody signs up by themselves; people come by invitation, link or single sign-on."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from mainstay.foundation import secrets
from mainstay.foundation.accounts.permissions import Role

try:
    from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
except ImportError:  # the app is not installed while no issuer is set
    DefaultSocialAccountAdapter = object


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
