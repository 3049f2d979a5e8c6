"""What one target's answers become: series with the target's labels, relabelled, limited, put into the store.

All that depends on the series alone (labels, relabelling, limits, which of them are new) is done once for each set of
series and remembered; while the set stays, a scrape only moves numbers.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
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
    def put_own_times(self, layout: Any, values: Values, times: Times) -> int: ...
    def describe(self, families: Iterable[Family]) -> None: ...


class TooMuch(ValueError):
    """The answer is beyond a limit of the scrape; the text names limit and offender."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many samples a scrape had, how many were left by relabelling, how many series were new."""

    scraped: int = 0
    kept: int = 0
    added: int = 0


class LimitReached(TooMuch):
    """As `TooMuch`, but what was there could be counted."""

    def __init__(self, what: str, counts: Counts) -> None:
        super().__init__(what)
        self.counts = counts


@dataclass(frozen=True, slots=True, eq=False)
class _Selection:
    """What relabelling leaves of a layout: the rows that are kept, and their series as the store knows them."""

    source: Layout
    own_times: bytes  # which rows of the source have timestamps of their own; empty if none
    rows: Rows | None  # None: all of them, in their order
    handle: Any
    timed_rows: Rows | None
    timed_handle: Any
    kept: int
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
        self._late = ""
        self.newest_ms = NO_TIME

    @property
    def families(self) -> tuple[Family, ...]:
        """What the last answer's comments say of its metrics."""
        return self._selection.source.families if self._selection is not None else ()

    @property
    def refused(self) -> str:
        """Why the store did not take all of the last answer; "" if it did."""
        return self._late or (self._selection.refused if self._selection is not None else "")

    def take(self, body: bytes, content_type: str, at_ms: int) -> Counts:
        """Put an answer's samples into the store. When it has no room for new series, those that it has go on.

        Raises:
            ParseError, TooMuch, or what the store raises: nothing of the answer counts then.
        """
        # Cutting a body into pieces costs many times its size.
        if body.count(b"\n") > LINES_MOST:
            raise TooMuch(f"the answer has more than {LINES_MOST:,} lines")
        if body.count(b" ") > BLANKS_MOST:
            raise TooMuch(f"the answer has more than {BLANKS_MOST:,} blanks")
        try:
            found = self._parser.parse(body, format_of(content_type))
        except ParseError as error:
            kind = content_type.partition(";")[0].strip().lower()
            if kind.startswith(_NOT_METRICS):
                raise TooMuch(f"the answer is {kind}, not metrics ({error}): is `path` right?") from None
            raise
        selection = self._select(found, at_ms)
        counts = Counts(len(found.values), selection.kept, 0)
        if self._settings.sample_limit is not None and selection.kept > self._settings.sample_limit:
            raise LimitReached(
                f"{selection.kept} samples are left by relabelling, `sample_limit` is {self._settings.sample_limit}",
                counts,
            )
        self._put(selection, found, at_ms)
        if self._selection is None or self._selection.source.families != found.layout.families:
            self._store.describe(found.layout.families)
        self._selection = selection
        return Counts(counts.scraped, counts.kept, self._added(selection))

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
        rows, label_sets, hashes = self._kept(found.layout)
        timed: NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
        if own:
            timed = np.frombuffer(own, np.bool_)[rows]
        plain = [labels for labels, is_timed in zip(label_sets, timed.tolist(), strict=True) if not is_timed]
        handle, refused = self._handle(plain)
        timed_handle = None
        if own:
            own_sets = [labels for labels, is_timed in zip(label_sets, timed.tolist(), strict=True) if is_timed]
            timed_handle, more = self._handle(own_sets)
            refused = refused or more
        all_rows = len(rows) == len(found.layout) and not own
        return _Selection(
            source=found.layout,
            own_times=own,
            rows=None if all_rows else rows[~timed],
            handle=handle,
            timed_rows=rows[timed] if own else None,
            timed_handle=timed_handle,
            kept=len(rows),
            hashes=hashes,
            refused=refused,
            until_ms=at_ms + ASK_AGAIN_MS if refused else FOREVER_MS,
        )

    def _handle(self, label_sets: list[Labels]) -> tuple[Any, str]:
        try:
            return self._store.layout(label_sets, self._job), ""
        except CardinalityExceeded as full:
            return full.admitted, str(full)

    def _kept(self, layout: Layout) -> tuple[Rows, list[Labels], NDArray[np.int64]]:
        """Return the rows that relabelling leaves, their labels and hashes; of series that became the same, the
        first."""
        rows: list[int] = []
        found: dict[tuple[tuple[str, str], ...], Labels] = {}
        for row, exposed in enumerate(layout.label_sets()):
            labels = self._final(exposed)
            if not labels:
                continue
            identity = tuple(sorted(labels.items()))
            if identity not in found:
                found[identity] = labels
                rows.append(row)
        hashes = np.fromiter(map(hash, found), np.int64, len(found))
        return np.array(rows, np.intp), list(found.values()), hashes

    def _final(self, exposed: Labels) -> Labels | None:
        labels: Labels | None = scraped_labels(exposed, self._labels, honor=self._settings.honor_labels)
        if self._relabel:
            assert labels is not None
            labels = self._relabel.apply(labels)
            if not labels:
                return None
            name = labels.get(NAME, "")
            if not _METRIC_NAME.fullmatch(name):
                raise TooMuch(
                    f"`metric_relabel` makes {name!r} of the metric {exposed.get(NAME, '')}, which is no metric's name"
                )
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

    def _put(self, selection: _Selection, found: Exposition, at_ms: int) -> None:
        values = found.values
        plain = values if selection.rows is None else values[selection.rows]
        taken = self._stream.put(at_ms, selection.handle, plain)
        self._late = LATE if len(plain) and not taken and not selection.refused else ""
        if selection.timed_rows is not None and found.times is not None and len(selection.timed_rows):
            self._store.put_own_times(
                selection.timed_handle, values[selection.timed_rows], found.times[selection.timed_rows]
            )
        self.newest_ms = newest_of(self.newest_ms, at_ms)
