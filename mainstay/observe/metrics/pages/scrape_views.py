"""One scrape, and adding, editing, pausing and removing it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.foundation.yaml.write import dump
from mainstay.kit.live import is_fragment, live
from mainstay.kit.replies import attempt, done, form_page, posted, saved
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.observe.metrics import actions
from mainstay.observe.metrics.health import live as ask_the_monitor
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.pages.forms import ScrapeForm
from mainstay.observe.metrics.pages.target_views import standings

TARGETS_SHOWN, DROPPED_SHOWN, ENTRIES_SHOWN = 500, 20, 10


def _scrape(name: str) -> Scrape:
    return get_object_or_404(Scrape.objects.select_related("application", "environment"), name=name)


def _crumbs(scrape: Scrape | None = None) -> list[dict[str, str]]:
    crumbs = [{"href": reverse("targets"), "label": "Targets"}]
    if scrape is not None:
        crumbs.append({"href": reverse("scrape", args=[scrape.name]), "label": scrape.name})
    return crumbs


@needs(OPERATIONS_VIEW, "GET")
def scrape(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show a scrape: its targets, what keeps targets from being found, and what it says."""
    row = _scrape(name)
    seen = ask_the_monitor()
    standing = next(each for each in standings(seen) if each.row.pk == row.pk)
    found = sorted(seen.of(row.name), key=lambda one: (one.health == "up", one.instance))
    actor = actor_of(request)
    document = actions.shown_spec(row)
    context: dict[str, Any] = {
        "now": clock.now(),
        "fragment": is_fragment(request),
        "scrape": row,
        "health": seen,
        "standing": standing,
        "title": f"{row.name}: {standing.word}." if seen.available else f"Nobody knows how {row.name} stands.",
        "targets": found[:TARGETS_SHOWN],
        "dropped": [
            sorted(each.get("discoveredLabels", {}).items())
            for each in seen.dropped
            if each.get("scrapePool") == row.name
        ][:DROPPED_SHOWN],
        "document": dump({"scrapes": [document]}),
        "entries": [
            line(entry, about=True)
            for entry in Entry.objects.filter(subject=f"scrape:{row.pk}").order_by("-id")[:ENTRIES_SHOWN]
        ],
        "may": {"edit": actor.may(CHECKS_EDIT), "pause": actor.may(MAINTENANCE_EDIT)},
        "crumbs": _crumbs(),
        "place": "targets",
    }
    return live(request, "metrics/scrape.html", context)


@needs(CHECKS_EDIT, "GET", "POST")
def new(request: HttpRequest) -> HttpResponseBase:
    """Add a scrape."""
    return _edit(request, None)


@needs(CHECKS_EDIT, "GET", "POST")
def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    """Change a scrape; one that a file manages is shown, and where to change it."""
    return _edit(request, _scrape(name))


def _edit(request: HttpRequest, row: Scrape | None) -> HttpResponse:
    form = ScrapeForm(posted(request), scrape=row)
    if kept := saved(form, lambda: actions.put_scrape(form.spec, actor_of(request), clock.now(), existing=row)):
        text = f"{kept.name} is scraped from now on." if row is None else f"{kept.name} was saved."
        return done(request, text, reverse("scrape", args=[kept.name]))
    context = {"now": clock.now(), "scrape": row, "crumbs": _crumbs(row), "place": "targets"}
    return form_page(request, "metrics/scrape_edit.html", form, context)


@needs(MAINTENANCE_EDIT, "POST")
def pause(request: HttpRequest, name: str) -> HttpResponseBase:
    """Pause (`paused=1`) or resume a scrape."""
    row = _scrape(name)
    paused = request.POST.get("paused") == "1"
    actions.pause(row, actor_of(request), clock.now(), paused=paused)
    text = f"{row.name} is paused: its series end." if paused else f"{row.name} is scraped again."
    return done(request, text, reverse("scrape", args=[row.name]))


@needs(CHECKS_EDIT, "POST")
def remove(request: HttpRequest, name: str) -> HttpResponseBase:
    """Remove a scrape; the journal keeps its facts, and the store what was measured."""
    row = _scrape(name)
    return attempt(
        request,
        lambda: actions.remove_scrape(row, actor_of(request), clock.now()),
        f"{row.name} was removed.",
        reverse("targets"),
        back=reverse("scrape", args=[row.name]),
    )
