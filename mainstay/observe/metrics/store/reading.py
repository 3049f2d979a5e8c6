"""Reads from a store: recent samples from the head, older ones from history, each series once."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mainstay.observe.metrics.promql.plan import NAME, Matcher
from mainstay.observe.metrics.promql.series import (
    ABSENT_BITS,
    Codes,
    Hints,
    Index,
    Samples,
    Selection,
    Series,
    Times,
    Values,
    is_special,
    packed,
    stack,
)
from mainstay.observe.metrics.store.assemble import Blocks, assembled, within
from mainstay.observe.metrics.store.core import Core
from mainstay.observe.metrics.store.disk.history import add_chunks
from mainstay.observe.metrics.store.disk.rollup import FIVE, HOUR, Rollups
from mainstay.observe.metrics.store.head import NEVER
from mainstay.observe.metrics.store.matching import name_of
from mainstay.observe.metrics.store.planning import Stretch, planned
from mainstay.observe.metrics.store.recent import RecentBlock, joined

_SELECTIONS_MOST = 4_096
_SELECTED_ROWS_MOST = 2_000_000
_SUBSETS_MOST = 4
_RECENT_STREAMS_MOST = 1_000  # each costs some microseconds: of more, DuckDB finds the chunks sooner
Matchers = tuple[Matcher, ...]


@dataclass(slots=True, eq=False)
class Selected:
    """What matchers select in memory. The same object answers until the set of series changes."""

    series: Series
    slots: Codes
    identities: Codes
    version: tuple[object, int]
    moves: int = -1
    rows: Index = field(default_factory=lambda: np.empty(0, np.intp))  # of the head, -1 without
    streams: Index = field(default_factory=lambda: np.empty(0, np.intp))  # distinct
    group: Index = field(default_factory=lambda: np.empty(0, np.intp))  # by series, into streams; -1 without row
    rowless: bool = True  # whether some series have no row
    former: list[tuple[int, int]] = field(default_factory=list)  # series and row in a stream that it has left
    subsets: "OrderedDict[bytes, Series]" = field(default_factory=OrderedDict)


@dataclass(slots=True, eq=False)
class HeadPart:
    """What was copied from the head at one moment."""

    blocks: Blocks
    before_block: int  # what history has before this block was not copied


class Reader:
    """Answers selections. Any number of threads may ask."""

    def __init__(self, core: Core, rollups: Rollups) -> None:
        self._core = core
        self._rollups = rollups
        self._selected: OrderedDict[Matchers, Selected] = OrderedDict()
        self._rows_cached = 0
        self._cache = threading.Lock()

    # --- which series ---------------------------------------------------------------------------------------------

    def selected(self, matchers: Matchers) -> Selected:
        """Return the series in memory that match. The store's lock must be held."""
        core = self._core
        owner, version, moves = core.index.stamp(matchers)
        found = self._selected.get(matchers)
        if found is None or found.version != (owner, version):
            series, slots = core.index.select(matchers)
            if found is not None:
                self._rows_cached -= len(found.slots)
            found = Selected(series, slots, core.index.identity[slots], (owner, version))
            self._selected[matchers] = found
            self._rows_cached += len(slots)
            while len(self._selected) > _SELECTIONS_MOST or (
                self._rows_cached > _SELECTED_ROWS_MOST and len(self._selected) > 1
            ):
                _, gone = self._selected.popitem(last=False)
                self._rows_cached -= len(gone.slots)
        self._selected.move_to_end(matchers)
        if found.moves != moves:
            self._place(found)
            found.moves = moves
        return found

    def _place(self, found: Selected) -> None:
        core = self._core
        rows = core.row_of[found.slots].astype(np.intp)
        found.rowless = bool((rows < 0).any())
        found.rows = rows
        if len(core.head.stream_of):
            streams = np.where(rows >= 0, core.head.stream_of[rows], -1)
        else:
            streams = np.full(len(rows), -1, np.int32)
        distinct, group = np.unique(streams, return_inverse=True)
        if len(distinct) and distinct[0] < 0:
            distinct, group = distinct[1:], group - 1
        found.streams, found.group = distinct.astype(np.intp), group.astype(np.intp)
        found.former = []
        if core.former:
            place = {slot: position for position, slot in enumerate(found.slots.tolist()) if slot in core.former}
            found.former = [(place[slot], row) for slot in place for row in core.former[slot]]

    def _only(self, found: Selected, present: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Series:
        """Return those of the selected series that are present, the same object for the same ones."""
        if present.all():
            return found.series
        key = np.packbits(present).tobytes()
        with self._cache:
            series = found.subsets.get(key)
            if series is None:
                series = found.subsets[key] = found.series.take(present)
                while len(found.subsets) > _SUBSETS_MOST:
                    found.subsets.popitem(last=False)
        return series

    # --- samples --------------------------------------------------------------------------------------------------

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        """Return the series that match and have a sample in (after, until], and those samples."""
        core, key = self._core, tuple(matchers)
        with core.lock:
            found = self.selected(key)
            undivided = self._undivided(found, after_ms)
            if undivided and not (self._left(found.streams) > after_ms).any():
                return self._answer(found, self._from_head(found, after_ms, until_ms))
            recent = self._recent(found, after_ms, until_ms, hints) if undivided else None
            if recent is None:
                past = self._head_part(found)
        if recent is None:
            return self._with_history(key, found, past, after_ms, until_ms, hints)
        samples = within(joined(*recent), after_ms, until_ms)
        absent = np.ascontiguousarray(samples.values).view(np.uint64) == ABSENT_BITS
        return self._answer(found, packed(samples, absent))

    def _answer(self, found: Selected, samples: Samples) -> Selection:
        present = samples.counts[samples.group] > 0 if len(samples.counts) else np.zeros(len(found.slots), np.bool_)
        if found.rowless and len(samples.counts):
            present &= found.group >= 0
        if present.all():
            return Selection(found.series, samples)
        kept = Samples(samples.times, samples.counts, samples.group[present], samples.values[present])
        return Selection(self._only(found, present), kept)

    def _in_head(self, found: Selected, after_ms: int) -> bool:
        """Tell whether the head alone can answer: nothing that matches left it after the range began."""
        return self._undivided(found, after_ms) and not (self._left(found.streams) > after_ms).any()

    def _undivided(self, found: Selected, after_ms: int) -> bool:
        """Tell whether all that matches after a time is, or was, in the streams in which the series are now."""
        history = self._core.history
        if (
            after_ms < self._core.moved_ms
            or self._moved(found, after_ms)
            or found.former
            or (history.last_ended is not None and history.last_ended > after_ms)
        ):
            return False
        if not found.rowless or not history.partitions:
            return True
        return max(span.last for span in history.partitions.values()) <= after_ms

    def _moved(self, found: Selected, after_ms: int) -> bool:
        """Tell whether any of the series has come from another stream since the range began."""
        recent = [slot for slot, at_ms in self._core.moved.items() if at_ms > after_ms]
        return bool(recent) and bool(np.isin(recent, found.slots).any())

    def _left(self, streams: Index) -> Times:
        """Return the time of the last sample of each stream that is in history and not in the head any more."""
        head = self._core.head
        # While columns that history has are still here, what left lies before the first of them.
        return np.where(head.written[streams] > 0, head.times[streams, 0] - 1, head.saved[streams])

    def _recent(
        self, found: Selected, after_ms: int, until_ms: int, hints: Hints
    ) -> tuple[list[list[RecentBlock]], Codes, Samples] | None:
        """Return what of history is in memory, and what the head has beyond it; None if that is not all."""
        core, head, streams = self._core, self._core.head, found.streams
        begin_ms = max(core.recent.begin_ms, core.history.dropped_ms or NEVER)
        if found.rowless or len(streams) > _RECENT_STREAMS_MOST or after_ms < begin_ms:
            return None
        if any(stretch.tier is not None for stretch in self._plan(after_ms, until_ms, hints)):
            return None
        blocks = [core.recent.of(stream, after_ms, until_ms) for stream in streams.tolist()]
        written = head.written[streams]
        return blocks, found.identities, self._columns(found, written, head.counts[streams] - written)

    def _from_head(self, found: Selected, after_ms: int, until_ms: int) -> Samples:
        """Copy samples from the head alone."""
        head, streams = self._core.head, found.streams
        if not len(streams):
            return Samples(
                np.zeros((0, 0), np.int64), np.zeros(0, np.intp), found.group, np.zeros((len(found.rows), 0))
            )
        counts = head.counts[streams]
        widest = int(counts.max())
        all_times = head.times[streams, :widest]
        used = np.arange(widest) < counts[:, None]
        low = ((all_times <= after_ms) & used).sum(axis=1)
        samples = self._columns(found, low, ((all_times <= until_ms) & used).sum(axis=1) - low)
        if head.gaps[streams].any():
            samples = packed(samples, samples.values.view(np.uint64) == ABSENT_BITS)
        return samples

    def _columns(self, found: Selected, low: Index, counts: Index) -> Samples:
        """Copy `counts` columns of each stream from `low` on."""
        head, streams = self._core.head, found.streams
        width = int(counts.max())
        steps = np.arange(width)
        rows, group = (found.rows, found.group) if not found.rowless else (np.maximum(found.rows, 0), found.group)
        begin = int(low.min())
        if begin == int(low.max()):
            values = head.values[rows, begin : begin + width]
            times = head.times[streams, begin : begin + width]
        else:
            # One flat index is faster than two; beyond the last column it runs into the next row, which is anything.
            flat = head.values.reshape(-1)
            at = (rows * head.columns + low[group])[:, None] + steps
            values = flat.take(at, mode="clip")
            times = head.times[streams[:, None], np.minimum(low[:, None] + steps, head.columns - 1)]
        return Samples(times, counts, group, values)

    def _head_part(self, found: Selected) -> HeadPart:
        """Copy what history does not have, as blocks."""
        head = self._core.head
        blocks = Blocks()
        rows = np.concatenate([found.rows, [row for _, row in found.former]]).astype(np.intp)
        places = np.concatenate([np.arange(len(found.rows)), [place for place, _ in found.former]]).astype(np.intp)
        places, rows = places[rows >= 0], rows[rows >= 0]
        of = head.stream_of[rows]
        streams, group = np.unique(of, return_inverse=True)
        written, counts = head.written[streams], head.counts[streams]
        for n in np.unique(counts - written).tolist():
            if not n:
                continue
            mine = np.flatnonzero(counts - written == n)
            first = blocks.add(streams[mine].astype(np.intp), np.full(len(mine), n))
            columns = written[mine][:, None] + np.arange(n)
            blocks.times.append((first + np.arange(len(mine)), head.times[streams[mine][:, None], columns]))
            number = np.full(len(streams), -1, np.intp)
            number[mine] = first + np.arange(len(mine))
            block = number[group]
            chosen = block >= 0
            at = written[group[chosen]][:, None] + np.arange(n)
            blocks.values.append((places[chosen], block[chosen], head.values[rows[chosen][:, None], at]))
        return HeadPart(blocks, self._core.settled_block)

    def _with_history(
        self, matchers: Matchers, found: Selected, part: HeadPart, after_ms: int, until_ms: int, hints: Hints
    ) -> Selection:
        core = self._core
        series, identities, rows, extended = found.series, found.identities, np.arange(len(found.slots)), False
        dead, labels = core.history.series_ended_after(after_ms, name_of(matchers))
        if len(dead):
            more, owners, fresh = self._ended(matchers, found, dead, labels)
            if len(more):
                identities, rows = np.concatenate([identities, more]), np.concatenate([rows, owners])
            if fresh:
                series, extended = stack(core.symbols, [series, Series.of(core.symbols, fresh)]), True
        stretches = self._plan(after_ms, until_ms, hints)
        for stretch in stretches:
            if stretch.tier is None:
                for chunks in core.history.read(identities, stretch.after_ms, stretch.until_ms):
                    add_chunks(part.blocks, chunks, rows, part.before_block, stretch.after_ms)
        self._add_rollups(part.blocks, identities, rows, [one for one in stretches if one.tier is not None], hints)
        samples = within(assembled(len(series), part.blocks), after_ms, until_ms)
        present = samples.counts[samples.group] > 0
        if present.all():
            return Selection(series, samples)
        kept = Samples(samples.times, samples.counts, samples.group[present], samples.values[present])
        return Selection(series.take(present) if extended else self._only(found, present), kept)

    def _plan(self, after_ms: int, until_ms: int, hints: Hints) -> list[Stretch]:
        rollups = self._rollups
        begins = {tier.name: min(rollups.partitions[tier.name], default=None) for tier in (FIVE, HOUR)}
        return planned(
            after_ms,
            until_ms,
            hints,
            dropped_ms=self._core.history.dropped_ms,
            begins={
                tier: number * tier.partition_ms for tier in (FIVE, HOUR) if (number := begins[tier.name]) is not None
            },
            ends={tier: rollups.until[tier.name] for tier in (FIVE, HOUR) if tier.name in rollups.until},
        )

    def _add_rollups(
        self, blocks: Blocks, identities: Codes, rows: Index, stretches: Sequence[Stretch], hints: Hints
    ) -> None:
        """Add buckets as blocks of the stream that the series has now, so that times are shared as with samples."""
        if not stretches:
            return
        series = int(rows.max()) + 1 if len(rows) else 0
        of_row = np.full(series, -1, np.intp)
        if blocks.count:
            streams = np.concatenate(blocks.streams)
            for places, which, _ in blocks.values:
                of_row[places] = streams[which]
        found: list[tuple[Index, Index, Times, Values]] = []
        latest = np.zeros(series)
        for stretch in stretches:
            tier = stretch.tier
            assert tier is not None
            for places, first_ms, values, shifts in self._rollups.values(
                tier, identities, stretch.after_ms, stretch.until_ms, stretch.column
            ):
                times = first_ms + np.arange(tier.buckets, dtype=np.int64) * tier.bucket_ms
                if tier is HOUR and not hints.function:
                    # An instant selector looks back five minutes only: the hour's value is held for an hour.
                    held = tier.bucket_ms // FIVE.bucket_ms
                    times = (times[:, None] + np.arange(held, dtype=np.int64) * FIVE.bucket_ms).reshape(-1)
                    values = np.repeat(values, held, axis=1)
                inside = (times > stretch.after_ms) & (times <= stretch.until_ms)
                inside &= (values.view(np.uint64) != ABSENT_BITS).any(axis=0)
                owners = rows[places]
                if inside.any():
                    found.append((owners, of_row[owners], times[inside], values[:, inside]))
                if stretch.column == "counter":
                    latest[owners] = shifts
        for owners, streams, times, values in found:
            if stretches[0].column == "counter":
                # Where samples go on after the buckets, they go on from the counter as it was.
                moved = latest[owners][:, None]
                with np.errstate(invalid="ignore", over="ignore"):  # marks are NaNs that signal
                    values = np.where(is_special(np.ascontiguousarray(values)) | (moved == 0), values, values - moved)
            distinct, group = np.unique(streams, return_inverse=True)
            first = blocks.add(distinct, np.full(len(distinct), len(times)))
            blocks.times.append((first + np.arange(len(distinct)), np.tile(times, (len(distinct), 1))))
            blocks.values.append((owners, first + group, values))

    def _ended(
        self, matchers: Matchers, found: Selected, dead: Codes, labels: list[dict[str, str]]
    ) -> tuple[Codes, Index, list[dict[str, str]]]:
        """Find series that have left memory and match: their numbers, the rows they belong to, the labels of new rows.

        A series that came back has a new number and the same labels: then both belong to one row.
        """
        core = self._core
        with core.lock:
            matching = core.index.matching
            live = np.isin(dead, found.identities)
            places = {int(slot): place for place, slot in enumerate(found.slots.tolist())}
            numbers: list[int] = []
            owners: list[int] = []
            fresh: list[dict[str, str]] = []
            rows: dict[tuple[tuple[str, str], ...], int] = {}
            for identity, one, alive in zip(dead.tolist(), labels, live.tolist(), strict=True):
                if alive or not all(matching.text(matcher, one.get(matcher.name, "")) for matcher in matchers):
                    continue
                slot = core.index.find(one)
                row = places.get(slot) if slot is not None else None
                if row is None:
                    key = tuple(sorted(one.items()))
                    row = rows.get(key)
                    if row is None:
                        row = rows[key] = len(found.slots) + len(fresh)
                        fresh.append(one)
                numbers.append(identity)
                owners.append(row)
        return np.array(numbers, np.int32), np.array(owners, np.intp), fresh

    # --- without samples ------------------------------------------------------------------------------------------

    def series(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> Series:
        """Return the series that match and may have samples in (after, until]: told by when their streams had."""
        core, key = self._core, tuple(matchers)
        with core.lock:
            found = self.selected(key)
            in_head = self._in_head(found, after_ms)
            present = np.zeros(len(found.slots), np.bool_)
            if len(found.streams):
                last, first = core.head.last[found.streams], core.head.times[found.streams, 0]
                used = (core.head.counts[found.streams] > 0) | (core.head.saved[found.streams] > NEVER)
                overlaps = used & (last > after_ms) & ((first <= until_ms) | (core.head.saved[found.streams] > NEVER))
                present = overlaps[found.group] & (found.group >= 0)
        series = self._only(found, present)
        if in_head:
            return series
        dead, labels = core.history.series_ended_after(after_ms, name_of(key))
        if not len(dead):
            return series
        _, _, fresh = self._ended(key, found, dead, labels)
        return stack(core.symbols, [series, Series.of(core.symbols, fresh)]) if fresh else series

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Return about how many samples there are, by how often the streams are sampled now."""
        core = self._core
        with core.lock:
            found = self.selected(tuple(matchers))
            if not len(found.streams):
                return 0
            head = core.head
            per_stream = np.bincount(found.group[found.group >= 0], minlength=len(found.streams))
            counts = head.counts[found.streams]
            first = head.times[found.streams, 0]
            last = head.last[found.streams]
            begin = min([*(span.first for span in core.history.partitions.values()), int(first.min())])
            # A stream with a single sample says nothing about its pace: count that one.
            interval = np.where(counts > 1, (last - first) / np.maximum(1, counts - 1), np.inf)
            wide = np.clip(np.minimum(until_ms, last) - max(after_ms, begin - 1), 0, None)
            return int((per_stream * np.maximum(wide > 0, np.ceil(wide / np.maximum(interval, 1)))).sum())

    def label_names(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> list[str]:
        """Return the names of labels that the matching series have."""
        series = self.series(matchers, after_ms, until_ms)
        return [name for column, name in enumerate(series.names) if series.codes[:, column].any()]

    def label_values(self, name: str, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> list[str]:
        """Return the values of one label that the matching series have, sorted."""
        if name == NAME and not matchers:
            with self._core.lock:
                if not self._core.history.last_ended:
                    return sorted(filter(None, self._core.index.tables))
        series = self.series(matchers, after_ms, until_ms)
        texts = self._core.symbols.texts
        return sorted(texts[code] for code in np.unique(series.column(name)).tolist() if code)
