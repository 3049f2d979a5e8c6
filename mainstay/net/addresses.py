"""URLs, hosts and headers as people write them: checked, as they go over the wire, and as they are shown."""

import re
from typing import Annotated
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import AfterValidator, Field

from mainstay.net.policy import literal_address

LONGEST_URL = 4096
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEPT = "!#$%&'()*+,/:;=?@[]~"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def split_url(url: str) -> SplitResult:
    """The parts of an http(s) URL with a host. Raises ValueError saying what is wrong."""
    if len(url) > LONGEST_URL:
        raise ValueError(f"the URL has {len(url)} characters, at most {LONGEST_URL} are allowed")
    if any(character.isspace() or character < " " or character == "\x7f" for character in url):
        raise ValueError(f"the URL {url!r} holds white space or control characters: write them as %20 and so on")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"the URL {url!r} is not well formed: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the URL {url!r} is not of http or https: write for example https://example.com/")
    if not host or "\\" in parts.netloc:
        raise ValueError(f"the URL {url!r} names no host: write for example https://example.com/")
    refuse_percent(host)
    return parts


def refuse_percent(host: str) -> None:
    """Refuse a host with a "%", which some programs decode and others do not; raises ValueError.

    The zone of an address (RFC 6874) may have one: it is dropped wherever addresses are judged.
    """
    if "%" in host and literal_address(host) is None:
        raise ValueError(f"the host {host!r} holds a %: write the name itself, without percent-encoding")


def punycode(host: str) -> str:
    """The host name in ASCII (RFC 5891); raises ValueError for what is no name."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError(f"the host {host!r} is no internet name: {error}") from None


def wire_url(url: str) -> str:
    """The URL in ASCII, as it goes over the wire: the host in punycode, other letters as percent-encoded UTF-8,
    without fragment. Raises ValueError for a host that can't be."""
    parts = split_url(url)
    if url.isascii():
        return url.partition("#")[0]
    name = punycode(parts.hostname or "")
    name = f"[{name}]" if ":" in name else name
    user, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port is not None else ""
    path, query = quote(parts.path, safe=_KEPT), quote(parts.query, safe=_KEPT)
    return f"{parts.scheme}://{quote(user, safe=_KEPT)}{at}{name}{port}{path}{'?' + query if query else ''}"


def valid_url(url: str) -> str:
    """A URL to request, without user name or password; raises ValueError."""
    stripped = url.strip()
    wire_url(stripped)
    if "@" in split_url(stripped).netloc:
        raise ValueError("the URL holds a user name or password: give them as `username` and `password`")
    return stripped


def shown_url(url: str) -> str:
    """The URL for people: without query values and fragment, which may hold keys."""
    base, _, query = url.partition("#")[0].partition("?")
    return f"{base}?…" if query else base


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL (RFC 6454)."""
    parts = split_url(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def host_port(host: str, port: int) -> str:
    """`db.example.com:5432`, `[::1]:5432`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def valid_header_name(name: str) -> str:
    """A header's name (RFC 9110, section 5.1); raises ValueError."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header: use letters, digits and hyphens")
    return name


def valid_header_value(name: str, value: str) -> None:
    """Refuse line ends in a header's value: they would begin another header."""
    if _CONTROL.search(value):
        raise ValueError(f"the value of the header {name!r} holds control characters or a line end")


def _valid_host(host: str) -> str:
    stripped = host.strip().removeprefix("[").removesuffix("]")
    if (
        not stripped
        or len(stripped) > 253
        or any(character.isspace() or character in "/@?#\\" for character in stripped)
    ):
        raise ValueError(
            f"{host!r} is no host: give a name such as db.example.com or an address, without scheme, port or path"
        )
    refuse_percent(stripped)
    try:
        stripped.encode("idna")
    except UnicodeError:
        if literal_address(stripped) is None:
            raise ValueError(f"{host!r} is no internet name") from None
    if ":" in stripped and literal_address(stripped) is None:
        raise ValueError(f"{host!r} is no host: give the port in `port`")
    return stripped


Host = Annotated[str, AfterValidator(_valid_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
IPVersion = Annotated[int, Field(ge=4, le=6, multiple_of=2)]
