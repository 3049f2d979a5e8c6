"""How alerts know the rules that raise them. Light: pages and actions use it, too."""

from collections.abc import Iterable
from datetime import datetime

from mainstay.respond.alerts.actions import resolve
from mainstay.respond.alerts.models import Alert


def source_of(rule: int, fingerprint: str) -> str:
    """Return the source of an instance's alert."""
    return f"rule:{rule}:{fingerprint}"


def rule_of(source: str) -> int | None:
    """Return the id of the rule that raised an alert, or None when no rule did."""
    kind, _, rest = source.partition(":")
    number = rest.partition(":")[0]
    return int(number) if kind == "rule" and number.isdecimal() else None


def resolve_all(rules: Iterable[int], reason: str, at: datetime) -> None:
    """Resolve the open alerts of rules that are being removed, in the same transaction."""
    for rule in rules:
        for alert in Alert.objects.filter(source__startswith=f"rule:{rule}:", ended_at=None):
            resolve(alert, reason, at)
