"""What results add up to: thresholds, flapping, and the status that people see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.observe.checks.decide import (
    FLAPPING_FROM,
    FLAPPING_UNTIL,
    HISTORY,
    Health,
    State,
    Status,
    Thresholds,
    Verdict,
    changes_in,
    glance,
    observe,
    overdue,
    shown,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RESULTS = {"u": Health.UP, "d": Health.DOWN, "s": Health.DEGRADED}  # s: slow, beyond a soft limit


def course(letters: str, thresholds: Thresholds, state: State | None = None) -> list[Verdict]:
    """The verdicts on results a second apart."""
    verdicts = []
    state = state or State()
    for number, letter in enumerate(letters):
        verdicts.append(observe(state, RESULTS[letter], NOON + timedelta(seconds=number), thresholds))
        state = verdicts[-1].state
    return verdicts


@pytest.mark.parametrize(
    ("results", "fail_after", "recover_after", "healths"),
    [
        ("u", 3, 2, "u"),  # a first success is believed at once
        ("d", 3, 2, "?"),  # a first failure is not
        ("d", 1, 1, "d"),
        ("ddd", 3, 2, "??d"),
        ("udddu", 3, 2, "uuudd"),
        ("udddud", 3, 2, "uuuddd"),
        ("udduddd", 3, 2, "uuuuuud"),  # a success in between starts the count anew
        ("udddduu", 3, 2, "uuudddu"),
        ("udu", 1, 1, "udu"),
        ("usss", 3, 2, "uuus"),
        ("usdsd", 3, 2, "uuuss"),  # bad in different ways: at least degraded
        ("sss", 3, 2, "??s"),
        ("dss", 3, 2, "??s"),
        ("usssddd", 3, 2, "uuusssd"),
        ("udddss", 3, 2, "uuudds"),  # answers again, but slowly
        ("udddsu", 3, 2, "uuudds"),  # two answers: no longer down; one success: not yet up
        ("udddsuu", 3, 2, "uuuddsu"),
        ("usssu", 3, 2, "uuuss"),
        ("usssuu", 3, 2, "uuussu"),
        ("usuuu", 1, 3, "usssu"),
    ],
)
def test_consecutive_results_decide(results: str, fail_after: int, recover_after: int, healths: str) -> None:
    letters = {Health.UNKNOWN: "?", Health.UP: "u", Health.DOWN: "d", Health.DEGRADED: "s"}
    seen = course(results, Thresholds(fail_after, recover_after))
    assert "".join(letters[verdict.state.health] for verdict in seen) == healths


def test_a_run_of_bad_results_is_dated_from_its_first() -> None:
    seen = course("uddd", Thresholds(3, 2))
    assert seen[-1].state.first_bad_at == NOON + timedelta(seconds=1)
    assert seen[-1].reason == "3 failures in a row, 3 needed"
    assert observe(seen[-1].state, Health.UP, NOON, Thresholds()).state.first_bad_at is None


results = st.lists(st.sampled_from(list(RESULTS)), max_size=60).map("".join)
thresholds = st.builds(Thresholds, st.integers(1, 5), st.integers(1, 5))


@given(results, thresholds)
def test_down_is_never_said_before_the_threshold_nor_later(letters: str, given: Thresholds) -> None:
    for number, verdict in enumerate(course(letters, given)):
        failed = letters[: number + 1].endswith("d" * given.fail_after)
        if failed:
            assert verdict.state.health is Health.DOWN
        elif verdict.changed:
            assert verdict.state.health is not Health.DOWN


@given(results, thresholds)
def test_a_change_is_told_exactly_when_health_is_another(letters: str, given: Thresholds) -> None:
    was = Health.UNKNOWN
    for verdict in course(letters, given):
        assert verdict.was is was
        assert verdict.changed == (verdict.state.health is not was)
        assert verdict.reason or not verdict.changed
        was = verdict.state.health
    assert was is not Health.UNKNOWN or letters.count("u") == 0


@given(results, thresholds)
def test_what_is_stored_between_two_results_is_enough_to_go_on(letters: str, given: Thresholds) -> None:
    cut = len(letters) // 2
    whole = course(letters, given)
    half = course(letters[:cut], given)
    state = replace(half[-1].state) if half else State()
    for verdict, expected in zip(course(letters[cut:], given, state), whole[cut:], strict=True):
        assert verdict.state.health is expected.state.health
        assert verdict.state.flapping == expected.state.flapping


@given(results, results, thresholds)
def test_results_beside_the_rhythm_never_decide_nor_hasten(letters: str, extra: str, given: Thresholds) -> None:
    state = course(letters, given)[-1].state if letters else State()
    seen = state
    for letter in extra:
        verdict = glance(seen, RESULTS[letter], NOON)
        assert (verdict.changed, verdict.began_flapping, verdict.settled) == (False, False, False)
        seen = verdict.state
    assert seen.health is state.health
    assert seen.history == state.history
    for name in ("failures", "answers", "warnings", "successes"):
        assert getattr(seen, name) in {0, getattr(state, name)}
    if "u" in extra:
        assert seen.failures == seen.warnings == 0
    if "d" in extra:
        assert seen.answers == seen.successes == 0


def test_the_history_keeps_the_last_twenty_results() -> None:
    seen = course("du" * 30, Thresholds(1, 1))
    assert seen[-1].state.history < 1 << HISTORY
    assert changes_in(seen[-1].state.history) == HISTORY - 1


def test_flapping_begins_at_eight_changes_and_is_told_once() -> None:
    seen = course("u" + "du" * 10, Thresholds(1, 1))
    began = [number for number, verdict in enumerate(seen) if verdict.began_flapping]
    assert began == [FLAPPING_FROM]
    assert not any(verdict.settled for verdict in seen)


def test_a_flapping_check_sends_no_storm_of_changes() -> None:
    seen = course("u" + "du" * 40, Thresholds(1, 1))
    assert sum(verdict.changed for verdict in seen[FLAPPING_FROM:]) <= 2
    assert all(verdict.state.health is not Health.UP for verdict in seen[FLAPPING_FROM:])


def test_a_check_that_flaps_below_the_threshold_is_degraded_and_says_why() -> None:
    seen = course("u" + "du" * 10, Thresholds(3, 2))
    first = next(verdict for verdict in seen if verdict.changed and verdict.state.health is not Health.UP)
    assert first.state.health is Health.DEGRADED
    assert first.reason == "flapping: 8 changes in 20 results"


def test_a_check_that_settles_is_up_again_and_flaps_anew_only_from_the_upper_bound() -> None:
    seen = course("u" + "du" * 6 + "u" * 20, Thresholds(1, 1))
    settled = next(number for number, verdict in enumerate(seen) if verdict.settled)
    assert changes_in(seen[settled].state.history) <= FLAPPING_UNTIL
    assert seen[settled].state.health is Health.UP
    assert seen[settled].changed
    assert not any(verdict.state.flapping for verdict in seen[settled:])


def test_a_flapping_check_can_still_go_down() -> None:
    assert course("u" + "du" * 6 + "ddd", Thresholds(3, 2))[-1].state.health is Health.DOWN


@pytest.mark.parametrize(
    ("every_s", "timeout_s", "late_after_s"),
    [(1, 1, 10), (5, 2, 12), (60, 10, 130), (86_400, 120, 172_920)],
)
def test_a_result_is_overdue_after_two_intervals_and_the_timeout(
    every_s: float, timeout_s: float, late_after_s: float
) -> None:
    created, last = NOON - timedelta(days=9), NOON
    assert not overdue(last, created, created, every_s, timeout_s, NOON + timedelta(seconds=late_after_s))
    assert overdue(last, created, created, every_s, timeout_s, NOON + timedelta(seconds=late_after_s + 1))
    assert not overdue(None, None, NOON, every_s, timeout_s, NOON + timedelta(seconds=late_after_s))
    assert overdue(None, None, NOON, every_s, timeout_s, NOON + timedelta(seconds=late_after_s + 1))


def test_what_was_resumed_is_overdue_from_then_on_not_from_its_last_result() -> None:
    created, last, resumed = NOON - timedelta(days=9), NOON - timedelta(days=2), NOON
    assert not overdue(last, resumed, created, 60, 10, NOON + timedelta(seconds=130))
    assert overdue(last, resumed, created, 60, 10, NOON + timedelta(seconds=131))
    assert overdue(resumed, last, created, 60, 10, NOON + timedelta(seconds=131)), "a result counts when it is newer"


@pytest.mark.parametrize(
    ("paused", "maintenance", "late", "health", "blocked_by", "status"),
    [
        (True, "m", True, Health.DOWN, "p", Status.PAUSED),
        (False, "m", True, Health.DOWN, "p", Status.MAINTENANCE),
        (False, None, True, Health.DOWN, "p", Status.UNKNOWN),
        (False, None, True, Health.UP, None, Status.UNKNOWN),
        (False, None, False, Health.DOWN, "p", Status.UNREACHABLE),
        (False, None, False, Health.UP, "p", Status.UP),
        (False, None, False, Health.DEGRADED, "p", Status.DEGRADED),
        (False, None, False, Health.DOWN, None, Status.DOWN),
        (False, None, False, Health.UNKNOWN, None, Status.UNKNOWN),
    ],
)
def test_what_people_see_is_the_first_that_applies(
    paused: bool, maintenance: str | None, late: bool, health: Health, blocked_by: str | None, status: Status
) -> None:
    window = (maintenance, NOON + timedelta(hours=2)) if maintenance is not None else None
    seen = shown(health, "why", since=NOON, paused=paused, maintenance=window, blocked_by=blocked_by, late=late)
    assert seen.status is status
    assert seen.reason
    assert seen.since == (
        NOON + timedelta(hours=2) if status is Status.MAINTENANCE else None if late and not paused else NOON
    )
