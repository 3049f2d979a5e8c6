"""The web process' application: `/healthz` and what wings name (pings) are answered beside Django, all else by it.

Django runs as a WSGI application in fixed pools of threads. Under its own ASGI handler each request would get a fresh
thread, and with it a fresh connection to the database that nobody closes. What asks the metrics store may take half a
minute, so it has threads of its own: a dashboard of twenty panels waits in its own queue, and no page behind it.
"""

import asyncio
import logging
import re
import time
from typing import Any, Protocol

import orjson
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.http import HttpRequest
from django.urls import get_resolver
from django.utils.module_loading import import_string

from mainstay.desk import compose
from mainstay.desk.health import healthz
from mainstay.foundation.api.problems import CONTENT_TYPE, problem_response
from mainstay.foundation.http.bodies import Bodies, Receive, Refusal, Scope, Send, answer
from mainstay.foundation.http.connections import Limits
from mainstay.foundation.http.forwarded import seen_through
from mainstay.foundation.http.pool import Known, Pool, Threads
from mainstay.foundation.http.turns import Turns
from mainstay.foundation.processes.run import settle
from mainstay.foundation.processes.watchdog import PATIENCE_S, Turn
from mainstay.wings import WINGS

log = logging.getLogger("mainstay.web")
THREADS, ASKING_THREADS = 8, 4
SLOW = re.compile("|".join(pattern for wing in WINGS for pattern in wing.slow))
HEALTH_KEPT_S, HEALTH_WITHIN_S = 1.0, 5.0
TEXT, JSON = b"text/plain; charset=utf-8", b"application/json"


class BesideDjango(Protocol):
    """What answers some paths by itself: an ASGI application with a thread of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

    def start(self) -> None:
        """Begin, in the event loop's thread."""

    def stop(self) -> None:
        """Do what was accepted, and end."""

    def turn(self) -> Turn:
        """What its thread does at this moment."""

    def takes(self, monotonic: float) -> bool:
        """Whether what comes now is taken."""


class Health:
    """`/healthz`, from a thread of its own: it answers while all others are taken. Asked at most once a second."""

    def __init__(self) -> None:
        self._threads = Threads("health", 1)
        self._asked: asyncio.Task[tuple[int, bytes]] | None = None
        self._asked_at = 0.0

    def turn(self) -> Turn:
        """What its thread does at this moment."""
        return self._threads.turn(PATIENCE_S)

    def stop(self) -> None:
        """Let the thread end."""
        self._threads.stop()

    async def __call__(self, send: Send) -> None:
        """Answer one request."""
        loop = asyncio.get_running_loop()
        if self._asked is None or (self._asked.done() and loop.time() - self._asked_at >= HEALTH_KEPT_S):
            self._asked, self._asked_at = loop.create_task(self._threads.run(_look)), loop.time()
        try:
            async with asyncio.timeout(HEALTH_WITHIN_S):
                status, body = await asyncio.shield(self._asked)
        except TimeoutError:
            detail = {"status": "failing", "processes": {}, "detail": "the database does not answer in time"}
            status, body = 503, orjson.dumps(detail)
        await answer(send, status, body, JSON, (b"cache-control", b"no-store"))


def _look() -> tuple[int, bytes]:
    close_old_connections()
    found = healthz(HttpRequest())
    return found.status_code, found.content


class Application:
    """ASGI application (ASGI specification 3.0, HTTP and lifespan)."""

    def __init__(self, limits: Limits) -> None:
        django: Any = get_wsgi_application()
        load()  # now, not in the first request
        bodies, known = Bodies(limits, settings.DATA_UPLOAD_MAX_MEMORY_SIZE), Known(settings.SESSION_COOKIE_NAME)
        turns = Turns(THREADS, each=THREADS // 2, waiting=200, wait_s=10.0)
        asking = Turns(ASKING_THREADS, each=ASKING_THREADS - 1, waiting=200, wait_s=30.0)
        self._pages = Pool(django, "page", THREADS, turns, bodies, known)
        self._asking = Pool(django, "asking", ASKING_THREADS, asking, bodies, known)
        self._health = Health()
        self._beside: dict[str, BesideDjango] = {
            one.prefix: import_string(one.answer)(limits) for wing in WINGS for one in wing.beside
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        scope = seen_through(scope, settings.ENVIRONMENT.proxies)
        try:
            beside = next((one for prefix, one in self._beside.items() if path.startswith(prefix)), None)
            if beside is not None:
                await beside(scope, receive, send)
            elif path == "/healthz" and scope["method"] in {"GET", "HEAD"}:
                await self._health(send)
            else:
                await (self._asking if SLOW.match(path) else self._pages)(scope, receive, send)
        except Refusal as refusal:
            await _refuse(path, refusal, send)

    def turns(self) -> list[Turn]:
        """What its threads do at this moment, for the watchdog."""
        asking_s = PATIENCE_S + settings.ENVIRONMENT.metrics_timeout_s
        beside = [one.turn() for one in self._beside.values()]
        return [self._pages.turn(), self._asking.turn(asking_s), self._health.turn(), *beside]

    def takes(self, prefix: str) -> bool:
        """Whether what comes now below `prefix` is taken."""
        return self._beside[prefix].takes(time.monotonic())

    def stop(self) -> None:
        """Let what was accepted be done, and the threads end."""
        for one in self._beside.values():
            one.stop()
        for threads in (self._pages, self._asking, self._health):
            threads.stop()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                for one in self._beside.values():
                    one.start()
                settle()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def load() -> None:
    """Load what requests need: the pages, and what wings give to those that compose."""
    assert get_resolver().url_patterns
    compose.load()


async def _refuse(path: str, refusal: Refusal, send: Send) -> None:
    """Answer as the address would: the API with a problem document, Prometheus' API as that does."""
    retry = [(b"retry-after", str(refusal.retry_after_s).encode())] if refusal.retry_after_s else []
    if path.startswith("/api/"):
        content_type, body = CONTENT_TYPE.encode(), problem_response(refusal.status, refusal.text).content
    elif path.startswith("/prometheus/"):
        kind = "unavailable" if refusal.status == 503 else "bad_data"
        content_type, body = JSON, orjson.dumps({"status": "error", "errorType": kind, "error": refusal.text})
    else:
        content_type, body = TEXT, f"{refusal.text}\n".encode()
    # After 408 or 413 the rest of the body may still come: nothing else can follow on this connection.
    await answer(send, refusal.status, body, content_type, *retry, close=refusal.status in {408, 413})


limits = Limits(settings.ENVIRONMENT.connections_most, settings.ENVIRONMENT.connections_per_address)
application = Application(limits)
