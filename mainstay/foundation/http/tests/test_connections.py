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
from threading import Event, Thread
from typing import Any

import pytest

from mainstay.foundation.http import connections
from mainstay.foundation.http.bodies import Bodies, Gone, Refusal, answer
from mainstay.foundation.http.connections import Limits, Server, with_descriptors
from tests.program import until

NARROW = Limits(head_bytes=2_000, headers=10, head_s=0.5, grace_s=0.5, bytes_per_s=1_000_000)
BIG = b"x" * 8_000_000
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
STARTED, LEFT = Event(), Event()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """`/big`: 8 MB; `/stream`: as much in pieces; `/slow`: takes its time; `/whole`: reads the body; else a word."""
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(0, len(BIG), 50_000):
            await send({"type": "http.response.body", "body": BIG[:50_000], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/waits":
        STARTED.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        LEFT.set()
        return
    if scope["path"] == "/head":
        told = [scope["method"].encode(), scope["raw_path"], *(b"%s=%s" % pair for pair in scope["headers"])]
        await answer(send, 200, b" ".join(told), b"text/plain")
        return
    try:
        body = await Bodies(NARROW, 1_000).whole(scope, receive) if scope["path"] == "/whole" else b""
    except Refusal as refusal:
        await answer(send, refusal.status, refusal.text.encode(), b"text/plain", close=True)
        return
    except Gone:
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
            server.force_exit = True
            server.end()
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


@pytest.mark.timing
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


@pytest.mark.timing
def test_a_kept_connection_outlives_the_deadline_of_a_head_and_is_closed_when_nothing_more_is_asked() -> None:
    with served(replace(NARROW, head_s=0.2, kept_s=2.0)) as (_, port):
        sock = connect(port, GET)
        assert status(sock) == 200
        time.sleep(1.5)
        sock.sendall(GET)
        assert status(sock) == 200
        begin = time.monotonic()
        assert closed(sock) == b""
        assert 1.5 < time.monotonic() - begin < 6


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
    assert found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert found.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        # Transfer codings (RFC 9112, 6.1): what is not exactly chunked hides a length from us or from a proxy.
        (b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: identity\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        # Exactly one Host that is one (RFC 9112, 3.2).
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://here/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here\r\nHost: here\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: here\r\nHost: there\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: he re\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: me@here\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: " + b"a" * 301 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here/x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here:80x\r\n\r\n", 400),
        # The target (RFC 9112, 3.2).
        (b"GET http:/// HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET http://me:pass@here/ HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET ftp://here/ HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET here:80 HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"CONNECT /x HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        # Other versions (RFC 9110, 15.6.6).
        (b"GET / HTTP/2.0\r\nHost: here\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: here\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        # What stands in headers.
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: a\x01b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX\x01: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n X: a\r\nHost: here\r\n\r\n", 400),
    ],
)
def test_a_head_that_can_be_understood_in_two_ways_is_refused(port: int, sent: bytes, expected: int) -> None:
    found = closed(connect(port, sent + GET))
    assert found.startswith(b"HTTP/1.1 %d " % expected)
    assert found.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "host", [b"here", b"HERE.example.:8000", b"127.0.0.1:1", b"[::1]:8000", b"a_b", b"", b"here \t"]
)
def test_a_host_of_any_right_form_is_taken(port: int, host: bytes) -> None:
    sock = connect(port, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert status(sock) == 200
    sock.close()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://there:81/head", b"/head"),
        (b"HTTP://there:81/head?a=b", b"/head"),
        (b"https://there:81/head", b"/head"),
    ],
)
def test_the_host_in_a_target_holds_and_not_that_in_the_header(port: int, target: bytes, path: bytes) -> None:
    sock = connect(port, b"GET " + target + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert closed(sock).partition(b"\r\n\r\n")[2] == b"GET " + path + b" host=there:81 connection=close"


def test_a_target_without_a_path_is_the_root(port: int) -> None:
    for target in (b"http://here", b"http://here?a=b"):
        sock = connect(port, b"GET " + target + b" HTTP/1.1\r\nHost: here\r\n\r\n")
        assert status(sock) == 200
        sock.close()


def test_what_follows_a_body_is_no_header(port: int) -> None:
    trailers = b"Authorization: Bearer stolen\r\nX-Forwarded-For: 1.2.3.4\r\nHost: there\r\n"
    sent = CHUNKED.replace(b"/whole", b"/head") + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
    sock = connect(port, sent)
    assert sock.recv(65_536).endswith(b"POST /head host=here transfer-encoding=chunked")
    sock.sendall(GET)
    assert status(sock) == 200
    sock.close()


def test_http_1_0_hears_of_neither_chunks_nor_100(port: int) -> None:
    head, _, body = closed(connect(port, b"GET /stream HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body == BIG
    expecting = b"POST /whole HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
    head, _, body = closed(connect(port, expecting)).partition(b"\r\n\r\n")
    assert (head[:13], body) == (b"HTTP/1.1 200 ", b"finehello")


def test_who_expects_100_and_never_sends_hears_408(port: int) -> None:
    sock = connect(port, b"POST /whole HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    found = closed(sock)
    assert found.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 ")


def test_who_expects_100_and_sends_nonsense_hears_400_alone(port: int, caplog: pytest.LogCaptureFixture) -> None:
    head = CHUNKED[:-2] + b"Expect: 100-continue\r\n\r\n"
    found = closed(connect(port, head + b"nonsense\r\n"))
    assert found.startswith(b"HTTP/1.1 400 ")
    assert "Cannot call write" not in caplog.text


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"any"])
def test_nothing_follows_a_request_that_wants_another_protocol(port: int, upgrade: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n"
    found = closed(connect(port, head + GET))
    assert found.startswith(b"HTTP/1.1 200 ")
    assert found.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "in pieces"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"]
)
def test_a_body_after_the_wish_for_another_protocol_is_read(port: int, body: bytes, apart: bool) -> None:
    """Java's HttpClient asks for h2c with its first request to a server without TLS."""
    head = b"POST /whole HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    sock = connect(port)
    sent = head + body + GET
    for part in (sent[at : at + 1] for at in range(len(sent))) if apart else (sent,):
        with suppress(OSError):  # answered and closed before what follows
            sock.send(part)
    found = closed(sock)
    assert found.count(b"HTTP/1.1 ") == 1
    assert found.endswith(b"finehello")


def test_nonsense_after_a_good_request_does_not_take_its_answer(port: int) -> None:
    found = closed(connect(port, b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n" + GET + b"nonsense\r\n\r\n"))
    assert found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 ") == 2


def test_a_client_that_leaves_behind_several_requests_is_known_to_have_left(port: int) -> None:
    sock = connect(port, b"GET /waits HTTP/1.1\r\nHost: here\r\n\r\n" + GET)
    assert STARTED.wait(5)
    sock.close()
    assert LEFT.wait(5)


@pytest.mark.timing
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


@pytest.mark.timing
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


def test_who_reads_a_long_answer_steadily_has_all_of_it() -> None:
    with served(replace(NARROW, grace_s=2.0, bytes_per_s=400_000)) as (_, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
        begin, found = time.monotonic(), 0
        while part := sock.recv(20_000):
            found += len(part)
            time.sleep(max(0.0, begin + found / 1_000_000 - time.monotonic()))  # a line of 1 MB/s
        assert found > len(BIG)
        sock.close()


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


@pytest.mark.timing
def test_a_body_that_is_half_sent_when_the_server_ends_is_refused_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "ENDING_S", 2)
    wide = replace(NARROW, grace_s=30)
    monkeypatch.setattr(sys.modules[__name__], "NARROW", wide)
    with served(wide) as (server, port):
        half = connect(port, b"POST /whole HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf")
        slow = connect(port, b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        until(lambda: len(server.server_state.tasks) == 2, "both are asked")
        begun = time.monotonic()
        server.end()
        assert status(slow) == 200  # what is under way is answered
        assert status(half) == 503
        half.close()
        slow.close()
    assert time.monotonic() - begun < 2.5
    assert "Exception" not in caplog.text


def test_a_signal_ends_the_server_and_who_runs_it_goes_on() -> None:
    program = (
        "import os, signal, threading; from mainstay.foundation.http.connections import Limits, Server;"
        "server = Server(None, '127.0.0.1', 0, Limits());"
        "threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start();"
        "server.run(); print('goodbye')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "goodbye\n"
