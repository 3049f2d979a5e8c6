"""Pings to a heartbeat check: started, succeeded, failed (the ping URLs of Healthchecks)."""

import http.client
import logging
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from examples.shop import __version__
from examples.shop.logs import fields

TIMEOUT_S = 3.0
LOG_MAX_BYTES = 10_000

log = logging.getLogger("shop.heartbeat")


class Heartbeat:
    """Tells a monitor how a job goes. A monitor that does not answer is logged and never disturbs the job.

    `url` is the check's ping URL (http or https), or None to ping nobody. ValueError if it is something else.
    """

    def __init__(self, url: str | None) -> None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError(f"a heartbeat needs a URL that begins with http:// or https://, not {url!r}")
        self._url = url.rstrip("/") if url else None
        # Pings go straight to the monitor: a proxy for the outside world seldom knows the way to loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def started(self) -> None:
        self._ping("/start", "")

    def succeeded(self, note: str) -> None:
        self._ping("", note)

    def failed(self, note: str) -> None:
        self._ping("/fail", note)

    def _ping(self, suffix: str, note: str) -> None:
        if self._url is None:
            return
        url = self._url + suffix
        request = urllib.request.Request(
            url,
            data=note.encode()[:LOG_MAX_BYTES],
            method="POST",
            headers={"Content-Type": "text/plain; charset=utf-8", "User-Agent": f"harbour-shop/{__version__}"},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(LOG_MAX_BYTES)
        except (OSError, http.client.HTTPException) as problem:
            log.warning("the heartbeat could not be delivered", extra=fields(url=url, reason=str(problem)))
