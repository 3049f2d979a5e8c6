"""`mainstay up`: starts web, monitor and worker, restarts what dies, stops all within five seconds.

On Linux the three begin as copies of the supervisor, which has loaded what they need and runs none of it
(`template.py`); elsewhere, and whenever that does not work, they are started as programs.
"""

import argparse
import contextlib
import ctypes
import fcntl
import importlib
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from mainstay.foundation import environment as env
from mainstay.foundation.processes import template, watchdog
from mainstay.foundation.refusal import CannotStart

STOP_S = 4.0  # then SIGKILL: the promise is five seconds
BACKOFF_LEAST_S, BACKOFF_MOST_S = 0.25, 15.0
STEADY_AFTER_S = 3.0  # a child that ran so long starts again without delay: it was killed, not broken
PORT_WAIT_S = 3.0
FILES_MOST = 65_536  # open files that the processes ask for
SILENT_MOST_S = 90.0  # its own watchdog has ended a process before, if it could
KILL_AFTER_S = 5.0  # of not having ended for SIGABRT
LOOK_EVERY_S = 0.1
COPIES_BELOW_S = 1.0  # of backoff: one that ends again and again at once is tried as a program of its own


@dataclass(slots=True)
class Child:
    """One supervised program. `act` is what a copy of the supervisor does instead of becoming `command`."""

    name: str
    command: list[str]
    act: Callable[[], int] | None = None
    process: subprocess.Popen[bytes] | template.Copy | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    backoff_s: float = BACKOFF_LEAST_S
    hears: int = -1  # where it says that it lives
    spoke: bool = False
    silent_s: float = 0.0  # counted while it and the supervisor ran


def raise_open_files() -> int:
    """Raise this process's limit on open files as far as it may go, and return it: each probe holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS allows less than it says
        return soft
    return wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `mainstay up`."""
    parser.add_argument(
        "--apply", metavar="FILE", action="append", default=[], help="apply this configuration file first"
    )
    parser.add_argument(
        "--new-key",
        action="store_true",
        help="go on with a key that does not open this database: secrets must be entered again",
    )
    parser.add_argument(
        "--with", metavar="COMMAND", dest="also", action="append", default=[], help="supervise one more program"
    )


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT. Exit status 0 after a clean stop, 1 when it cannot start."""
    raise_open_files()
    environment = env.read()
    try:
        with lock(environment.home) as lock_held:
            for name, port in (
                ("MAINSTAY_PORT", environment.port),
                ("MAINSTAY_MONITOR_PORT", environment.monitor_port),
            ):
                need_port(environment.host, port, name)
            copied = prepare(args.apply, new_key=args.new_key)
            children = [Child(role, _command(role), _act(role) if copied else None) for role in template.ROLES]
            children += [Child(line, shlex.split(line)) for line in args.also]
            return Supervisor(children, lock_held.descriptors()).run()
    except CannotStart as error:
        sys.stderr.write(f"mainstay: {error}\n")
        return 1


class lock:  # noqa: N801  # reads as a verb: with lock(home)
    """Holds the data directory; the kernel lets go of it however this process ends."""

    def __init__(self, home: Path) -> None:
        self.path = home / "mainstay.lock"
        self.file: IO[str] | None = None

    def __enter__(self) -> "lock":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.file = self.path.open("a+", encoding="ascii")
        except OSError as error:
            raise CannotStart(
                f"the data directory {self.path.parent} cannot be written to: {error.strerror}."
                " Mend that, or set MAINSTAY_HOME to another directory."
            ) from None
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.seek(0)
            holder = self.file.read().strip() or "?"
            self.file.close()
            raise CannotStart(
                f"the data directory {self.path.parent} is in use by process {holder}."
                " Stop that one, or set MAINSTAY_HOME to another directory."
            ) from None
        self.file.truncate(0)
        self.file.write(f"{os.getpid()}\n")
        self.file.flush()
        return self

    def descriptors(self) -> list[int]:
        """Return what holds it: a child with a copy would hold it beyond the end of this process."""
        return [self.file.fileno()] if self.file is not None else []

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()


def need_port(host: str, port: int, variable: str) -> None:
    """Raise `CannotStart` unless `port` can be listened on; waits a little for a predecessor that is just ending."""
    give_up = time.monotonic() + PORT_WAIT_S
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                problem = error.strerror
            else:
                return
        if time.monotonic() > give_up:
            raise CannotStart(
                f"cannot listen on {host}:{port}: {problem}. Stop what listens there, or give {variable} another port."
            )
        time.sleep(0.1)


def prepare(files: list[str], *, new_key: bool = False) -> bool:
    """Bring the database up to date, make the first administrator, apply `files`; in a process of its own.

    Meanwhile this one loads what the children share. Return whether they can be copies of it.
    """
    options = ["--new-key"] if new_key else []
    with subprocess.Popen([sys.executable, "-m", "mainstay", "prepare", *options, *files]) as preparing:
        hindrance = ""
        try:
            template.load()
        except template.CannotCopy as error:
            hindrance = str(error)
        except CannotStart:
            raise  # it says what is wrong, for the children as well
        except Exception as error:  # noqa: BLE001  # the children meet it as well, and say more
            hindrance = f"{type(error).__name__}: {error}"
    if preparing.returncode:
        raise CannotStart("the database could not be prepared; the reason is above.")
    if hindrance and sys.platform == "linux":
        _say(f"every process loads everything for itself: {hindrance}")
    return not hindrance


def _command(role: str) -> list[str]:
    return [sys.executable, "-m", "mainstay", role]


def _act(role: str) -> Callable[[], int]:
    def act() -> int:  # what `mainstay ROLE` does once Django is set up, which it is
        try:
            status: int = importlib.import_module(template.ROLES[role]).run(argparse.Namespace(command=role))
        except CannotStart as error:
            _say(str(error))
            return 1
        return status

    return act


class Supervisor:
    """Keeps children running until it is told to stop."""

    def __init__(self, children: list[Child], descriptors: Sequence[int] = ()) -> None:
        self.children = children
        self.descriptors = descriptors  # its own, which no child may hold
        self.stopping = False
        self._looked_at = time.monotonic()
        self._end_with_supervisor = _ending_with_this_process()

    def run(self) -> int:
        """Start all, restart what ends, and return 0 after a clean stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        while not self.stopping:
            now = time.monotonic()
            # A machine that slept, or a supervisor that stood still, finds nobody silent when it goes on.
            passed_s = min(now - self._looked_at, 2 * LOOK_EVERY_S)
            self._looked_at = now
            for child in self.children:
                self._tend(child, now)
                self._listen(child, passed_s)
            time.sleep(LOOK_EVERY_S)
        self._end()
        return 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _tend(self, child: Child, now: float) -> None:
        if child.process is None:
            if now >= child.start_at:
                self._start(child, now)
            return
        status = child.process.poll()
        if status is None:
            return
        if now - child.started_at >= STEADY_AFTER_S:
            child.backoff_s = BACKOFF_LEAST_S
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        _say(f"{child.name} {how}; starting it again in {child.backoff_s:g} s")
        child.process, child.start_at = None, now + child.backoff_s
        child.backoff_s = min(child.backoff_s * 2, BACKOFF_MOST_S)

    @staticmethod
    def _listen(child: Child, passed_s: float) -> None:
        """End a process that has said that it lives and says it no more: a call in it holds the interpreter.

        By SIGABRT, for then it leaves its stacks, and what it worked on is suspected.
        """
        if child.process is None or child.hears < 0:
            return
        with contextlib.suppress(BlockingIOError):
            said = os.read(child.hears, 65_536)
            child.spoke, child.silent_s = bool(said) and watchdog.LAST_WORD not in said, 0.0
            return
        if not child.spoke or (child.silent_s >= SILENT_MOST_S / 10 and _is_stopped(child.process.pid)):
            return
        before, child.silent_s = child.silent_s, child.silent_s + passed_s
        if before < SILENT_MOST_S <= child.silent_s:
            _say(f"{child.name} hangs: nothing in it has moved for {SILENT_MOST_S:.0f} s; ending it")
            os.kill(child.process.pid, signal.SIGABRT)
        elif before < SILENT_MOST_S + KILL_AFTER_S <= child.silent_s:
            os.kill(child.process.pid, signal.SIGKILL)

    def _start(self, child: Child, now: float) -> None:
        if child.hears >= 0:
            os.close(child.hears)
        child.hears, speaks = os.pipe()
        os.set_blocking(child.hears, False)
        os.set_blocking(speaks, False)
        child.spoke, child.silent_s = False, 0.0
        try:
            child.process = self._begun(child, speaks)
        except OSError as error:
            _say(f"{child.name} cannot be started: {error}")
            child.start_at, child.backoff_s = now + child.backoff_s, min(child.backoff_s * 2, BACKOFF_MOST_S)
            return
        finally:
            os.close(speaks)
        child.started_at = now

    def _begun(self, child: Child, speaks: int) -> subprocess.Popen[bytes] | template.Copy:
        variable = {watchdog.ALIVE: str(speaks)}
        act = child.act
        if act is not None and child.backoff_s < COPIES_BELOW_S:

            def speaking() -> int:
                os.environ.update(variable)
                return act()

            hears = [each.hears for each in self.children if each.hears >= 0]
            return template.Copy(speaking, f"mainstay {child.name}", [*self.descriptors, *hears])
        return subprocess.Popen(
            child.command,
            env=template.ALLOCATOR | os.environ | variable,
            pass_fds=[speaks],
            # A session of its own: Ctrl-C reaches the supervisor alone, which then stops the children in order.
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            preexec_fn=self._end_with_supervisor,
        )

    def _end(self) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # With the programs that it started: its session is its own.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ending_with_this_process() -> Callable[[], None] | None:
    """Return what a child calls before it becomes its program: the kernel then ends it when the supervisor dies.

    Even by SIGKILL, and from its first instant on. Linux only; elsewhere None.
    """
    if sys.platform != "linux":
        return None
    set_death_signal = ctypes.CDLL(None).prctl  # looked up here: a child between fork and exec must do little
    pr_set_pdeathsig, supervisor = 1, os.getpid()

    def before_exec() -> None:
        set_death_signal(pr_set_pdeathsig, signal.SIGTERM)
        if os.getppid() != supervisor:  # it died before the line above
            os._exit(1)

    return before_exec


def _is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped (SIGSTOP, a debugger). Where that is unknown, nobody is ended for silence."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except (OSError, IndexError):
        return True


def _say(text: str) -> None:
    sys.stderr.write(f"mainstay: {text}\n")
    sys.stderr.flush()
