"""The pages of people: who may do what, who is here, who gets in."""

from datetime import datetime, timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts import actions, own
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.models import SignInLink, User
from mainstay.foundation.accounts.pages.browsers import browser_of
from mainstay.foundation.accounts.pages.forms import InviteForm, PersonForm
from mainstay.foundation.accounts.permissions import (
    PEOPLE_EDIT,
    PEOPLE_VIEW,
    PERMISSIONS,
    Role,
)
from mainstay.foundation.journal.pages.lines import latest
from mainstay.kit.lists import Wanted, columns, export, with_words
from mainstay.kit.nav import trail
from mainstay.kit.replies import attempt, done, form_page, posted, saved

LINK_LASTS = timedelta(days=3)
ENTRIES_SHOWN = 20
COLUMNS = columns(
    "id=pk email name role active=is_active second_factor sessions last_sign_in=last_login time_zone created_at"
)


def tabs(current: str) -> list[dict[str, Any]]:
    """Return the bar above the pages of people."""
    pages = (("people", "People"), ("teams", "Teams"), ("tokens", "API tokens"), ("permissions", "Permissions"))
    return [{"href": reverse(name), "label": label, "current": name == current} for name, label in pages]


def with_access(now: datetime) -> QuerySet[User]:
    """Return people with `second_factor` and the number of their `sessions` that are not over."""
    factor = Authenticator.objects.filter(user=OuterRef("pk")).exclude(type=Authenticator.Type.RECOVERY_CODES)
    live = Session.objects.filter(session_key=OuterRef("usersession__session_key"), expire_date__gt=now)
    return User.objects.annotate(
        second_factor=Exists(factor), sessions=Count("usersession", filter=Exists(live), distinct=True)
    )


@needs(PEOPLE_VIEW, "GET")
def people(request: HttpRequest) -> HttpResponseBase:
    """List people: role, second factor, sessions, last sign-in."""
    now = clock.now()
    wanted = Wanted(request)
    found_by = wanted.search("Name or address")
    role = wanted.choose("role", "Any role", [(each.value, each.label) for each in Role], known=True)
    rows = with_words(with_access(now).order_by("-is_active", "name", "email"), found_by, "email", "name")
    if role:
        rows = rows.filter(role=role)
    file = export(request, "people", COLUMNS, rows)
    if file is not None:
        return file
    found = list(rows[:1_000])
    active = [user for user in found if user.is_active]
    bare = sum(1 for user in active if not getattr(user, "second_factor", False))
    context: dict[str, Any] = {
        "people": found,
        "active": len(active),
        "bare": bare,
        "can_edit": actor_of(request).may(PEOPLE_EDIT),
        "tabs": tabs("people"),
        "filters": wanted.filters,
        "roles": {each.value: each.label for each in Role},
        "place": "people",
    }
    return render(request, "accounts/people.html", context)


@needs(PEOPLE_VIEW, "GET")
def permissions(request: HttpRequest) -> HttpResponse:
    """Show the table that decides who may do what."""
    table = [{"permission": one, "cells": [(role, role in one.roles) for role in Role]} for one in PERMISSIONS]
    context = {"table": table, "roles": list(Role), "tabs": tabs("permissions"), "place": "people"}
    return render(request, "accounts/permissions.html", context)


@needs(PEOPLE_EDIT, "GET", "POST")
def invite(request: HttpRequest) -> HttpResponse:
    """Add a person and show once the link by which they sign in."""
    form = InviteForm(posted(request))

    def put() -> User:
        given = form.cleaned_data
        role, actor, zone = Role(given["role"]), actor_of(request), given["time_zone"]
        return actions.create_user(given["email"], role, given["name"], actor, clock.now(), time_zone=zone)

    if user := saved(form, put):
        return _show_link(request, user)
    return form_page(request, "accounts/invite.html", form, trail("people"))


@needs(PEOPLE_EDIT, "POST")
def link(request: HttpRequest, user_id: int) -> HttpResponse:
    """Make a new one-time link for a person who is locked out; earlier ones are void."""
    user = _user(user_id)
    if not user.is_active:
        return done(request, f"{user} is deactivated: a link would not let them in.", _page(user), tone="warn")
    return _show_link(request, user)


def _show_link(request: HttpRequest, user: User) -> HttpResponse:
    now = clock.now()
    address = actions.make_sign_in_link(user, actor_of(request), now, LINK_LASTS)
    context = {
        "person": user,
        "link": address,
        "until": now + LINK_LASTS,
        **trail("people", (_page(user), str(user))),
    }
    return render(request, "accounts/link.html", context)


@needs(PEOPLE_VIEW, "GET", "POST")
def person(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show one person: access, teams, journal; administrators change name, role and zone here."""
    user = _user(user_id)
    actor, now = actor_of(request), clock.now()
    can_edit = actor.may(PEOPLE_EDIT)
    initial = {"email": user.email, "name": user.name, "role": user.role, "time_zone": user.time_zone}
    form = PersonForm(posted(request), initial=initial)

    def put() -> str:
        given = form.cleaned_data
        ended = actions.edit_user(user, actor, now, **given | {"role": Role(given["role"])})
        return f"{user} was saved.{actions.ended_too(ended)}"

    if form.is_bound:
        actor.need(PEOPLE_EDIT)
    if said := saved(form, put):
        return done(request, said, _page(user))
    context: dict[str, Any] = {
        "person": with_access(now).get(pk=user.pk),
        "role": Role(user.role).label,
        "can_edit": can_edit,
        "myself": user.pk == request.user.pk,
        "sessions": sessions_of(user, now),
        "teams": list(user.teams.order_by("name")),
        "tokens": [token for token in user.tokens.order_by("name") if token.usable(now)],
        "open_link": SignInLink.objects.filter(user=user, used_at=None, expires_at__gt=now).first(),
        "entries": latest(f"user:{user.pk}", ENTRIES_SHOWN),
        **trail("people"),
    }
    return form_page(request, "accounts/person.html", form, context)


def sessions_of(user: User, now: datetime) -> list[dict[str, Any]]:
    """Return a person's sessions that are not over, newest first: id, key, browser, ip, created_at, user_agent."""
    live = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=now)
    rows = UserSession.objects.filter(Exists(live), user=user).order_by("-created_at")[:100]
    return [
        {
            "id": row.pk,
            "key": row.session_key,
            "browser": browser_of(row.user_agent),
            "user_agent": row.user_agent,
            "ip": row.ip,
            "created_at": row.created_at,
        }
        for row in rows
    ]


@needs(PEOPLE_EDIT, "POST")
def sign_out(request: HttpRequest, user_id: int) -> HttpResponse:
    """End all sessions of a person."""
    user = _user(user_id)
    ended = own.revoke_sessions(user, actor_of(request), clock.now())
    return done(request, f"{user} was signed out of {ended} session{'' if ended == 1 else 's'}.", _page(user))


@needs(PEOPLE_EDIT, "POST")
def second_factor(request: HttpRequest, user_id: int) -> HttpResponse:
    """Remove a person's second factor, whose device is lost."""
    user = _user(user_id)
    if own.remove_second_factor(user, actor_of(request), clock.now()):
        return done(request, f"{user} signs in by password alone now, until they set up another.", _page(user))
    return done(request, f"{user} has no second factor.", _page(user), tone="warn")


@needs(PEOPLE_EDIT, "POST")
def deactivate(request: HttpRequest, user_id: int) -> HttpResponse:
    """Take a person's access away. Their name stays in the journal."""
    user = _user(user_id)
    return attempt(
        request,
        lambda: actions.deactivate(user, actor_of(request), clock.now()),
        lambda ended: f"{user} was deactivated and signed out everywhere.{actions.ended_too(ended)}",
        reverse("people"),
        back=_page(user),
    )


@needs(PEOPLE_EDIT, "POST")
def reactivate(request: HttpRequest, user_id: int) -> HttpResponse:
    """Give a deactivated person their access back."""
    user = _user(user_id)
    if user.is_active:
        return done(request, f"{user} has access already.", _page(user), tone="warn")
    actions.reactivate(user, actor_of(request), clock.now())
    text = f"{user} may sign in again. The old password is gone: make a new sign-in link and send it to them."
    return done(request, text, _page(user))


def _user(user_id: int) -> User:
    return get_object_or_404(User, pk=user_id)


def _page(user: User) -> str:
    return reverse("person", args=[user.pk])
