"""Asks a Prometheus-compatible server: the monitor's own API, or what METRICS_URL names. One way for both.

The web process and rules on METRICS_URL know samples only through this. No NumPy, no Django.
"""

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import orjson
import pycurl

from mainstay.net import http

BODY_MOST_BYTES = 64 * 1024 * 1024
CONNECT_MOST_S = 5
_AWAY = {502, 503, 504}


class MetricsAway(RuntimeError):
    """The server cannot be reached, is overloaded, or does not speak the API: nothing is known. Never "fine"."""


class BadQuery(ValueError):
    """The server refused the query; the message is its own."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query. `at`: unix seconds."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of a range query: (unix seconds, value), oldest first."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how to ask. `url` is what `/api/v1/…` follows."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 30.0

    @classmethod
    def at(cls, url: str, headers: Mapping[str, str], timeout_s: float) -> "Server":
        """Return the server at `url`; a user and password within it become a header, so that no log shows them."""
        parts = urlsplit(url)
        sent = dict(headers)
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            sent.setdefault("Authorization", f"Basic {base64.b64encode(pair).decode()}")
        clean = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        return cls(clean, sent, timeout_s)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Status, type and body, as they came."""

    status: int
    content_type: str
    body: bytes


class Client:
    """Asks one server. Any thread may; each keeps a connection of its own."""

    def __init__(self, server: Server, find: Callable[[], Server] | None = None) -> None:
        """`find` says where `server` is at this moment, or raises MetricsAway; how long to wait is as given."""
        self.server = server
        self._find = find
        self._mine = threading.local()

    def forward(self, path: str, query: str, form: bytes | None = None) -> Forwarded:
        """Pass a request on and its answer back, whatever it is.

        Args:
            path: begins with /api/v1/.
            query: the part of the address after "?", encoded.
            form: the body of a POST, encoded like a query; None for GET.

        Raises:
            MetricsAway: there is no answer.
        """
        server = self.server if self._find is None else self._find()
        url = f"{server.url}{quote(path, safe='/:%')}"
        answer = http.request(
            "GET" if form is None else "POST",
            f"{url}?{query}" if query else url,
            headers=server.headers,
            body=form,
            timeout_s=self.server.timeout_s,
            policy=None,
            most_bytes=BODY_MOST_BYTES,
            connect_most_s=CONNECT_MOST_S,
            compressed=True,
            kept=self._curl(),
        )
        if answer.status is None or not answer.complete:
            too_long = answer.status is not None and answer.failure is None
            detail = f"its answer is longer than {BODY_MOST_BYTES // 2**20} MiB; ask for less"
            raise MetricsAway(f"{server.url} does not answer: {detail if too_long else answer.problem}")
        return Forwarded(answer.status, answer.headers.get("content-type", ""), answer.body)

    def ask(self, path: str, parameters: Mapping[str, str | Sequence[str]]) -> Any:
        """Return the `data` of an answer. The parameters travel as a form, so that a long query fits.

        Raises:
            MetricsAway, BadQuery.
        """
        return self._document(path, parameters).get("data")

    def _document(self, path: str, parameters: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
        encoded = urlencode(parameters, doseq=True)
        posted = path in {"/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/labels"}
        answer = self.forward(path, "" if posted else encoded, encoded.encode() if posted else None)
        try:
            document = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict) or "status" not in document:
            detail = f"answers {answer.status}, and not as Prometheus does; is the address right?"
            raise MetricsAway(f"{self.server.url} {detail}")
        if document["status"] == "success":
            return document
        message = str(document.get("error") or f"status {answer.status}")
        if answer.status in _AWAY or answer.status in {401, 403, 429} or document.get("errorType") == "timeout":
            raise MetricsAway(f"{self.server.url}: {message}")
        raise BadQuery(message)

    def query(self, text: str, at: float | None = None) -> list[Sample]:
        """Evaluate at one instant (unix seconds; None: now). A scalar is one sample without labels.

        Raises:
            MetricsAway, BadQuery.
        """
        found = self.ask("/api/v1/query", {"query": text} | ({"time": f"{at:.3f}"} if at is not None else {}))
        if found["resultType"] == "scalar":
            when, value = found["result"]
            return [Sample({}, float(when), float(value))]
        if found["resultType"] != "vector":
            raise BadQuery(f"this is a {found['resultType']}, where a vector or a number is wanted")
        return [
            Sample(one["metric"], float(one["value"][0]), float(one["value"][1]))
            for one in found["result"]
            if "value" in one  # what has only a native histogram is left out
        ]

    def query_range(self, text: str, start: float, end: float, step_s: float) -> list[Curve]:
        """Evaluate from `start` to `end` (unix seconds) every `step_s`.

        Raises:
            MetricsAway, BadQuery.
        """
        asked = {"query": text, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:.3f}"}
        found = self.ask("/api/v1/query_range", asked)
        return [
            Curve(one["metric"], [(float(at), float(value)) for at, value in one.get("values", ())])
            for one in found["result"]
        ]

    def series(self, matches: Sequence[str], start: float, end: float) -> list[dict[str, str]]:
        """Return the label sets that match any selector and have samples in that time.

        Raises:
            MetricsAway, BadQuery.
        """
        asked = {"match[]": list(matches), "start": f"{start:.3f}", "end": f"{end:.3f}"}
        return list(self.ask("/api/v1/series", asked))

    def label_values(self, name: str, matches: Sequence[str] = ()) -> list[str]:
        """Return the values of a label.

        Raises:
            MetricsAway, BadQuery.
        """
        return list(self.ask(f"/api/v1/label/{quote(name, safe='')}/values", {"match[]": list(matches)}))

    def labels(self, matches: Sequence[str] = ()) -> list[str]:
        """Return the names of labels.

        Raises:
            MetricsAway, BadQuery.
        """
        return list(self.ask("/api/v1/labels", {"match[]": list(matches)} if matches else {}))

    def metadata(self) -> dict[str, list[dict[str, str]]]:
        """Return type, help and unit by metric.

        Raises:
            MetricsAway, BadQuery.
        """
        return dict(self.ask("/api/v1/metadata", {}))

    def _curl(self) -> pycurl.Curl:
        found: pycurl.Curl | None = getattr(self._mine, "curl", None)
        if found is None:
            found = self._mine.curl = pycurl.Curl()
        return found
