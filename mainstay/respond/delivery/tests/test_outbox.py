"""When a failed message is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.respond.delivery.models import Attempt, Delivery
from mainstay.respond.delivery.outbox import BACKOFF_LAST_S, BACKOFF_S, JITTER, pull_in, retry_at

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def wait_s(
    attempts: int, retry_after_s: float | None = None, *, refused: bool = False, chance: float | None = 0.5
) -> float:
    return (retry_at(NOON, attempts, retry_after_s, refused=refused, chance=chance) - NOON).total_seconds()


def test_waiting_grows_and_then_stays() -> None:
    waits = [wait_s(attempts) for attempts in range(1, 20)]
    assert waits[: len(BACKOFF_S)] == list(BACKOFF_S)
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_LAST_S


@pytest.mark.parametrize(("attempts", "waits"), [(1, 60), (5, 60), (30, BACKOFF_LAST_S)])
def test_a_refusal_is_in_no_hurry(attempts: int, waits: float) -> None:
    assert wait_s(attempts, refused=True) == waits


@pytest.mark.parametrize(("asked", "waits"), [(0, 1), (7, 7), (3600, 3600), (86_400, 3600), (0.2, 1)])
def test_what_the_receiver_asks_for_is_honoured_up_to_an_hour(asked: float, waits: float) -> None:
    assert wait_s(1, asked) == waits


@given(st.integers(1, 400), st.none() | st.floats(0, 1e6), st.booleans(), st.none() | st.floats(0, 1))
def test_jitter_stays_in_bounds_and_never_before_what_was_asked(
    attempts: int, asked: float | None, refused: bool, chance: float | None
) -> None:
    middle = wait_s(attempts, asked, refused=refused)
    found = wait_s(attempts, asked, refused=refused, chance=chance)
    assert found <= middle * (1 + JITTER) + 1e-3
    assert found >= middle * (1 - JITTER) - 1e-3
    assert found >= min(asked or 0, 3600) - 1e-3
    assert retry_at(NOON, attempts, asked, refused=refused) > NOON


def test_receivers_that_come_back_are_not_hit_by_all_at_once() -> None:
    assert len({retry_at(NOON, 5, None, refused=False) for _ in range(50)}) > 25
    assert timedelta() < retry_at(NOON, 1, None, refused=False, chance=0.0) - NOON


# --- a clock that was set ---------------------------------------------------------------------------------------------


def waiting_page(created_at: datetime, *attempts: datetime, due_at: datetime) -> Delivery:
    number = Delivery.objects.count()
    row = Delivery.objects.create(
        channel_name="ops", event="trigger", thread="t", key=str(number), message="", subject="alert:1",
        created_at=created_at, due_at=due_at, attempts=len(attempts),
    )  # fmt: skip
    for at in attempts:
        Attempt.objects.create(delivery=row, at=at, duration_s=0.1, outcome="retry")
    return row


@pytest.mark.fault("R5")
@pytest.mark.django_db
def test_a_page_that_waits_by_a_clock_that_was_an_hour_ahead_is_tried_now() -> None:
    ahead = NOON + timedelta(hours=1)
    tried = waiting_page(NOON - timedelta(minutes=5), ahead, due_at=ahead + timedelta(seconds=30))
    fresh = waiting_page(ahead, due_at=ahead)
    assert pull_in(NOON) == 2
    assert set(Delivery.objects.filter(pk__in=(tried.pk, fresh.pk)).values_list("due_at", flat=True)) == {NOON}
    assert pull_in(NOON) == 0


@pytest.mark.django_db
def test_what_a_receiver_asked_to_wait_for_is_waited_for() -> None:
    row = waiting_page(NOON - timedelta(minutes=5), NOON - timedelta(seconds=9), due_at=NOON + timedelta(minutes=59))
    assert pull_in(NOON) == 0
    row.refresh_from_db()
    assert row.due_at == NOON + timedelta(minutes=59)
