"""The whole program goes on watching when its log has lost its reader, is full, or is read by nobody."""

import fcntl
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.parts import Receiver, Target
from tests.program import Program, until
from tests.test_trouble import configuration, statuses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SENSELESS = [b"GET / HTTP/1.1\r\nX\r\n\r\n", b"GET / HTTP/1.1\r\nHost: he re\r\n\r\n"]


class Logged:
    """A pipe that the program logs into, as small as the kernel makes them."""

    def __init__(self) -> None:
        self.reads, self.writes = os.pipe()
        fcntl.fcntl(self.writes, fcntl.F_SETPIPE_SZ, 4096)

    def fill(self) -> None:
        """From now on it takes nothing more."""
        own = os.open(f"/proc/self/fd/{self.writes}", os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(own, b"x")
        os.close(own)

    def read(self) -> bytes:
        """What is in it."""
        return os.read(self.reads, 65_536)


@pytest.mark.parametrize("log", ["lost its reader", "is full", "is read by nobody"])
def test_it_goes_on_without_a_log(tmp_path: Path, parts: tuple[Target, Receiver], log: str) -> None:
    target, receiver = parts
    program, pipe = Program(tmp_path / "program"), Logged()
    file = tmp_path / "file.yaml"
    file.write_text(configuration(target, receiver))
    program.command("prepare", str(file))
    output = os.open("/dev/full", os.O_WRONLY) if log == "is full" else os.dup(pipe.writes)
    try:
        program.start(output=output)
        os.close(output)
        pipe.fill() if log == "is read by nobody" else os.close(pipe.reads)
        os.close(pipe.writes)
        before = program.children()
        for request in SENSELESS * 50:
            with socket.create_connection(("127.0.0.1", program.port), timeout=5) as client:
                client.sendall(request)
                assert client.recv(100).startswith(b"HTTP/1.1 400")
        for role in ("worker", "web"):
            os.kill(before[role], signal.SIGKILL)
        until(lambda: set(program.children()) == set(before) and program.children() != before, "both are back")
        target.down = {"page"}
        until(lambda: statuses(receiver) == ["firing"], "the page")
        until(program.healthy, "healthy again")
        if log == "is read by nobody":
            pipe.read()
            os.kill(program.children()["worker"], signal.SIGKILL)
            until(lambda: b"lines that could not be written here" in pipe.read(), "what is missing is told")
        assert program.children()
    finally:
        assert program.stop() < 6
        if log == "is read by nobody":
            os.close(pipe.reads)
