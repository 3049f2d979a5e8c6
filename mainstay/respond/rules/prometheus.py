"""`/api/v1/rules` and `/api/v1/alerts` of the Prometheus API, from the records.

https://prometheus.io/docs/prometheus/latest/querying/api/#rules
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest

from mainstay.observe.metrics.promql.patterns import accepts
from mainstay.observe.metrics.serve.asked import BadRequest, Parameters, many, number, one, selectors, truth
from mainstay.respond.rules.models import Instance, Rule, RuleGroup
from mainstay.respond.rules.standing import known_health

NEVER = "0001-01-01T00:00:00Z"
_TYPES = {"": None, "alert": True, "record": False}


def rules(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """Return the groups that hold rules which were asked for, by name.

    `type`, `rule_name[]`, `rule_group[]`, `file[]` and `match[]` (of the labels in the definition) narrow them;
    `exclude_alerts` leaves their alerts out; `group_limit` and `group_next_token` turn pages.

    Raises:
        BadRequest.
    """
    asked = _parameters(request)
    wanted, page = _wanted(asked), _page(asked)
    has_alerts = not truth(asked, "exclude_alerts")
    groups = _groups()
    if many(asked, "rule_group[]"):
        groups = groups.filter(name__in=many(asked, "rule_group[]"))
    if many(asked, "file[]"):
        groups = groups.filter(managed_by__in=many(asked, "file[]"))
    begun, found = not page.token, list[dict[str, Any]]()
    for group in groups:
        begun = begun or _token(group) == page.token
        chosen = [rule for rule in group.rules.all() if wanted(group, rule)] if begun else []
        if not chosen:
            continue
        if len(found) == page.most:
            return {"groups": found, "groupNextToken": _token(group)}
        found.append(_group(group, chosen, now, has_alerts=has_alerts))
    if not begun:
        raise BadRequest(f"invalid group_next_token {page.token[:60]!r}: were rule groups changed?")
    return {"groups": found}


def _parameters(request: HttpRequest) -> dict[str, list[str]]:
    asked = {name: request.POST.getlist(name) for name in request.POST}
    for name in request.GET:
        asked[name] = [*asked.get(name, []), *request.GET.getlist(name)]
    return asked


def _wanted(asked: Parameters) -> Callable[[RuleGroup, Rule], bool]:
    """Return what tells whether a rule was asked for."""
    kind = one(asked, "type", "").lower()
    if kind not in _TYPES:
        raise BadRequest(f"invalid parameter type: {kind[:60]!r} is neither alert nor record")
    alerts, names, sets = _TYPES[kind], set(many(asked, "rule_name[]")), selectors(asked, needed=False)

    def wanted(group: RuleGroup, rule: Rule) -> bool:
        labels = {**group.labels, **rule.labels}
        return (
            (alerts is None or rule.alerts is alerts)
            and (not names or rule.name in names)
            and (not sets or any(all(accepts(one, labels.get(one.name, "")) for one in each) for each in sets))
        )

    return wanted


@dataclass(frozen=True, slots=True)
class _Page:
    """How many groups are wanted (None: all), from the group with this token on (empty: from the first)."""

    most: int | None
    token: str


def _page(asked: Parameters) -> _Page:
    token, has_limit = one(asked, "group_next_token", ""), bool(many(asked, "group_limit"))
    if token and not has_limit:
        raise BadRequest("invalid parameter group_next_token: it needs group_limit")
    most = number(asked, "group_limit", 0)
    if has_limit and most <= 0:
        raise BadRequest(f"invalid parameter group_limit: it must be more than 0, it is {most}")
    return _Page(most if has_limit else None, token)


def _token(group: RuleGroup) -> str:
    """Return the name of a page that begins with this group."""
    return hashlib.sha1(f"{group.managed_by};{group.name}".encode(), usedforsecurity=False).hexdigest()


def alerts(_request: HttpRequest, _now: datetime) -> dict[str, Any]:
    """Return what is pending or firing."""
    instances = Instance.objects.select_related("rule").order_by("rule_id", "id")
    return {"alerts": [_alert(one) for one in instances]}


def _groups() -> Any:
    instances = Prefetch("instances", Instance.objects.order_by("id"))
    ordered = Rule.objects.order_by("position", "id").select_related("state").prefetch_related(instances)
    return RuleGroup.objects.order_by("name").prefetch_related(Prefetch("rules", ordered))


def _group(group: RuleGroup, chosen: list[Rule], now: datetime, *, has_alerts: bool) -> dict[str, Any]:
    states = [rule.state for rule in group.rules.all()]
    last = max((state.evaluated_at for state in states if state.evaluated_at is not None), default=None)
    return {
        "name": group.name,
        "file": group.managed_by,
        "rules": list(_rules(group, chosen, now, has_alerts=has_alerts)),
        "interval": group.interval_s,
        "limit": group.limit,
        "evaluationTime": sum(state.duration_s or 0.0 for state in states),
        "lastEvaluation": _time(last),
    }


def _rules(group: RuleGroup, chosen: list[Rule], now: datetime, *, has_alerts: bool) -> Iterator[dict[str, Any]]:
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
                "alerts": [_alert(one) for one in standing] if has_alerts else [],
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
