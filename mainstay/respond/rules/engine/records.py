"""Rules and their state between memory and the records."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError, transaction

from mainstay.foundation import store
from mainstay.foundation.accounts.actor import program
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import from_unix
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.words.names import severity_of
from mainstay.respond.alerts.actions import Firing, fire, resolve
from mainstay.respond.alerts.models import Alert
from mainstay.respond.rules import facts
from mainstay.respond.rules.alerting import source_of
from mainstay.respond.rules.engine.state import Change, Code, Instance
from mainstay.respond.rules.files import read
from mainstay.respond.rules.models import Instance as Row
from mainstay.respond.rules.models import Rule, RuleGroup, RuleState
from mainstay.respond.rules.template import FAILED

log = logging.getLogger("mainstay.rules")
RULES = program("rules")
VALUES_AT_ONCE = 200
STATE_COLUMNS = ("health", "reason", "since", "evaluated_at", "duration_s", "results")


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """How the last evaluation of a rule went."""

    health: str = "unknown"  # ok, no_series, unknown, err
    reason: str = ""
    since: datetime | None = None
    evaluated_at: datetime | None = None
    duration_s: float | None = None
    results: int = 0


@dataclass(slots=True)
class Held:
    """One rule as it is evaluated."""

    id: int
    rule: read.Rule
    instances: Mapping[str, Instance] = field(default_factory=dict)
    standing: RuleHealth = field(default_factory=RuleHealth)
    told: RuleHealth = field(default_factory=RuleHealth)  # as the records have it

    @property
    def subject(self) -> Subject:
        """The rule as the journal names it."""
        return Subject("rule", self.id, self.rule.name)

    def follow(self, fingerprints: set[str], after: Mapping[str, Instance]) -> None:
        """Take over what has become of some instances."""
        rest = {key: instance for key, instance in self.instances.items() if key not in fingerprints}
        self.instances = rest | {key: after[key] for key in fingerprints if key in after}


@dataclass(slots=True)
class HeldGroup:
    """A group as it is evaluated."""

    id: int
    version: int
    name: str
    every_s: float
    offset_ms: int
    limit: int
    rules: list[Held]

    @property
    def spent_s(self) -> float:
        """How long its rules took when they were last evaluated."""
        return sum(held.standing.duration_s or 0.0 for held in self.rules)


def load(only: Iterable[int] | None = None) -> list[HeldGroup]:
    """Read groups (all, or some by id) with the instances and the health that the records have."""
    groups = RuleGroup.objects.prefetch_related("rules__instances", "rules__state").order_by("name")
    if only is not None:
        groups = groups.filter(pk__in=list(only))
    return [_held_group(group) for group in groups]


def _held_group(group: RuleGroup) -> HeldGroup:
    rows = list(group.rules.all())
    plain = read.RuleGroup(
        name=group.name,
        rules=tuple(_plain(row) for row in rows),
        interval_s=group.every_s or 0.0,
        query_offset_s=group.query_offset_s,
        limit=group.limit,
        labels=group.labels,
    )
    held = [
        Held(
            id=row.pk,
            rule=rule,
            instances={one.fingerprint: Instance.restored(one.kept) for one in row.instances.all()},
            standing=_health_of(row.state),
            told=_health_of(row.state),
        )
        for row, rule in zip(rows, plain.evaluated, strict=True)
    ]
    return HeldGroup(
        id=group.pk,
        version=group.version,
        name=group.name,
        every_s=group.interval_s,
        offset_ms=plain.query_offset_ms,
        limit=group.limit,
        rules=held,
    )


def _plain(row: Rule) -> read.Rule:
    return read.Rule(
        expr=row.expr,
        alert=row.name if row.alerts else "",
        record="" if row.alerts else row.name,
        for_s=row.for_s,
        keep_firing_for_s=row.keep_firing_for_s,
        labels=row.labels,
        annotations=row.annotations,
    )


def _health_of(state: RuleState) -> RuleHealth:
    return RuleHealth(state.health, state.reason, state.since, state.evaluated_at, state.duration_s, state.results)


def commit_change(held: Held, after: Mapping[str, Instance], change: Change) -> None:
    """Write what became of one instance of a rule, and fire or resolve its alert; in the open transaction."""
    if not Rule.objects.filter(pk=held.id).exists():
        return  # removed meanwhile; its alerts were resolved with it
    at, source = from_unix(change.at_ms / 1000), source_of(held.id, change.fingerprint)
    instance = after.get(change.fingerprint)
    if instance is None or not instance.is_active:
        Row.objects.filter(rule=held.id, fingerprint=change.fingerprint).delete()
    else:
        values = {"state": instance.state.value, "kept": instance.document(), "changed_at": at}
        Row.objects.update_or_create(rule_id=held.id, fingerprint=change.fingerprint, defaults=values)
    if change.code is Code.FIRED and instance is not None:
        fire(firing(held, source, instance), at)
    elif change.code in {Code.RESOLVED, Code.OVER_LIMIT}:
        alert = Alert.objects.filter(source=source, ended_at=None).first()
        if alert is not None:
            resolve(alert, change.reason, at)


def is_of_the_content(error: BaseException) -> bool:
    """Whether the same would fail again; not so for a database that is locked, full or away."""
    if isinstance(error, DatabaseError):
        return isinstance(error, DataError | IntegrityError | ProgrammingError)
    return isinstance(error, Exception) and not isinstance(error, InterfaceError)


def firing(held: Held, source: str, instance: Instance) -> Firing:
    """Return the alert that an instance raises."""
    labels = dict(instance.labels)
    severity = severity_of(labels.get("severity", ""))
    labels["severity"] = severity
    said = instance.annotations
    name = said.get("summary", "").strip()
    if not name or name.startswith(FAILED):  # whoever is woken by it must learn what fires
        name = _named(held.rule.name, instance.labels)
    return Firing(
        source=source,
        name=" ".join(name.split()),
        severity=severity,
        summary=said.get("description") or said.get("message") or f"{held.rule.expr} gives {instance.value:g}",
        labels=labels,
        application=Application.objects.filter(name=labels.get("application", "")).first(),
        environment=labels.get("environment", "")[:100],
        runbook=said.get("runbook_url") or said.get("runbook") or "",
        annotations=dict(said),
        value=instance.value if abs(instance.value) < float("inf") else None,
    )


def _named(name: str, labels: Mapping[str, str]) -> str:
    where = labels.get("instance") or labels.get("job") or labels.get("application")
    return f"{name} on {where}" if where else name


def commit_health(rules: Iterable[Held]) -> None:
    """Write how evaluations went; the journal hears when a rule can no longer be trusted, and when it can again."""
    rows = []
    for held in rules:
        now, was = held.standing, held.told
        if now.health != was.health and {now.health, was.health} & {"err", "unknown"} and was.evaluated_at is not None:
            at = now.evaluated_at or now.since
            if at is not None:
                write(facts.RULE_HEALTH, held.subject, RULES, at, was=was.health, health=now.health, reason=now.reason)
        rows.append(
            (
                now.health, now.reason[:2_000], store.moment(now.since), store.moment(now.evaluated_at),
                now.duration_s, now.results, held.id,
            )
        )  # fmt: skip
    store.update(RuleState, STATE_COLUMNS, ("rule_id",), rows)


def commit_values(rules: Iterable[Held]) -> None:
    """Bring the values of standing instances up to date, some in each transaction."""
    active = [(held.id, key, one) for held in rules for key, one in held.instances.items() if one.is_active]
    for begin in range(0, len(active), VALUES_AT_ONCE):
        with transaction.atomic():
            for rule, key, instance in active[begin : begin + VALUES_AT_ONCE]:
                Row.objects.filter(rule=rule, fingerprint=key).update(kept=instance.document())
