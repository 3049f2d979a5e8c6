"""Rules in groups, as files and the API have them."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.resource import By, Loc, Resource, Written, shortened, without_empty, written
from mainstay.respond.rules import actions
from mainstay.respond.rules.files.lint import problems
from mainstay.respond.rules.models import RuleGroup
from mainstay.respond.rules.spec import RuleGroupSpec

_RULE_FIELDS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")


class RuleGroups(Resource[RuleGroupSpec]):
    """Rules that are evaluated together."""

    kind, section, order, spec = "rules", "groups", 80, RuleGroupSpec
    title = "Rules"
    listed = "list of [groups of rules](#rules); a rule file of Prometheus can be applied as it is"
    about = "What they mean, the templates in their texts and how they are tested: [rules](rules.md)."
    steps = ("rules",)
    examples = (
        {
            "name": "shop",
            "rules": [
                {
                    "alert": "ErrorRate",
                    "expr": "sum(rate(shop_errors_total[5m])) / sum(rate(shop_requests_total[5m])) > 0.05",
                    "for": "5m",
                    "labels": {"severity": "critical", "application": "shop"},
                    "annotations": {"summary": "The shop fails", "first_step": "Look at the log."},
                },
                {"record": "shop:requests:rate5m", "expr": "sum(rate(shop_requests_total[5m]))"},
            ],
        },
    )

    def rows(self) -> QuerySet[RuleGroup]:
        return RuleGroup.objects.order_by("name").prefetch_related("rules")

    def read(self, row: Any) -> RuleGroupSpec:
        return actions.spec_of(row)

    def document(self, spec: RuleGroupSpec, of: str = "") -> Written:
        rules = [without_empty({name: rule.get(name) for name in _RULE_FIELDS}) for rule in written(spec)["rules"]]
        return shortened(spec, rules=rules)

    def problems(self, spec: RuleGroupSpec) -> Iterable[tuple[Loc, str]]:
        for path, detail in problems(spec):
            yield tuple(int(part) if part.isdecimal() else part for part in path.split(".") if part), detail

    def save(self, spec: RuleGroupSpec, by: By, existing: Any | None = None) -> RuleGroup:
        return actions.put_group(spec, by.actor, by.at, existing=existing, by_file=by.file)

    def delete(self, row: Any, by: By) -> None:
        actions.remove_group(row, by.actor, by.at, by_file=by.file)


RULE_GROUPS = RuleGroups()
