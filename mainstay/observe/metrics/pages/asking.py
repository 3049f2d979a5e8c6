"""How pages ask about metrics: briefly, and remembering for a moment what changes slowly.

Few ask at once: addresses that do have threads of their own (`slow` in `wing.py`).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TypeVar

from mainstay.observe.metrics.client import BadQuery, Client, MetricsAway
from mainstay.observe.metrics.servers import find, server

T = TypeVar("T")
TIMEOUT_S = 15.0  # a page that takes longer helps nobody
REMEMBERED_MOST = 512


@cache
def client() -> Client:
    """Return the client of this process' pages."""
    from django.conf import settings

    found = server(settings.ENVIRONMENT, settings.SECRET_KEY)
    return Client(replace(found, timeout_s=min(found.timeout_s, TIMEOUT_S)), find())


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


__all__ = ["BadQuery", "Memory", "MetricsAway", "client", "source_name"]
