"""What a check costs, and how punctual it is.

    .venv/bin/python bench/probe_engine.py throughput   # CPU per check, as fast as it goes, fresh connections
    .venv/bin/python bench/probe_engine.py punctual     # lateness of 5,000 checks every 20 s
    .venv/bin/python bench/probe_engine.py compare      # bare libcurl: socket_action against perform and select

A small HTTP server runs in another process, on several ports so that the ephemeral ports suffice. CPU is that of the
probing process alone (all its threads), from getrusage.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import resource
import select
import threading
import time
from array import array
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import pycurl

from mainstay.net.policy import AddressPolicy
from mainstay.net.schedule import offset_for
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.probe.engine import Planned, Prober, Result

PORTS = 8
_BODY = b"<html><title>Shop</title><p>Welcome to the shop.</p></html>"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/html\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY


class _Answering(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports only look like asyncio's

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self.transport.write(_ANSWER)


def _serve(ports_to: Connection) -> None:
    try:
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    except ImportError:
        loop = asyncio.new_event_loop()
    servers = [
        loop.run_until_complete(loop.create_server(_Answering, "127.0.0.1", 0, backlog=4096)) for _ in range(PORTS)
    ]
    ports_to.send([server.sockets[0].getsockname()[1] for server in servers])
    loop.run_forever()


def _server() -> tuple[multiprocessing.process.BaseProcess, list[int]]:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    return process, here.recv()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _memory_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _planned(ports: list[int], checks: int, every_s: float) -> list[Planned]:
    expect = {"status": 200, "max_latency": "800ms", "body_contains": "Shop"}
    settings = [
        KINDS["http"].Settings.model_validate({"url": f"http://127.0.0.1:{port}/", "expect": expect}) for port in ports
    ]
    return [
        Planned(key, "http", settings[key % len(settings)], every_s, min(10.0, every_s), offset_for(key, every_s))
        for key in range(1, checks + 1)
    ]


class _Seen:
    """What came back, in flat arrays: kept results would be charged to the engine by the garbage collector."""

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self.late_ms)

    def take(self, results: list[Result]) -> None:
        self.batches += 1
        for result in results:
            outcome = result.outcome
            self.late_ms.append((outcome.started_at - result.due_at) * 1000)
            self.took_ms.append(outcome.duration_s * 1000)
            if outcome.message:
                self.wrong.append(outcome.message)

    def clear(self) -> None:
        self.late_ms = array("d")
        self.took_ms = array("d")
        self.wrong: list[str] = []
        self.batches = 0


def _report(name: str, seen: _Seen, cpu_s: float, wall_s: float) -> None:
    results = seen.late_ms
    late, took = sorted(seen.late_ms), sorted(seen.took_ms)
    print(
        f"{name}: {len(results)} checks in {wall_s:.1f} s ({len(results) / wall_s:.0f}/s), "
        f"CPU {cpu_s / len(results) * 1e6:.1f} µs per check ({cpu_s / wall_s:.0%} of a core), "
        f"lateness p50 {_at(late, 0.5):.2f} p99 {_at(late, 0.99):.2f} max {late[-1]:.1f} ms, "
        f"duration p50 {_at(took, 0.5):.2f} p99 {_at(took, 0.99):.2f} ms, "
        f"not up {len(seen.wrong)}, batches of {len(results) / seen.batches:.0f}, memory {_memory_mib():.0f} MiB"
    )
    for message in seen.wrong[:3]:
        print("  ", message)


def _at(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def throughput(ports: list[int], total: int, parallel: int) -> None:
    """Every result asks for the next probe of its check, so `parallel` checks are always due or under way."""
    seen = _Seen()
    ended = threading.Event()
    prober: Prober

    def received(batch: list[Result]) -> None:
        seen.take(batch)
        if len(seen) >= total:
            ended.set()
        else:
            for result in batch:
                prober.probe_now(result.key)

    prober = Prober(AddressPolicy(), received, max_in_flight=parallel)
    prober.update(_planned(ports, parallel * 8, 3600.0))
    cpu, wall = _cpu_s(), time.perf_counter()
    prober.start()
    ended.wait(120)
    cpu, wall = _cpu_s() - cpu, time.perf_counter() - wall
    prober.stop(5)
    _report("throughput", seen, cpu, wall)


def punctual(ports: list[int], checks: int, every_s: float, rounds: float) -> None:
    """Steady state: the first, paced round is not counted."""
    seen = _Seen()
    prober = Prober(AddressPolicy(), seen.take)
    prober.update(_planned(ports, checks, every_s))
    prober.start()
    time.sleep(min(every_s, max(2.0, checks * 0.002)) + every_s / 4)
    seen.clear()
    cpu, wall = _cpu_s(), time.perf_counter()
    time.sleep(every_s * rounds)
    cpu, wall = _cpu_s() - cpu, time.perf_counter() - wall
    _report(f"punctual ({checks} every {every_s:g} s)", seen, cpu, wall)
    prober.stop(5)


def compare(ports: list[int], total: int, parallel: int) -> None:
    """The two ways to drive a multi handle from Python, without anything of ours around them."""
    for name, drive in (("socket_action with epoll", _socket_action), ("perform with select", _perform)):
        gc.collect()
        cpu, wall = _cpu_s(), time.perf_counter()
        done = drive(ports, total, parallel)
        cpu, wall = _cpu_s() - cpu, time.perf_counter() - wall
        print(f"{name}, {parallel} at a time: {done / wall:.0f}/s, CPU {cpu / done * 1e6:.1f} µs per request")


def _handle(ports: list[int], index: int) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://127.0.0.1:{ports[index % len(ports)]}/")
    curl.setopt(pycurl.WRITEFUNCTION, len)
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    curl.setopt(pycurl.FORBID_REUSE, 1)
    curl.setopt(pycurl.NOSIGNAL, 1)
    return curl


def _socket_action(ports: list[int], total: int, parallel: int) -> int:
    multi, epoll = pycurl.CurlMulti(), select.epoll()
    known: set[int] = set()
    timer = [-1.0]

    def watch(what: int, descriptor: int, *_: object) -> None:
        if what == pycurl.POLL_REMOVE:
            known.discard(descriptor)
            epoll.unregister(descriptor)
            return
        events = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        (epoll.modify if descriptor in known else epoll.register)(descriptor, events)
        known.add(descriptor)

    def set_timer(milliseconds: int) -> None:
        timer[0] = -1.0 if milliseconds < 0 else time.perf_counter() + milliseconds / 1000

    multi.setopt(pycurl.M_SOCKETFUNCTION, watch)
    multi.setopt(pycurl.M_TIMERFUNCTION, set_timer)
    for index in range(parallel):
        multi.add_handle(_handle(ports, index))
    done = 0
    while done < total:
        wait_s = 1.0 if timer[0] < 0 else max(0.0, timer[0] - time.perf_counter())
        for descriptor, events in epoll.poll(wait_s):
            if descriptor in known:
                multi.socket_action(
                    descriptor, (1 if events & select.EPOLLIN else 0) | (2 if events & select.EPOLLOUT else 0)
                )
        if 0 <= timer[0] <= time.perf_counter():
            timer[0] = -1.0
            multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        done += _again(multi)
    return done


def _perform(ports: list[int], total: int, parallel: int) -> int:
    multi = pycurl.CurlMulti()
    for index in range(parallel):
        multi.add_handle(_handle(ports, index))
    done = 0
    while done < total:
        multi.perform()
        done += _again(multi)
        multi.select(1.0)
    return done


def _again(multi: pycurl.CurlMulti) -> int:
    remaining, done = 1, 0
    while remaining:
        remaining, finished, failed = multi.info_read()
        for curl in [*finished, *(curl for curl, *_ in failed)]:
            multi.remove_handle(curl)
            multi.add_handle(curl)
            done += 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("throughput", "punctual", "compare"), nargs="*", default=["throughput"])
    parser.add_argument("--total", type=int, default=20_000)
    parser.add_argument("--checks", type=int, default=5_000)
    parser.add_argument("--every", type=float, default=20.0)
    parser.add_argument("--rounds", type=float, default=2.0)
    parser.add_argument("--parallel", type=int, default=64)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    print(f"{pycurl.version.split()[1]}, {os.cpu_count()} cores")
    server, ports = _server()
    try:
        for what in options.what:
            if what == "throughput":
                throughput(ports, options.total, options.parallel)
            elif what == "punctual":
                punctual(ports, options.checks, options.every, options.rounds)
            else:
                compare(ports, options.total, options.parallel)
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
