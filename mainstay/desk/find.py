"""`/find?q=`: anything by name, for Ctrl K. A handful of short queries, whatever has gathered."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import STATUS_VIEW
from mainstay.foundation.parts import Found
from mainstay.kit import nav
from mainstay.kit.regions import ask
from mainstay.wings import WINGS

LONGEST_QUERY = 80


ACTIONS = [action for wing in WINGS for action in wing.actions]
SEARCHES = sorted((search for wing in WINGS for search in wing.searches), key=lambda search: search.at)


@needs(STATUS_VIEW, "GET")
def find(request: HttpRequest) -> HttpResponseBase:
    """Answer the fragment of what `q` finds; without `q`, the places and what can be done."""
    query = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_QUERY]
    actor = actor_of(request)
    words = query.split()[:4]
    groups: list[dict[str, Any]] = [
        {"label": search.label, "items": ask(search.find, words, actor, of=Found)}
        for search in SEARCHES
        if words and actor.may(search.needs)
    ]
    pages = [(place.label, place.words, place.url, "") for place in nav.PLACES]
    actions = [(action.title, action.words, action.url, action.query) for action in ACTIONS]
    for label, places in (("Pages", pages), ("Actions", actions)):
        groups.append({"label": label, "items": [item for place in places if (item := _place(*place, words, actor))]})
    filled = [group for group in groups if group["items"]]
    return render(request, "components/find_results.html", {"groups": filled, "query": query})


def _place(title: str, further: str, url: str, query: str, words: list[str], actor: Actor) -> dict[str, str] | None:
    said = f"{title} {further}".lower()
    if not all(word.lower() in said for word in words):
        return None
    href, needed = nav.address(url)
    if href is None or (needed is not None and not actor.may(needed)):
        return None
    return {"href": f"{href}?{query}" if query else href, "title": title}
