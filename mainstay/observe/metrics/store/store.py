"""The store: what the rest of the program uses."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from mainstay.observe.metrics.promql.plan import NAME, Matcher
from mainstay.observe.metrics.promql.series import Codes, Hints, Index, Selection, Series, Symbols, Times, Values
from mainstay.observe.metrics.store.core import Core, StreamState
from mainstay.observe.metrics.store.disk.history import HistoryFailed
from mainstay.observe.metrics.store.disk.mending import Mender, Missing
from mainstay.observe.metrics.store.disk.recovery import Reader as LogReader
from mainstay.observe.metrics.store.disk.recovery import Writer
from mainstay.observe.metrics.store.disk.retention import Retention
from mainstay.observe.metrics.store.disk.rollup import FIVE, Rollups
from mainstay.observe.metrics.store.flushing import Flusher
from mainstay.observe.metrics.store.head import NEVER
from mainstay.observe.metrics.store.layouts import Layout, layout_of
from mainstay.observe.metrics.store.limits import (
    MINUTE_MS,
    SET_BACK_MS,
    BadLabels,
    CardinalityExceeded,
    Figures,
    Offenders,
    Reason,
    StoreLimits,
)
from mainstay.observe.metrics.store.reading import Reader

log = logging.getLogger(__name__)

SYNC_EVERY_MS = 5_000  # a machine that loses power loses no more
SWEEP_EVERY_MS = MINUTE_MS


class FamilyLike(Protocol):
    """What `describe` needs of a metric's metadata: `exposition.Family` has it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def unit(self) -> str: ...


class Stream:
    """Series that are sampled together: one target, or one check. Made by `Store.stream`."""

    __slots__ = ("__weakref__", "_store", "job", "key")

    def __init__(self, store: "Store", key: str, job: str) -> None:
        self._store = store
        self.key = key
        self.job = job

    def put(self, at_ms: int, layout: Layout, values: Values) -> int:
        """Append one sample to each series of a layout; return how many were taken.

        Series that the stream had with another layout before, and that are not in this one, end here: they get a
        staleness marker. A time that is not later than the last one of the stream, or too far ahead, is refused and
        counted, as are values of series that another stream has. `values` [layout.size] may hold STALE, not ABSENT.

        Raises:
            ValueError: the values are not as many as the layout says.
        """
        return self._store._put(self, at_ms, layout, values)

    def end(self, at_ms: int) -> None:
        """Put a staleness marker into each series: the target is gone, or could not be scraped."""
        self._store._end(self, at_ms)


class _Logging:
    """Lets what writes to the log fail without failing itself."""

    __slots__ = ("_broken",)

    def __init__(self, broken: Callable[[OSError], None]) -> None:
        self._broken = broken

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, OSError):
            self._broken(error)
            return True
        return False


class Store:
    """The embedded store. Threads may use it at the same time."""

    def __init__(self, folder: Path, limits: StoreLimits | None = None) -> None:
        """Open or begin a store in a folder, which belongs to it alone.

        Raises:
            OSError: the folder cannot be used.
        """
        self.limits = limits or StoreLimits()
        folder.mkdir(parents=True, exist_ok=True)
        self._core = core = Core(folder, self.limits)
        self._rollups = Rollups(core.history)
        self._reader = Reader(core, self._rollups)
        self._retention = Retention(core, self._rollups)
        self._flusher = Flusher(core)
        self._writer = Writer(core)
        self._mender = Mender(core, self._writer, self._flusher)
        reading = LogReader(core)
        reading.read()
        self._begin_history()
        core.log.forget(core.head.saved)
        self._writer.begin()
        self._synced_ms = self._swept_ms = 0
        self._log_failed = False
        self._logging = _Logging(self._log_broken)
        if reading.samples:
            log.info("%d samples of %d series taken from the log", reading.samples, len(core.index))

    def _begin_history(self) -> None:
        core = self._core
        last = max(core.history.saved.values(), default=0)
        try:
            core.history.begin_series(core.index.identity[core.index.slots()], last)
        except HistoryFailed as error:
            self._flusher.failed(error)

    # --- Source -------------------------------------------------------------------------------------------------

    @property
    def symbols(self) -> Symbols:
        """The table of all texts in labels."""
        return self._core.symbols

    def select(
        self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints | None = None
    ) -> Selection:
        """Return the series that match and have a sample in (after_ms, until_ms], each once, and those samples.

        The same `Series` object is returned for the same matchers while the set of series stays.

        Raises:
            BadPattern: a regular expression is none.
            HistoryFailed: history cannot be read.
        """
        return self._reader.select(matchers, after_ms, until_ms, hints or Hints())

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Return about how many samples `select` would return, without reading them."""
        return self._reader.count(matchers, after_ms, until_ms)

    def series(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> Series:
        """Return the series that match and may have samples in (after_ms, until_ms]."""
        return self._reader.series(matchers, after_ms, until_ms)

    def label_names(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> list[str]:
        """Return the names of labels that the matching series have, sorted."""
        return self._reader.label_names(matchers, after_ms, until_ms)

    def label_values(self, name: str, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> list[str]:
        """Return the values that a label has in the matching series, sorted."""
        return self._reader.label_values(name, matchers, after_ms, until_ms)

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        """Return what is known of each metric: type, help, unit."""
        with self._core.lock:
            return dict(self._core.families)

    def describe(self, families: Iterable[FamilyLike]) -> None:
        """Remember what targets say of their metrics. The last one to speak is right."""
        core = self._core
        with core.lock:
            for family in families:
                said = (family.type, family.help, family.unit)
                if core.families.get(family.name) != said and (
                    family.name in core.families or len(core.families) < self.limits.series
                ):
                    core.families[family.name] = said
                    core.new_families.add(family.name)

    # --- putting ------------------------------------------------------------------------------------------------

    def layout(self, label_sets: Sequence[Mapping[str, str]], job: str) -> Layout:
        """Register series, so that vectors of their values can be put; label sets hold their `__name__`.

        Raises:
            CardinalityExceeded: they are too many. Its `admitted` is a layout of those that exist already.
            BadLabels: a label set is twice in it, has a value that is too long, or is empty.
        """
        core = self._core
        with core.lock:
            slots = [-1 if (slot := core.index.find(labels)) is None else slot for labels in label_sets]
            missing = [place for place, slot in enumerate(slots) if slot < 0]
            self._check(label_sets, slots, missing)
            if missing:
                budget = self.limits.memory_bytes - core.index.memory_bytes
                room = core.guard.room(job, core.head.rows_within(budget))
                if len(missing) > room:
                    raise self._too_many(label_sets, slots, missing, job, core.head.rows_within(budget))
                for place in missing:
                    slots[place] = core.add_series(dict(label_sets[place]), job)
                with self._logging:
                    self._writer.series([slots[place] for place in missing])
            return self._made(job, slots)

    def _made(self, job: str, slots: list[int]) -> Layout:
        made = layout_of(job, slots)
        self._core.layouts.add(made)
        return made

    def _check(self, label_sets: Sequence[Mapping[str, str]], slots: list[int], missing: list[int]) -> None:
        seen: set[object] = set()
        for place, labels in enumerate(label_sets):
            key: object = slots[place]
            if slots[place] < 0:
                key = tuple(sorted(pair for pair in labels.items() if pair[1]))
                if not key:
                    raise BadLabels("a label set is empty: give it at least a name")
            if key in seen:
                raise BadLabels(f"the label set {dict(labels)} is twice in a layout: leave one out")
            seen.add(key)
        for place in missing:
            for name, value in label_sets[place].items():
                if len(value) > self.limits.label_value_length:
                    self._core.counts.refused[Reason.LABELS] += 1
                    metric = label_sets[place].get(NAME, "")
                    raise BadLabels(
                        f"label {name!r} of {metric!r} has a value of {len(value)} characters, more than "
                        f"{self.limits.label_value_length}: shorten it, or raise the limit"
                    )

    def _too_many(
        self, label_sets: Sequence[Mapping[str, str]], slots: list[int], missing: list[int], job: str, free: int
    ) -> CardinalityExceeded:
        core = self._core
        blame = core.guard.blame(job, [label_sets[place] for place in missing], free)
        core.counts.refused[Reason.CARDINALITY] += len(missing)
        return CardinalityExceeded(
            job=job,
            metric=blame.metric,
            series=blame.series,
            label=blame.label,
            values=blame.values,
            limit=blame.limit,
            of=blame.of,
            admitted=self._made(job, slots),
        )

    def stream(self, key: str, job: str) -> Stream:
        """Return the stream with a key, such as a target's address. The job is the one its history is kept under."""
        return Stream(self, key, job)

    def _state(self, stream: Stream) -> StreamState:
        state = self._core.by_key.get(stream.key)
        if state is None or state.job != stream.job:
            if state is not None:
                self._core.forget_layout(state)
            state = self._core.add_stream(stream.key, stream.job)
        return state

    def _put(self, stream: Stream, at_ms: int, layout: Layout, values: Values) -> int:
        if len(values) != layout.size:
            raise ValueError(f"{len(values)} values for a layout of {layout.size}")
        core = self._core
        if layout.positions is not None:
            values = values[layout.positions]
        while True:
            with core.lock:
                state = self._state(stream)
                if self._set_back(int(core.head.last[state.number]), at_ms):
                    state = core.renewed(state)
                reason = self._refuse(int(core.head.last[state.number]), at_ms)
                if reason is not None:
                    core.counts.refused[reason] += len(values)
                    return 0
                if core.head.counts[state.number] < core.head.columns:
                    with self._logging:
                        self._writer.put(state, layout, at_ms, values)
                    taken = core.put(state, at_ms, layout, values)
                    core.counts.appended += taken
                    return taken
            self._flusher.make_room(state)

    def _set_back(self, last: int, at_ms: int, ahead_ms: int = 0) -> bool:
        """Tell whether a last time lies so far in the future that the clock must have been set back since."""
        return last > max(at_ms, self._core.now_ms or at_ms) + ahead_ms + SET_BACK_MS

    def _refuse(self, last: int, at_ms: int) -> Reason | None:
        now = self._core.now_ms
        if now is not None and at_ms > now + self.limits.ahead_ms:
            return Reason.FUTURE
        return Reason.OUT_OF_ORDER if at_ms <= last else None

    def _end(self, stream: Stream, at_ms: int) -> None:
        core = self._core
        while True:
            with core.lock:
                state = core.by_key.get(stream.key)
                if state is None or not (state.rows.live >= 0).any():
                    return
                reason = self._refuse(int(core.head.last[state.number]), at_ms)
                if reason is not None:
                    core.counts.refused[reason] += len(state.rows.live)
                    return
                if core.head.counts[state.number] < core.head.columns:
                    with self._logging:
                        self._writer.end(state, at_ms)
                    core.end(state, at_ms)
                    return
            self._flusher.make_room(state)

    def end_others(self, job: str, keys: Collection[str]) -> None:
        """End the streams of a job whose keys are not among `keys`, each right after its last sample."""
        core = self._core
        with core.lock:
            others = [
                (Stream(self, state.key, job), int(core.head.last[state.number]) + 1)
                for state in core.by_key.values()
                if state.job == job and state.key not in keys and (state.rows.live >= 0).any()
            ]
        for stream, at_ms in others:
            self._end(stream, at_ms)

    def put_own_times(
        self, layout: Layout, values: Values, times: Times, positions: Sequence[int] | Index | None = None
    ) -> int:
        """Append samples that have timestamps of their own; return how many were taken.

        Sample k belongs to series `positions[k]` of the layout, or to series k without positions. A series may have
        several. Within a series, what is not later than its last sample is refused and counted.

        Raises:
            ValueError: the arrays do not fit together.
        """
        places = np.arange(layout.size) if positions is None else np.asarray(positions, np.intp)
        if not len(places) == len(values) == len(times):
            raise ValueError(f"{len(values)} values and {len(times)} times for {len(places)} series")
        if layout.positions is not None:
            back = np.full(layout.size, -1, np.intp)
            back[layout.positions] = np.arange(len(layout.positions))
            places = back[places]
            values, times, places = values[places >= 0], times[places >= 0], places[places >= 0]
        order = np.lexsort((times, places))
        places, values, times = places[order], np.ascontiguousarray(values[order]), times[order]
        begins = (
            np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]])) if len(places) else np.empty(0, int)
        )
        rank = np.arange(len(places)) - np.repeat(begins, np.diff([*begins, len(places)]))
        taken = 0
        for one in range(int(rank.max()) + 1 if len(rank) else 0):
            mine = np.flatnonzero(rank == one)
            taken += self._put_rank(layout, places[mine], values[mine], times[mine])
        return taken

    def _put_rank(self, layout: Layout, places: Index, values: Values, times: Times) -> int:
        core, head = self._core, self._core.head
        slots = layout.slots[places]
        while True:
            with core.lock:
                streams, rows = core.own_streams(slots, int(times.max()))
                if self._renew_own(streams, slots, int(times.max())):
                    streams, rows = core.own_streams(slots, int(times.max()))
                fits = streams >= 0
                core.counts.refused[Reason.OWNED] += int((~fits).sum())
                future = (
                    fits & (times > core.now_ms + self.limits.ahead_ms) if core.now_ms is not None else ~fits & fits
                )
                core.counts.refused[Reason.FUTURE] += int(future.sum())
                late = fits & ~future & (times <= head.last[streams])
                core.counts.refused[Reason.OUT_OF_ORDER] += int(late.sum())
                fits &= ~future & ~late
                full = np.flatnonzero(fits & (head.counts[streams] >= head.columns))
                if not len(full):
                    if fits.any():
                        chosen = streams[fits], slots[fits], times[fits], values[fits]
                        with self._logging:
                            self._writer.own_times(*chosen)
                        head.put_each(streams[fits], rows[fits], times[fits], values[fits])
                    taken = int(fits.sum())
                    core.counts.appended += taken
                    return taken
                for reason, mask in ((Reason.OWNED, streams < 0), (Reason.FUTURE, future), (Reason.OUT_OF_ORDER, late)):
                    core.counts.refused[reason] -= int(mask.sum())  # they are counted when the others have room
                state = core.streams[int(streams[full[0]])]
            assert state is not None
            self._flusher.make_room(state)

    def _renew_own(self, streams: Index, slots: Codes, at_ms: int) -> bool:
        """Begin those anew whose last time no clock that is right can have given; tell whether there were any."""
        core, ahead_ms = self._core, self.limits.ahead_ms
        last = np.where(streams >= 0, core.head.last[streams], NEVER)
        found = [place for place in np.flatnonzero(last > at_ms) if self._set_back(int(last[place]), at_ms, ahead_ms)]
        for place in found:
            stream = core.streams[int(streams[place])]
            if stream is not None:
                core.adopt(core.renewed(stream), Layout(stream.job, slots[place : place + 1].copy(), 1), at_ms)
        return bool(found)

    # --- keeping ------------------------------------------------------------------------------------------------

    def _log_broken(self, error: OSError) -> None:
        """Count that the log cannot be written. Samples are taken without it: they are safe once history has them."""
        if not self._log_failed:
            log.error(
                "the log of samples cannot be written, what is not in history yet dies with the process: %s", error
            )
        self._log_failed = True
        self._core.counts.failed_writes += 1

    def tick(self, now_ms: int) -> None:
        """Do what is due: call it about once a second, from one thread. Cheap when nothing is.

        Nothing here fails because the disk is full or history broken: that is counted, logged and tried again.
        """
        core = self._core
        core.now_ms = now_ms
        self._keep_log(now_ms)
        with core.flushing:
            self._mender.look(now_ms)
            try:
                wrote = self._flusher.round(now_ms)
                if abs(now_ms - self._swept_ms) >= SWEEP_EVERY_MS:
                    self._swept_ms = now_ms
                    self._flusher.sweep(now_ms)
                    self._retention.keep(now_ms)
                    self._retention.fit()
                if not wrote:  # one or the other: a tick stays short
                    self._rollups.step(self._settled(now_ms), self._counters())
                if wrote:
                    with core.lock:
                        core.log.forget(core.head.saved)
            except HistoryFailed as error:
                self._flusher.failed(error)

    def _settled(self, now_ms: int) -> int:
        """Return a time up to which everything is in history."""
        head = self._core.head
        with self._core.lock:
            waiting = np.flatnonzero(head.counts > head.written)
            oldest = head.times[waiting, head.written[waiting]]
        return int(min(now_ms - MINUTE_MS, *oldest - 1)) if len(oldest) else now_ms - MINUTE_MS

    def _counters(self) -> set[str]:
        with self._core.lock:
            return {name for name, (kind, _, _) in self._core.families.items() if kind == "counter"}

    def _keep_log(self, now_ms: int) -> None:
        core = self._core
        with core.lock:
            segment = core.log.current
            if segment.begun_ms is None and len(segment.last):
                segment.begun_ms = now_ms
            full = segment.size >= self.limits.segment_bytes
            old = segment.begun_ms is not None and abs(now_ms - segment.begun_ms) >= self.limits.segment_ms
            try:
                if full or old or self._log_failed:
                    self._writer.begin()
                    self._log_failed = False
                records = core.log.take()
            except OSError as error:
                self._log_broken(error)
                records = []
        try:
            core.log.put_out(records)
        except OSError as error:
            self._log_broken(error)
        if abs(now_ms - self._synced_ms) >= SYNC_EVERY_MS:
            self._synced_ms = now_ms
            core.log.sync()

    def flush(self) -> None:
        """Write everything to history now.

        Raises:
            HistoryFailed: not everything is written.
        """
        with self._core.flushing:
            self._flusher.write_all()

    @property
    def newest_ms(self) -> int | None:
        """When the newest sample was put; None when there is none."""
        core = self._core
        with core.lock:
            times = [*core.history.saved.values(), *core.head.last[core.head.last > NEVER].tolist()]
        return max(times, default=None)

    @property
    def missing(self) -> Missing | None:
        """What was deleted or replaced while the store runs, and whether it was mended."""
        return self._mender.missing

    def copy_history(self, path: Path) -> None:
        """Write everything to history, and all of history into a new database file.

        Raises:
            HistoryFailed: it could not be written.
        """
        self.flush()
        self._core.history.copy_to(path)

    def figures(self) -> Figures:
        """Return what the store holds and has done."""
        core = self._core
        with core.lock:
            head, log_bytes = core.head, core.log.size
            used = head.times[np.arange(len(head.counts)), 0][head.counts > 0]
            times = [*used.tolist(), *(span.first for span in core.history.partitions.values())]
            figures = Figures(
                series=len(core.index),
                streams=len(core.by_key),
                memory_samples=head.samples,
                memory_bytes=head.memory_bytes + core.index.memory_bytes + core.row_of.nbytes + core.recent.bytes,
                disk_bytes=log_bytes,
                log_bytes=log_bytes,
                appended=core.counts.appended,
                written=core.counts.written,
                refused={reason: count for reason, count in core.counts.refused.items() if count},
                refused_series=sum(core.guard.refused.values()),
                oldest_ms=min(times, default=None),
                rolled_up_ms=self._rollups.until.get(FIVE.name),
                failed_writes=core.counts.failed_writes,
                dropped_partitions=core.counts.dropped_partitions,
            )
        return replace(figures, disk_bytes=log_bytes + core.history.used_bytes())

    def offenders(self) -> Offenders:
        """Return which metrics and jobs have the most series, and what the guard refused."""
        with self._core.lock:
            return self._core.guard.offenders()

    def close(self) -> None:
        """Write the log out and close the files. What is in memory only is read from the log when opened again."""
        core = self._core
        with core.flushing, core.lock:
            try:
                core.log.close()
            except OSError as error:
                self._log_broken(error)
            core.history.close()
