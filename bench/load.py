"""A bounded load of GET requests from a process of its own: `python -m bench.load < request.json > answer.json`.

Either as fast as `connections` allow, or at a fixed `rate`; then latency counts from when a request was due, so a
server that stalls cannot hide it. Each connection is used again, or (`fresh`) serves one request.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from bench.machine import quantile
from bench.target import new_loop

GIVE_UP_S = 10.0  # after the end of the load, for answers still out


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to do. `paths` are asked in turn; answers with `needle` in them are counted."""

    port: int
    paths: Sequence[str]
    duration_s: float
    connections: int = 32
    rate: float | None = None
    fresh: bool = False
    needle: str = ""


@dataclass(slots=True)
class Answered:
    """What came of it. Latencies in milliseconds."""

    ok: int = 0
    refused: int = 0  # answered, but not with 200
    broken: int = 0  # not answered
    needles: int = 0
    wall_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    most_ms: float = 0.0
    cpu_s: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def per_s(self) -> float:
        """Answers 200 per second."""
        return self.ok / self.wall_s


def load(wanted: Wanted) -> Answered:
    """Run the load in a process of its own and return what came of it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(wanted)),
        capture_output=True,
        text=True,
        timeout=wanted.duration_s + GIVE_UP_S + 10,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load could not be run: {done.stderr.strip()}")
    return Answered(**json.loads(done.stdout))


class _Connection(asyncio.Protocol):
    """One connection and the one request that is out on it."""

    def __init__(self, load: "_Load") -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.began = 0.0
        self.waiting = False
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, began: float) -> None:
        self.began, self.waiting, self.body = began, True, b""
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.body += data
        if self.waiting and _complete(self.body):
            self.waiting = False
            self.load.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.waiting:
            self.waiting = False
            self.load.lost(self)


def _complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    at = lower.find(b"content-length:")
    return at >= 0 and len(body) >= int(lower[at + 15 :].partition(b"\r\n")[0])


def _content(answer: bytes) -> bytes:
    """Return the body of a complete answer, its chunks put together."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        parts.append(rest[:length])
        body = rest[length + 2 :] if length else b""
    return b"".join(parts)


class _Load:
    def __init__(self, wanted: Wanted, loop: asyncio.AbstractEventLoop) -> None:
        self.wanted, self.loop = wanted, loop
        close = b"Connection: close\r\n" if wanted.fresh else b""
        self.requests = [
            b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n" % (path.encode(), wanted.port, close)
            for path in wanted.paths
        ]
        self.sent = 0
        self.out = 0
        self.result = Answered()
        self.late: deque[float] = deque()  # due, but all connections are busy
        self.idle: list[_Connection] = []
        self.free = 0  # fresh connections that may be opened
        self.latencies: list[float] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.done = loop.create_future()
        self.begin = self.end = 0.0

    async def run(self) -> Answered:
        wanted = self.wanted
        self.free = wanted.connections
        if not wanted.fresh:
            for _ in range(wanted.connections):
                self.idle.append(await self._connect())
        self.begin = time.perf_counter()
        self.end = self.begin + wanted.duration_s
        self.loop.call_later(wanted.duration_s + GIVE_UP_S, self._finish)
        if wanted.rate is None:
            for _ in range(wanted.connections):
                self._next(time.perf_counter())
        else:
            await self._pace(wanted.rate)
        self.loop.call_later(max(0.0, self.end - time.perf_counter()), self._finish_if_quiet)
        await self.done
        self.result.wall_s = time.perf_counter() - self.begin
        return self.result

    async def _pace(self, rate: float) -> None:
        total, given = int(self.wanted.duration_s * rate), 0
        while given < total:
            due = min(total, int((time.perf_counter() - self.begin) * rate) + 1)
            for number in range(given, due):
                self.late.append(self.begin + number / rate)
            given = due
            self._serve_late()
            await asyncio.sleep(max(0.0005, self.begin + given / rate - time.perf_counter()))

    def _serve_late(self) -> None:
        while self.late and (self.free if self.wanted.fresh else self.idle):
            self._next(self.late.popleft())

    def _next(self, began: float) -> None:
        request = self.requests[self.sent % len(self.requests)]
        self.sent += 1
        self.out += 1
        if self.wanted.fresh:
            self.free -= 1
            self._spawn(request, began)
        elif self.idle and not (connection := self.idle.pop()).transport:
            self._spawn(request, began)  # the server has closed it meanwhile
        else:
            connection.ask(request, began)

    def _spawn(self, request: bytes, began: float) -> None:
        task = self.loop.create_task(self._open(request, began))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _open(self, request: bytes, began: float) -> None:
        try:
            (await self._connect()).ask(request, began)
        except OSError:
            self._over(broken=True)

    async def _connect(self) -> _Connection:
        _, connection = await self.loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.wanted.port)
        return connection

    def answered(self, connection: _Connection) -> None:
        result = self.result
        status = connection.body[9:12].decode("latin-1")
        result.statuses[status] = result.statuses.get(status, 0) + 1
        if status == "200":
            result.ok += 1
            self.latencies.append((time.perf_counter() - connection.began) * 1000)
        else:
            result.refused += 1
        if self.wanted.needle and self.wanted.needle.encode() in _content(connection.body):
            result.needles += 1
        if self.wanted.fresh:
            if connection.transport is not None:
                connection.transport.close()
        else:
            self.idle.append(connection)
        self._over()

    def lost(self, _connection: _Connection) -> None:
        if not self.wanted.fresh:
            self._spawn_idle()
        self._over(broken=True)

    def _spawn_idle(self) -> None:
        async def again() -> None:
            try:
                self.idle.append(await self._connect())
            except OSError:
                return  # the server is gone; the others will tell

        task = self.loop.create_task(again())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _over(self, *, broken: bool = False) -> None:
        self.out -= 1
        self.free += self.wanted.fresh
        self.result.broken += broken
        now = time.perf_counter()
        if self.wanted.rate is not None:
            self._serve_late()
        elif now < self.end and (self.wanted.fresh or self.idle):
            self._next(now)
        self._finish_if_quiet()

    def _finish_if_quiet(self) -> None:
        if time.perf_counter() >= self.end and not self.out and not self.late:
            self._finish()

    def _finish(self) -> None:
        if self.done.done():
            return
        self.result.broken += self.out + len(self.late)
        result, usage = self.result, resource.getrusage(resource.RUSAGE_SELF)
        result.p50_ms, result.p99_ms = quantile(self.latencies, 0.5), quantile(self.latencies, 0.99)
        result.most_ms = max(self.latencies, default=float("nan"))
        result.cpu_s = usage.ru_utime + usage.ru_stime
        self.done.set_result(None)


def main() -> None:
    """Read what is wanted, do it, print what came of it."""
    wanted = Wanted(**json.load(sys.stdin))
    loop = new_loop()
    result = loop.run_until_complete(_Load(wanted, loop).run())
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
