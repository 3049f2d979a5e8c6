"""A WSGI application behind the event loop: in a fixed number of threads, so that its database connections stay few.

A thread is taken when the whole request is there and given back when the whole answer is: a client that sends or reads
slowly never holds one. Only an answer beyond `BUFFERED_BYTES` (an export) is written while it is made, two at a time.
"""

import asyncio
import contextvars
import io
import logging
import queue
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from django.db import connections

from mainstay.foundation.http.bodies import Bodies, Gone, Receive, Scope, Send, header
from mainstay.foundation.http.turns import Caller, Turns
from mainstay.foundation.processes.watchdog import PATIENCE_S, Turn, place_of

log = logging.getLogger("mainstay.web")
BUFFERED_BYTES = 2 * 1024 * 1024
LONG_AT_ONCE = 2
CHUNK_READ_WITHIN_S = 10.0
KNOWN_MOST, KNOWN_S = 10_000, 600.0
VOUCHED = "mainstay.vouched"  # in the environ: the application found the caller's session or token good
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
T = TypeVar("T")
_Work = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def vouch(environ: dict[str, Any]) -> None:
    """Note in a request's environ (Django's `request.META`) that its session or token is good."""
    environ[VOUCHED] = True


class Known:
    """Which credentials were found good lately: only these count as callers of their own."""

    def __init__(self, session_cookie: str = "") -> None:
        self._cookie = re.compile(rb"(?:^|;\s*)" + re.escape(session_cookie.encode()) + rb"=([^;]+)")
        self._has_cookie = bool(session_cookie)
        self._good: OrderedDict[int, float] = OrderedDict()  # until when, by what stands for the credentials

    def caller(self, scope: Scope) -> tuple[Caller, int]:
        """Return who asks, and what stands for their credentials (0: they have none)."""
        credential = header(scope, b"authorization")
        if not credential and self._has_cookie:
            found = self._cookie.search(header(scope, b"cookie"))
            credential = found[1] if found else b""
        mark = hash(credential) if credential else 0
        if self._good.get(mark, 0.0) > time.monotonic():
            return Caller(mark, True), mark
        return Caller(scope["client"][0] if scope.get("client") else "", False), mark

    def learn(self, mark: int) -> None:
        """Note that credentials were found good, for a while: a revoked token is a stranger again."""
        self._good[mark] = time.monotonic() + KNOWN_S
        self._good.move_to_end(mark)
        if len(self._good) > KNOWN_MOST:
            self._good.popitem(last=False)


class Threads:
    """Threads that are begun when needed, and do not keep the process from ending while they work."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._busy = 0
        self._begun: list[threading.Thread] = []
        self._since: dict[int, float] = {}  # by thread: since when it works on something
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()

    async def run(self, act: Callable[[], T]) -> T:
        """Return what `act` returns in a thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._busy += 1
        if self._busy > len(self._begun) < self._most:
            name = f"{self._name}-{len(self._begun)}"
            self._begun.append(threading.Thread(target=self._serve, name=name, daemon=True))
            self._begun[-1].start()
        self._work.put((loop, future, partial(contextvars.copy_context().run, act)))
        try:
            return await future
        finally:
            self._busy -= 1

    def turn(self, patience_s: float) -> Turn:
        """What all of them do at this moment: while one is free or goes on, what comes is served."""
        since = dict(self._since)
        stuck = len(since) == self._most
        places = tuple(place_of(thread) for thread in sorted(since)) if stuck else None
        return Turn(f"every thread {self._name}", tuple(sorted(since.items())) if stuck else None, places, patience_s)

    def stop(self, within_s: float = 1.0) -> None:
        """Let the threads end after what they do now, and give their database connections back."""
        for _ in self._begun:
            self._work.put(None)
        until = time.monotonic() + within_s
        for thread in self._begun:
            thread.join(max(0.0, until - time.monotonic()))

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            loop, future, act = work
            self._since[threading.get_ident()] = time.monotonic()
            tell: Callable[[], None]
            try:
                tell = partial(_set, future, act(), None)
            except BaseException as error:  # noqa: BLE001  # raised to who waits
                tell = partial(_set, future, None, error)
            del self._since[threading.get_ident()]
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:  # the loop has ended
                break
            del work, future, act, tell  # nothing of a request stays until the next one
        connections.close_all()


def _set(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class Pool:
    """Runs a WSGI application for ASGI requests."""

    def __init__(self, app: Application, name: str, threads: int, turns: Turns, bodies: Bodies, known: Known) -> None:
        self._app = app
        self._threads = Threads(name, threads)
        self._turns, self._bodies, self._known = turns, bodies, known
        self._long = threading.BoundedSemaphore(LONG_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            Refusal: it is too long, too slow, or there is no place for it; nothing was sent.
        """
        try:
            body = await self._bodies.whole(scope, receive)
        except Gone:
            return
        try:
            caller, mark = self._known.caller(scope)
            environ = environ_of(scope, body)
            await self._turns.take(caller)
            outlet = _Outlet(asyncio.get_running_loop(), receive, send, self._long)
            try:
                found = await self._threads.run(partial(_run, self._app, environ, outlet))
            finally:
                self._turns.give(caller)
                outlet.close()
            if mark and VOUCHED in environ:
                self._known.learn(mark)
        finally:
            self._bodies.let_go(body)
        if found is None:  # written while it was made
            if not outlet.gone:
                await send({"type": "http.response.body", "body": b""})
            return
        status, headers, content = found
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def turn(self, patience_s: float = PATIENCE_S) -> Turn:
        """What its threads do at this moment."""
        return self._threads.turn(patience_s)

    def stop(self) -> None:
        """Let the threads end."""
        self._threads.stop()


class _Outlet:
    """Through which a thread writes an answer that is too long to be kept. Bounded in time per piece."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send, places: threading.BoundedSemaphore
    ) -> None:
        self._loop, self._receive, self._send, self._places = loop, receive, send, places
        self._watch: asyncio.Task[None] | None = None
        self.open = False
        self.gone = False

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> bool:
        """Start writing (in a thread); False when too many such answers are being written already."""
        if not self._places.acquire(blocking=False):
            return False
        self.open = True
        self._wait(self._begin({"type": "http.response.start", "status": status, "headers": headers}))
        return True

    def write(self, piece: bytes) -> bool:
        """Write a piece (in a thread); False when the client has left or does not read."""
        if not self.gone:
            self._wait(self._send({"type": "http.response.body", "body": piece, "more_body": True}))
        return not self.gone

    def close(self) -> None:
        """End watching (on the loop)."""
        if self._watch is not None:
            self._watch.cancel()
        if self.open:
            self._places.release()

    def _wait(self, act: Any) -> None:
        future = asyncio.run_coroutine_threadsafe(act, self._loop)
        try:
            future.result(CHUNK_READ_WITHIN_S)
        except TimeoutError:
            future.cancel()
            self.gone = True

    async def _begin(self, message: dict[str, Any]) -> None:
        self._watch = asyncio.create_task(self._until_gone())
        await self._send(message)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True


def _run(app: Application, environ: dict[str, Any], outlet: _Outlet) -> Answer | None:
    """Return the application's answer, or None when it was written through the outlet (in a thread)."""
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        begun[:] = [int(status[:3]), [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]]
        return kept.append

    kept: list[bytes] = []
    size = 0
    pieces = app(environ, start_response)
    try:
        for piece in pieces:
            if outlet.open:
                if not outlet.write(piece):
                    log.warning("%s: given up: the client has left or does not read", environ["PATH_INFO"])
                    return None
                continue
            kept.append(piece)
            size += len(piece)
            if size > BUFFERED_BYTES:
                if not outlet.begin(*begun):
                    text = f"{LONG_AT_ONCE} long answers are being written already; try again later.\n".encode()
                    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"10")]
                    return 503, [*headers, (b"content-length", str(len(text)).encode())], text
                if not outlet.write(b"".join(kept)):
                    return None
                kept.clear()
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    if outlet.open:
        return None
    status, headers = begun
    content = b"".join(kept)
    if status not in {204, 304} and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(content)).encode()))
    return status, headers, content


def environ_of(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return a request as WSGI has it (PEP 3333)."""
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw, value in scope["headers"]:
        if b"_" in raw or raw == b"content-length":
            continue  # X_Forwarded_For would pass for X-Forwarded-For; the length is that of what was read
        name = raw.decode("latin-1").upper().replace("-", "_")
        name = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
        text = value.decode("latin-1")
        joint = "; " if name == "HTTP_COOKIE" else ","
        environ[name] = f"{environ[name]}{joint}{text}" if name in environ else text
    return environ
