"""The navigation: which places a person may open, and which is the present one."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from mainstay.foundation.accounts.access import permission_of
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.guarded import guarded
from mainstay.foundation.wing import GROUPS, Place

PLACES: list[Place] = []
"""The places of all wings, in the order of the navigation; the desk fills it. One whose address does not exist yet is
not shown, nor is one that the person may not open: its page says which permission it needs."""


def open_to(request: HttpRequest | None, current: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return the groups of places that the person may open, above and below.

    Args:
        current: the name of the place to mark as the present one; else it is told by the address.
    """
    path = request.path if request else ""
    actor = getattr(getattr(request, "user", None), "actor", None)  # nobody's has none
    items: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    for place in PLACES:
        href, needed = address(place.url)
        if not place.icon or href is None or (needed is not None and not (actor and actor.may(needed))):
            continue
        items[place.group].append({
            "label": place.label, "name": place.url, "href": href, "icon": place.icon, "key": place.key,
            "bottom": place.bottom, "count": SimpleLazyObject(partial(_count, place.count)) if place.count else None,
        })  # fmt: skip
    every = [item for group in items.values() for item in group]
    if not current:
        here = [item for item in every if _is_below(path, item["href"])]
        current = max(here, key=lambda item: len(item["href"]))["name"] if here else None
    for item in every:
        item["current"] = item["name"] == current
    groups = {
        group: [{"title": group if group.istitle() else "", "items": some}] for group, some in items.items() if some
    }
    below = groups.pop("below", [])
    return {"groups": [one for group in groups.values() for one in group], "below": below}


def trail(*steps: str | tuple[str, str]) -> dict[str, Any]:
    """Return what a page's context says of where it stands: its place in the navigation, and the crumbs to it.

    Args:
        steps: names of places, the first of which is the present one, or an address with its label.
    """
    labels = {place.url: place.label for place in PLACES}
    pairs = [step if isinstance(step, tuple) else (reverse(step), labels[step]) for step in steps]
    return {"place": steps[0], "crumbs": [{"href": href, "label": label} for href, label in pairs]}


def _count(path: str) -> object:
    """Return the number beside a place; nothing when it cannot be told: it stands on every page."""
    return guarded(path, import_string(path), "")


def counts(request: HttpRequest) -> list[Mapping[str, object]]:
    """Return the numbers beside places that the person may open, as elements to replace: their ids and `n`."""
    items = [item for one in open_to(request, None)["groups"] for item in one["items"] if item["count"] is not None]
    return [{"id": f"{of}{item['name']}", "n": item["count"]} for item in items for of in ("count-", "count-bar-")]


def _is_below(path: str, href: str) -> bool:
    return path == href or (href != "/" and path.startswith(href))


def address(name: str) -> tuple[str | None, Permission | None]:
    """Return the address of a page and the permission that it needs; None and None when there is no such page."""
    return _address_in(name, settings.ROOT_URLCONF)


def numbered(name: str, number: int) -> str:
    """Return the address of a page that has a number: `reverse`, for lists that ask it a thousand times."""
    before, after = _around_number(name, settings.ROOT_URLCONF)
    return f"{before}{number}{after}"


@cache
def _around_number(name: str, urlconf: str) -> tuple[str, str]:
    before, _, after = reverse(name, args=[0], urlconf=urlconf).rpartition("0")
    return before, after


@cache
def _address_in(name: str, urlconf: str) -> tuple[str | None, Permission | None]:
    try:
        href = reverse(name, urlconf=urlconf)
    except NoReverseMatch:
        return None, None
    return href, permission_of(resolve(href, urlconf=urlconf).func)
