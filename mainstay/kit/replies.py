"""What a page answers to what is asked of it: a message and the page to go on with, or a form with its errors."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from mainstay.foundation import clock
from mainstay.foundation.refusal import Refused
from mainstay.foundation.words.explained import sentence
from mainstay.kit.forms import Form

T = TypeVar("T")


def done(request: HttpRequest, text: str, go_to: str, *, tone: str = "ok") -> HttpResponse:
    """Say `text`. A browser's form goes on to `?next=` (of this host) or `go_to`; htmx stays and shows it as a toast.

    Args:
        tone: ok, warn or bad.
    """
    if request.headers.get("HX-Request") == "true":
        events = {"toast": {"text": text, "tone": tone}, "close-dialog": True, "changed": True}
        # A header holds ASCII only; `json` writes other letters as escapes.
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
    level = {"ok": messages.SUCCESS, "warn": messages.WARNING, "bad": messages.ERROR}[tone]
    messages.add_message(request, level, text)
    return HttpResponseRedirect(next_of(request) or go_to)


def attempt(
    request: HttpRequest, act: Callable[[], T], text: str | Callable[[T], str], go_to: str, *, back: str | None = None
) -> HttpResponse:
    """Do something and say `text`, or what it makes of the result; what refuses it is said instead, at `back`."""
    try:
        found = act()
    except Refused as refused:
        return done(request, sentence(refused.detail, refused.field), back or go_to, tone="bad")
    return done(request, text if isinstance(text, str) else text(found), go_to)


def posted(request: HttpRequest) -> QueryDict | None:
    """Return what a form is bound to: what was posted, or nothing yet."""
    return request.POST if request.method == "POST" else None


def saved(form: Form, put: Callable[[], T], existing: Model | None = None) -> T | None:
    """Do what a filled-in form asks for. None: it asks for nothing, or it shows what is wrong.

    Args:
        existing: the row that `put` changes; after a refusal it is read anew.
    """
    if not form.is_bound or not form.is_valid():
        return None
    try:
        return put()
    except Refused as refused:
        if existing is not None:
            with suppress(ObjectDoesNotExist):  # it may be gone: that is what is said then
                existing.refresh_from_db()
        form.refuse(refused)
        return None


def form_page(request: HttpRequest, template: str, form: Form, context: Mapping[str, Any]) -> HttpResponse:
    """Show the page of a form: for the first time, or with its errors (422)."""
    return render(request, template, {"now": clock.now(), **context, "form": form}, status=422 if form.errors else 200)


def next_of(request: HttpRequest) -> str:
    """Return the address in `next`, when it is one of this host; else an empty text."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(given, {request.get_host()}, require_https=request.is_secure())
    return given if allowed else ""
