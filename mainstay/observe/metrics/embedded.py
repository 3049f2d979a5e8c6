"""The embedded store in a monitor: what feeds it (scrapes, the host, checks), what asks it, and whose turn it is.

Of several monitors one has the store: the one that holds the first shard. Its files are on its disk, so monitors on
several hosts want METRICS_URL.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from mainstay.foundation import gaps
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes import notices
from mainstay.foundation.secrets import scrape_token, secret_key
from mainstay.net.policy import policy
from mainstay.observe.checks.runtime.holding import changes
from mainstay.observe.metrics.backup import COPY_PATH, FOLDER, copied_name
from mainstay.observe.metrics.exposition import Family
from mainstay.observe.metrics.host.collect import HostMetrics
from mainstay.observe.metrics.planned import Plans
from mainstay.observe.metrics.probes import LatestProbes, ProbeSeries, Seen
from mainstay.observe.metrics.scrape.document import targets_document
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.state import PlannedScrape, TargetState
from mainstay.observe.metrics.serve.answers import Answer, Prometheus, failure
from mainstay.observe.metrics.serve.targets import metadata, pools, targets
from mainstay.observe.metrics.store import Coverage, Missing, Store, StoreLimits

log = logging.getLogger("mainstay.metrics")
FILE_NOTICE = "metrics-file"
HOST_EVERY_S = 15.0
ITSELF = 0  # key of the scrape that no record describes
STOP_S = 2.0
PATIENCE_S = 60.0  # how long rules wait for the first scrape of every target after a start


class Embedded:
    """The store of this monitor, while it is this monitor's turn. Any thread may ask; cycles open and feed it."""

    def __init__(self, environment: Environment, clock: Callable[[], datetime]) -> None:
        self._environment = environment
        self._clock = clock
        self._turn = threading.Lock()  # of opening
        self._lock = threading.Lock()  # of what feeds it
        self._host_at = 0.0
        self._opened_at = 0.0  # monotonic: of opening, or when the clock was set …
        self._fresh_from = 0.0  # … and unix seconds then: what was scraped before does not count
        self._gaps = gaps.detector.follow()
        self._checks: dict[int, tuple[str, str, Mapping[str, str]]] = {}
        self._versions: dict[int, int] = {}
        self.coverage: Coverage | None = None  # of the store that was opened last
        self.store: Store | None = None
        self.scraper: Scraper | None = None
        self._probes: ProbeSeries | None = None
        self.latest = LatestProbes() if environment.metrics_url else None  # for the server that keeps samples instead
        self._host: HostMetrics | None = None
        self._plans = Plans()
        self._own: dict[int, PlannedScrape] = {}  # scrapes that no record describes
        self._prometheus: Prometheus | None = None
        self._error = ""

    # --- whose turn it is ----------------------------------------------------------------------------------------

    def hold(self, *, mine: bool) -> None:
        """Open the store when it is this monitor's turn, close it when it is not any more."""
        with self._turn:  # two cycles ask
            if mine and self.store is None:
                self._open()
            elif not mine and self.store is not None:
                self.close()

    def _open(self) -> None:
        settings = self._environment
        limits = StoreLimits(
            series=settings.metrics_series_most,
            series_of_job=settings.metrics_series_most,
            raw_ms=int(settings.metrics_kept_s * 1000),
            memory_bytes=settings.metrics_memory_most_bytes,
            disk_bytes=settings.metrics_disk_most_bytes,
        )
        try:
            for left in (settings.home / FOLDER).glob(copied_name("*")):  # by a backup that was cut off
                left.unlink(missing_ok=True)
            store = Store(settings.home / FOLDER, limits)
        except OSError as error:  # another monitor is just closing it, or the disk is full: tried again in two seconds
            if str(error) != self._error:
                log.error("the metrics store cannot be opened: %s", error)
            self._error = str(error)
            return
        self._error = ""
        try:
            self._begin(store)
        except BaseException:  # else the files stay locked by nobody who uses them, and it is never opened again
            self.store = store
            self.close()
            raise

    def _begin(self, store: Store) -> None:
        probes = ProbeSeries(store)
        with self._lock:
            for check, (kind, target, labels) in self._checks.items():
                probes.hold(check, kind, target, labels)
            self._probes = probes
        self._plans = Plans()
        self._own = {one.key: one for one in self._itself()}
        self._host = HostMetrics(store)
        self._prometheus = Prometheus(
            store,
            now_ms=lambda: round(self._clock().timestamp() * 1000),
            seconds=time.monotonic,
            extra={
                "targets": lambda asked: targets(self._targets(), asked),
                "targets/metadata": lambda asked: metadata(self._families(), asked),
                "scrape_pools": lambda _asked: pools(self._targets()),
            },
        )
        self.scraper = Scraper(policy(self._environment), store)
        self.scraper.start()
        self._opened_at, self._fresh_from = time.monotonic(), 0.0
        self.coverage = Coverage.at(round(self._clock().timestamp() * 1000), store.newest_ms)
        self.store = store
        log.info("keeping metrics: %d series known", store.figures().series)

    def close(self) -> None:
        """End scraping and close the store. No series ends: whoever opens it next goes on with them."""
        scraper, store = self.scraper, self.store
        self.store = self.scraper = self._host = self._prometheus = None
        with self._lock:
            self._probes = None
        if scraper is not None:
            scraper.stop(STOP_S)
        if store is not None:
            store.close()

    # --- what feeds it -------------------------------------------------------------------------------------------

    def known(self) -> dict[int, int]:
        """Return the checks that are known, each with the version that was told."""
        with self._lock:
            return dict(self._versions)

    def know(self, check: int, kind: str, target: str, labels: Mapping[str, str], version: int = 0) -> None:
        """Know a check whose results will come."""
        with self._lock:
            self._checks[check] = (kind, target, labels)
            if self.latest is not None:
                self.latest.hold(check, kind, target, labels)
            if self._probes is not None:
                self._probes.hold(check, kind, target, labels)
            self._versions[check] = version  # last: had anything failed, it would be told again

    def forget(self, checks: Iterable[int], now: datetime) -> None:
        """Let go of checks."""
        gone = list(checks)
        with self._lock:
            for check in gone:
                self._checks.pop(check, None)
            if self.latest is not None:
                self.latest.drop(gone)
            if self._probes is not None:
                self._probes.drop(gone, now)
            for check in gone:
                self._versions.pop(check, None)

    def hear(self, seen: Iterable[Seen]) -> None:
        """Take results of checks that have been recorded."""
        with self._lock:
            if self.latest is not None:
                self.latest.take(seen)
            elif self._probes is not None:
                self._probes.take(seen)

    def cycle(self, now: datetime, _process: int) -> None:
        """Keep the store, look for changed scrapes, measure the host; once a second."""
        store, scraper, host = self.store, self.scraper, self._host
        if store is None or scraper is None or host is None:
            return
        wanted = {**self._plans.wanted(now), **self._own}
        found = changes(wanted, scraper.held())
        if found.put or found.drop:
            scraper.update([wanted[key] for key in found.put], found.drop)
        if abs(now.timestamp() - self._host_at) >= HOST_EVERY_S:
            self._host_at = now.timestamp()
            host.put(self._host_at)
        store.tick(round(now.timestamp() * 1000))
        _tell(store.missing, now)

    def _itself(self) -> list[PlannedScrape]:
        """Mainstay scrapes itself, where the policy lets it."""
        settings, addresses = self._environment, policy(self._environment)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
        if addresses.check_host(host):
            return []
        shown = f"[{host}]" if ":" in host else host
        targets = [f"{shown}:{port}" for port in (settings.port, settings.monitor_port)]
        token = scrape_token(secret_key(settings))
        given = {"targets": targets, "bearer": token, "follow_redirects": False}
        return [PlannedScrape(ITSELF, "mainstay", ScrapeSettings.model_validate(given), 15.0, 10.0)]

    # --- what asks it --------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether every target has been scraped since the store was opened, or the clock was set, or the machine slept.

        Before, missing series mean nothing.
        """
        scraper = self.scraper
        if scraper is None:
            return False
        targets = scraper.targets()
        if any(gap.kind in {gaps.Kind.JUMPED, gaps.Kind.STOOD_STILL} for gap in self._gaps.new()):
            # The second scrape after it counts: of one alone no rate can be told.
            pause_s = min(max((target.every_s for target in targets), default=0.0), PATIENCE_S / 2)
            self._opened_at, self._fresh_from = time.monotonic(), self._clock().timestamp() + pause_s
        if time.monotonic() - self._opened_at > PATIENCE_S:
            return True
        return self._plans.asked and all(self._is_fresh(target.last_at) for target in targets)

    def _is_fresh(self, last_at: float | None) -> bool:
        if last_at is None or not self._fresh_from:
            return last_at is not None
        return self._fresh_from <= last_at <= self._clock().timestamp() + 1.0

    def answer(self, path: str, parameters: dict[str, list[str]]) -> Answer:
        """Answer a request of the Prometheus API."""
        if path == COPY_PATH:
            return self._copy(parameters)
        prometheus = self._prometheus
        if prometheus is None:
            why = self._error or "this monitor has no store of metrics"
            return failure(503, "unavailable", why)
        return prometheus.answer(path, parameters)

    def _copy(self, parameters: dict[str, list[str]]) -> Answer:
        """Leave a copy of history in the store's folder, for a backup. What it holds is what a reader would see now."""
        store, (token, *_) = self.store, parameters.get("token", [""])
        if store is None:
            return failure(503, "unavailable", "this monitor has no store of metrics")
        if not re.fullmatch(r"[0-9a-f]{16}", token):
            return failure(400, "bad_data", "a token is 16 hexadecimal digits")
        try:
            store.copy_history(self._environment.home / FOLDER / copied_name(token))
        except OSError as error:
            return failure(500, "internal", str(error))
        return Answer(200, b'{"status":"success"}')

    def lag_s(self) -> float:
        """Return how late the scraper's loop is."""
        scraper = self.scraper
        return scraper.lag_s() if scraper is not None else 0.0

    def waiting_s(self) -> float:
        """Return for how long a scrape that is due has waited for a place."""
        scraper = self.scraper
        return scraper.waiting_s() if scraper is not None else 0.0

    def _targets(self) -> dict[str, Any]:
        scraper = self.scraper
        if scraper is None:
            return targets_document((), ())
        return targets_document(scraper.targets(), scraper.scrapes(), self._plans.unusable)

    def _families(self) -> list[tuple[TargetState, tuple[Family, ...]]]:
        scraper = self.scraper
        return scraper.families() if scraper is not None else []


def _tell(missing: Missing | None, now: datetime) -> None:
    """Say that a file of the store was not there any more."""
    if missing is None:
        notices.end(FILE_NOTICE)
    elif missing.error:
        notices.tell(
            FILE_NOTICE,
            f"{missing.what} was deleted or replaced while in use",
            f"It cannot be written anew: {missing.error}. What it holds is lost when the monitor ends.",
            now,
            grave=True,
        )
    else:
        notices.tell(
            FILE_NOTICE,
            f"{missing.what} was deleted or replaced while in use",
            "It was written anew, and nothing is missing. Leave the directory metrics/ to Mainstay alone.",
            now,
        )
