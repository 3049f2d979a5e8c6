"""A log that is full, has lost its reader or is read by nobody neither ends nor holds up who writes to it."""

import fcntl
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.foundation.processes.steady import Steady

PIPE_LEAST = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_LEAST)
    yield reads, writes
    os.close(writes)
    os.close(reads)


def test_what_is_read_arrives_whole(pipe: tuple[int, int]) -> None:
    Steady(pipe[1]).write("a line, ü and \udc80\n")
    assert os.read(pipe[0], 100).decode() == "a line, ü and \\udc80\n"


def test_a_pipe_that_nobody_reads_takes_what_it_can_and_says_later_what_is_missing(pipe: tuple[int, int]) -> None:
    out = Steady(pipe[1])
    for _ in range(200):
        out.write("x" * 99 + "\n")
    taken = os.read(pipe[0], 100_000)
    assert len(taken) == PIPE_LEAST // 100 * 100
    out.write("again\n")
    assert os.read(pipe[0], 1000) == b"mainstay: lines that could not be written here: 160\nagain\n"
    assert os.get_blocking(pipe[1]), "others who write there may rely on waiting"


def test_a_traceback_longer_than_a_pipe_does_not_wait(pipe: tuple[int, int]) -> None:
    assert Steady(pipe[1]).write("line\n" * 10_000) == 50_000


def test_a_reader_that_has_gone_is_no_error() -> None:
    reads, writes = os.pipe()
    out = Steady(writes)
    os.close(reads)
    out.write("nobody hears this\n")
    os.close(writes)


def test_a_socket_as_systemd_gives_one_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        out = Steady(ours.fileno())
        for _ in range(20_000):
            out.write("x" * 99 + "\n")
        assert select.select([theirs], [], [], 1)[0]
        theirs.close()
        out.write("nobody hears this\n")


def test_a_full_disk_is_no_error() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        Steady(full.fileno()).write("no room\n")


def test_a_file_is_appended_to_beside_others(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab", buffering=0) as file:
        out = Steady(file.fileno())
        out.write("one\n")
        file.write(b"two\n")
        out.write("three\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\nthree\n"


def test_a_closed_descriptor_is_no_error() -> None:
    reads, writes = os.pipe()
    os.close(writes)
    Steady(writes).write("nowhere\n")
    os.close(reads)
