"""A real shop in a process of its own, on a free port, and a heartbeat receiver that remembers its pings."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from examples.shop import catalogue
from examples.shop.database import Database

ROOT = Path(__file__).parents[3]
DEADLINE_S = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


class RunningShop:
    """The shop as its users and its operator meet it: HTTP, signals, standard output, exit status."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-W", "error", "-m", "examples.shop", "--port", "0", "--data", str(data), *options]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines: list[dict[str, object]] = []
        self._fresh: queue.Queue[None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        opened = self.wait_for_line(msg="the shop is open")
        self.url = str(opened["url"])
        self.port = urlsplit(self.url).port or 0

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post_form(self, path: str, cookie: str = "", **fields: object) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
        return self.request("POST", path, urlencode(fields).encode(), headers)

    def faults(self, **changes: object) -> Answer:
        headers = {"Content-Type": "application/json"}
        return self.request("POST", "/faults", json.dumps(changes).encode(), headers)

    def metric(self, name: str) -> float:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"the metric {name} is absent")

    def wait_for_line(self, **wanted: object) -> dict[str, object]:
        """The first log line, past or to come, that has these values."""
        give_up_at = time.monotonic() + DEADLINE_S
        seen = 0
        while True:
            lines = list(self.lines)
            for line in lines[seen:]:
                if wanted.items() <= line.items():
                    return line
            seen = len(lines)
            left_s = give_up_at - time.monotonic()
            if left_s <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                raise AssertionError(f"no line with {wanted}; the log: {lines}")
            try:
                self._fresh.get(timeout=min(left_s, 0.2))
            except queue.Empty:
                continue

    def wait_for_exit(self) -> int:
        status = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return status

    def close(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait_for_exit()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"not json": text}
            self.lines.append(line)
            self._fresh.put(None)


StartShop = Callable[..., RunningShop]


@pytest.fixture
def start_shop(tmp_path: Path) -> Iterator[StartShop]:
    """Start shops on `tmp_path`, ended with the test."""
    running: list[RunningShop] = []

    def start(*options: str) -> RunningShop:
        running.append(RunningShop(tmp_path / "data", *options))
        return running[-1]

    yield start
    for shop in running:
        shop.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """One shop without faults for a whole file of tests; its job runs once."""
    running = RunningShop(tmp_path_factory.mktemp("shop"), "--every", "3600")
    yield running
    assert running.close() == 0
    assert not [line for line in running.lines if "not json" in line]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A seeded database without a shop around it."""
    opened = Database(tmp_path / "shop.sqlite3")
    catalogue.seed(opened)
    yield opened
    opened.close()


class PingRecorder:
    """Answers pings and remembers them as (path, body). `hang` makes it not answer until the test is over."""

    def __init__(self) -> None:
        self.pings: list[tuple[str, str]] = []
        self.hang = False
        self._over = threading.Event()
        self._arrived = threading.Condition()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                recorder._record(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/ping/stock"

    def wait_for(self, count: int) -> list[tuple[str, str]]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.pings) >= count, DEADLINE_S), self.pings
            return list(self.pings)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _record(self, path: str, body: str) -> None:
        with self._arrived:
            self.pings.append((path, body))
            self._arrived.notify_all()
        if self.hang:
            self._over.wait(DEADLINE_S)


@pytest.fixture
def recorder() -> Iterator[PingRecorder]:
    made = PingRecorder()
    yield made
    made.close()


@contextmanager
def held_write_lock(database: Database) -> Iterator[None]:
    """Another writer at work for the length of the block."""
    connection = database.connect(1.0)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()
