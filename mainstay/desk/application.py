"""One application: how it is, what it is made of, how it fared, what happened. Wings draw it."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import needs
from mainstay.foundation.accounts.permissions import STATUS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.kit.live import is_fragment, live
from mainstay.kit.regions import region

_REGIONS = ("live", "recent")
_BESIDE = ("buttons", "below", "side")
"""Drawn once, with the page."""


@needs(STATUS_VIEW, "GET")
def application(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show one application."""
    now = clock.now()
    one = get_object_or_404(Application.objects.select_related("owner"), name=name)
    alone = [part for part in _REGIONS if is_fragment(request, part)]
    found = {part: region("application", part, request, now, one) for part in alone or (*_REGIONS, *_BESIDE)}
    context: dict[str, Any] = {
        "now": now,
        "fragment": is_fragment(request),
        "parts": {part: drawn.html for part, drawn in found.items()},
        "name": one.name,
        "crumbs": [{"href": reverse("applications"), "label": "Applications"}],
        "place": "applications",
    }
    if "live" in found:
        context |= {"title": found["live"].says or one.name, "facts": found["live"].facts}
    return live(request, "application.html", context, part=(alone or _REGIONS)[0])
