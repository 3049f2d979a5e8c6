"""Alerts outlive a store that begins anew, as after a takeover by a monitor on another host.

An empty store is not "nothing is wrong": an alert from before it stays as it is until the expression was evaluated over
samples of its metrics, in a window of which not most lies in the gap.
"""

from collections.abc import Mapping
from dataclasses import replace

from mainstay.observe.metrics.promql import plan
from mainstay.observe.metrics.promql.parse import Expression
from mainstay.observe.metrics.store.limits import Coverage
from mainstay.respond.rules.engine.outcome import Health, Outcome
from mainstay.respond.rules.engine.state import Code, Instance, alert_series
from mainstay.respond.rules.engine.verdict import LOOKBACK_MS, Count, unseen
from mainstay.respond.rules.files.read import Rule

_ENDS = frozenset({Code.RESOLVED, Code.CANCELLED, Code.KEPT})


def doubt(expression: Expression, count: Count, coverage: Coverage, at_ms: int) -> str:
    """Return why it says nothing that the expression gives nothing; "" when it does say something."""
    widths = (node.range_ms for node in plan.walk(expression.node) if isinstance(node, plan.Range | plan.Subquery))
    width_ms = max(widths, default=0)
    wait_ms = min(width_ms, coverage.gap_ms)
    left_ms = coverage.begun_ms + wait_ms - at_ms
    if left_ms > 0:
        return f"samples are missing before this monitor began; what it tells counts in {left_ms // 1000 + 1} s"
    seen_from = coverage.begun_ms
    if coverage.gap_ms < LOOKBACK_MS:  # what was there before is as good
        seen_from -= coverage.gap_ms + LOOKBACK_MS
    names = unseen(expression, count, seen_from, at_ms)
    return f"no sample of {' or '.join(names)} has come since this monitor keeps the metrics" if names else ""


def held_open(
    rule: Rule, before: Mapping[str, Instance], found: Outcome, count: Count, coverage: Coverage, at_ms: int
) -> Outcome:
    """Return an outcome in which no instance from before the store ends for want of samples.

    Raises:
        SourceAway.
    """
    ends = [
        change.fingerprint
        for change in found.changes
        if change.code in _ENDS and before[change.fingerprint].active_at_ms < coverage.begun_ms
    ]
    if not ends:
        return found
    why = doubt(rule.expression, count, coverage, at_ms)
    if not why:
        return found
    instances = {**found.instances, **{key: before[key] for key in ends}}
    return replace(
        found,
        health=Health.UNKNOWN,
        reason=f"{why}; {len(ends)} alerts stay as they are",
        instances=instances,
        changes=tuple(change for change in found.changes if change.fingerprint not in ends),
        rows=alert_series(rule, instances.values()),
    )
