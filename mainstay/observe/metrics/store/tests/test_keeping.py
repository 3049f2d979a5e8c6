"""What is kept for how long, in which form, and what happens when it cannot be."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pytest

from mainstay.observe.metrics.promql.series import ABSENT, STALE, Hints, Samples, Values, is_special
from mainstay.observe.metrics.store import Reason, Store, StoreLimits
from mainstay.observe.metrics.store.disk.history import PARTITION_MS, History, HistoryFailed
from mainstay.observe.metrics.store.disk.opening import FILE
from mainstay.observe.metrics.store.disk.rollup import FIVE, HOUR, summarised
from mainstay.observe.metrics.store.planning import planned
from mainstay.observe.metrics.store.tests.stores import SMALL, START, bits, equal, everything, key, reopened, select

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BUCKET_MS = 300_000
SETS = [{"__name__": "jobs_total", "i": str(number)} for number in range(3)] + [{"__name__": "depth"}]


def column(rng: np.random.Generator, counters: Values) -> Values:
    counters += rng.integers(0, 9, 3)
    if rng.random() < 0.005:
        counters[:] = rng.integers(0, 3, 3)
    return np.array([*counters, np.round(rng.normal(), 3)])


def run(store: Store, days: float, interval_ms: int = 60_000) -> tuple[np.ndarray, Values]:
    rng, counters = np.random.default_rng(3), np.zeros(3)
    layout, stream = store.layout(SETS, "job"), store.stream("t", "job")
    times, values = [], []
    for number in range(1, int(days * DAY_MS / interval_ms) + 1):
        at = START + number * interval_ms
        times.append(at)
        values.append(column(rng, counters))
        assert stream.put(at, layout, values[-1]) == 4
        store.tick(at)
        store.tick(at + 1)
    return np.array(times), np.array(values).T


def buckets(at: np.ndarray, values: Values, width: int) -> dict[int, Values]:
    ends = -(-at // width) * width
    return {int(end): values[ends == end] for end in np.unique(ends)}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_long_ranges_are_answered_from_buckets_that_are_right(tmp_path: Path) -> None:
    store = Store(tmp_path)
    times, values = run(store, 2.6)
    five, hour = store._rollups.until["five"], store._rollups.until["hour"]
    assert five >= times[-1] - 3 * HOUR_MS
    assert hour > START
    depth = values[3]
    for function, reduce in (
        ("min_over_time", np.min),
        ("max_over_time", np.max),
        ("sum_over_time", np.sum),
        ("avg_over_time", np.mean),
        ("last_over_time", lambda some: some[-1]),
    ):
        hints = Hints(function, 1_200_000, 1_200_000)
        (got,) = select(store, equal("__name__", "depth"), until=five, hints=hints).values()
        wanted = buckets(times, depth, BUCKET_MS)
        assert [at for at, _ in got] == [end for end in wanted if end <= five]
        found = np.array([bit for _, bit in got], np.uint64).view(np.float64)
        np.testing.assert_allclose(found, [reduce(wanted[at]) for at, _ in got], rtol=1e-12)
        hints = Hints(function, 4 * HOUR_MS, 4 * HOUR_MS)
        (got,) = select(store, equal("__name__", "depth"), until=hour, hints=hints).values()
        wanted = buckets(times, depth, HOUR_MS)
        assert [at for at, _ in got] == [end for end in wanted if end <= hour]
        found = np.array([bit for _, bit in got], np.uint64).view(np.float64)
        np.testing.assert_allclose(found, [reduce(wanted[at]) for at, _ in got], rtol=1e-9, atol=1e-12)
    for hints in (Hints("increase", HOUR_MS, HOUR_MS), Hints("rate", 3 * HOUR_MS, 3 * HOUR_MS)):
        for number, got in enumerate(select(store, equal("__name__", "jobs_total"), hints=hints).values()):
            assert len(got) < len(times) / 3
            assert got[-1] == (times[-1], bits(values[number, -1]))  # the newest are samples as they came
            numbers = np.array([bit for _, bit in got], np.uint64).view(np.float64)
            first = values[number][times <= got[0][0]][-1:]
            rest = np.concatenate([first, values[number][times > got[0][0]]])
            assert increase(numbers) == pytest.approx(increase(rest))
    exact = select(store, equal("__name__", "depth"), hints=Hints("max_over_time", HOUR_MS, 15_000))
    assert [bit for _, bit in exact[(("__name__", "depth"),)]] == [bits(value) for value in depth]
    store.close()


def increase(values: Values) -> float:
    return float(np.where(values[1:] < values[:-1], values[1:], values[1:] - values[:-1]).sum())


def test_buckets_know_markers_gaps_and_resets_across_periods() -> None:
    times = np.array([[60_000, 120_000, 300_000, 300_001, 900_000]], np.int64)
    values = np.array([[5.0, np.nan, 7.0, 2.0, STALE], [1.0, 2.0, ABSENT, ABSENT, ABSENT], [ABSENT] * 5])
    samples = Samples(times, np.array([5]), np.zeros(3, np.intp), values)
    got = summarised(samples, 0, FIVE, np.array([100.0, 0.0, 3.0]), np.array([9.0, 1.0, 4.0]))
    assert got.count[0, :3].tolist() == [3, 1, 0] or is_special(got.count[0, 2:3]).all()
    assert got.low[:2, 0].tolist() == [5, 1]
    assert got.high[:2, 0].tolist() == [7, 2]
    assert np.isnan(got.total[0, 0])
    assert bits(got.last[0, 2]) == bits(STALE)
    assert got.counter[0, :2].tolist() == [116, 118]  # 9 before, reset to 5, up to 7, reset to 2
    assert got.counter[1, 0] == 2
    assert got.shift.tolist() == [116, 0, 3]
    assert got.final.tolist() == [2, 2, 4]
    assert is_special(np.ascontiguousarray(got.last[2])).all()


@pytest.mark.long
def test_samples_go_before_their_buckets_and_those_before_the_hours(tmp_path: Path) -> None:
    limits = StoreLimits(raw_ms=DAY_MS // 2, five_minutes_ms=2 * DAY_MS, hour_ms=30 * DAY_MS)
    store = Store(tmp_path, limits)
    times, values = run(store, 5.2, 300_000)
    now = int(times[-1])
    assert min(span.first for span in store._core.history.partitions.values()) >= now - DAY_MS
    (got,) = select(store, equal("__name__", "depth")).values()
    assert got[-1] == (now, bits(values[3, -1]))
    assert got[0][0] <= START + HOUR_MS
    assert all(later - earlier <= HOUR_MS for (earlier, _), (later, _) in pairwise(got))
    store = reopened(store, tmp_path, limits)
    (again,) = select(store, equal("__name__", "depth")).values()
    assert again == got
    store.close()


def test_the_plan_takes_buckets_only_where_they_are_as_good() -> None:
    begins, ends = {FIVE: 0, HOUR: 0}, {FIVE: 40 * DAY_MS, HOUR: 38 * DAY_MS}

    def tiers(hints: Hints, after: int = 35 * DAY_MS, until: int = 41 * DAY_MS) -> list[tuple[str, int]]:
        found = planned(after, until, hints, dropped_ms=30 * DAY_MS, begins=begins, ends=ends)
        assert [one.after_ms for one in found[1:]] == [one.until_ms for one in found[:-1]]
        return [(one.tier.name if one.tier else "raw", one.until_ms // DAY_MS) for one in found]

    assert tiers(Hints("rate", 300_000, 15_000)) == [("raw", 41)]
    assert tiers(Hints("rate", 600_000, 600_000)) == [("five", 40), ("raw", 41)]
    assert tiers(Hints("rate", 7_200_000, 7_200_000)) == [("hour", 38), ("five", 40), ("raw", 41)]
    assert tiers(Hints("rate", 300_000, 7_200_000)) == [("raw", 41)]  # the range is too short
    assert tiers(Hints("count_over_time", 7_200_000, 7_200_000)) == [("raw", 41)]
    assert tiers(Hints("increase", 3_600_000, 0)) == [("raw", 41)]  # a rule is exact
    assert tiers(Hints("increase", 3 * DAY_MS, 0)) == [("five", 40), ("raw", 41)]
    assert tiers(Hints("quantile_over_time", 3_600_000, 0), 10 * DAY_MS) == [("five", 30), ("raw", 41)]
    assert tiers(Hints(), 39 * DAY_MS) == [("raw", 41)]


@pytest.mark.long
def test_the_oldest_history_goes_when_the_disk_is_full(tmp_path: Path) -> None:
    store = Store(tmp_path, replace(SMALL, disk_bytes=1_500_000, idle_ms=1 << 50, segment_bytes=100_000))
    rng = np.random.default_rng(1)
    layout = store.layout([{"__name__": "noise", "i": str(number)} for number in range(200)], "job")
    for number in range(2_400):
        at = START + number * 60_000
        store.stream("t", "job").put(at, layout, rng.random(200))
        store.tick(at)
        store.tick(at + 10_000)
    figures = store.figures()
    assert figures.dropped_partitions >= 1
    assert figures.disk_bytes < 3_000_000
    assert figures.oldest_ms is not None
    assert figures.oldest_ms > START + PARTITION_MS
    got = select(store, equal("i", "7"), after=at - HOUR_MS)
    assert len(next(iter(got.values()))) == 60
    store.close()


def test_a_database_that_cannot_be_opened_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path, SMALL)
    layout = store.layout(SETS, "job")
    for number in range(20):
        store.stream("t", "job").put(START + number, layout, np.ones(4))
    store.close()
    (tmp_path / FILE).write_bytes(b"this is no database" * 1_000)
    store = Store(tmp_path, SMALL)
    assert (tmp_path / f"{FILE}.broken-1").exists()
    assert "set aside" in caplog.text
    assert everything(store)  # what the log has is there
    assert store.stream("t", "job").put(START + 100, store.layout(SETS, "job"), np.ones(4)) == 4
    store.flush()
    store = reopened(store, tmp_path, SMALL)
    assert everything(store)[key(SETS[0])][-1] == (START + 100, bits(1.0))
    store.close()


HOLDER = "import duckdb, sys; held = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); input()"


def test_a_database_that_somebody_reads_is_waited_for_and_stays_in_its_place(tmp_path: Path) -> None:
    store = Store(tmp_path, SMALL)
    store.stream("t", "job").put(START, store.layout(SETS, "job"), np.ones(4))
    store.flush()
    before = everything(store)
    store.close()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        with pytest.raises(OSError, match="lock"):
            Store(tmp_path, SMALL)
        reader.communicate("\n")
    assert not list(tmp_path.glob("*.broken-*"))
    store = Store(tmp_path, SMALL)
    assert everything(store) == before
    store.close()


def test_history_that_cannot_be_written_costs_the_oldest_samples_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, SMALL)
    layout = store.layout(SETS, "job")

    def full(self: History, *arguments: object) -> int:
        raise HistoryFailed("No space left on device")

    with monkeypatch.context() as context:
        context.setattr(History, "write", full)
        for number in range(30):
            assert store.stream("t", "job").put(START + number * 15_000, layout, np.full(4, number)) == 4
            store.tick(START + number * 15_000)
    figures = store.figures()
    assert figures.failed_writes > 0
    assert figures.refused[Reason.LOST] > 0
    assert store.stream("t", "job").put(START + 10**6, layout, np.full(4, 30)) == 4
    got = everything(store)[key(SETS[0])]
    assert got[-1] == (START + 10**6, bits(30))
    assert len(got) * 4 + figures.refused[Reason.LOST] == 31 * 4
    store.flush()
    assert everything(store)[key(SETS[0])] == got
    store.close()


def test_what_targets_say_of_their_metrics_is_remembered(tmp_path: Path) -> None:
    from mainstay.observe.metrics.exposition import Family

    store = Store(tmp_path)
    store.describe([Family("jobs", "counter", "Jobs."), Family("depth", "gauge", "Depth.", "bytes")])
    store.describe([Family("jobs", "counter", "Jobs done.")])
    store.stream("t", "job").put(START, store.layout(SETS, "job"), np.ones(4))
    store.flush()
    store = reopened(store, tmp_path, StoreLimits())
    assert store.metadata() == {"jobs": ("counter", "Jobs done.", ""), "depth": ("gauge", "Depth.", "bytes")}
    store.close()


def test_a_write_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    history = store._core.history

    def half() -> None:
        with history.transaction() as connection:
            connection.execute("INSERT INTO families VALUES ('a', 'b', 'c', 'd')")
            raise duckdb.Error("in the middle")

    with pytest.raises(HistoryFailed):
        half()
    assert list(history.families()) == []
    store.close()
