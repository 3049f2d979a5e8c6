"""Results on their way to the metrics: a store that is slow, full or broken costs no page and no other result."""

import logging
import threading

import pytest

from mainstay.observe.checks.models import CheckState, Result
from mainstay.observe.checks.runtime.recorded import Recorded
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.runtime.watched import Observation
from mainstay.observe.checks.tests.parts import check, down, see, up, watched


@pytest.mark.django_db
def test_a_store_that_hangs_or_breaks_keeps_nothing_from_being_recorded(caplog: pytest.LogCaptureFixture) -> None:
    row = check()

    def broken(_seen: object) -> None:
        raise ZeroDivisionError

    held = Watch(broken)
    held.put(watched(row))
    see(held, up(row), down(row, 1))
    with caplog.at_level(logging.CRITICAL):
        assert held.recorded.pass_on()
    see(held, down(row, 2))
    assert CheckState.objects.get().health == "down"
    assert Result.objects.count() == 3
    assert not held.stale


@pytest.mark.django_db
def test_what_is_recorded_is_passed_on_once_in_order() -> None:
    row = check()
    seen: list[Observation] = []
    held = Watch(seen.extend)
    held.put(watched(row))
    given = [up(row), up(row, 1), down(row, 2)]
    see(held, *given)
    assert seen == []
    assert held.recorded.pass_on()
    assert not held.recorded.pass_on()
    assert seen == given


def test_while_the_disk_is_full_all_waits_and_keeps_its_order() -> None:
    full, seen = threading.Event(), []

    def hear(some: object) -> None:
        if full.is_set():
            raise OSError("no space left")
        assert isinstance(some, list)
        seen.extend(some)

    queue: Recorded[int] = Recorded(hear)
    full.set()
    for number in range(3):
        queue.add([number])
        with pytest.raises(OSError, match="no space"):
            queue.pass_on()
    full.clear()
    queue.add([3])
    assert queue.pass_on()
    assert seen == [0, 1, 2, 3]
    assert queue.lost == 0


def test_one_that_cannot_be_taken_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def hear(some: object) -> None:
        assert isinstance(some, list)
        if 2 in some:
            raise ValueError("two")
        seen.extend(some)

    queue: Recorded[int] = Recorded(hear)
    queue.add([1, 2, 3])
    with caplog.at_level(logging.CRITICAL):
        assert queue.pass_on()
    assert seen == [1, 3]
    assert not queue.pass_on()


def test_beyond_its_bound_the_oldest_are_passed_over_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    queue: Recorded[int] = Recorded(seen.extend, most=3)
    with caplog.at_level(logging.ERROR):
        queue.add([1, 2])
        queue.add([3, 4, 5])
        queue.add([6])
    queue.pass_on()
    assert seen == [4, 5, 6]
    assert queue.lost == 3
    assert len(caplog.records) == 1
