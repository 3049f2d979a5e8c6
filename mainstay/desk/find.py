"""`/find?q=`: anything by name, for Ctrl K. A handful of short queries, whatever has gathered."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import NoReverseMatch, resolve, reverse
from django.views.decorators.http import require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs, permission_of
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.observe.checks import listing
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.models import Channel

SHOWN = 6
LONGEST_QUERY = 80


@dataclass(frozen=True, slots=True)
class Place:
    """A page or an action: its words, the name of its address, and further words it answers to."""

    title: str
    url: str
    words: str = ""
    query: str = ""


PAGES = (
    Place("Now", "now", "home start wrong"),
    Place("Applications", "applications", "services uptime"),
    Place("Checks", "checks", "probes heartbeats monitors"),
    Place("Metrics", "explore", "promql query prometheus explorer graph"),
    Place("Targets", "targets", "scrapes scraping prometheus exporters jobs"),
    Place("Maintenance", "maintenance", "windows downtime"),
    Place("Alerts", "alerts", "incidents firing"),
    Place("Silences", "silences", "mute"),
    Place("Rules", "rules", "alerting recording promql thresholds"),
    Place("Channels and routes", "channels", "slack mail webhook notify"),
    Place("Deliveries", "deliveries", "pages outbox sent"),
    Place("Journal", "journal", "history audit log"),
    Place("People", "people", "users roles"),
    Place("Teams", "teams", "owners groups"),
    Place("API tokens", "tokens", "keys"),
    Place("Settings", "settings", "configuration environment"),
    Place("Your profile", "profile", "time zone name"),
    Place("Your password", "account_change_password"),
    Place("Your second factor", "mfa_index", "mfa totp passkey"),
)
ACTIONS = (
    Place("Add a check", "check_new", "new monitor probe heartbeat"),
    Place("Add a scrape", "scrape_new", "new target prometheus exporter metrics"),
    Place("Add an application", "application_new", "new service"),
    Place("Announce maintenance", "maintenance_new", "window downtime"),
    Place("Checks that are down", "checks", "failing", "status=down"),
    Place("Checks that are paused", "checks", "", "status=paused"),
)


@needs(Permission.STATUS_VIEW)
@require_safe
def find(request: HttpRequest) -> HttpResponseBase:
    """Answer the fragment of what `q` finds; without `q`, the places and what can be done."""
    query = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_QUERY]
    actor = actor_of(request)
    words = query.split()[:4]
    groups: list[dict[str, Any]] = []
    if words:
        groups.append({"label": "Applications", "items": _applications(words)})
        if actor.may(Permission.OPERATIONS_VIEW):
            groups.append({"label": "Checks", "items": _checks(words)})
            groups.append({"label": "Open alerts", "items": _alerts(words)})
            groups.append({"label": "Channels", "items": _channels(words, actor)})
        if actor.may(Permission.PEOPLE_VIEW):
            groups.append({"label": "People", "items": _people(words)})
    for label, places in (("Pages", PAGES), ("Actions", ACTIONS)):
        groups.append({"label": label, "items": [item for place in places if (item := _place(place, words, actor))]})
    filled = [group for group in groups if group["items"]]
    return render(request, "components/find_results.html", {"groups": filled, "query": query})


def _place(place: Place, words: list[str], actor: Actor) -> dict[str, str] | None:
    said = f"{place.title} {place.words}".lower()
    if not all(word.lower() in said for word in words):
        return None
    try:
        href = reverse(place.url)
    except NoReverseMatch:
        return None
    needed = permission_of(resolve(href).func)
    if needed is not None and not actor.may(needed):
        return None
    return {"href": f"{href}?{place.query}" if place.query else href, "title": place.title}


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
    may_edit = actor.may(Permission.DELIVERY_EDIT)
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
