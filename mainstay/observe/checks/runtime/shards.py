"""Which monitor works on which checks: a check belongs to a shard, a shard to one process that beats."""

import math
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from mainstay.foundation import store
from mainstay.foundation.processes import beat
from mainstay.observe.checks.models import Lease

SHARDS = 64


def shard_of(check: int) -> int:
    """Return the shard of a check's id."""
    return check % SHARDS


def hold(process: int, now: datetime) -> set[int]:
    """Take a fair share of the shards for `process`, those of dead processes included; return what it holds now.

    Each row is locked and taken by a conditional UPDATE, so two monitors never get the same shard from here. For the
    moment in which a suspended monitor wakes up with shards that were taken from it, `CheckState.changes` is the fence.
    """
    others = set(beat.alive(now, "monitor")) | {process}
    fair = math.ceil(SHARDS / len(others))
    free = Q(holder=None) | ~Q(holder__in=others)
    holders = dict(store.select("SELECT shard, holder FROM checks_lease"))
    mine = {shard for shard, holder in holders.items() if holder == process}
    # Nothing to give back, and nothing to take (or no room for it): as it nearly always is.
    if len(mine) == fair or (len(holders) == SHARDS and len(mine) < fair and others.issuperset(holders.values())):
        return mine
    if len(holders) < SHARDS:
        Lease.objects.bulk_create([Lease(shard=shard) for shard in range(SHARDS)], ignore_conflicts=True)
    with transaction.atomic():
        mine = set(Lease.objects.filter(holder=process).values_list("shard", flat=True))
        surplus = sorted(mine)[fair:]
        if surplus:
            Lease.objects.filter(shard__in=surplus, holder=process).update(holder=None)
        # Rows that another monitor is just taking are passed over: were all to wait for the same ones, each round would
        # serve one monitor only, and the checks of a dead one would wait for many rounds.
        takeable = Lease.objects.select_for_update(skip_locked=True).filter(free).order_by("shard")
        taken = list(takeable.values_list("shard", flat=True)[: max(0, fair - len(mine))])
        Lease.objects.filter(free, shard__in=taken).update(holder=process)
    return set(Lease.objects.filter(holder=process).values_list("shard", flat=True))


def release(process: int) -> None:
    """Give all shards of `process` back."""
    Lease.objects.filter(holder=process).update(holder=None)
