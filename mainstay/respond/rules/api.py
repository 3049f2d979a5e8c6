"""The API of rules: groups as rule files have them, and how each rule is."""

from datetime import datetime
from typing import Any, Literal

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.types import Id, Paging
from mainstay.foundation.clock import now
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.respond.rules import actions
from mainstay.respond.rules.models import Instance, Rule, RuleGroup
from mainstay.respond.rules.spec import RuleGroupSpec
from mainstay.respond.rules.standing import known_health

router = Router()
Health = Literal["ok", "no_series", "unknown", "err"]


class InstanceRow(BaseModel):
    """One label set for which an alerting rule is pending or firing."""

    state: Literal["pending", "firing"]
    labels: dict[str, str]
    value: float | None = Field(description="What the expression last gave; null for NaN and infinities.")
    since: datetime


class RuleRow(BaseModel):
    """One rule, and how its last evaluation went."""

    id: int
    kind: Literal["alert", "record"]
    name: str
    expr: str
    health: Health = Field(
        description="`unknown`: the source of samples is away, or it is not evaluated. `no_series`: nothing matches."
    )
    reason: str
    evaluated_at: datetime | None
    duration_s: float | None
    results: int = Field(description="Series that the expression gave.")
    instances: list[InstanceRow]


class GroupRow(BaseModel):
    """Rules that are evaluated together."""

    id: int
    name: str
    managed_by: str = Field(description="The configuration file that describes it, or empty.")
    created_at: datetime
    rules: list[RuleRow]
    spec: RuleGroupSpec = Field(description="The group as people write it; PUT takes the same.")


def _groups() -> QuerySet[RuleGroup]:
    instances = Prefetch("instances", Instance.objects.order_by("id"))
    rules = Rule.objects.order_by("position", "id").select_related("state").prefetch_related(instances)
    return RuleGroup.objects.prefetch_related(Prefetch("rules", rules))


def _group(row: RuleGroup) -> dict[str, Any]:
    rules = list(row.rules.all())
    return {
        "id": row.pk,
        "name": row.name,
        "managed_by": row.managed_by,
        "created_at": row.created_at,
        "rules": [_rule(rule, row.interval_s) for rule in rules],
        "spec": RuleGroupSpec.model_validate(actions.document(row, rules)),
    }


def _rule(rule: Rule, every_s: float) -> dict[str, Any]:
    health, reason = known_health(rule.state, every_s, now())
    return {
        "id": rule.pk,
        "kind": "alert" if rule.alerts else "record",
        "name": rule.name,
        "expr": rule.expr,
        "health": health,
        "reason": reason,
        "evaluated_at": rule.state.evaluated_at,
        "duration_s": rule.state.duration_s,
        "results": rule.state.results,
        "instances": [
            {
                "state": one.state,
                "labels": one.labels,
                "value": one.value,
                "since": one.since,
            }
            for one in rule.instances.all()
        ],
    }


@router.get("/rules", auth=needs(OPERATIONS_VIEW), response=Page[GroupRow])
def list_rules(request: HttpRequest, given: Query[Paging]) -> dict[str, Any]:
    """List groups of rules, each rule with its health and its pending and firing instances."""
    return page(_groups(), _group, cursor=given.cursor, limit=given.limit)


@router.post("/rules", auth=needs(CHECKS_EDIT), response={201: GroupRow})
def create_rules(request: HttpRequest, response: HttpResponse, body: RuleGroupSpec) -> dict[str, Any]:
    """Create a group of rules. The body is a group as a Prometheus rule file has it."""
    row = actions.put_group(body, actor_of(request), now())
    response["Location"] = f"/api/v1/rules/{row.pk}"
    return _group(_groups().get(pk=row.pk))


@router.get("/rules/{rules_id}", auth=needs(OPERATIONS_VIEW), response=GroupRow)
def get_rules(request: HttpRequest, rules_id: Id) -> dict[str, Any]:
    """Show a group of rules."""
    return _group(find(_groups(), "group of rules", pk=rules_id))


@router.put("/rules/{rules_id}", auth=needs(CHECKS_EDIT), response=GroupRow)
def replace_rules(request: HttpRequest, rules_id: Id, body: RuleGroupSpec) -> dict[str, Any]:
    """Make a group what the body says. Rules that stay keep what is pending and firing."""
    row = find(RuleGroup.objects.all(), "group of rules", pk=rules_id)
    actions.put_group(body, actor_of(request), now(), existing=row)
    return _group(_groups().get(pk=row.pk))


@router.delete("/rules/{rules_id}", auth=needs(CHECKS_EDIT), response={204: None})
def remove_rules(request: HttpRequest, rules_id: Id) -> None:
    """Remove a group of rules. Alerts that they raised are resolved."""
    actions.remove_group(find(RuleGroup.objects.all(), "group of rules", pk=rules_id), actor_of(request), now())
