"""Many HTTP transfers in one libcurl multi handle, driven by our own poller.

Why `socket_action` and not `perform` with `select`: pycurl has no `curl_multi_poll` and no wake-up; its `select` is
`curl_multi_fdset`, which silently ignores descriptors above 1,023, and `perform` looks at every transfer each time.
Bare of everything ours, 64 at a time, both cost the same within the noise (45–60 µs of CPU per request with a fresh
connection, `bench/probe_engine.py compare`), so the choice is about the limit, not the speed.

What else was measured: libcurl announces "call me at once" as a timer of 0 ms; waiting for that in the poller (which
counts whole milliseconds) cost 1 ms per probe.

Setting a handle up takes a reset and a dozen calls of `setopt`, so one that was set up with the very options that the
next transfer wants is used as it is; any other is reset, so that no credential can get from one check to another.
Cookies survive a reset: they are cleared by name, and a transfer keeps its handle from one hop to the next.
"""

import logging
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import pycurl

from mainstay.net.poller import READ, WRITE, Poller
from mainstay.net.transfer import Handle, Transfer

log = logging.getLogger(__name__)

_IDLE_HANDLES = 256
_LATE_S = 0.25
"""libcurl's own timeout ends a transfer on time; one that is still there this much later is removed by force."""

T = TypeVar("T", bound=Transfer)
Done = Callable[[T, bool, Exception | None], None]


class CurlLoop(Generic[T]):
    """Belongs to one thread. `on_done(transfer, again, defect)` is called when a hop has ended; `again` when
    another one is to follow, `defect` when taking in the answer raised. `kept_alive` is how many connections may
    wait for another transfer that allows its connection to be used again; a probe's never does."""

    def __init__(self, poller: Poller, on_done: Done[T], *, kept_alive: int = 1) -> None:
        self._poller = poller
        self._on_done = on_done
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, kept_alive)
        self._timer_at: float | None = None
        self._idle: list[Handle] = []
        self._active: dict[Handle, T] = {}
        self._watched: set[int] = set()
        self._stale_pins: list[str] = []

    def __len__(self) -> int:
        return len(self._active)

    def __contains__(self, transfer: T) -> bool:
        return transfer.in_libcurl

    def begin(self, transfer: T, now: float) -> bool:
        """Start the transfer's next hop; False when it ended before (`transfer.ended`)."""
        # Between its hops a transfer keeps its handle, for the cookies in it.
        curl, transfer.handle = transfer.handle, None
        curl = curl or (self._idle.pop() if self._idle else Handle())
        if not transfer.begin(curl, transfer.deadline - now, self._stale_pins):
            self._idle.append(curl)
            return False
        # From here on libcurl forgets the pins. Had `begin` raised, the handle would be dropped and the pins kept.
        self._stale_pins.clear()
        self._multi.add_handle(curl)
        self._active[curl] = transfer
        transfer.in_libcurl = True
        return True

    def wait_s(self, now: float) -> float | None:
        """How long libcurl allows to wait, None for any time."""
        return None if self._timer_at is None else max(0.0, self._timer_at - now)

    def handle(self, ready: list[tuple[int, int]], now: float) -> None:
        """React to ready descriptors and to libcurl's timer; calls `on_done` for what has ended."""
        multi, watched = self._multi, self._watched
        for descriptor, events in ready:
            # An earlier descriptor's action may have closed this one.
            if descriptor in watched:
                what = 0
                if events & READ:
                    what |= pycurl.CSELECT_IN
                if events & WRITE:
                    what |= pycurl.CSELECT_OUT
                if events & ~(READ | WRITE):
                    what |= pycurl.CSELECT_ERR
                multi.socket_action(descriptor, what)
        if self._timer_at is not None and self._timer_at <= now:
            self._timer_at = None
            multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        if self._active:
            self._collect()

    def kick(self) -> None:
        """Let what was just begun connect in this turn instead of the next: a third fewer turns under low load."""
        if self._timer_at == 0.0:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._collect()

    def cut_off(self, now: float) -> None:
        """Remove transfers that outlived their deadline: the guard behind libcurl's own timeout."""
        late = [curl for curl, transfer in self._active.items() if now > transfer.deadline + _LATE_S]
        for curl in late:
            transfer = self._release(curl)
            transfer.timed_out("it was cut off")
            self._on_done(transfer, False, None)

    def close(self) -> None:
        """Drop everything, without outcomes."""
        for curl in list(self._active):
            self._release(curl)
        for curl in self._idle:
            curl.close()
        self._idle.clear()
        self._multi.close()

    def _collect(self) -> None:
        remaining = 1
        while remaining:
            remaining, finished, failed = self._multi.info_read()
            now = time.perf_counter()
            for curl in finished:
                self._finish(curl, 0, "", now)
            for curl, number, detail in failed:
                curl.options = None  # whatever it has left in the handle
                self._finish(curl, number, detail, now)

    def _finish(self, curl: Handle, error: int, detail: str, now: float) -> None:
        transfer = self._active[curl]
        again, defect = False, None
        try:
            again = transfer.finish(curl, error, detail, now)
        except Exception as raised:  # noqa: BLE001  # told to the receiver; the handle must be released in any case
            defect = raised
        self._release(curl, kept=again)
        self._on_done(transfer, again, defect)

    def _release(self, curl: Handle, *, kept: bool = False) -> T:
        transfer = self._active.pop(curl)
        transfer.in_libcurl = False
        self._multi.remove_handle(curl)
        self._stale_pins += transfer.pins
        transfer.pins = []
        if kept:
            transfer.handle = curl
        elif len(self._idle) < _IDLE_HANDLES:
            self._idle.append(curl)
        else:
            curl.close()
        return transfer

    def _watch(self, what: int, descriptor: int, multi: object, data: object) -> None:
        watched = self._watched
        if what == pycurl.POLL_REMOVE:
            if descriptor in watched:
                watched.remove(descriptor)
                try:
                    self._poller.unregister(descriptor)
                except (OSError, KeyError):
                    # Already closed: the kernel has forgotten it too.
                    return
            return
        events = (READ if what & pycurl.POLL_IN else 0) | (WRITE if what & pycurl.POLL_OUT else 0)
        try:
            if descriptor in watched:
                self._poller.modify(descriptor, events)
            else:
                watched.add(descriptor)
                self._poller.register(descriptor, events)
        except OSError as error:
            # Nothing may be raised into libcurl. Unwatched, the transfer ends by its timeout.
            log.error("the descriptor %d cannot be watched: %s", descriptor, error)

    def _set_timer(self, timeout_ms: int) -> None:
        self._timer_at = None if timeout_ms < 0 else time.perf_counter() + timeout_ms * 0.001 if timeout_ms else 0.0
