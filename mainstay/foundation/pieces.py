"""Large work in small transactions: how much goes into one, how long others get between two, and what is tried again.

While a transaction writes, everybody else waits: on SQLite for the one lock there is, on PostgreSQL for its rows. So
no transaction of ours lasts longer than about `LASTS_S`, and between two of one work there is a gap as long as the
first took, `GAP_S` at most: who waits for SQLite's lock looks again every 100 ms, and would miss a shorter one.
"""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError, transaction

T = TypeVar("T")
LASTS_S = 0.3
GAP_S, GAP_LEAST_S = 0.1, 0.01


class Pace:
    """How many items go into one transaction: as many as the last ones let expect to fit into `LASTS_S`.

    Never fewer than a third of the most: on a machine so slow that even those take longer, what each transaction costs
    by itself weighs most, and more of them would only make all of it later.
    """

    def __init__(self, most: int) -> None:
        self.most = self.size = most
        self.least = max(1, most // 3)

    def took(self, items: int, seconds: float) -> None:
        """Learn from a transaction; the next ones are smaller at once, and larger again step by step."""
        if items and seconds > LASTS_S:
            self.size = max(self.least, min(self.most, int(items * LASTS_S / seconds)))
        else:
            self.size = min(self.most, self.size + max(1, self.size // 4))


def let_others_write(seconds: float) -> None:
    """Pause after a transaction that took `seconds`, when another of the same work follows."""
    time.sleep(min(GAP_S, max(GAP_LEAST_S, seconds)))


def pieces(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Yield parts of `items`, each to be written in one transaction, with a gap for others between two.

    Inside a transaction of the caller's there is no gap: nobody gets in before it ends.
    """
    pace, place, took_s = Pace(most), 0, 0.0
    while place < len(items):
        if place and not transaction.get_connection().in_atomic_block:
            let_others_write(took_s)
        part = items[place : place + pace.size]
        began = time.monotonic()
        yield part
        took_s = time.monotonic() - began
        pace.took(len(part), took_s)
        place += len(part)


def is_of_the_content(error: BaseException) -> bool:
    """Whether the same would fail again (a defect of ours); not so for a database that is locked, full or away."""
    if isinstance(error, DatabaseError):
        return isinstance(error, DataError | IntegrityError | ProgrammingError)
    return isinstance(error, Exception) and not isinstance(error, InterfaceError)
