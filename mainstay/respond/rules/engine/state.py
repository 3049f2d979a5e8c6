"""The life of alerts: what one evaluation of an alerting rule makes of its instances, as Prometheus has it.

inactive → pending (the condition holds, but not yet for `for`) → firing → resolved; `keep_firing_for` holds a firing
instance after its condition has ended. An instance is known by its labels: those of the series without its name, with
the rule's labels, rendered, over them, and `alertname`. A resolved instance is remembered for 15 minutes.

Everything here is a pure function of its arguments; times are unix milliseconds. Instances are plain values: `document`
makes JSON of one and `Instance.restored` makes it again, so a restart forgets neither pending nor keep-firing time.

    stepped = step(rule, instances, [({"instance": "db1"}, 0.97)], at_ms)
    stepped.instances, stepped.changes, stepped.error
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from mainstay.observe.metrics.durations import written_ms
from mainstay.respond.rules.files.read import Rule
from mainstay.respond.rules.template import Query, Scope

RESOLVED_KEPT_MS = 15 * 60 * 1000
NAME = "__name__"
ALERT_NAME = "alertname"

Labels = Mapping[str, str]
Vector = Sequence[tuple[Labels, float]]  # what an instant query gives: labels and value of each series


class State(StrEnum):
    """Where an instance stands. One that is inactive and still kept has resolved."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Code(StrEnum):
    """What happened to an instance, by name."""

    PENDING = "pending"  # the condition holds; `for` runs
    FIRED = "fired"  # it held for `for`
    CANCELLED = "cancelled"  # it ended before `for` was over
    KEPT = "kept"  # it ended; `keep_firing_for` holds the alert
    BACK = "back"  # it holds again while `keep_firing_for` held the alert
    RESOLVED = "resolved"
    OVER_LIMIT = "over_limit"  # the rule gives more than its limit: all its instances are dropped


@dataclass(frozen=True, slots=True)
class Instance:
    """One alert of a rule. Labels and annotations must not be changed."""

    labels: Labels
    annotations: Labels
    state: State
    value: float
    active_at_ms: int  # since when the condition holds
    fired_at_ms: int | None = None
    resolved_at_ms: int | None = None
    kept_since_ms: int | None = None  # since when only `keep_firing_for` holds it

    @property
    def is_active(self) -> bool:
        """Whether it is pending or firing."""
        return self.state is not State.INACTIVE

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it; the value as a text, for NaN and infinities are no JSON."""
        return {
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "state": self.state.value,
            "value": repr(self.value),
            "active_at_ms": self.active_at_ms,
            "fired_at_ms": self.fired_at_ms,
            "resolved_at_ms": self.resolved_at_ms,
            "kept_since_ms": self.kept_since_ms,
        }

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "Instance":
        """Make an instance of what `document` returned."""
        return cls(
            labels=dict(document["labels"]),
            annotations=dict(document["annotations"]),
            state=State(document["state"]),
            value=float(document["value"]),
            active_at_ms=document["active_at_ms"],
            fired_at_ms=document["fired_at_ms"],
            resolved_at_ms=document["resolved_at_ms"],
            kept_since_ms=document["kept_since_ms"],
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one instance, and why. `before` and `after` are its states, INACTIVE where there was none."""

    fingerprint: str
    labels: Labels
    code: Code
    before: State
    after: State
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """The instances after an evaluation, by fingerprint; what changed; and, if the evaluation failed, why.

    An error leaves the instances as they were, but one: over its limit, a rule loses them all, as in Prometheus.
    """

    instances: Mapping[str, Instance]
    changes: tuple[Change, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What templates know besides the series: labels and address of the installation, and how to ask PromQL."""

    external_labels: Labels = field(default_factory=dict)
    external_url: str = ""
    query: Query | None = None
    check_time: Callable[[], None] = lambda: None  # raises when rendering takes too long


NOTHING_AROUND = Surroundings()


@dataclass(frozen=True, slots=True)
class Found:
    """An element of a result with the identity it has as an alert."""

    labels: Labels
    annotations: Labels
    value: float


def moved(instances: Mapping[str, Instance], by_ms: int) -> dict[str, Instance]:
    """Return instances as they are by a clock that was set `by_ms` further: `for` and the like go on as they were."""

    def later(at_ms: int | None) -> int | None:
        return at_ms + by_ms if at_ms is not None else None

    return {
        key: replace(
            one,
            active_at_ms=one.active_at_ms + by_ms,
            fired_at_ms=later(one.fired_at_ms),
            resolved_at_ms=later(one.resolved_at_ms),
            kept_since_ms=later(one.kept_since_ms),
        )
        for key, one in instances.items()
    }


def fingerprint(labels: Labels) -> str:
    """Return 16 hexadecimal digits that tell label sets apart, the same on every machine and run."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(labels):
        digest.update(f"{name}\xff{labels[name]}\xff".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def step(
    rule: Rule,
    active: Mapping[str, Instance],
    result: Vector,
    at_ms: int,
    *,
    limit: int = 0,
    around: Surroundings = NOTHING_AROUND,
) -> Stepped:
    """Return what an evaluation at `at_ms` that gave `result` makes of the instances of an alerting rule.

    Templates that cannot be rendered give Prometheus' `<error expanding template: …>`; two series that get the same
    labels are an error, and so are more than `limit` instances.
    """
    found: dict[str, Found] = {}
    for labels, value in result:
        scope = scope_of(labels, value, at_ms, around)
        identity = identified(rule, labels, scope)
        key = fingerprint(identity)
        if key in found:
            shown = ", ".join(f'{name}="{text}"' for name, text in identity.items())
            message = f"two series have the same labels once the labels of the alert are applied: {{{shown}}}"
            return Stepped(active, error=message)
        annotations = {}
        for name, template in rule.annotation_templates.items():
            around.check_time()
            annotations[name] = template.expand(scope)
        found[key] = Found(identity, annotations, value)
    return advance(rule, active, found, at_ms, limit=limit)


def scope_of(labels: Labels, value: float, at_ms: int, around: Surroundings) -> Scope:
    """Return what the templates of a rule are rendered with for one series."""
    return Scope(labels, value, around.external_labels, around.external_url, around.query, at_ms)


def identified(rule: Rule, labels: Labels, scope: Scope) -> dict[str, str]:
    """Return the labels of the alert that a series raises, sorted; a label that renders empty is none."""
    merged = {name: text for name, text in labels.items() if name != NAME}
    for name, template in rule.label_templates.items():
        merged[name] = template.expand(scope)
    merged[ALERT_NAME] = rule.alert
    return {name: merged[name] for name in sorted(merged) if merged[name]}


def advance(
    rule: Rule, active: Mapping[str, Instance], found: Mapping[str, Found], at_ms: int, *, limit: int = 0
) -> Stepped:
    """Do what `step` does, with the identities and annotations of the series already known."""
    instances: dict[str, Instance] = {}
    changes: list[Change] = []
    for key, instance in active.items():
        if key in found:
            continue
        after, change = _without(rule, key, instance, at_ms)
        if after is not None:
            instances[key] = after
        if change is not None:
            changes.append(change)
    for key, element in found.items():
        instances[key], change = _with(rule, key, active.get(key), element, at_ms)
        if change is not None:
            changes.append(change)
    count = sum(instance.is_active for instance in instances.values())
    if 0 < limit < count:
        return _over_limit(rule, active, limit, count, at_ms)
    return Stepped(instances, tuple(changes))


def _without(rule: Rule, key: str, instance: Instance, at_ms: int) -> tuple[Instance | None, Change | None]:
    """The condition does not hold for this instance."""
    if instance.state is State.INACTIVE:
        since = instance.resolved_at_ms
        forgotten = since is not None and at_ms - since > RESOLVED_KEPT_MS
        return (None if forgotten else instance), None
    if instance.state is State.PENDING:
        held = written_ms(at_ms - instance.active_at_ms)
        reason = f"the condition ended after {held}, before it had held for {written_ms(rule.for_ms)}"
        return None, _change(key, instance, Code.CANCELLED, State.INACTIVE, reason, at_ms)
    since = instance.kept_since_ms
    begins = since is None
    since = at_ms if since is None else min(since, at_ms)  # later than now: from before the clock was set back
    if rule.keep_firing_for_ms > 0 and at_ms - since < rule.keep_firing_for_ms:
        kept = replace(instance, kept_since_ms=since)
        until = _clock(since + rule.keep_firing_for_ms)
        reason = f"the condition ended; keep_firing_for {written_ms(rule.keep_firing_for_ms)} holds it until {until}"
        return kept, _change(key, instance, Code.KEPT, State.FIRING, reason, at_ms) if begins else None
    reason = f"the condition does not hold any more at {_clock(at_ms)}"
    if instance.kept_since_ms is not None:
        span = written_ms(rule.keep_firing_for_ms)
        reason = f"the condition ended at {_clock(since)} and keep_firing_for {span} is over"
    resolved = replace(instance, state=State.INACTIVE, resolved_at_ms=at_ms)
    return resolved, _change(key, instance, Code.RESOLVED, State.INACTIVE, reason, at_ms)


def _with(rule: Rule, key: str, before: Instance | None, element: Found, at_ms: int) -> tuple[Instance, Change | None]:
    """The condition holds for this instance."""
    if before is None or before.state is State.INACTIVE:
        fresh = Instance(element.labels, element.annotations, State.PENDING, element.value, at_ms)
        if rule.for_ms <= 0:
            reason = "the condition holds, and the rule has no `for`"
            fired = replace(fresh, state=State.FIRING, fired_at_ms=at_ms)
            return fired, _change(key, fresh, Code.FIRED, State.FIRING, reason, at_ms, before=State.INACTIVE)
        reason = f"the condition holds; it fires at {_clock(at_ms + rule.for_ms)} if it still does"
        return fresh, _change(key, fresh, Code.PENDING, State.PENDING, reason, at_ms, before=State.INACTIVE)
    instance = before
    if (before.value, before.annotations, before.kept_since_ms) != (element.value, element.annotations, None):
        instance = replace(before, value=element.value, annotations=element.annotations, kept_since_ms=None)
    if before.state is State.PENDING and before.active_at_ms > at_ms:  # from before the clock was set back
        instance = replace(instance, active_at_ms=at_ms)
    if before.state is State.PENDING and at_ms - before.active_at_ms >= rule.for_ms:
        held = f"the condition has held since {_clock(before.active_at_ms)}"
        reason = f"{held}, which is at least the {written_ms(rule.for_ms)} of `for`"
        fired = replace(instance, state=State.FIRING, fired_at_ms=at_ms)
        return fired, _change(key, fired, Code.FIRED, State.FIRING, reason, at_ms, before=State.PENDING)
    if before.kept_since_ms is not None:
        reason = f"the condition holds again; it had ended at {_clock(before.kept_since_ms)}"
        return instance, _change(key, instance, Code.BACK, State.FIRING, reason, at_ms)
    return instance, None


def _over_limit(rule: Rule, active: Mapping[str, Instance], limit: int, count: int, at_ms: int) -> Stepped:
    message = f"{count} alerts are more than the limit of {limit}; all alerts of the rule are dropped"
    changes = tuple(
        _change(key, instance, Code.OVER_LIMIT, State.INACTIVE, message, at_ms)
        for key, instance in active.items()
        if instance.is_active
    )
    return Stepped({}, changes, error=message)


def _change(
    key: str, instance: Instance, code: Code, after: State, reason: str, at_ms: int, *, before: State | None = None
) -> Change:
    return Change(key, instance.labels, code, instance.state if before is None else before, after, reason, at_ms)


def _clock(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"


def alert_series(rule: Rule, instances: Iterable[Instance]) -> list[tuple[dict[str, str], float]]:
    """Return the series ALERTS and ALERTS_FOR_STATE that the instances write after an evaluation, with their values.

    Prometheus puts the text of a template into ALERTS where the template renders empty; here the label is left out.
    """
    rows: list[tuple[dict[str, str], float]] = []
    for instance in instances:
        if instance.is_active:
            rows.append(({**instance.labels, NAME: "ALERTS", "alertstate": instance.state.value}, 1.0))
            rows.append(({**instance.labels, NAME: "ALERTS_FOR_STATE"}, float(instance.active_at_ms // 1000)))
    return rows
