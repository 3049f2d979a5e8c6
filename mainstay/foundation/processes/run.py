"""Runs a process: its cycles, each at its interval in its own thread, until SIGTERM or SIGINT."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType

from django.db import DatabaseError, connection

from mainstay.foundation.clock import now
from mainstay.foundation.processes import beat, notices
from mainstay.foundation.processes.models import Process

log = logging.getLogger("mainstay.processes")
RETRY_LEAST_S, RETRY_MOST_S = 0.2, 5.0
COLLECT_AFTER = (2_000, 20, 50)  # objects made, then rounds of the younger generations


def settle() -> None:
    """Take what is loaded by now for permanent; to be called once, when the program is.

    Modules, models and templates are a million objects and never garbage. Python would go through all of them whenever
    a request has made enough new ones: 70 ms in the midst of a page that takes 80.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@dataclass(slots=True)
class Cycle:
    """A thing done again and again. `run` gets the time and the process's id; returns True when more is waiting."""

    name: str
    every_s: float
    run: Callable[[datetime, int], bool | None]
    wake: threading.Event = field(default_factory=threading.Event)  # set: run at once
    due_at: float = field(default_factory=time.monotonic)
    running_since: float | None = None

    def lag_s(self, monotonic: float) -> float:
        """How late the cycle is: overdue and not begun, or begun long ago and not ended."""
        since = self.running_since  # read once: the cycle's own thread sets it to None
        if since is not None:
            return max(0.0, monotonic - since - self.every_s)
        return max(0.0, monotonic - self.due_at)


@dataclass(slots=True)
class Runner:
    """The cycles of one process, its row in the table of processes, and how it stops."""

    role: str
    cycles: Sequence[Cycle]
    extra_lag: Callable[[], float] = lambda: 0.0
    stopping: threading.Event = field(default_factory=threading.Event)
    process_id: int = 0
    facts: Mapping[str, object] = field(default_factory=dict)  # carried by every beat, for other processes
    asked_to_stop: bool = False

    def start(self) -> None:
        """Register the process, then start a thread per cycle and one that beats."""
        beat.end_with_parent()
        settle()
        self.process_id = self._persist(lambda: beat.register(self.role, now()).pk)
        for cycle in self.cycles:
            threading.Thread(target=self._repeat, args=(cycle,), name=cycle.name, daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT end the process; to be called from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        # Only a flag: the signal may have interrupted the main thread inside a lock that `stop` needs.
        self.asked_to_stop = True

    def stop(self) -> None:
        """Ask every cycle to end after its present round."""
        self.stopping.set()
        for cycle in self.cycles:
            cycle.wake.set()

    def wait(self) -> None:
        """Block until `stop`."""
        while not (self.asked_to_stop or self.stopping.is_set()):
            time.sleep(0.05)
        self.stop()

    def goodbye(self) -> None:
        """Take the row out, so that others take over at once."""
        try:
            Process.objects.filter(pk=self.process_id).delete()
        except DatabaseError as error:
            log.warning("could not sign off: %s", error)
        connection.close()

    def _persist(self, act: Callable[[], int]) -> int:
        while True:
            try:
                return act()
            except DatabaseError as error:
                log.error("the database refuses: %s; trying again", error)
                connection.close()
                if self.stopping.wait(1.0) or self.asked_to_stop:
                    raise

    def _repeat(self, cycle: Cycle) -> None:
        retry_s = RETRY_LEAST_S
        while not self.stopping.is_set():
            cycle.wake.clear()
            # Kept through failing rounds: otherwise a cycle that always fails at once would look as if on time.
            cycle.running_since = cycle.running_since or time.monotonic()
            try:
                more = bool(cycle.run(now(), self.process_id))
                retry_s = RETRY_LEAST_S
                pause_s = 0.0 if more else cycle.every_s
            except DatabaseError as error:
                # Locked, full or away: nothing of this round was committed, so the next one does it again.
                log.error("%s: the database refuses: %s; trying again in %.1f s", cycle.name, error, retry_s)
                connection.close()
                pause_s, retry_s = retry_s, min(retry_s * 2, RETRY_MOST_S)
            except Exception:  # one bad record must not end the loop that pages people
                log.exception("%s: failed; trying again in %.1f s", cycle.name, retry_s)
                pause_s, retry_s = retry_s, min(retry_s * 2, RETRY_MOST_S)
            # A cycle that fails does not count as on time: `due_at` moves only from a round that ended well.
            if retry_s == RETRY_LEAST_S:
                cycle.due_at = time.monotonic() + pause_s
                cycle.running_since = None
            cycle.wake.wait(pause_s)
        connection.close()

    def _beat(self) -> None:
        while not self.stopping.is_set():
            monotonic = time.monotonic()
            lag_s = max([self.extra_lag(), *(cycle.lag_s(monotonic) for cycle in self.cycles)])
            try:
                detail = {**self.facts, "notices": notices.told()}
                if not Process.objects.filter(pk=self.process_id).update(beat_at=now(), lag_s=lag_s, detail=detail):
                    # Somebody took this process for dead (a suspended machine): leases are gone, so begin anew.
                    log.error("this process was taken for dead; ending so that the supervisor starts it anew")
                    os.kill(os.getpid(), signal.SIGTERM)
            except DatabaseError as error:
                log.error("beat: the database refuses: %s", error)
                connection.close()
            self.stopping.wait(beat.BEAT_EVERY_S)
        connection.close()
