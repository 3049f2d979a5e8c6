"""A clock that is set while samples come in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mainstay.observe.metrics.store import Reason, Store, StoreLimits
from mainstay.observe.metrics.store.limits import DAY_MS, HOUR_MS
from mainstay.observe.metrics.store.tests.stores import SMALL, START, bits, equal, key, reopened, select

EVERY_MS = 15_000
LABELS = {"__name__": "depth", "instance": "a"}


def put(store: Store, begin_ms: int, count: int, first: float) -> int:
    """Put samples every 15 s as a scrape does, with ticks; return the time of the last."""
    layout, stream = store.layout([LABELS], "job"), store.stream("a", "job")
    for number in range(count):
        at_ms = begin_ms + number * EVERY_MS
        store.tick(at_ms)
        assert stream.put(at_ms, layout, np.array([first + number])) == 1, "refused"
    return begin_ms + (count - 1) * EVERY_MS


def put_own(store: Store, begin_ms: int, count: int, first: float) -> int:
    """Put samples that have timestamps of their own."""
    layout = store.layout([LABELS], "job")
    for number in range(count):
        at_ms = begin_ms + number * EVERY_MS
        store.tick(at_ms)
        taken = store.put_own_times(layout, np.array([first + number]), np.array([at_ms]))
        assert taken == 1, "refused"
    return begin_ms + (count - 1) * EVERY_MS


@pytest.mark.fault("R6")
@pytest.mark.parametrize("put_samples", [put, put_own])
@pytest.mark.parametrize("count", [5, 200])  # in memory only; mostly in history
def test_after_the_clock_was_set_back_samples_are_taken_at_once(
    tmp_path: Path, put_samples: Callable[[Store, int, int, float], int], count: int
) -> None:
    store = Store(tmp_path, SMALL)
    last = put_samples(store, START, count, 0.0)
    back = last + EVERY_MS - HOUR_MS
    end = put_samples(store, back, 20, 1000.0)
    found = select(store, equal("__name__", "depth"), after=back - 1, until=end)[key(LABELS)]
    assert {(back + n * EVERY_MS, bits(1000.0 + n)) for n in range(20)} <= set(found)
    assert store.figures().refused == {}
    # When the clock comes to where it was, both are there, in order, each time once.
    put_samples(store, end + EVERY_MS, 300, 2000.0)
    assert len(select(store, equal("__name__", "depth"))[key(LABELS)]) >= 300
    store.close()


@pytest.mark.parametrize("count", [5, 200])
def test_what_came_after_the_clock_was_set_back_outlives_a_crash(tmp_path: Path, count: int) -> None:
    store = Store(tmp_path, SMALL)
    last = put(store, START, count, 0.0)
    back = last + EVERY_MS - HOUR_MS
    end = put(store, back, 20, 1000.0)
    before = select(store, equal("__name__", "depth"))
    store = reopened(store, tmp_path, SMALL)
    assert select(store, equal("__name__", "depth")) == before
    put(store, end + EVERY_MS, 5, 1020.0)
    store.close()


def test_a_store_that_is_opened_after_the_clock_was_set_back_takes_samples_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path, SMALL)
    last = put(store, START, 200, 0.0)
    store.flush()
    store = reopened(store, tmp_path, SMALL)
    put(store, last - HOUR_MS, 20, 1000.0)
    store.close()


def test_a_sample_that_is_only_late_is_refused_as_before(tmp_path: Path) -> None:
    store = Store(tmp_path, SMALL)
    last = put(store, START, 5, 0.0)
    layout, stream = store.layout([LABELS], "job"), store.stream("a", "job")
    assert stream.put(last - EVERY_MS, layout, np.array([1.0])) == 0
    assert store.figures().refused == {Reason.OUT_OF_ORDER: 1}
    store.close()


def test_a_clock_that_is_far_ahead_for_a_while_drops_no_history(tmp_path: Path) -> None:
    store = Store(tmp_path, StoreLimits(columns=8, kept=3, batch=4, raw_ms=2 * DAY_MS))
    layout, stream = store.layout([LABELS], "job"), store.stream("a", "job")
    for number in range(3 * 24 * 4):
        at_ms = START + number * HOUR_MS // 4
        stream.put(at_ms, layout, np.array([float(number)]))
        store.tick(at_ms)
    before = len(select(store, equal("__name__", "depth"))[key(LABELS)])
    ahead = at_ms + 40 * DAY_MS
    for second in range(0, 150, 15):
        store.tick(ahead + second * 1000)
        stream.put(ahead + second * 1000, layout, np.array([1.0]))
    store.flush()
    store.tick(ahead + 200_000)
    assert len(select(store, equal("__name__", "depth"))[key(LABELS)]) == before + 10
    store.close()
