"""What those who run the shop see: health, metrics and the switches of the faults."""

import ipaddress
import logging
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from examples.shop import __version__, carts, faults, job, metrics, process
from examples.shop.application import Route, route
from examples.shop.database import Database, Session
from examples.shop.faults import FaultError, Faults
from examples.shop.instruments import Instruments
from examples.shop.job import Job
from examples.shop.messages import RefusalError, Request, Response, json_response

HEALTH_LOCK_WAIT_S = 0.5

log = logging.getLogger("shop.operations")


class Operations:
    """Uses connections of its own, so that a busy shop cannot starve its own monitoring."""

    def __init__(self, database: Database, job: Job, faults: Faults, instruments: Instruments) -> None:
        self._database = database
        self._job = job
        self._faults = faults
        self._instruments = instruments

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", r"/health", "health", self.health, for_customers=False),
            route("GET", r"/metrics", "metrics", self.metrics, for_customers=False),
            route("GET", r"/faults", "faults", self.show_faults, for_customers=False),
            route("POST", r"/faults", "faults_change", self.change_faults, for_customers=False),
        )

    def health(self, request: Request, _: re.Match[str]) -> Response:
        """ok; degraded (200) while the job is late; down (503) while the database cannot be written."""
        now = time.time()
        status = self._job.status(now)
        database: dict[str, object]
        try:
            took_s = self._database.check(HEALTH_LOCK_WAIT_S)
            database = {"status": "ok", "duration_ms": round(took_s * 1000, 2)}
            overall = "degraded" if status.late else "ok"
        except sqlite3.Error as problem:
            log.warning("the database check failed: %s", problem)
            database = {"status": "down", "reason": str(problem)}
            overall = "down"
        document = {
            "status": overall,
            "version": __version__,
            "uptime_s": round(now - process.STARTED_AT, 3),
            "database": database,
            "job": {
                "name": job.NAME,
                "status": "late" if status.late else "ok",
                "every_s": self._job.every_s,
                "last_run_at": _iso(status.last_run_at),
                "last_success_at": _iso(status.last_success_at),
            },
        }
        return json_response(document, 503 if overall == "down" else 200)

    def metrics(self, request: Request, _: re.Match[str]) -> Response:
        try:
            with closing(self._database.connect(HEALTH_LOCK_WAIT_S)) as connection:
                session = Session(
                    connection, lambda name, took_s: self._instruments.query_duration.observe(took_s, query=name)
                )
                self._instruments.cart_size.set(carts.units_in_all_carts(session))
        except sqlite3.Error as problem:
            log.warning("the carts could not be counted: %s", problem)
        return Response(200, self._instruments.scrape(), metrics.CONTENT_TYPE)

    def show_faults(self, request: Request, _: re.Match[str]) -> Response:
        return json_response(self._faults.report())

    def change_faults(self, request: Request, _: re.Match[str]) -> Response:
        _require_this_machine(request)
        document = request.json()
        try:
            ends = self._faults.change(faults.parse_changes(document))
        except FaultError as problem:
            raise RefusalError(400, str(problem)) from problem
        return json_response(self._faults.report(), after_sent=faults.crash if ends else None)


def _require_this_machine(request: Request) -> None:
    # A proxy on this machine connects from loopback for the whole world, so forwarded requests are refused too; a
    # Host that is a name of elsewhere means that a page in a browser was led here (DNS rebinding).
    host = _host_name(request.headers.get("host", ""))
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if not _is_loopback(request.peer) or forwarded or not (host == "localhost" or _is_loopback(host)):
        raise RefusalError(403, "Faults can be changed only from this machine, at http://127.0.0.1.")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
