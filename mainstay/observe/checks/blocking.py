"""Noticing checks that are down because a check they need is down."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from mainstay.foundation.journal.write import write
from mainstay.observe.checks import facts
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.watch import MONITOR, Watch, Watched

AT_ONCE = 50  # changes in one transaction: others want to write, too
ROUND_MOST = 500  # changes in one round: heartbeats are looked at in between
GRAVITY = {"critical": 0, "major": 1, "minor": 2}


def sweep(watch: Watch, parents: Mapping[int, frozenset[int]], now: datetime) -> int:
    """Record for each held check that is down whether something it needs is down; return the number of changes.

    At most about `ROUND_MOST` are recorded, the most severe first. A check whose state was changed elsewhere meanwhile
    is left to a later round.

    Raises:
        DatabaseError: what was committed is remembered; the next round does the rest.
    """
    found = _differing(watch, parents)
    if not found:
        return 0
    wanted = {watched.id: watched for watched, _ in found}
    severities = dict(Check.objects.filter(pk__in=wanted).values_list("pk", "severity")) if len(found) > 1 else {}
    found.sort(key=lambda one: (GRAVITY.get(severities.get(one[0].id, ""), len(GRAVITY)), one[0].id))
    recorded = 0
    for begin in range(0, len(found), AT_ONCE):
        if recorded >= ROUND_MOST:
            break
        recorded += _record(found[begin : begin + AT_ONCE], now)
    return recorded


def _differing(watch: Watch, parents: Mapping[int, frozenset[int]]) -> list[tuple[Watched, int | None]]:
    """Return the checks whose blocking is another than was recorded, each with what blocks it."""
    held = [
        (watched, parents.get(check, frozenset()))
        for check, watched in list(watch.checks.items())
        # A check that needs nothing any more may still be marked as blocked.
        if watched.blocked_by is not None or (check in parents and watched.state.health is Health.DOWN)
    ]
    if not held:
        return []
    down = set(CheckState.objects.filter(health=Health.DOWN, check_ref__paused=False).values_list("pk", flat=True))
    found: list[tuple[Watched, int | None]] = []
    for watched, needed in held:
        blocking = needed & down if watched.state.health is Health.DOWN else frozenset()
        if watched.blocked_by not in blocking and (blocking or watched.blocked_by is not None):
            found.append((watched, min(blocking, default=None)))
    return found


def _record(piece: list[tuple[Watched, int | None]], now: datetime) -> int:
    """Write some changes and tell of them, in one transaction; return how many were not left to a later round."""
    names = {
        parent.pk: str(parent)
        for parent in Check.objects.filter(pk__in={by for _, by in piece if by}).select_related("application")
    }
    taken: list[tuple[Watched, int | None]] = []
    with transaction.atomic():
        # The fence: a row that another writer has moved on, or is just writing, is not ours to change now.
        rows = CheckState.objects.filter(pk__in=[watched.id for watched, _ in piece]).order_by("pk")
        fence = dict(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", "changes"))
        by_blocker: dict[int | None, list[int]] = {}
        for watched, blocked_by in piece:
            if fence.get(watched.id) == watched.changes and (blocked_by is None or blocked_by in names):
                taken.append((watched, blocked_by))
                by_blocker.setdefault(blocked_by, []).append(watched.id)
        for blocked_by, ids in by_blocker.items():
            CheckState.objects.filter(pk__in=ids).update(blocked_by=blocked_by)
        for watched, blocked_by in taken:
            if blocked_by is not None:
                write(facts.CHECK_BLOCKED, watched.subject, MONITOR, now, parent=names[blocked_by])
            else:
                write(facts.CHECK_UNBLOCKED, watched.subject, MONITOR, now)
    for watched, blocked_by in taken:
        watched.blocked_by = blocked_by
    return len(taken)
