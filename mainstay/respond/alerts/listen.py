"""Hearing of checks, inside the transaction in which they change."""

from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.observe.checks import facts as checks
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.actions import fire, resolve
from mainstay.respond.alerts.models import Alert

DEGRADED_SEVERITY = "minor"


@on(checks.CHECK_CHANGED)
def a_check_changed(entry: Entry) -> None:
    """Down fires with the check's severity, degraded as minor; up resolves."""
    number = int(entry.subject.partition(":")[2])
    health = entry.facts["health"]
    if health == "up":
        _resolve(number, "the check is up again", entry)
        return
    check = Check.objects.select_related("application", "environment", "component").get(pk=number)
    severity = check.severity if health == "down" else DEGRADED_SEVERITY
    fire(check, severity, f"{check} is {health}", entry.facts["message"], entry.at)


@on(checks.CHECK_PAUSED)
def a_check_was_paused(entry: Entry) -> None:
    """Nobody looks at a paused check, so nobody can say that it is still down."""
    _resolve(int(entry.subject.partition(":")[2]), f"the check was paused by {entry.actor_name}", entry)


@on(checks.CHECK_REMOVED)
def a_check_was_removed(entry: Entry) -> None:
    """What no longer exists cannot be down."""
    _resolve(int(entry.subject.partition(":")[2]), f"the check was removed by {entry.actor_name}", entry)


@on(checks.CHECK_RESET)
def a_check_was_reset(entry: Entry) -> None:
    """It watches something else now."""
    _resolve(int(entry.subject.partition(":")[2]), f"the check was changed by {entry.actor_name}", entry)


def _resolve(check: int, reason: str, entry: Entry) -> None:
    alert = Alert.objects.filter(source=f"check:{check}", ended_at=None).first()
    if alert is not None:
        resolve(alert, reason, entry.at)
