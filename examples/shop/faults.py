"""Faults that can be switched on while the shop runs, to see whether its monitoring notices.

Faults touch what customers use (pages and API). `/health`, `/metrics` and `/faults` stay reachable and honest.
"""

import json
import logging
import os
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from examples.shop.leak import Leak
from examples.shop.logs import fields
from examples.shop.write_lock import WriteLock

log = logging.getLogger("shop.faults")

CRASH_EXIT_STATUS = 1


@dataclass(frozen=True, slots=True)
class Fault:
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


class Faults:
    """The switches and what they do. With `file`, lasting faults are kept there and survive a restart."""

    def __init__(self, write_lock: WriteLock, file: Path | None = None) -> None:
        self._values = {name: 0.0 for name, fault in FAULTS.items() if fault.lasting}
        self._leak = Leak()
        self._write_lock = write_lock
        self._file = file
        self._guard = threading.Lock()
        self._chance = random.Random()
        if file is not None and file.exists():
            self.change(_read_file(file))

    def active(self, name: str) -> bool:
        return self.value(name) > 0

    def value(self, name: str) -> float:
        if name == "database_locked":
            return self._write_lock.remaining_s()
        return self._values.get(name, 0.0)

    def change(self, changes: Mapping[str, float]) -> bool:
        """Apply parsed changes, all or none. Returns True if the process is to end now (the fault `crash`)."""
        with self._guard:
            seconds = changes.get("database_locked")
            if seconds is not None and seconds > 0 and not self._write_lock.hold(seconds):
                raise FaultError("database_locked: another writer holds the lock at the moment; try again.")
            if seconds == 0:
                self._write_lock.release()
            self._values.update({name: value for name, value in changes.items() if FAULTS[name].lasting})
            self._leak.set_rate(self._values["leak"])
            self._save()
        log.warning("faults changed", extra=fields(changes=dict(changes), active=self.active_values()))
        return changes.get("crash", 0) > 0

    def strike(self) -> float:
        """Called for each customer's request: raises InjectedError at the set rate, else returns seconds to wait."""
        if self._chance.random() < self._values["errors"]:
            raise InjectedError(f"injected by the fault 'errors' at rate {self._values['errors']:g}")
        return self._values["latency"]

    def active_values(self) -> dict[str, float]:
        return {name: round(self.value(name), 3) for name in FAULTS if self.active(name)}

    def report(self) -> dict[str, object]:
        """All switches, as `GET /faults` shows them."""
        switches = {
            name: {
                "value": round(self.value(name), 3),
                "active": self.active(name),
                "unit": fault.unit,
                "does": fault.does,
            }
            for name, fault in FAULTS.items()
        }
        return {"faults": switches, "leaked_bytes": self._leak.kept_bytes}

    def _save(self) -> None:
        if self._file is None:
            return
        draft = self._file.with_suffix(f"{self._file.suffix}.new")
        draft.write_text(json.dumps({name: value for name, value in self._values.items() if value}), encoding="utf-8")
        draft.replace(self._file)


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


def _read_file(file: Path) -> dict[str, float]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        changes = parse_changes(document) if document else {}
    except (OSError, ValueError) as problem:
        raise FaultError(f"{file} does not hold faults: {problem}") from problem
    return {name: value for name, value in changes.items() if FAULTS[name].lasting}


def crash() -> None:
    """End the process as a crash would: no clean-up, no answer to requests in flight."""
    log.critical("crashing, as the fault 'crash' demands")
    os._exit(CRASH_EXIT_STATUS)
