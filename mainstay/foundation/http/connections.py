"""Connections of HTTP clients, bounded: how many, how large their heads are, how slowly they may send and read.

uvicorn's protocol on httptools knows none of these bounds (`h11_max_incomplete_event_size` is for its other parser): a
header is collected until memory ends, and half a head is waited for without end. One pass a second over all connections
ends those that are too slow; a timer for each would cost more than it is worth.
"""

import asyncio
import contextlib
import heapq
import logging
import math
import re
import resource
import signal
import socket
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from types import FrameType
from typing import Any, Literal

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

log = logging.getLogger("mainstay.clients")
FILES_WANTED, FILES_OF_OURS = 65_536, 200  # descriptors: asked of the kernel; kept for database, files, other sockets
TICK_S = 1.0
ENDING_S = 3  # what is under way gets so long to end
PIPELINED_MOST = 16
HOST_MOST_BYTES = 300  # a name has 253 at most (RFC 1035), and a port
CLOSED_AT_ONCE = 100  # connections to close are looked up for so many times at once
LINGER_S, LINGER_MOST_BYTES = 2.0, 4 * 1024 * 1024  # read on from who is refused: else unread bytes undo the answer
_TEXT = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?", re.ASCII)  # RFC 3986, 3.2.2 and 3.2.3
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much clients may take.

    Attributes:
        connections: at the same time. Beyond, the one that has waited longest without a whole request is closed.
        per_address: of these, from one address other than loopback, where a proxy on this host connects from.
        head_bytes: of one request: its line and all headers.
        headers: of one request.
        kept_s: a connection on which nothing more is asked is kept for so long.
        head_s: from its first byte (or from connecting) a head has so long to arrive.
        grace_s: a body, or an answer to a client, may take so long …
        bytes_per_s: … and a second more for so many bytes of it that got through.
        unsent_bytes: of answers that clients do not read, over all connections.
    """

    connections: int = 4_000
    per_address: int = 1_000
    head_bytes: int = 64 * 1024
    headers: int = 100
    kept_s: float = 30.0
    head_s: float = 10.0
    grace_s: float = 20.0
    bytes_per_s: int = 16 * 1024
    unsent_bytes: int = 64 * 1024 * 1024


def with_descriptors(limits: Limits) -> Limits:
    """Raise this process' limit of descriptors as far as it may; return `limits` with connections that fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    room = limits.connections if soft == resource.RLIM_INFINITY else max(16, soft - FILES_OF_OURS)
    return replace(limits, connections=min(limits.connections, room))


class Crowd(ServerState):
    """All connections of a server, and in which order they may be closed to make room."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self._count: dict[str, int] = {}
        self._to_close: dict[str, deque[tuple[float, Connection]]] = {}  # by address ("": all), longest idle first

    def admit(self, one: "Connection") -> bool:
        """Count a new connection, closing another one if there are too many; False when there is no room for it."""
        count = self._count[one.address] = self._count.get(one.address, 0) + 1
        if len(self.connections) > self.limits.connections:
            return self._make_room(one, "")
        if count > self.limits.per_address and not one.local:
            return self._make_room(one, one.address)
        return True

    def _make_room(self, newcomer: "Connection", address: str) -> bool:
        """Close the one of `address` that has been idle for longest; who is, is found out for many times at once."""
        known = self._to_close.setdefault(address, deque())
        for looked_anew in (False, True):
            if looked_anew:
                idle = [(one.idle_from, one) for one in self._clients() if address in {"", one.address}]
                idle = [each for each in idle if each[0] < math.inf and each[1] is not newcomer]
                known.extend(heapq.nsmallest(CLOSED_AT_ONCE, idle, key=lambda each: each[0]))
            while known:
                since, one = known.popleft()
                if one.idle_from == since:
                    one.end(f"too many connections, and {newcomer.address} wants one more")
                    return True
        return False

    def forget(self, one: "Connection") -> None:
        """Note that it is gone."""
        one.idle_from = math.inf
        left = self._count[one.address] - 1
        if left:
            self._count[one.address] = left
        else:
            del self._count[one.address]
            self._to_close.pop(one.address, None)

    def _clients(self) -> "list[Connection]":
        return [one for one in self.connections if isinstance(one, Connection)]

    def sweep(self, now: float) -> None:
        """End connections that are too slow at `now` (the loop's clock); to be called every second."""
        unread: list[tuple[float, Connection]] = []
        unsent = 0
        for one in self._clients():
            size = one.judge(now, self.limits)
            unsent += size
            if size:
                unread.append((one.unread_since, one))
        for _, one in sorted(unread, key=lambda each: each[0]):
            if unsent <= self.limits.unsent_bytes:
                break
            unsent -= one.unread
            one.end("answers that clients do not read take too much memory", abort=True)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds. A head or body that is not one, or is too slow, is answered and closed."""

    server_state: Crowd
    # What is the same for every connection, and what uvicorn's __init__ would look up or set for each: a fresh
    # connection for each request is what most jobs and probes make, and has to be cheap.
    logger = access_logger = log
    access_log = False
    ws_protocol_class = limit_concurrency = timeout_keep_alive_task = None
    root_path, asgi_version = "", "3.0"
    expect_100_continue = False
    cycle: RequestResponseCycle = None  # type: ignore[assignment]  # as uvicorn declares it, before the first request
    scheme: Literal["http", "https"] | None = "http"

    address = ""
    local = False
    since = 0.0  # when the present part began: a head, a body, lingering
    idle_from = math.inf  # since when no request of it is answered: it may be closed to make room
    in_head = True
    partial = True  # a head is due: that of the first request, and of a further one from its first byte
    lingering = False
    deaf = False  # what is being answered is the last: nothing more is read
    body_bytes = 0
    unread = 0  # bytes of answers that the client has not taken
    unread_since = 0.0
    _taken = 0
    _loose = 0  # bytes since the last head, piece of a body or end that was whole
    _wrong = (400, "This is no HTTP request.")
    _running: RequestResponseCycle | None = None

    def __init__(
        self, config: uvicorn.Config, server_state: Crowd, app_state: dict[str, Any], _loop: Any = None
    ) -> None:
        self.config, self.app = config, config.loaded_app
        self.loop = _loop or asyncio.get_running_loop()
        self.server_state, self.limits = server_state, server_state.limits
        self.connections, self.tasks = server_state.connections, server_state.tasks
        self.app_state = app_state
        self.server = (config.host, config.port)
        self.pipeline = deque()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(
            lenient_data_after_close=True
        )  # what follows "close" is not read: no error

    # --- what the transport says ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new client, if there is room."""
        self.transport, self.flow = transport, FlowControl(transport)
        self.connections.add(self)
        self.client = get_remote_addr(transport)
        self.since = self.idle_from = self.loop.time()
        self.address = self.client[0] if self.client else ""
        self.local = _is_local(self.address)
        if not self.server_state.admit(self):
            self.refuse(503, "There are too many connections; try again in a moment.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.connections.discard(self)
        self.server_state.forget(self)
        self.pipeline.clear()
        for cycle in (self._running, self.cycle):  # the one that is answered, and the last of several
            if cycle is not None:
                cycle.disconnected = cycle.disconnected or not cycle.response_complete
                cycle.message_event.set()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None

    def data_received(self, data: bytes) -> None:
        """Take what the client sent, as far as it is bounded."""
        if self.lingering or self.deaf:
            self._loose += len(data)
            if self._loose > LINGER_MOST_BYTES:
                self.transport.abort()
            return
        if self.parser is None:
            return
        if self.in_head and not self.partial:
            self.partial, self.since = True, self.loop.time()
        self._loose += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                self._stay_with_http(data[stopped.args[0] :])
        except httptools.HttpParserError:
            if not self.deaf:
                self.refuse(*self._wrong)
        else:
            if self._loose > self.limits.head_bytes:
                self.refuse(431, f"The head of a request may have {self.limits.head_bytes} bytes.")

    def _stay_with_http(self, rest: bytes) -> None:
        """Answer a request for another protocol as the plain request that it also is; nothing follows it.

        httptools stops after such a head, without the body that it may announce (Java's client sends such requests).
        A second parser reads that.
        """
        self.cycle.keep_alive = False
        framing = self._framing()
        if not framing:
            self.deaf = True
            return
        self.parser = httptools.HttpRequestParser(_Rest(self))
        self.parser.feed_data(b"POST / HTTP/1.1\r\nConnection: close\r\n" + framing + b"\r\n" + rest)

    def _framing(self) -> bytes:
        """The headers that announce a body."""
        wanted = {b"content-length", b"transfer-encoding"}
        return b"".join(b"%s: %s\r\n" % (name, value) for name, value in self.scope["headers"] if name in wanted)

    # --- what the parser says ------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """A head is whole."""
        if len(self.pipeline) >= PIPELINED_MOST:
            self._wrong = (400, "Too many requests before an answer.")
            raise ValueError("too many requests before an answer")
        most = self.limits
        much = len(self.headers) > most.headers or self._loose > most.head_bytes
        wrong = (much and self._too_much()) or self._wrong_head()
        if wrong is not None:
            self._wrong = wrong
            raise ValueError(wrong[1])
        self.headers = []  # of trailers, which say nothing: proxies may not have looked at them
        self._loose = self.body_bytes = 0
        self.in_head = self.partial = False
        self.since = self.loop.time()
        super().on_headers_complete()
        if self.parser.get_http_version() == "1.0":
            self.cycle.waiting_for_100_continue = False

    def _too_much(self) -> tuple[int, str] | None:
        """Why a head (or a trailer) is too large, else None. One that has no end is cut off by `data_received`."""
        limits = self.limits
        if len(self.headers) > limits.headers or (
            self._loose > limits.head_bytes  # which is more than the head, if something follows it
            and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > limits.head_bytes
        ):
            return 431, f"The head of a request may have {limits.headers} headers and {limits.head_bytes} bytes."
        return None

    def _wrong_head(self) -> tuple[int, str] | None:
        """Why a head that can be parsed is not taken (RFC 9112, 2.3, 3.2 and 6.1), else None."""
        version = self.parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            return 505, "This server speaks HTTP/1.1."
        hosts, host, coded = 0, b"", False
        for name, value in self.headers:
            if name == b"host":
                hosts, host = hosts + 1, value
            elif name == b"transfer-encoding":
                coded = True
        if hosts != 1 and (hosts or version == "1.1"):
            return 400, "A request needs exactly one Host."
        if hosts and (len(host) > HOST_MOST_BYTES or not _is_host(host)):
            return 400, "The Host of the request is none."
        if coded:
            if version == "1.0":
                return 400, "HTTP/1.0 has no Transfer-Encoding."
            codings = [value.strip(b" \t").lower() for name, value in self.headers if name == b"transfer-encoding"]
            if codings != [b"chunked"]:
                return 501, "The only transfer coding known here is chunked."
        if not self.url.startswith(b"/"):
            absolute = _ABSOLUTE.fullmatch(self.url)
            if absolute is None or len(absolute[1]) > HOST_MOST_BYTES or not _is_host(absolute[1]):
                return 400, "The request's target must be a path or an http URL."
            self.url = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
            # What the target says holds (RFC 9112, 3.2.2).
            self.headers[:] = [(name, absolute[1] if name == b"host" else value) for name, value in self.headers]
        if self.parser.get_method() == b"CONNECT":
            return 400, "This is no proxy."
        return None

    def on_body(self, body: bytes) -> None:
        """A piece of a body came."""
        self._loose = 0
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self.parser.should_upgrade() and self._framing():
            return  # its body comes by the second parser
        if self.headers and (wrong := self._too_much()) is not None:
            self._wrong = wrong
            raise ValueError(wrong[1])
        self._loose = 0
        self.in_head = True
        self.since, self.idle_from = self.loop.time(), math.inf
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """A request is answered."""
        self.since = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_from = self.since

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.scope["http_version"] == "1.1" else _Unchunked(app, cycle))

    # --- bounds --------------------------------------------------------------------------------------------------

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def judge(self, now: float, limits: Limits) -> int:
        """End the connection if it is too slow; return how many bytes of answers it has not read."""
        if self._reads_too_slowly(now, limits):
            self.end("did not read its answer", abort=True)
        elif self.lingering or self.transport.is_closing():
            if now - self.since > LINGER_S and not self.unread:
                self.transport.abort()
        elif self.in_head:
            if self.answering:
                pass
            elif self.partial and now - self.since > limits.head_s:
                self.refuse(408, f"The head of the request did not arrive within {limits.head_s:g} s.")
            elif now - self.since > limits.kept_s:
                self.transport.close()
        elif now - self.since > limits.grace_s + 2 * LINGER_S + self.body_bytes / limits.bytes_per_s:
            # Whoever reads bodies answers 408 before; this one has been answered without, or nobody reads it.
            self.end("its body did not arrive", abort=True)
        return self.unread

    def _reads_too_slowly(self, now: float, limits: Limits) -> bool:
        self._see_what_is_unread(now)
        return self.unread > 0 and now - self.unread_since > limits.grace_s + self._taken / limits.bytes_per_s

    def _see_what_is_unread(self, now: float) -> None:
        size = self.transport.get_write_buffer_size()
        if not size or not self.unread:
            self.unread_since, self._taken = now, 0
        else:
            self._taken += max(0, self.unread - size)
        self.unread = size

    def pause_writing(self) -> None:
        """Whoever writes waits. A long answer is refilled between two looks of the sweep, so it is counted here."""
        self._see_what_is_unread(self.loop.time())
        super().pause_writing()

    def resume_writing(self) -> None:
        """Enough was read."""
        self._see_what_is_unread(self.loop.time())
        super().resume_writing()

    def shutdown(self) -> None:
        """The server ends: what is under way is answered, a body that does not arrive in time is not waited for."""
        super().shutdown()
        self.loop.call_later(ENDING_S - 1.0, self._end_body)

    def _end_body(self) -> None:
        if self.answering and not self.in_head and not self.lingering:
            self.refuse(503, "Mainstay is stopping; try again in a moment.")
            self.loop.call_later(0.5, self.transport.close)

    def refuse(self, status: int, text: str) -> None:
        """Say what is wrong with the request, and close."""
        log.warning("%s: refused with %d: %s", self.address, status, text)
        if self.answering:
            if self.in_head:  # it is what follows that is wrong: the requests before it have their answers
                self.deaf, self._loose, self.cycle.keep_alive = True, 0, False
                return
            if self.pipeline or self.cycle.response_started:  # another answer cannot be put into one that is on its way
                self.transport.abort()
                return
            self.cycle.disconnected = True  # what the application still says of this request goes nowhere
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        body = f"{text}\n".encode()
        retry = "retry-after: 1\r\n" if status == 503 else ""
        self.transport.write(
            f"HTTP/1.1 {status} {_TEXT[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\n{retry}connection: close\r\n\r\n".encode()
            + body
        )
        self.lingering, self.since, self._loose = True, self.loop.time(), 0
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def end(self, why: str, *, abort: bool = False) -> None:
        """Close, without a word."""
        log.warning("%s: closed: %s", self.address, why)
        self.idle_from = math.inf
        if abort or self.lingering:
            self.transport.abort()
        else:
            self.transport.close()


class _Rest:
    """What a parser says of a body whose head another parser has read."""

    def __init__(self, one: Connection) -> None:
        self._one = one
        self.on_header, self.on_body = one.on_header, one.on_body

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._one.on_message_complete()
        self._one.deaf = True


class _Unchunked:
    """An application, asked by HTTP/1.0, which knows no chunks: the end of the connection ends a long answer."""

    def __init__(self, app: Any, cycle: RequestResponseCycle) -> None:
        self._app, self._cycle = app, cycle
        self._unknown = False  # how long the answer is

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            cycle = self._cycle
            if message["type"] == "http.response.start":
                if all(name.lower() != b"content-length" for name, _ in message["headers"]):
                    cycle.chunked_encoding = False
                    self._unknown = True
            elif self._unknown:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, sent)


@lru_cache(maxsize=1_000)
def _is_host(text: bytes) -> bool:
    return _HOST.fullmatch(text.strip(b" \t")) is not None


@lru_cache(maxsize=1_000)
def _is_local(address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return not address  # a UNIX socket has none


class Server(uvicorn.Server):
    """uvicorn's server that keeps its clients within bounds."""

    server_state: Crowd

    def __init__(self, app: Any, host: str, port: int, limits: Limits, *, lifespan: bool = False) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=Connection,
                interface="asgi3",
                lifespan="on" if lifespan else "off",
                ws="none",  # nothing here speaks it; its library stays unloaded
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=ENDING_S,
                backlog=socket.SOMAXCONN,
            )
        )
        self.server_state = Crowd(with_descriptors(limits))
        self._ticked_at = math.inf  # not yet, or not any more
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def lag_s(self) -> float:
        """Return for how long the loop has not come round, beyond a tick's length; may be asked by any thread."""
        return max(0.0, time.monotonic() - self._ticked_at - TICK_S)

    async def main_loop(self) -> None:
        """Serve until `end`. uvicorn's own asks ten times a second whether that has come."""
        self._loop = asyncio.get_running_loop()
        try:
            while not await self.on_tick(0):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._ending.wait()
        finally:
            self._ticked_at = math.inf

    def end(self) -> None:
        """Let it end; may be called by any thread, and by a signal."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._ending.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal. Once served, it is done with: uvicorn's would raise it again, and nobody say goodbye."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.end()

    async def on_tick(self, counter: int) -> bool:
        """Once a second, look at all connections."""
        self._ticked_at = time.monotonic()
        try:
            self.server_state.sweep(asyncio.get_running_loop().time())
        except Exception:  # a defect must not end the server
            log.exception("connections could not be looked through")
        return await super().on_tick(counter)
