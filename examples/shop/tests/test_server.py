"""The shop's HTTP on the wire: limits, keep-alive, slow and rude clients, a graceful end."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from examples.shop.server import BODY_MAX_BYTES
from examples.shop.tests.conftest import ROOT, RunningShop, StartShop


def talk(port: int, sent: bytes) -> bytes:
    """Send raw bytes; everything received until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def status_of(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


def test_head_answers_like_get_without_the_body(shop: RunningShop) -> None:
    head, get = shop.request("HEAD", "/"), shop.get("/")
    assert head.status == 200
    assert head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body))


def test_a_connection_is_kept_for_many_requests_and_pipelines_are_answered_in_order(shop: RunningShop) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10)
    for path in ("/", "/products/1", "/nowhere", "/api/products"):
        connection.request("GET", path)
        connection.getresponse().read()
        kept = connection.sock
        assert kept is not None
    connection.close()
    pipeline = (
        b"GET /products/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /products/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    received = talk(shop.port, pipeline)
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.index(b"<title>Enamel mug") < received.index(b"<title>Linen notebook")


def test_an_old_client_is_answered_and_disconnected(shop: RunningShop) -> None:
    assert status_of(talk(shop.port, b"GET / HTTP/1.0\r\n\r\n")) == 200


@pytest.mark.parametrize("size", [BODY_MAX_BYTES + 1, 3_000_000])
def test_a_huge_body_is_refused_with_the_reason(shop: RunningShop, size: int) -> None:
    received = talk(shop.port, f"POST /cart HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    assert status_of(received) == 413
    assert f"The body has {size} bytes; at most 65536 are taken.".encode() in received


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
        (b"POST /cart HTTP/1.1\r\nContent-Length: ten\r\n\r\n", 400),
        (b"POST /cart HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /cart HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /cart HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /?" + b"a=1&" * 60 + b" HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(shop: RunningShop, sent: bytes, status: int) -> None:
    received = talk(shop.port, sent)
    assert status_of(received) == status
    assert b"Connection: close" in received
    assert shop.get("/").status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"errors": }', b"\xff\xfe", b"[" * 60_000, b'{"errors": ' + b"9" * 5_000 + b"}"]
)
def test_bad_json_is_refused_with_a_problem_document(shop: RunningShop, body: bytes) -> None:
    answer = shop.request("POST", "/faults", body, {"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 400


def test_a_wrong_method_is_told_the_right_ones(shop: RunningShop) -> None:
    answer = shop.request("DELETE", "/cart")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, POST, HEAD"


def test_the_request_id_of_the_client_is_kept_when_it_is_harmless(shop: RunningShop) -> None:
    assert shop.get("/", **{"X-Request-ID": "trace-42"}).headers["X-Request-ID"] == "trace-42"
    made = shop.get("/", **{"X-Request-ID": 'a"b<c'}).headers["X-Request-ID"]
    assert len(made) == 16


def test_requests_are_logged_as_json_lines_only_when_asked_for(start_shop: StartShop, shop: RunningShop) -> None:
    shop.get("/")
    assert not [line for line in shop.lines if line.get("logger") == "shop.access"]
    shop = start_shop("--every", "3600", "--access-log")
    shop.get("/products/3?secret=1", **{"X-Request-ID": "logged-1"})
    line = shop.wait_for_line(request_id="logged-1")
    assert line.keys() == {"ts", "level", "logger", "msg", "request_id", "method", "path", "status", "duration_ms"}
    assert (line["method"], line["path"], line["status"]) == ("GET", "/products/3", 200)


def test_sigterm_lets_an_answer_end_and_closes_idle_connections(start_shop: StartShop, tmp_path: Path) -> None:
    shop = start_shop("--every", "3600")
    with closing(sqlite3.connect(tmp_path / "data" / "shop.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM product_views WHERE visit >= 300")  # about a second, not five
    shop.faults(slow_query=1)
    answers: list[int] = []
    slow = threading.Thread(target=lambda: answers.append(shop.get("/search?q=lamp").status))
    with socket.create_connection(("127.0.0.1", shop.port), timeout=10) as idle:
        idle.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        assert idle.recv(65536)
        slow.start()
        time.sleep(0.2)  # the search is under way
        shop.process.send_signal(signal.SIGTERM)
        assert shop.wait_for_exit() == 0
        assert idle.recv(1) == b""
    slow.join(5)
    assert answers == [200]
    assert [line["msg"] for line in shop.lines][-1] == "the shop is closed"
    assert not [line for line in shop.lines if "cut short" in str(line["msg"])]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["shop.sqlite3"]


def test_what_was_ordered_survives_a_kill(start_shop: StartShop) -> None:
    first = start_shop("--every", "3600")
    cookie = first.post_form("/cart", product_id=1, quantity=1).headers["Set-Cookie"].split(";")[0]
    paid = first.post_form("/checkout", cookie, name="Ada", email="ada@example.org", card="accepted")
    first.process.kill()
    first.wait_for_exit()
    second = start_shop("--every", "3600")
    assert second.get(paid.headers["Location"]).status == 200


def test_two_hundred_requests_on_eight_connections_are_all_answered(shop: RunningShop) -> None:
    statuses: list[int] = []

    def visit() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10)
        for number in range(25):
            connection.request("GET", ("/", "/search?q=lamp", "/products/3", "/api/products")[number % 4])
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(20)
    assert statuses == [200] * 200


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.shop", *options]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, env=os.environ | environment, check=False
    )


def test_a_taken_port_is_named_and_the_exit_status_is_1(shop: RunningShop, tmp_path: Path) -> None:
    ended = run("--port", str(shop.port), "--data", str(tmp_path))
    assert ended.returncode == 1
    line = json.loads(ended.stdout.splitlines()[-1])
    assert f"127.0.0.1:{shop.port}" in line["msg"]
    assert "exception" not in line


@pytest.mark.parametrize("options", [["--port", "0"], ["--data", "x", "--every", "0"], ["--data", "x", "--port", "a"]])
def test_wrong_usage_is_exit_status_2(options: list[str]) -> None:
    assert run(*options).returncode == 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "ping", "http://"])
def test_a_heartbeat_from_the_environment_is_checked_too(tmp_path: Path, url: str) -> None:
    ended = run("--data", str(tmp_path), SHOP_HEARTBEAT_URL=url)
    assert ended.returncode == 2
    assert "begins with http" in ended.stderr
