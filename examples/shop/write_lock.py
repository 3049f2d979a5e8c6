"""The fault `database_locked`: another writer that does not let go."""

import logging
import sqlite3
import threading
import time
from contextlib import closing

from examples.shop.database import Database

_ACQUIRE_WAIT_S = 5.0

log = logging.getLogger("shop.faults")


class WriteLock:
    """Holds the database's write lock for a while. Readers go on (WAL); writers wait and then fail."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._release = threading.Event()
        self._until = 0.0
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def hold(self, seconds: float) -> bool:
        """Hold the lock from now for `seconds`, in place of any earlier hold; False if it could not be had."""
        with self._guard:
            self._let_go()
            held = threading.Event()
            self._release = threading.Event()
            self._until = time.monotonic() + seconds
            self._thread = threading.Thread(
                target=self._keep, args=(seconds, held, self._release), name="write-lock", daemon=True
            )
            self._thread.start()
            return held.wait(_ACQUIRE_WAIT_S + 1)

    def release(self) -> None:
        with self._guard:
            self._let_go()

    def remaining_s(self) -> float:
        thread = self._thread
        return max(0.0, self._until - time.monotonic()) if thread is not None and thread.is_alive() else 0.0

    def _let_go(self) -> None:
        if self._thread is not None:
            self._release.set()
            self._thread.join()
            self._thread = None

    def _keep(self, seconds: float, held: threading.Event, release: threading.Event) -> None:
        with closing(self._database.connect(_ACQUIRE_WAIT_S)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                log.exception("the fault database_locked could not take the write lock")
                return
            held.set()
            release.wait(seconds)
            connection.execute("ROLLBACK")
