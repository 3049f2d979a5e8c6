"""The background job: reconciles the stock every few seconds and reports to its heartbeat."""

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass

from examples.shop.database import Database, PoolExhaustedError
from examples.shop.faults import Faults
from examples.shop.heartbeat import Heartbeat
from examples.shop.instruments import Instruments
from examples.shop.logs import fields
from examples.shop.stock import reconcile

NAME = "reconcile-stock"
LATE_AFTER_INTERVALS = 3

log = logging.getLogger("shop.job")


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Times are unix seconds; None means never since the start of the process."""

    last_run_at: float | None
    last_success_at: float | None
    late: bool


class Job:
    """Runs in its own thread, so neither a slow run nor a slow heartbeat holds up the shop."""

    def __init__(
        self, database: Database, heartbeat: Heartbeat, faults: Faults, instruments: Instruments, every_s: float
    ) -> None:
        self.every_s = every_s
        self._database = database
        self._heartbeat = heartbeat
        self._faults = faults
        self._instruments = instruments
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

    def status(self, now: float) -> JobStatus:
        due_since = self._last_success_at or self._started_at
        late = now - due_since > LATE_AFTER_INTERVALS * self.every_s
        return JobStatus(self._last_run_at, self._last_success_at, late)

    def run_once(self, now: float) -> bool:
        """One run with its pings; True if it succeeded."""
        started = time.perf_counter()
        self._last_run_at = now
        self._heartbeat.started()
        try:
            result = reconcile(self._database, now)
        except (sqlite3.Error, PoolExhaustedError) as problem:
            log.exception("job failed", extra=fields(job=NAME, duration_ms=_milliseconds_since(started)))
            self._instruments.job_runs.add(job=NAME, result="failure")
            self._heartbeat.failed(f"{type(problem).__name__}: {problem}")
            return False
        took_ms = _milliseconds_since(started)
        log.info("job done", extra=fields(job=NAME, duration_ms=took_ms, result=str(result)))
        self._last_success_at = now
        self._instruments.job_runs.add(job=NAME, result="success")
        self._instruments.job_last_success.set(now, job=NAME)
        self._heartbeat.succeeded(f"{result} in {took_ms:g} ms")
        return True

    def _run_until_stopped(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            if not self._faults.active("stopped_job"):
                self.run_once(time.time())
            self._stopping.wait(max(0.0, self.every_s - (time.monotonic() - begun)))


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
