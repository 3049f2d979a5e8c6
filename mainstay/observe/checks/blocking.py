"""Noticing checks that are down because a check they need is down."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from mainstay.foundation.journal.write import Fact, write_all
from mainstay.foundation.pieces import pieces
from mainstay.observe.checks import facts, store
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.watch import MONITOR, TURN_S, Watch, Watched

BLOCKED_AT_ONCE = 100


def sweep(watch: Watch, parents: Mapping[int, frozenset[int]], now: datetime) -> int:
    """Record for each held check that is down whether something it needs is down; return the number of changes.

    When those are thousands, they are recorded in pieces, and the rest in the next round.
    """
    held = [
        (watched, parents.get(check, frozenset()))
        for check, watched in list(watch.checks.items())
        # A check that needs nothing any more may still be marked as blocked.
        if watched.blocked_by is not None or (check in parents and watched.state.health is Health.DOWN)
    ]
    if not held:
        return 0
    down = set(CheckState.objects.filter(health=Health.DOWN, check_ref__paused=False).values_list("pk", flat=True))
    changes: list[tuple[Watched, int | None]] = []
    for watched, needed in held:
        blocking = needed & down if watched.state.health is Health.DOWN else frozenset()
        if watched.blocked_by not in blocking and (blocking or watched.blocked_by is not None):
            changes.append((watched, min(blocking, default=None)))
    done, until = 0, time.monotonic() + TURN_S
    for piece in pieces(changes, BLOCKED_AT_ONCE):
        done += _record(piece, now)
        if time.monotonic() > until:
            break
    return done


def _record(changes: Sequence[tuple[Watched, int | None]], now: datetime) -> int:
    with transaction.atomic():
        named = {blocked_by for _, blocked_by in changes if blocked_by is not None}
        blocking = Check.objects.select_related("application").in_bulk(named)
        # One that was removed meanwhile blocks nothing: the next round knows.
        kept = [(watched, by) for watched, by in changes if by is None or by in blocking]
        store.update(CheckState, ("blocked_by_id",), ("check_ref_id",), [(by, watched.id) for watched, by in kept])
        write_all(
            Fact(facts.CHECK_UNBLOCKED, watched.subject, MONITOR, now, {})
            if by is None
            else Fact(facts.CHECK_BLOCKED, watched.subject, MONITOR, now, {"parent": str(blocking[by])})
            for watched, by in kept
        )
    for watched, by in kept:
        watched.blocked_by = by
    return len(kept)
