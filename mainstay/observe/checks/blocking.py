"""Noticing checks that are down because a check they need is down."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from mainstay.foundation.journal.write import write
from mainstay.observe.checks import facts
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.watch import MONITOR, Watch


def sweep(watch: Watch, parents: Mapping[int, frozenset[int]], now: datetime) -> int:
    """Record for each held check that is down whether something it needs is down; return the number of changes."""
    held = [
        (watched, parents.get(check, frozenset()))
        for check, watched in list(watch.checks.items())
        # A check that needs nothing any more may still be marked as blocked.
        if watched.blocked_by is not None or (check in parents and watched.state.health is Health.DOWN)
    ]
    if not held:
        return 0
    down = set(CheckState.objects.filter(health=Health.DOWN, check_ref__paused=False).values_list("pk", flat=True))
    changed = 0
    for watched, needed in held:
        blocking = needed & down if watched.state.health is Health.DOWN else frozenset()
        if watched.blocked_by in blocking or (not blocking and watched.blocked_by is None):
            continue
        blocked_by = min(blocking, default=None)
        with transaction.atomic():
            CheckState.objects.filter(pk=watched.id).update(blocked_by=blocked_by)
            if blocked_by is not None:
                parent = Check.objects.select_related("application").get(pk=blocked_by)
                write(facts.CHECK_BLOCKED, watched.subject, MONITOR, now, parent=str(parent))
            else:
                write(facts.CHECK_UNBLOCKED, watched.subject, MONITOR, now)
        watched.blocked_by = blocked_by
        changed += 1
    return changed
