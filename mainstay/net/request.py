"""What one HTTP request asks for, and libcurl's options for it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import pycurl

from mainstay.net.certificates import USUAL_AUTHORITIES

Options = tuple[tuple[int, object], ...]

_PROTOCOLS = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
ALWAYS: Options = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.PROTOCOLS, _PROTOCOLS),
    (pycurl.REDIR_PROTOCOLS, _PROTOCOLS),
    (pycurl.FRESH_CONNECT, 1),
    (pycurl.FORBID_REUSE, 1),
    (pycurl.DNS_CACHE_TIMEOUT, 0),
    (pycurl.PROXY, ""),  # an empty proxy also switches off http_proxy and friends from the environment
)
"""Set for every request: nothing is reused, nothing but http and https, nothing out of the environment."""


PEM_FIELDS = {
    pycurl.CAINFO_BLOB: "ca",
    pycurl.SSLCERT_BLOB: "client_certificate",
    pycurl.SSLKEY_BLOB: "client_key",
}


class Pem(str):
    """PEM text or the path of a PEM file, to be read when the probe starts: certificates are renewed in place."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A request and how it is sent. `url` is http or https, without user name and password."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    content_type: str = ""
    user_agent: str = "Mainstay"
    client_certificate: str | None = None  # PEM text or the path of a PEM file, as are the next two
    client_key: str | None = field(default=None, repr=False)
    ca: str | None = None
    verify: bool = True
    http2: bool = True
    encodings: str | None = None
    """Accept-Encoding, unless `headers` have one: None for none, "" for all that libcurl knows."""
    follow_redirects: bool = True
    max_redirects: int = 10
    max_body_bytes: int = 1 << 20
    ip_version: int | None = None
    resolve: Mapping[str, str] = field(default_factory=dict)
    """Addresses of hosts that are not looked up."""
    proxy: str | None = None
    proxy_username: str | None = None
    proxy_password: str = field(default="", repr=False)


def authorization(username: str | None, password: str, bearer: str | None) -> dict[str, str]:
    """Return the header that signs a request in; none without credentials."""
    if bearer is not None:
        return {"Authorization": f"Bearer {bearer}"}
    if username is not None:
        return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
    return {}


def request_options(
    request: Request, *, own_origin: bool, with_body: bool, method: str, decoded: bool = True
) -> Options:
    """libcurl's options of one request; `decoded` undoes the body's content coding.

    To another origin go no credentials, no client certificate and no headers of the user's (any of them may be a key),
    only the harmless ones.
    """
    options: list[tuple[int, object]] = [(pycurl.USERAGENT, request.user_agent)]
    headers: dict[str, str] = {}
    if own_origin:
        headers |= {**request.headers, **request.secret_headers}
        if request.client_certificate is not None:
            options += [
                (pycurl.SSLCERTTYPE, "PEM"),
                (pycurl.SSLCERT_BLOB, Pem(request.client_certificate)),
                (pycurl.SSLKEYTYPE, "PEM"),
                (pycurl.SSLKEY_BLOB, Pem(request.client_key or request.client_certificate)),
            ]
    else:
        headers |= {
            name: value for name, value in request.headers.items() if name.lower() in ("accept", "accept-language")
        }
    body = request.body if with_body else None
    if method == "HEAD":
        options.append((pycurl.NOBODY, 1))
    elif body is not None or method in ("POST", "PUT", "PATCH"):
        if body is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = request.content_type
        headers.setdefault("Expect", "")  # no 100-continue: it would add a round trip, or a second's wait
        options += [(pycurl.POSTFIELDS, body or b""), (pycurl.CUSTOMREQUEST, method)]
    elif method != "GET":
        options.append((pycurl.CUSTOMREQUEST, method))
    # A body is decoded whoever asked for the encoding, and also where nobody did.
    options.append((pycurl.ACCEPT_ENCODING, request.encodings or ""))
    if not decoded:
        options.append((pycurl.HTTP_CONTENT_DECODING, 0))
    lines = [f"{name}: {value}" if value or name == "Expect" else f"{name};" for name, value in headers.items()]
    if request.encodings is None and not any(name.lower() == "accept-encoding" for name in headers):
        lines.append("Accept-Encoding:")  # libcurl's own is not sent
    if lines:
        options.append((pycurl.HTTPHEADER, lines))
    if request.follow_redirects:
        options.append((pycurl.COOKIEFILE, ""))  # sites that set a cookie and redirect to themselves need it
    options.append(
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS if request.http2 else pycurl.CURL_HTTP_VERSION_1_1)
    )
    options += _tls_options(request)
    if request.proxy is not None:
        options.append((pycurl.PROXY, request.proxy))
        if request.proxy_username is not None:
            options += [(pycurl.PROXYUSERNAME, request.proxy_username), (pycurl.PROXYPASSWORD, request.proxy_password)]
    return tuple((option, _on_the_wire(value)) for option, value in options)


def _on_the_wire(value: object) -> object:
    """Text as UTF-8: pycurl itself takes only ASCII."""
    if isinstance(value, Pem):
        return value
    if isinstance(value, list):
        return [_on_the_wire(each) for each in value]
    return value.encode() if isinstance(value, str) else value


def _tls_options(request: Request) -> list[tuple[int, object]]:
    if not request.url.lower().startswith("https:") and not request.follow_redirects and request.proxy is None:
        return []
    options: list[tuple[int, object]] = [(pycurl.OPT_CERTINFO, 1), (pycurl.SSL_SESSIONID_CACHE, 0)]
    if request.ca is not None:
        options.append((pycurl.CAINFO_BLOB, Pem(request.ca)))
    else:
        # One path for all checks: libcurl keeps the parsed store with the multi handle.
        options.append((pycurl.CAINFO, USUAL_AUTHORITIES))
    if not request.verify:
        options += [(pycurl.SSL_VERIFYPEER, 0), (pycurl.SSL_VERIFYHOST, 0)]
    return options
