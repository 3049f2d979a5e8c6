"""One rule evaluated once: alerts move, or series are recorded, and what cannot be known changes nothing.

    outcome = evaluate(rule, ask, instances, at_ms)
    outcome.instances, outcome.changes   # an alerting rule's
    outcome.rows                         # series to write: what is recorded, or ALERTS and ALERTS_FOR_STATE
    outcome.health, outcome.reason

`ask` evaluates PromQL at the instant of the evaluation (less `query_offset`). It raises QueryError for a query that
fails and SourceAway when the source of samples does not answer. Either leaves all instances exactly as they are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.respond.rules.engine.state import NAME, Change, Instance, Labels, Surroundings, Vector, alert_series, step
from mainstay.respond.rules.files.read import Rule

Rows = Sequence[tuple[Labels, float]]
Ask = Callable[[str], Vector]


class SourceAway(Exception):
    """The source of samples does not answer; the message says which and why. Nothing is known."""


class Health(StrEnum):
    """How a rule is."""

    OK = "ok"
    ERR = "err"  # its last evaluation failed
    UNKNOWN = "unknown"  # the source of samples is away
    NO_SERIES = "no_series"  # its expression cannot give anything: no series that it asks for exist


class RuleFails(ValueError):
    """A rule cannot use what its expression gave."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a rule. `rows` are to be written at the instant of the evaluation, less `query_offset`."""

    health: Health
    reason: str
    instances: Mapping[str, Instance]
    changes: tuple[Change, ...] = ()
    rows: Rows = ()
    results: int = 0  # elements that the expression gave


def evaluate(
    rule: Rule,
    ask: Ask,
    active: Mapping[str, Instance],
    at_ms: int,
    *,
    limit: int = 0,
    external_labels: Labels | None = None,
    external_url: str = "",
    check_time: Callable[[], None] = lambda: None,
) -> Outcome:
    """Evaluate a rule at `at_ms`. A failure is an outcome: nothing is raised for what a rule or a source does.

    `rule` has the labels of its group already (`RuleGroup.evaluated`). `check_time` is called between series and may
    raise QueryError: the rule takes too long.
    """
    try:
        vector = ask(rule.expr)
    except SourceAway as error:
        return Outcome(Health.UNKNOWN, str(error), active)
    except QueryError as error:
        return Outcome(Health.ERR, str(error), active)
    if not rule.is_alert:
        try:
            rows = recorded(rule, vector, limit=limit)
        except RuleFails as error:
            return Outcome(Health.ERR, str(error), active, results=len(vector))
        return Outcome(Health.OK, "", active, rows=rows, results=len(vector))
    around = Surroundings(external_labels or {}, external_url, ask, check_time)
    try:
        stepped = step(rule, active, vector, at_ms, limit=limit, around=around)
    except QueryError as error:
        return Outcome(Health.ERR, str(error), active, results=len(vector))
    if stepped.error:
        return Outcome(Health.ERR, stepped.error, stepped.instances, stepped.changes, results=len(vector))
    written = alert_series(rule, stepped.instances.values())
    return Outcome(Health.OK, "", stepped.instances, stepped.changes, written, len(vector))


def recorded(rule: Rule, vector: Vector, *, limit: int = 0) -> Rows:
    """Return the series that a recording rule makes of what its expression gave.

    Raises:
        RuleFails: two would be the same, or there are more than `limit`.
    """
    rows: list[tuple[Labels, float]] = []
    seen: set[tuple[tuple[str, str], ...]] = set()
    for labels, value in vector:
        merged = {**labels, **rule.labels, NAME: rule.record}
        row = {name: merged[name] for name in sorted(merged) if merged[name]}
        key = tuple(row.items())
        if key in seen:
            raise RuleFails("two series have the same labels once the labels of the rule are applied")
        seen.add(key)
        rows.append((row, value))
    if 0 < limit < len(rows):
        raise RuleFails(f"{len(rows)} series are more than the limit of {limit}; nothing is recorded")
    return rows


def ended(before: Iterable[tuple[Labels, float]], now: Iterable[tuple[Labels, float]]) -> list[Labels]:
    """Return the series of the evaluation before that this one does not write: they end here (are marked stale)."""
    kept = {tuple(sorted(labels.items())) for labels, _ in now}
    return [labels for labels, _ in before if tuple(sorted(labels.items())) not in kept]
