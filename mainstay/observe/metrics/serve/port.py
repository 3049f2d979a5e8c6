"""The monitor's port: its own figures at `/metrics` for any scraper, the Prometheus API for our own processes."""

import hmac
import logging
import socket
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from mainstay.observe.metrics.serve.answers import Answer, failure

log = logging.getLogger("mainstay.monitor")
FORM_MOST_BYTES = 1_000_000
PREFIX = "/prometheus"
Respond = Callable[[str, dict[str, list[str]]], Answer]
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 413: "Content Too Large",
            422: "Unprocessable Content", 500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 60  # of a caller that says nothing

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: it is asked every few seconds."""


def serve(host: str, port: int, registry: CollectorRegistry, answer: Respond, token: str) -> WSGIServer:
    """Serve from threads of their own; return the server, to be shut down at the end.

    Args:
        answer: answers a path below `/prometheus` with its parameters.
        token: what a caller of it has to send as bearer.
    """
    figures = make_wsgi_app(registry)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(f"{PREFIX}/"):
            body: Iterable[bytes] = figures(environ, start_response)
            return body
        found = _answered(environ, path.removeprefix(PREFIX), answer, token)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(found.body)))]
        start_response(f"{found.status} {_REASONS.get(found.status, 'Other')}", headers)
        return [found.body]

    kind = _Server6 if ":" in host else _Server
    server = make_server(host, port, application, kind, handler_class=_Handler)
    Thread(target=server.serve_forever, name="port", daemon=True).start()
    return server


def _answered(environ: dict[str, Any], path: str, answer: Respond, token: str) -> Answer:
    given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
    if not hmac.compare_digest(given, f"Bearer {token}".encode()):
        return failure(401, "unauthorized", "this port answers Mainstay's own processes; ask the web process")
    parameters = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if environ.get("REQUEST_METHOD") == "POST":
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or len(length) > 9 or int(length) > FORM_MOST_BYTES:
            return failure(413, "bad_data", f"the form is longer than {FORM_MOST_BYTES:,} bytes")
        form = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
        for name, values in parse_qs(form, keep_blank_values=True).items():
            parameters.setdefault(name, []).extend(values)
    return answer(path, parameters)
