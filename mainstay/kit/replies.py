"""What a page answers after it has done something: a message, and the page to go on with."""

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme


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


def next_of(request: HttpRequest) -> str:
    """Return the address in `next`, when it is one of this host; else an empty text."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(given, {request.get_host()}, require_https=request.is_secure())
    return given if allowed else ""
