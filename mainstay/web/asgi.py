"""The web process' application: pings go straight to their intake, everything else to Django.

Django runs as a WSGI application in a fixed pool of threads. Under its own ASGI handler each request would get a fresh
thread, and with it a fresh connection to the database that nobody closes.
"""

from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from mainstay.foundation.processes.run import settle
from mainstay.observe.checks.pings import Intake

THREADS = 8
_django: Any = WSGIMiddleware(get_wsgi_application(), workers=THREADS)
assert get_resolver().url_patterns  # imported now, not in the first request
intake = Intake()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI application (ASGI specification 3.0, HTTP and lifespan)."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith("/ping/"):
        await intake(scope, receive, send)
    elif scope["type"] == "http":
        await _django(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            intake.start()
            settle()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            intake.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
