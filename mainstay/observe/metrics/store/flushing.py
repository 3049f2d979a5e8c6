"""Moves samples from the head to history, and what nobody samples any more out of memory."""

import logging
import time
from collections.abc import Sequence

import numpy as np
import orjson

from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import Codes, Index
from mainstay.observe.metrics.store.core import Core, StreamState
from mainstay.observe.metrics.store.disk.history import Block, HistoryFailed, NewSeries
from mainstay.observe.metrics.store.head import NEVER
from mainstay.observe.metrics.store.limits import Reason

log = logging.getLogger(__name__)

ROWS_A_ROUND = 8_192  # of series that are written at once: bounds the memory and the time it takes
SERIES_AT_ONCE = 500
WAIT_MS = 10_000  # a batch that is ready waits so long for others
LOG_EVERY_S = 60.0


class Flusher:
    """Writes batches to history. One thread at a time: `core.flushing` is held."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._due_since: int | None = None
        self._said = -LOG_EVERY_S

    def due(self, now_ms: int) -> Index:
        """Return the streams that have something to write now, the fullest first. The store's lock must be held."""
        head, limits = self._core.head, self._core.limits
        waiting = head.counts - head.written
        if not waiting.any():
            return np.empty(0, np.intp)
        oldest = head.times[np.arange(len(waiting)), np.minimum(head.written, head.columns - 1)]
        ready = waiting >= limits.batch
        old = (waiting > 0) & ((oldest < now_ms - limits.age_ms) | (head.last < now_ms - limits.idle_ms))
        found = np.flatnonzero(ready | old)
        return found[np.argsort(-head.counts[found], kind="stable")]

    def round(self, now_ms: int) -> bool:
        """Write what is due, if enough of it is or it has waited; return whether something was written.

        Raises:
            HistoryFailed: nothing was written, and nothing was forgotten.
        """
        core = self._core
        with core.lock:
            due = self.due(now_ms)
            if not len(due):
                self._due_since = None
                return False
            self._due_since = now_ms if self._due_since is None else min(self._due_since, now_ms)
            urgent = bool((core.head.counts[due] >= core.head.columns - 4).any())
            if not urgent and now_ms - self._due_since < WAIT_MS:
                return False
        self.write(due.tolist())
        return True

    def write(self, streams: Sequence[int], *, everything: bool = False) -> int:
        """Write the batches of some streams, or as much of it as one round may; return the samples written.

        Raises:
            HistoryFailed: nothing was written, and nothing was forgotten.
        """
        core, limits = self._core, self._core.limits
        with core.lock:
            blocks, rows = [], 0
            for number in streams:
                stream = core.streams[number]
                if stream is None or rows >= ROWS_A_ROUND:
                    continue
                block = self._cut(stream, core.head.columns if everything else limits.batch)
                if block is not None:
                    blocks.append(block)
                    rows += len(block.identities)
            if not blocks:
                return 0
            new_slots = list(core.new_slots)
            new_streams = list(core.new_streams)
            families = [(name, *core.families[name]) for name in sorted(core.new_families)]
        new_series = self._new_series(new_slots)
        described = [(stream.number, stream.key, stream.job) for stream in new_streams]
        recent = core.history.write(blocks, new_series, described, families)
        written = sum(block.values.size for block in blocks)
        with core.lock:
            del core.new_slots[: len(new_slots)]
            known = set(map(id, new_streams))
            core.new_streams = [stream for stream in core.new_streams if id(stream) not in known]
            core.new_families.difference_update(name for name, *_ in families)
            core.counts.written += written
            for block in blocks:
                self._done(block)
            core.recent.add(recent)
            core.settled_block = core.history.next_block
        return written

    def write_all(self) -> None:
        """Write everything that history does not have, and forget the log of it.

        Raises:
            HistoryFailed: not everything is written.
        """
        core = self._core
        while True:
            with core.lock:
                waiting = np.flatnonzero(core.head.counts > core.head.written).tolist()
            if not waiting or not self.write(waiting, everything=True):
                break
        with core.lock:
            core.log.forget(core.head.saved)

    def _cut(self, stream: StreamState, most: int) -> Block | None:
        """Copy the oldest columns that history does not have."""
        head, number = self._core.head, stream.number
        begin = int(head.written[number])
        end = min(int(head.counts[number]), begin + most)
        if end == begin:
            return None
        rows = stream.all_rows()
        identities = self._core.index.identity[head.slot_of[rows]]
        return Block(number, head.times[number, begin:end].copy(), identities, head.values[rows, begin:end])

    def _new_series(self, slots: Sequence[int]) -> NewSeries:
        """Describe series to history. A few at a time, so that nobody waits long for the lock."""
        index = self._core.index
        found = NewSeries([], [], [])
        for begin in range(0, len(slots), SERIES_AT_ONCE):
            with self._core.lock:
                for slot in slots[begin : begin + SERIES_AT_ONCE]:
                    labels = index.labels(slot)
                    found.identity.append(int(index.identity[slot]))
                    found.metric.append(labels.get(NAME, ""))
                    # A copy: what orjson returns keeps the kilobyte that it was written into.
                    found.labels.append(bytes(memoryview(orjson.dumps(labels))))
        return found

    def _done(self, block: Block) -> None:
        """Note that a block is in history, and forget columns that need not stay in memory."""
        head, limits, number = self._core.head, self._core.limits, block.stream
        stream = self._core.streams[number]
        assert stream is not None
        head.written[number] += len(block.times)
        head.saved[number] = int(block.times[-1])
        drop = min(int(head.written[number]), int(head.counts[number]) - limits.kept)
        if drop > 0:
            head.shift(number, stream.all_rows(), drop)

    def make_room(self, stream: StreamState) -> None:
        """Free columns of a stream that is full: by writing to history, or if that fails by losing the oldest."""
        core = self._core
        with core.flushing:
            with core.lock:
                if core.streams[stream.number] is not stream or core.head.counts[stream.number] < core.head.columns:
                    return
            try:
                self.write([stream.number])
            except HistoryFailed as error:
                self.failed(error)
            with core.lock:
                count = int(core.head.counts[stream.number])
                if count < core.head.columns:
                    return
                rows = stream.all_rows()
                lost = max(1, core.limits.columns - core.limits.kept)
                unsaved = max(0, lost - int(core.head.written[stream.number]))
                core.counts.refused[Reason.LOST] += unsaved * len(rows)
                core.head.shift(stream.number, rows, lost)

    def failed(self, error: HistoryFailed) -> None:
        """Count that history could not be written, and say so, not every time."""
        self._core.counts.failed_writes += 1
        if time.monotonic() - self._said >= LOG_EVERY_S:
            self._said = time.monotonic()
            log.error("history of metrics cannot be written, samples stay in memory while there is room: %s", error)

    # --- leaving memory -----------------------------------------------------------------------------------------

    def sweep(self, now_ms: int) -> None:
        """Let streams and series leave memory that have had no samples for a while and are in history."""
        core, limits = self._core, self._core.limits
        head = core.head
        with core.lock:
            idle = np.flatnonzero((head.last < now_ms - limits.idle_ms) & (head.last > NEVER))
            idle_numbers = set(idle.tolist())
            for stream in list(filter(None, core.streams)):
                number = stream.number
                count = int(head.counts[number])
                if number in idle_numbers and head.written[number] == count:
                    core.forget_layout(stream)
                    if count:
                        head.shift(number, stream.all_rows(), count)
                        count = 0
                rows = stream.rows.dormant
                if len(rows) and (count == 0 or head.gaps[number]):
                    core.release(stream, rows[head.absent(rows, count).all(axis=1)].tolist())
                if number in idle_numbers and not count and not len(stream.all_rows()):
                    core.remove_stream(stream)
            gone = self._leave()
        if len(gone):
            core.history.end_series(gone, now_ms)

    def _leave(self) -> Codes:
        """Take series without samples that no layout holds out of the index; return their numbers in history."""
        core = self._core
        slots = core.index.slots()
        held = np.zeros(len(core.row_of), np.bool_)
        for layout in list(core.layouts):
            held[layout.slots] = True
        for stream in filter(None, core.streams):
            if stream.layout is not None:
                held[stream.layout.slots] = True
        pending = set(core.new_slots)
        leaving = [slot for slot in slots[(core.row_of[slots] < 0) & ~held[slots]].tolist() if slot not in core.former]
        numbers = core.index.identity[leaving]
        for slot in leaving:
            core.index.remove(slot)
        if pending:
            removed = set(leaving)
            core.new_slots = [slot for slot in core.new_slots if slot not in removed]
        known: Codes = numbers[numbers <= core.history.last_identity]
        return known
