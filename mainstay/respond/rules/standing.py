"""What can be told of a rule: its health while it is evaluated, its name when it is not."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mainstay.foundation.processes.setaside import Known
from mainstay.respond.rules.models import Rule, RuleState

_LATE_LEAST = timedelta(seconds=60)


def is_late(evaluated_at: datetime | None, every_s: float, now: datetime) -> bool:
    """Tell whether an evaluation is overdue. The row that tells may itself be some seconds old."""
    if evaluated_at is None:
        return False
    return now - evaluated_at > max(_LATE_LEAST, timedelta(seconds=4 * every_s + 30))


def late_reason(evaluated_at: datetime) -> str:
    """Say since when a rule is not evaluated."""
    return f"Not evaluated since {evaluated_at:%Y-%m-%d %H:%M} UTC; does the monitor run?"


def known_health(state: RuleState, every_s: float, now: datetime) -> tuple[str, str]:
    """Return the health that can be told now, and why: an old row never says that all is well."""
    if state.evaluated_at is not None and is_late(state.evaluated_at, every_s, now):
        return "unknown", late_reason(state.evaluated_at)
    return state.health, state.reason


def known(ids: Sequence[int]) -> Mapping[int, Known]:
    """Return what processes say of rules that took them down: name, version, page."""
    return {
        rule.pk: Known(f"{rule.group.name}/{rule.name}", str(rule.group.version), None, f"/rules/{rule.pk}/")
        for rule in Rule.objects.filter(pk__in=ids).select_related("group")
    }
