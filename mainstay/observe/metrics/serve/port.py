"""The monitor's port: `/metrics` for scrapers with a token, the Prometheus API for our own processes.

Clients are kept within the bounds that the web process has, by the same means (`foundation/http`).
"""

import logging
import socket
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from mainstay.foundation.http.bodies import Bodies, Receive, Refusal, Scope, Send
from mainstay.foundation.http.bodies import answer as send_answer
from mainstay.foundation.http.connections import Limits, Server
from mainstay.foundation.http.pool import Known, Pool, vouch
from mainstay.foundation.http.turns import Turns
from mainstay.foundation.processes.watchdog import Turn
from mainstay.foundation.secrets import bears
from mainstay.observe.metrics.serve.answers import Answer, failure

log = logging.getLogger("mainstay.monitor")
FORM_MOST_BYTES = 1_000_000
PREFIX = "/prometheus"
THREADS = 6
STOP_WITHIN_S = 1.0
Respond = Callable[[str, dict[str, list[str]]], Answer]
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 413: "Content Too Large",
            422: "Unprocessable Content", 500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


class Port:
    """A server in a thread of its own, listening from the beginning.

    Args:
        registry: the figures.
        answer: answers a path below `/prometheus` with its parameters.
        token: what a caller of it has to send as bearer.
        may_scrape: tells from an Authorization header whether its sender may read the figures.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        answer: Respond,
        token: str,
        may_scrape: Callable[[str], bool],
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        turns = Turns(THREADS, each=THREADS - 2, waiting=200, wait_s=30.0)
        figures = make_wsgi_app(registry)

        def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            path = str(environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
            if path.startswith(f"{PREFIX}/"):
                found = _answered(environ, path.removeprefix(PREFIX), answer, token)
            else:
                refused = _refused(environ, may_scrape)
                if refused is None:
                    body: Iterable[bytes] = figures(environ, start_response)
                    return body
                found = refused
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(found.body)))]
            if found.status == 401:
                headers.append(("WWW-Authenticate", "Bearer"))
            start_response(f"{found.status} {_REASONS.get(found.status, 'Other')}", headers)
            return [found.body]

        self._pool = Pool(application, "port", THREADS, turns, Bodies(limits, FORM_MOST_BYTES), Known())
        self._server = Server(self._serve, host, port, limits)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=socket.SOMAXCONN)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="port", daemon=True)
        self._thread.start()

    def lag_s(self) -> float:
        """Return for how long its loop has not come round."""
        return self._server.lag_s()

    def turn(self, patience_s: float) -> Turn:
        """What its threads do at this moment, for the watchdog."""
        return self._pool.turn(patience_s)

    def stop(self) -> None:
        """Answer no more."""
        self._server.end()
        self._thread.join(STOP_WITHIN_S)
        self._pool.stop()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._pool(scope, receive, send)
        except Refusal as refusal:
            kind = "unavailable" if refusal.status == 503 else "bad_data"
            body = orjson.dumps({"status": "error", "errorType": kind, "error": refusal.text})
            close = refusal.status in {408, 413}
            await send_answer(send, refusal.status, body, b"application/json", close=close)


def _refused(environ: dict[str, Any], may_scrape: Callable[[str], bool]) -> Answer | None:
    try:
        allowed = may_scrape(environ.get("HTTP_AUTHORIZATION", ""))
    except Exception as error:  # noqa: BLE001  # whatever keeps a token from being looked up: the database is away
        log.error("a scraper's token cannot be checked: %s", error)
        return failure(503, "unavailable", "the token cannot be checked: the database does not answer")
    if not allowed:
        return failure(401, "unauthorized", "send a token that may see operations: Authorization: Bearer <token>")
    vouch(environ)
    return None


def _answered(environ: dict[str, Any], path: str, answer: Respond, token: str) -> Answer:
    if not bears(environ.get("HTTP_AUTHORIZATION", ""), token):
        return failure(401, "unauthorized", "this port answers Mainstay's own processes; ask the web process")
    vouch(environ)
    parameters = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if environ.get("REQUEST_METHOD") == "POST":
        form = parse_qs(environ["wsgi.input"].read().decode("utf-8", "replace"), keep_blank_values=True)
        for name, values in form.items():
            parameters[name] = [*values, *parameters.get(name, ())]  # Go reads the form first
    return answer(path, parameters)
