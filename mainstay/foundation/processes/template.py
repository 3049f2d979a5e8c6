"""What the processes share is loaded once, in the supervisor, and each of them begins as a copy of it.

The kernel copies a page of memory only when one of the processes writes to it, so that code, constants and models are
there once; and a process that died is back without importing anything. Why and how much: docs/decisions/0009.
"""

import ctypes
import gc
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from setproctitle import setproctitle

ROLES = {"web": "mainstay.desk.server", "monitor": "mainstay.role", "worker": "mainstay.role"}
LOADED = ("mainstay.role", "mainstay.desk.asgi")  # each says itself what more it needs
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}  # for processes that are not copies, too
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_M_ARENA_MAX = -8
_PR_SET_PDEATHSIG = 1


class CannotCopy(RuntimeError):
    """This process cannot be copied; the message says why. Its children must be started as programs."""


def load() -> None:
    """Load what the processes need into this one, which must never have threads or a connection to the database.

    Raises:
        CannotCopy, and whatever an import raises.
    """
    if sys.platform != "linux":
        raise CannotCopy("only Linux can")  # elsewhere system libraries do not survive a fork
    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(ALLOCATOR["MALLOC_ARENA_MAX"]))  # the variable was read at the start
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
    gc.disable()  # whatever is garbage is so at the end
    try:
        import django

        django.setup()
        for name in LOADED:
            importlib.import_module(name).load()
        _warm()
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()  # else the first collection in a copy would write to every page
    need_single()


def _warm() -> None:
    """Let models work out what they keep about each other and Python fit its code to its use, once for all copies."""
    from django.apps import apps

    for model in apps.get_models():
        str(model._base_manager.filter(pk=1).order_by("pk").query)


def need_single() -> None:
    """Raise `CannotCopy` when a copy would lack a thread of this process, or share its connection to the database."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise CannotCopy(f"{threads} threads run")
    from django.db import connections

    if any(one.connection is not None for one in connections.all(initialized_only=True)):
        raise CannotCopy("there is a connection to the database")


class Copy:
    """A process that runs `act`, as a copy of this one; in the manner of `subprocess.Popen`.

    Args:
        act: what it does; returns its exit status.
        title: its name in ps and top.
        closed: descriptors that it must not hold.
    """

    def __init__(self, act: Callable[[], int], title: str, closed: Sequence[int] = ()) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor, self.returncode = os.getpid(), None
        # Held back until the copy has its own handlers: until then it would take a signal for one to the supervisor.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _run(act, title, closed, supervisor)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        give_up = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if give_up is not None and time.monotonic() >= give_up:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
            time.sleep(0.005)
        return status

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def _run(act: Callable[[], int], title: str, closed: Sequence[int], supervisor: int) -> None:
    """Be the copy; never returns, lest it go on as a second supervisor."""
    status = 1
    try:
        os.setsid()  # Ctrl-C reaches the supervisor alone, which then stops the children in order
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:  # it died before the line above
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for descriptor in closed:
            os.close(descriptor)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        setproctitle(title)
        status = act()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: BLE001  # what a program of its own would print as it ends
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
