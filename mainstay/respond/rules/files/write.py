"""Rule files in their canonical form: fields in Prometheus' order, defaults left out, long texts as blocks."""

from collections.abc import Iterable
from typing import Any

from mainstay.foundation.yaml.write import dump
from mainstay.observe.metrics.durations import written
from mainstay.respond.rules.files.read import Rule, RuleGroup


def write_rules(groups: Iterable[RuleGroup]) -> str:
    """Return groups as a rule file: the same groups always as the same text, and `read_rules` of it as these groups."""
    return dump({"groups": [group_document(group) for group in groups]}, compact=False, width=1_000_000)


def group_document(group: RuleGroup) -> dict[str, Any]:
    """Return a group as plain data, as its file has it."""
    found: dict[str, Any] = {"name": group.name}
    if group.interval_s:
        found["interval"] = written(group.interval_s)
    if group.query_offset_s is not None:
        found["query_offset"] = written(group.query_offset_s)
    if group.limit:
        found["limit"] = group.limit
    if group.labels:
        found["labels"] = dict(sorted(group.labels.items()))
    found["rules"] = [rule_document(rule) for rule in group.rules]
    return found


def rule_document(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain data, as its file has it."""
    found: dict[str, Any] = {"alert": rule.alert} if rule.alert else {"record": rule.record}
    found["expr"] = rule.expr
    if rule.for_s:
        found["for"] = written(rule.for_s)
    if rule.keep_firing_for_s:
        found["keep_firing_for"] = written(rule.keep_firing_for_s)
    if rule.labels:
        found["labels"] = dict(sorted(rule.labels.items()))
    if rule.annotations:
        found["annotations"] = dict(sorted(rule.annotations.items()))
    return found
