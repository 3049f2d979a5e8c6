"""Large work in small transactions: how large a piece is, and the gap between two."""

import time

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, transaction

from mainstay.foundation import pieces as module
from mainstay.foundation.pieces import LASTS_S, Pace, is_of_the_content, pieces


@pytest.fixture
def gaps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The gaps that were left, without waiting for them."""
    found: list[float] = []
    monkeypatch.setattr(module, "let_others_write", found.append)
    return found


def test_a_piece_that_lasts_too_long_makes_the_next_smaller_and_a_quick_one_larger_again() -> None:
    pace = Pace(25)
    pace.took(25, 2 * LASTS_S)
    assert pace.size == 12
    pace.took(12, 100 * LASTS_S)
    assert pace.size == 8  # a third: smaller ones would only be more
    for _ in range(6):
        pace.took(pace.size, LASTS_S / 10)
    assert pace.size == 25
    pace.took(25, LASTS_S * 0.9)
    assert pace.size == 25


@pytest.mark.django_db(transaction=True)
def test_all_items_come_once_in_order_with_a_gap_between_two_pieces(gaps: list[float]) -> None:
    assert [list(piece) for piece in pieces(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(gaps) == 2
    assert list(pieces([], 3)) == []
    assert [list(piece) for piece in pieces(range(3), 3)] == [[0, 1, 2]]
    assert len(gaps) == 2


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_there_is_no_gap(gaps: list[float]) -> None:
    with transaction.atomic():
        assert len(list(pieces(range(7), 3))) == 3
    assert gaps == []


def test_a_gap_is_as_long_as_the_piece_within_its_bounds() -> None:
    for took_s, least in ((0.0, module.GAP_LEAST_S), (0.03, 0.03), (5.0, module.GAP_S)):
        began = time.monotonic()
        module.let_others_write(took_s)
        assert time.monotonic() - began >= least * 0.99


@pytest.mark.parametrize("error", [DataError(), IntegrityError(), TypeError(), KeyError()])
def test_what_would_fail_again_is_of_the_content(error: BaseException) -> None:
    assert is_of_the_content(error)


@pytest.mark.parametrize("error", [OperationalError(), InterfaceError(), KeyboardInterrupt(), SystemExit()])
def test_what_may_go_better_next_time_is_not(error: BaseException) -> None:
    assert not is_of_the_content(error)
