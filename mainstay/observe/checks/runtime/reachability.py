"""Noticing checks that are down because a check they need is down."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from mainstay.foundation import store
from mainstay.foundation.journal.write import Fact, write_all
from mainstay.foundation.pieces import pieces
from mainstay.observe.checks import facts
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.runtime.commit import MONITOR
from mainstay.observe.checks.runtime.results import TURN_S, Watch
from mainstay.observe.checks.runtime.watched import Watched

AT_ONCE = 50  # changes in one transaction: others want to write, too


def sweep(watch: Watch, parents: Mapping[int, frozenset[int]], now: datetime) -> int:
    """Record for each held check that is down whether something it needs is down; return the number of changes.

    The most severe come first. A check whose state was changed elsewhere meanwhile is left to a later round.

    Raises:
        DatabaseError: what was committed is remembered; the next round does the rest.
    """
    found = sorted(_differing(watch, parents), key=lambda one: (one[0].urgency, one[0].id))
    recorded, until = 0, time.monotonic() + TURN_S  # heartbeats are looked at in between
    for piece in pieces(found, AT_ONCE):
        recorded += _record(piece, now)
        if time.monotonic() > until:
            break
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


def _record(piece: Sequence[tuple[Watched, int | None]], now: datetime) -> int:
    """Write some changes and tell of them, in one transaction; return how many were not left to a later round."""
    with transaction.atomic():
        named = {blocked_by for _, blocked_by in piece if blocked_by is not None}
        blocking = Check.objects.select_related("application").in_bulk(named)
        # The fence: a row that another writer has moved on, or is just writing, is not ours to change now.
        rows = CheckState.objects.filter(pk__in=[watched.id for watched, _ in piece]).order_by("pk")
        fence = dict(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", "changes"))
        # One that was removed meanwhile blocks nothing: the next round knows.
        taken = [
            (watched, by)
            for watched, by in piece
            if fence.get(watched.id) == watched.changes and (by is None or by in blocking)
        ]
        store.update(CheckState, ("blocked_by_id",), ("check_ref_id",), [(by, watched.id) for watched, by in taken])
        write_all(
            Fact(facts.CHECK_UNBLOCKED, watched.subject, MONITOR, now, {})
            if by is None
            else Fact(facts.CHECK_BLOCKED, watched.subject, MONITOR, now, {"parent": str(blocking[by])})
            for watched, by in taken
        )
    for watched, by in taken:
        watched.blocked_by = by
    return len(taken)
