"""Jumps of the wall clock and gaps in our own time: a clock that was set, a machine that slept, a database away.

Everything with a due time asks here before it takes a late thing for a missed one. One `Detector` per process
(`detector`) is fed by a light thread twice a second, by the beat with each commit, and by everyone who asks, so a jump
is known before anybody acts on it. Slow corrections and steps below a second are no jumps.

    gaps = detector.follow()
    for gap in gaps.new(): …                    # each gap once for each follower
    gaps.at                                     # the time that fits what has been told: one read before may not

No Django, no input or output but reading clocks.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mainstay.foundation import clock

JUMP_LEAST_S = 1.0
STANDSTILL_LEAST_S = 5.0  # a shorter pause of ours, or of the database, is load
LOOK_EVERY_S = 0.5
KEPT_MOST = 100
RECENT_S = 60.0  # what was written down before a jump is read within this time


class Kind(StrEnum):
    """What a gap was."""

    JUMPED = "jumped"  # the wall clock was set
    STOOD_STILL = "stood still"  # the machine was suspended, or the process stopped
    DATABASE_AWAY = "database away"  # it took no write
    NO_PINGS = "no pings taken"  # no web process stored any


@dataclass(frozen=True, slots=True)
class Gap:
    """One jump or gap.

    Attributes:
        begun: last time before it; of a jump by the clock as it was, else by the present clock.
        ended: first time after it, by the present clock.
        by_s: how far the clock was set (negative: back), or how long the gap was.
    """

    kind: Kind
    begun: datetime
    ended: datetime
    by_s: float

    @property
    def by(self) -> timedelta:
        """How far the clock was set, or how long the gap was."""
        return timedelta(seconds=self.by_s)


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment. `elapsed_s` goes on while the machine sleeps and cannot be set."""

    wall: datetime
    elapsed_s: float


def read() -> Reading:
    """Read the clocks, as good as at once: a process that is stopped between the two would see a jump."""
    counter = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    while True:
        before_s, wall, after_s = time.clock_gettime(counter), clock.now(), time.clock_gettime(counter)
        if after_s - before_s < JUMP_LEAST_S / 10:
            return Reading(wall, after_s)


class Detector:
    """Finds jumps and gaps. Any thread may call."""

    def __init__(self, read: Callable[[], Reading] = read) -> None:
        """`read` exists to be travelled in tests."""
        self._read = read
        self._lock = threading.Lock()
        self._last: Reading | None = None
        self._committed_s: float | None = None  # elapsed time of the last commit
        self._found: deque[tuple[int, float, Gap]] = deque(maxlen=KEPT_MOST)  # number, elapsed time, gap
        self._count = 0

    def begin(self) -> None:
        """Count from now: before, nobody looked."""
        with self._lock:
            self._last, self._committed_s = self._read(), None

    def look(self, *, committed: bool = False) -> None:
        """Compare the clocks with the last look; `committed`: the database has just taken a write."""
        with self._lock:
            now = self._read()
            last, self._last = self._last or now, now
            passed_s = now.elapsed_s - last.elapsed_s
            jumped_s = (now.wall - last.wall).total_seconds() - passed_s
            if abs(jumped_s) >= JUMP_LEAST_S:
                self._note(Gap(Kind.JUMPED, last.wall + timedelta(seconds=passed_s), now.wall, jumped_s), now)
            if passed_s >= STANDSTILL_LEAST_S:
                self._note(_gap(Kind.STOOD_STILL, passed_s, now), now)
                if self._committed_s is not None:  # the same time is not told twice
                    self._committed_s = max(self._committed_s, now.elapsed_s - LOOK_EVERY_S)
            if committed:
                away_s = now.elapsed_s - (now.elapsed_s if self._committed_s is None else self._committed_s)
                if away_s >= STANDSTILL_LEAST_S:
                    self._note(_gap(Kind.DATABASE_AWAY, away_s, now), now)
                self._committed_s = now.elapsed_s

    def no_pings(self, length_s: float) -> None:
        """Take note that for so long, until now, nobody could have taken a ping."""
        with self._lock:
            now = self._read()
            self._note(_gap(Kind.NO_PINGS, length_s, now), now)

    def _note(self, gap: Gap, now: Reading) -> None:
        self._count += 1
        self._found.append((self._count, now.elapsed_s, gap))

    def follow(self) -> "Follower":
        """Return somebody who is told each gap once, from now on."""
        with self._lock:
            return Follower(self, self._count, self._read().wall)

    def after(self, number: int) -> tuple[int, list[Gap], datetime]:
        """Return the number of the last gap, those after `number`, the oldest first, and the time when it was looked
        last: later jumps are in none of them."""
        with self._lock:
            found = [gap for count, _, gap in self._found if count > number]
            return self._count, found, (self._last or self._read()).wall

    def lately(self, within_s: float) -> list[Gap]:
        """Return the gaps that were noticed within the last seconds, by a clock that cannot be set."""
        with self._lock:
            now_s = self._read().elapsed_s
            return [gap for _, at_s, gap in self._found if now_s - at_s <= within_s]

    def slack(self, within: timedelta) -> timedelta:
        """Return how much older or younger than it is a time may look that was written down shortly ago."""
        return sum((abs(gap.by) for gap in self.lately(within.total_seconds())), timedelta())

    def present(self, at: datetime) -> datetime:
        """Return a time that was written down within the last minute, by the clock as it is now."""
        for gap in self.lately(RECENT_S):
            if gap.kind is not Kind.JUMPED:
                continue
            just_before = gap.begun - timedelta(seconds=RECENT_S) <= at <= gap.begun
            if (gap.by_s > 0 and just_before) or (gap.by_s < 0 and at > self._read().wall):
                at += gap.by
        return at


def _gap(kind: Kind, length_s: float, now: Reading) -> Gap:
    return Gap(kind, now.wall - timedelta(seconds=length_s), now.wall, length_s)


@dataclass(slots=True)
class Follower:
    """Somebody who acts on due times. For one thread at a time.

    Attributes:
        at: the time as of the last call of `new`. Due times that were moved by the gaps it returned are compared with
            this one: a time that was read before it may be by the clock as it was.
    """

    detector: Detector
    _number: int
    at: datetime

    def new(self, *, committed: bool = False) -> list[Gap]:
        """Look, and return the gaps since the last call."""
        self.detector.look(committed=committed)
        self._number, gaps, self.at = self.detector.after(self._number)
        return gaps

    def jumped_s(self) -> float:
        """Look, and return how far the clock was set since the last call, in seconds."""
        return sum(gap.by_s for gap in self.new() if gap.kind is Kind.JUMPED)


detector = Detector()
