"""One scrape, and adding, editing, pausing and removing it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.foundation.refusal import Refused
from mainstay.foundation.yaml.write import dump
from mainstay.kit.live import is_fragment, live
from mainstay.kit.replies import done
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


@needs(OPERATIONS_VIEW)
@require_safe
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


@needs(CHECKS_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponseBase:
    """Add a scrape."""
    form = ScrapeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        saved = _put(request, form)
        if saved is not None:
            return done(request, f"{saved.name} is scraped from now on.", reverse("scrape", args=[saved.name]))
    return _form_page(request, form, None)


@needs(CHECKS_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    """Change a scrape; one that a file manages is shown, and where to change it."""
    row = _scrape(name)
    form = ScrapeForm(request.POST if request.method == "POST" else None, scrape=row)
    if request.method == "POST" and form.is_valid():
        saved = _put(request, form)
        if saved is not None:
            return done(request, f"{saved.name} was saved.", reverse("scrape", args=[saved.name]))
    return _form_page(request, form, row)


def _form_page(request: HttpRequest, form: ScrapeForm, row: Scrape | None) -> HttpResponse:
    if row is not None and row.managed_by and not form.is_bound:
        for field in form.fields.values():
            field.disabled = True
    context = {"now": clock.now(), "form": form, "scrape": row, "crumbs": _crumbs(row), "place": "targets"}
    return render(request, "metrics/scrape_edit.html", context, status=422 if form.errors else 200)


def _put(request: HttpRequest, form: ScrapeForm) -> Scrape | None:
    assert form.spec is not None  # a valid form has one
    try:
        return actions.put_scrape(form.spec, actor_of(request), clock.now(), existing=form.scrape)
    except Refused as refused:
        form.refuse(refused)
        return None


@needs(MAINTENANCE_EDIT)
@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponseBase:
    """Pause (`paused=1`) or resume a scrape."""
    row = _scrape(name)
    paused = request.POST.get("paused") == "1"
    actions.pause(row, actor_of(request), clock.now(), paused=paused)
    text = f"{row.name} is paused: its series end." if paused else f"{row.name} is scraped again."
    return done(request, text, reverse("scrape", args=[row.name]))


@needs(CHECKS_EDIT)
@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponseBase:
    """Remove a scrape; the journal keeps its facts, and the store what was measured."""
    row = _scrape(name)
    try:
        actions.remove_scrape(row, actor_of(request), clock.now())
    except Refused as refused:
        return done(request, f"{refused.detail}.", reverse("scrape", args=[row.name]), tone="bad")
    return done(request, f"{row.name} was removed.", reverse("targets"))
