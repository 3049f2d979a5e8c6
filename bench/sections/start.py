"""From an empty data directory to the first result, how fast it stops, and how long a big file takes to apply."""

import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.figures import Aim, Figure, Line
from bench.machine import cpu_s, ended_children_cpu_s, quantile
from bench.program import count, directory, stop, target, written
from bench.sections.checks import Size, document
from tests.program import Program, until

SMALL = Size(10, 5.0, 1)
STARTS, QUICK_STARTS = 5, 2
BIG, QUICK_BIG = Size(5_000, 20.0, 1), Size(1_000, 20.0, 1)


def run(*, quick: bool) -> list[Line]:
    """Measure; about a minute."""
    first, fine, again, stops, cpu = list[float](), list[float](), list[float](), list[float](), list[float]()
    with directory() as home, target() as ports:
        for number in range(QUICK_STARTS if quick else STARTS):
            program = Program(home / f"start-{number}")
            file = written(program.home, document(ports, SMALL))
            try:
                result_s, healthy_s = _start(program, file)
                first.append(result_s)
                fine.append(healthy_s)
                cpu.append(_cpu_s(program))
                stops.append(_stop(program))
                again.append(_start(program, file)[1])
                stops.append(_stop(program))
            finally:
                stop(program)
        size = QUICK_BIG if quick else BIG
        program = Program(home / "big")
        file = written(program.home, document(ports, size))
        program.command("prepare")
        begin = time.monotonic()
        program.command("apply", str(file))
        apply_s = time.monotonic() - begin
        begin = time.monotonic()
        program.command("plan", str(file))
        plan_s = time.monotonic() - begin
    return [
        Figure("empty directory to the first result, median", quantile(first, 0.5), "s", Aim(5)),
        Figure("empty directory to /healthz 200, median", quantile(fine, 0.5), "s"),
        Figure("existing directory to /healthz 200, median", quantile(again, 0.5), "s"),
        Figure("CPU of all processes until /healthz 200, median", quantile(cpu, 0.5), "s"),
        Figure("SIGTERM to the end, longest", max(stops), "s", Aim(5)),
        Figure(f"apply of a file with {size.checks:,} new checks", apply_s, "s"),
        Figure(f"plan of a file with {size.checks:,} checks, none changed", plan_s, "s"),
    ]


def _start(program: Program, file: Path) -> tuple[float, float]:
    """Run `mainstay up --apply`; return the seconds to the first result of this run and to being healthy."""
    database = program.home / "var" / "mainstay.sqlite3"
    results = "SELECT COUNT(*) FROM checks_result"
    before = count(program, results) if database.exists() else 0
    begin = time.monotonic()

    def seen_s() -> float:
        until(lambda: database.exists() and _results(program) > before, "a result", within_s=40, every_s=0.02)
        return time.monotonic() - begin

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(seen_s)
        program.start("--apply", str(file))
        healthy_s = time.monotonic() - begin
        return first.result(), healthy_s


def _cpu_s(program: Program) -> float:
    assert program.process is not None
    supervisor = program.process.pid
    return ended_children_cpu_s(supervisor) + sum(cpu_s(pid) for pid in (supervisor, *program.children().values()))


def _results(program: Program) -> int:
    try:
        return count(program, "SELECT COUNT(*) FROM checks_result")
    except sqlite3.OperationalError:
        return 0  # the tables are just being made


def _stop(program: Program) -> float:
    try:
        return program.stop()
    except subprocess.TimeoutExpired:
        return float("inf")
