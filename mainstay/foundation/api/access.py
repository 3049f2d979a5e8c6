"""Who calls the API: a bearer token, or a signed-in browser (which must then send its CSRF token).

    @router.get("/checks", auth=needs(Permission.OPERATIONS_VIEW))
"""

from datetime import timedelta

from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from mainstay.foundation import secrets
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import Token, User
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import now


USE_NOTED_EVERY = timedelta(minutes=1)


class Needs(AuthBase):
    """Authenticates the caller and requires one permission; the caller's actor becomes `request.auth`."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        super().__init__()

    def __call__(self, request: HttpRequest) -> Actor:
        actor = self._who(request)
        actor.need(self.permission)
        return actor

    def _who(self, request: HttpRequest) -> Actor:
        header = request.headers.get("Authorization", "")
        if header:
            scheme, _, value = header.partition(" ")
            if scheme.lower() != "bearer":
                raise Problem(401, "Send the header Authorization: Bearer <token>.")
            return token_actor(value.strip())
        if isinstance(request.user, User):
            if request.method not in {"GET", "HEAD"} and check_csrf(request) is not None:
                raise Problem(403, "A browser session must send its CSRF token in X-CSRFToken; programs use a token.")
            return request.user.actor
        raise Problem(401, "Sign in, or send the header Authorization: Bearer <token>.")


def needs(permission: Permission) -> Needs:
    """Return the guard of an operation."""
    return Needs(permission)


def token_actor(value: str) -> Actor:
    """Return the actor of a token.

    The lookup is by digest in an index: what an attacker could time is the digest, which says nothing of the token.
    """
    at = now()
    token = Token.objects.filter(digest=secrets.digest(value)).first()
    if token is None or not token.usable(at):
        raise Problem(401, "This token is not known, has expired or was revoked. Create one: mainstay token create.")
    if token.last_used_at is None or at - token.last_used_at > USE_NOTED_EVERY:
        Token.objects.filter(pk=token.pk).update(last_used_at=at)
    return token.actor
