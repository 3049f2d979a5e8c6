"""One HTTP request that blocks: bounded in time and size, checked at connect time, never raising for the network.

No redirect is followed: a message must not wander to an address nobody configured. No proxy from the
environment and no `.netrc` is used, so that the address policy always sees the receiver itself.
"""

import io
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Protocol

import pycurl

from mainstay.foundation.outside_files import UnreadableFileError, pem
from mainstay.net.addresses import split_url, wire_url
from mainstay.net.certificates import NAMES_NO_HOST, USUAL_AUTHORITIES, shown
from mainstay.net.resolver import literal, look_up

ANSWER_LIMIT_BYTES = 65_536
RETRY_AFTER_LIMIT_S = 3600.0
"""A receiver may ask for patience, but not for so much that the page is as good as lost."""
SHORTEST_TIMEOUT_S = 0.05
CA_WAIT_S = 2.0  # for the disk
_PINNED = "receiver.invalid"  # stands for the addresses that were found, so that libcurl looks nothing up

_TLS_TRUST = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR}
_BAD_URL = {pycurl.E_URL_MALFORMAT, pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT_USER}


class AddressPolicy(Protocol):
    """Which addresses may be connected to."""

    def check(self, ip: str, host: str) -> str | None:
        """None if `ip`, found for `host`, may be connected to, else the reason why not."""
        ...


class Failure(StrEnum):
    """Where a request without a complete answer ended."""

    FORBIDDEN = "forbidden"
    """The address policy allows none of the addresses."""
    BAD_URL = "bad url"
    UNTRUSTED = "untrusted"
    """TLS: the certificate is not trusted, or not for this host."""
    NOT_SENT = "not sent"
    """Nothing of the request left: no address, no connection, no TLS session."""
    CUT_OFF = "cut off"
    """At least a part of the request left; what became of it is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    `status` is None when no final status line arrived. With a status and a `failure` of CUT_OFF, the head
    arrived and the body did not (completely). `complete` is false also when the body was longer than is read.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; of a repeated header the last."""
    body: bytes = b""
    complete: bool = True
    failure: Failure | None = None
    problem: str = ""
    """What went wrong, in words; may quote the receiver, so it must be masked before it is shown."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def retry_after_s(self) -> float | None:
        return retry_after_s(self.headers.get("retry-after"), self.headers.get("date"))


def retry_after_s(value: str | None, date: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110 §10.2.3), between 0 and `RETRY_AFTER_LIMIT_S`.

    A time of day is taken relative to the answer's own `Date`, so a wrong clock here or there does no harm;
    without `Date` it is not known, as is anything else that cannot be read: None.
    """
    if value is None:
        return None
    if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value.strip(), re.ASCII):
        return min(float(value), RETRY_AFTER_LIMIT_S)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), RETRY_AFTER_LIMIT_S)


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout_s: float,
    policy: AddressPolicy | None,
    ca_file: str | None = None,
    most_bytes: int = ANSWER_LIMIT_BYTES,
    connect_most_s: float | None = None,
    compressed: bool = False,
    kept: pycurl.Curl | None = None,
) -> Answer:
    """Send one request and wait for its answer, `timeout_s` seconds in total. Blocks; raises nothing.

    Args:
        headers: valid ones (`addresses.valid_header_name`, `valid_header_value`).
        body: None for a request that has none, such as GET.
        policy: None for an address that whoever runs Mainstay has set (its own port, METRICS_URL).
        ca_file: a PEM file, in place of the public certificate authorities.
        kept: a handle of the caller's thread, whose connection is used again.
    """
    exchange = _Exchange(policy, most_bytes)
    try:
        parts, url = split_url(url), wire_url(url)
    except ValueError:  # its text may quote the URL, which may hold a key
        return Answer(None, complete=False, failure=Failure.BAD_URL, problem="its host or port cannot be read")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    exchange.host = parts.hostname or ""
    until = time.monotonic() + max(timeout_s, SHORTEST_TIMEOUT_S)
    found = None
    if policy is not None and exchange.host and literal(exchange.host) is None:
        found = look_up(exchange.host, until - time.monotonic())
        if found.error:
            return exchange.failed(pycurl.E_COULDNT_RESOLVE_HOST, f"{exchange.host}: {found.error}", None, 0)
    curl = pycurl.Curl() if kept is None else kept
    curl.reset()
    try:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.CUSTOMREQUEST, method)
        if body is not None:
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
            curl.setopt(pycurl.COPYPOSTFIELDS, body)
        if compressed:
            curl.setopt(pycurl.ACCEPT_ENCODING, "")
        # Without an empty Expect, libcurl waits up to a second for "100 Continue" before a larger body.
        lines = [f"{name}: {value}".encode() for name, value in headers.items()] + [b"Expect:"]
        curl.setopt(pycurl.HTTPHEADER, lines)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NETRC, 0)
        curl.setopt(pycurl.NOSIGNAL, 1)  # signals would reach the main thread, we are in a worker
        if ca_file is None:
            curl.setopt(pycurl.CAINFO, USUAL_AUTHORITIES)
        else:
            try:
                curl.setopt(pycurl.CAINFO_BLOB, pem(ca_file, CA_WAIT_S))
            except UnreadableFileError as error:
                return exchange.failed(pycurl.E_SSL_CACERT_BADFILE, f"ca_file: {error}", None, 0)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, round((until - time.monotonic()) * 1000)))
        if connect_most_s is not None:
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(connect_most_s * 1000))
        if found is not None:
            curl.setopt(pycurl.RESOLVE, [f"{_PINNED}:{port}:{','.join(map(_bracketed, found.addresses))}"])
            curl.setopt(pycurl.CONNECT_TO, [f"::{_PINNED}:"])
        if policy is not None:
            curl.setopt(pycurl.OPENSOCKETFUNCTION, exchange.open_socket)
        curl.setopt(pycurl.OPT_CERTINFO, 1)
        curl.setopt(pycurl.HEADERFUNCTION, exchange.header)
        curl.setopt(pycurl.WRITEFUNCTION, exchange.write)
        try:
            curl.perform()
        except pycurl.error as error:
            code, problem = error.args
            # A status below 200 is interim (100, 103): the answer itself never came.
            status = curl.getinfo(pycurl.RESPONSE_CODE)
            return exchange.failed(code, problem, status if status >= 200 else None, curl.getinfo(pycurl.REQUEST_SIZE))
        chain = tuple(dict(each).get("Cert", "").encode() for each in curl.getinfo(pycurl.INFO_CERTINFO) or ())
        seen = shown(chain) if chain else None
        if seen is not None and not seen.names_a_host:  # libcurl looks at the common name then
            return Answer(None, complete=False, failure=Failure.UNTRUSTED, problem=NAMES_NO_HOST)
        return exchange.answered(curl.getinfo(pycurl.RESPONSE_CODE))
    finally:
        if kept is None:
            curl.close()
        else:
            curl.reset()  # it keeps its connection, and lets go of the body
        exchange.close()


class _Exchange:
    """What libcurl's callbacks collect during one request."""

    def __init__(self, policy: AddressPolicy | None, most_bytes: int) -> None:
        self.host = ""
        self._policy = policy
        self._most_bytes = most_bytes
        self._forbidden: list[str] = []
        self._sockets: list[socket.socket] = []
        self._headers: dict[str, str] = {}
        self._body = io.BytesIO()
        self._overflow = False

    def open_socket(self, purpose: int, address: Any) -> socket.socket | int:
        """libcurl asks for a socket to one address it found; the refusal happens after name resolution."""
        family, kind, protocol, target = address
        reason = self._policy.check(str(target[0]), self.host) if self._policy is not None else None
        if reason is not None:
            self._forbidden.append(f"{target[0]}: {reason}")
            bad: int = pycurl.SOCKET_BAD
            return bad
        opened = socket.socket(family, kind, protocol)
        self._sockets.append(opened)
        return opened

    def close(self) -> None:
        # pycurl gave libcurl duplicates of the descriptors; these are ours.
        for opened in self._sockets:
            opened.close()

    def header(self, line: bytes) -> None:
        text = line.decode("latin-1")
        if text.startswith("HTTP/"):
            self._headers = {}  # of the final answer only, not of an interim one
        name, colon, value = text.partition(":")
        if colon:
            self._headers[name.strip().lower()] = value.strip()

    def write(self, data: bytes) -> int:
        room = self._most_bytes - self._body.tell()
        self._body.write(data[:room])
        self._overflow = len(data) > room
        # Fewer than given stops the transfer: what was read is enough to classify and to show.
        return 0 if self._overflow else len(data)

    def answered(self, status: int) -> Answer:
        return Answer(status, self._headers, self._body.getvalue())

    def failed(self, code: int, problem: str, status: int | None, request_bytes: int) -> Answer:
        if status is not None:
            failure = None if self._overflow else Failure.CUT_OFF
            return Answer(status, self._headers, self._body.getvalue(), False, failure, problem)
        if request_bytes > 0:
            return Answer(None, complete=False, failure=Failure.CUT_OFF, problem=problem)
        if self._forbidden and not self._sockets:
            reasons = "; ".join(self._forbidden)
            return Answer(None, complete=False, failure=Failure.FORBIDDEN, problem=reasons)
        if code in _TLS_TRUST:
            return Answer(None, complete=False, failure=Failure.UNTRUSTED, problem=problem)
        if code in _BAD_URL:
            return Answer(None, complete=False, failure=Failure.BAD_URL, problem=problem)
        return Answer(None, complete=False, failure=Failure.NOT_SENT, problem=problem)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
