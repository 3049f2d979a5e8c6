"""The web process' application as a server drives it: what slow, large and many requests may not take from others."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.conf import settings

from mainstay.desk.asgi import ASKING_THREADS, SLOW, THREADS, Application
from mainstay.foundation.http.bodies import Bodies
from mainstay.foundation.http.connections import Limits
from mainstay.foundation.http.pool import BUFFERED_BYTES, Known, Pool, Threads, vouch
from mainstay.foundation.http.turns import Turns

pytestmark = pytest.mark.django_db(transaction=True)
Sent = list[dict[str, Any]]


def scope_of(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    given = {"host": "localhost", **headers}
    return {
        "type": "http", "method": method, "path": path, "query_string": b"", "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 8000), "client": ("192.0.2.7", 5),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip


async def ask(
    application: Any, path: str, method: str = "GET", body: bytes | None = b"", **headers: str
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """One request; `body` None: it never comes."""
    sent: Sent = []
    parts = [] if body is None else [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(application(scope_of(path, method, **headers), receive, send), 20)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], content, dict(sent[0]["headers"])


def run(act: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(act())  # type: ignore[arg-type]  # a coroutine function


@pytest.fixture(autouse=True)
def threads_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every thread that a test begins ends with it: on PostgreSQL none may keep a connection."""
    begun: list[Threads] = []
    begin = Threads.__init__

    def kept(self: Threads, name: str, most: int) -> None:
        begin(self, name, most)
        begun.append(self)

    monkeypatch.setattr(Threads, "__init__", kept)
    yield
    for one in begun:
        one.stop(5)


def slow_post(application: Any) -> "asyncio.Task[Any]":
    headers = {"content_length": "1000", "cookie": f"{settings.CSRF_COOKIE_NAME}={'a' * 32}"}
    form = "application/x-www-form-urlencoded"
    return asyncio.create_task(ask(application, "/sign-in/x", "POST", None, content_type=form, **headers))


@pytest.mark.fault("S1")
def test_bodies_that_do_not_come_hold_no_thread_and_end_with_408() -> None:
    async def act() -> None:
        application = Application(Limits(grace_s=1.5))
        slow = [slow_post(application) for _ in range(3 * THREADS)]
        await asyncio.sleep(0.05)
        assert (await ask(application, "/healthz"))[0] in {200, 503}
        assert (await ask(application, "/account/login/"))[0] == 200
        assert not any(one.done() for one in slow)
        answers = await asyncio.gather(*slow)
        assert {status for status, _, _ in answers} == {408}
        assert answers[0][2][b"connection"] == b"close"

    run(act)


@pytest.mark.fault("S1")
@pytest.mark.timing
def test_health_is_told_while_every_thread_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        time.sleep(1)
        start_response("200 OK", [])
        return []

    async def act() -> None:
        application = Application(Limits())
        monkeypatch.setattr(application._pages, "_app", slow)
        taken = [asyncio.create_task(ask(application, "/")) for _ in range(THREADS)]
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        answers = [await ask(application, "/healthz") for _ in range(20)]
        assert time.monotonic() - begin < 0.9
        assert {status for status, _, _ in answers} == {503}, "no process beats in this test"
        assert b"monitor" in answers[0][1]
        for one in taken:
            one.cancel()

    run(act)


@pytest.mark.fault("D16")
@pytest.mark.timing
def test_what_asks_the_metrics_store_leaves_the_threads_of_pages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard of twenty panels, each half a second: all are answered, and pages do not notice."""
    at_once, most = 0, 0

    def panel(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.1)
        at_once -= 1
        vouch(environ)
        start_response("200 OK", [])
        return [b"{}"]

    async def act() -> None:
        application = Application(Limits())
        monkeypatch.setattr(application._asking, "_app", panel)
        path = "/prometheus/api/v1/query"
        assert (await ask(application, path, authorization="Bearer grafana"))[0] == 200
        panels = [asyncio.create_task(ask(application, path, authorization="Bearer grafana")) for _ in range(20)]
        begin = time.monotonic()
        assert (await ask(application, "/account/login/"))[0] == 200
        other = await ask(application, path, authorization="Bearer other")
        assert other[0] == 200
        assert sum(one.done() for one in panels) < 20, "another caller does not wait behind the dashboard"
        assert {status for status, _, _ in await asyncio.gather(*panels)} == {200}
        assert time.monotonic() - begin < 10

    run(act)
    assert most <= ASKING_THREADS


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/prometheus/api/v1/query", True), ("/metrics/explore", True), ("/rules/3/", True), ("/api/v1/targets", True),
        ("/applications/shop/signals", True), ("/metrics", False), ("/", False), ("/alerts/3/acknowledge", False),
        ("/applications/shop/", False), ("/api/v1/alerts/3/acknowledge", False), ("/healthz", False),
    ],
)  # fmt: skip
def test_pages_that_ask_the_metrics_store_are_known_by_their_address(path: str, asks: bool) -> None:
    assert bool(SLOW.match(path)) is asks


@pytest.mark.parametrize(
    ("path", "content_type", "holds"),
    [
        ("/api/v1/checks", b"application/problem+json", b'"status":413'),
        ("/prometheus/api/v1/query", b"application/json", b'"status":"error"'),
        ("/sign-in/x", b"text/plain; charset=utf-8", b"bytes at most"),
    ],
)
def test_too_long_a_body_is_refused_as_the_address_refuses(path: str, content_type: bytes, holds: bytes) -> None:
    async def act() -> None:
        body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        application = Application(Limits())
        for headers in ({"content_length": str(len(body))}, {"transfer_encoding": "chunked"}):
            status, text, found = await ask(application, path, "POST", body, **headers)
            assert (status, found[b"content-type"]) == (413, content_type)
            assert holds in text

    run(act)


def test_bodies_together_take_a_bounded_amount_of_memory() -> None:
    async def act() -> None:
        bodies = Bodies(Limits(), 1_000, together_bytes=2_500)

        async def held() -> bytes:
            parts = [{"type": "http.request", "body": b"x" * 1_000}]

            async def receive() -> dict[str, Any]:
                return parts.pop()

            return await bodies.whole(scope_of("/", content_length="1000"), receive)

        first, _ = await held(), await held()
        with pytest.raises(Exception, match="large bodies"):
            await held()
        bodies.let_go(first)
        assert len(await held()) == 1_000

    run(act)


def pool(app: Any) -> Pool:
    turns = Turns(8, each=8, waiting=50, wait_s=5)
    return Pool(app, "test", 8, turns, Bodies(Limits(), 1_000), Known("session"))


def test_a_long_answer_is_written_while_it_is_made_and_only_two_at_a_time() -> None:
    rows, closed = 40, []

    class Rows:
        def __iter__(self) -> Any:
            return iter([b"x" * (BUFFERED_BYTES // 10)] * rows)

        def close(self) -> None:
            closed.append(True)

    def export(environ: dict[str, Any], start_response: Any) -> Rows:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return Rows()

    async def act() -> None:
        one = pool(export)
        _, content, headers = await ask(one, "/export")
        assert len(content) == rows * (BUFFERED_BYTES // 10)
        assert b"content-length" not in headers
        for _ in range(2):
            one._long.acquire()
        status, _, headers = await ask(one, "/export")
        assert (status, headers[b"retry-after"]) == (503, b"10")
        one._long.release()
        assert (await ask(one, "/export"))[0] == 200

    run(act)
    assert len(closed) == 3


def test_a_long_answer_that_nobody_reads_gives_its_thread_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstay.foundation.http.pool.CHUNK_READ_WITHIN_S", 0.1)

    def endless(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        while True:
            yield b"x" * BUFFERED_BYTES

    async def act() -> None:
        one = pool(endless)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            raise AssertionError

        async def send(_message: dict[str, Any]) -> None:
            await asyncio.sleep(60)

        await asyncio.wait_for(one(scope_of("/export"), receive, send), 10)
        assert not one._turns._running
        assert one._long.acquire(blocking=False)

    run(act)


def test_only_credentials_that_were_found_good_make_a_caller_of_their_own() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ.get("HTTP_AUTHORIZATION") == "Bearer good":
            vouch(environ)
        start_response("200 OK", [])
        return [b""]

    async def act() -> None:
        one = pool(app)
        for value in ("good", "made-up"):
            await ask(one, "/", authorization=f"Bearer {value}")
        good, bad = (one._known.caller(scope_of("/", authorization=f"Bearer {v}"))[0] for v in ("good", "made-up"))
        assert good.known
        assert bad == one._known.caller(scope_of("/"))[0] == ("192.0.2.7", False)
        cookie = one._known.caller(scope_of("/", cookie="other=1; session=abc"))
        assert cookie[1] == one._known.caller(scope_of("/", cookie="session=abc; other=2"))[1] != 0

    run(act)


def test_a_header_with_an_underscore_cannot_pass_for_another() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return [b""]

    async def act() -> None:
        one = pool(app)
        scope = scope_of("/caf\u00e9", "POST", transfer_encoding="chunked", x_forwarded_for="192.0.2.1")
        scope["headers"] += [(b"x_forwarded_for", b"10.0.0.1"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
        scope["query_string"] = b"q=\xff"
        parts = [{"type": "http.request", "body": b"abc"}]

        async def receive() -> dict[str, Any]:
            return parts.pop()

        async def send(_message: dict[str, Any]) -> None: ...

        await one(scope, receive, send)

    run(act)
    assert seen["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"
    assert seen["HTTP_COOKIE"] == "a=1; b=2"
    assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/caf\u00c3\u00a9", "q=\u00ff")
    assert (seen["CONTENT_LENGTH"], seen["wsgi.input"].getvalue()) == ("3", b"abc")
