"""How pages ask about metrics: briefly, few at once, and remembering for a moment what changes slowly."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TypeVar

from mainstay.observe.metrics.client import Answer, BadQuery, Client, MetricsAway
from mainstay.observe.metrics.servers import find, server

T = TypeVar("T")
TIMEOUT_S = 15.0  # a page that takes longer helps nobody
AT_ONCE = 4  # of the web process' threads; the others stay free for other pages
WAIT_S = 5.0
REMEMBERED_MOST = 512


class PageClient(Client):
    """A client of which only a few threads ask at the same time."""

    _places = threading.BoundedSemaphore(AT_ONCE)

    def forward(self, path: str, query: str, form: bytes | None = None) -> Answer:
        """Pass a request on when there is a place for it.

        Raises:
            MetricsAway: there is no answer, or none of the places became free.
        """
        if not self._places.acquire(timeout=WAIT_S):
            raise MetricsAway(f"{AT_ONCE} queries are running already; try again in a moment")
        try:
            return super().forward(path, query, form)
        finally:
            self._places.release()


@cache
def client() -> PageClient:
    """Return the client of this process' pages."""
    from django.conf import settings

    found = server(settings.ENVIRONMENT, settings.SECRET_KEY)
    return PageClient(replace(found, timeout_s=min(found.timeout_s, TIMEOUT_S)), find())


def source_name() -> str:
    """Return whom pages ask, as people know it."""
    from django.conf import settings

    return client().server.url if settings.ENVIRONMENT.metrics_url else "the embedded store"


class Memory:
    """Keeps answers for a while, so that many views and keystrokes cost one question."""

    def __init__(self, kept_s: float, seconds: Callable[[], float] = time.monotonic) -> None:
        self._kept_s = kept_s
        self._seconds = seconds
        self._lock = threading.Lock()
        self._found: dict[object, tuple[float, object]] = {}

    def get(self, key: object, ask: Callable[[], T]) -> T:
        """Return what `ask` returned for `key` a short while ago, or ask.

        What it raises is not kept, nor is nothing: what is not there yet is to be seen as soon as it is.
        """
        now = self._seconds()
        with self._lock:
            known = self._found.get(key)
        if known is not None and known[0] > now:
            return known[1]  # type: ignore[return-value]  # a key always belongs to one kind of question
        answer = ask()
        if answer:
            self.put(key, answer)
        return answer

    def put(self, key: object, answer: object) -> None:
        """Keep an answer."""
        with self._lock:
            if len(self._found) >= REMEMBERED_MOST:
                now = self._seconds()
                self._found = {k: v for k, v in self._found.items() if v[0] > now}
                while len(self._found) >= REMEMBERED_MOST:
                    del self._found[next(iter(self._found))]
            self._found.pop(key, None)
            self._found[key] = (self._seconds() + self._kept_s, answer)

    def peek(self, key: object) -> object | None:
        """Return what is kept for `key`, without asking."""
        with self._lock:
            known = self._found.get(key)
        return known[1] if known is not None and known[0] > self._seconds() else None

    def forget(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._found.clear()


__all__ = ["BadQuery", "Memory", "MetricsAway", "PageClient", "client", "source_name"]
