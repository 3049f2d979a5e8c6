"""What one target's answers become: series with the target's labels, relabelled, limited, put into the store.

All that depends on the series alone (labels, relabelling, limits, which of them are new) is done once for each set of
series and remembered; while the set stays, a scrape only moves numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.exposition import (
    NO_TIME,
    Exposition,
    Family,
    Layout,
    ParseError,
    ParseLimits,
    Parser,
    format_of,
)
from mainstay.observe.metrics.promql.vector import shown
from mainstay.observe.metrics.scrape.relabel import Labels, Relabelling, scraped_labels
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.store.limits import SET_BACK_MS, CardinalityExceeded

NAME = "__name__"
REPORT = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
LINES_MOST, BLANKS_MOST = 2_000_000, 8_000_000
LATE = (
    "the store took none of the samples, for they are older than those it has, or lie in the future: was the clock set?"
    " Another target with the same labels does this, too"
)
ASK_AGAIN_MS = 300_000
FOREVER_MS = 1 << 62
_PARSED_SAMPLES_MOST = 200_000
_NOT_METRICS = ("text/html", "application/json", "application/xml", "text/xml", "image/", "application/javascript")

Values = NDArray[np.float64]
Times = NDArray[np.int64]
Rows = NDArray[np.intp]


class StreamLike(Protocol):
    """Where the samples of one target go. A series that a put no longer has, has ended."""

    def put(self, at_ms: int, layout: Any, values: Values) -> int: ...
    def end(self, at_ms: int) -> None: ...


class StoreLike(Protocol):
    """The part of a store that scrapes need. Safe to use from several threads."""

    def layout(self, label_sets: Sequence[Labels], job: str) -> Any: ...
    def stream(self, key: str, job: str) -> StreamLike: ...
    def put_own_times(self, layout: Any, values: Values, times: Times, positions: Rows) -> int: ...
    def describe(self, families: Iterable[Family]) -> None: ...


class TooMuch(ValueError):
    """The answer is beyond a limit of the scrape; the text names limit and offender."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many samples a scrape had, how many were left by relabelling, how many series were new; how many of those
    that were left were of a series and time that were there before in the answer."""

    scraped: int = 0
    kept: int = 0
    added: int = 0
    repeated: int = 0


class LimitReached(TooMuch):
    """As `TooMuch`, but what was there could be counted."""

    def __init__(self, what: str, counts: Counts) -> None:
        super().__init__(what)
        self.counts = counts


@dataclass(frozen=True, slots=True, eq=False)
class _Selection:
    """What relabelling leaves of a layout: the rows that are kept, and their series as the store knows them.

    Without timestamps, a series has one sample, that of the first row it stands in. With them, it may have many.
    """

    source: Layout
    own_times: bytes  # which rows of the source have timestamps of their own; empty if none
    rows: Rows | None  # None: all of them, in their order
    handle: Any
    timed_rows: Rows
    timed_places: Rows  # the series of each timed row, counted in `timed_handle`
    timed_handle: Any
    kept: int  # rows that relabelling leaves
    repeated: str  # a series that stands in several rows without a timestamp; "" if none does
    timed_sets: Sequence[Labels]  # those of `timed_handle` if one of them stands in several rows
    hashes: NDArray[np.int64]
    """Of the label sets, to tell which series are new: a number instead of a hundred bytes for each."""
    refused: str
    """Why the store has not taken all of the series; "" if it has."""
    until_ms: int
    """When to ask it again."""


def newest_of(known_ms: int, at_ms: int) -> int:
    """Return the later of two times; one far in the future is from before the clock was set back and counts no more."""
    return at_ms if known_ms > at_ms + SET_BACK_MS else max(known_ms, at_ms)


class Intake:
    """Takes in the answers of one target, in order. Not to be used by two threads at once."""

    def __init__(
        self, store: StoreLike, key: str, job: str, labels: Labels, settings: ScrapeSettings, relabel: Relabelling
    ) -> None:
        """`key` names the target's streams in the store; `relabel` is applied to its series."""
        self._store = store
        self._job = job
        self._labels = labels
        self._settings = settings
        self._relabel = relabel
        limit = settings.sample_limit or 0
        self._parser = Parser(
            ParseLimits(
                samples=max(_PARSED_SAMPLES_MOST, limit),
                bytes=settings.body_size_limit,
                labels=max(ParseLimits().labels, settings.label_limit or 0),
                name_length=max(ParseLimits().name_length, settings.label_name_length_limit or 0),
                value_length=max(ParseLimits().value_length, settings.label_value_length_limit or 0),
            )
        )
        self._stream = store.stream(key, job)
        self._reports = store.stream(f"{key}/report", job)
        self._report_handle: Any = None
        self._selection: _Selection | None = None
        self._present: NDArray[np.int64] | None = None
        self._late = self._repeated = ""
        self.newest_ms = NO_TIME

    @property
    def families(self) -> tuple[Family, ...]:
        """What the last answer's comments say of its metrics."""
        return self._selection.source.families if self._selection is not None else ()

    @property
    def refused(self) -> str:
        """What of the last answer was not taken, and why; "" if all was."""
        full = self._selection.refused if self._selection is not None else ""
        return "; ".join(filter(None, (self._late or full, self._repeated)))

    def take(self, body: bytes, content_type: str, at_ms: int, *, whole: bool = False) -> Counts:
        """Put an answer's samples into the store. When it has no room for new series, those that it has go on; of
        several samples of the same series and time, the first counts.

        `whole` tells that the body is complete for certain.

        Raises:
            ParseError, TooMuch, or what the store raises: nothing of the answer counts then.
        """
        # Cutting a body into pieces costs many times its size.
        if len(body) > LINES_MOST and body.count(b"\n") > LINES_MOST:
            raise TooMuch(f"the answer has more than {LINES_MOST:,} lines")
        if len(body) > BLANKS_MOST and body.count(b" ") > BLANKS_MOST:
            raise TooMuch(f"the answer has more than {BLANKS_MOST:,} blanks")
        try:
            found = self._parser.parse(body, format_of(content_type), whole=whole)
        except ParseError as error:
            kind = content_type.partition(";")[0].strip().lower()
            if kind.startswith(_NOT_METRICS):
                raise TooMuch(f"the answer is {kind}, not metrics ({error}): is `path` right?") from None
            raise
        selection = self._select(found, at_ms)
        times, again = _own_times(selection, found, at_ms)
        plain = len(found.values) if selection.rows is None else len(selection.rows)
        repeated = selection.kept - plain - len(times) + int(again.sum())
        counts = Counts(len(found.values), selection.kept, 0, repeated)
        limit = self._settings.sample_limit
        if limit is not None and selection.kept - repeated > limit:
            raise LimitReached(
                f"{selection.kept - repeated} samples are left by relabelling, `sample_limit` is {limit}", counts
            )
        self._put(selection, found.values, times, ~again, at_ms)
        self._repeated = _said_again(repeated, selection, again) if repeated else ""
        if self._selection is None or self._selection.source.families != found.layout.families:
            self._store.describe(found.layout.families)
        self._selection = selection
        return replace(counts, added=self._added(selection))

    def end(self, at_ms: int) -> None:
        """Mark the target's own series as ended: it did not answer."""
        self._stream.end(newest_of(self.newest_ms, at_ms))
        self._present = None

    def report(self, at_ms: int, *, up: bool, duration_s: float, counts: Counts) -> None:
        """Put `up` and the `scrape_…` series."""
        if self._report_handle is None:
            self._report_handle = self._store.layout([{**self._labels, NAME: name} for name in REPORT], self._job)
        values = (float(up), duration_s, counts.scraped, counts.kept, counts.added)
        self._reports.put(at_ms, self._report_handle, np.array(values, np.float64))
        self.newest_ms = newest_of(self.newest_ms, at_ms)

    def close(self, at_ms: int) -> None:
        """End all of the target's series, the reports too: it is gone."""
        self.end(at_ms)
        self._reports.end(newest_of(self.newest_ms, at_ms))

    # --- once for each set of series ----------------------------------------------------------------------------

    def _select(self, found: Exposition, at_ms: int) -> _Selection:
        own = b""
        if found.times is not None and self._settings.honor_timestamps:
            own = (found.times != NO_TIME).tobytes()
        known = self._selection
        if known is not None and known.source is found.layout and known.own_times == own and at_ms < known.until_ms:
            return known
        plain, timed = self._kept(found.layout, own)
        handle, refused = self._handle(plain.label_sets)
        timed_handle, more = self._handle(timed.label_sets) if own else (None, "")
        refused = refused or more
        places = np.array(plain.of_rows, np.intp)
        first = np.unique(places, return_index=True)[1]
        names = {*plain.places, *timed.places}
        return _Selection(
            source=found.layout,
            own_times=own,
            rows=None if len(first) == len(found.layout) else np.array(plain.rows, np.intp)[first],
            handle=handle,
            timed_rows=np.array(timed.rows, np.intp),
            timed_places=np.array(timed.of_rows, np.intp),
            timed_handle=timed_handle,
            kept=len(plain.rows) + len(timed.rows),
            repeated=shown(plain.label_sets[np.argmax(np.bincount(places) > 1)]) if len(first) < len(places) else "",
            timed_sets=timed.label_sets if len(timed.label_sets) < len(timed.rows) else (),
            hashes=np.fromiter(map(hash, names), np.int64, len(names)),
            refused=refused,
            until_ms=at_ms + ASK_AGAIN_MS if refused else FOREVER_MS,
        )

    def _handle(self, label_sets: list[Labels]) -> tuple[Any, str]:
        try:
            return self._store.layout(label_sets, self._job), ""
        except CardinalityExceeded as full:
            return full.admitted, str(full)

    def _kept(self, layout: Layout, own: bytes) -> tuple["_Rows", "_Rows"]:
        """Return the rows that relabelling leaves: those of series without timestamps of their own, and of those with
        them. A series is put in one way only: where one sample of it has a timestamp, all have."""
        plain, timed = _Rows(), _Rows()
        found = [
            (row, tuple(sorted(labels.items())), labels)
            for row, exposed in enumerate(layout.label_sets())
            if (labels := self._final(exposed))
        ]
        dated = {identity for row, identity, _ in found if own[row]} if own else frozenset()
        for row, identity, labels in found:
            (timed if identity in dated else plain).add(row, identity, labels)
        return plain, timed

    def _final(self, exposed: Labels) -> Labels | None:
        labels: Labels | None = scraped_labels(exposed, self._labels, honor=self._settings.honor_labels)
        if self._relabel:
            assert labels is not None
            labels = self._relabel.apply(labels)
            if not labels:
                return None
            if NAME not in labels:
                raise TooMuch(f"`metric_relabel` leaves the metric {exposed.get(NAME, '')} without a name")
        assert labels is not None
        self._check_limits(labels)
        return labels

    def _check_limits(self, labels: Labels) -> None:
        settings = self._settings
        if settings.label_limit is not None and len(labels) > settings.label_limit:
            raise TooMuch(
                f"a series of {labels[NAME]} has {len(labels)} labels, `label_limit` is {settings.label_limit}"
            )
        for limit, texts, name in (
            (settings.label_name_length_limit, labels.keys(), "label_name_length_limit"),
            (settings.label_value_length_limit, labels.values(), "label_value_length_limit"),
        ):
            if limit is not None:
                longest = max(len(text.encode()) for text in texts)
                if longest > limit:
                    raise TooMuch(f"a series of {labels[NAME]} has a label of {longest} bytes, `{name}` is {limit}")

    def _added(self, selection: _Selection) -> int:
        before, self._present = self._present, selection.hashes
        if before is None:
            return len(selection.hashes)
        return 0 if before is selection.hashes else int(np.setdiff1d(selection.hashes, before).size)

    # --- each time ----------------------------------------------------------------------------------------------

    def _put(self, selection: _Selection, values: Values, times: Times, counts: NDArray[np.bool_], at_ms: int) -> None:
        """Put the samples; of those with times of their own, the ones that count."""
        if len(times):  # earlier than those of the scrape itself
            rows, places = selection.timed_rows[counts], selection.timed_places[counts]
            self._store.put_own_times(selection.timed_handle, values[rows], times[counts], places)
        plain = values if selection.rows is None else values[selection.rows]
        taken = self._stream.put(at_ms, selection.handle, plain)
        self._late = LATE if len(plain) and not taken and not selection.refused else ""
        self.newest_ms = newest_of(self.newest_ms, at_ms)


@dataclass(slots=True)
class _Rows:
    """Rows of an answer, and the series that relabelling makes of them."""

    rows: list[int] = field(default_factory=list)
    of_rows: list[int] = field(default_factory=list)  # the series of each row, counted in `label_sets`
    label_sets: list[Labels] = field(default_factory=list)
    places: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)

    def add(self, row: int, identity: tuple[tuple[str, str], ...], labels: Labels) -> None:
        """Take in a row."""
        place = self.places.setdefault(identity, len(self.label_sets))
        if place == len(self.label_sets):
            self.label_sets.append(labels)
        self.rows.append(row)
        self.of_rows.append(place)


def _own_times(selection: _Selection, found: Exposition, at_ms: int) -> tuple[Times, NDArray[np.bool_]]:
    """Return the times of the timed rows, and which of these stood there before: the same series and time."""
    if found.times is None or not len(selection.timed_rows):
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    times, places = found.times[selection.timed_rows], selection.timed_places
    times[times == NO_TIME] = at_ms
    again = np.zeros(len(times), np.bool_)
    if selection.timed_sets:
        order = np.lexsort((times, places))
        again[order[1:]] = (np.diff(places[order]) == 0) & (np.diff(times[order]) == 0)
    return times, again


def _said_again(samples: int, selection: _Selection, again: NDArray[np.bool_]) -> str:
    """Say how many samples do not count because the answer had their series before, and name the first such series."""
    first = selection.repeated or shown(dict(selection.timed_sets[selection.timed_places[np.argmax(again)]]))
    which = "1 sample is" if samples == 1 else f"{samples} samples are"
    return f"{which} left out, for the answer has the same series and time before ({first}): make their labels differ"
