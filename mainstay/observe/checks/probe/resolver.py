"""Name resolution in threads, bounded, with the system's own resolver (hosts file, nsswitch, search domains).

`getaddrinfo` can't be cancelled and may hang for half a minute, so it never runs in an event loop, and libcurl is
never left to resolve: it would join its resolver thread when the transfer ends, and with it the loop would hang.
Nothing is cached: a monitor must see a broken name at once. Look-ups of one name that run at the same time share one
thread, so a hanging name holds one thread however many checks use it.
"""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mainstay.observe.checks.probe.policy import literal_address

Lookup = Callable[[str, int], list[str]]
THREADS = 32
_IDLE_S = 10.0
_REASONS = {
    socket.EAI_NONAME: "no such name",
    socket.EAI_AGAIN: "the name server did not answer (temporary failure)",
    socket.EAI_FAIL: "the name server failed",
    getattr(socket, "EAI_NODATA", -5): "the name has no address of this kind",
    getattr(socket, "EAI_ADDRFAMILY", -9): "the name has no address of this kind",
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """Addresses in the order to try them, or why there are none. `took_s` includes waiting for a thread."""

    host: str
    addresses: tuple[str, ...]
    took_s: float
    error: str = ""


class ResolveError(Exception):
    """A name could not be resolved; the text says why."""


def system_lookup(host: str, family: int) -> list[str]:
    """Addresses of `host` by getaddrinfo, in its order (RFC 6724), without duplicates. Blocks."""
    found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver:
    """Thread-safe. Threads are daemons that start on demand and end when idle: a hung look-up never blocks an exit."""

    def __init__(self, lookup: Lookup = system_lookup, threads: int = THREADS) -> None:
        self._lookup = lookup
        self._limit = threads
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, int], list[tuple[float, Callable[[Resolution], None]]]] = {}
        self._queue: deque[tuple[str, int]] = deque()
        self._alive = 0
        self._idle = 0

    @property
    def pending(self) -> int:
        """Names being looked up or waiting for a thread."""
        return len(self._waiting)

    def submit(self, host: str, family: int, done: Callable[[Resolution], None]) -> None:
        """Look `host` up (`family`: 0, AF_INET or AF_INET6); `done` is called from a resolver thread."""
        key = (host, family)
        with self._changed:
            waiters = self._waiting.get(key)
            if waiters is not None:
                waiters.append((time.monotonic(), done))
                return
            self._waiting[key] = [(time.monotonic(), done)]
            self._queue.append(key)
            if len(self._queue) <= self._idle:
                self._changed.notify()
            elif self._alive < self._limit:
                self._alive += 1
                threading.Thread(target=self._work, name="resolver", daemon=True).start()

    async def resolve(self, host: str, family: int = 0) -> Resolution:
        """As `submit`, for an event loop. Literal addresses in any spelling return at once."""
        at_once = literal(host, family)
        if at_once is not None:
            return at_once
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Resolution] = loop.create_future()

        def deliver(resolution: Resolution) -> None:
            if not future.done():
                future.set_result(resolution)

        def done(resolution: Resolution) -> None:
            try:
                loop.call_soon_threadsafe(deliver, resolution)
            except RuntimeError:
                # The loop was closed while the name server was still thinking: nobody waits any more.
                return

        self.submit(host, family, done)
        return await future

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                got_work = self._changed.wait_for(lambda: bool(self._queue), timeout=_IDLE_S)
                self._idle -= 1
                if not got_work:
                    self._alive -= 1
                    return
                key = self._queue.popleft()
            host, family = key
            addresses, error = self._look_up(host, family)
            with self._changed:
                waiters = self._waiting.pop(key)
            now = time.monotonic()
            for asked_at, done in waiters:
                done(Resolution(host, addresses, now - asked_at, error))

    def _look_up(self, host: str, family: int) -> tuple[tuple[str, ...], str]:
        try:
            addresses = tuple(self._lookup(host, family))
        except socket.gaierror as failure:
            return (), _REASONS.get(failure.errno or 0, failure.strerror or str(failure))
        except (OSError, UnicodeError, ValueError) as failure:
            return (), str(failure)
        return (addresses, "") if addresses else ((), "the name has no address")


def literal(host: str, family: int = 0) -> Resolution | None:
    """The resolution of a host that is spelled as an address, else None."""
    address = literal_address(host)
    if address is None:
        return None
    wanted = {int(socket.AF_INET): 4, int(socket.AF_INET6): 6}.get(family)
    if wanted is not None and wanted != address.version:
        return Resolution(host, (), 0.0, f"it is an IPv{address.version} address, and IPv{wanted} is asked for")
    return Resolution(host, (str(address),), 0.0)
