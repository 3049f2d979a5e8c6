"""Routes: adding, editing, ordering them, and asking who would be paged."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.refusal import Managed
from mainstay.kit.replies import done, form_page, posted, saved
from mainstay.respond.alerts.decide import AlertFacts, World, decide
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.pages import story
from mainstay.respond.alerts.pages.forms import RouteForm, TesterForm, route_initial
from mainstay.respond.alerts.routes import move_route, put_route, remove_route, routes
from mainstay.respond.alerts.surroundings import silences
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.wing import DELIVERY_EDIT


@needs(DELIVERY_EDIT, "GET", "POST")
def create(request: HttpRequest) -> HttpResponse:
    """Add a route, at the end."""
    return _edit(request, None)


@needs(DELIVERY_EDIT, "GET", "POST")
def edit(request: HttpRequest, route_id: int) -> HttpResponse:
    """Edit a route; one that a file manages is shown only."""
    return _edit(request, _route(route_id))


def _edit(request: HttpRequest, row: Route | None) -> HttpResponse:
    channels = Channel.objects.order_by("name").values_list("name", "target")
    form = RouteForm(posted(request), channels=channels, initial=route_initial(row) if row is not None else None)
    if row is not None and row.managed_by:
        form.lock()
    if kept := saved(
        form, lambda: put_route(form.cleaned_data["spec"], actor_of(request), clock.now(), existing=row), row
    ):
        text = f"Route {kept} was saved." if row is not None else f"Route {kept} was added, as the last one."
        return done(request, text, f"{reverse('channels')}#routes")
    crumbs = [{"href": reverse("channels"), "label": "Channels and routes"}]
    return form_page(request, "alerts/route_form.html", form, {"route": row, "crumbs": crumbs, "place": "channels"})


@needs(DELIVERY_EDIT, "POST")
def move(request: HttpRequest, route_id: int) -> HttpResponse:
    """Move a route before the one above it (`to=up`) or after the one below it (`to=down`)."""
    row, up, back = _route(route_id), request.POST.get("to") == "up", f"{reverse('channels')}#routes"
    try:
        moved = move_route(row, actor_of(request), clock.now(), up=up)
    except Managed as error:
        return done(request, f"{error}.", back, tone="bad")
    if not moved:
        return done(request, f"{row} is the {'first' if up else 'last'} already.", back, tone="warn")
    return done(request, f"{row} is tried {'earlier' if up else 'later'} now.", back)


@needs(DELIVERY_EDIT, "GET", "POST")
def delete(request: HttpRequest, route_id: int) -> HttpResponse:
    """Ask, then remove a route."""
    row = _route(route_id)
    problem = ""
    if request.method == "POST":
        try:
            remove_route(row, actor_of(request), clock.now())
        except Managed as error:
            problem = str(error)
        else:
            return done(request, f"Route {row.name} was removed.", f"{reverse('channels')}#routes")
    rest = [each for each in routes() if each.name != row.name]
    context = {
        "route": row,
        "problem": problem,
        "others": len(rest),
        "crumbs": [{"href": reverse("channels"), "label": "Channels and routes"}],
        "place": "channels",
    }
    return render(request, "alerts/route_delete.html", context, status=409 if problem else 200)


@needs(OPERATIONS_VIEW, "GET")
def who(request: HttpRequest) -> HttpResponseBase:
    """Answer who would be paged for an alert with given labels, at a given time. Nothing is written."""
    return render(request, "alerts/who.html", tester(request))


def tester(request: HttpRequest) -> dict[str, Any]:
    """Return the form of the question, and the decision when it was asked."""
    names = Application.objects.order_by("name").values_list("name", flat=True)
    asked = "asked" in request.GET
    form = TesterForm(request.GET if asked else None, applications=names)
    context: dict[str, Any] = {"tester": form, "would": None}
    if asked and form.is_valid():
        now = form.cleaned_data["at"] or clock.now()
        labels = form.cleaned_data["all"]
        facts = AlertFacts(labels=labels, severity=labels["severity"], started_at=now)
        context["would"] = story.told(decide(facts, World(routes(), silences(now)), now))
    return context


def _route(route_id: int) -> Route:
    return get_object_or_404(Route, pk=route_id)
