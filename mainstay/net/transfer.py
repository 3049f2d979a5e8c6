"""One HTTP exchange as a sequence of libcurl transfers, without an opinion on who drives them.

Redirects are followed here, hop by hop, and names are resolved by us: libcurl only ever connects to addresses that
the policy has judged (CURLOPT_CONNECT_TO overrides whatever host libcurl reads out of the URL, so a disagreement
between two URL parsers can't lead elsewhere), and never to a scheme other than http and https.

Every transfer makes a fresh connection, asks no DNS cache, resumes no TLS session and uses no environment proxy:
whatever is reused would hide a failure.
"""

import errno
import itertools
import os
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pycurl

from mainstay.foundation.outside_files import UnreadableFileError, pem
from mainstay.foundation.words.durations import spoken_duration
from mainstay.foundation.words.text import one_sentence
from mainstay.net.addresses import host_port, origin, punycode, shown_url, split_url, wire_url
from mainstay.net.certificates import NAMES_NO_HOST, shown
from mainstay.net.policy import AddressPolicy
from mainstay.net.request import ALWAYS, PEM_FIELDS, Options, Pem, Request, request_options
from mainstay.net.resolver import Resolution, literal

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_FAMILIES = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
_HTTP_VERSIONS = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2_0: "2",
}
MICRO = 1e-6
_pin_numbers = itertools.count(1)
Headers = Mapping[str, tuple[str, ...]]
"""Names in lower case; all values of a repeated header, in their order."""


class Answer(NamedTuple):
    """An answer as it came: times in seconds, body without its content coding, cut at the cap."""

    status: int
    duration_s: float
    body: bytes
    content_type: str
    headers: Headers
    location: str
    """Where it redirects to, as an absolute URL, which may hold keys: not for people (`shown_url`)."""
    certificate_days_left: float | None
    """Of the server's certificate that ends first, redirects included."""
    certificate_of: str
    """The host that has shown it."""
    ip: str
    now: float


class Plan:
    """What is the same for every exchange of one request: where it goes and libcurl's options."""

    __slots__ = ("first", "follows", "hop", "origin", "plain", "proxied", "reads_body", "reads_headers", "request")

    def __init__(
        self, request: Request, *, follows: bool = True, reads_headers: bool = False, reads_body: bool = True
    ) -> None:
        """`follows` may forbid redirects that the request allows; what is not read costs less. Raises ValueError."""
        self.request = request
        self.follows = follows and request.follow_redirects
        self.reads_headers = reads_headers
        self.reads_body = reads_body
        self.proxied = request.proxy is not None
        self.first = request_options(
            request, own_origin=True, with_body=True, method=request.method, decoded=reads_body
        )
        self.plain = not reads_headers and not any(type(value) is Pem for _, value in self.first)
        """Whether a handle that was set up for it can be used again as it is: PEM files are read for each transfer."""
        self.hop = Hop(request.url, request)
        self.origin = origin(request.url)


class Hop:
    """Where the next transfer goes: the URL asked for, and the host to connect to (the proxy's, if there is one)."""

    __slots__ = ("at_once", "host", "port", "secure", "url", "written")

    def __init__(self, url: str, request: Request) -> None:
        self.url = wire_url(url)
        parts = split_url(request.proxy or self.url)
        assert parts.hostname is not None
        self.host = self.written = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        if request.proxy is None:
            overrides = {punycode(name).lower(): address for name, address in request.resolve.items()}
            self.host = overrides.get(self.host, self.host)
        self.secure = url[:6].lower() == "https:"
        self.at_once = literal(self.host, _FAMILIES[request.ip_version])
        """The resolution of a host that is an address: then there is nothing to look up."""


class Handle(pycurl.Curl):  # type: ignore[misc]  # a class of C
    """A handle of libcurl that many transfers use, one after the other.

    Attributes:
        options: what it was set up with, if it is as good as new but for what `Transfer.begin` sets each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.options: Options | None = None  # no default of the class: pycurl would always find that one


class Transfer:
    """One exchange. The driver loops: `resolve_next()`, look the name up if asked to, `begin()`, perform, `finish()`,
    until `finish` says that no other hop follows, or `ended` is set. Then there is an `answer`, or a `failure` says why
    there is none.

    `started_at` is unix seconds; `deadline` and the `now` arguments are readings of one monotonic clock.
    """

    def __init__(self, plan: Plan, policy: AddressPolicy, started_at: float, now: float, timeout_s: float) -> None:
        self.plan = plan
        self._policy = policy
        self.started_at = started_at
        self.started_mono = now
        self.deadline = now + timeout_s
        self.ended = False
        """Whether it has failed: nothing more is to be driven."""
        self.failure = ""
        self.answer: Answer | None = None
        self.in_libcurl = False
        self.handle: Handle | None = None
        """What the next hop is to go on with, between two hops."""
        self.run_id = 0
        self.addresses: tuple[str, ...] = ()
        self.pins: list[str] = []
        """Entries that `begin` left in libcurl's DNS cache, to be removed by a later transfer's RESOLVE."""
        self._hops = 0
        self._us = [0, 0, 0, 0, 0]  # dns, connect, tls, first byte, transfer
        self._method = plan.request.method
        self._options = plan.first
        self._facts: dict[str, str | int | float | bool] = {}
        self._hop = plan.hop
        self._authorities: bytes | None = None
        self._certificate_ends_at: float | None = None
        self._certificate_of = ""

    # --- before a hop -------------------------------------------------------------------------------------------

    def resolve_next(self) -> tuple[str, int] | None:
        """The host and address family to look up for the next hop, or None when there is nothing to look up:
        the host is an address, or the exchange has `ended`."""
        hop = self._hop
        if hop.written != hop.host and (refusal := self._policy.check_host(hop.written)) is not None:
            self._end(refusal.message)
            return None
        if hop.at_once is not None and not self.plan.proxied:
            self.resolved(hop.at_once)
            return None
        refusal = self._policy.check_host(hop.host)
        if refusal is None and self.plan.proxied:
            # The proxy resolves and connects; what can be judged here is the host as it is written.
            refusal = self._policy.check_host(split_url(hop.url).hostname or "")
        if refusal is not None:
            self._end(self._via() + refusal.message)
            return None
        if hop.at_once is None:
            return hop.host, _FAMILIES[self.plan.request.ip_version]
        self.resolved(hop.at_once)
        return None

    def resolved(self, resolution: Resolution) -> None:
        """Take the look-up's result; ends the exchange when no address is usable."""
        self._us[0] += int(resolution.took_s * 1e6)
        host = self._hop.host
        if resolution.error:
            self._unconnected(f"{self._via()}The name {host} could not be resolved: {resolution.error}.")
            return
        allowed = []
        refusal = None
        for address in resolution.addresses:
            judged = self._policy.check_address(address, host=host)
            if judged is None:
                allowed.append(address)
            refusal = refusal or judged
        if not allowed and refusal is not None:
            named = "" if refusal.subject.startswith(host) else f"{host} resolves to {refusal.subject}. "
            self._end(self._via() + named + refusal.message)
            return
        self.addresses = tuple(allowed)

    def begin(self, curl: Handle, remaining_s: float, stale_pins: Sequence[str] = ()) -> bool:
        """Set the handle up for the hop. False when it ended instead (an unreadable file, no time left)."""
        if remaining_s <= 0:
            self.timed_out("before it connected")
            return False
        plan = self.plan
        if curl.options != self._options or not plan.plain:
            try:
                self._set_up(curl)
            except UnreadableFileError as error:
                self._end(str(error))
                return False
        if not self._hops:
            curl.setopt(pycurl.COOKIELIST, "ALL")  # those of the transfer before; a reset keeps them
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._truncated = False
        self._headers: list[bytes] = []
        curl.setopt(pycurl.URL, self._hop.url)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)
        if plan.reads_headers:
            curl.setopt(pycurl.HEADERFUNCTION, self._header)
        # At least 1 ms: 0 would mean "no limit" to libcurl.
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(remaining_s * 1000)))
        self._pin(curl, stale_pins)
        return True

    def _set_up(self, curl: Handle) -> None:
        """Set what is the same for every transfer of this request."""
        curl.options = None
        curl.reset()
        for option, value in ALWAYS:
            curl.setopt(option, value)
        for option, value in self._options:
            if type(value) is not Pem:
                curl.setopt(option, value)
                continue
            try:
                text = pem(value)
            except UnreadableFileError as error:
                raise UnreadableFileError(f"`{PEM_FIELDS[option]}` {error}.") from None
            curl.setopt(option, text)
            if option == pycurl.CAINFO_BLOB:
                self._authorities = text
        if self.plan.plain:
            curl.options = self._options

    def _pin(self, curl: Handle, stale_pins: Sequence[str]) -> None:
        resolve = [f"-{pin}" for pin in stale_pins] if stale_pins else []
        port = self._hop.port
        if self.plan.proxied:
            name = self._hop.host
            if literal(name) is None:
                pin = f"{name}:{port}"
                resolve.append(f"{pin}:{','.join(self.addresses)}")
                self.pins = [pin]
        elif len(self.addresses) == 1:
            curl.setopt(pycurl.CONNECT_TO, [f"::{host_port(self.addresses[0], port)}"])
        else:
            # Several addresses: a name of our own that only this transfer knows, so that libcurl tries them side by
            # side (happy eyeballs, RFC 8305) and no other transfer can meet them in the DNS cache of the multi handle.
            name = f"pin-{next(_pin_numbers)}.invalid"
            pin = f"{name}:{port}"
            resolve.append(f"{pin}:{','.join(host_port(a, 0)[:-2] if ':' in a else a for a in self.addresses)}")
            curl.setopt(pycurl.CONNECT_TO, [f"::{pin}"])
            self.pins = [pin]
        if resolve:
            curl.setopt(pycurl.RESOLVE, resolve)
            curl.options = None

    def _write(self, data: bytes) -> int | None:
        room = self.plan.request.max_body_bytes - self._body_bytes
        if len(data) > room:
            self._truncated = True
            self._body.append(data[:room])
            self._body_bytes += room
            return -1  # stops the transfer with E_WRITE_ERROR; `finish` knows that it was us
        self._body_bytes += len(data)
        if self.plan.reads_body:
            self._body.append(data)
        return None

    def _header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):
            self._headers.clear()  # an interim response (100, 103) came before
        # No cap here: libcurl refuses headers beyond 300 KB in all.
        self._headers.append(line)

    # --- after a hop --------------------------------------------------------------------------------------------

    def finish(self, curl: pycurl.Curl, error: int, detail: str, now: float) -> bool:
        """Take in the finished transfer. True when another hop is to be driven, False when all is over:
        there is an answer, or it has `ended`."""
        self._measure(curl)
        if error and not (error == pycurl.E_WRITE_ERROR and self._truncated):
            self._failed(curl, error, detail)
            return False
        if self._hop.secure and not self._certificate(curl):
            return False
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        location = ""
        if status in _REDIRECTS:
            location = curl.getinfo(pycurl.REDIRECT_URL) or ""
            if location and self.plan.follows:
                return self._redirect(status, location)
        ip = self._ip(curl)
        self._facts["ip"] = ip
        self._facts["http_version"] = _HTTP_VERSIONS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION), "3")
        self._facts["body_bytes"] = self._body_bytes
        if self._truncated:
            self._facts["body_truncated"] = True
        if self._hops:
            self._facts["redirects"] = self._hops
            self._facts["final_url"] = shown_url(self._hop.url)
        wall = self.started_at + (now - self.started_mono)
        days = None
        if self._certificate_ends_at is not None:
            days = (self._certificate_ends_at - wall) / 86400
            self._facts["certificate_days_left"] = round(days, 3)
        self.answer = Answer(
            status=status,
            duration_s=sum(self._us) * MICRO,
            body=b"".join(self._body),
            content_type=(curl.getinfo(pycurl.CONTENT_TYPE) or "") if self.plan.reads_body else "",
            headers=_parsed(self._headers) if self._headers else {},
            location=location,
            certificate_days_left=days,
            certificate_of=self._certificate_of,
            ip=ip,
            now=wall,
        )
        return False

    def timed_out(self, where: str) -> None:
        """End the exchange because its time is over."""
        self._unconnected(
            f"{self._name()} did not finish within {spoken_duration(self.deadline - self.started_mono)}: {where}."
        )

    def broke(self, detail: str) -> None:
        """End the exchange because of something that is not the peer's doing."""
        self._end(f"{self._name()} could not be probed: {detail}.")

    def _measure(self, curl: pycurl.Curl) -> None:
        """Add the hop's times. libcurl's are counted from the transfer's start; a phase that didn't occur is 0."""
        info = curl.getinfo
        us = self._us
        looked_up, connected = info(pycurl.NAMELOOKUP_TIME_T), info(pycurl.CONNECT_TIME_T)
        secured = info(pycurl.APPCONNECT_TIME_T) if self._hop.secure or self.plan.proxied else 0
        asked, answered, ended = (
            info(pycurl.PRETRANSFER_TIME_T),
            info(pycurl.STARTTRANSFER_TIME_T),
            info(pycurl.TOTAL_TIME_T),
        )
        ready = max(looked_up, connected, secured, asked)
        answered = max(answered, ready) if answered else ended
        us[0] += looked_up
        us[1] += max(0, connected - looked_up)
        us[2] += max(0, secured - connected) if secured else 0
        us[3] += max(0, answered - max(looked_up, connected, secured))
        us[4] += max(0, ended - answered)

    def _ip(self, curl: pycurl.Curl) -> str:
        return self.addresses[0] if len(self.addresses) == 1 else str(curl.getinfo(pycurl.PRIMARY_IP) or "")

    def _certificate(self, curl: pycurl.Curl) -> bool:
        """Take in the certificates of this hop. False, and the exchange has ended, when they name no host."""
        request = self.plan.request
        chain = [dict(fields).get("Cert", "") for fields in curl.getinfo(pycurl.INFO_CERTINFO) or ()]
        seen = shown(tuple(each.encode() for each in chain), self._authorities)
        if seen is None:
            return True
        if request.verify and not seen.names_a_host:  # libcurl would look at the common name then
            self._end(f"{self._name()}: {NAMES_NO_HOST}.")
            return False
        if self._certificate_ends_at is None or seen.ends_at < self._certificate_ends_at:
            self._certificate_ends_at = self._facts["certificate_expires_at"] = seen.ends_at
            self._certificate_of = host_port(split_url(self._hop.url).hostname or "", self._hop.port)
        before = self._facts.get("chain_expires_at", seen.path_ends_at)
        self._facts["chain_expires_at"] = min(float(before), seen.path_ends_at)
        return True

    def _redirect(self, status: int, location: str) -> bool:
        request = self.plan.request
        came_from = shown_url(self._hop.url)
        self._hops += 1
        if self._hops > request.max_redirects:
            self._end(
                f"{self._name()} redirects more than {request.max_redirects} times, at last to {shown_url(location)}.",
                code=status,
            )
            return False
        try:
            hop = Hop(location, request)
        except ValueError as error:
            self._end(f"{came_from} redirects to an address that is not requested: {error}.", code=status)
            return False
        own_origin = origin(location) == self.plan.origin
        keeps_method = status in _KEEP_METHOD or self._method in ("GET", "HEAD")
        if not keeps_method:
            self._method = "GET"
        has_body = keeps_method and any(option == pycurl.POSTFIELDS for option, _ in self._options)
        if has_body and not own_origin:
            self._end(
                f"{came_from} redirects the {self._method} with its body to another host, {shown_url(location)}, "
                "where it is not sent; set `url` to that address if it is right.",
                code=status,
            )
            return False
        self._hop = hop
        self._options = request_options(
            request, own_origin=own_origin, with_body=has_body, method=self._method, decoded=self.plan.reads_body
        )
        self.addresses = ()
        return True

    def _failed(self, curl: pycurl.Curl, error: int, detail: str) -> None:
        name = self._name()
        if error == pycurl.E_OPERATION_TIMEDOUT:
            self.timed_out(self._stuck_at(curl))
        elif error == pycurl.E_COULDNT_CONNECT:
            reason = _connect_reason(curl, detail)
            tried = ", ".join(self.addresses)
            self._unconnected(f"{name}: no connection to {tried} port {self._hop.port}: {reason}.")
        elif error == pycurl.E_GOT_NOTHING:
            self._end(f"{name}: {self._hop.host} closed the connection without an answer.")
        elif error == pycurl.E_RECV_ERROR or error == pycurl.E_SEND_ERROR or error == pycurl.E_PARTIAL_FILE:
            missing = f" after {self._body_bytes} bytes of the body" if self._body_bytes else ""
            self._end(f"{name}: the connection broke{missing}: {_without_dot(detail)}.")
        elif error == pycurl.E_PEER_FAILED_VERIFICATION:
            self._end(f"{name}: the certificate is not accepted: {_certificate_reason(detail)}.")
        elif error == pycurl.E_SSL_CONNECT_ERROR:
            self._end(f"{name}: the TLS handshake failed: {_without_dot(detail)}.")
        elif error == pycurl.E_BAD_CONTENT_ENCODING:
            self._end(
                f"{name}: the body's Content-Encoding cannot be undone: {_without_dot(detail)}. "
                "Ask for another one with the header Accept-Encoding.",
                code=curl.getinfo(pycurl.RESPONSE_CODE),
            )
        else:
            self._end(f"{name}: {_without_dot(detail) or f'libcurl error {error}'}.")

    def _stuck_at(self, curl: pycurl.Curl) -> str:
        if not curl.getinfo(pycurl.CONNECT_TIME_T):
            return f"no connection to {', '.join(self.addresses)} port {self._hop.port}"
        if self._hop.secure and not curl.getinfo(pycurl.APPCONNECT_TIME_T):
            return "connected, but the TLS handshake did not finish"
        if not curl.getinfo(pycurl.STARTTRANSFER_TIME_T):
            return "connected, but no answer came"
        return f"the answer began, but did not end ({self._body_bytes} bytes of the body came)"

    def _unconnected(self, message: str) -> None:
        """It never came to a connection."""
        self._end(message)

    def _end(self, message: str, code: int | None = None) -> None:
        """It failed; `code` is the status, if there was one."""
        self.ended = True
        self.failure = one_sentence(message)

    def _name(self) -> str:
        return f"{self._method} {shown_url(self._hop.url)}"

    def _via(self) -> str:
        return f"{shown_url(self.plan.request.url)} redirects to {shown_url(self._hop.url)}. " if self._hops else ""


def _parsed(lines: Sequence[bytes]) -> Headers:
    """Bytes beyond ASCII are read as Latin-1."""
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name = name.strip().lower()
            headers[name] = (*headers.get(name, ()), value.strip())
    return headers


def _connect_reason(curl: pycurl.Curl, detail: str) -> str:
    number = curl.getinfo(pycurl.OS_ERRNO)
    if number == errno.ECONNREFUSED:
        return "the connection was refused"
    return os.strerror(number) if number else _without_dot(detail)


def _certificate_reason(detail: str) -> str:
    return _without_dot(detail.removeprefix("SSL certificate problem: "))


def _without_dot(text: str) -> str:
    return text.strip().rstrip(".")
