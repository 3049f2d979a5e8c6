"""Answers as they come: encodings, repeated headers, redirects with queries, numbers that floats cannot hold."""

import gzip
import zlib
from typing import Any

import pytest

from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.kinds.tests.servers import answering, serving
from mainstay.observe.checks.probe.charset import as_utf8
from mainstay.observe.checks.probe.outcome import Health

TEXT = "Störung: Datenbank fort"
HTML = f'<html><head><META Charset="ISO-8859-1"><title>{TEXT}</title>'
ENCODINGS: dict[str, tuple[bytes, str]] = {
    "the charset of the header": (TEXT.encode("latin-1"), "text/html; charset=ISO-8859-1"),
    "in quotes, among others": (TEXT.encode("latin-1"), 'text/html; a=b; charset="iso-8859-1"; c'),
    "Windows": (TEXT.encode("cp1252"), "text/plain;charset=windows-1252"),
    "UTF-16 by the header": (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16le"),
    "UTF-16 by its mark": (b"\xff\xfe" + TEXT.encode("utf-16-le"), "text/plain"),
    "UTF-16, big": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "text/plain; charset=utf-8"),
    "UTF-32 by its mark": (b"\xff\xfe\0\0" + TEXT.encode("utf-32-le"), "text/plain"),
    "UTF-8 with a mark": (b"\xef\xbb\xbf" + TEXT.encode(), "text/plain"),
    "UTF-8": (TEXT.encode(), "text/plain"),
    "the mark counts more than the header": (b"\xef\xbb\xbf" + TEXT.encode(), "text/plain; charset=iso-8859-1"),
    "what the page says of itself": (HTML.encode("latin-1"), "text/html"),
    "as older pages say it": (
        f'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15">{TEXT}'.encode("latin-1"),
        "text/html",
    ),
    "XML": (f'<?xml version="1.0" encoding="ISO-8859-2"?><a>{TEXT}</a>'.encode("iso-8859-2"), "application/xml"),
    "nothing is said": (TEXT.encode("latin-1"), "text/plain"),
    "nothing that is known": (TEXT.encode("latin-1"), "text/plain; charset=klingon"),
    "an encoding, but not of text": (TEXT.encode(), "text/plain; charset=zip"),
}


@pytest.mark.fault("C2")
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_body_is_compared_as_the_text_that_it_is(name: str, probe: Probe) -> None:
    body, content_type = ENCODINGS[name]
    with serving(answering(body=body, headers=f"Content-Type: {content_type}\r\n")) as server:

        def health(**settings: Any) -> Health:
            return probe("http", {"url": server.url, **settings}).health

        assert health(expect={"body_contains": "Störung"}) is Health.UP
        assert health(expect={"body_not_contains": "Störung"}) is Health.DOWN
        assert health(expect={"body_matches": "St.rung: .atenbank"}) is Health.UP
        assert health(conditions=["[BODY] == pat(*Störung*)"]) is Health.UP


@pytest.mark.fault("C2")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_is_read_in_every_unicode(encoding: str, probe: Probe) -> None:
    body = '{"zustand": "Störung"}'.encode(encoding)
    with serving(answering(body=body, headers="Content-Type: application/json\r\n")) as server:
        settings = {"expect": {"json": {"zustand": "Störung"}}, "conditions": ["[BODY].zustand == Störung"]}
        outcome = probe("http", {"url": server.url, **settings})
    assert (outcome.health, outcome.message) == (Health.UP, "")


def test_a_long_body_that_was_cut_within_a_character_is_utf8_all_the_same() -> None:
    assert as_utf8("né".encode()[:-1]) == b"n\xc3"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


FAILED = b"<p>Could not connect to the database</p>" * 20
CODINGS: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", gzip.compress(FAILED)),
    "x-gzip": ("x-gzip", gzip.compress(FAILED)),
    "deflate": ("deflate", zlib.compress(FAILED)),
    "deflate without its frame": ("deflate", raw_deflate(FAILED)),
    "twice": ("gzip, gzip", gzip.compress(gzip.compress(FAILED))),
    "identity": ("identity", FAILED),
    "none": ("", FAILED),
}
ASKING: dict[str, dict[str, Any]] = {
    "by a header": {"headers": {"Accept-Encoding": "gzip"}},
    "by a secret header": {"secret_headers": {"accept-encoding": "gzip"}},
    "by the setting": {"compressed": True},
    "by both": {"headers": {"accept-encoding": "br;q=1.0, gzip;q=0.5"}, "compressed": True},
    "not at all": {},
}


@pytest.mark.fault("C3")
@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_undone_whoever_asked_for_it(coding: str, asking: str, probe: Probe) -> None:
    seen: list[bytes] = []
    name, body = CODINGS[coding]
    with serving(answering(body=body, headers=f"Content-Encoding: {name}\r\n" if name else "", seen=seen)) as server:
        settings = {"url": server.url, **ASKING[asking]}
        outcome = probe("http", {**settings, "expect": {"body_not_contains": "Could not connect"}})
        assert outcome.health is Health.DOWN
        assert "contains" in outcome.message
        assert (
            probe("http", {**settings, "conditions": ["[BODY] == pat(*connect to the database*)"]}).health is Health.UP
        )
    lines = [line for line in seen[0].decode().splitlines() if line.lower().startswith("accept-encoding:")]
    wanted = {**ASKING[asking].get("headers", {}), **ASKING[asking].get("secret_headers", {})}
    if wanted:
        assert [line.partition(": ")[2] for line in lines] == list(wanted.values()), "as it was given"
    else:
        assert len(lines) == ("compressed" in ASKING[asking])


@pytest.mark.fault("C3")
@pytest.mark.parametrize("name", ["zstd", "aes128gcm", "gzip, klingon"])
def test_an_encoding_that_cannot_be_undone_is_said_and_never_judged(name: str, probe: Probe) -> None:
    with serving(answering(body=b"\x28\xb5\x2f\xfd", headers=f"Content-Encoding: {name}\r\n")) as server:
        outcome = probe("http", {"url": server.url, "expect": {"body_not_contains": "error"}})
        unread = probe("http", {"url": server.url})
    assert outcome.health is Health.DOWN
    assert "Content-Encoding cannot be undone" in outcome.message
    assert unread.health is Health.UP, "whose body nobody looks at"


LOCATIONS = [
    "http://127.0.0.1:1/login?next=/cart",
    "http://127.0.0.1:1/login?next=/cart#top",
    "http://127.0.0.1:1/login#top",
    "http://127.0.0.1:1/?token=s3cret&a=%20b",
    "http://127.0.0.1:1/ä?ö=ü".encode("ascii", "ignore").decode(),
]


@pytest.mark.fault("C4")
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_redirect_is_compared_as_it_came_and_shown_without_its_query(location: str, probe: Probe) -> None:
    with serving(answering(302, b"", headers=f"Location: {location}\r\n")) as server:
        settings = {"url": server.url, "follow_redirects": False}
        right = probe("http", {**settings, "expect": {"status": 302, "location": location}})
        part = probe("http", {**settings, "expect": {"status": 302, "location": {"contains": location[-4:]}}})
        wrong = probe("http", {**settings, "expect": {"status": 302, "location": f"{location}x"}})
    assert (right.health, right.message) == (Health.UP, "")
    assert part.health is Health.UP
    assert wrong.health is Health.DOWN
    assert "s3cret" not in wrong.message.partition("expected")[0]


COOKIES = "Set-Cookie: a=1\r\nSet-Cookie: session=2\r\nset-cookie: b=3\r\nX-One: yes\r\n"
REPEATED: list[tuple[Any, bool]] = [
    ({"contains": "session="}, True),
    ({"contains": "b="}, True),
    ("session=2", True),
    ({"matches": "^b=[0-9]$"}, True),
    ({"contains": "d="}, False),
    ({"not_equals": "session=2"}, False),
    ({"not_equals": "d=4"}, True),
    ({"contains": "session=", "length_at_most": 3}, False),
    ({"exists": True}, True),
    ({"exists": False}, False),
]
CONDITIONS = [
    ("[HEADER].Set-Cookie == session=2", True),
    ("[HEADER].Set-Cookie == pat(*b=*)", True),
    ("[HEADER].Set-Cookie == pat(d=*)", False),
    ("[HEADER].Set-Cookie != session=2", False),
    ("[HEADER].Set-Cookie != pat(b=*)", False),
    ("[HEADER].Set-Cookie != d=4", True),
    ("[HEADER].Set-Cookie == any(x, session=2)", True),
    ("len([HEADER].Set-Cookie) == 9", True),
    ("has([HEADER].Set-Cookie) == true", True),
    ("session=2 == [HEADER].set-cookie", True),
]


@pytest.mark.fault("C6")
def test_every_value_of_a_repeated_header_is_looked_at(probe: Probe) -> None:
    with serving(answering(headers=COOKIES)) as server:
        for wanted, fits in REPEATED:
            outcome = probe("http", {"url": server.url, "expect": {"headers": {"Set-Cookie": wanted}}})
            assert (outcome.health is Health.UP) is fits, (wanted, outcome.message)
        for condition, fits in CONDITIONS:
            outcome = probe("http", {"url": server.url, "conditions": [condition]})
            assert (outcome.health is Health.UP) is fits, (condition, outcome.message)


NUMBERS: list[tuple[str, Any, bool]] = [
    ("9007199254740993", 9007199254740992, False),
    ("9007199254740993", 9007199254740993, True),
    ("18446744073709551617", 18446744073709551616, False),
    ("18446744073709551617", 18446744073709551617, True),
    ("-9223372036854775809", -9223372036854775808, False),
    ("9007199254740993", {"not_equals": 9007199254740992}, True),
    ("9007199254740993", {"greater_than": 9007199254740992}, True),
    ("9007199254740993", {"at_most": 9007199254740992}, False),
    ("9007199254740993.0", 9007199254740993.0, True),
    ("1e3", 1000, True),
    ("0.1", 0.1, True),
    ("1.0", 1, True),
]


@pytest.mark.fault("C10")
@pytest.mark.parametrize(("written", "wanted", "fits"), NUMBERS)
def test_whole_numbers_are_compared_exactly(written: str, wanted: Any, fits: bool, probe: Probe) -> None:
    body = f'{{"big": {written}}}'.encode()
    with serving(answering(body=body, headers=f"X-Big: {written}\r\n")) as server:
        in_json = probe("http", {"url": server.url, "expect": {"json": {"big": wanted}}})
        in_header = probe("http", {"url": server.url, "expect": {"headers": {"X-Big": wanted}}})
    assert (in_json.health is Health.UP) is fits, in_json.message
    if not isinstance(wanted, float) or written != "9007199254740993.0":
        assert (in_header.health is Health.UP) is fits, in_header.message


@pytest.mark.fault("C10")
def test_conditions_order_whole_numbers_exactly(probe: Probe) -> None:
    with serving(answering(body=b'{"big": 9007199254740993}')) as server:
        above = probe("http", {"url": server.url, "conditions": ["[BODY].big > 9007199254740992"]})
        same = probe("http", {"url": server.url, "conditions": ["[BODY].big <= 9007199254740992"]})
    assert (above.health, same.health) == (Health.UP, Health.DOWN)
