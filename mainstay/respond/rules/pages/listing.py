"""The list of rules: how each is, filtered by URL, quick whatever has gathered.

Three answers are kept apart: it fires, it does not, and nobody can tell. A rule that has not been evaluated lately,
whose source is away, whose expression fails or matches nothing is never shown as one that does not fire.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, QuerySet

from mainstay.kit.lists import with_words
from mainstay.respond.rules.models import Instance, Rule, RuleGroup
from mainstay.respond.rules.standing import is_late, late_reason

PAGE = 50
STATE_WORDS = {
    "firing": "firing",
    "pending": "pending",
    "inactive": "not firing",
    "unknown": "unknown",
    "err": "failing",
    "no_series": "without series",
    "recording": "recording",
}
_GRAVEST_FIRST = ("firing", "pending", "err", "unknown", "no_series", "inactive", "recording")


@dataclass(frozen=True, slots=True)
class Row:
    """One rule and how it is."""

    id: int
    name: str
    alerts: bool
    expr: str
    for_s: float
    severity: str
    group: str
    group_id: int
    every_s: float
    managed_by: str
    health: str  # as kept: ok, no_series, unknown, err
    reason: str
    since: datetime | None
    evaluated_at: datetime | None
    duration_s: float | None
    results: int
    firing: int
    pending: int
    late: bool = field(default=False)  # it was to be evaluated, and was not

    @property
    def known_health(self) -> str:
        """The health that can be told now: of a rule that is not evaluated, nothing is known."""
        return "unknown" if self.late or self.evaluated_at is None else self.health

    @property
    def state(self) -> str:
        """A key of `STATE_WORDS`: what a person wants to know first."""
        if self.firing:
            return "firing"
        if self.pending:
            return "pending"
        if self.known_health != "ok":
            return self.known_health
        return "inactive" if self.alerts else "recording"

    @property
    def why(self) -> str:
        """Why nothing can be told, or why what is told may be old; empty when all is known."""
        if self.evaluated_at is None:
            return self.reason or "It has not been evaluated yet."
        if self.late:
            return late_reason(self.evaluated_at)
        return "" if self.health == "ok" else self.reason

    @property
    def kind(self) -> str:
        """Alert or record."""
        return "alert" if self.alerts else "record"


def rows(found: QuerySet[Rule], now: datetime) -> list[Row]:
    """Return rules as rows, in the order of their groups; a fixed number of queries."""
    counts: dict[int, dict[str, int]] = {}
    for rule, state, number in (
        Instance.objects.filter(rule__in=found.order_by().values("id"))
        .values_list("rule_id", "state")
        .annotate(number=Count("id"))
    ):
        counts.setdefault(rule, {})[state] = number
    return [_row(rule, counts.get(rule.pk, {}), now) for rule in found.select_related("group", "state")]


def _row(rule: Rule, counts: Mapping[str, int], now: datetime) -> Row:
    state = getattr(rule, "state", None)
    every_s = rule.group.interval_s
    evaluated_at = state.evaluated_at if state is not None else None
    return Row(
        id=rule.pk,
        name=rule.name,
        alerts=rule.alerts,
        expr=rule.expr,
        for_s=rule.for_s,
        severity=str(rule.labels.get("severity") or rule.group.labels.get("severity") or ""),
        group=rule.group.name,
        group_id=rule.group_id,
        every_s=every_s,
        managed_by=rule.group.managed_by,
        health=state.health if state is not None else "unknown",
        reason=state.reason if state is not None else "",
        since=state.since if state is not None else None,
        evaluated_at=evaluated_at,
        duration_s=state.duration_s if state is not None else None,
        results=state.results if state is not None else 0,
        firing=counts.get("firing", 0),
        pending=counts.get("pending", 0),
        late=is_late(evaluated_at, every_s, now),
    )


def matching(text: str, group: str) -> QuerySet[Rule]:
    """Return the rules of a group, or of any, that have all words of a text, in the order of their groups."""
    found = Rule.objects.order_by("group__name", "position", "id")
    if group:
        found = found.filter(group__name=group)
    return with_words(found, text, "name", "expr", "group__name")


def gravest_group_first(found: Sequence[Row]) -> list[Row]:
    """Return the rows with the groups in front in which something fires; within a group nothing moves."""
    gravest: dict[int, int] = {}
    for row in found:
        weight = _GRAVEST_FIRST.index(row.state)
        if weight < _GRAVEST_FIRST.index("inactive"):
            gravest[row.group_id] = min(weight, gravest.get(row.group_id, weight))
    return sorted(found, key=lambda row: gravest.get(row.group_id, len(_GRAVEST_FIRST)))


def headline(found: Sequence[Row], *, filtered: bool) -> str:
    """Return the sentence that answers: does anything fire, and can that be told?"""
    total = len(found)
    if filtered:
        return f"{total:,} {'rule matches' if total == 1 else 'rules match'}." if total else "No rule matches."
    alerting = [row for row in found if row.alerts]
    if not total:
        return "No rule watches the metrics yet."
    firing = [row for row in alerting if row.firing]
    blind = [row for row in alerting if not row.firing and not row.pending and row.known_health != "ok"]
    if firing:
        names = ", ".join(row.name for row in firing[:3]) + (" …" if len(firing) > 3 else "")
        return (
            f"{len(firing):,} of {len(alerting):,} alerting rules {'fires' if len(firing) == 1 else 'fire'}: {names}."
        )
    if blind and len(blind) == len(alerting):
        return "No alerting rule has a recent result."
    if not alerting:
        return f"{total:,} {'rule records' if total == 1 else 'rules record'} series; none raises alerts."
    subject = f"None of {len(alerting):,} alerting rules" if len(alerting) > 1 else "The one alerting rule"
    if blind:
        return f"{subject} fires, {len(blind):,} unknown."
    return f"{subject} fires." if len(alerting) > 1 else f"{subject} does not fire."


def counted(found: Iterable[Row]) -> str:
    """Return how many rules are in which state, in words."""
    states = [row.state for row in found]
    return " · ".join(f"{states.count(state):,} {STATE_WORDS[state]}" for state in _GRAVEST_FIRST if state in states)


def group_names() -> list[str]:
    """Return the names of all groups."""
    return list(RuleGroup.objects.order_by("name").values_list("name", flat=True))
