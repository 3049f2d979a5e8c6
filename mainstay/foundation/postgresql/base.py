"""Django's PostgreSQL backend, with an end to every wait: a connection that is dead without a word is noticed.

The server ends each statement after `statement_timeout`; a server that says nothing for longer than that and a few
seconds is not there any more, whatever the network confirms (a proxy that swallows everything confirms it all). The
connection is then closed and the call fails, so that whoever called tries again on a fresh one.
"""

import threading
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg import errors
from psycopg.waiting import READY_NONE, READY_R

GRACE_S = 5.0
CONNECT_S = 5.0  # unless the settings say otherwise; the first statements may take as long
LOOK_EVERY_S = 0.1
T = TypeVar("T")


class _Silence:
    """When the last connection of this process was found dead, and since when nothing had come from it."""

    def __init__(self) -> None:
        self.begun_at = float("-inf")
        self._lock = threading.Lock()

    def found(self, begun_at: float) -> None:
        with self._lock:
            self.begun_at = max(self.begun_at, begun_at)


silence = _Silence()


class Connection(psycopg.Connection[Any]):
    """A connection that waits no longer than `patience_s` for the server; None is for ever."""

    patience_s: float | None = None  # while it connects, libpq's own limit holds
    heard_at: float = float("-inf")

    def wait(self, gen: Any, interval: float = LOOK_EVERY_S, timeout: float | None = None) -> Any:
        """Wait for the server. Raises `OperationalError` when it says nothing for too long."""
        if timeout is not None or self.patience_s is None:
            return super().wait(gen, interval, timeout)
        answer = super().wait(self._attentive(gen, self.patience_s), interval)
        self.heard_at = time.monotonic()
        return answer

    def _attentive(self, steps: Generator[Any, Any, T], patience_s: float) -> Generator[Any, Any, T]:
        """Do psycopg's steps; give up before the first, and whenever nothing came for `LOOK_EVERY_S`, if it is time."""
        moved_at = time.monotonic()
        self._look(moved_at, patience_s)  # before anything is sent: what is then done would be called a failure
        try:
            state = next(steps)
            while True:
                ready = (yield state) or READY_NONE  # None: psycopg goes on waiting after Ctrl-C
                if ready == READY_NONE:
                    self._look(moved_at, patience_s)
                else:
                    moved_at = time.monotonic()
                if ready & READY_R:
                    self.heard_at = moved_at
                state = steps.send(ready)
        except StopIteration as done:
            answer: T = done.value
            return answer

    def _look(self, moved_at: float, patience_s: float) -> None:
        if self.heard_at < silence.begun_at:
            # Another one fell silent after this was last heard from: do not spend the whole patience on each.
            why = "the connection was given up: the database had fallen silent"
        elif time.monotonic() - moved_at >= patience_s:
            silence.found(moved_at)
            why = f"the database has said nothing for {patience_s:.0f} s"
        else:
            return
        self.pgconn.finish()
        raise errors.OperationalError(why)


class _Driver:
    """psycopg, whose connections are those above."""

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)

    @staticmethod
    def connect(**parameters: Any) -> Connection:
        connection = Connection.connect(**parameters)
        connection.heard_at = time.monotonic()
        connection.patience_s = float(parameters.get("connect_timeout", CONNECT_S)) + GRACE_S
        return connection


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with the connections above."""

    Database = _Driver()  # type: ignore[assignment]  # stands for a module

    def init_connection_state(self) -> None:
        """Ask the server for its own limit: who connects may have another than our default, or a pooler sets one."""
        super().init_connection_state()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT setting::float / 1000 FROM pg_settings WHERE name = 'statement_timeout'")
            limit_s = cursor.fetchone()[0]
        self.connection.patience_s = limit_s + GRACE_S if limit_s else None

    def lift_limits(self) -> None:
        """Let each statement of this thread's connection take as long as it needs: for migrations."""
        with self.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET lock_timeout = 0")
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
        self.connection.patience_s = None
