"""A real server with narrow limits: what slow and hostile clients get, and that others are served."""

import asyncio
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from mainstay.foundation.http import connections
from mainstay.foundation.http.bodies import Bodies, Refusal, answer
from mainstay.foundation.http.connections import Limits, Server, with_descriptors

NARROW = Limits(head_bytes=2_000, headers=10, head_s=0.5, grace_s=0.5, bytes_per_s=1_000_000)
BIG = b"x" * 8_000_000
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """`/big`: 8 MB; `/slow`: half a second; `/whole`: reads the body; else a word."""
    try:
        body = await Bodies(NARROW, 1_000).whole(scope, receive) if scope["path"] == "/whole" else b""
    except Refusal as refusal:
        await answer(send, refusal.status, refusal.text.encode(), b"text/plain", close=True)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    await answer(send, 200, BIG if scope["path"] == "/big" else b"fine" + body, b"text/plain")


@contextmanager
def served(limits: Limits) -> Iterator[tuple[Server, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(application, "127.0.0.1", 0, limits)
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield server, listening.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


@pytest.fixture
def port() -> Iterator[int]:
    with served(NARROW) as (_, port):
        yield port


def connect(port: int, sent: bytes = b"", at: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(at, 0))
    sock.sendall(sent)
    return sock


def closed(sock: socket.socket) -> bytes:
    """What came until the server closed."""
    found = b""
    try:
        while part := sock.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    sock.close()
    return found


def status(sock: socket.socket) -> int:
    return int(sock.recv(65_536)[9:12] or 0)


@pytest.mark.parametrize(
    "sent",
    [b"", b"G", b"GET / HTTP/1.1\r\nHost: here\r\nX-Half: ", b"GET / HTTP/1.1\r\nHost: here\r\n"],
)
def test_a_head_that_does_not_arrive_is_answered_408_and_closed(port: int, sent: bytes) -> None:
    begin = time.monotonic()
    assert closed(connect(port, sent)).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begin < 5


def test_a_further_head_has_a_deadline_of_its_own(port: int) -> None:
    sock = connect(port, GET)
    assert status(sock) == 200
    sock.sendall(b"GET / HT")
    assert closed(sock).startswith(b"HTTP/1.1 408 ")


def test_bytes_that_trickle_do_not_lengthen_the_deadline(port: int) -> None:
    sock, begin = connect(port, b"GET / HTTP/1.1\r\nX: "), time.monotonic()
    sock.settimeout(0.05)
    answer = b""
    while not answer and time.monotonic() - begin < 8:
        sock.send(b"a")
        with suppress(TimeoutError):
            answer = sock.recv(1_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    sock.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 3_000,
        b"GET /" + b"a" * 3_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 3_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 11 + b"\r\n",
        b"POST /whole HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\nX: " + b"a" * 3_000,
        b"POST /whole HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;x=" + b"a" * 3_000,
    ],
    ids=["header", "address", "whole head", "many headers", "trailer", "extension of a chunk"],
)
def test_what_is_too_long_is_refused_at_once(port: int, sent: bytes) -> None:
    found = closed(connect(port, sent))
    assert found.startswith(b"HTTP/1.1 431 ") or (b"chunked" in sent and not found.startswith(b"HTTP/1.1 200"))


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\xff: x\r\n\r\n"]
)
def test_what_is_no_request_is_answered_400(port: int, sent: bytes) -> None:
    assert closed(connect(port, sent)).startswith(b"HTTP/1.1 400 ")


CHUNKED = b"POST /whole HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        # How a request is hidden in another one, when a proxy before us reads the length otherwise.
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length : 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\nHost: here\n\n",
        CHUNKED + b"5\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5;\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhelloXX0\r\n\r\n",
        CHUNKED + b"5\r\nhello\n0\r\n\r\n",
        CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFF1\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
        CHUNKED.replace(b"chunked", b"xchunked") + b"0\r\n\r\n",
    ],
)
def test_no_request_hides_in_another_and_who_sends_nonsense_hears_so(port: int, sent: bytes) -> None:
    found = closed(connect(port, sent + GET))
    assert found.startswith(b"HTTP/1.1 400 ")
    assert found.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"any"])
def test_nothing_follows_a_request_that_wants_another_protocol(port: int, upgrade: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n"
    found = closed(connect(port, head + GET))
    assert found.startswith(b"HTTP/1.1 200 ")
    assert found.count(b"HTTP/1.1 ") == 1


def test_requests_without_end_before_an_answer_are_no_way_to_fill_the_memory(port: int) -> None:
    found = closed(connect(port, b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n" + GET * 1_000))
    assert found.count(b"HTTP/1.1 200") < 20
    sock = connect(port, GET * 10)
    time.sleep(0.3)
    assert sock.recv(65_536).count(b"fine") == 10, "as many as anybody sends are served"
    sock.close()


@pytest.mark.parametrize("head", [b"Content-Length: 500", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_arrive_is_answered_408(port: int, head: bytes) -> None:
    sent = b"POST /whole HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n\r\n5"
    assert closed(connect(port, sent)).startswith(b"HTTP/1.1 408 ")


def test_a_body_nobody_reads_is_not_waited_for(port: int) -> None:
    sock = connect(port, b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 500\r\n\r\nhalf")
    assert status(sock) == 200
    begin = time.monotonic()
    closed(sock)
    assert time.monotonic() - begin < 9


def test_who_sends_too_long_a_body_hears_so(port: int) -> None:
    head = b"POST /whole HTTP/1.1\r\nHost: here\r\nContent-Length: 2000000\r\n"
    assert b"1000 bytes at most" in closed(connect(port, head + b"\r\n" + b"x" * 2_000_000))
    waiting = connect(port, head + b"Expect: 100-continue\r\n\r\n")
    assert closed(waiting).startswith(b"HTTP/1.1 413 "), "without having sent any of it"


def test_a_client_that_does_not_read_its_answer_is_cut_off(port: int) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET /big HTTP/1.1\r\nHost: here\r\n\r\n")
    time.sleep(4)
    assert len(closed(sock)) < len(BIG)


def test_answers_that_are_not_read_take_a_bounded_amount_of_memory_together() -> None:
    with served(replace(NARROW, unsent_bytes=10_000_000, grace_s=60)) as (server, port):
        idle = [connect(port, b"GET /big HTTP/1.1\r\nHost: here\r\n\r\n") for _ in range(6)]
        time.sleep(3)
        unsent = sum(one.transport.get_write_buffer_size() for one in server.server_state.connections)
        assert unsent <= 10_000_000
        for sock in idle:
            sock.close()


def test_beyond_the_bound_the_connection_that_has_waited_longest_is_closed() -> None:
    with served(replace(NARROW, connections=20, head_s=60)) as (server, port):
        at_work = connect(port, b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        time.sleep(0.2)
        idle = [connect(port) for _ in range(60)]
        fresh = connect(port, GET)
        assert status(fresh) == 200
        assert len(server.server_state.connections) <= 22
        assert closed(idle[0]) == b""
        assert status(at_work) == 200, "a request that is being answered is not given up"
        for sock in (at_work, fresh, *idle):
            sock.close()


def test_one_address_displaces_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_is_local", lambda address: not address.startswith("127.9.9."))
    with served(replace(NARROW, connections=200, per_address=10, head_s=60)) as (server, port):
        calm = [connect(port, at="127.9.9.1") for _ in range(5)]
        noisy = [connect(port, at="127.9.9.2") for _ in range(50)]
        by_proxy = [connect(port) for _ in range(30)]
        time.sleep(0.3)
        held = Counter(one.address for one in server.server_state.connections)  # type: ignore[union-attr]
        assert held == {"127.9.9.1": 5, "127.9.9.2": 10, "127.0.0.1": 30}
        for sock in (*calm, *by_proxy, *noisy[40:]):
            sock.sendall(GET)
            assert status(sock) == 200
        for sock in (*calm, *by_proxy, *noisy):
            sock.close()


def test_descriptors_bound_the_connections() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512));"
        "from mainstay.foundation.http.connections import Limits, with_descriptors;"
        "found = with_descriptors(Limits());"
        "print(found.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["312", "512"]
    assert with_descriptors(Limits(connections=5)).connections == 5
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
