"""Output that neither ends nor holds up who writes it: a log may be full, have lost its reader, or be read by nobody.

Whoever watches others goes on without a log. What cannot be written at once is dropped; how much is said with the next
line that gets through. Takes no lock, so that a signal and a copy of the process may write as well.
"""

import io
import os
import select
import socket
import stat
import sys
from collections.abc import Callable

ENCODING = "utf-8"


class Steady(io.TextIOBase):
    """A text stream onto a descriptor, unbuffered. Writing to it never fails and never waits."""

    encoding = ENCODING

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._put, self._let_go = _way_out(descriptor)
        self._lost = 0

    def write(self, text: str) -> int:
        """Write as much as is taken at once."""
        told = f"mainstay: lines that could not be written here: {self._lost}\n" if self._lost else ""
        data = (told + text).encode(ENCODING, "backslashreplace")
        try:
            for start in range(0, len(data), select.PIPE_BUF):
                self._put(data[start : start + select.PIPE_BUF])
                self._lost = 0
        except OSError:
            self._lost += max(1, text.count("\n"))
        return len(text)

    def close(self) -> None:
        """Let go of what it opened; the descriptor stays open."""
        if not self.closed:
            self._let_go()
        super().close()

    def writable(self) -> bool:
        """It always is."""
        return True

    def fileno(self) -> int:
        """The descriptor: for faulthandler, which writes past this."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads."""
        return os.isatty(self._descriptor)


def _way_out(descriptor: int) -> tuple[Callable[[bytes], object], Callable[[], None]]:
    """Return what writes a piece of at most PIPE_BUF bytes at once or raises `OSError`, and what lets go of it.

    The descriptor itself stays as it is: the terminal or pipe behind it is shared with programs that expect to wait.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:  # closed
        return len, _nothing
    if stat.S_ISSOCK(mode):  # as under systemd
        shared = socket.socket(fileno=os.dup(descriptor))
        return lambda data: shared.send(data, socket.MSG_DONTWAIT), shared.close
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # no Linux, or a terminal of somebody else
            return lambda data: _write_if_free(descriptor, data), _nothing
        return lambda data: os.write(own, data), lambda: os.close(own)
    return lambda data: os.write(descriptor, data), _nothing


def _nothing() -> None:
    pass


def _write_if_free(descriptor: int, data: bytes) -> int:
    if not select.select((), (descriptor,), (), 0)[1]:
        raise BlockingIOError
    return os.write(descriptor, data)


def steady() -> None:
    """Make standard output and standard error of this process steady, before anything holds on to them."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    sys.stdout, sys.stderr = Steady(1), Steady(2)
