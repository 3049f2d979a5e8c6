"""`/api/v1/rules` and `/api/v1/alerts` of the Prometheus API, from the records.

https://prometheus.io/docs/prometheus/latest/querying/api/#rules
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest

from mainstay.respond.rules.models import Instance, Rule, RuleGroup
from mainstay.respond.rules.standing import known_health

NEVER = "0001-01-01T00:00:00Z"
_TYPES = {"alert": True, "record": False}


def rules(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """Return the groups; `type`, `rule_name[]`, `rule_group[]` and `file[]` narrow them."""
    given = request.GET if request.method == "GET" else request.POST
    groups = _groups()
    if given.getlist("rule_group[]"):
        groups = groups.filter(name__in=given.getlist("rule_group[]"))
    if given.getlist("file[]"):
        groups = groups.filter(managed_by__in=given.getlist("file[]"))
    names, kind = set(given.getlist("rule_name[]")), _TYPES.get(given.get("type", ""))
    found = []
    for group in groups:
        chosen = [
            rule
            for rule in group.rules.all()
            if (not names or rule.name in names) and (kind is None or rule.alerts is kind)
        ]
        if chosen or not (names or kind is not None):
            found.append(_group(group, chosen, now))
    return {"groups": found}


def alerts(_request: HttpRequest, _now: datetime) -> dict[str, Any]:
    """Return what is pending or firing."""
    instances = Instance.objects.select_related("rule").order_by("rule_id", "id")
    return {"alerts": [_alert(one) for one in instances]}


def _groups() -> Any:
    instances = Prefetch("instances", Instance.objects.order_by("id"))
    ordered = Rule.objects.order_by("position", "id").select_related("state").prefetch_related(instances)
    return RuleGroup.objects.order_by("name").prefetch_related(Prefetch("rules", ordered))


def _group(group: RuleGroup, chosen: list[Rule], now: datetime) -> dict[str, Any]:
    states = [rule.state for rule in chosen]
    last = max((state.evaluated_at for state in states if state.evaluated_at is not None), default=None)
    return {
        "name": group.name,
        "file": group.managed_by,
        "rules": list(_rules(group, chosen, now)),
        "interval": group.interval_s,
        "limit": group.limit,
        "evaluationTime": sum(state.duration_s or 0.0 for state in states),
        "lastEvaluation": _time(last),
    }


def _rules(group: RuleGroup, chosen: list[Rule], now: datetime) -> Iterator[dict[str, Any]]:
    for rule in chosen:
        state = rule.state
        health, reason = known_health(state, group.interval_s, now)
        shown: dict[str, Any] = {
            "name": rule.name,
            "query": rule.expr,
            "labels": {**group.labels, **rule.labels},
            "health": {"no_series": "ok"}.get(health, health),
            "evaluationTime": state.duration_s or 0.0,
            "lastEvaluation": _time(state.evaluated_at),
        }
        if reason and health in {"err", "unknown"}:
            shown["lastError"] = reason
        if rule.alerts:
            standing = list(rule.instances.all())
            states = {one.state for one in standing}
            yield {
                "state": next((each for each in ("firing", "pending") if each in states), "inactive"),
                "duration": rule.for_s,
                "keepFiringFor": rule.keep_firing_for_s,
                "annotations": rule.annotations,
                "alerts": [_alert(one) for one in standing],
                "type": "alerting",
                **shown,
            }
        else:
            yield {**shown, "type": "recording"}


def _alert(instance: Instance) -> dict[str, Any]:
    return {
        "labels": instance.labels,
        "annotations": instance.annotations,
        "state": instance.state,
        "activeAt": _time(instance.since),
        "value": scientific(instance.any_value),
    }


def scientific(value: float) -> str:
    """Return a number as Go's `FormatFloat(value, 'e', -1, 64)` writes it: 8e-02, 1e+00, NaN, +Inf."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    digits = repr(value).replace("-", "").partition("e")[0].replace(".", "").strip("0") or "0"
    mantissa, _, exponent = f"{value:.{max(0, len(digits) - 1)}e}".partition("e")
    return f"{mantissa}e{int(exponent):+03d}"


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at is not None else NEVER
