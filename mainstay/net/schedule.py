"""When each check is due. Pure: wall-clock time is an argument, nothing here reads a clock.

Due times lie on a fixed grid, `offset + n × every` in unix seconds, so they never drift, survive restarts, and two
monitors agree on them. Offsets come from the golden ratio (a low-discrepancy sequence), so checks never bunch.

What is not on the grid is *paced*: first probes of new checks, and probes that a stall, a suspended machine or a
jump of the clock made late. They start `PACE_S` apart at most (closer when there are so many that one interval would
not hold them), so neither a restart with 5,000 checks nor a laptop opened in the morning causes a storm.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

TOGETHER_S = 0.02
"""Those that begin together share each turn of the loop: five at 250 checks a second, forty at 2,000."""
PACE_S = 0.001
"""Paced probes start this far apart: 1,000 within a second; closer when one interval would not hold all checks."""
_CATCH_UP_S = 0.05
"""A paced queue that fell behind catches up this much at once, and lets the rest of its delay be."""
STALL_S = 0.25
"""A slot found this late was not delayed by load but by a stall or a clock: it is paced instead of run at once."""
_FRACTION_OF_GOLDEN_RATIO = 0x9E3779B97F4A7C15  # 2**64 / 1.618…, made odd: consecutive keys land far apart
_WORD = 1 << 64
SHORTEST_EVERY_S = 0.1


def offset_for(key: int, every_s: float) -> float:
    """The key's place in its interval, in seconds, `0 <= offset < every_s`; consecutive keys spread evenly.

    It is a multiple of `TOGETHER_S`, so that what begins in the same fiftieth of a second begins at once.
    """
    fraction = (key * _FRACTION_OF_GOLDEN_RATIO % _WORD) / _WORD
    offset = math.floor(fraction * every_s / TOGETHER_S) * TOGETHER_S
    return offset if offset < every_s else 0.0


def slot_at_or_before(now: float, every_s: float, offset_s: float) -> float:
    """The latest grid time that is not after `now`."""
    slot = math.floor((now - offset_s) / every_s) * every_s + offset_s
    # Rounding can push the product a hair past `now`, or leave it a whole slot short.
    if slot > now:
        return slot - every_s
    return slot + every_s if slot + every_s <= now else slot


def slot_after(now: float, every_s: float, offset_s: float) -> float:
    """The earliest grid time that is after `now`."""
    return slot_at_or_before(now, every_s, offset_s) + every_s


def check_rhythm(key: int, every_s: float, offset_s: float) -> None:
    """Raises ValueError for an interval or an offset that makes no schedule."""
    if not (math.isfinite(every_s) and every_s >= SHORTEST_EVERY_S):
        raise ValueError(f"check {key}: the interval must be at least {SHORTEST_EVERY_S} s, not {every_s!r}")
    if not 0 <= offset_s < every_s:
        raise ValueError(f"check {key}: the offset must lie within the interval of {every_s} s, not {offset_s!r}")


class Due(NamedTuple):
    """One probe to start now, for the slot `due_at` (unix seconds)."""

    key: int
    due_at: float
    skipped: int = 0
    """Slots before this one that nobody probed (stall, suspended machine)."""


@dataclass(slots=True)
class _Entry:
    every_s: float
    offset_s: float
    generation: int
    next_at: float
    skipped: int = 0
    paced: bool = False


class Schedule:
    """The due times of many checks. Not thread-safe: one owner.

    Every call takes `now` in unix seconds. The owner calls `due(now)` each turn, sleeps until `next_at()`, and calls
    `clock_jumped(now)` when the wall clock moved against a monotonic one.
    """

    __slots__ = ("_entries", "_generation", "_heap", "_paced", "_paced_next_at")

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._heap: list[tuple[float, int, int]] = []
        self._generation = 0
        self._paced: deque[tuple[int, int]] = deque()
        self._paced_next_at = -math.inf

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: int) -> bool:
        return key in self._entries

    def put(self, key: int, every_s: float, offset_s: float, now: float) -> None:
        """Add a check, or change its rhythm. A new check is due at once (paced), a changed one at its next slot."""
        check_rhythm(key, every_s, offset_s)
        known = self._entries.get(key)
        if known is not None and known.every_s == every_s and known.offset_s == offset_s:
            return
        self._generation += 1
        entry = _Entry(every_s, offset_s, self._generation, next_at=slot_after(now, every_s, offset_s))
        self._entries[key] = entry
        if known is None or known.paced:
            self._pace(key, entry, now)
        else:
            self._push(key, entry)

    def remove(self, key: int) -> None:
        """Forget a check; unknown keys are no error."""
        self._entries.pop(key, None)

    def next_at(self) -> float | None:
        """When `due` has something to do next, in unix seconds; None when nothing is scheduled."""
        self._drop_stale()
        if self._paced:
            return min(self._paced_next_at, self._heap[0][0]) if self._heap else self._paced_next_at
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[Due]:
        """The probes to start now; each moves on to its next slot."""
        started: list[Due] = []
        paced, heap, entries = self._paced, self._heap, self._entries
        self._paced_next_at = max(self._paced_next_at, now - _CATCH_UP_S) if paced else self._paced_next_at
        while paced and self._paced_next_at <= now:
            key, generation = paced.popleft()
            entry = entries.get(key)
            if entry is None or entry.generation != generation or not entry.paced:
                continue
            started.append(Due(key, self._paced_next_at, entry.skipped))
            self._paced_next_at += min(PACE_S, entry.every_s / len(entries))
            entry.skipped = 0
            entry.paced = False
            entry.next_at = slot_after(now, entry.every_s, entry.offset_s)
            self._push(key, entry)
        while heap and heap[0][0] <= now:
            slot, key, generation = heapq.heappop(heap)
            entry = entries.get(key)
            if entry is None or entry.generation != generation or entry.paced or entry.next_at != slot:
                continue
            if now - slot > STALL_S:
                # Whole slots may have passed: only the latest counts, and everybody is late at once, so: in file.
                latest = slot_at_or_before(now, entry.every_s, entry.offset_s)
                entry.skipped += max(0, round((latest - slot) / entry.every_s))
                self._pace(key, entry, now)
                continue
            started.append(Due(key, slot, entry.skipped))
            entry.skipped = 0
            entry.next_at = slot_after(max(now, slot), entry.every_s, entry.offset_s)
            self._push(key, entry)
        return started

    def clock_jumped(self, now: float) -> None:
        """Realign to the grid after the wall clock was set or the machine slept.

        Forward: what became overdue is probed once, paced. Backward: due times would lie far in the future; they
        return to the grid, so the pause is never longer than one interval.
        """
        self._paced_next_at = min(self._paced_next_at, now)
        overdue: list[tuple[float, int, _Entry]] = []
        for key, entry in self._entries.items():
            if entry.paced or entry.next_at <= now:
                overdue.append((entry.next_at, key, entry))
            else:
                entry.next_at = slot_after(now, entry.every_s, entry.offset_s)
        self._paced.clear()
        self._heap = [
            (entry.next_at, key, entry.generation) for key, entry in self._entries.items() if entry.next_at > now
        ]
        heapq.heapify(self._heap)
        for next_at, key, entry in sorted(overdue, key=lambda item: item[:2]):
            if not entry.paced:
                latest = slot_at_or_before(now, entry.every_s, entry.offset_s)
                entry.skipped += max(0, round((latest - next_at) / entry.every_s))
            self._pace(key, entry, now)

    def _pace(self, key: int, entry: _Entry, now: float) -> None:
        if not self._paced:
            self._paced_next_at = max(now, self._paced_next_at)
        entry.paced = True
        self._paced.append((key, entry.generation))

    def _push(self, key: int, entry: _Entry) -> None:
        heapq.heappush(self._heap, (entry.next_at, key, entry.generation))

    def _drop_stale(self) -> None:
        """Remove what was superseded, so that `next_at` doesn't wake the owner for nothing."""
        while self._paced:
            key, generation = self._paced[0]
            entry = self._entries.get(key)
            if entry is not None and entry.generation == generation and entry.paced:
                break
            self._paced.popleft()
        while self._heap:
            slot, key, generation = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.generation == generation and not entry.paced and entry.next_at == slot:
                break
            heapq.heappop(self._heap)
