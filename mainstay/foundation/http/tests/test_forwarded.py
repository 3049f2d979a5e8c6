"""Who is taken for the client behind reverse proxies."""

import ipaddress
from typing import Any

import pytest

from mainstay.foundation.http.forwarded import seen_through

PROXIES = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "::1/128", "127.0.0.1/32")]


def client(peer: str | None, *given: str, **more: str) -> tuple[str, str]:
    headers = [(b"x-forwarded-for", value.encode()) for value in given]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    scope: dict[str, Any] = {
        "client": (peer, 1) if peer else None, "scheme": "http", "headers": [(b"host", b"a"), *headers],
    }  # fmt: skip
    found = seen_through(scope, PROXIES)
    assert found["headers"] == [(b"host", b"a")]
    return (found["client"][0] if found["client"] else ""), found["scheme"]


@pytest.mark.fault("S13")
@pytest.mark.parametrize(
    ("peer", "given", "expected"),
    [
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        ("203.0.113.9", ("10.0.0.1",), "203.0.113.9"),
        ("11.0.0.1", ("198.51.100.1",), "11.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("127.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("127.0.0.2", ("198.51.100.1",), "127.0.0.2"),
        ("::1", ("2001:db8::7",), "2001:db8::7"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, 10.0.0.2, 10.0.0.3",), "198.51.100.1"),
        ("10.0.0.1", ("10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("10.0.0.1", ("[2001:db8::7]:4711",), "2001:db8::7"),
        ("10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("::ffff:10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1, nonsense, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("unknown, _hidden",), "10.0.0.1"),
        (None, ("198.51.100.1",), ""),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    peer: str | None, given: tuple[str, ...], expected: str
) -> None:
    assert client(peer, *given)[0] == expected


@pytest.mark.fault("S13")
@pytest.mark.parametrize(
    ("peer", "said", "expected"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, https", "https"),
        ("10.0.0.1", "https, http", "http"),
        ("10.0.0.1", "gopher", "http"),
        ("203.0.113.9", "https", "http"),
    ],
)
def test_the_scheme_holds_from_a_trusted_proxy_only(peer: str, said: str, expected: str) -> None:
    assert client(peer, x_forwarded_proto=said)[1] == expected


def test_other_headers_of_proxies_are_never_read() -> None:
    client("203.0.113.9", forwarded="for=1.1.1.1", x_forwarded_host="evil.test", x_forwarded_port="1")
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"host", b"a")]}
    assert seen_through(scope, PROXIES) is scope
