"""Jumps of the clock and gaps, told apart from load and from slow corrections."""

from datetime import UTC, datetime, timedelta

import pytest

from mainstay.foundation import gaps
from mainstay.foundation.gaps import Detector, Kind, Reading

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clocks:
    """A wall clock and one that cannot be set."""

    def __init__(self) -> None:
        self.wall_s = self.elapsed_s = 0.0

    def read(self) -> Reading:
        return Reading(after(self.wall_s), self.elapsed_s)

    def go(self, seconds: float) -> None:
        self.wall_s += seconds
        self.elapsed_s += seconds

    def set(self, by_s: float) -> None:
        self.wall_s += by_s


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def detector(clocks: Clocks) -> Detector:
    made = Detector(clocks.read)
    made.begin()
    return made


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 40 * 86400.0, 1.5])
def test_a_clock_that_was_set_is_a_jump(detector: Detector, clocks: Clocks, by_s: float) -> None:
    follower = detector.follow()
    clocks.go(0.5)
    assert follower.new() == []
    clocks.set(by_s)
    clocks.go(0.5)
    (gap,) = follower.new()
    assert gap.kind is Kind.JUMPED
    assert gap.by_s == pytest.approx(by_s)
    assert (gap.begun, gap.ended) == (after(1.0), after(1.0 + by_s))
    assert follower.new() == []


def test_slow_corrections_small_steps_and_load_are_none(detector: Detector, clocks: Clocks) -> None:
    follower = detector.follow()
    for _ in range(3600):
        clocks.go(1.0)
        clocks.set(0.0005)  # as fast as NTP slews
        detector.look(committed=True)
    for by_s in (0.9, -0.9):
        clocks.set(by_s)
        clocks.go(4.0)
        detector.look(committed=True)
    assert follower.new() == []


def test_a_machine_that_slept_is_a_gap_told_once(detector: Detector, clocks: Clocks) -> None:
    follower = detector.follow()
    detector.look(committed=True)
    clocks.go(40.0)
    detector.look(committed=True)  # that the database took nothing meanwhile is the same gap
    (gap,) = follower.new()
    assert (gap.kind, gap.by_s, gap.begun, gap.ended) == (Kind.STOOD_STILL, 40.0, NOON, after(40))


def test_a_clock_that_was_set_while_the_machine_slept_is_both(detector: Detector, clocks: Clocks) -> None:
    follower = detector.follow()
    clocks.go(40.0)
    clocks.set(-3600.0)
    assert [(gap.kind, gap.by_s) for gap in follower.new()] == [(Kind.JUMPED, -3600.0), (Kind.STOOD_STILL, 40.0)]


def test_the_database_was_away_between_two_commits(detector: Detector, clocks: Clocks) -> None:
    follower = detector.follow()
    detector.look(committed=True)
    for _ in range(34):
        clocks.go(1.0)
        assert follower.new() == []
    (gap,) = follower.new(committed=True)
    assert (gap.kind, gap.begun, gap.ended) == (Kind.DATABASE_AWAY, NOON, after(34))


def test_everyone_who_follows_is_told_once_and_only_of_what_came_later(detector: Detector, clocks: Clocks) -> None:
    first = detector.follow()
    clocks.set(60.0)
    detector.look()
    second = detector.follow()
    clocks.set(-60.0)
    assert (first.jumped_s(), second.jumped_s()) == (0.0, -60.0)
    assert [first.new(), second.new()] == [[], []]


def test_slack_lasts_by_the_clock_that_cannot_be_set(detector: Detector, clocks: Clocks) -> None:
    clocks.set(-3600.0)
    detector.look()
    assert detector.slack(timedelta(seconds=12)) == timedelta(hours=1)
    clocks.go(12.5)
    assert detector.slack(timedelta(seconds=12)) == timedelta()


@pytest.mark.parametrize(
    ("by_s", "at_s", "present_s"),
    [
        (3600.0, -5.0, 3595.0),  # written down just before
        (3600.0, -500.0, -500.0),  # long before: it means what it says
        (3600.0, 3601.0, 3601.0),  # after it
        (-3600.0, -5.0, -3605.0),
        (-3600.0, -3599.0, -3599.0),  # after it
    ],
)
def test_what_was_written_down_before_a_jump_is_read_by_the_present_clock(
    detector: Detector, clocks: Clocks, by_s: float, at_s: float, present_s: float
) -> None:
    clocks.set(by_s)
    detector.look()
    clocks.go(2.0)
    assert detector.present(after(at_s)) == after(present_s)


def test_the_real_clocks_agree() -> None:
    made = Detector()
    made.begin()
    assert made.follow().new() == []
    assert gaps.read().wall.tzinfo is UTC
