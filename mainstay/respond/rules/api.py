"""The API of rules: groups as rule files have them, and how each rule is."""

from datetime import datetime
from typing import Any, Literal

from django.db.models import Prefetch, QuerySet
from ninja import Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.types import ManagedBy
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.respond.rules import actions, resource
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
    managed_by: ManagedBy
    created_at: datetime
    rules: list[RuleRow]
    spec: RuleGroupSpec = Field(description="The group as people write it; PUT takes the same.")


def _groups() -> QuerySet[RuleGroup]:
    instances = Prefetch("instances", Instance.objects.order_by("id"))
    rules = Rule.objects.order_by("position", "id").select_related("state").prefetch_related(instances)
    return RuleGroup.objects.prefetch_related(Prefetch("rules", rules))


def _group(row: RuleGroup, at: datetime) -> dict[str, Any]:
    rules = list(row.rules.all())
    spec = RuleGroupSpec.model_validate(actions.document(row, rules))
    return columns(row, GroupRow, rules=[_rule(rule, row.interval_s, at) for rule in rules], spec=spec)


def _rule(rule: Rule, every_s: float, at: datetime) -> dict[str, Any]:
    health, reason = known_health(rule.state, every_s, at)
    instances = [columns(one, InstanceRow) for one in rule.instances.all()]
    state = {name: getattr(rule.state, name) for name in ("evaluated_at", "duration_s", "results")}
    kind = "alert" if rule.alerts else "record"
    return columns(rule, RuleRow, kind=kind, health=health, reason=reason, instances=instances, **state)


RULES = Collection(
    router=router,
    resource=resource.RULE_GROUPS,
    path="rules",
    called="group of rules",
    view=OPERATIONS_VIEW,
    edit=CHECKS_EDIT,
    rows=_groups,
    row=GroupRow,
    show=_group,
    texts={
        "list": "List groups of rules, each rule with its health and its pending and firing instances.",
        "create": "Create a group of rules. The body is a group as a Prometheus rule file has it.",
        "get": "Show a group of rules.",
        "replace": "Make a group what the body says. Rules that stay keep what is pending and firing.",
        "remove": "Remove a group of rules. Alerts that they raised are resolved.",
    },
)
RULES.serve()
