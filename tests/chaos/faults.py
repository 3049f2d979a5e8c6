"""What is done to the program: each fault begins, holds for a while, and is lifted."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.chaos.world import World, half_open, quietly

Fault = Callable[[World, random.Random], "contextlib.AbstractContextManager[str]"]
ROLES = ("web", "monitor", "worker")
FOREIGN = "00000000-0000-4000-8000-000000000000"


@contextmanager
def killed(world: World, chance: random.Random) -> Iterator[str]:
    """SIGKILL one process, all, or the supervisor."""
    roles = chance.choice([*((role,) for role in ROLES), ROLES, ("supervisor",)])
    for role in roles:
        world.signal(role, signal.SIGKILL)
    yield f"killed {', '.join(roles)}"


@contextmanager
def suspended(world: World, chance: random.Random) -> Iterator[str]:
    """SIGSTOP one process or all of them, for up to 40 s."""
    roles = chance.choice([*((role,) for role in ROLES), ROLES])
    pids = [pid for role in roles if (pid := world.signal(role, signal.SIGSTOP))]
    span_s = chance.uniform(3, 40)
    try:
        time.sleep(span_s)
        yield f"suspended {', '.join(roles)} for {span_s:.0f} s"
    finally:
        for pid in pids:
            quietly(lambda pid=pid: os.kill(pid, signal.SIGCONT))  # type: ignore[misc]


@contextmanager
def clock_wrong(world: World, chance: random.Random) -> Iterator[str]:
    """Set the clock an hour or forty days off, and right again."""
    by_s = chance.choice([3600.0, -3600.0, 40 * 86400.0, -40 * 86400.0])
    world.shift(by_s)
    try:
        yield f"clock set by {by_s / 3600:+.0f} h"
        time.sleep(chance.uniform(5, 45))
    finally:
        world.shift(0.0)


@contextmanager
def disk_full(world: World, chance: random.Random) -> Iterator[str]:
    """Fill the file system that holds the data, and PostgreSQL's when it is used."""
    filler = world.home / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 1_000_000)
    try:
        yield "disk full"
        time.sleep(chance.uniform(5, 25))
    finally:
        filler.unlink()
        if world.server is not None:
            world.start_database()


@contextmanager
def disk_read_only(world: World, chance: random.Random) -> Iterator[str]:
    """Kill everything that writes, so that the file system can become read-only under it."""
    if world.server is not None:
        world.kill_database()
    world.signal("supervisor", signal.SIGKILL)
    for role in ROLES:
        world.signal(role, signal.SIGKILL)
    time.sleep(0.5)
    done = subprocess.run(["mount", "-o", "remount,ro", str(world.home)], check=False, capture_output=True)
    try:
        yield "disk read-only" if done.returncode == 0 else "killed all (the disk would not become read-only)"
        time.sleep(chance.uniform(5, 20))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(world.home)], check=False, capture_output=True)
        if world.server is not None:
            world.start_database()


@contextmanager
def database_killed(world: World, chance: random.Random) -> Iterator[str]:
    """SIGKILL PostgreSQL and start it again after a while; with SQLite, hold its write lock instead."""
    if world.server is None:
        import sqlite3

        locker = sqlite3.connect(world.var / "mainstay.sqlite3", isolation_level=None, timeout=30)
        span_s = chance.uniform(2, 40)
        try:
            with contextlib.suppress(sqlite3.Error):
                locker.execute("BEGIN IMMEDIATE")
            yield f"database locked for {span_s:.0f} s"
            time.sleep(span_s)
        finally:
            locker.close()
        return
    world.kill_database()
    yield "database killed"
    time.sleep(chance.uniform(1, 35))
    world.start_database()


@contextmanager
def black_hole(world: World, chance: random.Random) -> Iterator[str]:
    """Let the open connections to PostgreSQL go silent, without a word."""
    assert world.proxy is not None  # PostgreSQL only
    yield f"{world.proxy.blackhole()} connections to the database silent"
    time.sleep(chance.uniform(1, 10))


@contextmanager
def receiver_away(world: World, chance: random.Random) -> Iterator[str]:
    """The receiver refuses connections, or takes two seconds over each."""
    if chance.random() < 0.5:
        world.receiver.delay_s = 2.0
        yield "receiver slow"
        time.sleep(chance.uniform(5, 20))
        world.receiver.delay_s = 0.0
        return
    world.receiver.stop()
    yield "receiver away"
    time.sleep(chance.uniform(5, 30))
    world.receiver.start()


@contextmanager
def slow_clients(world: World, chance: random.Random) -> Iterator[str]:
    """Hundreds of connections that never finish what they began to say, and one endless header."""
    port = world.program.port
    token = "a" * 32
    body = (
        f"POST /sign-in/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Cookie: csrftoken={token}\r\nContent-Length: 1000\r\n\r\nx"
    ).encode()
    heads = [
        body,
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /api/v1/checks HTTP/1.1\r\nContent-Length: 9999\r\n\r\n{",
    ]
    held: list[socket.socket] = []
    for head in heads:
        held += half_open(port, head, 150)
    quietly(lambda: _endless_header(port))
    yield f"{len(held)} slow clients"
    time.sleep(chance.uniform(3, 20))
    for one in held:
        one.close()


def _endless_header(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=3) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for number in range(2_000):
            one.sendall(b"X-%d: %s\r\n" % (number, b"y" * 10_000))


BAD_RULES: tuple[dict[str, Any], ...] = (
    {"expr": "up == 1", "annotations": {"summary": '{{ query "up @ -1m" }}'}},
    {"expr": "m[5m] @ 1m"},
    {"expr": "m[1e300]"},
    {"expr": "m offset 1e300"},
    {"expr": "(" * 5_000 + "1" + ")" * 5_000},
    {"expr": "sum(" * 2_000 + "up" + ")" * 2_000},
    {"expr": 'up{job=~"(a+)+$"}'},
    {"expr": "vector(1)[100000d:1ms]"},
    {"expr": "up == 1", "annotations": {"summary": '{{ printf "%s" "\\x00" }}'}},
    {"expr": "up == 1", "annotations": {"summary": '{{ template "x" }}{{ define "x" }}{{ template "x" }}{{ end }}'}},
    {"expr": "errors == 1"},
    {"expr": 'label_replace(up, "x", "\\x00", "job", ".*") == 1'},
)
BAD_CHECKS: tuple[dict[str, Any], ...] = (
    {"http": {"url": "http://127.0.0.1:1/", "tls": {"ca": "/dev/zero"}}},
    {"http": {"url": "http://d%65nied.test/"}},
    {"http": {"url": "http://slow.invalid/"}},
    {"dns": {"name": "x" * 300}},
    {"tcp": {"host": "127.0.0.1", "port": 10**9}},
    {"http": {"url": "http://127.0.0.1:1/"}, "every": "1e300s"},
    {"command": {"run": ["/bin/sh", "-c", "kill -9 $PPID"]}},
)


@contextmanager
def bad_input(world: World, chance: random.Random) -> Iterator[str]:
    """Things that people and programs send at every entrance; what is taken is removed again."""
    program, given = world.program, 0
    base = f"{program.url}/prometheus/api/v1"
    for number in range(12):
        name = f"bad{number}"
        rule = {"alert": name, "for": "0s", **chance.choice(BAD_RULES), "labels": {"severity": "minor", "chaos": "bad"}}
        group = {"name": name, "interval": "5s", "rules": [rule]}
        check = {"name": name, "application": "chaos", "every": "5s", "severity": "minor", **chance.choice(BAD_CHECKS)}
        wild = chance.choice(
            ["step=nan", "end=1e308", "start=-inf&end=inf&step=1", "query=" + "(" * 9_000, "time=1e400"]
        )
        for method, path, body in (("POST", "/rules", group), ("POST", "/checks", check)):
            given += _sent(program.url + "/api/v1" + path, program.token, body, method)
        given += _sent(f"{base}/query_range?query=up&start=0&end=1&step=1&{wild}", program.token, None, "GET")
        given += _sent(f"{program.url}/ping/{FOREIGN}", "", {"x": "\x00"}, "POST")
        given += _sent(f"{program.url}/api/v1/silences", program.token, {"match": {"\x00": "\ud800"}}, "POST")
    yield f"{given} bad inputs answered"
    time.sleep(chance.uniform(3, 12))
    quietly(lambda: _remove_bad(world))


def _sent(url: str, token: str, body: Any, method: str) -> int:
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode(), method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError:
        return 1
    except (OSError, ValueError):
        return 0
    return 1


def _remove_bad(world: World) -> None:
    program = world.program
    for path in ("/rules", "/checks"):
        for item in program.api("GET", f"{path}?limit=1000")["items"]:
            if item["name"].startswith("bad"):
                quietly(lambda path=path, item=item: program.api("DELETE", f"{path}/{item['id']}"))  # type: ignore[misc]


ANYWHERE: tuple[Fault, ...] = (
    killed, killed, suspended, clock_wrong, clock_wrong, disk_full, disk_read_only, database_killed,
    receiver_away, slow_clients, bad_input, bad_input,
)  # fmt: skip
FAULTS: dict[str, tuple[Fault, ...]] = {"sqlite": ANYWHERE, "postgresql": (*ANYWHERE, black_hole)}
