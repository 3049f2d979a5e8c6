"""Targets to scrape: `python -m bench.exporter NUMBER` serves 1,000 series each at /metrics, on a port each.

Requests by handler, method and status, a latency histogram, queues and shares of resources. Counters advance by the
time that has passed; one target in ten answers 8 % of its requests with errors. Prints its ports, ends with its input.
"""

import asyncio
import sys
import time
from typing import cast

import numpy as np

from bench.target import new_loop

HANDLERS, METHODS, STATUSES = 20, ("GET", "POST"), ("200", "201", "404", "500", "503")
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
REACHED = np.array([0.05, 0.12, 0.3, 0.55, 0.75, 0.9, 0.96, 0.985, 0.995, 0.998, 0.9995, 1.0])
QUEUES, RESOURCES, SHARDS = 100, 14, 10
SERIES = HANDLERS * len(METHODS) * (len(STATUSES) + len(BOUNDS) + 2) + QUEUES + RESOURCES * SHARDS
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n"
FAILING_EVERY, FAILING, USUAL = 10, 0.08, 0.004


class Target:
    """One application that answers requests."""

    def __init__(self, number: int) -> None:
        self.random = np.random.default_rng(number)
        self.ways = HANDLERS * len(METHODS)
        self.rates = self.random.exponential(3.0, self.ways) + 0.05  # requests per second
        failing = FAILING if number % FAILING_EVERY == 3 else USUAL
        self.shares = np.array([0.87 - failing, 0.1, 0.03, failing * 0.7, failing * 0.3])
        self.shares /= self.shares.sum()
        self.at = time.time() - 3600
        self.requests = np.zeros((self.ways, len(STATUSES)), np.int64)
        self.buckets = np.zeros((self.ways, len(BOUNDS)), np.int64)
        self.seconds = np.zeros(self.ways)
        self.queues = self.random.integers(0, 200, QUEUES)
        self.used = self.random.random(RESOURCES * SHARDS)
        self.form = "".join(self._lines())

    def _lines(self) -> list[str]:
        ways = [f'handler="/api/v1/h{one:02d}",method="{method}"' for one in range(HANDLERS) for method in METHODS]
        lines = ["# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter\n"]
        lines += [f'http_requests_total{{{way},code="{code}"}} %d\n' for way in ways for code in STATUSES]
        lines += ["# HELP http_request_duration_seconds Time to answer.\n"]
        lines += ["# TYPE http_request_duration_seconds histogram\n"]
        for way in ways:
            lines += [f'http_request_duration_seconds_bucket{{{way},le="{bound}"}} %d\n' for bound in BOUNDS]
            lines += [f"http_request_duration_seconds_sum{{{way}}} %.6f\n"]
            lines += [f"http_request_duration_seconds_count{{{way}}} %d\n"]
        lines += ["# HELP queue_depth Messages waiting.\n# TYPE queue_depth gauge\n"]
        lines += [f'queue_depth{{queue="q{one:02d}"}} %d\n' for one in range(QUEUES)]
        lines += ["# HELP resource_usage_ratio Share in use.\n# TYPE resource_usage_ratio gauge\n"]
        lines += [
            f'resource_usage_ratio{{resource="r{one:02d}",shard="{shard}"}} %.4f\n'
            for one in range(RESOURCES)
            for shard in range(SHARDS)
        ]
        return lines

    def page(self) -> bytes:
        """Let the time since the last page pass; return the metrics."""
        now = time.time()
        arrived = self.random.poisson(self.rates * (now - self.at))
        self.at = now
        self.requests += self.random.multinomial(arrived, self.shares)
        self.buckets += (arrived[:, None] * REACHED + 0.5).astype(np.int64)
        self.seconds += arrived * 0.08
        moving = self.random.random(QUEUES) < 0.3
        self.queues = np.maximum(0, self.queues + moving * self.random.integers(-5, 6, QUEUES))
        self.used = np.clip(self.used + self.random.normal(0, 0.02, len(self.used)), 0, 1)
        latency: list[float] = []
        for way in range(self.ways):
            counts = self.buckets[way].tolist()
            latency += [*counts, float(self.seconds[way]), counts[-1]]
        values = (*self.requests.ravel().tolist(), *latency, *self.queues.tolist(), *self.used.tolist())
        return (self.form % values).encode()


class Serving(asyncio.Protocol):
    """One connection to one target."""

    transport: asyncio.Transport

    def __init__(self, target: Target) -> None:
        self.target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            body = self.target.page()
            self.transport.write(HEAD % len(body) + body)


def main() -> None:
    """Serve until standard input closes."""
    loop = new_loop()
    ports = []
    for number in range(int(sys.argv[1])):
        target = Target(number)
        serving = loop.create_server(lambda target=target: Serving(target), "127.0.0.1", 0)  # type: ignore[misc]
        ports.append(loop.run_until_complete(serving).sockets[0].getsockname()[1])
    print(*ports, flush=True)
    loop.add_reader(sys.stdin, loop.stop)
    loop.run_forever()


if __name__ == "__main__":
    main()
