"""A server that speaks the Prometheus API on loopback, says what a test tells it to, and remembers what it was asked.

It evaluates nothing: an expression gives what was said for it. Of what pages put around an expression, it knows
`count((…))`, `topk(n, (…))`, `bottomk(n, (…))`, `max((…))` and `min((…))`.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mainstay.observe.metrics.client import Client, Server
from mainstay.observe.metrics.pages import asking, explore_views, signals_views

Value = float | Callable[[float], float | None]
Vector = list[tuple[dict[str, str], Value]]
_AROUND = re.compile(r"(count|topk|bottomk|max|min)\((?:(\d+), )?\(\n(.*)\n\)\)", re.DOTALL)


@dataclass
class Speaker:
    """What it says, and what it was asked."""

    url: str = ""
    vectors: dict[str, Vector] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    def says(self, expression: str, vector: Vector) -> None:
        """Let an expression give these series: numbers, or functions of the time that give None where nothing is."""
        self.vectors[_plain(expression)] = vector

    def questions(self, path: str) -> list[str]:
        """Return the expressions that were asked at a path: query, query_range."""
        return [given["query"][0] for asked, given in self.asked if asked == f"/api/v1/{path}"]

    def answer(self, path: str, given: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        self.asked.append((path, given))
        name = path.removeprefix("/api/v1/")
        if name in {"query", "query_range"}:
            return self._evaluated(name, given)
        if name == "metadata":
            return _success(self.metadata)
        if name == "labels":
            return _success(sorted(self.labels))
        if name == "label/__name__/values":
            return _success(self.names)
        if name.startswith("label/"):
            return _success(self.labels.get(name.split("/")[1], []))
        return 404, {"status": "error", "errorType": "not_found", "error": "nothing here"}

    def _evaluated(self, name: str, given: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        text = given["query"][0]
        for broken, message in self.errors.items():
            if broken in text:
                return 400, {"status": "error", "errorType": "bad_data", "error": message}
        if name == "query":
            at = float(given.get("time", ["1795680000"])[0])
            rows = [{"metric": labels, "value": [at, str(value)]} for labels, value in self._at(text, at)]
            return _success({"resultType": "vector", "result": rows})
        start, end, step = (float(given[key][0]) for key in ("start", "end", "step"))
        found: dict[str, dict[str, Any]] = {}
        for index in range(round((end - start) / step) + 1):
            at = start + index * step
            for labels, value in self._at(text, at):
                row = found.setdefault(json.dumps(labels, sort_keys=True), {"metric": labels, "values": []})
                row["values"].append([at, str(value)])
        return _success({"resultType": "matrix", "result": list(found.values())})

    def _at(self, text: str, at: float) -> list[tuple[dict[str, str], float]]:
        around = _AROUND.fullmatch(text.strip())
        if around is not None:
            name, number, inner = around.groups()
            rows = sorted(self._at(inner, at), key=lambda row: row[1], reverse=name in {"topk", "max"})
            if name == "count":
                return [({}, float(len(rows)))] if rows else []
            if name in {"max", "min"}:
                return [({}, rows[0][1])] if rows else []
            return rows[: int(number)]
        rows = []
        for labels, value in self.vectors.get(_plain(text), []):
            here = value(at) if callable(value) else value
            if here is not None:
                rows.append((labels, here))
        return rows


def _plain(text: str) -> str:
    return " ".join(text.split())


def _success(data: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"status": "success", "data": data}


@contextmanager
def speaking() -> Iterator[Speaker]:
    """Run a speaker for the length of a `with`."""
    speaker = Speaker()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._reply(parts.path, parts.query)

        def do_POST(self) -> None:
            self._reply(urlsplit(self.path).path, self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _reply(self, path: str, query: str) -> None:
            status, document = speaker.answer(path, parse_qs(query))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    speaker.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield speaker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def asked_by_pages(patch: pytest.MonkeyPatch, url: str, *forget: Callable[[], None]) -> Iterator[None]:
    """Let the pages ask the server at `url`, and remember nothing of before. `forget`: what else is to forget."""
    one = Client(Server(url, timeout_s=5))
    patch.setattr(asking, "client", lambda: one)
    every = (explore_views.forget, signals_views.forget, *forget)
    for memory in every:
        memory()
    yield
    for memory in every:
        memory()
