"""What a selection answers with."""

import threading
from pathlib import Path

import numpy as np
import pytest

from mainstay.observe.metrics.promql.plan import Matcher, MatchKind
from mainstay.observe.metrics.promql.series import STALE
from mainstay.observe.metrics.store import Reason, Store, StoreLimits
from mainstay.observe.metrics.store.matching import BadPattern
from mainstay.observe.metrics.store.tests.stores import (
    SMALL,
    START,
    bits,
    equal,
    everything,
    found,
    key,
    reopened,
    select,
)

SETS = [
    {"__name__": "requests_total", "code": code, "path": path} for code in ("200", "404", "503") for path in ("/", "/a")
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    layout = store.layout([*SETS, {"__name__": "up"}], "shop")
    for column in range(10):
        store.stream("t", "shop").put(START + column * 15_000, layout, np.arange(7.0) + column)
    return store


def names(store: Store, *matchers: Matcher) -> set[str]:
    return {dict(labels).get("code", "") + dict(labels).get("path", "") for labels in select(store, *matchers)}


def test_matchers_are_those_of_prometheus(store: Store) -> None:
    name = equal("__name__", "requests_total")
    assert names(store, name, equal("code", "404")) == {"404/", "404/a"}
    assert names(store, name, Matcher("code", MatchKind.NOT_EQUAL, "404"), equal("path", "/")) == {"200/", "503/"}
    assert names(store, name, Matcher("code", MatchKind.REGEX, "5.."), equal("path", "/a")) == {"503/a"}
    assert names(store, name, Matcher("code", MatchKind.REGEX, "5")) == set()  # anchored
    assert names(store, name, Matcher("code", MatchKind.NOT_REGEX, "4.*|5.*"), equal("path", "/")) == {"200/"}
    assert names(store, Matcher("missing", MatchKind.REGEX, ""), equal("path", "/")) == {"200/", "404/", "503/"}
    assert names(store, equal("missing", "x"), name) == set()
    assert names(store, Matcher("__name__", MatchKind.REGEX, "u.|req.*"), equal("path", "")) == {""}
    assert len(select(store, Matcher("__name__", MatchKind.NOT_EQUAL, "up"))) == 6
    with pytest.raises(BadPattern, match="RE2"):
        store.select([name, Matcher("code", MatchKind.REGEX, "(?=x)")], 0, 1 << 60)
    store.close()


def test_the_range_is_open_on_the_left_and_closed_on_the_right(store: Store) -> None:
    got = select(store, equal("__name__", "up"), after=START + 15_000, until=START + 45_000)
    assert [at - START for at, _ in got[(("__name__", "up"),)]] == [30_000, 45_000]
    assert not select(store, equal("__name__", "up"), after=START + 1_000_000)
    assert store.count([equal("__name__", "requests_total")], START + 15_000, START + 45_000) == 12
    store.close()


def test_the_same_series_object_answers_until_the_set_changes(store: Store) -> None:
    matchers = [equal("__name__", "requests_total")]
    first = store.select(matchers, 0, 1 << 60).series
    stream = store.stream("t", "shop")
    layout = store.layout([*SETS, {"__name__": "up"}], "shop")
    stream.put(START + 1_000_000, layout, np.zeros(7))
    assert store.select(list(matchers), START, 1 << 60).series is first
    store.stream("u", "shop").put(START, store.layout([{"__name__": "other"}], "shop"), np.zeros(1))
    assert store.select(matchers, START, 1 << 60).series is first  # another metric's series do not matter
    fewer = store.layout(SETS[:2], "shop")
    stream.put(START + 2_000_000, fewer, np.zeros(2))
    stream.put(START + 2_015_000, fewer, np.zeros(2))
    some = store.select(matchers, START + 2_000_000, 1 << 60).series
    assert len(some) == 2
    assert store.select(matchers, START + 2_000_001, 1 << 60).series is some
    store.stream("v", "shop").put(
        START, store.layout([{"__name__": "requests_total", "code": "1"}], "shop"), np.zeros(1)
    )
    assert store.select(matchers, 0, 1 << 60).series is not first
    store.close()


def test_names_and_values_of_labels(store: Store) -> None:
    assert store.label_names([], 0, 1 << 60) == ["__name__", "code", "path"]
    assert store.label_values("__name__", [], 0, 1 << 60) == ["requests_total", "up"]
    assert store.label_values("code", [equal("path", "/")], 0, 1 << 60) == ["200", "404", "503"]
    assert store.label_values("code", [], START + 10_000_000, 1 << 60) == []
    assert len(store.series([equal("__name__", "up")], 0, 1 << 60)) == 1
    store.close()


def test_numbers_are_exact_to_the_bit(tmp_path: Path) -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, STALE])
    sets = [{"__name__": "odd", "i": str(number)} for number in range(len(values))]
    store = Store(tmp_path, SMALL)
    layout = store.layout(sets, "job")
    for column in range(6):
        store.stream("t", "job").put(START + column, layout, values)
    wanted = {
        key(labels): [(START + c, bits(value)) for c in range(6)] for labels, value in zip(sets, values, strict=True)
    }
    assert everything(store) == wanted
    store.flush()
    assert everything(store) == wanted
    store = reopened(store, tmp_path, SMALL)
    assert everything(store) == wanted
    store.close()


def test_a_vanished_series_ends_and_may_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    stream = store.stream("t", "job")
    both = store.layout([{"__name__": "a"}, {"__name__": "b"}], "job")
    one = store.layout([{"__name__": "a"}], "job")
    stream.put(1_000, both, np.array([1.0, 2.0]))
    stream.put(2_000, one, np.array([3.0]))
    stream.put(3_000, one, np.array([4.0]))
    stream.put(4_000, both, np.array([5.0, 6.0]))
    stream.end(5_000)
    stream.end(6_000)  # has ended: nothing more to mark
    assert everything(store) == {
        (("__name__", "a"),): [
            *((1_000, bits(1)), (2_000, bits(3)), (3_000, bits(4)), (4_000, bits(5))),
            (5_000, bits(STALE)),
        ],
        (("__name__", "b"),): [(1_000, bits(2)), (2_000, bits(STALE)), (4_000, bits(6)), (5_000, bits(STALE))],
    }
    store.close()


def test_what_is_late_early_or_twice_is_refused_and_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    layout = store.layout([{"__name__": "a"}, {"__name__": "b"}], "job")
    stream = store.stream("t", "job")
    store.tick(START)
    assert stream.put(START, layout, np.ones(2)) == 2
    assert stream.put(START, layout, np.ones(2)) == 0
    assert stream.put(START - 1, layout, np.ones(2)) == 0
    assert stream.put(START + 600_001, layout, np.ones(2)) == 0
    store.tick(START + 1)
    assert stream.put(START + 1, layout, np.ones(2)) == 2
    assert store.figures().refused == {Reason.OUT_OF_ORDER: 4, Reason.FUTURE: 2}
    own = store.layout([{"__name__": "own"}], "job")
    times = np.array([START - 5, START - 9, START - 5, START + 10**9], np.int64)
    assert store.put_own_times(own, np.array([1.0, 2.0, 3.0, 4.0]), times, [0, 0, 0, 0]) == 2
    assert select(store, equal("__name__", "own"))[(("__name__", "own"),)] == [
        (START - 9, bits(2)),
        (START - 5, bits(1)),
    ]
    assert store.figures().refused == {Reason.OUT_OF_ORDER: 5, Reason.FUTURE: 3}
    store.close()


def test_a_series_of_two_streams_belongs_to_the_first_while_that_is_sampled(tmp_path: Path) -> None:
    store = Store(tmp_path, SMALL)
    layout = store.layout([{"__name__": "a"}], "job")
    one, two = store.stream("one", "job"), store.stream("two", "job")
    for column in range(30):
        assert one.put(START + column * 10_000, layout, np.ones(1)) == 1
        assert two.put(START + column * 10_000 + 1, layout, np.zeros(1)) == 0
    one.end(START + 300_000)
    for column in range(31, 60):
        assert two.put(START + column * 10_000, layout, np.zeros(1)) == 1
    ((labels, samples),) = everything(store).items()
    assert labels == (("__name__", "a"),)
    assert [at for at, _ in samples] == [START + column * 10_000 for column in range(60)]
    assert store.figures().refused == {Reason.OWNED: 30}
    store.close()


@pytest.mark.long
def test_threads_put_and_select_at_the_same_time(tmp_path: Path) -> None:
    """Columns hold the number of the column in all series: a torn or doubled column would show."""
    store = Store(tmp_path, StoreLimits(columns=16, kept=4, batch=8, ahead_ms=1 << 50, recent_bytes=0))
    stop, errors = threading.Event(), []

    def putting(number: int) -> None:
        stream = store.stream(f"t{number}", "job")
        layout = store.layout([{"__name__": "a", "t": str(number), "i": str(n)} for n in range(50)], "job")
        for column in range(1_500):
            stream.put(START + column * 1_000, layout, np.full(50, float(column)))

    def looking() -> None:
        while not stop.is_set():
            try:
                for labels, samples in found(store.select([equal("__name__", "a")], 0, 1 << 60)).items():
                    assert [at for at, _ in samples] == [START + n * 1_000 for n in range(len(samples))], labels
                    assert [one for _, one in samples] == [bits(float(n)) for n in range(len(samples))], labels
            except Exception as error:  # noqa: BLE001  # of another thread: shown by the test
                errors.append(error)
                return

    def ticking() -> None:
        now = START
        while not stop.is_set():
            now += 11_000
            store.tick(now)

    putters = [threading.Thread(target=putting, args=(number,)) for number in range(3)]
    others = [threading.Thread(target=looking), threading.Thread(target=ticking)]
    for thread in [*putters, *others]:
        thread.start()
    for thread in putters:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    assert not errors, errors[0]
    samples = everything(store)
    assert len(samples) == 150
    assert {len(one) for one in samples.values()} == {1_500}
    store.close()
