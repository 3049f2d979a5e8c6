"""The whole program, running: for tests that start it as a user would, kill parts of it and look from outside."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests import tables

ROOT = Path(__file__).parent.parent
T = TypeVar("T")


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def until(ask: Callable[[], T], what: str, *, within_s: float = 30.0, every_s: float = 0.1) -> T:
    """Ask again and again until the answer is true; return it. Fails by name after `within_s`."""
    give_up = time.monotonic() + within_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what} (last answer: {answer!r})"
        time.sleep(every_s)


@dataclass
class Program:
    """A running `mainstay up` with a data directory and ports of its own."""

    home: Path
    port: int = field(default_factory=free_port)
    monitor_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    token: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    from_nothing: bool = not os.environ.get("TEST_TABLES")  # else the first start finds all tables, and no row

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.home / "log").read_text(errors="replace")

    def environ(self) -> dict[str, str]:
        """The environment that its processes and commands get."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAINSTAY_", "DATABASE_URL", "TEST_", "DJANGO_"))
        }
        return kept | {
            "MAINSTAY_HOME": str(self.home / "var"),
            "MAINSTAY_PORT": str(self.port),
            "MAINSTAY_MONITOR_PORT": str(self.monitor_port),
            **self.extra,
        }

    def command(
        self,
        *arguments: str,
        status: int | None = 0,
        stdin: str | None = None,
        errors: bool = False,
        within_s: float = 60.0,
    ) -> str:
        """Run `mainstay …`; return its output, or its errors. `status` is the expected exit status."""
        if arguments[0] == "prepare":
            self.have_tables()
        done = subprocess.run(
            [sys.executable, "-m", "mainstay", *arguments],
            env=self.environ(),
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within_s,
        )
        assert status is None or done.returncode == status, (
            f"mainstay {arguments}: {done.returncode}\n{done.stderr}{done.stdout}"
        )
        return done.stderr if errors else done.stdout

    def have_tables(self) -> None:
        """Copy the tables to where the first start would make them."""
        file = self.home / "var" / "mainstay.sqlite3"
        if not self.from_nothing and not file.exists() and "DATABASE_URL" not in self.extra:
            tables.copy_to(file)

    def start(self, *arguments: str, output: int | None = None) -> None:
        """Start `mainstay up` and wait until it says that it is well. `output`: where it writes instead of its log."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.have_tables()
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mainstay", "up", *arguments],
                env=self.environ(),
                cwd=ROOT,
                stdout=log if output is None else output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self.healthy, f"healthy\n{self.log}", within_s=40)

    def healthy(self) -> bool:
        """Whether `/healthz` answers 200."""
        assert self.process is None or self.process.poll() is None, f"it has ended:\n{self.log}"
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> float:
        """Stop it; return how many seconds that took."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)
        return time.monotonic() - begin

    def children(self) -> dict[str, int]:
        """Return role → pid of the supervised processes that run now."""
        assert self.process is not None
        found = {}
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in listed:
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").split()
            except OSError:
                continue
            if b"mainstay" in words[:3]:  # `mainstay web`, or `python -m mainstay web` when it is no copy
                found[words[words.index(b"mainstay") + 1].decode()] = int(pid)
        return found

    def kill(self, role: str) -> bool:
        """SIGKILL one process; False when it does not run at this moment."""
        pid = self.children().get(role)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call the API with an administrator's token; return the parsed answer."""
        if not self.token:
            self.token = self.command("token", "create", "--role", "admin", "--name", "test").strip()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:2000]}") from None
        return json.loads(text) if text else None


@contextmanager
def running(home: Path, *arguments: str, **extra: str) -> Iterator[Program]:
    """Start the program for the length of a `with`."""
    program = Program(home, extra=extra)
    try:
        program.start(*arguments)
        yield program
    finally:
        program.stop()
