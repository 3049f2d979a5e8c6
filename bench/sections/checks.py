"""HTTP checks with fresh connections, everything included: what one costs, how punctual it is, whether any is lost."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.figures import NOT_INSTALLED, Aim, Figure, Line, Peer, elsewhere
from bench.load import Wanted, load
from bench.machine import cpu_s, quantile
from bench.program import EXPECT, Cpu, blackbox, count, directory, mainstay, rows, stored, target, unix
from mainstay.net.schedule import offset_for
from tests.program import Program, until

APPLICATIONS = 10
ROUNDING_S = 1e-4  # a stored time may lie this much before the due time it was made from
FLUSHED_S = 3.0  # after so long every result is in the database


@dataclass(frozen=True, slots=True)
class Size:
    """How many checks, each how often, and how many rounds are measured."""

    checks: int
    every_s: float
    rounds: int

    @property
    def per_s(self) -> float:
        """Checks per second."""
        return self.checks / self.every_s


FULL, QUICK = Size(5_000, 20.0, 3), Size(1_000, 4.0, 3)
BUSY, QUICK_BUSY = Size(2_000, 1.0, 20), Size(2_000, 1.0, 5)
PARALLEL = 16  # requests at once to the peer when it shall probe as fast as it can


def document(ports: Sequence[int], size: Size) -> Mapping[str, Any]:
    """Return a configuration with so many HTTP checks."""
    applications: list[dict[str, Any]] = [{"name": f"app-{number}", "checks": []} for number in range(APPLICATIONS)]
    for number in range(size.checks):
        url = f"http://127.0.0.1:{ports[number % len(ports)]}/{number}"
        applications[number % APPLICATIONS]["checks"].append(
            {"name": f"check-{number}", "http": {"url": url, "expect": EXPECT}, "every": f"{size.every_s:g}s"}
        )
    return {"applications": applications}


@dataclass(frozen=True, slots=True)
class Measured:
    """What the window told."""

    results: int
    not_up: int
    lateness_ms: list[float]
    missing: int
    cpu_s: Mapping[str, float]

    def each_us(self, *roles: str) -> float:
        """Return the CPU per result of some processes, in µs."""
        return sum(self.cpu_s[role] for role in roles) / max(1, self.results) * 1e6


def run(*, quick: bool) -> list[Line]:
    """Measure; about three minutes, `quick` one."""
    size, busy = (QUICK, QUICK_BUSY) if quick else (FULL, BUSY)
    with directory() as home, target() as ports:
        with mainstay(home / "program", document(ports, size)) as program:
            seen = _steady(program, size)
            back_s = _restart(program, size)
        with mainstay(home / "busy", document(ports, busy)) as program:
            seen_busy = _steady(program, busy)
        lasts_s = 5.0 if quick else 30.0
        peer = _blackbox(home, ports, size.per_s, lasts_s)
        peer_busy = _blackbox(home, ports, None, lasts_s / 2)
    peers_busy = (peer_busy, elsewhere("blackbox-cpu"))
    return [
        *_lines(seen, size, peer),
        Figure(f"CPU per check at {busy.per_s:,.0f}/s: monitor", seen_busy.each_us("monitor"), "µs", None, peers_busy),
        Figure(f"CPU per check at {busy.per_s:,.0f}/s: all processes", seen_busy.each_us(*seen_busy.cpu_s), "µs"),
        Figure(f"probes in time at {busy.per_s:,.0f}/s", seen_busy.results / (busy.checks * busy.rounds) * 100, "%"),
        *_restart_lines(back_s, size),
    ]


def _steady(program: Program, size: Size) -> Measured:
    checked = "SELECT COUNT(*) FROM checks_checkstate WHERE last_at IS NOT NULL"
    until(lambda: count(program, checked) == size.checks, "every check has a result", within_s=60, every_s=0.5)
    time.sleep(size.every_s)  # first results are paced; now all are on their grid
    cpu, begin = Cpu(program), time.time()
    time.sleep(size.every_s * size.rounds)
    used, end = cpu.used_s(), time.time()
    time.sleep(FLUSHED_S)
    late: list[float] = []
    slots: dict[int, set[int]] = {}
    results = not_up = 0
    found = rows(
        program,
        "SELECT check_ref_id, at, health FROM checks_result WHERE at >= ? AND at < ?",
        stored(begin - 1),
        stored(end + 1),
    )
    for check, at_text, health in found:
        at = unix(at_text) + ROUNDING_S
        slot, behind = divmod(at - offset_for(check, size.every_s), size.every_s)
        slots.setdefault(check, set()).add(int(slot))
        if begin <= at < end:
            results += 1
            not_up += health != "up"
            late.append((behind - ROUNDING_S) * 1000)
    missing = 0
    for check in [row[0] for row in rows(program, "SELECT id FROM checks_check")]:
        offset = offset_for(check, size.every_s)
        first, last = int((begin - offset) // size.every_s) + 1, int((end - 1 - offset) // size.every_s)
        missing += len(set(range(first, last + 1)) - slots.get(check, set()))
    return Measured(results, not_up, late, missing, used)


def _restart(program: Program, size: Size) -> float:
    """Kill the monitor by SIGKILL; return after how many seconds every check has been probed again (NaN: never)."""
    begin = time.time()
    program.kill("monitor")
    checked = "SELECT COUNT(*) FROM checks_checkstate WHERE last_at > ?"
    while time.time() - begin < 3 * size.every_s + 15:
        if count(program, checked, stored(begin)) == size.checks:
            return time.time() - begin
        time.sleep(0.2)
    return float("nan")


def _blackbox(home: Path, ports: Sequence[int], rate: float | None, lasts_s: float) -> Peer:
    """Measure blackbox_exporter's CPU per probe, in µs, at `rate` per second or (None) as fast as it can."""
    with blackbox(home) as started:
        if started is None:
            return Peer("blackbox_exporter", None, NOT_INSTALLED)
        pid, port = started
        paths = [f"/probe?module=shop&target=http://127.0.0.1:{each}/" for each in ports]
        wanted = Wanted(port, paths, lasts_s, PARALLEL, rate, needle="\nprobe_success 1")
        load(replace(wanted, duration_s=1.0))  # what is done once is not what is measured
        before = cpu_s(pid)
        done = load(wanted)
        used = cpu_s(pid) - before
    if done.needles < 0.99 * (done.ok if rate is None else lasts_s * rate):
        return Peer("blackbox_exporter", None, f"only {done.needles:,} of its probes succeeded")
    return Peer("blackbox_exporter", used / done.needles * 1e6, "this run")


def _lines(seen: Measured, size: Size, peer: Peer) -> list[Line]:
    peers, pace, each_us = (peer, elsewhere("blackbox-cpu")), f"CPU per check at {size.per_s:,.0f}/s", seen.each_us
    return [
        Figure(f"{pace}: monitor", each_us("monitor"), "µs", Aim(834 / 5), peers),
        Figure(f"{pace}: worker, web and supervisor", each_us("worker", "web", "supervisor"), "µs"),
        Figure(f"{pace}: all processes", each_us(*seen.cpu_s), "µs", Aim(560), (elsewhere("kuma-cpu"),)),
        Figure("lateness of a probe, p50", quantile(seen.lateness_ms, 0.5), "ms"),
        Figure("lateness of a probe, p99", quantile(seen.lateness_ms, 0.99), "ms", Aim(20), (elsewhere("kuma-late"),)),
        Figure("results in the window", seen.results, "", note=f"{seen.not_up} of them not up"),
        Figure("intervals without a result", seen.missing, "", Aim(1)),
    ]


def _restart_lines(back_s: float, size: Size) -> list[Line]:
    name = f"all {size.checks:,} checked again after kill -9 of the monitor"
    return [Figure(name, back_s, "s", Aim(size.every_s), (elsewhere("kuma-restart"),))]
