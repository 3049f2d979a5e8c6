"""What the parts of a store share: its series, recent samples, log and history, and the lock that protects them."""

import logging
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mainstay.observe.metrics.promql.series import Codes, Index, Symbols, Values
from mainstay.observe.metrics.store.disk.history import History
from mainstay.observe.metrics.store.disk.wal import Log
from mainstay.observe.metrics.store.guard import Guard
from mainstay.observe.metrics.store.head import NEVER, Head, Rows
from mainstay.observe.metrics.store.index import SeriesIndex
from mainstay.observe.metrics.store.layouts import Layout
from mainstay.observe.metrics.store.limits import HOUR_MS, Counts, Reason, StoreLimits
from mainstay.observe.metrics.store.recent import Recent

log = logging.getLogger(__name__)

MOVED_MOST = 10_000  # series whose moves are remembered one by one
NO_ROWS: Index = np.empty(0, np.intp)
OWN = "\0own "  # keys of streams that hold one series with timestamps of its own begin so


class SharedSymbols(Symbols):
    """Symbols to which the store and evaluators in other threads add."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def code(self, text: str) -> int:
        """Return the code of `text`, giving it one if it has none."""
        code = self._codes.get(text)
        if code is None:
            with self._lock:
                return super().code(text)
        return code


class StreamState:
    """A stream: what is sampled together."""

    __slots__ = ("job", "key", "layout", "number", "owned_elsewhere", "rows")

    def __init__(self, key: str, job: str, number: int) -> None:
        self.key = key
        self.job = job
        self.number = number
        self.layout: Layout | None = None
        self.rows = Rows(NO_ROWS, NO_ROWS)
        self.owned_elsewhere = 0  # series of the layout that belong to another stream

    def all_rows(self) -> Index:
        """Return the rows of the pool that the stream has."""
        live = self.rows.live
        if self.owned_elsewhere:
            live = live[live >= 0]
        return np.concatenate([live, self.rows.dormant]) if len(self.rows.dormant) else live


class Core:
    """The shared state. `lock` protects everything here but `history`, which has locks of its own."""

    def __init__(self, folder: Path, limits: StoreLimits) -> None:
        self.limits = limits
        self.lock = threading.RLock()
        self.flushing = threading.Lock()  # held by whoever writes to history; taken before `lock`
        self.symbols = SharedSymbols()
        self.index = SeriesIndex(self.symbols)
        self.guard = Guard(limits, self.index)
        self.head = Head(limits.columns, min(limits.series, limits.memory_bytes // (limits.columns * 8)))
        self.history = History(folder, limits.database_memory_bytes)
        self.log = Log(folder)
        self.counts = Counts()
        self.now_ms: int | None = None
        self.row_of = np.full(64, -1, np.int32)  # by slot: its row in the pool, or -1
        self.former: dict[int, list[int]] = {}  # by slot: rows in streams that it has left
        self.streams: list[StreamState | None] = []  # by number
        self.by_key: dict[str, StreamState] = {}
        self.free_streams: list[int] = []
        self.layouts: weakref.WeakSet[Layout] = weakref.WeakSet()
        self.settled_block = self.history.next_block  # what history has before it, the head counts as written
        self.next_layout = 1
        self.described: set[int] = set()  # streams that the present segment of the log describes
        self.families: dict[str, tuple[str, str, str]] = {
            name: (kind, text, unit) for name, kind, text, unit in self.history.families()
        }
        self.new_families: set[str] = set()
        self.new_streams: list[StreamState] = []  # that history does not know yet
        self.new_slots: list[int] = []  # likewise
        self.index.next_identity = self.history.last_identity + 1
        # Up to here a series may have samples in history under a stream that it is not in any more.
        self.moved_ms = max(self.history.saved.values(), default=NEVER)
        self.recent = Recent(limits.recent_bytes, self.moved_ms)
        self.moved: dict[int, int] = {}  # slot → when it moved since then: of the others nothing is asked of history
        self._known_streams: dict[tuple[str, str], int] = {}
        self._number_streams()

    # --- series -------------------------------------------------------------------------------------------------

    def add_series(self, labels: dict[str, str], job: str, identity: int | None = None) -> int:
        """Register a label set that has no slot; return its slot."""
        slot = self.index.add(labels, job, identity)
        if slot >= len(self.row_of):
            more = len(self.index.identity) - len(self.row_of)
            self.row_of = np.concatenate([self.row_of, np.full(more, -1, np.int32)])
        self.row_of[slot] = -1
        if self.index.identity[slot] > self.history.last_identity:
            self.new_slots.append(slot)
        return slot

    # --- streams ------------------------------------------------------------------------------------------------

    def add_stream(self, key: str, job: str) -> StreamState:
        """Register a stream. One that history knows goes on there, after its last time."""
        number = self._known_streams.get((key, job))
        if number is None or self.streams[number] is not None or self.history.streams.get(number) != (key, job):
            if number is not None:  # history knows the stream by a number that another has now
                self.moved_ms = max(self.moved_ms, *self.history.saved.values())
            number = self.free_streams.pop() if self.free_streams else len(self.streams)
        elif number in self.free_streams:
            self.free_streams.remove(number)
        if number == len(self.streams):
            self.streams.append(None)
        stream = StreamState(key, job, number)
        self.streams[number] = self.by_key[key] = stream
        known = self.history.streams.get(number) == (key, job)
        self.head.add_stream(number, self.history.saved.get(number, NEVER) if known else NEVER, own=key.startswith(OWN))
        if known:
            self._known_streams[key, job] = number
        else:
            self.new_streams.append(stream)
        return stream

    def renewed(self, stream: StreamState) -> StreamState:
        """Begin a stream anew under its key: the clock was set back, and what comes now is earlier than its last time.

        Its samples stay; its series move over when they are put.
        """
        self.forget_layout(stream)
        return self.add_stream(stream.key, stream.job)

    def _number_streams(self) -> None:
        """Keep the numbers that history has given; those of streams that ended long before the others are free."""
        known, saved = self.history.streams, self.history.saved
        self.streams.extend([None] * (max(known, default=-1) + 1))
        self._known_streams = {stream: number for number, stream in known.items()}
        old = max(saved.values(), default=0) - HOUR_MS
        self.free_streams = [
            number for number in range(len(self.streams)) if number not in known or saved.get(number, NEVER) < old
        ]

    def adopt(self, stream: StreamState, layout: Layout, at_ms: int) -> Index:
        """Let a stream have the series of a layout from now on; return the rows of those that it had and has no more.

        A series that belongs to another stream is taken over if it is not sampled there any more; else its values are
        left out.
        """
        head, slots, number = self.head, layout.slots, stream.number
        rows = self.row_of[slots].astype(np.intp)
        owners = (
            np.where(rows >= 0, head.stream_of[rows], number) if len(head.stream_of) else np.full(len(rows), number)
        )
        foreign = np.flatnonzero(owners != number)
        if len(foreign):
            idle = head.last[owners[foreign]] < at_ms - self.limits.owner_ms
            leave = foreign[idle | self._dormant(owners[foreign], rows[foreign])]
            if len(leave):
                self._leave(slots[leave], rows[leave])
                self._note_moved(slots[leave], at_ms)
            rows[foreign] = -2
            rows[leave] = -1
        if self.former:
            self._revive(number, slots, rows)
        fresh = np.flatnonzero(rows == -1)
        if len(fresh):
            rows[fresh] = head.add_rows(number, slots[fresh])
            self.row_of[slots[fresh]] = rows[fresh]
            self.index.moved(slots[fresh].tolist())
        rows[rows == -2] = -1
        before = stream.rows
        had = before.live[before.live >= 0]
        vanished = np.setdiff1d(had, rows)
        stream.rows = Rows(rows, np.concatenate([np.setdiff1d(before.dormant, rows), vanished]))
        stream.owned_elsewhere = int((rows < 0).sum())
        stream.layout = layout
        return vanished

    def _note_moved(self, slots: Codes, at_ms: int) -> None:
        if len(self.moved) + len(slots) > MOVED_MOST:
            self.moved_ms = max(self.moved_ms, at_ms, *self.moved.values())
            self.moved = {}
        else:
            self.moved.update(dict.fromkeys(slots.tolist(), at_ms))

    def _dormant(self, owners: Codes, rows: Index) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        found = np.zeros(len(rows), np.bool_)
        for owner in np.unique(owners).tolist():
            stream = self.streams[owner]
            assert stream is not None
            mine = owners == owner
            found[mine] = np.isin(rows[mine], stream.rows.dormant)
        return found

    def _revive(self, number: int, slots: Codes, rows: Index) -> None:
        """Give series that come back to a stream the rows that they still have there."""
        for place in np.flatnonzero(rows == -1).tolist():
            slot = int(slots[place])
            for row in self.former.get(slot, []):
                if self.head.stream_of[row] == number:
                    self._not_former(slot, row)
                    rows[place] = self.row_of[slot] = row
                    self.index.moved([slot])
                    break

    def _not_former(self, slot: int, row: int) -> None:
        left = [other for other in self.former.get(slot, []) if other != row]
        if left:
            self.former[slot] = left
        else:
            self.former.pop(slot, None)

    def _leave(self, slots: Codes, rows: Index) -> None:
        """Take series from their streams. Their samples stay where they are until history has them."""
        for slot, row in zip(slots.tolist(), rows.tolist(), strict=True):
            self.former.setdefault(slot, []).append(row)
        for owner in np.unique(self.head.stream_of[rows]).tolist():
            stream = self.streams[owner]
            assert stream is not None
            live = stream.rows.live.copy()
            gone = np.isin(live, rows)
            moved = live[gone]
            live[gone] = -1
            stream.rows = Rows(live, np.concatenate([stream.rows.dormant, moved]))
            stream.owned_elsewhere = int((live < 0).sum())
            stream.layout = stream.layout if len(live) > stream.owned_elsewhere else None

    # --- columns ------------------------------------------------------------------------------------------------

    def put(self, stream: StreamState, at_ms: int, layout: Layout, values: Values) -> int:
        """Write a column of a stream that has room; `values` are those of the layout's slots. Return samples taken."""
        vanished = NO_ROWS
        if stream.layout is not layout or stream.owned_elsewhere:  # the other stream may have fallen silent
            vanished = self.adopt(stream, layout, at_ms)
        self.head.put(stream.number, at_ms, stream.rows, values)
        if len(vanished):
            self.head.mark(stream.number, vanished)
        if stream.owned_elsewhere:
            self.counts.refused[Reason.OWNED] += stream.owned_elsewhere
        return len(values) - stream.owned_elsewhere

    def end(self, stream: StreamState, at_ms: int) -> None:
        """Write a column of staleness markers for all live series of a stream that has room."""
        live = stream.rows.live[stream.rows.live >= 0]
        self.head.end(stream.number, at_ms, live, stream.rows.dormant)
        self.forget_layout(stream)

    def forget_layout(self, stream: StreamState) -> None:
        """Let a stream have no live series any more."""
        live = stream.rows.live[stream.rows.live >= 0]
        stream.rows = Rows(NO_ROWS, np.concatenate([stream.rows.dormant, live]))
        stream.layout, stream.owned_elsewhere = None, 0

    def own_streams(self, slots: Codes, at_ms: int) -> tuple[Index, Index]:
        """Return stream and row of series with timestamps of their own, -1 where another stream has the series."""
        rows = self.row_of[slots].astype(np.intp)
        streams = np.full(len(slots), -1, np.intp)
        there = np.flatnonzero(rows >= 0)
        streams[there] = self.head.stream_of[rows[there]]
        foreign = np.ones(len(slots), np.bool_)
        foreign[there] = ~self.head.own[streams[there]]
        for place in np.flatnonzero(foreign).tolist():
            slot = slots[place : place + 1]
            key = f"{OWN}{self.index.identity[slot[0]]}"
            stream = self.by_key.get(key) or self.add_stream(key, self.index.job(int(slot[0])))
            if stream.layout is None or not (stream.rows.live >= 0).any():
                stream.layout = None
                self.adopt(stream, Layout(stream.job, slot.copy(), 1), at_ms)
            row = int(stream.rows.live[0])
            streams[place], rows[place] = (stream.number if row >= 0 else -1), row
        return streams, rows

    # --- leaving memory -----------------------------------------------------------------------------------------

    def release(self, stream: StreamState, rows: Iterable[int]) -> None:
        """Free dormant rows of a stream that hold nothing any more."""
        gone = np.array(list(rows), np.intp)
        if not len(gone):
            return
        for row in gone.tolist():
            slot = int(self.head.slot_of[row])
            if self.row_of[slot] == row:
                self.row_of[slot] = -1
            else:
                self._not_former(slot, row)
        self.index.moved(self.head.slot_of[gone].tolist())
        self.head.free_rows(gone)
        stream.rows = Rows(stream.rows.live, np.setdiff1d(stream.rows.dormant, gone))
        self.head.gaps[stream.number] = bool(
            self.head.absent(stream.all_rows(), int(self.head.counts[stream.number])).any()
        )

    def remove_stream(self, stream: StreamState) -> None:
        """Forget a stream without rows. Its number is used again, for itself if history knows it and it returns."""
        number = stream.number
        self.streams[number] = None
        self.described.discard(number)
        if self.by_key.get(stream.key) is stream:
            del self.by_key[stream.key]
        if stream in self.new_streams:
            self.new_streams.remove(stream)
        elif self.history.streams.get(number) == (stream.key, stream.job):
            self._known_streams[stream.key, stream.job] = number
        self.head.counts[number] = self.head.written[number] = 0
        self.free_streams.insert(0, number)
