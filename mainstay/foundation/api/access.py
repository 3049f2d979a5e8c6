"""Who calls the API: a bearer token, or a signed-in browser (which must then send its CSRF token).

@router.get("/checks", auth=needs(OPERATIONS_VIEW))
"""

import logging
from datetime import timedelta

from django.db import DatabaseError
from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from mainstay.foundation import secrets
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import Token, User
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import now
from mainstay.foundation.http.pool import vouch

log = logging.getLogger("mainstay.api")
USE_NOTED_EVERY = timedelta(minutes=1)
SAFE_METHODS = frozenset({"GET", "HEAD"})
TOKEN_LONGEST = 200


class Needs(AuthBase):
    """Authenticates the caller and requires one permission; the caller's actor becomes `request.auth`."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        super().__init__()

    def __call__(self, request: HttpRequest) -> Actor:
        """Return who calls.

        Raises:
            Problem: 401, or 403 for a session without CSRF token.
            NotAllowed: the role lacks the permission.
        """
        known = getattr(request, "auth", None)  # asked before, by what handles Idempotency-Key
        actor = known if isinstance(known, Actor) else caller(request)
        vouch(request.META)
        actor.need(self.permission)
        request.auth = actor  # type: ignore[attr-defined]  # where ninja puts it, too
        return actor


def needs(permission: Permission) -> Needs:
    """Return the guard of an operation."""
    return Needs(permission)


def actor_of(request: HttpRequest) -> Actor:
    """Return who calls an operation that is guarded by `needs`."""
    actor = getattr(request, "auth", None)
    if not isinstance(actor, Actor):
        raise TypeError(f"{request.path} is not guarded by needs(…)")
    return actor


def caller(request: HttpRequest) -> Actor:
    """Return the actor of a request's token or session.

    Raises:
        Problem: 401, or 403 for a session without CSRF token.
    """
    header = request.headers.get("Authorization", "")
    if header:
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Problem(401, "Send the header Authorization: Bearer <token>.")
        return token_actor(value.strip())
    if isinstance(request.user, User):
        if request.method not in SAFE_METHODS and check_csrf(request) is not None:
            raise Problem(403, "A browser session must send its CSRF token in X-CSRFToken; programs use a token.")
        return request.user.actor
    raise Problem(401, "Sign in, or send the header Authorization: Bearer <token>.")


def token_actor(value: str) -> Actor:
    """Return the actor of a token.

    The lookup is by digest in an index: what an attacker could time is the digest, which says nothing of the token.

    Raises:
        Problem: 401.
    """
    at = now()
    known = len(value) <= TOKEN_LONGEST
    token = Token.objects.filter(digest=secrets.digest(value)).first() if known else None
    if token is None or not token.usable(at):
        raise Problem(401, "This token is not known, has expired or was revoked. Create one: mainstay token create.")
    if token.last_used_at is None or at - token.last_used_at > USE_NOTED_EVERY:
        try:
            Token.objects.filter(pk=token.pk).update(last_used_at=at)
        except DatabaseError as error:  # reading must work while the database cannot be written
            log.warning("the use of token %s could not be noted: %s", token.name, error)
    return token.actor
