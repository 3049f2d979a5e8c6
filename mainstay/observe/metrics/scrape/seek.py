"""Looks for targets beside the loop: files are looked at every few seconds, names are asked when it is time.

A look may hang (a dead network file system, a name server that is away) and then holds a thread of its own, not the
other scrapes. A scrape whose places have not all been looked at once keeps the targets it had: an edit makes no gap.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from mainstay.observe.metrics.scrape.discovery import Discovered, Source, sources_of
from mainstay.observe.metrics.scrape.fetch import FetchPlan
from mainstay.observe.metrics.scrape.relabel import Relabelling
from mainstay.observe.metrics.scrape.state import PlannedScrape
from mainstay.observe.metrics.scrape.targets import Frame, Target, targets_of

log = logging.getLogger(__name__)
LOOKS_AT_ONCE = 32
_LOOK_S = 1.0
_FIRST_LOOK_MOST_S = 10.0
"""After this long a scrape goes on with what its other places found."""


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A target and all that is needed to scrape it."""

    scrape: int
    frame: Frame
    target: Target
    plan: FetchPlan
    metric_relabel: Relabelling


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """All targets of one scrape."""

    key: int
    name: str
    wanted: tuple[Wanted, ...] = ()
    dropped: tuple[Discovered, ...] = ()
    errors: tuple[str, ...] = ()
    gone: bool = False


@dataclass(slots=True, eq=False)
class _Scrape:
    planned: PlannedScrape
    frame: Frame
    metric_relabel: Relabelling
    sources: list[Source]
    since: float
    looked: set[Source] = field(default_factory=set)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    dirty: bool = True


class Seeker:
    """Tells `on_sought` the targets of a scrape whenever they may have changed, from a thread of its own."""

    def __init__(self, on_sought: Callable[[Sought], None]) -> None:
        self._on_sought = on_sought
        self._scrapes: dict[int, _Scrape] = {}
        self._held: dict[int, PlannedScrape] = {}  # what was planned last, unusable ones included
        self._busy: set[Source] = set()
        self._inbox: list[tuple[list[PlannedScrape], list[int]]] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="scrape-seek", daemon=True)
        self._stopping = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End without waiting for looks that hang."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def update(self, planned: list[PlannedScrape], removed: list[int]) -> None:
        """Take over what is planned."""
        with self._changed:
            self._inbox.append((planned, removed))
            for key in removed:
                self._held.pop(key, None)
            self._held.update((each.key, each) for each in planned)
            self._changed.notify()

    def held(self) -> dict[int, PlannedScrape]:
        """What is planned, as far as it was told."""
        with self._changed:
            return dict(self._held)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                inbox, self._inbox = self._inbox, []
            for planned, removed in inbox:
                for key in removed:
                    self._let_go(key)
                for each in planned:
                    self._survive(each, partial(self._take_over, each))
            now = time.monotonic()
            for scrape in self._scrapes.values():
                self._survive(scrape.planned, partial(self._go_on, scrape, now))
            with self._changed:
                if not self._inbox and not self._stopping and not self._found_something():
                    self._changed.wait(_LOOK_S)

    def _go_on(self, scrape: _Scrape, now: float) -> None:
        self._look(scrape, now)
        if scrape.dirty and self._complete(scrape, now):
            scrape.dirty = False
            self._tell(scrape)

    def _survive(self, planned: PlannedScrape, act: Callable[[], None]) -> None:
        """One scrape's defect must not stop the others: it is told as that scrape's error, and its targets stay."""
        try:
            act()
        except Exception as defect:
            log.exception("the scrape %s failed by a defect of ours", planned.name)
            told = f"it cannot be scraped: {str(defect) or type(defect).__name__}"
            kept = self._scrapes.get(planned.key)
            wanted = tuple(kept.wanted.values()) if kept is not None else ()
            self._on_sought(Sought(planned.key, planned.name, wanted, errors=(told,)))

    def _found_something(self) -> bool:
        now = time.monotonic()
        return any(scrape.dirty and self._complete(scrape, now) for scrape in self._scrapes.values())

    def _let_go(self, key: int) -> None:
        known = self._scrapes.pop(key, None)
        self._on_sought(Sought(key, known.planned.name if known is not None else "", gone=True))

    def _take_over(self, each: PlannedScrape) -> None:
        known = self._scrapes.get(each.key)
        scrape = _Scrape(
            each,
            Frame.of(each.name, each.settings, each.every_s, each.timeout_s, each.labels),
            Relabelling(each.settings.metric_relabel),
            sources_of(each.settings),
            time.monotonic(),
        )
        if known is not None:
            _keep_sources(scrape, known)
        self._scrapes[each.key] = scrape

    def _look(self, scrape: _Scrape, now: float) -> None:
        for source in scrape.sources:
            if source not in self._busy and len(self._busy) < LOOKS_AT_ONCE and source.due(now):
                with self._changed:
                    self._busy.add(source)
                # A daemon: an exit must not wait for a disk that never answers, as it would for an executor's.
                look = threading.Thread(
                    target=self._look_at, args=(scrape, source, now), name="scrape-look", daemon=True
                )
                look.start()

    def _look_at(self, scrape: _Scrape, source: Source, now: float) -> None:
        before = (source.found(), source.error)
        try:
            source.look(now)
        except Exception:
            log.exception("looking for the targets of %s failed by a defect of ours", scrape.planned.name)
        with self._changed:
            self._busy.discard(source)
            first = source not in scrape.looked
            scrape.looked.add(source)
            if first or (source.found(), source.error) != before:
                scrape.dirty = True
                self._changed.notify()

    @staticmethod
    def _complete(scrape: _Scrape, now: float) -> bool:
        waits = any(source not in scrape.looked and source.looks for source in scrape.sources)
        return not waits or now - scrape.since > _FIRST_LOOK_MOST_S

    def _tell(self, scrape: _Scrape) -> None:
        found = targets_of(scrape.frame, (each for source in scrape.sources for each in source.found()))
        errors = [source.error for source in scrape.sources if source.error] + list(found.errors)
        wanted: dict[str, Wanted] = {}
        for target in found.targets:
            known = scrape.wanted.get(target.identity)
            if known is not None and known.target == target:
                wanted[target.identity] = known
                continue
            try:
                plan = FetchPlan(target.url, scrape.frame.settings, target.timeout_s)
            except ValueError as error:
                errors.append(f"{target.labels.get('instance', '')}: {_first_line(error)}")
                continue
            wanted[target.identity] = Wanted(scrape.planned.key, scrape.frame, target, plan, scrape.metric_relabel)
        scrape.wanted = wanted
        self._on_sought(
            Sought(scrape.planned.key, scrape.planned.name, tuple(wanted.values()), found.dropped, tuple(errors))
        )


def _keep_sources(scrape: _Scrape, known: _Scrape) -> None:
    """Keep what was found at places that an edit did not touch."""
    kept = {source.place: source for source in known.sources}
    scrape.sources = [kept.get(source.place, source) for source in scrape.sources]
    scrape.looked = known.looked & set(scrape.sources)


def _first_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is not None:
        return str(errors(include_url=False, include_input=False)[0]["msg"]).removeprefix("Value error, ")
    return str(error)
