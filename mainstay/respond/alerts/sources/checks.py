"""Alerts of checks: what fires while one is down or degraded, what ends it, and what stands around it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on_all
from mainstay.observe.checks import facts
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.standing import all_labels, around
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.actions import Firing, fire_all, look_again, resolve_all
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.origins import Context, ContextOf, Origin, in_windows

DEGRADED_SEVERITY = "minor"


def of_check(check: Check, severity: str, name: str, summary: str) -> Firing:
    """Return what fires when something is wrong with `check`."""
    return Firing(
        source=_source(check.pk),
        name=name,
        severity=severity,
        summary=summary,
        labels={**all_labels(check), "alertname": str(check), "severity": severity},
        refers={"check_ref": check},
        application=check.application,
        environment=check.environment.name if check.environment else "",
        runbook=check.runbook,
    )


def context(alerts: Sequence[Alert], windows: Sequence[Window]) -> ContextOf:
    """Read what stands around alerts of checks: windows, and what each check needs; of one that is gone, windows."""
    here = around({alert.check_ref_id for alert in alerts if alert.check_ref_id is not None}, windows)
    of_gone = in_windows(alerts, windows)

    def of(alert: Alert, now: datetime) -> Context:
        if alert.check_ref is None:
            return of_gone(alert, now)
        found = here.standing(alert.check_ref, now, alert.started_at)
        return Context(found.cover, found.blocked_by, found.waits_for, found.back, found.back_at, found.needed)

    return of


ORIGIN = Origin(
    word="check",
    context=context,
    loads=("check_ref__application", "check_ref__environment", "check_ref__component"),
    shown="mainstay.respond.alerts.pages.check_alerts.SHOWN",
)


@on_all(facts.CHECK_CHANGED)
def checks_changed(entries: Sequence[Entry]) -> None:
    """Down fires with the check's severity, degraded as minor; up resolves."""
    _look_at_held_by(map(_number, entries), entries[0].at)  # those that need one of them may be on their own again
    healthy = [entry for entry in entries if entry.facts["health"] == "up"]
    resolve_all({_source(_number(entry)): ("the check is up again", entry.at) for entry in healthy})
    ill = {_number(entry): entry for entry in entries if entry.facts["health"] != "up"}
    related = ("application", "environment", "component")
    rows = Check.objects.select_related(*related).in_bulk(list(ill)) if ill else {}
    if missing := ill.keys() - rows.keys():
        raise Check.DoesNotExist(f"no checks {sorted(missing)}")
    fire_all([(_firing(rows[number], entry), entry.at) for number, entry in ill.items()])


def _firing(check: Check, entry: Entry) -> Firing:
    health = entry.facts["health"]
    severity = check.severity if health == "down" else DEGRADED_SEVERITY
    return of_check(check, severity, f"{check} is {health}", entry.facts["message"])


@on_all(facts.CHECK_PAUSED)
def checks_were_paused(entries: Sequence[Entry]) -> None:
    """Nobody looks at a paused check, so nobody can say that it is still down."""
    _over(entries, "paused")


@on_all(facts.CHECK_REMOVED)
def checks_were_removed(entries: Sequence[Entry]) -> None:
    """What no longer exists cannot be down."""
    _over(entries, "removed")


@on_all(facts.CHECK_RESET)
def checks_were_reset(entries: Sequence[Entry]) -> None:
    """They watch something else now."""
    _over(entries, "changed")


def _over(entries: Sequence[Entry], how: str) -> None:
    _look_at_held_by(map(_number, entries), entries[0].at)
    resolve_all({_source(_number(e)): (f"the check was {how} by {e.actor_name}", e.at) for e in entries})


@on_all(facts.CHECK_EDITED)
def checks_were_edited(entries: Sequence[Entry]) -> None:
    """What they need, where they belong and their labels may be others now."""
    numbers = [_number(entry) for entry in entries]
    look_again(entries[0].at, check_ref__in=numbers, acknowledged_at=None, look_at__isnull=False)
    _look_at_held_by(numbers, entries[0].at)


def _look_at_held_by(checks: Iterable[int], now: datetime) -> None:
    """Let the open alerts that one of `checks` holds be decided on again: it is not as it was."""
    look_again(now, held_by__in=list(checks))


def _number(entry: Entry) -> int:
    return int(entry.subject.partition(":")[2])


def _source(check: int) -> str:
    return f"check:{check}"
