"""Faults that can be switched on while the shop runs, to see whether its monitoring notices.

Faults touch what customers use (pages and API). `/health`, `/metrics` and `/faults` stay reachable and honest.
"""

import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

from examples.shop.database import Database
from examples.shop.logs import fields

LEAK_LIMIT_BYTES = 1_000_000_000
_LEAK_STEP_S = 0.25
_LOCK_WAIT_S = 5.0
_CRASH_EXIT_STATUS = 1

log = logging.getLogger("shop.faults")


class Fault(NamedTuple):
    """One switch. A value of 0 is off; `usual` is what a switch without a value means; `most` is the largest value."""

    unit: str
    usual: float
    most: float
    does: str
    lasting: bool = True


FAULTS: Mapping[str, Fault] = {
    "errors": Fault("share of requests, 0 to 1", 1, 1, "raises an exception: status 500, stack in the log"),
    "latency": Fault("seconds", 2, 60, "delays every page and API answer"),
    "leak": Fault("MB per minute", 60, 60_000, "keeps memory until the process ends, at most 1,000 MB"),
    "slow_query": Fault("0 or 1", 1, 1, "search compares every view with every other view, without an index"),
    "stopped_job": Fault("0 or 1", 1, 1, "the stock job neither runs nor pings"),
    "database_locked": Fault("seconds", 30, 600, "holds the write lock: carts and checkout fail", lasting=False),
    "crash": Fault("0 or 1", 1, 1, "the process ends at once with exit status 1", lasting=False),
}


class FaultError(ValueError):
    """A change of faults that cannot be carried out; the message says what would be right."""


class InjectedError(RuntimeError):
    """What the fault `errors` raises."""


class WriteLock:
    """Another writer that does not let go: readers go on (WAL), writers wait and then fail."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._release = threading.Event()
        self._thread: threading.Thread | None = None
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """Hold the write lock from now for `seconds` (0: no more), in place of any earlier hold."""
        if self._thread is not None:
            self._release.set()
            self._thread.join()
        self._release, self._until = threading.Event(), time.monotonic() + seconds
        if seconds == 0:
            return
        connection = self._database.connect(_LOCK_WAIT_S)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as problem:
            connection.close()
            raise FaultError("database_locked: another writer holds the lock at the moment; try again.") from problem
        self._thread = threading.Thread(target=self._keep, args=(connection, seconds), name="write-lock", daemon=True)
        self._thread.start()

    def remaining_s(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def _keep(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._release.wait(seconds)
        connection.close()  # which rolls back


class Faults:
    """The switches and what they do; they end with the process."""

    def __init__(self, database: Database) -> None:
        self._values = {name: 0.0 for name, fault in FAULTS.items() if fault.lasting}
        self._leaked: list[bytes] = []
        self._leaked_bytes = 0
        threading.Thread(target=self._leak, name="leak", daemon=True).start()
        self._write_lock = WriteLock(database)
        self._guard = threading.Lock()

    def active(self, name: str) -> bool:
        return self.value(name) > 0

    def value(self, name: str) -> float:
        if name == "database_locked":
            return self._write_lock.remaining_s()
        return self._values.get(name, 0.0)

    def change(self, changes: Mapping[str, float]) -> bool:
        """Apply parsed changes, all or none. Returns True if the process is to end now (the fault `crash`)."""
        with self._guard:
            if (seconds := changes.get("database_locked")) is not None:
                self._write_lock.hold(seconds)
            self._values.update({name: value for name, value in changes.items() if FAULTS[name].lasting})
        active = {name: round(self.value(name), 3) for name in FAULTS if self.active(name)}
        log.warning("faults changed", extra=fields(changes=dict(changes), active=active))
        return changes.get("crash", 0) > 0

    def strike(self) -> float:
        """Called for each customer's request: raises InjectedError at the set rate, else returns seconds to wait."""
        if random.random() < self._values["errors"]:
            raise InjectedError(f"injected by the fault 'errors' at rate {self._values['errors']:g}")
        return self._values["latency"]

    def report(self) -> dict[str, object]:
        """All switches, as `GET /faults` shows them."""
        switches = {
            name: {"value": round(value := self.value(name), 3), "active": value > 0, "unit": unit, "does": does}
            for name, (unit, _, _, does, _) in FAULTS.items()
        }
        return {"faults": switches, "leaked_bytes": self._leaked_bytes}

    def _leak(self) -> None:
        while True:
            time.sleep(_LEAK_STEP_S)
            size = int(self._values["leak"] * 1_000_000 / 60 * _LEAK_STEP_S)
            if (size := min(size, LEAK_LIMIT_BYTES - self._leaked_bytes)) > 0:
                # Bytes other than zero: pages that are never written to would not become resident.
                self._leaked.append(b"\x5a" * size)
                self._leaked_bytes += size


def parse_changes(document: object) -> dict[str, float]:
    """A document such as `{"errors": 0.5, "latency": 0}` as changes; `{"clear": true}` switches all off.

    Values are numbers, true (the usual value) or false and null (off). Anything else is a FaultError.
    """
    if not isinstance(document, dict) or not document:
        raise FaultError('Send an object such as {"errors": 0.5}, or {"clear": true}.')
    changes: dict[str, float] = {}
    if document.get("clear") is True:
        changes = dict.fromkeys(FAULTS, 0.0)
    for name, value in document.items():
        if name != "clear":
            changes[name] = _parse_value(name, value)
        elif value is not True:
            raise FaultError("'clear' takes only the value true.")
    return changes


def _parse_value(name: str, value: object) -> float:
    fault = FAULTS.get(name)
    if fault is None:
        raise FaultError(f"There is no fault {name!r}; there are: {', '.join(FAULTS)}.")
    if value is None or value is False:
        return 0.0
    if value is True:
        return fault.usual
    if not isinstance(value, int | float) or not 0 <= value <= fault.most:
        raise FaultError(f"{name} must be a number from 0 to {fault.most:g} ({fault.unit}), not {value!r}.")
    return float(value)


def crash() -> None:
    """End the process as a crash would: no clean-up, no answer to requests in flight."""
    log.critical("crashing, as the fault 'crash' demands")
    os._exit(_CRASH_EXIT_STATUS)
