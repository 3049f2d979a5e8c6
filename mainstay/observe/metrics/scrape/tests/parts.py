"""Parts that tests of scraping share: a store that remembers, targets that expose what they are told to."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mainstay.observe.checks.kinds.tests.servers import Script, Server, answer, read_request
from mainstay.observe.metrics.promql.series import STALE, is_stale
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.state import PlannedScrape, TargetHealth, TargetState

TEXT = "text/plain; version=0.0.4"
Key = tuple[tuple[str, str], ...]
_TOO_SLOW = ("no answer came", "no connection to", "handshake did not finish")


class RecordingStore:
    """Keeps all samples, marks what a stream no longer has as ended, as the real one does."""

    def __init__(self) -> None:
        self.samples: dict[Key, list[tuple[int, float]]] = {}
        self.layouts = 0
        self.described: list[str] = []
        self.threads: set[str] = set()
        self._lock = threading.Lock()

    def layout(self, label_sets: Sequence[Mapping[str, str]], job: str) -> list[Key]:
        with self._lock:
            self.layouts += 1
        return [tuple(sorted(labels.items())) for labels in label_sets]

    def stream(self, key: str, job: str) -> "RecordingStream":
        return RecordingStream(self)

    def put_own_times(self, layout: list[Key], values: Any, times: Any, positions: Any) -> int:
        with self._lock:
            for place, at_ms, value in zip(positions.tolist(), times.tolist(), values.tolist(), strict=True):
                self.samples.setdefault(layout[place], []).append((at_ms, value))
        return len(positions)

    def describe(self, families: Any) -> None:
        self.described = [family.name for family in families]

    def of(self, name: str, **labels: str) -> list[tuple[int, float]]:
        """Return the samples of the one series with this name and (at least) these labels, stale markers as None."""
        wanted = {"__name__": name, **labels}.items()
        found = [rows for key, rows in list(self.samples.items()) if wanted <= dict(key).items()]
        assert len(found) <= 1, f"{len(found)} series of {name} {labels}"
        return list(found[0]) if found else []

    def keys(self, name: str) -> list[dict[str, str]]:
        return [dict(key) for key in list(self.samples) if dict(key)["__name__"] == name]


class RecordingStream:
    def __init__(self, store: RecordingStore) -> None:
        self._store = store
        self._last: list[Key] = []

    def put(self, at_ms: int, layout: list[Key], values: Any) -> int:
        store = self._store
        with store._lock:
            store.threads.add(threading.current_thread().name)
            for key, value in zip(layout, values.tolist(), strict=True):
                store.samples.setdefault(key, []).append((at_ms, value))
            for key in set(self._last) - set(layout):
                store.samples[key].append((at_ms, STALE))
            self._last = layout
            return len(layout)

    def end(self, at_ms: int) -> None:
        with self._store._lock:
            for key in self._last:
                self._store.samples[key].append((at_ms, STALE))
            self._last = []


def stale(value: float) -> bool:
    return bool(is_stale(np.array([value]))[0])


def exposing(body: Callable[[], str] | str, content_type: str = TEXT, seen: list[bytes] | None = None) -> Script:
    """A target that answers every request on a connection with what `body` says then."""

    def script(connection: Any) -> None:
        while True:
            request = read_request(connection)
            if not request:
                return
            if seen is not None:
                seen.append(request)
            text = body if isinstance(body, str) else body()
            connection.sendall(answer(200, text.encode(), f"Content-Type: {content_type}\r\n"))

    return script


def planned(
    key: int, *servers: Server | str, every_s: float = 0.2, timeout_s: float = 0.2, **settings: Any
) -> PlannedScrape:
    addresses = [server if isinstance(server, str) else f"{server.host}:{server.port}" for server in servers]
    labels = settings.pop("labels", {})
    name = settings.pop("name", f"job{key}")
    if addresses:
        settings["targets"] = addresses
    return PlannedScrape(key, name, ScrapeSettings.model_validate(settings), every_s, timeout_s, labels)


def until(condition: Callable[[], Any], timeout_s: float = 8.0, what: str = "") -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, what or "it did not come to pass"
        time.sleep(0.01)


def all_scraped(scraper: Scraper) -> list[TargetState]:
    """Wait until every target was scraped, however often the others were meanwhile, and return their states."""
    until(lambda: scraper.targets() and TargetHealth.UNKNOWN not in {state.health for state in scraper.targets()})
    return list(scraper.targets())


def only(scraper: Scraper) -> TargetState:
    (state,) = scraper.targets()
    return state


def settled(scraper: Scraper) -> TargetState:
    """Wait until the one target has answered, and return its state.

    A busy machine may not answer within these short timeouts at first: the next scrape comes at once.
    """
    until(lambda: not any(words in all_scraped(scraper)[0].error for words in _TOO_SLOW))
    return only(scraper)
