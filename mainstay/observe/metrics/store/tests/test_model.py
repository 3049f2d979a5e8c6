"""Whatever is done to it, the store holds what a dict of lists holds."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainstay.observe.metrics.promql.plan import Matcher, MatchKind
from mainstay.observe.metrics.promql.series import STALE
from mainstay.observe.metrics.store import Store
from mainstay.observe.metrics.store.tests.stores import (
    RECENT_BYTES,
    SMALL,
    START,
    Found,
    Labels,
    bits,
    everything,
    key,
    reopened,
    select,
)

NAMES = ("a", "b")
SERIES = [
    {"__name__": name, "i": str(number)} | ({"odd": "yes"} if number % 2 else {})
    for name in NAMES
    for number in range(4)
]
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan"), float("inf"), float("-inf"), 1e300, 0.1]) | st.floats()

put = st.tuples(
    st.just("put"),
    st.integers(0, 1),  # the stream
    st.sampled_from([1_000, 15_000, 60_000, 0, -5_000]),  # since the time of the last action
    st.sets(st.integers(0, 3), max_size=4),
    st.lists(VALUES, min_size=4, max_size=4),
)
own = st.tuples(
    st.just("own"), st.integers(0, 1), st.lists(st.tuples(st.integers(-40, 40), VALUES), min_size=1, max_size=6)
)
actions = st.lists(
    put
    | put
    | put
    | own
    | st.tuples(st.just("end"), st.integers(0, 1))
    | st.tuples(st.just("tick"), st.sampled_from([1_000, 60_000, 1_900_000, 8_000_000]))
    | st.tuples(st.just("flush"))
    | st.tuples(st.just("reopen"))
    | st.tuples(st.just("look"), st.integers(-200, 0), st.integers(0, 200), st.integers(0, 5)),
    max_size=60,
)


class Model:
    """The same in plain Python."""

    def __init__(self) -> None:
        self.samples: Found = {}
        self.last: dict[object, int] = {}
        self.live: dict[int, set[int]] = {0: set(), 1: set()}

    def add(self, labels: Labels, at: int, value: float) -> None:
        self.samples.setdefault(labels, []).append((at, bits(value)))

    def put(self, stream: int, at: int, numbers: list[int], values: list[float]) -> int:
        if at <= self.last.get(stream, 0):
            return 0
        self.last[stream] = at
        for number, value in zip(numbers, values, strict=True):
            self.add(key(SERIES[stream * 4 + number]), at, value)
        for number in self.live[stream] - set(numbers):
            self.add(key(SERIES[stream * 4 + number]), at, STALE)
        self.live[stream] = set(numbers)
        return len(numbers)

    def end(self, stream: int, at: int) -> None:
        if self.live[stream] and at > self.last.get(stream, 0):
            self.put(stream, at, [], [])

    def within(self, name: str | None, after: int, until: int) -> Found:
        chosen = {
            labels: [sample for sample in samples if after < sample[0] <= until]
            for labels, samples in self.samples.items()
            if name is None or dict(labels)["__name__"] == name
        }
        return {labels: samples for labels, samples in chosen.items() if samples}


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(actions, st.sampled_from(RECENT_BYTES))
def test_the_store_holds_what_was_put(done: list[tuple[object, ...]], recent_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        # Nothing leaves memory for idleness here: when it does depends on ticks, and ends a stream without a marker.
        limits = replace(SMALL, idle_ms=1 << 50, owner_ms=1 << 49, ahead_ms=1 << 50, recent_bytes=recent_bytes)
        store, model, now = Store(Path(name), limits), Model(), START
        for what, *arguments in done:
            if what == "put":
                stream, ahead, chosen, values = arguments
                assert isinstance(stream, int) and isinstance(ahead, int)  # noqa: PT018
                numbers, now = sorted(chosen), max(now, now + ahead)  # type: ignore[call-overload]
                layout = store.layout([SERIES[stream * 4 + number] for number in numbers], "job")
                column = values[: len(numbers)]  # type: ignore[index]
                at = now if ahead >= 0 else now + ahead
                taken = store.stream(f"t{stream}", "job").put(at, layout, np.array(column, np.float64))
                assert taken == model.put(stream, at, numbers, column)
            elif what == "own":
                number, samples = arguments
                layout = store.layout([{"__name__": "own", "n": str(number)}], "job")
                times = np.array([now + 1_000 * ahead for ahead, _ in samples], np.int64)  # type: ignore[attr-defined]
                column = np.array([value for _, value in samples], np.float64)  # type: ignore[attr-defined]
                store.put_own_times(layout, column, times, [0] * len(times))
                for place in np.argsort(times, kind="stable").tolist():
                    if times[place] > model.last.get(("own", number), 0):
                        model.last["own", number] = int(times[place])
                        model.add((("__name__", "own"), ("n", str(number))), int(times[place]), float(column[place]))
            elif what == "end":
                store.stream(f"t{arguments[0]}", "job").end(now)
                model.end(arguments[0], now)  # type: ignore[arg-type]
            elif what == "tick":
                now += arguments[0]  # type: ignore[operator]
                store.tick(now)
            elif what == "flush":
                store.flush()
            elif what == "reopen":
                store = reopened(store, Path(name), limits)
            else:
                after, until, which = arguments
                metric = [None, "a", "b", "own", "a", "b"][which]  # type: ignore[call-overload]
                low, high = now + after * 7_000, now + until * 1_000  # type: ignore[operator]
                matcher = Matcher("__name__", MatchKind.EQUAL if metric else MatchKind.REGEX, metric or ".+")
                assert select(store, matcher, after=low, until=high) == model.within(metric, low, high)
        assert everything(store) == model.within(None, 0, 1 << 62)
        store = reopened(store, Path(name), limits)
        assert everything(store) == model.within(None, 0, 1 << 62)
        figures = store.figures()
        assert figures.failed_writes == 0
        store.close()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([1_000, 15_000, 400_000, 2_000_000]))
        | st.sampled_from(["tick", "reopen", "flush"]),
        max_size=50,
    ),
    st.sampled_from(RECENT_BYTES),
)
# A series that came back has two numbers in the log; the next new series must get neither.
@example([(2, 1_000), (0, 400_000), "tick", "tick", (2, 1_000), "reopen", (1, 1_000)], 0)
@example(
    [
        *[(0, 15_000), "reopen", "tick", (2, 15_000), (2, 15_000), (1, 2_000_000), (0, 1_000), "flush", (0, 1_000)],
        *[(2, 15_000), "tick", (1, 2_000_000), "tick", (1, 15_000), "flush", (1, 400_000), "tick", (2, 2_000_000)],
        *["reopen", "tick", "reopen", (1, 15_000), (1, 1_000), (2, 1_000)],
    ],
    0,
)
def test_series_that_leave_memory_and_come_back_are_one(done: list[tuple[int, int] | str], recent_bytes: int) -> None:
    """Three streams with a series each, and one that they all have: who has it changes when the owner falls silent."""
    with tempfile.TemporaryDirectory() as name:
        limits = replace(
            SMALL, idle_ms=300_000, owner_ms=60_000, age_ms=100_000, ahead_ms=1 << 50, recent_bytes=recent_bytes
        )
        store, model, now = Store(Path(name), limits), Model(), START
        owner, since = -1, 0
        for step, what in enumerate(done, 1):
            if what == "tick":
                now += 61_000
                store.tick(now)
            elif what == "flush":
                store.flush()
            elif what == "reopen":
                store = reopened(store, Path(name), limits)
            else:
                assert isinstance(what, tuple)
                number, now = what[0], now + what[1]
                shared, single = {"__name__": "shared"}, {"__name__": "single", "n": str(number)}
                layout = store.layout([shared, single], "job")
                taken = store.stream(f"t{number}", "job").put(now, layout, np.array([step, -step], np.float64))
                model.add(key(single), now, -float(step))
                if owner in (-1, number) or since < now - limits.owner_ms:
                    owner, since = number, now
                    model.add(key(shared), now, float(step))
                assert taken == (2 if owner == number else 1)
                for back in (1_000, 100_000, 600_000, 5_000_000):
                    assert select(store, Matcher("__name__", MatchKind.REGEX, "s.*"), after=now - back) == model.within(
                        None, now - back, now
                    )
        assert everything(store) == model.within(None, 0, 1 << 62)
        store = reopened(store, Path(name), limits)
        assert everything(store) == model.within(None, 0, 1 << 62)
        store.close()
