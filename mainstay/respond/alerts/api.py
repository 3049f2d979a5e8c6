"""The API of alerts, silences and routes."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.http import HttpRequest
from ninja import Router
from pydantic import BaseModel, Field, StringConstraints

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.api.types import Body, Id, ManagedBy, Paging, Search, Time
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.resource import By
from mainstay.foundation.words.matching import Matchers
from mainstay.foundation.words.names import Labels, Severity
from mainstay.respond.alerts import actions, facts, resource, routes
from mainstay.respond.alerts.decide import AlertFacts, Code, World, decide
from mainstay.respond.alerts.models import Alert, Route, Silence
from mainstay.respond.alerts.spec import RouteSpec, SilenceNote, SilenceSpec
from mainstay.respond.alerts.surroundings import silences
from mainstay.respond.delivery.wing import DELIVERY_EDIT

router = Router()
State = Literal["firing", "acknowledged", "resolved"]
Words = Annotated[str, StringConstraints(max_length=2_000)]


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


class Acknowledgement(Body):
    """What whoever takes the alert says."""

    note: Words = Field(default="", examples=["Restarting the queue."])


def _alert(row: Alert, at: datetime) -> dict[str, Any]:
    return columns(row, AlertRow, check=row.check_ref_id, decision=row.decision or None)


def _decided(row: Alert) -> dict[str, Any]:
    told = (facts.ALERT_PAGED.name, facts.ALERT_HELD.name)
    entry = Entry.objects.filter(subject=f"alert:{row.pk}", kind__in=told).order_by("-pk").first()
    if entry is None:
        return {"decided": None}
    steps = [dict(zip(("question", "passed", "detail"), step, strict=True)) for step in entry.facts["steps"]]
    page, code, reason = entry.kind == facts.ALERT_PAGED.name, entry.facts["code"], entry.facts["reason"]
    return {"decided": {"at": entry.at, "page": page, "code": code, "reason": reason, "steps": steps}}


_STATES = {
    "open": Q(ended_at=None),
    "firing": Q(ended_at=None, acknowledged_at=None),
    "acknowledged": Q(ended_at=None, acknowledged_at__isnull=False),
    "resolved": Q(ended_at__isnull=False),
}
ALERTS = Collection(
    router=router,
    path="alerts",
    one="alert",
    view=OPERATIONS_VIEW,
    edit=ALERTS_RESPOND,
    rows=lambda: Alert.objects.select_related("application"),
    row=AlertRow,
    show=_alert,
    detail=AlertDetail,
    more=_decided,
    filters=AlertFilter,
    narrow={
        "state": lambda state: _STATES[state],
        "severity": "severity",
        "application": lambda name: Q(
            application__in=list(Application.objects.filter(name=name).values_list("pk", flat=True))
        ),
    },
    newest_first=True,
    texts={"list": "List alerts, the newest first.", "get": "Show an alert, and why it paged or did not."},
)
ALERTS.serve()


@router.post("/alerts/{alert_id}/acknowledge", auth=needs(ALERTS_RESPOND), response=AlertRow)
def acknowledge_alert(request: HttpRequest, alert_id: Id, body: Acknowledgement | None = None) -> dict[str, Any]:
    """Take an alert: reminders stop, and those who were paged hear who has it."""
    row, at = ALERTS.find(alert_id), now()
    if not actions.acknowledge(row, actor_of(request), at, note=body.note.strip() if body else ""):
        raise Problem(409, f"{row.acknowledged_by} has it already." if row.ended_at is None else "It is over already.")
    return _alert(ALERTS.find(alert_id), at)


@ALERTS.act(brief=True)
def unacknowledge_alert(row: Alert, by: By) -> None:
    """Give an alert back: those who heard that it was taken hear so, and reminders start again."""
    if not actions.unacknowledge(row, by.actor, by.at):
        raise Problem(409, "Nobody has acknowledged it." if row.ended_at is None else "It is over already.")


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
    return columns(row, SilenceRow, match=wanted.match, matchers=wanted.matchers, state=row.state(at))


SILENCES = Collection(
    router=router,
    path="silences",
    one="silence",
    view=OPERATIONS_VIEW,
    edit=ALERTS_RESPOND,
    rows=Silence.objects.all,
    row=SilenceRow,
    show=_silence,
    filters=SilenceFilter,
    narrow={"current": lambda wanted: Q(ends_at__gt=now()) if wanted else Q(ends_at__lte=now())},
    newest_first=True,
    body=SilenceSpec,
    save=lambda body, by, _: actions.silence(body, by.actor, by.at),
    texts={
        "list": "List silences, the newest first.",
        "create": "Keep alerts from paging for a while. They are still recorded.",
        "get": "Show a silence.",
    },
)
SILENCES.serve()


@SILENCES.act()
def end_silence(row: Silence, by: By) -> None:
    """End a silence early; alerts that it held are decided on again."""
    actions.end_silence(row, by.actor, by.at)


# --- routes -------------------------------------------------------------------------------------------------------


class RouteRow(BaseModel):
    """Which channels get which alerts."""

    id: int
    name: str
    position: int = Field(description="Routes are tried in this order; of equal ones the older first.")
    matches: str = Field(description="What it matches, in words.", examples=["severity is critical"])
    managed_by: ManagedBy
    created_at: datetime
    spec: RouteSpec = Field(description="The route as people write it; PUT takes the same.")


class RouteBody(RouteSpec):
    """A route as people write it, and its place among the others."""

    position: int | None = Field(default=None, ge=1, le=1_000_000, description="A new one comes last without it.")


class Labelled(Body):
    """An alert to imagine."""

    labels: Labels = Field(examples=[{"severity": "critical", "application": "shop", "check": "storefront"}])
    at: Time | None = Field(default=None, description="When; now, when left out.")


class Explanation(BaseModel):
    """Whether such an alert would page, who gets it, and why."""

    page: bool
    code: Code
    reason: str
    channels: list[str]
    fallback: list[str] = Field(description="Channels tried one after another while one of `channels` does not answer.")
    steps: list[Step]


def _route(row: Route, at: datetime) -> dict[str, Any]:
    return columns(row, RouteRow, matches=routes.shown_match(row.match), spec=routes.spec_of(row))


def _save(body: RouteBody, by: By, row: Route | None) -> Route:
    spec = RouteSpec.model_validate(body.model_dump(exclude={"position"}, exclude_unset=True))
    return routes.put_route(spec, by.actor, by.at, existing=row, position=body.position)


ROUTES = Collection(
    router=router,
    resource=resource.ROUTES,
    view=OPERATIONS_VIEW,
    edit=DELIVERY_EDIT,
    row=RouteRow,
    show=_route,
    body=RouteBody,
    save=_save,
    texts={
        "list": "List routes in the order in which they are tried.",
        "create": "Create a route. Open alerts that have not paged are decided on again.",
        "get": "Show a route.",
        "replace": "Make a route what the body says. Without `position` it keeps its place.",
        "remove": "Remove a route.",
    },
)
ROUTES.serve("list", "create")


@router.post("/routes/explain", auth=needs(OPERATIONS_VIEW), response=Explanation)
def explain_routes(request: HttpRequest, body: Labelled) -> dict[str, Any]:
    """Tell whether an alert with these labels would page, who gets it, and why, question by question.

    Routes and silences are asked as they are now. Maintenance and dependencies belong to a check, so they are not.
    """
    at = body.at or now()
    severity = body.labels.get("severity", "major")
    imagined = AlertFacts(labels={**body.labels, "severity": severity}, severity=severity, started_at=at)
    found = decide(imagined, World(routes.routes(), silences(at)), at)
    return columns(found, Explanation, steps=[columns(step, Step) for step in found.steps])


ROUTES.serve("get", "replace", "remove")
