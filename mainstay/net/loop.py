"""The event loop that probes and scrapes share: one thread that holds a schedule and all HTTP transfers.

A turn waits for whatever comes first, lets transfers go on, ends what is overdue, does what other threads posted,
and begins what is due, as long as not too much is in flight. The wall clock is read once per turn (for due times), a
monotonic clock for durations and deadlines; a wall clock that was set moves the schedule with it.

Who derives from it says what an item is, how its run begins and what becomes of it. A defect met by one item, one
transfer or one posted call takes down only that: it is counted and logged, and the loop goes on.
"""

import heapq
import itertools
import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from mainstay.net.curl_loop import CurlLoop, T
from mainstay.net.poller import Poller
from mainstay.net.schedule import Due, Schedule

log = logging.getLogger(__name__)

CLOCK_JUMP_S = 0.5
"""A wall clock that moved this much against the monotonic one since the last turn was set, or the machine slept."""
TICK_S = 0.01
"""What is due starts together on ticks: measured at 250 probes/s, a fifth less CPU than starting each by itself."""
_ROUNDING_S = 1e-5
_LONGEST_TURN_S = 1.0
_LATENESS_SAMPLES = 4096
_SAID_EVERY_S = 10.0
_PAUSE_S = 0.05
"""After a turn that failed as a whole, so that a loop that cannot turn does not take a core."""


class Running(Protocol):
    """A run of an item."""

    run_id: int


class Waiting(Protocol):
    """What the schedule's keys stand for."""

    @property
    def run(self) -> Running | None:
        """What is under way."""

    def lost_its_run(self) -> None:
        """Its slot passes without a result, by a defect of ours."""

    waits: bool
    """It is due and waits for its turn."""
    removed: bool


Item = TypeVar("Item", bound=Waiting)
Run = TypeVar("Run")


class TransferLoop(ABC, Generic[Item, Run, T]):
    """One thread, one schedule, many transfers. Only `_post` and what reads figures may be called by other threads."""

    def __init__(self, name: str, *, max_in_flight: int, kept_alive: int, wall_clock: Callable[[], float]) -> None:
        """Name the thread; `max_in_flight` bounds the runs at once, `kept_alive` the connections kept for later."""
        self._wall_clock = wall_clock
        self._max_in_flight = max_in_flight
        self._schedule = Schedule()
        self._items: dict[int, Item] = {}
        self._run_ids = itertools.count(1)
        self._runs: dict[int, Run] = {}
        self._ready: deque[tuple[Item, float, float]] = deque()  # item, when it was due, since when it waits
        self._deadlines: list[tuple[float, int]] = []
        self._inbox: deque[Callable[[], None]] = deque()
        self._lateness: deque[float] = deque(maxlen=_LATENESS_SAMPLES)
        self._overlapped = self._skipped = self._defects = 0
        self._said_at = -math.inf
        self._failing_since: float | None = None  # turns fail as a whole since then
        self._poller = Poller()
        self._curl: CurlLoop[T] = CurlLoop(self._poller, self._hop_is_done, kept_alive=kept_alive)
        self._thread = threading.Thread(target=self._run_loop, name=name, daemon=True)
        self._stopping = False
        self._drain_until = math.inf
        self._turn_expected_at = time.perf_counter()
        self._wall = self._mono = self._tick_at = self._next_sweep = 0.0

    # --- for any thread ----------------------------------------------------------------------------------------

    def _start_loop(self) -> None:
        self._turn_expected_at = time.perf_counter() + _LONGEST_TURN_S
        self._thread.start()

    def _stop_loop(self, timeout_s: float) -> None:
        """Begin nothing more, give runs four fifths of the time, keep a fifth for delivering and closing."""
        if self._thread.is_alive():
            drain_until = time.perf_counter() + timeout_s * 0.8
            self._post(lambda: self._begin_stop(drain_until))
            self._thread.join(timeout_s)
        elif self._thread.ident is None:  # it never began
            self._close_loop()

    def _close_loop(self) -> None:
        self._curl.close()
        self._poller.close()

    def _post(self, call: Callable[[], None]) -> None:
        """Have the loop's thread call this in its next turn."""
        self._inbox.append(call)
        self._poller.wake()

    def _enqueue(self, item: Item, due_at: float) -> None:
        """Let the item begin as soon as not too much is in flight."""
        item.waits = True
        self._ready.append((item, due_at, time.perf_counter()))

    def waiting_s(self) -> float:
        """For how long the first of those that are due has waited for its turn, because too much is in flight."""
        try:
            return max(0.0, time.perf_counter() - self._ready[0][2])
        except IndexError:
            return 0.0

    def lag_s(self) -> float:
        """How late the present turn is: 0 while the loop turns on time, growing when it is blocked, failing or dead."""
        since = self._failing_since
        return max(0.0, time.perf_counter() - (self._turn_expected_at if since is None else since))

    def _lateness_s(self) -> tuple[float, float]:
        """How late the last runs began: median and 99th percentile, in seconds."""
        ordered = sorted(self._lateness)
        return (ordered[int(0.5 * len(ordered))], ordered[int(0.99 * len(ordered))]) if ordered else (0.0, 0.0)

    # --- what an item is ---------------------------------------------------------------------------------------

    @abstractmethod
    def _due(self, item: Item, due_at: float, skipped: int) -> None:
        """Put the item in `_ready`, or say why it does not begin; so many slots before were skipped."""

    @abstractmethod
    def _start(self, item: Item, due_at: float) -> None:
        """Begin its run."""

    @abstractmethod
    def _item_of(self, run: Run) -> Item:
        """Whose run it is."""

    @abstractmethod
    def _hop_done(self, run: Run, transfer: T, again: bool, defect: Exception | None) -> None:
        """Go on with a transfer that libcurl gave back; `again` when a redirect leads to another request."""

    @abstractmethod
    def _expired(self, run: Run) -> None:
        """End a run whose time in `_deadlines` is over, if whatever it waits for does not end it by itself."""

    def _finish_turn(self, now: float) -> None:
        """Hand on what the turn brought."""

    def _over(self, now: float) -> bool:
        """Whether a loop that stops has ended what it had begun."""
        return not self._runs or now >= self._drain_until

    # --- the loop ----------------------------------------------------------------------------------------------

    def _run_loop(self) -> None:
        self._wall, self._mono = self._wall_clock(), time.perf_counter()
        try:
            while not self._survived_turn():
                pass
        finally:
            self._close_loop()

    def _survived_turn(self) -> bool:
        """One turn; True when the loop is to end. One that fails as a whole is lag, until one succeeds."""
        try:
            over = self._turn()
        except BaseException as defect:  # noqa: BLE001  # `_survive` lets exits through
            self._failing_since = self._failing_since or time.perf_counter()
            self._survive(defect)
            time.sleep(_PAUSE_S)
            return self._stopping and time.perf_counter() >= self._drain_until
        self._failing_since = None
        return over

    def _turn(self) -> bool:
        wait_s = self._wait_s()
        self._turn_expected_at = time.perf_counter() + wait_s + _LONGEST_TURN_S / 10
        ready = self._poller.wait(wait_s)
        now, wall = time.perf_counter(), self._wall_clock()
        if abs((wall - self._wall) - (now - self._mono)) > CLOCK_JUMP_S:
            self._schedule.clock_jumped(wall)
            self._tick_at = wall
        self._wall, self._mono = wall, now
        self._curl.handle(ready, now)
        self._expire(now)
        while self._inbox:
            self._call(self._inbox.popleft())
        if not self._stopping and wall >= self._tick_at:
            for due in self._schedule.due(wall):
                self._fall_due(due)
            self._tick_at = (math.floor(wall / TICK_S) + 1) * TICK_S
        while self._ready and len(self._runs) < self._max_in_flight:
            item, due_at, _ = self._ready.popleft()
            item.waits = False
            if not item.removed:
                try:
                    self._start(item, due_at)
                except BaseException as defect:  # noqa: BLE001  # as above
                    self._survive(defect, item)
        self._curl.kick()
        if now >= self._next_sweep:
            self._next_sweep = now + _LONGEST_TURN_S
            self._curl.cut_off(now)
        self._finish_turn(now)
        return self._stopping and self._over(now)

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as defect:  # noqa: BLE001  # as above
            self._survive(defect)

    def _fall_due(self, due: Due) -> None:
        item = self._items.get(due.key)
        if item is None:
            return
        try:
            self._due(item, due.due_at, due.skipped)
        except BaseException as defect:  # noqa: BLE001  # as above
            self._survive(defect)

    def _expire(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, run_id = heapq.heappop(self._deadlines)
            run = self._runs.get(run_id)
            if run is None:
                continue
            try:
                self._expired(run)
            except BaseException as defect:  # noqa: BLE001  # as above
                self._survive(defect, self._item_of(run))

    def _hop_is_done(self, transfer: T, again: bool, defect: Exception | None) -> None:
        """Called for each transfer that libcurl gave back."""
        run = self._runs.get(transfer.run_id)
        if run is None:
            return
        try:
            self._hop_done(run, transfer, again, defect)
        except BaseException as error:  # noqa: BLE001  # as above
            self._survive(error, self._item_of(run))

    def _survive(self, defect: BaseException, item: Item | None = None) -> None:
        """Go on after a defect of ours; `item` loses the run that it has. An exit passes."""
        if isinstance(defect, SystemExit | KeyboardInterrupt):
            raise defect
        self._defects += 1
        now = time.perf_counter()
        if now - self._said_at >= _SAID_EVERY_S:
            self._said_at = now
            log.error(
                "a defect of Mainstay, number %d since the start; the loop goes on", self._defects, exc_info=defect
            )
        if item is not None:
            if item.run is not None:
                self._runs.pop(item.run.run_id, None)
            self._skipped += 1
            item.lost_its_run()

    def _wait_s(self) -> float:
        """For how long nothing is to be done unless a transfer or another thread says so."""
        now = time.perf_counter()
        if self._inbox:
            return 0.0
        wait_s = _LONGEST_TURN_S
        curl_wait_s = self._curl.wait_s(now)
        if curl_wait_s is not None:
            wait_s = min(wait_s, curl_wait_s)
        next_at = None if self._stopping else self._schedule.next_at()
        if next_at is not None:
            # Due times are wall-clock: measured against the wall clock of now, not of the turn's beginning.
            # A due time may be off its tick by what a float of this size cannot hold.
            at = max(math.ceil((next_at - _ROUNDING_S) / TICK_S) * TICK_S, self._tick_at) + _ROUNDING_S
            wait_s = min(wait_s, max(0.0, at - self._wall_clock()))
        if self._deadlines:
            wait_s = min(wait_s, max(0.0, self._deadlines[0][0] - now))
        return min(wait_s, max(0.0, self._drain_until - now))

    def _begin_stop(self, drain_until: float) -> None:
        self._stopping = True
        self._ready.clear()
        self._drain_until = drain_until
