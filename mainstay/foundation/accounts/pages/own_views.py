"""The own account, and the way in by a one-time link."""

from datetime import timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.account.signals import password_set
from allauth.account.utils import perform_login
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from mainstay.foundation import clock, secrets
from mainstay.foundation.accounts import actions, own
from mainstay.foundation.accounts.access import actor_of, needs, public
from mainstay.foundation.accounts.models import SignInLink, User
from mainstay.foundation.accounts.pages.forms import FirstPasswordForm, OwnForm
from mainstay.foundation.accounts.pages.views import sessions_of, with_access
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, SELF_EDIT, Role
from mainstay.foundation.accounts.sessions import stored_key
from mainstay.foundation.accounts.signals import ONE_TIME_LINK
from mainstay.kit.replies import done, form_page, posted, saved

CAME_BY_LINK = "came_by_link_at"
CHOOSE_WITHIN = timedelta(minutes=30)
"""For so long after the link a password can be chosen without knowing the one before."""


@needs(SELF_EDIT, "GET", "POST")
def me(request: HttpRequest) -> HttpResponse:
    """Show and change the own account."""
    user, now = _myself(request), clock.now()
    initial = {"name": user.name, "time_zone": user.time_zone}
    form = OwnForm(posted(request), initial=initial)

    def put() -> bool:
        own.edit_own(user, actor_of(request), now, **form.cleaned_data)
        return True

    if saved(form, put):
        return done(request, "Saved.", reverse("profile"))
    context: dict[str, Any] = {
        "person": with_access(now).get(pk=user.pk),
        "role": Role(user.role).label,
        "has_password": user.has_usable_password(),
        "sessions": sessions_of(user, now),
        "this_session": stored_key(request.session.session_key),
        "sees_journal": user.actor.may(OPERATIONS_VIEW),
    }
    return form_page(request, "accounts/me.html", form, context)


@needs(SELF_EDIT, "POST")
def revoke(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one of the own sessions."""
    session = get_object_or_404(UserSession, pk=session_id, user=_myself(request))
    if session.session_key == stored_key(request.session.session_key):
        return done(request, "That is this session: sign out instead.", reverse("profile"), tone="warn")
    own.revoke_session(session, actor_of(request), clock.now())
    return done(request, "That browser is signed out.", reverse("profile"))


@needs(SELF_EDIT, "POST")
def revoke_others(request: HttpRequest) -> HttpResponse:
    """End all own sessions but this one."""
    user, now = _myself(request), clock.now()
    others = UserSession.objects.filter(user=user).exclude(session_key=stored_key(request.session.session_key))
    ended = 0
    for session in others.select_related("user"):
        own.revoke_session(session, actor_of(request), now)
        ended += 1
    return done(request, f"Signed out of {ended} other browser{'' if ended == 1 else 's'}.", reverse("profile"))


@public
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in by a one-time link.

    A GET changes nothing, since mail programs and chats open links to preview them; the button uses the link up.
    """
    now = clock.now()
    if request.method != "POST":
        link = SignInLink.objects.filter(digest=secrets.digest(token), used_at=None, expires_at__gt=now).first()
        response = render(request, "accounts/sign_in.html", {"usable": link is not None}, status=200 if link else 410)
        return _unseen(response)
    user = actions.use_sign_in_link(token, now)
    if user is None:
        return _unseen(render(request, "accounts/sign_in.html", {"usable": False}, status=410))
    request.session.flush()  # whoever was signed in here is no longer
    # The link stands for the password; a second factor is still asked for.
    record_authentication(request, user, "one-time link")
    request.session[CAME_BY_LINK] = now.timestamp()
    response = perform_login(
        request, user, redirect_url=reverse("sign_in_password"), signal_kwargs={ONE_TIME_LINK: True}
    )
    return _unseen(response)


def _unseen(response: HttpResponse) -> HttpResponse:
    return response


@needs(SELF_EDIT, "GET", "POST")
@sensitive_post_parameters()
def password(request: HttpRequest) -> HttpResponse:
    """Choose a password after coming by a one-time link."""
    user, now = _myself(request), clock.now()
    came = request.session.get(CAME_BY_LINK)
    if came is None or now.timestamp() - came > CHOOSE_WITHIN.total_seconds():
        return redirect("account_change_password" if user.has_usable_password() else "account_set_password")
    form = FirstPasswordForm(user, posted(request))
    if form.is_valid():
        get_adapter().set_password(user, form.cleaned_data["new_password1"])
        update_session_auth_hash(request, user)
        request.session.pop(CAME_BY_LINK, None)
        password_set.send(sender=User, request=request, user=user)  # moves the entry in the list of sessions along
        messages.success(request, "Your password is set. Add a second factor next: it takes a minute.")
        return redirect("profile")
    return form_page(request, "accounts/first_password.html", form, {"has_password": user.has_usable_password()})


def _myself(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # `needs` let nobody else in
    return request.user
