"""libcurl's options for one request of a check."""

import base64
import os
from urllib.parse import urlencode

import certifi
import orjson
import pycurl

from mainstay.observe.checks.kinds.http.settings import HttpSettings

Options = tuple[tuple[int, object], ...]

_CA_FILE = os.environ.get("SSL_CERT_FILE") or certifi.where()
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


def request_options(settings: HttpSettings, *, own_origin: bool, with_body: bool, method: str) -> Options:
    """libcurl's options of one request. To another origin go no credentials, no client certificate and no headers
    of the user's (any of them may be a key), only the harmless ones."""
    options: list[tuple[int, object]] = [(pycurl.USERAGENT, settings.user_agent)]
    headers: dict[str, str] = {}
    if own_origin:
        headers |= settings.headers
        headers |= {name: secret.get_secret_value() for name, secret in settings.secret_headers.items()}
        if settings.bearer is not None:
            headers["Authorization"] = f"Bearer {settings.bearer.get_secret_value()}"
        elif settings.username is not None:
            password = settings.password.get_secret_value() if settings.password is not None else ""
            headers["Authorization"] = "Basic " + base64.b64encode(f"{settings.username}:{password}".encode()).decode()
        if settings.client_certificate is not None:
            key = (
                settings.client_key.get_secret_value()
                if settings.client_key is not None
                else settings.client_certificate
            )
            options += [
                (pycurl.SSLCERTTYPE, "PEM"),
                (pycurl.SSLCERT_BLOB, Pem(settings.client_certificate)),
                (pycurl.SSLKEYTYPE, "PEM"),
                (pycurl.SSLKEY_BLOB, Pem(key)),
            ]
    else:
        headers |= {
            name: value for name, value in settings.headers.items() if name.lower() in ("accept", "accept-language")
        }
    body, content_type = _body(settings) if with_body else (None, "")
    if method == "HEAD":
        options.append((pycurl.NOBODY, 1))
    elif body is not None or method in ("POST", "PUT", "PATCH"):
        if content_type and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = content_type
        headers.setdefault("Expect", "")  # no 100-continue: it would add a round trip, or a second's wait
        options += [(pycurl.POSTFIELDS, body or b""), (pycurl.CUSTOMREQUEST, method)]
    elif method != "GET":
        options.append((pycurl.CUSTOMREQUEST, method))
    if headers:
        options.append(
            (
                pycurl.HTTPHEADER,
                [f"{name}: {value}" if value or name == "Expect" else f"{name};" for name, value in headers.items()],
            )
        )
    if settings.compressed:
        options.append((pycurl.ACCEPT_ENCODING, ""))
    if settings.follow_redirects:
        options.append((pycurl.COOKIEFILE, ""))  # sites that set a cookie and redirect to themselves need it
    options.append(
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS if settings.http2 else pycurl.CURL_HTTP_VERSION_1_1)
    )
    options += _tls_options(settings)
    if settings.proxy is not None:
        options.append((pycurl.PROXY, settings.proxy))
        if settings.proxy_username is not None:
            secret = settings.proxy_password.get_secret_value() if settings.proxy_password is not None else ""
            options += [(pycurl.PROXYUSERNAME, settings.proxy_username), (pycurl.PROXYPASSWORD, secret)]
    return tuple((option, _on_the_wire(value)) for option, value in options)


def _on_the_wire(value: object) -> object:
    """Text as UTF-8: pycurl itself takes only ASCII."""
    if isinstance(value, Pem):
        return value
    if isinstance(value, list):
        return [_on_the_wire(each) for each in value]
    return value.encode() if isinstance(value, str) else value


def _tls_options(settings: HttpSettings) -> list[tuple[int, object]]:
    if not settings.url.lower().startswith("https:") and not settings.follow_redirects and settings.proxy is None:
        return []
    options: list[tuple[int, object]] = [(pycurl.OPT_CERTINFO, 1), (pycurl.SSL_SESSIONID_CACHE, 0)]
    if settings.ca is not None:
        options.append((pycurl.CAINFO_BLOB, Pem(settings.ca)))
    else:
        # One path for all checks: libcurl keeps the parsed store with the multi handle.
        options.append((pycurl.CAINFO, _CA_FILE))
    if not settings.verify:
        options += [(pycurl.SSL_VERIFYPEER, 0), (pycurl.SSL_VERIFYHOST, 0)]
    return options


def _body(settings: HttpSettings) -> tuple[bytes | None, str]:
    if settings.body is not None:
        return settings.body.encode(), "text/plain; charset=utf-8"
    if settings.json_body is not None:
        return orjson.dumps(settings.json_body), "application/json"
    if settings.form or settings.secret_form:
        fields = settings.form | {name: secret.get_secret_value() for name, secret in settings.secret_form.items()}
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    return None, ""
