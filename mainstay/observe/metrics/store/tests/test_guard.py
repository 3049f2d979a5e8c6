"""The cardinality guard refuses what is too much, says who brought it, and lets the others go on."""

from pathlib import Path

import numpy as np
import pytest

from mainstay.observe.metrics.store import BadLabels, CardinalityExceeded, Reason, Store, StoreLimits
from mainstay.observe.metrics.store.tests.stores import START, equal, everything, key, select

LIMITS = StoreLimits(series=1_000, series_of_job=100)


def test_a_million_values_of_a_label_are_refused_and_existing_series_go_on(tmp_path: Path) -> None:
    store = Store(tmp_path, StoreLimits(series=10_000, series_of_job=5_000))
    good = [{"__name__": "up", "instance": str(number)} for number in range(10)]
    stream = store.stream("t", "shop")
    stream.put(START, store.layout(good, "shop"), np.ones(10))
    symbols = len(store.symbols)
    hostile = [{"__name__": "requests_total", "path": "/x", "session": f"s{n}"} for n in range(1_000_000)]
    with pytest.raises(CardinalityExceeded) as refused:
        store.layout([*good, *hostile], "shop")
    error = refused.value
    assert (error.job, error.metric, error.label) == ("shop", "requests_total", "session")
    assert error.series == 1_000_000
    assert 990_000 < error.values <= 1_000_000
    assert all(word in str(error) for word in ("'shop'", "'requests_total'", "'session'", "5000"))
    assert len(store.symbols) == symbols  # what is refused leaves nothing behind
    values = np.arange(1_000_010, dtype=np.float64)
    assert stream.put(START + 15_000, error.admitted, values) == 10
    assert [at for at, _ in everything(store)[key(good[3])]] == [START, START + 15_000]
    assert store.figures().refused == {Reason.CARDINALITY: 1_000_000}
    offenders = store.offenders()
    assert offenders.refused == [("shop", "requests_total", 1_000_000)]
    assert offenders.metrics == [("up", 10)]
    assert offenders.jobs == [("shop", 10)]
    store.close()


def test_one_job_cannot_take_the_room_of_others(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMITS)
    with pytest.raises(CardinalityExceeded, match="of one job"):
        store.layout([{"__name__": "a", "i": str(number)} for number in range(101)], "greedy")
    store.layout([{"__name__": "a", "i": str(number)} for number in range(100)], "modest")
    for job in range(9):
        store.layout([{"__name__": "b", "job": str(job), "i": str(number)} for number in range(100)], f"job{job}")
    with pytest.raises(CardinalityExceeded, match="of all jobs"):
        store.layout([{"__name__": "c"}], "late")
    store.close()


def test_memory_is_a_bound_too(tmp_path: Path) -> None:
    store = Store(tmp_path, StoreLimits(memory_bytes=2_000_000))
    with pytest.raises(CardinalityExceeded, match="as many as fit in the memory"):
        store.layout([{"__name__": "a", "i": str(number)} for number in range(5_000)], "job")
    store.close()


def test_series_that_left_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path, StoreLimits(series=100, series_of_job=100, idle_ms=60_000, age_ms=30_000))
    for turn in range(3):
        now = START + turn * 10_000_000
        layout = store.layout([{"__name__": "a", "turn": str(turn), "i": str(n)} for n in range(100)], "job")
        store.tick(now)
        assert store.stream("t", "job").put(now, layout, np.ones(100)) == 100
        del layout
        for later in range(0, 600_000, 60_000):
            store.tick(now + later)
        store.tick(now + 700_000)
        assert store.figures().series == 0
    assert len(everything(store)) == 300
    assert len(select(store, equal("turn", "1"))) == 100
    assert store.series([equal("turn", "1")], 0, 1 << 60).codes.shape[0] == 100
    store.close()


def test_labels_that_cannot_be_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, StoreLimits(label_value_length=10))
    for sets, says in (
        ([{"__name__": "a", "x": "y" * 11}], "11 characters"),
        ([{"__name__": "a"}, {"__name__": "a", "empty": ""}], "twice"),
        ([{}], "empty"),
    ):
        with pytest.raises(BadLabels, match=says):
            store.layout(sets, "job")
    assert store.figures().series == 0
    with pytest.raises(ValueError, match="2 values for a layout of 1"):
        store.stream("t", "job").put(START, store.layout([{"__name__": "a"}], "job"), np.ones(2))
    store.close()
