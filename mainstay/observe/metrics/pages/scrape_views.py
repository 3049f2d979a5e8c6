"""One scrape, and adding, editing, pausing and removing it."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.journal.pages.lines import latest
from mainstay.foundation.resource import UNREADABLE
from mainstay.foundation.yaml.write import dump
from mainstay.kit.editing import Editing
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.replies import done, posted
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.observe.metrics import actions
from mainstay.observe.metrics.health import live as ask_the_monitor
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.pages.forms import ScrapeForm
from mainstay.observe.metrics.pages.target_views import standings
from mainstay.observe.metrics.resource import SCRAPES

TARGETS_SHOWN, DROPPED_SHOWN, ENTRIES_SHOWN = 500, 20, 10


def _scrape(name: str) -> Scrape:
    return get_object_or_404(Scrape.objects.select_related("application", "environment"), name=name)


@needs(OPERATIONS_VIEW, "GET")
def scrape(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show a scrape: its targets, what keeps targets from being found, and what it says."""
    row = _scrape(name)
    seen = ask_the_monitor()
    standing = next(each for each in standings(seen) if each.row.pk == row.pk)
    found = sorted(seen.of(row.name), key=lambda one: (one.health == "up", one.instance))
    actor = actor_of(request)
    context: dict[str, Any] = {
        "scrape": row,
        "health": seen,
        "standing": standing,
        "title": f"{row.name}: {standing.word}." if seen.available else f"{row.name}: no data yet.",
        "targets": found[:TARGETS_SHOWN],
        "dropped": [
            sorted(each.get("discoveredLabels", {}).items())
            for each in seen.dropped
            if each.get("scrapePool") == row.name
        ][:DROPPED_SHOWN],
        "document": _as_a_file(row),
        "entries": latest(f"scrape:{row.pk}", ENTRIES_SHOWN),
        "may": {"edit": actor.may(CHECKS_EDIT), "pause": actor.may(MAINTENANCE_EDIT)},
        **trail("targets"),
    }
    return live(request, "metrics/scrape.html", context)


def _as_a_file(row: Scrape) -> str:
    try:
        return dump({"scrapes": [actions.shown_spec(row)]})
    except UNREADABLE:
        return "# What is stored cannot be read. Write it anew: edit it here, or apply its file.\n"


class ScrapePages(Editing[Scrape]):
    """Scrapes. The journal keeps the facts of one that is removed, and the store what was measured."""

    resource, permission, model = SCRAPES, CHECKS_EDIT, Scrape
    place, page, template = "targets", "scrape", "metrics/scrape_edit.html"

    def form_of(self, request: HttpRequest, row: Scrape | None, **given: str) -> ScrapeForm:
        return ScrapeForm(posted(request), scrape=row)

    def said(self, kept: Scrape, *, new: bool) -> str:
        return f"{kept.name} is scraped from now on." if new else super().said(kept, new=new)


SCRAPE = ScrapePages()


@needs(MAINTENANCE_EDIT, "POST")
def pause(request: HttpRequest, name: str) -> HttpResponseBase:
    """Pause (`paused=1`) or resume a scrape."""
    row = _scrape(name)
    paused = request.POST.get("paused") == "1"
    actions.pause(row, actor_of(request), clock.now(), paused=paused)
    text = f"{row.name} is paused: its series end." if paused else f"{row.name} is scraped again."
    return done(request, text, reverse("scrape", args=[row.name]))
