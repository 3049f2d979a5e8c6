"""Who asks, when a reverse proxy asks for them: `X-Forwarded-For` and `X-Forwarded-Proto` of trusted proxies only."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from mainstay.foundation.http.bodies import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HEADERS = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"forwarded")


def seen_through(scope: Scope, trusted: Sequence[Network]) -> Scope:
    """Return a request (ASGI) as of the client that trusted proxies name, without the headers that say so.

    Addresses are read from the right, where each proxy writes the one that it saw: the first that is no trusted proxy
    is the client. What stands before it may be made up. From anybody else the headers mean nothing.
    """
    said = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in HEADERS]
    if not said:
        return scope
    found: dict[str, Any] = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in HEADERS]}
    if not _trusted(_address(scope["client"][0] if scope.get("client") else ""), trusted):
        return found
    for hop in reversed([hop for name, value in said if name == b"x-forwarded-for" for hop in value.split(",")]):
        if (address := _address(hop)) is None:
            break
        found["client"] = (str(address), 0)
        if not _trusted(address, trusted):
            break
    schemes = [value.rpartition(",")[2].strip().lower() for name, value in said if name == b"x-forwarded-proto"]
    if schemes and schemes[-1] in {"http", "https"}:
        found["scheme"] = schemes[-1]
    return found


def _address(text: str) -> Address | None:
    """Return an address that may have a port (`192.0.2.1:443`, `[2001:db8::1]:443`); None for what is none."""
    text = text.strip()
    bare = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0] if "." in text else text
    for given in (text, bare):
        try:
            address = ipaddress.ip_address(given)
        except ValueError:
            continue
        return getattr(address, "ipv4_mapped", None) or address
    return None


def _trusted(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in one for one in networks if one.version == address.version)
