"""`/`: what is wrong, who has it, what is due. One sentence first, then the facts that it rests on."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, STATUS_VIEW, Role
from mainstay.kit import nav
from mainstay.kit.live import is_fragment, live
from mainstay.kit.regions import region

_ROLES_OF_FIGURES = {Role.PRODUCT.value, Role.STAKEHOLDER.value}
_REGIONS = ("live", "fleet", "side")
_BESIDE = ("buttons",)
"""Drawn once, with the page."""


@needs(STATUS_VIEW, "GET")
def now_page(request: HttpRequest) -> HttpResponseBase:
    """Say how things are; those who look after them see what is wrong and what they are to do."""
    now = clock.now()
    context: dict[str, Any] = {"now": now, "place": "now", "fragment": is_fragment(request)}
    wanted = [name for name in _REGIONS if is_fragment(request, name)] or [*_REGIONS, *_BESIDE]
    found = {name: region("now", name, request, now) for name in wanted}
    if "live" in found:
        title = found["live"].says or "Nothing is wrong."
        context |= {"title": title, "tab": title.rstrip("."), "facts": found["live"].facts}
    context |= {
        "parts": {name: one.html for name, one in found.items()},
        "inside": actor_of(request).may(OPERATIONS_VIEW),
        "figures_first": getattr(request.user, "role", "") in _ROLES_OF_FIGURES,
        "counts": nav.counts(request) if "live" in found and is_fragment(request) else [],
    }
    return live(request, "now.html", context, part=wanted[0])
