"""Who works on which checks: every shard is held once, and the shards of a dead process are taken over."""

from collections import Counter
from datetime import datetime, timedelta
from functools import partial

import pytest

from mainstay.foundation.processes import beat
from mainstay.foundation.processes.models import Process
from mainstay.observe.checks.models import Lease
from mainstay.observe.checks.runtime import shards as leases
from mainstay.observe.checks.tests.parts import NOON, after
from tests.database import at_once

pytestmark = pytest.mark.django_db(transaction=True)
ALL = set(range(leases.SHARDS))


def process(at: datetime = NOON) -> int:
    return Process.objects.create(role="monitor", host="h", pid=1, boot="", started_at=at, beat_at=at).pk


def holders() -> Counter[int | None]:
    return Counter(Lease.objects.values_list("holder", flat=True))


def test_a_single_monitor_holds_everything() -> None:
    assert leases.hold(process(), NOON) == ALL


@pytest.mark.parametrize("count", [2, 3, 5])
def test_monitors_that_start_together_share_every_shard_once(count: int) -> None:
    ids = [process() for _ in range(count)]
    for round_ in range(3):  # after the first, those who took too much have given back
        found = at_once(*[partial(leases.hold, one, after(round_)) for one in ids])
        sets = [shards for shards in found if isinstance(shards, set)]
        assert len(sets) == count, found
        assert len(Lease.objects.all()) == leases.SHARDS
    assert sum(len(shards) for shards in sets) == leases.SHARDS
    assert set().union(*sets) == ALL
    assert max(map(len, sets)) - min(map(len, sets)) <= count


def test_a_newcomer_gets_its_share() -> None:
    first = process()
    leases.hold(first, NOON)
    second = process()
    assert leases.hold(second, NOON) == set()
    assert len(leases.hold(first, NOON)) == 32
    assert len(leases.hold(second, NOON)) == 32
    assert holders() == {first: 32, second: 32}


def test_the_shards_of_a_dead_monitor_are_taken_over_after_its_silence() -> None:
    dead, alive = process(), process()
    for one in (dead, alive, dead, alive):
        leases.hold(one, NOON)
    silent = NOON + beat.SILENT_AFTER
    Process.objects.filter(pk=alive).update(beat_at=silent)
    assert len(leases.hold(alive, silent)) == 32
    later = silent + timedelta(milliseconds=1)
    assert leases.hold(alive, later) == ALL


def test_whoever_takes_over_at_once_takes_each_shard_once() -> None:
    dead = process()
    leases.hold(dead, NOON)
    later = NOON + timedelta(minutes=1)
    heirs = [process(later) for _ in range(4)]
    found = at_once(*[lambda one=one: leases.hold(one, later) for one in heirs])
    taken = [shard for shards in found if isinstance(shards, set) for shard in shards]
    assert len(taken) == len(set(taken)) == leases.SHARDS, found


def test_one_that_wakes_up_does_not_get_back_what_was_taken() -> None:
    asleep = process()
    leases.hold(asleep, NOON)
    later = NOON + timedelta(minutes=1)
    heir = process(later)
    assert leases.hold(heir, later) == ALL
    assert leases.hold(asleep, later) == set()


def test_a_monitor_that_ends_gives_everything_back() -> None:
    first, second = process(), process()
    leases.hold(first, NOON)
    leases.release(first)
    assert holders() == {None: leases.SHARDS}
    Process.objects.filter(pk=first).delete()
    assert leases.hold(second, NOON) == ALL


def test_every_check_has_one_shard() -> None:
    assert {leases.shard_of(number) for number in range(1_000)} == ALL
