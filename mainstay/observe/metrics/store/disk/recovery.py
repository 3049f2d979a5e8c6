"""What the write-ahead log holds, written and read back: the head of a killed process is built again from it."""

import logging
import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np
import orjson

from mainstay.observe.metrics.promql.series import Codes, Times, Values
from mainstay.observe.metrics.store.core import Core, StreamState
from mainstay.observe.metrics.store.disk.wal import Kind, Log, Segment, records
from mainstay.observe.metrics.store.index import Table
from mainstay.observe.metrics.store.layouts import Layout
from mainstay.observe.metrics.store.limits import SET_BACK_MS

log = logging.getLogger(__name__)

_PUT = struct.Struct("<IIq")  # stream, layout, time
_END = struct.Struct("<Iq")
_TABLE = struct.Struct("<III")  # bytes of the header, series, label names
_LAYOUT = struct.Struct("<III")  # number, bytes of the job, series


class Writer:
    """Writes records. Streams and layouts are described in each segment before they are first named there."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._layouts: set[int] = set()

    @property
    def log(self) -> Log:
        """The log that is written to."""
        return self._core.log

    def begin(self) -> None:
        """Begin a segment with all that is in memory but the samples."""
        core = self._core
        core.log.begin()
        self._layouts.clear()
        core.described.clear()
        for table in core.index.tables.values():
            self._table(table, np.arange(table.count))
        for stream in core.streams:
            if stream is not None and stream.layout is not None and len(stream.layout):
                self._describe(stream, stream.layout)
                core.log.write(Kind.CURRENT, struct.pack("<II", stream.number, stream.layout.number))

    def series(self, slots: Sequence[int]) -> None:
        """Write new series."""
        for table, rows in self._core.index.tables_of(np.array(slots, np.int32)):
            self._table(table, rows)

    def _table(self, table: Table, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        index = self._core.index
        codes, slots = table.codes[rows], table.slots[rows]
        distinct, places = np.unique(codes, return_inverse=True)
        texts = index.symbols.texts
        jobs, of = index.jobs(slots)
        header = orjson.dumps(
            {"names": table.names, "texts": [texts[code] for code in distinct.tolist()], "jobs": jobs}
        )
        self.log.write(
            Kind.SERIES,
            _TABLE.pack(len(header), len(slots), len(table.names)),
            header,
            index.identity[slots].tobytes(),
            of.tobytes(),
            places.astype(np.int32).tobytes(),
        )

    def _describe(self, stream: StreamState, layout: Layout) -> None:
        if stream.number not in self._core.described:
            self._core.described.add(stream.number)
            self.log.write(Kind.STREAM, orjson.dumps({"number": stream.number, "key": stream.key, "job": stream.job}))
        if layout.number in self._layouts:
            return
        if not layout.number:
            layout.number, self._core.next_layout = self._core.next_layout, self._core.next_layout + 1
        self._layouts.add(layout.number)
        job = layout.job.encode()
        identities = self._core.index.identity[layout.slots]
        self.log.write(Kind.LAYOUT, _LAYOUT.pack(layout.number, len(job), len(layout)), job, identities.tobytes())

    def put(self, stream: StreamState, layout: Layout, at_ms: int, values: Values) -> None:
        """Write a column."""
        if stream.number not in self._core.described or layout.number not in self._layouts:
            self._describe(stream, layout)
        self.log.write(
            Kind.PUT, _PUT.pack(stream.number, layout.number, at_ms), np.ascontiguousarray(values, np.float64).tobytes()
        )
        self.log.current.note(stream.number, at_ms)

    def end(self, stream: StreamState, at_ms: int) -> None:
        """Write that a stream has ended."""
        self.log.write(Kind.END, _END.pack(stream.number, at_ms))
        self.log.current.note(stream.number, at_ms)

    def own_times(
        self, streams: np.ndarray[tuple[int], np.dtype[np.intp]], slots: Codes, times: Times, values: Values
    ) -> None:
        """Write samples with times of their own, one a series."""
        self.log.write(
            Kind.OWN_TIMES,
            struct.pack("<I", len(slots)),
            self._core.index.identity[slots].tobytes(),
            np.ascontiguousarray(times).tobytes(),
            np.ascontiguousarray(values).tobytes(),
        )
        self.log.current.note_each(streams, times)


class Reader:
    """Builds the head again from the segments of the log."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._slots = np.full(1024, -1, np.int32)  # by identity
        self._layouts: dict[int, Layout] = {}
        self._streams: dict[int, StreamState] = {}  # by number in the log
        self._newest: dict[str, int] = {}  # by key of a stream: its last time in the log so far
        self._segment: Segment | None = None
        self.samples = 0
        self._left_out: Counter[str] = Counter()  # columns for which the head has no room, by stream
        self.skipped = 0  # columns that history has already, or that are older than those of their stream

    def read(self) -> None:
        """Read all segments."""
        core = self._core
        segments = list(core.log.segments)
        for place, segment in enumerate(segments):
            self._segment = segment
            self._streams.clear()
            for kind, content in records(segment, newest=place == len(segments) - 1):
                try:
                    self._record(kind, content)
                except (ValueError, KeyError, IndexError, struct.error, orjson.JSONDecodeError) as error:
                    log.error("%s: a record of kind %s makes no sense: %s", segment.path.name, kind.name, error)
        core.next_layout = max([0, *self._layouts]) + 1
        if self._left_out:
            many = sum(self._left_out.values())
            most = max(self._left_out, key=lambda name: self._left_out[name])
            log.warning(
                "the log has more samples than fit in memory: the %d oldest are left out, of %d streams, most of %r",
                many, len(self._left_out), most,
            )  # fmt: skip

    def _record(self, kind: Kind, content: memoryview) -> None:
        if kind is Kind.PUT:
            number, layout, at_ms = _PUT.unpack_from(content)
            self._put(
                self._stream_at(number, at_ms),
                self._layouts[layout],
                at_ms,
                np.frombuffer(content, np.float64, -1, _PUT.size),
            )
        elif kind is Kind.END:
            number, at_ms = _END.unpack_from(content)
            self._end(self._streams[number], at_ms)
        elif kind is Kind.OWN_TIMES:
            self._own_times(content)
        elif kind is Kind.SERIES:
            self._series(content)
        elif kind is Kind.STREAM:
            self._stream(orjson.loads(content))
        elif kind is Kind.LAYOUT:
            number, job, count = _LAYOUT.unpack_from(content)
            at = _LAYOUT.size + job
            slots = self._slots[np.frombuffer(content, np.int32, count, at)]
            if number not in self._layouts:  # else described again by a later segment
                self._layouts[number] = Layout(str(content[_LAYOUT.size : at], "utf-8"), slots, count)
                self._layouts[number].number = number
        else:
            number, layout = struct.unpack("<II", content)
            stream = self._streams[number]
            if stream.layout is None:
                self._core.adopt(stream, self._layouts[layout], max(0, int(self._core.head.last[stream.number])))

    def _series(self, content: memoryview) -> None:
        size, count, width = _TABLE.unpack_from(content)
        at = _TABLE.size + size
        header = orjson.loads(content[_TABLE.size : at])
        identities = np.frombuffer(content, np.int32, count, at)
        jobs = np.frombuffer(content, np.int32, count, at + 4 * count)
        codes = np.frombuffer(content, np.int32, count * width, at + 8 * count).reshape(count, width)
        if count and identities.max() >= len(self._slots):
            more = np.full(int(identities.max()) + 1 - len(self._slots) + len(self._slots) // 2, -1, np.int32)
            self._slots = np.concatenate([self._slots, more])
        fresh = np.flatnonzero(self._slots[identities] < 0)
        names, texts = header["names"], header["texts"]
        core = self._core
        # A series that left memory and came back has two: neither may be given to another while the log names it.
        core.index.next_identity = max(core.index.next_identity, int(identities.max(initial=-1)) + 1)
        for place, row in zip(fresh.tolist(), codes[fresh].tolist(), strict=True):
            labels = {name: text for name, code in zip(names, row, strict=True) if (text := texts[code])}
            slot = core.index.find(labels)
            if slot is None:
                slot = core.add_series(labels, header["jobs"][jobs[place]], int(identities[place]))
            self._slots[identities[place]] = slot

    def _stream(self, said: dict[str, str | int]) -> None:
        key, job = str(said["key"]), str(said["job"])
        # The number is a name within the segment only.
        self._streams[int(said["number"])] = self._core.by_key.get(key) or self._core.add_stream(key, job)

    def _stream_at(self, number: int, at_ms: int) -> StreamState:
        """Return a stream; a new one where the log tells that the clock was set back."""
        stream = self._streams[number]
        if self._newest.get(stream.key, at_ms) > at_ms + SET_BACK_MS:
            stream = self._streams[number] = self._core.renewed(stream)
        self._newest[stream.key] = at_ms
        return stream

    def _put(self, stream: StreamState, layout: Layout, at_ms: int, values: Values) -> None:
        core, head = self._core, self._core.head
        assert self._segment is not None
        self._segment.note(stream.number, at_ms)
        if at_ms <= head.last[stream.number] or not self._room(stream):
            self.skipped += 1
            if stream.layout is not layout and at_ms >= head.last[stream.number]:
                core.adopt(stream, layout, at_ms)
            return
        self.samples += core.put(stream, at_ms, layout, values)

    def _end(self, stream: StreamState, at_ms: int) -> None:
        assert self._segment is not None
        self._segment.note(stream.number, at_ms)
        last = self._core.head.last[stream.number]
        if at_ms > last and self._room(stream):
            self._core.end(stream, at_ms)
        elif at_ms >= last:
            self._core.forget_layout(stream)

    def _own_times(self, content: memoryview) -> None:
        core, head = self._core, self._core.head
        (count,) = struct.unpack_from("<I", content)
        slots = self._slots[np.frombuffer(content, np.int32, count, 4)]
        times = np.frombuffer(content, np.int64, count, 4 + 4 * count)
        values = np.frombuffer(content, np.float64, count, 4 + 12 * count)
        streams, rows = core.own_streams(slots, int(times.max()))
        assert self._segment is not None
        self._segment.note_each(streams[streams >= 0], times[streams >= 0])
        fits = (streams >= 0) & (times > head.last[streams]) & (head.counts[streams] < head.columns)
        self.skipped += int((~fits).sum())
        head.put_each(streams[fits], rows[fits], times[fits], values[fits])
        self.samples += int(fits.sum())

    def _room(self, stream: StreamState) -> bool:
        """Make room for a column. A head that held more columns than this one does loses the oldest."""
        head = self._core.head
        if head.counts[stream.number] == head.columns:
            self._left_out[stream.key] += 1
            head.shift(stream.number, stream.all_rows(), 1)
        return True
