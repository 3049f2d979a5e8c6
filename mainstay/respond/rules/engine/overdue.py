"""Rules that are not evaluated, or fail for long: looked for by the worker, told as alerts.

The monitor cannot tell that its own evaluation has ended, so another process looks at when rules were last evaluated.
All rules that are not evaluated are one alert, for the cause is one: a monitor that is away or stuck. A rule that fails
is an alert with the labels and the severity of the rule; beyond some at once, one alert carries the rest. A source of
samples that is away is neither: its rules are evaluated, and say that nothing can be known.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Q

from mainstay.foundation.catalog.models import Application
from mainstay.foundation.pieces import is_of_the_content
from mainstay.foundation.processes.beat import alive
from mainstay.foundation.processes.unreadable import readable
from mainstay.foundation.words.names import severity_of, weight
from mainstay.respond.alerts.actions import Firing, fire, resolve
from mainstay.respond.alerts.models import Alert
from mainstay.respond.rules.alerting import source_of
from mainstay.respond.rules.models import Rule, RuleGroup

log = logging.getLogger("mainstay.rules")
LOOK_EVERY_S = 15.0
OVERDUE_LEAST = timedelta(minutes=2)
FAILING_LEAST = timedelta(minutes=5)
GAP = timedelta(minutes=1)  # between two looks: the machine slept, or its clock was set
SINGLY_MOST = 10
NAMED_MOST = 5
NOT_EVALUATED, FAILING = "rules:overdue", "rules:failing"
_HEALTH = "health"  # in the place of an instance's fingerprint


@dataclass(slots=True)
class Lookout:
    """Looks at rules again and again; remembers only since when it looks."""

    _begun: datetime | None = None
    _looked_at: datetime | None = None
    _edited: dict[int, tuple[int, datetime]] = field(
        default_factory=dict
    )  # groups: version, and when it was first seen

    def cycle(self, now: datetime, _process: int) -> None:
        """Open, update and resolve the alerts about rules."""
        if self._begun is None or self._looked_at is None or not timedelta() <= now - self._looked_at <= GAP:
            self._begun = now  # what was evaluated before, or not, says nothing about the time from now on
        self._looked_at = now
        doubtful = Rule.objects.filter(
            Q(state__health="err") | Q(state__evaluated_at=None) | Q(state__evaluated_at__lt=now - OVERDUE_LEAST)
        )
        rows = doubtful.filter(state__isnull=False).select_related("group", "state").order_by("id")
        versions = dict(RuleGroup.objects.values_list("id", "version"))
        known = self._edited
        self._edited = {
            group: known[group] if known.get(group, (None,))[0] == version else (version, now)
            for group, version in versions.items()
        }
        begun = self._begun
        found = readable("rule", rows, lambda rule: (rule, self._is_overdue(rule, begun, now), _is_failing(rule, now)))
        overdue = [rule for rule, is_overdue, _ in found if is_overdue]
        wanted = _wanted(overdue, [rule for rule, _, fails in found if fails], now)
        mine = Q(source__in=(NOT_EVALUATED, FAILING)) | Q(source__startswith="rule:", source__endswith=f":{_HEALTH}")
        opened = {alert.source: alert for alert in Alert.objects.filter(mine, ended_at=None)}
        for source, firing in wanted.items():
            open_one = opened.get(source)
            if open_one is None or _differs(open_one, firing):
                _apart(source, partial(fire, firing, now))
        for source, alert in opened.items():
            if source not in wanted:
                why = "evaluated again" if source == NOT_EVALUATED else "it does not fail any more"
                _apart(source, partial(resolve, alert, why, now))

    def _is_overdue(self, rule: Rule, begun: datetime, now: datetime) -> bool:
        edited = self._edited[rule.group_id][1] if rule.group_id in self._edited else now
        last = rule.state.evaluated_at or begun
        return now - max(last, begun, edited) > max(OVERDUE_LEAST, timedelta(seconds=3 * rule.group.interval_s + 30))


def _apart(source: str, act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:  # a defect met by one alert must not keep the others from being told
        if not is_of_the_content(error):
            raise
        log.exception("the alert %s cannot be told", source)


def _is_failing(rule: Rule, now: datetime) -> bool:
    since = rule.state.since
    for_long = max(FAILING_LEAST, timedelta(seconds=3 * rule.group.interval_s))
    return rule.state.health == "err" and since is not None and now - since > for_long


def _differs(alert: Alert, firing: Firing) -> bool:
    return alert.name != firing.name or weight(alert.severity) < weight(firing.severity)


def _wanted(overdue: Sequence[Rule], failing: Sequence[Rule], now: datetime) -> dict[str, Firing]:
    """Return the alerts that should be open, by source."""
    severest = sorted(failing, key=lambda rule: (-weight(_severity(rule)), rule.pk))
    found = [_fails(rule) for rule in severest[:SINGLY_MOST]]
    if severest[SINGLY_MOST:]:
        rest = severest[SINGLY_MOST:]
        name = f"{len(rest):,} more rules cannot be evaluated" if len(rest) > 1 else "1 more rule cannot be evaluated"
        found.append(_together(FAILING, name, f"{_names(rest)}. Each rule's page says why.", "RulesFail", rest))
    if overdue:
        first = overdue[0]
        name = f"{len(overdue):,} rules are not evaluated"
        if len(overdue) == 1:
            name = f"Rule {first.name} has not been evaluated {_since(first.state.evaluated_at)}"
        why = "No monitor is running." if not alive(now, "monitor") else "The monitor runs; its log says more."
        since = _since(max((rule.state.evaluated_at for rule in overdue if rule.state.evaluated_at), default=None))
        summary = f"Not evaluated {since}: {_names(overdue)}. What these rules watch pages nobody. {why}"
        found.append(_together(NOT_EVALUATED, name, summary, "RulesNotEvaluated", overdue))
    return {firing.source: firing for firing in found}


def _fails(rule: Rule) -> Firing:
    labels = {**rule.group.labels, **rule.labels}
    plain = {name: text for name, text in labels.items() if "{{" not in text}
    severity = _severity(rule)
    return Firing(
        source=source_of(rule.pk, _HEALTH),
        name=f"Rule {rule.name} cannot be evaluated"[:300],
        severity=severity,
        summary=f"It fails {_since(rule.state.since)}: {rule.state.reason}",
        labels={**plain, "alertname": "RuleFails", "rule": rule.name, "severity": severity},
        application=Application.objects.filter(name=plain.get("application", "")).first(),
        environment=plain.get("environment", "")[:100],
    )


def _together(source: str, name: str, summary: str, alertname: str, rules: Sequence[Rule]) -> Firing:
    severity = max(map(_severity, rules), key=weight)
    return Firing(
        source=source,
        name=name[:300],
        severity=severity,
        summary=summary,
        labels={"alertname": alertname, "severity": severity},
    )


def _severity(rule: Rule) -> str:
    written = rule.labels.get("severity") or rule.group.labels.get("severity") or ""
    return severity_of(written)


def _names(rules: Sequence[Rule]) -> str:
    names = ", ".join(rule.name for rule in rules[:NAMED_MOST])
    return f"{names} and {len(rules) - NAMED_MOST:,} more" if len(rules) > NAMED_MOST else names


def _since(at: datetime | None) -> str:
    return f"since {at:%Y-%m-%d %H:%M} UTC" if at is not None else "yet"
