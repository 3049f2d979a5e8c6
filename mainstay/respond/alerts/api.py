"""The API of alerts, silences and routes."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, cut, decode_pair, encode_pair, page
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Id, Paging, Search, Time
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.matching import Matchers
from mainstay.foundation.words import Labels, Severity
from mainstay.respond.alerts import actions, facts, routes
from mainstay.respond.alerts.decide import AlertFacts, Code, World, decide
from mainstay.respond.alerts.models import Alert, Route, Silence
from mainstay.respond.alerts.spec import RouteSpec, SilenceNote, SilenceSpec
from mainstay.respond.alerts.surroundings import silences
from mainstay.respond.delivery.wing import DELIVERY_EDIT

router = Router()
State = Literal["firing", "acknowledged", "resolved"]
Words = Annotated[str, StringConstraints(max_length=2_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- alerts -------------------------------------------------------------------------------------------------------


class Step(BaseModel):
    """One question of a decision."""

    question: str = Field(examples=["Is it outside maintenance?"])
    passed: bool = Field(description="Whether the answer let the page pass.")
    detail: str = Field(examples=["no window covers it"])


class AlertRow(BaseModel):
    """Something is wrong, or was."""

    id: int
    name: str = Field(examples=["shop/storefront is down"])
    state: State
    severity: Severity
    summary: str
    application: str | None
    environment: str
    check: int | None = Field(description="Id of the check that raised it; null when the check is gone.")
    labels: dict[str, str]
    runbook: str
    started_at: datetime
    ended_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    note: str
    paged_at: datetime | None = Field(description="The last page or reminder.")
    paged_channels: list[str]
    decision: Code | None = Field(description="Why it last paged, or did not.")
    reason: str = Field(description="The same as a sentence.")


class Decided(BaseModel):
    """The last decision that the journal tells of, question by question."""

    at: datetime
    page: bool
    code: str
    reason: str
    steps: list[Step]


class AlertDetail(AlertRow):
    """An alert, and why it paged or did not."""

    decided: Decided | None


class AlertFilter(Paging):
    """Which alerts."""

    state: Literal["open", "firing", "acknowledged", "resolved"] | None = Field(
        default=None, description="`open`: firing or acknowledged."
    )
    severity: Severity | None = None
    application: Search = Field(default="", description="Name of an application.")


class Acknowledgement(_Body):
    """What whoever takes the alert says."""

    note: Words = Field(default="", examples=["Restarting the queue."])


def _alert(row: Alert) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "state": row.state,
        "severity": row.severity,
        "summary": row.summary,
        "application": row.application.name if row.application else None,
        "environment": row.environment,
        "check": row.check_ref_id,
        "labels": row.labels,
        "runbook": row.runbook,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "acknowledged_at": row.acknowledged_at,
        "acknowledged_by": row.acknowledged_by,
        "note": row.note,
        "paged_at": row.paged_at,
        "paged_channels": row.paged_channels,
        "decision": row.decision or None,
        "reason": row.reason,
    }


def _find(alert_id: int) -> Alert:
    return find(Alert.objects.select_related("application"), "alert", pk=alert_id)


@router.get("/alerts", auth=needs(OPERATIONS_VIEW), response=Page[AlertRow])
def list_alerts(request: HttpRequest, given: Query[AlertFilter]) -> dict[str, Any]:
    """List alerts, the newest first."""
    rows = Alert.objects.select_related("application")
    match given.state:
        case "open":
            rows = rows.filter(ended_at=None)
        case "firing":
            rows = rows.filter(ended_at=None, acknowledged_at=None)
        case "acknowledged":
            rows = rows.filter(ended_at=None, acknowledged_at__isnull=False)
        case "resolved":
            rows = rows.filter(ended_at__isnull=False)
    if given.severity:
        rows = rows.filter(severity=given.severity)
    if given.application:
        known = Application.objects.filter(name=given.application).values_list("pk", flat=True)
        rows = rows.filter(application__in=list(known))
    return page(rows, _alert, cursor=given.cursor, limit=given.limit, newest_first=True)


@router.get("/alerts/{alert_id}", auth=needs(OPERATIONS_VIEW), response=AlertDetail)
def get_alert(request: HttpRequest, alert_id: Id) -> dict[str, Any]:
    """Show an alert, and why it paged or did not."""
    row = _find(alert_id)
    told = (facts.ALERT_PAGED.name, facts.ALERT_HELD.name)
    entry = Entry.objects.filter(subject=f"alert:{row.pk}", kind__in=told).order_by("-pk").first()
    decided = None
    if entry is not None:
        decided = {
            "at": entry.at,
            "page": entry.kind == facts.ALERT_PAGED.name,
            "code": entry.facts["code"],
            "reason": entry.facts["reason"],
            "steps": [dict(zip(("question", "passed", "detail"), step, strict=True)) for step in entry.facts["steps"]],
        }
    return _alert(row) | {"decided": decided}


@router.post("/alerts/{alert_id}/acknowledge", auth=needs(ALERTS_RESPOND), response=AlertRow)
def acknowledge_alert(request: HttpRequest, alert_id: Id, body: Acknowledgement | None = None) -> dict[str, Any]:
    """Take an alert: reminders stop, and those who were paged hear who has it."""
    row = _find(alert_id)
    if not actions.acknowledge(row, actor_of(request), now(), note=body.note.strip() if body else ""):
        raise Problem(409, f"{row.acknowledged_by} has it already." if row.ended_at is None else "It is over already.")
    return _alert(_find(alert_id))


@router.post("/alerts/{alert_id}/unacknowledge", auth=needs(ALERTS_RESPOND), response=AlertRow)
def unacknowledge_alert(request: HttpRequest, alert_id: Id) -> dict[str, Any]:
    """Give an alert back: those who heard that it was taken hear so, and reminders start again."""
    row = _find(alert_id)
    if not actions.unacknowledge(row, actor_of(request), now()):
        raise Problem(409, "Nobody has acknowledged it." if row.ended_at is None else "It is over already.")
    return _alert(_find(alert_id))


# --- silences -----------------------------------------------------------------------------------------------------


class SilenceRow(SilenceNote):
    """For a while, alerts that match do not page."""

    id: int
    match: dict[str, str | list[str]] = Field(
        description="Labels an alert must have: label and value, or list of values."
    )
    matchers: list[str] = Field(description="Further matchers; all must hold, too.", examples=[['instance=~"web-.*"']])
    starts_at: datetime
    ends_at: datetime
    state: Literal["active", "pending", "ended"]
    created_by: str
    created_at: datetime


class SilenceFilter(Paging):
    """Which silences."""

    current: bool | None = Field(default=None, description="Not yet ended (or, if false, ended).")


def _silence(row: Silence, at: datetime) -> dict[str, Any]:
    wanted = Matchers.of(row.match)
    return {
        "id": row.pk,
        "match": wanted.match,
        "matchers": wanted.matchers,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        **{name: getattr(row, name) for name in SilenceNote.model_fields},
        "state": row.state(at),
        "created_by": row.created_by,
        "created_at": row.created_at,
    }


@router.get("/silences", auth=needs(OPERATIONS_VIEW), response=Page[SilenceRow])
def list_silences(request: HttpRequest, given: Query[SilenceFilter]) -> dict[str, Any]:
    """List silences, the newest first."""
    at = now()
    rows = Silence.objects.all()
    if given.current is not None:
        rows = rows.filter(ends_at__gt=at) if given.current else rows.filter(ends_at__lte=at)
    return page(rows, lambda row: _silence(row, at), cursor=given.cursor, limit=given.limit, newest_first=True)


@router.post("/silences", auth=needs(ALERTS_RESPOND), response={201: SilenceRow})
def create_silence(request: HttpRequest, response: HttpResponse, body: SilenceSpec) -> dict[str, Any]:
    """Keep alerts from paging for a while. They are still recorded."""
    at = now()
    row = actions.silence(body, actor_of(request), at)
    response["Location"] = f"/api/v1/silences/{row.pk}"
    return _silence(row, at)


@router.get("/silences/{silence_id}", auth=needs(OPERATIONS_VIEW), response=SilenceRow)
def get_silence(request: HttpRequest, silence_id: Id) -> dict[str, Any]:
    """Show a silence."""
    return _silence(find(Silence.objects.all(), "silence", pk=silence_id), now())


@router.post("/silences/{silence_id}/end", auth=needs(ALERTS_RESPOND), response=SilenceRow)
def end_silence(request: HttpRequest, silence_id: Id) -> dict[str, Any]:
    """End a silence early; alerts that it held are decided on again."""
    at = now()
    row = find(Silence.objects.all(), "silence", pk=silence_id)
    actions.end_silence(row, actor_of(request), at)
    row.refresh_from_db()
    return _silence(row, at)


# --- routes -------------------------------------------------------------------------------------------------------


class RouteRow(BaseModel):
    """Which channels hear of which alerts."""

    id: int
    name: str
    position: int = Field(description="Routes are tried in this order; of equal ones the older first.")
    matches: str = Field(description="What it matches, in words.", examples=["severity is critical"])
    managed_by: str = Field(description="The configuration file that describes it, or empty.")
    created_at: datetime
    spec: RouteSpec = Field(description="The route as people write it; PUT takes the same.")


class RouteBody(RouteSpec):
    """A route as people write it, and its place among the others."""

    position: int | None = Field(default=None, ge=1, le=1_000_000, description="A new one comes last without it.")


class Labelled(_Body):
    """An alert to imagine."""

    labels: Labels = Field(examples=[{"severity": "critical", "application": "shop", "check": "storefront"}])
    at: Time | None = Field(default=None, description="When; now, when left out.")


class Explanation(BaseModel):
    """Whether such an alert would page, whom, and why."""

    page: bool
    code: Code
    reason: str
    channels: list[str]
    fallback: list[str] = Field(description="Channels tried one after another while one of `channels` does not answer.")
    steps: list[Step]


def _route(row: Route) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "position": row.position,
        "matches": routes.shown_match(row.match),
        "managed_by": row.managed_by,
        "created_at": row.created_at,
        "spec": routes.spec_of(row),
    }


def _spec(body: RouteBody) -> RouteSpec:
    return RouteSpec.model_validate(body.model_dump(exclude={"position"}, exclude_unset=True))


@router.get("/routes", auth=needs(OPERATIONS_VIEW), response=Page[RouteRow])
def list_routes(request: HttpRequest, given: Query[Paging]) -> dict[str, Any]:
    """List routes in the order in which they are tried."""
    rows = Route.objects.order_by("position", "pk")
    if given.cursor:
        position, pk = decode_pair(given.cursor)
        rows = rows.filter(Q(position__gt=position) | Q(position=position, pk__gt=pk))
    found = list(rows[: given.limit + 1])
    return cut(found, _route, given.limit, lambda row: encode_pair(row.position, row.pk))


@router.post("/routes", auth=needs(DELIVERY_EDIT), response={201: RouteRow})
def create_route(request: HttpRequest, response: HttpResponse, body: RouteBody) -> dict[str, Any]:
    """Create a route. Open alerts that have not paged are decided on again."""
    row = routes.put_route(_spec(body), actor_of(request), now(), position=body.position)
    response["Location"] = f"/api/v1/routes/{row.pk}"
    return _route(row)


@router.post("/routes/explain", auth=needs(OPERATIONS_VIEW), response=Explanation)
def explain_routes(request: HttpRequest, body: Labelled) -> dict[str, Any]:
    """Tell whether an alert with these labels would page, whom, and why, question by question.

    Routes and silences are asked as they are now. Maintenance and dependencies belong to a check, so they are not.
    """
    at = body.at or now()
    severity = body.labels.get("severity", "major")
    imagined = AlertFacts(labels={**body.labels, "severity": severity}, severity=severity, started_at=at)
    found = decide(imagined, World(routes.routes(), silences(at)), at)
    return {
        "page": found.page,
        "code": found.code,
        "reason": found.reason,
        "channels": list(found.channels),
        "fallback": list(found.fallback),
        "steps": [{"question": step.question, "passed": step.passed, "detail": step.detail} for step in found.steps],
    }


@router.get("/routes/{route_id}", auth=needs(OPERATIONS_VIEW), response=RouteRow)
def get_route(request: HttpRequest, route_id: Id) -> dict[str, Any]:
    """Show a route."""
    return _route(find(Route.objects.all(), "route", pk=route_id))


@router.put("/routes/{route_id}", auth=needs(DELIVERY_EDIT), response=RouteRow)
def replace_route(request: HttpRequest, route_id: Id, body: RouteBody) -> dict[str, Any]:
    """Make a route what the body says. Without `position` it keeps its place."""
    row = find(Route.objects.all(), "route", pk=route_id)
    return _route(routes.put_route(_spec(body), actor_of(request), now(), existing=row, position=body.position))


@router.delete("/routes/{route_id}", auth=needs(DELIVERY_EDIT), response={204: None})
def remove_route(request: HttpRequest, route_id: Id) -> None:
    """Remove a route."""
    routes.remove_route(find(Route.objects.all(), "route", pk=route_id), actor_of(request), now())
