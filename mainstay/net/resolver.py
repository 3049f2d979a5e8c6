"""Name resolution in threads, bounded and fair, with the system's own resolver (hosts file, nsswitch, search domains).

`getaddrinfo` can't be cancelled and may hang for half a minute, so it never runs in an event loop, and libcurl is
never left to resolve: it would join its resolver thread when the transfer ends, and with it the loop would hang.
Nothing is cached: a monitor must see a broken name at once. Look-ups of one name that run at the same time share one
thread, so a hanging name holds one thread however many checks use it.

**Fairness.** A look-up that takes a second is slow. Names that were slow, and names of a zone in which one hangs now,
have half of the threads; what turns slow while it runs counts there, too. Zones take turns, and one zone has at most
three quarters of the other half, of which half is kept for names that have been quick before. Names in the hosts file
never wait: they have threads of their own. A look-up that nobody waits for any more leaves the queue, and whoever gave
up learns whether the name was ever asked about.
"""

import asyncio
import logging
import math
import queue
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mainstay.net.policy import literal_address

log = logging.getLogger(__name__)

Lookup = Callable[[str, int], list[str]]
Key = tuple[str, int]
THREADS = 64
SLOW_S = 1.0
_LOCAL_THREADS = 4
_IDLE_S = 10.0
_SUSPECT_S = 300.0
"""A zone in which nothing has been slow for so long is like any other again."""
_REMEMBERED_MOST = 20_000
HOSTS_FILE = Path("/etc/hosts")
_HOSTS_READ_EVERY_S = 2.0
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


class Ticket:
    """One who waits for a look-up."""

    __slots__ = ("_key", "_resolver", "asked", "asked_at", "done")

    def __init__(self, resolver: "Resolver", key: Key, done: Callable[[Resolution], None]) -> None:
        self._resolver, self._key, self.done = resolver, key, done
        self.asked_at = time.monotonic()
        self.asked = False
        """Whether a name server has been asked since; until then the name only waits here."""

    def give_up(self) -> None:
        """Wait no longer: `done` will not be called, unless it is just being called."""
        self._resolver._give_up(self._key, self)


def zone_of(host: str) -> str:
    """The part of a name whose servers it most likely shares with others: `example.com`, `example.co.uk`."""
    labels = host.lower().rstrip(".").rsplit(".", 3)
    country = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3:] if country else labels[-2:])


def names_in(hosts: str) -> frozenset[str]:
    """The names that a hosts file has, in lower case."""
    lines = (line.partition("#")[0].split() for line in hosts.splitlines())
    return frozenset(name.lower() for line in lines for name in line[1:])


class _HostsFile:
    """The names in the hosts file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: frozenset[str] = frozenset()
        self._stamp: tuple[int, int] | None = None
        self._looked_at = -math.inf

    def has(self, host: str, now: float) -> bool:
        if now - self._looked_at >= _HOSTS_READ_EVERY_S:
            self._looked_at = now
            try:
                found = self._path.stat()
                if (found.st_mtime_ns, found.st_size) != self._stamp:
                    self._stamp = (found.st_mtime_ns, found.st_size)
                    self._names = names_in(self._path.read_text("utf-8", "replace"))
            except OSError:
                self._names, self._stamp = frozenset(), None
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or name in self._names


class _Recent(OrderedDict[str, float]):
    """When something was so last, for the names and zones of which that is known; bounded."""

    def note(self, name: str, at: float) -> None:
        self[name] = at
        self.move_to_end(name)
        if len(self) > _REMEMBERED_MOST:
            self.popitem(last=False)


class Resolver:
    """Thread-safe. Threads are daemons that start on demand and end when idle: a hung look-up never blocks an exit."""

    def __init__(
        self,
        lookup: Lookup = system_lookup,
        threads: int = THREADS,
        *,
        slow_s: float = SLOW_S,
        hosts: Path = HOSTS_FILE,
    ) -> None:
        self._lookup = lookup
        self._slow_s = slow_s
        self._hosts = _HostsFile(hosts)
        self._most = max(2, threads)
        self._slow_most = self._most // 2
        self._zone_most = max(1, (self._most - self._slow_most) * 3 // 4)
        self._new_most = max(1, (self._most - self._slow_most) // 2)  # names that never answered quickly yet
        self._new_zone_most = max(1, self._new_most * 3 // 4)
        self._changed = threading.Condition()
        self._waiting: dict[Key, list[Ticket]] = {}
        self._running: dict[Key, float] = {}  # since when
        self._local: deque[Key] = deque()
        self._zones: OrderedDict[str, deque[Key]] = OrderedDict()  # what is not known as slow; the next zone first
        self._slow: dict[Key, None] = {}
        self._started_slow: set[Key] = set()
        self._slow_names = _Recent()
        self._quick_names = _Recent()
        self._suspects = _Recent()  # zone → since when something hangs there
        self._last_slow = _Recent()  # zone → when something was slow there last
        self._asked_last = _Recent()  # slow names take turns: who was not asked for the longest time comes first
        self._alive = self._idle = 0
        self._polling = False  # a thread looks again and again whether what runs has turned slow

    @property
    def pending(self) -> int:
        """Names being looked up or waiting for a thread."""
        return len(self._waiting)

    def submit(self, host: str, family: int, done: Callable[[Resolution], None]) -> Ticket:
        """Look `host` up (`family`: 0, AF_INET or AF_INET6); `done` is called from a resolver thread."""
        key = (host, family)
        ticket = Ticket(self, key, done)
        with self._changed:
            tickets = self._waiting.get(key)
            if tickets is not None:
                tickets.append(ticket)
                ticket.asked = key in self._running
                return ticket
            self._waiting[key] = [ticket]
            self._line_up(key, ticket.asked_at)
            self._need_a_thread()
        return ticket

    async def resolve(
        self, host: str, family: int = 0, on_ticket: Callable[[Ticket], None] | None = None
    ) -> Resolution:
        """As `submit`, for an event loop. Literal addresses in any spelling return at once, without a ticket."""
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

        ticket = self.submit(host, family, done)
        if on_ticket is not None:
            on_ticket(ticket)
        try:
            return await future
        finally:
            ticket.give_up()  # nothing is left to give up unless this was cancelled

    # --- whose turn it is; all of it under the lock ------------------------------------------------------------

    def _line_up(self, key: Key, now: float) -> None:
        host = key[0]
        if self._hosts.has(host, now):
            self._local.append(key)
        elif self._known_as_slow(host, now):
            self._slow[key] = None
        else:
            self._zones.setdefault(zone_of(host), deque()).append(key)

    def _known_as_slow(self, host: str, now: float) -> bool:
        slow_at, quick_at = self._slow_names.get(host, -math.inf), self._quick_names.get(host, -math.inf)
        if slow_at > quick_at:
            return True
        zone = zone_of(host)
        since = self._suspects.get(zone)
        if since is None:
            return False
        if now - self._last_slow.get(zone, since) > _SUSPECT_S:
            del self._suspects[zone]
            return False
        return quick_at < since

    def _suspect(self, key: Key, now: float) -> None:
        """A look-up is slow: so may be those of its zone that have not been quick since it began."""
        zone = zone_of(key[0])
        if zone not in self._suspects:
            self._suspects.note(zone, now - self._slow_s)
            for other in self._zones.pop(zone, ()):
                self._line_up(other, now)
            # At once, not each in its turn: until then the zone would have its own share and that of the slow.
            alike = (other for other in self._running if zone_of(other[0]) == zone)
            self._started_slow.update(other for other in alike if self._known_as_slow(other[0], now))
        self._last_slow.note(zone, now)
        self._slow_names.note(key[0], now)

    def _next(self, now: float) -> Key | None:
        """Take the look-up that may begin now, if one may."""
        for key, since in self._running.items():
            if key not in self._started_slow and now - since >= self._slow_s:
                self._started_slow.add(key)
                self._suspect(key, now)
        if self._local:
            return self._local.popleft()
        slow = len(self._started_slow)
        if self._zones and len(self._running) - min(slow, self._slow_most) < self._most - self._slow_most:
            quick = Counter(zone_of(key[0]) for key in self._running if key not in self._started_slow)
            new = max(0, slow - self._slow_most) + sum(
                key[0] not in self._quick_names for key in self._running if key not in self._started_slow
            )
            for zone, waiting in list(self._zones.items()):
                proven = waiting[0][0] in self._quick_names
                if quick[zone] < (self._zone_most if proven else self._new_zone_most) and (
                    proven or new < self._new_most
                ):
                    keys = self._zones.pop(zone)
                    key = keys.popleft()
                    if keys:
                        self._zones[zone] = keys  # at the end: its turn comes after the others'
                    return key
        if self._slow and slow < self._slow_most and len(self._running) < self._most:
            key = min(self._slow, key=lambda key: self._asked_last.get(key[0], -math.inf))
            del self._slow[key]
            self._started_slow.add(key)
            return key
        return None

    def _queued(self) -> bool:
        return bool(self._local or self._zones or self._slow)

    def _need_a_thread(self) -> None:
        if self._idle:
            self._changed.notify()
        elif self._alive < self._most + _LOCAL_THREADS:
            self._alive += 1
            threading.Thread(target=self._work, name="resolver", daemon=True).start()

    def _give_up(self, key: Key, ticket: Ticket) -> None:
        with self._changed:
            tickets = self._waiting.get(key)
            if tickets is None or ticket not in tickets:
                return
            tickets.remove(ticket)
            if tickets or key in self._running:
                return
            del self._waiting[key]
            self._slow.pop(key, None)
            if key in self._local:
                self._local.remove(key)
            zone = zone_of(key[0])
            if key in self._zones.get(zone, ()):
                self._zones[zone].remove(key)
                if not self._zones[zone]:
                    del self._zones[zone]

    # --- a thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            key = self._take()
            if key is None:
                return
            host, family = key
            addresses, error = self._look_up(host, family)
            with self._changed:
                tickets = self._waiting.pop(key)
                now = time.monotonic()
                since = self._running.pop(key)
                self._started_slow.discard(key)
                if now - since >= self._slow_s:
                    self._suspect(key, now)
                else:
                    self._slow_names.pop(host, None)
                    self._quick_names.note(host, now)
            for ticket in tickets:
                try:
                    ticket.done(Resolution(host, addresses, now - ticket.asked_at, error))
                except Exception:
                    log.exception("whoever asked for %s could not be told", host)

    def _take(self) -> Key | None:
        """Wait for a look-up that may begin; None: there has been none for long, the thread may end."""
        with self._changed:
            self._idle += 1
            idle_since = time.monotonic()
            try:
                while True:
                    now = time.monotonic()
                    key = self._next(now)
                    if key is not None:
                        break
                    if self._queued() and not self._polling:
                        # What runs may turn slow, which makes room without anybody ending.
                        self._polling = True
                        self._changed.wait(self._slow_s / 4)
                        self._polling = False
                    elif now - idle_since < _IDLE_S:
                        self._changed.wait(idle_since + _IDLE_S - now)
                    else:
                        self._alive -= 1
                        return None
            finally:
                self._idle -= 1
            self._running[key] = now
            self._asked_last.note(key[0], now)
            for ticket in self._waiting[key]:
                ticket.asked = True
            if self._queued():
                self._need_a_thread()
            return key

    def _look_up(self, host: str, family: int) -> tuple[tuple[str, ...], str]:
        try:
            addresses = tuple(self._lookup(host, family))
        except socket.gaierror as failure:
            return (), _REASONS.get(failure.errno or 0, failure.strerror or str(failure))
        except Exception as failure:  # noqa: BLE001  # whatever it is, whoever waits must be told
            return (), str(failure) or type(failure).__name__
        return (addresses, "") if addresses else ((), "the name has no address")


class Asking:
    """The resolver in the hands of one probe."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._tickets: list[Ticket] = []

    @property
    def unasked(self) -> bool:
        """Whether a name that the probe wanted to know was never asked about: it only waited here."""
        return any(not ticket.asked for ticket in self._tickets)

    async def resolve(self, host: str, family: int = 0) -> Resolution:
        """As `Resolver.resolve`."""
        return await self._resolver.resolve(host, family, self._tickets.append)


@cache
def shared() -> Resolver:
    """Return the resolver of what blocks in this process: sends, and checks that people try."""
    return Resolver()


def look_up(host: str, within_s: float) -> Resolution:
    """Return the addresses of a name or a literal, or why there are none. Blocks; beyond its time nobody waits.

    `getaddrinfo` cannot be stopped: here a look-up that comes to nothing is left behind in a bounded number of threads,
    once for all that want the same name. libcurl and smtplib would wait for it.
    """
    at_once = literal(host)
    if at_once is not None:
        return at_once
    found: queue.SimpleQueue[Resolution] = queue.SimpleQueue()
    ticket = shared().submit(host, 0, found.put)
    try:
        return found.get(timeout=max(0.05, within_s))
    except queue.Empty:
        ticket.give_up()
        return Resolution(host, (), within_s, f"the name server did not answer within {max(0.05, within_s):.2g} s")


def literal(host: str, family: int = 0) -> Resolution | None:
    """The resolution of a host that is spelled as an address, else None."""
    address = literal_address(host)
    if address is None:
        return None
    wanted = {int(socket.AF_INET): 4, int(socket.AF_INET6): 6}.get(family)
    if wanted is not None and wanted != address.version:
        return Resolution(host, (), 0.0, f"it is an IPv{address.version} address, and IPv{wanted} is asked for")
    return Resolution(host, (str(address),), 0.0)
