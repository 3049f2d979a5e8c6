"""Due times: fixed grid, even spread, no storm and no standstill whatever the clock does."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.net.schedule import (
    PACE_S,
    TOGETHER_S,
    Due,
    Schedule,
    offset_for,
    slot_after,
    slot_at_or_before,
)

NOW = 1_800_000_000.0
every_s = st.one_of(st.sampled_from([1.0, 5.0, 20.0, 60.0, 3600.0, 86400.0]), st.floats(0.1, 1e6))
moments = st.floats(1e9, 4e9)


@given(st.integers(-(2**63), 2**63), every_s)
def test_an_offset_lies_within_its_interval(key: int, every: float) -> None:
    assert 0 <= offset_for(key, every) < every


@pytest.mark.parametrize("step", [1, 2, 7, 10, 55, 1000])
def test_offsets_spread_evenly(step: int) -> None:
    """In no hundredth of the interval are there twice as many checks as there should be."""
    counts = Counter(int(offset_for(key * step, 100.0)) for key in range(5000))
    assert max(counts.values()) <= 100
    assert min(counts[hundredth] for hundredth in range(100)) >= 15


def test_checks_of_the_same_fiftieth_of_a_second_begin_together() -> None:
    """Else each would have turns of the loop of its own: a thousand checks have no more than two hundred beginnings."""
    offsets = [offset_for(key, 4.0) for key in range(1000)]
    assert len(set(offsets)) <= 200
    assert all(offset / TOGETHER_S == pytest.approx(round(offset / TOGETHER_S)) for offset in offsets)
    assert max(Counter(offsets).values()) <= 10, "and none has many more than the others"


@given(moments, every_s, st.floats(0, 0.999999))
def test_slots_enclose_the_moment(now: float, every: float, fraction: float) -> None:
    offset = fraction * every
    before, after = slot_at_or_before(now, every, offset), slot_after(now, every, offset)
    assert before <= now < after
    assert after - before == pytest.approx(every, abs=1e-6), "a float of this age has steps of 0.24 µs"
    slots = (before - offset) / every
    assert slots == pytest.approx(round(slots), abs=1e-4)


def run(schedule: Schedule, start: float, end: float, latency: float = 0.0005) -> list[tuple[float, Due]]:
    """Play the owner: wake when told to, a little late; returns (when, due)."""
    now, started = start, []
    while (at := schedule.next_at()) is not None and at <= end:
        now = max(now, at) + latency
        started += [(now, due) for due in schedule.due(now)]
    return started


def test_a_new_check_is_probed_at_once_and_then_on_its_grid() -> None:
    schedule = Schedule()
    schedule.put(1, 20.0, 7.0, NOW)
    dues = [due.due_at for _, due in run(schedule, NOW, NOW + 100)]
    assert dues[0] == NOW
    assert dues[1] == slot_after(NOW, 20.0, 7.0)
    assert {round(b - a, 6) for a, b in itertools.pairwise(dues[1:])} == {20.0}


def test_due_times_never_drift() -> None:
    schedule = Schedule()
    schedule.put(1, 0.7, 0.1, NOW)
    dues = [due.due_at for _, due in run(schedule, NOW, NOW + 700, latency=0.003)]
    for due in dues[1:]:
        phase = (due - 0.1) / 0.7
        assert phase == pytest.approx(round(phase), abs=1e-6)
    assert len(dues) == pytest.approx(1001, abs=2)


@pytest.mark.parametrize(
    ("checks", "every", "within"), [(1000, 60.0, 2.01), (1000, 1.0, 1.01), (5000, 20.0, 10.01), (5000, 5.0, 5.01)]
)
def test_first_probes_are_spread_but_soon(checks: int, every: float, within: float) -> None:
    schedule = Schedule()
    for key in range(checks):
        schedule.put(key, every, offset_for(key, every), NOW)
    seen: dict[int, float] = {}
    per_turn = Counter[float]()
    for now, due in run(schedule, NOW, NOW + within + 1):
        if due.key not in seen:
            per_turn[now] += 1
            seen[due.key] = now
    assert len(seen) == checks
    assert max(seen.values()) - NOW <= within + 0.02
    assert max(per_turn.values()) <= 60


def test_in_the_steady_state_checks_do_not_bunch() -> None:
    schedule = Schedule()
    for key in range(1, 5001):
        schedule.put(key, 20.0, offset_for(key, 20.0), NOW)
    run(schedule, NOW, NOW + 40)
    per_hundredth = Counter(int(now * 5) for now, _ in run(schedule, NOW + 40, NOW + 80))
    assert max(per_hundredth.values()) <= 60, "50 per 200 ms on average"


def test_a_change_of_rhythm_takes_effect_without_an_extra_probe() -> None:
    schedule = Schedule()
    schedule.put(1, 20.0, 0.0, NOW)
    schedule.due(NOW)
    schedule.put(1, 5.0, 1.0, NOW + 2)
    assert [due.due_at for _, due in run(schedule, NOW + 2, NOW + 12)] == [NOW + 6, NOW + 11]
    schedule.put(1, 5.0, 1.0, NOW + 12)
    assert len(run(schedule, NOW + 12, NOW + 17)) == 1, "putting the same again changes nothing"


def test_a_removed_check_is_never_due() -> None:
    schedule = Schedule()
    schedule.put(1, 5.0, 0.0, NOW)
    schedule.put(2, 5.0, 1.0, NOW)
    schedule.remove(1)
    schedule.remove(99)
    assert {due.key for _, due in run(schedule, NOW, NOW + 20)} == {2}
    schedule.remove(2)
    assert schedule.next_at() is None


def test_removed_and_added_again_runs_once_per_slot() -> None:
    schedule = Schedule()
    for _ in range(5):
        schedule.put(1, 5.0, 0.0, NOW)
        schedule.remove(1)
    schedule.put(1, 5.0, 0.0, NOW)
    assert len(run(schedule, NOW, NOW + 20)) == 5


def _steady(checks: int, every: float) -> Schedule:
    schedule = Schedule()
    for key in range(checks):
        schedule.put(key, every, offset_for(key, every), NOW)
    run(schedule, NOW, NOW + 2 * every)
    return schedule


@pytest.mark.parametrize("stall_s", [5.0, 30.0, 3600.0])
def test_after_a_stall_everything_is_probed_once_and_without_a_storm(stall_s: float) -> None:
    """SIGSTOP, a debugger, a starved machine: both clocks went on, nobody probed."""
    schedule = _steady(2000, 20.0)
    began = NOW + 40 + stall_s
    started = run(schedule, began, began + 20, latency=0.001)
    first = Counter(due.key for _, due in started)
    assert len(first) == 2000, "all are probed within one interval"
    assert max(Counter(now for now, _ in started).values()) <= 60
    if stall_s > 60:
        assert sum(due.skipped for _, due in started) > 2000, "the slots nobody probed are counted"


@pytest.mark.parametrize("jump_s", [3600.0, 0.7, -3600.0, -86400.0 * 365, -5.0])
def test_a_jump_of_the_clock_causes_neither_storm_nor_standstill(jump_s: float) -> None:
    schedule = _steady(2000, 20.0)
    now = NOW + 40 + jump_s
    schedule.clock_jumped(now)
    started = run(schedule, now, now + 20.1, latency=0.001)
    assert len({due.key for _, due in started}) == 2000
    assert max(Counter(at for at, _ in started).values()) <= 60
    assert len(started) <= 4100


def test_a_jump_while_new_checks_wait_loses_none() -> None:
    schedule = Schedule()
    for key in range(1000):
        schedule.put(key, 60.0, offset_for(key, 60.0), NOW)
    schedule.due(NOW + 0.1)
    schedule.clock_jumped(NOW - 7200)
    assert len({due.key for _, due in run(schedule, NOW - 7200, NOW - 7200 + 60)}) == 1000


@pytest.mark.parametrize(
    ("every", "offset"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (5.0, 5.0), (5.0, -0.1)]
)
def test_what_makes_no_schedule_is_refused(every: float, offset: float) -> None:
    with pytest.raises(ValueError, match="check 3"):
        Schedule().put(3, every, offset, NOW)


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 20), st.sampled_from([0.5, 1.0, 5.0, 7.3])),
            st.tuples(st.just("remove"), st.integers(0, 20), st.just(0.0)),
            st.tuples(st.just("pass"), st.just(0), st.floats(0, 30)),
            st.tuples(st.just("jump"), st.just(0), st.floats(-100, 100)),
        ),
        max_size=40,
    )
)
def test_whatever_happens_a_check_is_due_within_an_interval_and_never_twice_at_once(
    steps: list[tuple[str, int, float]],
) -> None:
    schedule, now = Schedule(), NOW
    known: dict[int, float] = {}
    for what, key, number in steps:
        if what == "put":
            schedule.put(key, number, offset_for(key, number), now)
            known[key] = number
        elif what == "remove":
            schedule.remove(key)
            known.pop(key, None)
        elif what == "pass":
            now += number
        else:
            now += number
            schedule.clock_jumped(now)
        keys = [due.key for due in schedule.due(now)]
        assert len(keys) == len(set(keys))
        assert set(keys) <= set(known)
    longest = max(known.values(), default=0.0)
    assert {due.key for _, due in run(schedule, now, now + longest + PACE_S * 50)} >= set(known)
