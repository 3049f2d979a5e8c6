"""Hearing of checks, channels and the catalog, inside the transaction in which they change."""

from collections.abc import Sequence

from mainstay.foundation.catalog import facts as catalog
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import on, on_all
from mainstay.observe.checks import facts as checks
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.actions import (
    Firing,
    fell_back,
    fire_all,
    look_at_held,
    look_at_held_by,
    look_now,
    of_check,
    resolve_all,
)
from mainstay.respond.alerts.decide import Code
from mainstay.respond.delivery import facts as delivery

DEGRADED_SEVERITY = "minor"
_OF_OTHERS = (Code.UNREACHABLE, Code.WAITING_FOR_NEEDED, Code.MAINTENANCE)


@on_all(checks.CHECK_CHANGED)
def checks_changed(entries: Sequence[Entry]) -> None:
    """Down fires with the check's severity, degraded as minor; up resolves."""
    look_at_held_by(map(_number, entries), entries[0].at)  # those that need one of them may be on their own again
    healthy = [entry for entry in entries if entry.facts["health"] == "up"]
    resolve_all({f"check:{_number(entry)}": ("the check is up again", entry.at) for entry in healthy})
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


@on_all(checks.CHECK_PAUSED)
def checks_were_paused(entries: Sequence[Entry]) -> None:
    """Nobody looks at a paused check, so nobody can say that it is still down."""
    _over(entries, "paused")


@on_all(checks.CHECK_REMOVED)
def checks_were_removed(entries: Sequence[Entry]) -> None:
    """What no longer exists cannot be down."""
    _over(entries, "removed")


@on_all(checks.CHECK_RESET)
def checks_were_reset(entries: Sequence[Entry]) -> None:
    """They watch something else now."""
    _over(entries, "changed")


def _over(entries: Sequence[Entry], how: str) -> None:
    look_at_held_by(map(_number, entries), entries[0].at)
    resolve_all({f"check:{_number(e)}": (f"the check was {how} by {e.actor_name}", e.at) for e in entries})


@on_all(checks.CHECK_EDITED)
def checks_were_edited(entries: Sequence[Entry]) -> None:
    """What they need, where they belong and their labels may be others now."""
    numbers = [_number(entry) for entry in entries]
    look_at_held(numbers, entries[0].at)
    look_at_held_by(numbers, entries[0].at)


@on(catalog.APPLICATION_EDITED)
def an_application_was_edited(entry: Entry) -> None:
    """Its components may need others now."""
    look_now(entry.at, *_OF_OTHERS)


@on(catalog.APPLICATION_REMOVED)
def an_application_was_removed(entry: Entry) -> None:
    """Its components and its maintenance go with it."""
    look_now(entry.at, *_OF_OTHERS)


@on(checks.MAINTENANCE_ANNOUNCED)
def maintenance_was_announced(entry: Entry) -> None:
    """It may have been changed, and cover less than before."""
    look_now(entry.at, Code.MAINTENANCE)


@on(checks.MAINTENANCE_CANCELLED)
def maintenance_was_cancelled(entry: Entry) -> None:
    """What it held may page at once."""
    look_now(entry.at, Code.MAINTENANCE)


@on(delivery.CHANNEL_CREATED)
def a_channel_was_added(entry: Entry) -> None:
    """What had no channel may have one."""
    look_now(entry.at, Code.NO_CHANNEL)


@on(delivery.CHANNEL_EDITED)
def a_channel_was_edited(entry: Entry) -> None:
    """Its name may be one that routes have."""
    look_now(entry.at, Code.NO_CHANNEL)


@on(delivery.PAGE_FELL_BACK)
def a_page_fell_back(entry: Entry) -> None:
    """Who is paged in another's place hears of acknowledgement and resolution, too."""
    kind, _, number = entry.subject.partition(":")
    if kind == "alert":
        fell_back(int(number), entry.facts["to"], entry.at)


def _number(entry: Entry) -> int:
    return int(entry.subject.partition(":")[2])
