"""Real counterparts: a web server whose paths can be switched off, and a receiver that records what it is sent."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True


@dataclass
class Target:
    """A web server: `/<name>` answers 200, or 500 while `name` is in `down`. `asked` says when it was asked."""

    down: set[str] = field(default_factory=set)
    asked: list[float] = field(default_factory=list)
    port: int = 0
    _server: _Server | None = None

    def start(self) -> None:
        """Listen on a free port of the loopback."""
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target.asked.append(time.monotonic())
                failing = self.path.strip("/") in target.down
                body = b"failing" if failing else b"fine"
                self.send_response(500 if failing else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass(frozen=True)
class Page:
    """One message as it arrived."""

    at: float
    key: str
    event: str
    body: dict[str, Any]

    @property
    def alert(self) -> str:
        """The alert's name."""
        labels = self.body["alerts"][0]["labels"]
        return str(labels.get("check") or labels.get("alertname"))

    @property
    def status(self) -> str:
        """firing or resolved."""
        return str(self.body["status"])


@dataclass
class Receiver:
    """Records webhook messages. `start` and `stop` may be called again and again; the port stays."""

    port: int = 0
    pages: list[Page] = field(default_factory=list)
    delay_s: float = 0.0  # how long it takes over each
    _server: _Server | None = None

    def start(self) -> None:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                page = Page(time.time(), self.headers["Idempotency-Key"], self.headers["X-Mainstay-Event"], body)
                time.sleep(receiver.delay_s)
                receiver.pages.append(page)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the port: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
