"""The shop as one callable: a request in, a response out, measured and logged."""

import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from examples.shop import logs, pages
from examples.shop.database import PoolExhaustedError
from examples.shop.faults import Faults
from examples.shop.instruments import Instruments
from examples.shop.logs import fields
from examples.shop.messages import RefusalError, Request, Response, html_response, problem_response

access_log = logging.getLogger("shop.access")
log = logging.getLogger("shop.errors")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Handler = Callable[[Request, re.Match[str]], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """`name` labels the metrics. Faults strike only what is `for_customers`."""

    method: str
    pattern: re.Pattern[str]
    name: str
    handler: Handler
    for_customers: bool = True


def route(method: str, pattern: str, name: str, handler: Handler, *, for_customers: bool = True) -> Route:
    return Route(method, re.compile(pattern), name, handler, for_customers)


class Application:
    def __init__(
        self, routes: Sequence[Route], faults: Faults, instruments: Instruments, stopping: threading.Event
    ) -> None:
        self._routes = tuple(routes)
        self._faults = faults
        self._instruments = instruments
        self._stopping = stopping

    def respond(self, request: Request) -> Response:
        """Answer one request. Never raises: whatever goes wrong is logged with its stack and becomes a 5xx."""
        started = time.perf_counter()
        name = "unmatched"
        token = logs.request_id.set(request.request_id)
        try:
            try:
                found, match = self._find(request)
                name = found.name
                if found.for_customers:
                    self._stopping.wait(self._faults.strike())
                response = found.handler(request, match)
            except RefusalError as refusal:
                response = _error(request, refusal.status, refusal.detail, refusal.headers)
            except Exception as problem:
                log.exception("request failed", extra=fields(path=request.path))
                response = _failure(request, problem)
            self._account(name, request.method, request.path, response.status, time.perf_counter() - started)
        finally:
            logs.request_id.reset(token)
        return response

    def refuse(self, status: int, detail: str, request_id: str, method: str = "", path: str = "") -> Response:
        """The answer to bytes that never became a Request (bad syntax, too large, too slow)."""
        token = logs.request_id.set(request_id)
        try:
            self._account("refused", method, path, status, 0.0)
        finally:
            logs.request_id.reset(token)
        return problem_response(status, HTTPStatus(status).phrase, detail, request_id)

    def _find(self, request: Request) -> tuple[Route, re.Match[str]]:
        method = "GET" if request.method == "HEAD" else request.method
        allowed: list[str] = []
        for candidate in self._routes:
            match = candidate.pattern.fullmatch(request.path)
            if match and candidate.method == method:
                return candidate, match
            if match:
                allowed.append(candidate.method)
        if not allowed:
            raise RefusalError(404, "There is no such page.")
        if "GET" in allowed:
            allowed.append("HEAD")
        raise RefusalError(405, f"This address does not take {request.method[:20]}.", (("Allow", ", ".join(allowed)),))

    def _account(self, name: str, method: str, path: str, status: int, duration_s: float) -> None:
        known_method = method if method in _METHODS else "other"
        self._instruments.requests.add(handler=name, method=known_method, code=str(status))
        self._instruments.request_duration.observe(duration_s, handler=name)
        access_log.log(
            logging.ERROR if status >= 500 else logging.INFO,
            "request answered",
            extra=fields(method=method, path=path, status=status, duration_ms=round(duration_s * 1000, 2)),
        )


def _failure(request: Request, problem: Exception) -> Response:
    # The code is absent on errors raised by Python's module itself; its low byte is the primary one.
    code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    busy = isinstance(problem, sqlite3.OperationalError) and code == sqlite3.SQLITE_BUSY
    if busy or isinstance(problem, PoolExhaustedError):
        return _error(request, 503, "We are busy at the moment. Please try again shortly.", (("Retry-After", "2"),))
    return _error(request, 500, "Something broke on our side. Please try again shortly.")


def _error(request: Request, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    title = HTTPStatus(status).phrase
    if request.path.startswith(("/api/", "/faults", "/health")):
        problem = problem_response(status, title, detail, request.request_id)
        return Response(status, problem.body, problem.content_type, headers)
    return html_response(pages.error(status, title, detail, request.request_id), status, headers)
