"""Hearing of checks, inside the transaction in which they change."""

from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on
from mainstay.observe.checks import facts as checks
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.actions import fell_back, fire, look_now, resolve
from mainstay.respond.alerts.decide import Code
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery import facts as delivery

DEGRADED_SEVERITY = "minor"


@on(checks.CHECK_CHANGED)
def a_check_changed(entry: Entry) -> None:
    """Down fires with the check's severity, degraded as minor; up resolves."""
    number = int(entry.subject.partition(":")[2])
    health = entry.facts["health"]
    if health == "up":
        _resolve(number, "the check is up again", entry)
        return
    if health == "degraded":
        look_now(Code.UNREACHABLE, entry.at)
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


@on(checks.MAINTENANCE_CANCELLED)
def maintenance_was_cancelled(entry: Entry) -> None:
    """What it held may page at once."""
    look_now(Code.MAINTENANCE, entry.at)


@on(delivery.PAGE_FELL_BACK)
def a_page_fell_back(entry: Entry) -> None:
    """Who is paged in another's place hears of acknowledgement and resolution, too."""
    kind, _, number = entry.subject.partition(":")
    if kind == "alert":
        fell_back(int(number), entry.facts["to"], entry.at)


def _resolve(check: int, reason: str, entry: Entry) -> None:
    look_now(Code.UNREACHABLE, entry.at)  # those that need it are on their own again
    alert = Alert.objects.filter(source=f"check:{check}", ended_at=None).first()
    if alert is not None:
        resolve(alert, reason, entry.at)
