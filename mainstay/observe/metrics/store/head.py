"""The samples of the last minutes, in one pool: a row of values a series, a row of times a stream.

Columns of a stream fill from left to right and count for all its rows; `written[stream]` of them are in history, too.
Rows that had no sample in a column hold ABSENT there. The store's lock protects it.
"""

from dataclasses import dataclass, field

import numpy as np

from mainstay.observe.metrics.promql.series import ABSENT, ABSENT_BITS, STALE, Codes, Index, Mask, Times, Values

NEVER = np.iinfo(np.int64).min
_ROWS_CHUNK = 4_096
_STREAMS_CHUNK = 256


@dataclass(slots=True, eq=False)
class Rows:
    """Which rows of the pool a stream has. Replaced as a whole, never changed."""

    live: Index  # of the series of its layout, in their order; -1 where the series belongs to another stream
    dormant: Index  # of the series that it had before
    run: slice | None = field(init=False)  # the live ones, where they lie one after the other: quicker to write

    def __post_init__(self) -> None:
        live = self.live
        together = len(live) and live[0] >= 0 and (np.diff(live) == 1).all()
        self.run = slice(int(live[0]), int(live[-1]) + 1) if together else None


class Head:
    """The pool. Streams and rows are numbers that are used again."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        # Memory that is not touched costs nothing: room for all from the start is never copied to grow.
        self.values: Values = np.empty((rows, columns), np.float64)
        self.stream_of: Codes = np.empty(0, np.int32)  # by row; -1 if free
        self.slot_of: Codes = np.empty(0, np.int32)  # by row
        self.times: Times = np.empty((0, columns), np.int64)
        self.counts: Index = np.empty(0, np.intp)
        self.written: Index = np.empty(0, np.intp)  # columns that history has
        self.last: Times = np.empty(0, np.int64)  # time of the last sample ever put
        self.saved: Times = np.empty(0, np.int64)  # time of the last sample that history has
        self.gaps: Mask = np.empty(0, np.bool_)  # whether a row of the stream may hold ABSENT
        self.own: Mask = np.empty(0, np.bool_)  # whether the stream is one series with timestamps of its own
        self._free_rows: list[int] = []
        self.used_rows = 0

    @property
    def memory_bytes(self) -> int:
        """Bytes of the arrays that are used."""
        return self.used_rows * (self.columns * 8 + 8) + self.times.nbytes + 34 * len(self.last)

    @property
    def samples(self) -> int:
        """Cells in use, absences counted."""
        used = self.stream_of[self.stream_of >= 0]
        return int(self.counts[used].sum())

    def rows_within(self, budget: int) -> int:
        """Return how many more rows may be used before the pool takes more than `budget` bytes."""
        per_row = self.columns * 8 + 8
        return max(0, (budget - self.times.nbytes) // per_row - (self.used_rows - len(self._free_rows)))

    def add_stream(self, number: int, last: int, *, own: bool = False) -> None:
        """Make room for a stream; `last` is the time of its last sample in history, or NEVER."""
        if number >= len(self.last):
            more = max(_STREAMS_CHUNK, number + 1 - len(self.last))
            self.times = np.concatenate([self.times, np.zeros((more, self.columns), np.int64)])
            self.counts = np.concatenate([self.counts, np.zeros(more, np.intp)])
            self.written = np.concatenate([self.written, np.zeros(more, np.intp)])
            self.last = np.concatenate([self.last, np.full(more, NEVER)])
            self.saved = np.concatenate([self.saved, np.full(more, NEVER)])
            self.gaps = np.concatenate([self.gaps, np.zeros(more, np.bool_)])
            self.own = np.concatenate([self.own, np.zeros(more, np.bool_)])
        self.counts[number] = self.written[number] = 0
        self.last[number] = self.saved[number] = last
        self.gaps[number], self.own[number] = False, own

    def add_rows(self, stream: int, slots: Codes) -> Index:
        """Give rows to series of a stream, absent in all its columns so far."""
        need = len(slots)
        reused = [self._free_rows.pop() for _ in range(min(need, len(self._free_rows)))]
        fresh = need - len(reused)
        if self.used_rows + fresh > len(self.stream_of):
            self._grow(self.used_rows + fresh)
        rows = np.array([*reused, *range(self.used_rows, self.used_rows + fresh)], np.intp)
        rows.sort()  # rows of a stream that lie together are written and read together
        self.used_rows += fresh
        self.stream_of[rows] = stream
        self.slot_of[rows] = slots
        count = self.counts[stream]
        if count:
            self.values[rows, :count] = ABSENT
            self.gaps[stream] = True
        return rows

    def _grow(self, need: int) -> None:
        size = -(-max(need, len(self.stream_of) * 3 // 2) // _ROWS_CHUNK) * _ROWS_CHUNK
        if size > len(self.values):
            values = np.empty((size, self.columns), np.float64)
            values[: self.used_rows] = self.values[: self.used_rows]
            self.values = values
        more = size - len(self.stream_of)
        self.stream_of = np.concatenate([self.stream_of, np.full(more, -1, np.int32)])
        self.slot_of = np.concatenate([self.slot_of, np.full(more, -1, np.int32)])

    def free_rows(self, rows: Index) -> None:
        """Take rows back."""
        self.stream_of[rows] = -1
        self.slot_of[rows] = -1
        self._free_rows.extend(rows.tolist())

    def put(self, stream: int, at_ms: int, rows: Rows, values: Values) -> None:
        """Write one column, which must be free. Rows of -1 are left out."""
        column = self.counts[stream]
        if rows.run is not None:
            self.values[rows.run, column] = values
        elif len(rows.live):
            mine = rows.live >= 0
            self.values[rows.live[mine], column] = values[mine]
        if len(rows.dormant):
            self.values[rows.dormant, column] = ABSENT
            self.gaps[stream] = True
        self._close(stream, column, at_ms)

    def end(self, stream: int, at_ms: int, stale: Index, dormant: Index) -> None:
        """Write one column of staleness markers."""
        column = self.counts[stream]
        self.values[stale, column] = STALE
        if len(dormant):
            self.values[dormant, column] = ABSENT
            self.gaps[stream] = True
        self._close(stream, column, at_ms)

    def mark(self, stream: int, stale: Index) -> None:
        """Put staleness markers into the column that was written last."""
        self.values[stale, self.counts[stream] - 1] = STALE

    def put_each(self, streams: Index, rows: Index, times: Times, values: Values) -> None:
        """Write one sample each into streams of one row, which must be free in their columns."""
        columns = self.counts[streams]
        self.values[rows, columns] = values
        self.times[streams, columns] = times
        self.counts[streams] = columns + 1
        self.last[streams] = times

    def _close(self, stream: int, column: int, at_ms: int) -> None:
        self.times[stream, column] = at_ms
        self.last[stream] = at_ms
        self.counts[stream] = column + 1

    def shift(self, stream: int, rows: Index, drop: int) -> None:
        """Forget the oldest columns of a stream."""
        count = int(self.counts[stream])
        left = count - drop
        self.values[rows, :left] = self.values[rows, drop:count]
        self.times[stream, :left] = self.times[stream, drop:count].copy()
        self.counts[stream] = left
        self.written[stream] = max(0, int(self.written[stream]) - drop)
        if self.gaps[stream]:
            self.gaps[stream] = self.absent(rows, left).any()

    def absent(self, rows: Index, count: int) -> Mask:
        """Tell where rows hold ABSENT in their first `count` columns."""
        found: Mask = self.values[rows, :count].view(np.uint64) == ABSENT_BITS
        return found
