"""Connections of HTTP clients, bounded: how many, how large their heads are, how slowly they may send and read.

uvicorn's protocol on httptools knows none of these bounds (`h11_max_incomplete_event_size` is for its other parser): a
header is collected until memory ends, and half a head is waited for without end. One pass a second over all connections
ends those that are too slow; a timer for each would cost more than it is worth.
"""

import asyncio
import logging
import math
import resource
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

log = logging.getLogger("mainstay.clients")
FILES_WANTED, FILES_OF_OURS = 65_536, 200  # descriptors: asked of the kernel; kept for database, files, other sockets
TICK_S = 0.1  # of uvicorn's
PIPELINED_MOST = 16
LINGER_S, LINGER_MOST_BYTES = 2.0, 4 * 1024 * 1024  # read on from who is refused: else unread bytes undo the answer
_TEXT = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much clients may take.

    Attributes:
        connections: at the same time. Beyond, the one that has waited longest without a whole request is closed.
        per_address: of these, from one address other than loopback, where a proxy on this host connects from.
        head_bytes: of one request: its line and all headers.
        headers: of one request.
        head_s: from its first byte (or from connecting) a head has so long to arrive.
        grace_s: a body, or an answer to a client, may take so long …
        bytes_per_s: … and a second more for so many bytes of it that got through.
        unsent_bytes: of answers that clients do not read, over all connections.
    """

    connections: int = 4_000
    per_address: int = 1_000
    head_bytes: int = 64 * 1024
    headers: int = 100
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
        self._waiting: OrderedDict[Connection, None] = OrderedDict()
        self._of: dict[str, OrderedDict[Connection, None]] = {}  # by address: those that wait
        self._count: dict[str, int] = {}

    def admit(self, one: "Connection") -> bool:
        """Count a new connection, closing another one if there are too many; False when there is no room for it."""
        address = one.address
        count = self._count[address] = self._count.get(address, 0) + 1
        if count > self.limits.per_address and not one.local:
            return self._make_room(self._of.get(address), one)
        if len(self.connections) > self.limits.connections:
            return self._make_room(self._waiting, one)
        return True

    @staticmethod
    def _make_room(waiting: "OrderedDict[Connection, None] | None", one: "Connection") -> bool:
        if not waiting:
            return False
        next(iter(waiting)).end(f"too many connections, and {one.address} wants one more")
        return True

    def waits(self, one: "Connection") -> None:
        """Note that no whole request of it is being answered."""
        self._waiting[one] = None
        self._of.setdefault(one.address, OrderedDict())[one] = None

    def works(self, one: "Connection") -> None:
        """Note that a request of it is being answered: it is not closed to make room."""
        if one in self._waiting:
            del self._waiting[one]
            del self._of[one.address][one]

    def forget(self, one: "Connection") -> None:
        """Note that it is gone."""
        self.works(one)
        left = self._count.get(one.address, 0) - 1
        if left > 0:
            self._count[one.address] = left
        else:
            self._count.pop(one.address, None)
            self._of.pop(one.address, None)

    def sweep(self, now: float) -> None:
        """End connections that are too slow at `now` (the loop's clock); to be called every second."""
        unread: list[tuple[float, Connection]] = []
        unsent = 0
        for one in list(self.connections):
            if not isinstance(one, Connection):
                continue
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = ""
        self.local = False
        self.limits = self.server_state.limits
        self.since = 0.0  # when the present part began: a head, a body, lingering
        self.in_head = True
        self.partial = True  # a head is due: that of the first request, and of a further one from its first byte
        self.lingering = False
        self.body_bytes = 0
        self.unread = 0  # bytes of answers that the client has not taken
        self.unread_since = 0.0
        self._taken = 0
        self._loose = 0  # bytes since the last head, piece of a body or end that was whole
        self._head = 0
        self._wrong = (400, "This is no HTTP request.")

    # --- what the transport says ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new client, if there is room."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self.address = self.client[0] if self.client else ""
        self.local = _is_local(self.address)
        admitted = self.server_state.admit(self)
        self.server_state.waits(self)
        if not admitted:
            self.refuse(503, "There are too many connections; try again in a moment.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.server_state.forget(self)
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent, as far as it is bounded."""
        if self.lingering:
            self._loose += len(data)
            if self._loose > LINGER_MOST_BYTES:
                self.transport.abort()
            return
        if self.parser is None:
            return
        self._unset_keepalive_if_required()
        if self.in_head and not self.partial:
            self.partial, self.since = True, self.loop.time()
        self._loose += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self.cycle is not None:  # answered as the plain request that it also is; nothing follows it
                self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self.refuse(*self._wrong)
        else:
            if self._loose > self.limits.head_bytes:
                self.refuse(431, f"The head of a request may have {self.limits.head_bytes} bytes.")

    # --- what the parser says ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole (or a trailer: they count as well)."""
        self._head += len(name) + len(value)
        if self._head > self.limits.head_bytes or len(self.headers) >= self.limits.headers:
            most = f"{self.limits.headers} headers and {self.limits.head_bytes} bytes"
            self._wrong = (431, f"The head of a request may have {most}.")
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        if len(self.pipeline) >= PIPELINED_MOST:
            self._wrong = (400, "Too many requests before an answer.")
            raise ValueError("too many requests before an answer")
        self._loose = self.body_bytes = 0
        self.in_head = self.partial = False
        self.since = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body came."""
        self._loose = 0
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._loose = 0
        self.in_head = True
        self.since = self.loop.time()
        self.server_state.works(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered."""
        self.since = self.loop.time()
        super().on_response_complete()
        if not self.answering and not self.transport.is_closing():
            self.server_state.waits(self)

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
            if self.partial and not self.answering and now - self.since > limits.head_s:
                self.refuse(408, f"The head of the request did not arrive within {limits.head_s:g} s.")
        elif now - self.since > limits.grace_s + 2 * LINGER_S + self.body_bytes / limits.bytes_per_s:
            # Whoever reads bodies answers 408 before; this one has been answered without, or nobody reads it.
            self.end("its body did not arrive", abort=True)
        return self.unread

    def _reads_too_slowly(self, now: float, limits: Limits) -> bool:
        size = self.transport.get_write_buffer_size()
        if not size or not self.unread:
            self.unread_since, self._taken = now, 0
        else:
            self._taken += max(0, self.unread - size)
        self.unread = size
        return size > 0 and now - self.unread_since > limits.grace_s + self._taken / limits.bytes_per_s

    def refuse(self, status: int, text: str) -> None:
        """Say what is wrong with the request, and close."""
        log.warning("%s: refused with %d: %s", self.address, status, text)
        self._unset_keepalive_if_required()
        if self.answering:
            if self.pipeline or self.cycle.response_started:  # another answer cannot be put into one that is on its way
                self.transport.abort()
                return
            self.cycle.disconnected = True  # what the application still says of this request goes nowhere
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
        self.server_state.works(self)
        if abort or self.lingering:
            self.transport.abort()
        else:
            self.transport.close()


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
                timeout_graceful_shutdown=3,
                timeout_keep_alive=30,
                backlog=socket.SOMAXCONN,
            )
        )
        self.server_state = Crowd(with_descriptors(limits))
        self._ticked_at = math.inf  # not yet, or not any more

    def lag_s(self) -> float:
        """Return for how long the loop has not come round, beyond a tick's length; may be asked by any thread."""
        return max(0.0, time.monotonic() - self._ticked_at - TICK_S)

    async def main_loop(self) -> None:
        """Serve until it is to end."""
        try:
            await super().main_loop()
        finally:
            self._ticked_at = math.inf

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second; every tenth of these, look at all connections."""
        self._ticked_at = time.monotonic()
        if counter % 10 == 0:
            try:
                self.server_state.sweep(asyncio.get_running_loop().time())
            except Exception:  # a defect must not end the server
                log.exception("connections could not be looked through")
        return await super().on_tick(counter)
