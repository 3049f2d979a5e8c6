"""Every page declares the permission it needs; `SignInRequired` (kit/security.py) refuses one that declares nothing.

@needs(CHECKS_EDIT, "GET", "POST")
def edit(request): …
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, cast

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed

from mainstay.foundation.accounts.actor import Actor, NotAllowed
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Permission

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def actor_of(request: HttpRequest) -> Actor:
    """Return who is signed in.

    Raises:
        NotAllowed: nobody is.
    """
    user = request.user
    if not isinstance(user, User):
        raise NotAllowed("Nobody is signed in.")
    return user.actor


def needs(permission: Permission, *methods: Literal["GET", "POST"]) -> Callable[[View[P]], View[P]]:
    """Let only those call the page who hold `permission`; the rest get 403 with the reason.

    Args:
        methods: how the page may be called ("GET" with HEAD); any other method gets 405. None: in any way.
    """
    taken = [*methods, "HEAD"] if "GET" in methods else [*methods]

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            actor_of(request).need(permission)
            if taken and request.method not in taken:
                return HttpResponseNotAllowed(taken)
            return view(request, *args, **kwargs)

        marked = cast(Any, guarded)
        marked.permission, marked.methods = permission, taken
        return cast(View[P], marked)

    return decorate


def permission_of(view: Callable[..., Any]) -> Permission | None:
    """Return the permission that a page declares (`needs`), or None: those of the sign-in library are everybody's."""
    found: Permission | None = getattr(view, "permission", None)
    return found


def public(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a page that needs no sign-in."""
    view.public = True  # type: ignore[attr-defined]  # read by SignInRequired
    return view
