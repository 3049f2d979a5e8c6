"""Making the real database fail, and using it from several threads as several processes would."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db import connection

T = TypeVar("T")
BUSY_MS = 30


@contextmanager
def away() -> Iterator[None]:
    """While open, this thread's next write fails: SQLite's file is locked, PostgreSQL's session was killed."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        with psycopg.connect(**_parameters(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        try:
            yield
        finally:
            connection.close()
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    locker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        locker.execute("ROLLBACK")
        locker.close()
        connection.close()


def _parameters() -> dict[str, Any]:
    settings = connection.settings_dict
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {ours: str(settings[theirs]) for theirs, ours in names.items() if settings[theirs]}


def at_once(*acts: Callable[[], T]) -> list[T | BaseException]:
    """Run `acts` at the same time, each with a connection of its own; return what each returned or raised."""
    barrier = threading.Barrier(len(acts))
    found: list[T | BaseException | None] = [None] * len(acts)

    def run(place: int, act: Callable[[], T]) -> None:
        try:
            barrier.wait(10)
            found[place] = act()
        except BaseException as error:  # noqa: BLE001  # handed to the test
            found[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, act)) for place, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return found  # type: ignore[return-value]  # all are filled by now
