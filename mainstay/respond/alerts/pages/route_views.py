"""Routes: adding, editing, ordering them, and asking who would be paged."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.refusal import Managed
from mainstay.kit.editing import Editing
from mainstay.kit.replies import done, posted
from mainstay.respond.alerts.decide import AlertFacts, World, decide
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.pages import story
from mainstay.respond.alerts.pages.forms import RouteForm, TesterForm
from mainstay.respond.alerts.resource import ROUTES
from mainstay.respond.alerts.routes import move_route, routes
from mainstay.respond.alerts.surroundings import silences
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.wing import DELIVERY_EDIT


class RoutePages(Editing[Route]):
    """Routes; a new one is tried last."""

    resource, permission, model = ROUTES, DELIVERY_EDIT, Route
    place, by, template, asks = "channels", "pk", "alerts/route_form.html", "alerts/route_delete.html"

    def form_of(self, request: HttpRequest, row: Route | None, **given: str) -> RouteForm:
        channels = Channel.objects.order_by("name").values_list("name", "target")
        return RouteForm(posted(request), row=row, channels=channels)

    def named(self, row: Route) -> str:
        return f"Route {row}"

    def said(self, kept: Route, *, new: bool) -> str:
        return f"Route {kept} was added, as the last one." if new else super().said(kept, new=new)

    def home(self) -> str:
        return f"{reverse('channels')}#routes"

    def consequences(self, row: Route) -> dict[str, Any]:
        return {"others": sum(each.name != row.name for each in routes())}


ROUTE = RoutePages()


@needs(DELIVERY_EDIT, "POST")
def move(request: HttpRequest, route_id: int) -> HttpResponse:
    """Move a route before the one above it (`to=up`) or after the one below it (`to=down`)."""
    row, up, back = ROUTE.find(route_id), request.POST.get("to") == "up", ROUTE.home()
    try:
        moved = move_route(row, actor_of(request), clock.now(), up=up)
    except Managed as error:
        return done(request, f"{error}.", back, tone="bad")
    if not moved:
        return done(request, f"{row} is the {'first' if up else 'last'} already.", back, tone="warn")
    return done(request, f"{row} is tried {'earlier' if up else 'later'} now.", back)


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
