"""Heartbeat pings, answered only when they are durable: how many, how fast, what one costs, whether all are stored."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bench.figures import Aim, Figure, Line, Peer, elsewhere
from bench.load import Answered, Wanted, load
from bench.program import Cpu, count, directory, mainstay
from tests.program import Program, until

HEARTBEATS = 50
CONNECTIONS = 64
STEADY_PER_S = 500


def document(keys: Sequence[uuid.UUID]) -> Mapping[str, Any]:
    """Return a configuration with a heartbeat for each key."""
    checks = [
        {"name": f"job-{number}", "heartbeat": {"every": "1h", "grace": "30m", "key": str(key)}}
        for number, key in enumerate(keys)
    ]
    return {"applications": [{"name": "jobs", "checks": checks}]}


def run(*, quick: bool) -> list[Line]:
    """Measure; about a minute, `quick` a quarter of one."""
    keys = [uuid.uuid4() for _ in range(HEARTBEATS)]
    paths = [f"/ping/{key}" for key in keys]
    duration_s = 3.0 if quick else 15.0
    with directory() as home, mainstay(home, document(keys)) as program:
        load(Wanted(program.port, paths, 1.0, 4))
        kept = _Load(program, Wanted(program.port, paths, duration_s, CONNECTIONS))
        fresh = _Load(program, Wanted(program.port, paths, duration_s, CONNECTIONS, fresh=True))
        steady = _Load(program, Wanted(program.port, paths, duration_s, CONNECTIONS, rate=STEADY_PER_S))
        unhandled = "SELECT COUNT(*) FROM checks_ping WHERE handled = 0"
        begin = time.monotonic()
        until(lambda: count(program, unhandled) == 0, "the monitor has understood every ping", within_s=60)
        behind_s = time.monotonic() - begin
    rate, cpu = elsewhere("healthchecks-pings"), elsewhere("healthchecks-cpu")
    return [
        *kept.lines("kept connections", rate, cpu, aim=Aim(1500, most=False)),
        *fresh.lines("fresh connections", rate, cpu, aim=Aim(1500, most=False)),
        *steady.latencies(f"{STEADY_PER_S}/s"),
        Figure(
            "answers 200 that are not in the database", sum(each.lost for each in (kept, fresh, steady)), "", Aim(1)
        ),
        Figure("answers that were not 200", sum(each.bad for each in (kept, fresh, steady)), "", Aim(1)),
        Figure("the monitor has understood the last ping after", behind_s, "s"),
    ]


class _Load:
    """One load, with the CPU it cost and what the database holds of it."""

    def __init__(self, program: Program, wanted: Wanted) -> None:
        stored = "SELECT COUNT(*) FROM checks_ping"
        before, cpu = count(program, stored), Cpu(program)
        self.done: Answered = load(wanted)
        self.cpu_s = cpu.used_s()
        self.stored = count(program, stored) - before

    @property
    def lost(self) -> int:
        """Answers 200 without a row. (A row without an answer is no loss: the connection broke.)"""
        return max(0, self.done.ok - self.stored)

    @property
    def bad(self) -> int:
        """Answers that were not 200, and none at all."""
        return self.done.refused + self.done.broken

    def lines(self, how: str, rate: Peer, cpu: Peer, aim: Aim) -> list[Line]:
        """Return the figures of a load as fast as it goes."""
        return [
            Figure(f"pings per second, {how}", self.done.per_s, "/s", aim, (rate,), higher=True),
            Figure(f"CPU per ping, {how}: web", self.cpu_s["web"] / self.done.ok * 1e6, "µs", None, (cpu,)),
            Figure(f"CPU per ping, {how}: all processes", sum(self.cpu_s.values()) / self.done.ok * 1e6, "µs"),
            *self.latencies(f"{CONNECTIONS} {how}"),
        ]

    def latencies(self, how: str) -> list[Line]:
        """Return p50 and p99."""
        return [
            Figure(f"latency, {how}, p50", self.done.p50_ms, "ms"),
            Figure(f"latency, {how}, p99", self.done.p99_ms, "ms"),
        ]
