"""Recorded results on their way to the metrics: a bounded queue, so that a slow or broken store delays no page."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger("mainstay.monitor")
T = TypeVar("T")
WAITING_MOST = 100_000  # beyond this the oldest are passed over


class Recorded(Generic[T]):
    """Takes results in the thread that recorded them, and passes them on in another."""

    def __init__(self, heard: Callable[[Sequence[T]], None], most: int = WAITING_MOST) -> None:
        self.heard = heard
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[T] = deque()
        self.lost = 0  # passed over, since they were taken too slowly

    def add(self, seen: Sequence[T]) -> None:
        """Let `seen` wait; quick, and never raises."""
        with self._lock:
            self._waiting.extend(seen)
            over = len(self._waiting) - self._most
            if over > 0 and not self.lost:
                log.error("recorded results are taken too slowly for the metrics; the oldest are passed over")
            for _ in range(over):
                self._waiting.popleft()
            self.lost += max(0, over)

    def pass_on(self) -> bool:
        """Pass on what waits; return whether there was any.

        Raises:
            OSError: it cannot be taken now (the disk is full); it waits for the next call.
        """
        with self._lock:
            seen = list(self._waiting)
            self._waiting.clear()
        if not seen:
            return False
        try:
            self.heard(seen)
        except OSError:
            with self._lock:
                later = list(self._waiting)
                self._waiting.clear()
            self.add([*seen, *later])
            raise
        except Exception:  # one result that cannot be taken must not cost the others
            log.exception("%d recorded results cannot be passed on together; trying one by one", len(seen))
            self._one_by_one(seen)
        return True

    def _one_by_one(self, seen: Sequence[T]) -> None:
        refused = 0
        for one in seen:
            try:
                self.heard([one])
            except Exception as error:  # noqa: BLE001  # the first was logged in full
                refused += 1
                last = error
        if refused:
            log.error("%d recorded results cannot be passed on: %s", refused, last)
