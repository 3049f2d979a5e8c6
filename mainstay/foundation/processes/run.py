"""Runs a process: its cycles, each at its interval in its own thread, until SIGTERM or SIGINT."""

import contextlib
import gc
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from prometheus_client.registry import Collector

from mainstay.foundation import gaps, store
from mainstay.foundation.clock import now
from mainstay.foundation.processes import beat, canary, clocks, notices, setaside, watchdog
from mainstay.foundation.processes.models import Process
from mainstay.foundation.processes.outage import DAMAGED, is_refusal, outage, words
from mainstay.foundation.processes.work import WorkFile
from mainstay.foundation.refusal import CannotStart

log = logging.getLogger("mainstay.processes")
RETRY_LEAST_S, RETRY_MOST_S = 0.2, 5.0
REGISTER_EVERY_S = 1.0
COLLECT_AFTER = (2_000, 20, 50)  # objects made, then rounds of the younger generations
LOOPS = "a loop beside the cycles"
EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit)


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
    """A thing done again and again. `run` gets the time and the process's id; returns True when more is waiting.

    Attributes:
        wake: set: run at once; after a failure only when its pause is over.
        patience_s: how long one call in it may take before it counts as hanging.
    """

    name: str
    every_s: float
    run: Callable[[datetime, int], bool | None]
    wake: threading.Event = field(default_factory=threading.Event)
    patience_s: float = watchdog.PATIENCE_S
    due_at: float = field(default_factory=time.monotonic)
    running_since: float | None = None  # kept through failing rounds
    round_since: float | None = None  # of this round alone
    thread: threading.Thread | None = None

    def lag_s(self, monotonic: float) -> float:
        """How late the cycle is: overdue and not begun, or begun long ago and not ended."""
        since = self.running_since  # read once: the cycle's own thread sets it to None
        if since is not None:
            return max(0.0, monotonic - since - self.every_s)
        return max(0.0, monotonic - self.due_at)

    def turn(self) -> watchdog.Turn:
        """What its thread does at this moment."""
        thread, since = self.thread, self.round_since
        dead = thread is not None and not thread.is_alive()
        place = watchdog.place_of(thread.ident) if thread is not None and since is not None else None
        return watchdog.Turn(f"the cycle {self.name}", since, place, self.patience_s, dead)


Ending = tuple[str, Callable[[], object]]
"""Something written when a process ends: what it is, and what does it."""


class Work:
    """What a wing does in one process. A wing whose work is more than cycles says the rest in a class of its own.

    Attributes:
        collectors: the figures of it that the process serves.
    """

    def __init__(self, cycles: Sequence[Cycle] = (), stop: Callable[[], None] | None = None) -> None:
        self.cycles = cycles
        self.collectors: list[Collector] = []
        self._stop = stop

    def prepare(self) -> None:
        """Look whether it can begin, before the process is one of those that others count on.

        Raises:
            CannotStart.
        """

    def start(self, works: Sequence["Work"]) -> None:
        """Begin what is no cycle, after the cycles have begun; `works` are those of all wings."""

    def stop(self) -> None:
        """End what is no cycle, after the cycles were told to end."""
        if self._stop is not None:
            self._stop()

    def endings(self) -> Iterable[Ending]:
        """Return what is still to be written, once all have stopped."""
        return ()

    def leave(self, process: int) -> Iterable[Ending]:
        """Return what gives back to others what this process held, last of all."""
        return ()

    def lag_s(self) -> float:
        """Return how late its loops are that are no cycles."""
        return 0.0

    def waiting_s(self) -> float:
        """Return for how long work has waited there for its turn: that is lag, too, but nothing hangs."""
        return 0.0

    def turns(self) -> Iterable[watchdog.Turn]:
        """Return what its threads do that are no cycles."""
        return ()

    def facts(self) -> Mapping[str, object]:
        """Return what every beat carries for other processes."""
        return {}


W = TypeVar("W", bound=Work)


def lower(works: Iterable[Work], kind: type[W]) -> W:
    """Return the work of this kind among those of lower wings."""
    return next(work for work in works if isinstance(work, kind))


@dataclass(slots=True)
class Runner:
    """The cycles of one process, its row in the table of processes, and how it stops.

    Attributes:
        extra_lag: how late its loops are that are no cycles.
        waiting: for how long work has waited there for its turn: that is lag, too, but nothing hangs.
        others: what its threads do that are no cycles.
    """

    role: str
    cycles: Sequence[Cycle]
    extra_lag: Callable[[], float] = lambda: 0.0
    waiting: Callable[[], float] = lambda: 0.0
    others: Callable[[], Iterable[watchdog.Turn]] = tuple
    stopping: threading.Event = field(default_factory=threading.Event)
    process_id: int = 0
    facts: Callable[[], Mapping[str, object]] = dict  # carried by every beat, for other processes
    asked_to_stop: bool = False
    _asked: SimpleQueue[None] = field(default_factory=SimpleQueue)  # its `put` may be called by a signal
    _beating: Cycle = field(init=False)
    _suspects: Cycle = field(init=False)
    _work: WorkFile = field(init=False)
    _clocks: clocks.Teller = field(init=False)
    _extra_lag_fails: bool = False

    def __post_init__(self) -> None:
        self._beating = Cycle("beat", beat.BEAT_EVERY_S, self._beat)
        self._suspects = Cycle("suspects", setaside.EVERY_S, setaside.refresh)
        self._work = WorkFile(settings.ENVIRONMENT.home, self.role)
        self._clocks = clocks.Teller(self.role, gaps.detector)

    def start(self, *, wait: bool = True) -> None:
        """Register the process, then start a thread per cycle, one that beats and one that watches them.

        Args:
            wait: until the database has taken the registration; else it is done as soon as the database answers.

        Raises:
            CannotStart: the database is damaged, or the key is not its own.
            SystemExit: it was told to stop before the database answered.
        """
        beat.end_with_parent()
        settle()
        gaps.detector.begin()
        while wait and not self._registered():
            if self.stopping.wait(REGISTER_EVERY_S) or self.asked_to_stop:
                raise SystemExit(1)
        for cycle in self._all():
            cycle.thread = threading.Thread(target=self._repeat, args=(cycle,), name=cycle.name, daemon=True)
            cycle.thread.start()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        threading.Thread(target=self._look, name="clock", daemon=True).start()

    def _all(self) -> Sequence[Cycle]:
        """The cycles of its role, and those of every process; one that only serves takes no items to work on."""
        return (self._beating, *([self._suspects] if self.cycles else []), *self.cycles)

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT end the process; to be called from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        # No more than this: the signal may have interrupted the main thread inside a lock that `stop` needs.
        self.asked_to_stop = True
        self._asked.put(None)

    def stop(self) -> None:
        """Ask every cycle to end after its present round."""
        self.stopping.set()
        self._asked.put(None)
        for cycle in self._all():
            cycle.wake.set()

    def wait(self) -> None:
        """Block until `stop`."""
        while not (self.asked_to_stop or self.stopping.is_set()):
            with contextlib.suppress(Empty):
                self._asked.get(timeout=1.0)  # a signal may reach another thread, which does not wake this one
        self.stop()

    def goodbye(self) -> None:
        """Take the row out, so that others take over at once."""
        self._work.close()
        try:
            Process.objects.filter(pk=self.process_id).delete()
        except DatabaseError as error:
            log.warning("could not sign off: %s", error)
        connection.close()

    def _registered(self) -> bool:
        """Register; False when the database refuses."""
        try:
            self._register(now())
        except DatabaseError as error:
            outage.refused("start", error, time.monotonic())
            connection.close()
            if words(error) == DAMAGED:
                raise CannotStart(f"the database is damaged: {error}. Restore a backup; ask: mainstay doctor") from None
            return False
        outage.answered("start", time.monotonic())
        return True

    def _register(self, at: datetime) -> None:
        canary.need(settings.SECRET_KEY)
        if self.cycles:
            for death in self._work.take_over():
                setaside.blame(death, self.role, at)
            setaside.refresh(at)
        self.process_id = beat.register(self.role, at).pk
        if self.cycles:
            self._work.open()

    def _repeat(self, cycle: Cycle) -> None:
        retry_s = RETRY_LEAST_S
        while not self.stopping.is_set():
            cycle.wake.clear()
            # Kept through failing rounds: otherwise a cycle that always fails at once would look as if on time.
            cycle.running_since = cycle.running_since or time.monotonic()
            cycle.round_since = time.monotonic()
            try:
                more = bool(cycle.run(now(), self.process_id))
            except EXITS:
                raise  # the watchdog then ends the process
            except BaseException as error:  # noqa: BLE001  # a panic in a Rust library is no Exception; nothing may end the loop that pages people
                asked_at, cycle.round_since = cycle.round_since, None
                self._failed(cycle, error, retry_s, asked_at)
                # Not the cycle's own event: whoever wakes it must not shorten the pause.
                self.stopping.wait(retry_s)
                retry_s = min(retry_s * 2, RETRY_MOST_S)
                continue
            retry_s = RETRY_LEAST_S
            pause_s = 0.0 if more else cycle.every_s
            outage.answered(cycle.name, time.monotonic())
            # A cycle that fails does not count as on time: `due_at` moves only from a round that ended well.
            cycle.due_at = time.monotonic() + pause_s
            cycle.running_since = cycle.round_since = None
            cycle.wake.wait(pause_s)
        connection.close()

    def _failed(self, cycle: Cycle, error: BaseException, retry_s: float, asked_at: float) -> None:
        if is_refusal(error):
            # Locked, full or away: nothing of this round was committed, so the next one does it again. The beat does
            # nothing but write, so its round began when the database was asked.
            outage.refused(cycle.name, error, time.monotonic(), asked_at if cycle is self._beating else math.inf)
        else:
            log.error("%s: failed; trying again in %.1f s", cycle.name, retry_s, exc_info=error)
        if isinstance(error, DatabaseError):
            connection.close()

    def _beat(self, at: datetime, _process: int) -> None:
        if not self.process_id:
            self._register(at)
        monotonic = time.monotonic()
        lag_s = max(
            [
                self._told_s(self.extra_lag),
                self._told_s(self.waiting),
                *(cycle.lag_s(monotonic) for cycle in self.cycles),
            ]
        )
        detail = {**self.facts(), "notices": notices.told()}
        outage.writing(monotonic)
        try:
            row = store.moment(at), min(lag_s, 1e9), store.json_text(detail), self.process_id
            known = store.update(Process, ("beat_at", "lag_s", "detail"), ("id",), [row])
        finally:
            outage.writing(None)
        if not known and not self.stopping.is_set():
            # Somebody took this process for dead (a suspended machine): leases are gone, so begin anew.
            log.error("this process was taken for dead; ending so that the supervisor starts it anew")
            os.kill(os.getpid(), signal.SIGTERM)
        gaps.detector.look(committed=True)
        self._clocks.tell(at, self.process_id)

    def _look(self) -> None:
        """Watch the clocks in a thread that waits for nothing else."""
        while not self.stopping.wait(gaps.LOOK_EVERY_S):
            gaps.detector.look()

    def _told_s(self, ask: Callable[[], float]) -> float:
        """How late something is. Unknown is not late: a defect here must not stop what works."""
        try:
            lag_s = ask()
        except Exception:
            if not self._extra_lag_fails:
                log.exception("how late the loops of this process are cannot be told")
            self._extra_lag_fails = True
            return 0.0
        self._extra_lag_fails = False
        return 0.0 if math.isnan(lag_s) else lag_s

    def _turns(self) -> Iterator[watchdog.Turn]:
        for cycle in self._all():
            yield cycle.turn()
        yield from self.others()
        late = self._told_s(self.extra_lag) > beat.LATE_AFTER_S
        yield watchdog.Turn(LOOPS, late or None)

    def _watch(self) -> None:
        dog, sure = watchdog.Watchdog(), 0
        watchdog.tell_supervisor()
        while not self.stopping.wait(watchdog.LOOK_EVERY_S):
            watchdog.tell_supervisor()
            try:
                wrong = dog.look(time.monotonic(), self._turns())
                # While the database does not answer, everybody waits for it: nobody is ended for that, nor just after.
                sure = sure + 1 if wrong and database_answers() else 0
                if sure >= watchdog.SURE_AFTER_LOOKS and not (self.stopping.is_set() or self.asked_to_stop):
                    self._work.note_stacks()
                    watchdog.end_process(wrong)
            except Exception:
                log.exception("the watchdog failed")
        watchdog.tell_supervisor(watchdog.LAST_WORD)


def database_answers() -> bool:
    """Tell whether a fresh connection to the database can begin to write."""
    connection.close()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except DatabaseError:
        return False
    finally:
        connection.close()
