"""What people do with rules: permission, change and journal entry in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import read_or_none
from mainstay.observe.checks.wing import CHECKS_EDIT
from mainstay.respond.rules import facts
from mainstay.respond.rules.alerting import resolve_all
from mainstay.respond.rules.files.lint import problems
from mainstay.respond.rules.models import Rule, RuleGroup, RuleState
from mainstay.respond.rules.spec import RuleGroupSpec, RuleSpec

_FIELDS = ("expr", "for_s", "keep_firing_for_s", "labels", "annotations")


def subject(group: RuleGroup) -> Subject:
    """Return a group as the journal names it."""
    return Subject("rules", group.pk, group.name)


@transaction.atomic
def put_group(
    spec: RuleGroupSpec, actor: Actor, at: datetime, *, existing: RuleGroup | None = None, by_file: str = ""
) -> RuleGroup:
    """Create a group of rules, or make an existing one what `spec` says; return it.

    A rule that stays (same kind and name, in order) keeps its state: a changed `for` does not begin anew.

    Raises:
        NotAllowed.
        Refused: a name that is taken, PromQL or a template that cannot be read; `field` is the place.
    """
    actor.need(CHECKS_EDIT)
    refuse_unreadable(spec)
    group = existing or RuleGroup(created_at=at)
    if existing is not None:
        group = held(existing, f"The rules {existing.name}", by_file)
    if RuleGroup.objects.filter(name=spec.name).exclude(pk=group.pk).exists():
        raise Refused(f"rules named {spec.name} exist already", "name", conflict=True)
    was = read_or_none(spec_of, group) if existing is not None else None
    group.name, group.every_s, group.limit = spec.name, spec.interval, spec.limit
    group.query_offset_s, group.labels, group.managed_by = spec.query_offset, spec.labels, by_file
    if existing is None:
        group.save(force_insert=True)
    else:
        group.version = F("version") + 1
        group.save()
        group.refresh_from_db(fields=["version"])
    _put_rules(group, spec.rules, at)
    if existing is None:
        write(facts.GROUP_CREATED, subject(group), actor, at, rules=[rule.name for rule in spec.rules])
    elif changes := list(differences(was, spec)):
        write(facts.GROUP_EDITED, subject(group), actor, at, changes=changes)
    Revision.bump("rules")
    return group


def _put_rules(group: RuleGroup, specs: Sequence[RuleSpec], at: datetime) -> None:
    known: dict[tuple[bool, str], list[Rule]] = {}
    for row in group.rules.order_by("position", "id"):
        known.setdefault((row.alerts, row.name), []).append(row)
    for position, spec in enumerate(specs):
        same = known.get((spec.alert is not None, spec.name), [])
        row = same.pop(0) if same else Rule(group=group, alerts=spec.alert is not None, name=spec.name)
        values = (spec.expr, spec.for_, spec.keep_firing_for, spec.labels, spec.annotations)
        fresh = row.pk is None
        if fresh or row.position != position or any(getattr(row, n) != v for n, v in zip(_FIELDS, values, strict=True)):
            row.position = position
            for name, value in zip(_FIELDS, values, strict=True):
                setattr(row, name, value)
            row.save()
        if fresh:
            RuleState.objects.create(rule=row)
    gone = [row for rows in known.values() for row in rows]
    resolve_all([row.pk for row in gone], "its rule was removed", at)
    for row in gone:
        row.delete()


@transaction.atomic
def remove_group(group: RuleGroup, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a group; alerts that its rules have raised are resolved by whoever hears of it.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(CHECKS_EDIT)
    group = held(group, f"The rules {group.name}", by_file, leaving=True)
    write(facts.GROUP_REMOVED, subject(group), actor, at)
    resolve_all(group.rules.values_list("pk", flat=True), "its rule was removed", at)
    group.delete()
    Revision.bump("rules")


def spec_of(group: RuleGroup) -> RuleGroupSpec:
    """Return a group as people write it."""
    return RuleGroupSpec.model_validate(document(group, list(group.rules.order_by("position", "id"))))


def document(group: RuleGroup, rules: Iterable[Rule]) -> dict[str, Any]:
    """Return a group as a rule file has it, without what is empty."""
    return _without_empty(
        {
            "name": group.name,
            "interval": group.every_s,
            "limit": group.limit,
            "query_offset": group.query_offset_s,
            "labels": group.labels,
            "rules": [
                _without_empty(
                    {
                        "alert" if rule.alerts else "record": rule.name,
                        "expr": rule.expr,
                        "for": rule.for_s,
                        "keep_firing_for": rule.keep_firing_for_s,
                        "labels": rule.labels,
                        "annotations": rule.annotations,
                    }
                )
                for rule in rules
            ],
        }
    )


def differences(was: RuleGroupSpec | None, now: RuleGroupSpec) -> Iterable[str]:
    """Name what differs between two versions of a group: its own fields, and its rules by name."""
    if was is None:
        yield "all, since what was stored could not be read"
        return
    for name in RuleGroupSpec.model_fields:
        if name not in {"rules", "name"} and getattr(was, name) != getattr(now, name):
            yield name
    before, after = _by_name(was.rules), _by_name(now.rules)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            word = "added" if key not in before else "removed" if key not in after else "changed"
            yield f"{key} {word}"
    if before.keys() == after.keys() and list(before) != list(after):
        yield "order"


def _by_name(rules: Iterable[RuleSpec]) -> dict[str, list[RuleSpec]]:
    found: dict[str, list[RuleSpec]] = {}
    for rule in rules:
        found.setdefault(rule.name, []).append(rule)
    return found


def refuse_unreadable(spec: RuleGroupSpec) -> None:
    """Raise `Refused`, with the place, where PromQL, a template, a label or a metric name cannot be read."""
    for path, detail in problems(spec):
        raise Refused(detail, path)


def _without_empty(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value not in (None, {}, [], "", 0, 0.0)}
