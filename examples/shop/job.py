"""The background job: reconciles the stock every few seconds and pings its heartbeat check."""

import http.client
import logging
import sqlite3
import threading
import time
import urllib.request
from datetime import UTC, datetime

from examples.shop import __version__, metrics
from examples.shop.database import Database
from examples.shop.faults import Faults
from examples.shop.logs import fields
from examples.shop.orders import reconcile

NAME = "reconcile-stock"
LATE_AFTER_INTERVALS = 3
PING_TIMEOUT_S = 3.0
NOTE_MAX_BYTES = 10_000

log = logging.getLogger("shop.job")


def ping(url: str, note: str = "") -> None:
    """Ping as Healthchecks takes it. A monitor that does not answer is logged and never disturbs the job."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": f"harbour-shop/{__version__}"}
    request = urllib.request.Request(url, note.encode()[:NOTE_MAX_BYTES], headers, method="POST")
    # Pings go straight to the monitor: a proxy for the outside world seldom knows the way to loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PING_TIMEOUT_S) as answer:
            answer.read(NOTE_MAX_BYTES)
    except (OSError, http.client.HTTPException) as problem:
        log.warning("the heartbeat could not be delivered", extra=fields(url=url, reason=str(problem)))


class Job:
    """Runs in its own thread, so neither a slow run nor a slow heartbeat holds up the shop.

    `heartbeat` is the ping URL of its check, or "" to ping nobody.
    """

    def __init__(self, database: Database, heartbeat: str, faults: Faults, every_s: float) -> None:
        self._every_s = every_s
        self._database = database
        self._heartbeat = heartbeat.rstrip("/")
        self._faults = faults
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_until_stopped, name=NAME, daemon=True)
        self._started_at = time.time()
        self._last_run_at: float | None = None
        self._last_success_at: float | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait_s: float) -> None:
        """Let a run that has begun end, for at most `wait_s`."""
        self._stopping.set()
        self._thread.join(wait_s)

    def status(self, now: float) -> dict[str, object]:
        """As `GET /health` shows it. Times are null when there was none since the start of the process."""
        due_since = self._last_success_at or self._started_at
        late = now - due_since > LATE_AFTER_INTERVALS * self._every_s
        return {
            "name": NAME,
            "status": "late" if late else "ok",
            "every_s": self._every_s,
            "last_run_at": iso(self._last_run_at),
            "last_success_at": iso(self._last_success_at),
        }

    def run_once(self, now: float) -> bool:
        """One run with its pings; True if it succeeded."""
        started = time.perf_counter()
        self._last_run_at = now
        self._ping("/start")
        try:
            result = reconcile(self._database, now)
        except sqlite3.Error as problem:
            log.exception("job failed", extra=fields(job=NAME))
            metrics.JOB_RUNS.labels(NAME, "failure").inc()
            self._ping("/fail", f"{type(problem).__name__}: {problem}")
            return False
        took_ms = round((time.perf_counter() - started) * 1000, 1)
        log.info("job done", extra=fields(job=NAME, duration_ms=took_ms, result=result))
        self._last_success_at = now
        metrics.JOB_RUNS.labels(NAME, "success").inc()
        metrics.JOB_LAST_SUCCESS.labels(NAME).set(now)
        self._ping("", f"{result} in {took_ms:g} ms")
        return True

    def _ping(self, suffix: str, note: str = "") -> None:
        if self._heartbeat:
            ping(self._heartbeat + suffix, note)

    def _run_until_stopped(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            if not self._faults.active("stopped_job"):
                self.run_once(time.time())
            self._stopping.wait(max(0.0, self._every_s - (time.monotonic() - begun)))


def iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
