"""One scrape as libcurl transfers, with the body kept and the connection used again.

The address policy, the pinning of judged addresses, redirects and the wording of failures are those of
`net/transfer.py`; a connection is used again only towards the very address that was just judged.
"""

from collections.abc import Sequence
from http import HTTPStatus

import pycurl

from mainstay.net.addresses import shown_url, valid_url
from mainstay.net.params import with_params
from mainstay.net.policy import AddressPolicy
from mainstay.net.request import Request, authorization
from mainstay.net.resolver import Resolution
from mainstay.net.transfer import Handle, Plan, Transfer
from mainstay.observe.metrics.scrape.settings import ScrapeSettings

_MEDIA_TYPES = {
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
_ESCAPED = ("OpenMetricsText1.0.0", "PrometheusText1.0.0")  # the formats in which a target may be asked how to escape
_ENDED_BY_CLOSE = (pycurl.CURL_HTTP_VERSION_1_0, pycurl.CURL_HTTP_VERSION_1_1)  # unless the answer says otherwise
_BUFFER_BYTES = 128 << 10
_HINTS = {
    401: "it wants credentials: give `username` and `password`, or `bearer`",
    403: "the credentials are missing or not enough",
    404: "is `path` right?",
    405: "is `path` right?",
    503: "the target says that it is overloaded or not ready",
}


class Budget:
    """Bytes of bodies that are held at the same time, over all targets. Belongs to the loop's thread and the threads
    that parse: a count that is off by a body for a moment does no harm."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class FetchPlan(Plan):
    """What is the same for every scrape of one target."""

    __slots__ = ("limit",)

    def __init__(self, url: str, settings: ScrapeSettings, timeout_s: float) -> None:
        """Raises ValueError when the URL can't be one."""
        whole = with_params(valid_url(url), settings.secret_params)
        super().__init__(_request(whole, settings, timeout_s), reads_headers=True)
        self.limit = settings.body_size_limit


def accept(settings: ScrapeSettings) -> str:
    """Return the Accept header: the formats by their rank, and how to write names that are more than letters."""
    ranked = [
        _MEDIA_TYPES[each] + (f";escaping={settings.metric_name_escaping_scheme}" if each in _ESCAPED else "")
        for each in settings.scrape_protocols
    ]
    return ",".join(f"{each};q=0.{9 - rank}" for rank, each in enumerate([*ranked, "*/*"]))


def _request(url: str, settings: ScrapeSettings, timeout_s: float) -> Request:
    own = {"Accept": accept(settings), "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout_s:g}"}
    secrets = {name: secret.get_secret_value() for name, secret in settings.secret_headers.items()}
    password, bearer, key = (
        secret.get_secret_value() if secret is not None else None
        for secret in (settings.password, settings.bearer, settings.client_key)
    )
    return Request(
        url=url,
        headers={**own, **settings.headers},
        secret_headers=secrets | authorization(settings.username, password or "", bearer),
        client_certificate=settings.client_certificate,
        client_key=key,
        ca=settings.ca,
        verify=settings.verify,
        follow_redirects=settings.follow_redirects,
        # One request a connection at a time: targets that share a host must not share the fate of a stream.
        http2=False,
        encodings="gzip" if settings.compressed else None,
    )


class Fetch(Transfer):
    """One scrape. When it has ended, either `body` is there or `failure` says why not."""

    def __init__(
        self,
        plan: FetchPlan,
        policy: AddressPolicy,
        started_at: float,
        now: float,
        timeout_s: float,
        budget: Budget,
        preferred: str = "",
    ) -> None:
        """`preferred` is the address that answered last time: of several, it is tried alone, so that its connection
        can be used again."""
        super().__init__(plan, policy, started_at, now, timeout_s)
        self.body: bytes | None = None
        self.content_type = ""
        self.whole = False
        """Whether the body's end is known: a length or chunks were announced. Else the connection's end is its end."""
        self.ip = ""
        self.ended_mono = now
        self._limit = plan.limit
        self._budget = budget
        self._held = 0
        self._preferred = preferred
        self._crowded = False

    def resolved(self, resolution: Resolution) -> None:
        super().resolved(resolution)
        if self._preferred in self.addresses:
            self.addresses = (self._preferred,)

    def begin(self, curl: Handle, remaining_s: float, stale_pins: Sequence[str] = ()) -> bool:
        if not super().begin(curl, remaining_s, stale_pins):
            return False
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        if len(self.addresses) == 1:
            curl.setopt(pycurl.FRESH_CONNECT, 0)
            curl.setopt(pycurl.FORBID_REUSE, 0)
        return True

    def _write(self, data: bytes) -> int | None:
        size = len(data)
        self._body_bytes += size
        if self._body_bytes > self._limit:
            self._truncated = True
            return -1
        if self._budget.held + size > self._budget.limit:
            self._truncated = self._crowded = True
            return -1
        self._held += size
        self._budget.held += size
        self._body.append(data)
        return None

    def finish(self, curl: pycurl.Curl, error: int, detail: str, now: float) -> bool:
        self.ended_mono = now
        if self._truncated:
            self._end(self._too_much())
            return False
        again = super().finish(curl, error, detail, now)
        answer, self.answer = self.answer, None
        if again or answer is None:
            self._drop()
            return again
        self.ip = answer.ip
        if answer.status == HTTPStatus.OK:
            self.body = answer.body
            self._body = []
            self.content_type = str(curl.getinfo(pycurl.CONTENT_TYPE) or "")
            chunked = any("chunked" in value.lower() for value in answer.headers.get("transfer-encoding", ()))
            framed = curl.getinfo(pycurl.INFO_HTTP_VERSION) not in _ENDED_BY_CLOSE
            self.whole = chunked or framed or curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T) >= 0
        else:
            self._drop()
            self._end(self._refused(answer.status, shown_url(answer.location)), answer.status)
        return False

    def release(self) -> None:
        """Give the body up: it counts towards the budget until then."""
        self.body = None
        self._drop()

    def _drop(self) -> None:
        self._body = []
        self._budget.held -= self._held
        self._held = 0

    def _too_much(self) -> str:
        name = self._name()
        self._drop()
        if self._crowded:
            return (
                f"{name}: its answer was cut off, for the answers of all targets together hold "
                f"{self._budget.limit >> 20} MB: set `body_size_limit`, or spread the targets over more monitors"
            )
        return (
            f"{name}: its answer is larger than {_megabytes(self._limit)} and was cut off: let it expose less, "
            "or raise `body_size_limit`"
        )

    def _refused(self, status: int, location: str) -> str:
        try:
            said = f"{status} {HTTPStatus(status).phrase}"
        except ValueError:
            said = str(status)
        if location:
            return f"{self._name()} redirects to {location}, and `follow_redirects` is off"
        hint = _HINTS.get(status, "")
        return f"{self._name()} answered {said}{': ' + hint if hint else ''}"


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):g} MB" if size >= 1 << 20 else f"{size:,} bytes"
