"""`/find?q=`: anything by name, for Ctrl K. A handful of short queries, whatever has gathered."""

from typing import Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW, PEOPLE_VIEW, STATUS_VIEW
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.kit import nav
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.pages import listing
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.wing import DELIVERY_EDIT
from mainstay.wings import WINGS

SHOWN = 6
LONGEST_QUERY = 80


ACTIONS = [action for wing in WINGS for action in wing.actions]


@needs(STATUS_VIEW)
@require_safe
def find(request: HttpRequest) -> HttpResponseBase:
    """Answer the fragment of what `q` finds; without `q`, the places and what can be done."""
    query = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_QUERY]
    actor = actor_of(request)
    words = query.split()[:4]
    groups: list[dict[str, Any]] = []
    if words:
        groups.append({"label": "Applications", "items": _applications(words)})
        if actor.may(OPERATIONS_VIEW):
            groups.append({"label": "Checks", "items": _checks(words)})
            groups.append({"label": "Open alerts", "items": _alerts(words)})
            groups.append({"label": "Channels", "items": _channels(words, actor)})
        if actor.may(PEOPLE_VIEW):
            groups.append({"label": "People", "items": _people(words)})
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


def _applications(words: list[str]) -> list[dict[str, str]]:
    found = Application.objects.all()
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(description__icontains=word))
    return [
        {
            "href": reverse("application", args=[one.name]),
            "title": one.name,
            "detail": f"{TIERS.get(one.tier, one.tier).lower()} application",
        }
        for one in found.order_by("name")[:SHOWN]
    ]


def _checks(words: list[str]) -> list[dict[str, str]]:
    now = clock.now()
    found = Check.objects.annotate(label_text=Cast("labels", TextField()))
    for word in " ".join(words).replace("/", " ").split():
        found = found.filter(
            Q(name__icontains=word)
            | Q(target__icontains=word)
            | Q(application__name__icontains=word)
            | Q(label_text__icontains=word)
        )
    some = [listing.row_of(values) for values in found.order_by("name", "id").values_list(*listing.QUICK)[: SHOWN + 2]]
    open_now = listing.open_windows(now) if some else []
    return [
        {
            "href": f"/checks/{row.id}/",
            "title": row.name,
            "detail": " · ".join(part for part in (row.application, row.environment, row.target) if part),
            "state": row.shown(open_now, now).status.value,
        }
        for row in some
    ]


def _alerts(words: list[str]) -> list[dict[str, str]]:
    found = Alert.objects.filter(ended_at=None)
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(summary__icontains=word))
    rows = list(found.order_by("-id")[:SHOWN])
    first = words[0].removeprefix("#")
    if len(words) == 1 and first.isascii() and first.isdecimal() and len(first) < 19:
        rows = [*Alert.objects.filter(pk=int(first)), *rows]
    return [
        {
            "href": f"/alerts/{row.pk}/",
            "title": row.name,
            "detail": f"alert {row.pk}, {row.severity}",
            "state": row.state,
        }
        for row in rows
    ]


def _channels(words: list[str], actor: Actor) -> list[dict[str, str]]:
    may_edit = actor.may(DELIVERY_EDIT)
    found = Channel.objects.all()
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(target__icontains=word) | Q(kind__icontains=word))
    return [
        {
            "href": f"/channels/{row.name}/" if may_edit else "/channels/",
            "title": row.name,
            "detail": f"{row.kind} · {row.target}",
        }
        for row in found.order_by("name")[:SHOWN]
    ]


def _people(words: list[str]) -> list[dict[str, str]]:
    found = User.objects.filter(is_active=True)
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(email__icontains=word))
    people: list[dict[str, str]] = []
    for row in found.order_by("email")[:SHOWN]:
        try:
            href = reverse("person", args=[row.pk])
        except NoReverseMatch:
            href = f"/journal/?actor=user%3A{row.pk}"
        people.append({"href": href, "title": str(row), "detail": row.email})
    return people
