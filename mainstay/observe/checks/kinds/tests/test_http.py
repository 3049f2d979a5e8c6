"""The http kind against real servers that behave well, badly, and with malice."""

import gzip
import json
import socket
import struct
import time
from pathlib import Path

import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.kinds.http.settings import HttpSettings
from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.kinds.tests.servers import (
    Server,
    answer,
    answering,
    new_authority,
    read_request,
    serving,
    unused_port,
)
from mainstay.observe.checks.probe.outcome import Health

PAGE = b"<title>Shop</title>"
JSON = json.dumps({"status": "ok", "data": [{"id": 1}], "count": 3, "ratio": 0.5, "none": None}).encode()


def test_a_page_that_meets_every_expectation_is_up(probe: Probe) -> None:
    with serving(answering(body=PAGE)) as server:
        expect = {"status": 200, "max_latency": "800ms", "body_contains": "Shop"}
        outcome = probe("http", {"url": f"{server.url}/", "expect": expect})
    assert (outcome.health, outcome.message, outcome.code) == (Health.UP, "", 200)
    assert outcome.facts["ip"] == "127.0.0.1"
    assert outcome.facts["body_bytes"] == len(PAGE)
    assert outcome.phases is not None
    assert outcome.phases.connect_s > 0
    assert 0 < outcome.duration_s < 1
    assert abs(outcome.started_at - time.time()) < 5


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"status": 201}, "status 200; expected 201"),
        ({"status": ["3xx", "404-499"]}, "expected 3xx, 404-499"),
        ({"max_latency": 0}, "at most 0 ms are allowed"),
        ({"headers": {"X-Kind": "other"}}, 'header X-Kind is "json", expected "other"'),
        ({"headers": {"X-None": {"exists": True}}}, "header X-None is not there"),
        ({"body_contains": "absent"}, 'does not contain "absent"'),
        ({"body_not_contains": "status"}, 'contains "status", which it must not'),
        ({"body_matches": "coun[a-s]"}, "does not match"),
        ({"json": {"status": "bad"}}, 'status is "ok", expected "bad"'),
        ({"json": {"data[0].id": 2}}, "data[0].id is 1, expected 2"),
        ({"json": {"data[5].id": 2}}, "data[5].id is not there"),
        ({"json": {"none": {"exists": True}}}, "none is null"),
        ({"json": {"count": {"at_least": 4}}}, "count is 3, expected at least 4"),
        ({"json": {"ratio": {"greater_than": 0.5}}}, "expected more than 0.5"),
        ({"json": {"data": {"length_at_least": 2}}}, "a length of at least 2"),
    ],
)
def test_each_missed_expectation_is_down_and_named(probe: Probe, expect: dict[str, object], words: str) -> None:
    with serving(answering(body=JSON, headers="X-Kind: json\r\n")) as server:
        outcome = probe("http", {"url": server.url, "expect": expect})
    assert outcome.health is Health.DOWN
    assert words in outcome.message
    assert server.url in outcome.message
    assert outcome.code == 200


def test_expectations_that_hold_are_up(probe: Probe) -> None:
    expect = {
        "status": ["2xx", 404],
        "headers": {"x-kind": {"contains": "js", "matches": "^json$"}},
        "body_matches": r'"id":\s*1',
        "json": {
            "data[0].id": 1,
            "ratio": {"less_than": 0.6},
            "count": {"at_most": 3},
            "status": {"not_equals": "bad"},
        },
    }
    with serving(answering(body=JSON, headers="X-Kind: json\r\n")) as server:
        assert probe("http", {"url": server.url, "expect": expect}).health is Health.UP


def test_a_missed_softer_limit_is_degraded(probe: Probe) -> None:
    with serving(answering()) as server:
        outcome = probe("http", {"url": server.url, "warn": {"max_latency": 0}})
    assert outcome.health is Health.DEGRADED
    assert "is slow" in outcome.message


def test_conditions_are_evaluated_and_shown_resolved(probe: Probe) -> None:
    with serving(answering(503, JSON)) as server:
        good = probe("http", {"url": server.url, "conditions": ["[STATUS] == 503", "[BODY].data[0].id == 1"]})
        bad = probe("http", {"url": server.url, "conditions": ["[STATUS] == 200", "len([BODY].data) > 3"]})
    assert good.health is Health.UP, "a condition on [STATUS] replaces the default of 200-299"
    assert bad.health is Health.DOWN
    assert "[STATUS] (503) == 200" in bad.message
    assert "len([BODY].data) (1) > 3" in bad.message


def test_without_a_condition_on_the_status_the_default_range_holds(probe: Probe) -> None:
    with serving(answering(500)) as server:
        outcome = probe("http", {"url": server.url, "conditions": ["[BODY] == ok"]})
    assert "status 500; expected 2xx" in outcome.message
    assert outcome.health is Health.DOWN


@pytest.mark.parametrize(
    ("address", "sent"), [("/a", "/a?key=s%26+c"), ("/a?b=1", "/a?b=1&key=s%26+c"), ("/a#part", "/a?key=s%26+c")]
)
def test_secret_parameters_are_sent_and_not_shown(probe: Probe, address: str, sent: str) -> None:
    seen: list[bytes] = []
    with serving(answering(body=PAGE, seen=seen)) as server:
        outcome = probe("http", {"url": f"{server.url}{address}", "secret_params": {"key": "s& c"}})
    assert outcome.health is Health.UP
    assert seen[0].startswith(f"GET {sent} ".encode())
    assert "s%26" not in str(outcome)


def test_method_headers_and_body_are_sent(probe: Probe) -> None:
    seen: list[bytes] = []
    with serving(answering(seen=seen)) as server:
        probe(
            "http",
            {
                "url": f"{server.url}/login?next=1",
                "method": "POST",
                "form": {"user": "a b"},
                "secret_form": {"password": "p&w"},
                "headers": {"X-Plain": "1"},
                "secret_headers": {"X-Key": "k3y"},
                "username": "me",
                "password": "pä:ss",
            },
        )
        probe("http", {"url": server.url, "method": "PUT", "json": {"a": [1]}, "bearer": "t0k"})
        probe("http", {"url": server.url, "method": "HEAD"})
    form, put, head = seen
    assert form.startswith(b"POST /login?next=1 HTTP/1.1\r\n")
    assert form.endswith(b"\r\n\r\nuser=a+b&password=p%26w")
    assert b"X-Key: k3y\r\n" in form
    assert b"Authorization: Basic bWU6cMOkOnNz\r\n" in form
    assert b"User-Agent: Mainstay\r\n" in form
    assert b"Expect" not in form
    assert put.startswith(b"PUT / ")
    assert put.endswith(b'{"a":[1]}')
    assert b"Content-Type: application/json\r\n" in put
    assert b"Authorization: Bearer t0k\r\n" in put
    assert head.startswith(b"HEAD / ")


def test_secrets_are_neither_shown_nor_dumped() -> None:
    settings = HttpSettings.model_validate(
        {"url": "http://a/?token=t0p", "bearer": "s3cret", "secret_headers": {"X": "s3cret"}}
    )
    assert "t0p" not in KINDS["http"].target(settings)
    assert "s3cret" not in settings.model_dump_json() + repr(settings)


def test_redirects_are_followed_and_counted(probe: Probe) -> None:
    with serving(answering(body=PAGE)) as last, serving(answering(302, b"", f"Location: {last.url}/end\r\n")) as first:
        outcome = probe("http", {"url": first.url, "expect": {"body_contains": "Shop"}})
        stay = probe("http", {"url": first.url, "follow_redirects": False})
        where = probe("http", {"url": first.url, "expect": {"status": 302, "location": {"contains": "/end"}}})
    assert outcome.health is Health.UP
    assert outcome.facts["redirects"] == 1
    assert outcome.facts["final_url"] == f"{last.url}/end"
    assert stay.health is Health.DOWN
    assert f"redirecting to {last.url}/end" in stay.message
    assert where.health is Health.UP


def test_a_redirect_loop_ends_at_the_limit(probe: Probe) -> None:
    with serving(answering(302, b"", "Location: /again\r\n")) as server:
        outcome = probe("http", {"url": server.url, "max_redirects": 3})
        assert server.connections == 4
    assert outcome.health is Health.DOWN
    assert "redirects more than 3 times" in outcome.message


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.google.internal/",
        "http://169.254.169.254.:80/",
        "http://169%2e254%2e169%2e254/",
    ],
)
def test_a_redirect_to_a_metadata_address_is_refused(probe: Probe, target: str) -> None:
    with serving(answering(302, b"", f"Location: {target}\r\n")) as server:
        outcome = probe("http", {"url": server.url}, timeout_s=3)
    assert outcome.health is Health.DOWN
    assert "refuse" in outcome.message or "could not be resolved" in outcome.message


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://127.0.0.1:25/x", "ftp://127.0.0.1/x", "dict://a/"])
def test_a_redirect_to_another_scheme_is_refused(probe: Probe, target: str) -> None:
    with serving(answering(302, b"secret", f"Location: {target}\r\n")) as server:
        outcome = probe("http", {"url": server.url})
    assert outcome.health is Health.DOWN
    assert "not of http or https" in outcome.message


def test_a_name_that_resolves_to_a_refused_address_is_refused(probe: Probe) -> None:
    """DNS rebinding: what counts is the address that is connected to."""
    outcome = probe("http", {"url": "http://rebind.test/"}, names={"rebind.test": ["169.254.169.254"]})
    assert outcome.health is Health.DOWN
    assert "rebind.test resolves to 169.254.169.254" in outcome.message
    assert "add 169.254.169.254 to `allow`" in outcome.message


def test_of_several_addresses_only_the_allowed_are_connected_to(probe: Probe) -> None:
    with serving(answering()) as server:
        url = f"http://both.test:{server.port}/"
        names = {"both.test": ["169.254.169.254", "127.0.0.1"]}
        outcome = probe("http", {"url": url}, names=names)
    assert outcome.health is Health.UP
    assert outcome.facts["ip"] == "127.0.0.1"


def test_the_next_address_is_tried_when_the_first_refuses(probe: Probe) -> None:
    with serving(answering()) as server:
        url = f"http://two.test:{server.port}/"
        outcome = probe("http", {"url": url}, names={"two.test": ["127.0.0.9", "::1", "127.0.0.1"]})
    assert outcome.health is Health.UP
    assert outcome.facts["ip"] == "127.0.0.1"


def test_credentials_are_not_sent_to_another_origin(probe: Probe) -> None:
    seen: list[bytes] = []
    settings = {
        "username": "me",
        "password": "pass",
        "headers": {"X-Api-Key": "k", "Accept": "text/html", "Cookie": "c=1"},
        "secret_headers": {"X-Secret": "s"},
    }
    with serving(answering(seen=seen)) as other, serving(answering(302, b"", f"Location: {other.url}/\r\n")) as first:
        assert probe("http", {"url": first.url, **settings}).health is Health.UP
    assert b"Accept: text/html" in seen[0]
    for word in (b"Authorization", b"X-Api-Key", b"X-Secret", b"Cookie", b"bWU6cGFzcw"):
        assert word not in seen[0]


def test_credentials_stay_with_a_redirect_of_the_same_origin(probe: Probe) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(answer(302, b"", "Location: /in\r\nSet-Cookie: s=1\r\n") if len(seen) == 1 else answer())

    with serving(script) as server:
        assert probe("http", {"url": server.url, "bearer": "t0k"}).health is Health.UP
    assert b"Bearer t0k" in seen[1]
    assert b"Cookie: s=1" in seen[1]


def test_cookies_do_not_survive_the_probe(probe: Probe) -> None:
    seen: list[bytes] = []
    with serving(answering(headers="Set-Cookie: s=1\r\n", seen=seen)) as server:
        probe("http", {"url": server.url})
        probe("http", {"url": server.url})
    assert b"Cookie" not in seen[1]


def test_a_body_is_not_sent_on_to_another_host(probe: Probe) -> None:
    seen: list[bytes] = []
    with serving(answering(seen=seen)) as other, serving(answering(307, b"", f"Location: {other.url}/\r\n")) as first:
        outcome = probe("http", {"url": first.url, "method": "POST", "form": {"password": "x"}})
    assert seen == []
    assert outcome.health is Health.DOWN
    assert "where it is not sent" in outcome.message


# --- hostile and broken peers -----------------------------------------------------------------------------------


def test_nobody_listening_is_down_with_the_reason(probe: Probe) -> None:
    outcome = probe("http", {"url": f"http://127.0.0.1:{unused_port()}/"})
    assert outcome.health is Health.DOWN
    assert "the connection was refused" in outcome.message


def test_conditions_can_ask_for_no_connection(probe: Probe) -> None:
    url = f"http://127.0.0.1:{unused_port()}/"
    assert probe("http", {"url": url, "conditions": ["[CONNECTED] == false"]}).health is Health.UP


@pytest.mark.timing
def test_a_slow_drip_ends_at_the_timeout(probe: Probe) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    with serving(script) as server:
        began = time.perf_counter()
        outcome = probe("http", {"url": server.url}, timeout_s=0.4)
        assert time.perf_counter() - began < 1.0
    assert outcome.health is Health.DOWN
    assert "the answer began, but did not end" in outcome.message


@pytest.mark.timing
def test_silence_after_the_request_ends_at_the_timeout(probe: Probe) -> None:
    server = Server(lambda connection: server.wait_ended(5))
    outcome = probe("http", {"url": server.url}, timeout_s=0.3)
    server.close()
    assert "connected, but no answer came" in outcome.message
    assert 0.25 < outcome.duration_s < 0.6


def test_a_hanging_tls_handshake_ends_at_the_timeout(probe: Probe) -> None:
    server = Server(lambda connection: server.wait_ended(5))
    outcome = probe("http", {"url": f"https://127.0.0.1:{server.port}/"}, timeout_s=0.3)
    server.close()
    assert "the TLS handshake did not finish" in outcome.message


def test_a_host_that_swallows_packets_ends_at_the_timeout(probe: Probe) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(4):  # fill the backlog: further SYNs are dropped
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    time.sleep(0.05)
    outcome = probe("http", {"url": f"http://127.0.0.1:{listener.getsockname()[1]}/"}, timeout_s=0.4)
    for filler in [*fillers, listener]:
        filler.close()
    assert outcome.health is Health.DOWN
    assert "did not finish within 400 ms" in outcome.message


def test_a_reset_in_the_body_is_down(probe: Probe) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        time.sleep(0.05)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(script) as server:
        outcome = probe("http", {"url": server.url})
    assert outcome.health is Health.DOWN
    assert "the connection broke after 4 bytes" in outcome.message


def test_a_body_that_ends_too_early_is_down(probe: Probe) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    with serving(script) as server:
        assert probe("http", {"url": server.url}).health is Health.DOWN


def test_an_empty_answer_is_down(probe: Probe) -> None:
    with serving(read_request) as server:
        outcome = probe("http", {"url": server.url})
    assert "closed the connection without an answer" in outcome.message


@pytest.mark.parametrize("garbage", [b"\x00\xff\xfe" * 500, b"SSH-2.0-OpenSSH\r\n", b"HTTP/9.9 zzz\r\n\r\n"])
def test_garbage_is_down(probe: Probe, garbage: bytes) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(garbage)

    with serving(script) as server:
        outcome = probe("http", {"url": server.url})
    assert outcome.health is Health.DOWN
    assert outcome.message.isprintable()


def test_a_giant_header_is_refused_without_being_stored(probe: Probe) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(200):
            connection.sendall(b"X-%d: " % number + b"a" * 50_000 + b"\r\n")

    with serving(script) as server:
        outcome = probe("http", {"url": server.url, "expect": {"headers": {"X-1": {"exists": True}}}})
    assert outcome.health is Health.DOWN


def test_a_large_body_is_read_up_to_the_cap_only(probe: Probe) -> None:
    sent = [0]

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x" * 100_000)
            sent[0] += 100_000

    with serving(script) as server:
        outcome = probe(
            "http", {"url": server.url, "max_body_bytes": 50_000, "expect": {"body_contains": "x" * 50_000}}
        )
    assert outcome.health is Health.UP
    assert outcome.facts["body_bytes"] == 50_000
    assert outcome.facts["body_truncated"] is True
    assert sent[0] < 10_000_000


def test_a_compressed_bomb_counts_unpacked(probe: Probe) -> None:
    bomb = gzip.compress(b"0" * 20_000_000)
    with serving(answering(body=bomb, headers="Content-Encoding: gzip\r\n")) as server:
        outcome = probe("http", {"url": server.url, "compressed": True, "expect": {"body_contains": "000"}})
    assert outcome.facts["body_bytes"] == 1 << 20
    assert outcome.facts["body_truncated"] is True


def test_a_body_that_is_not_utf8_and_says_nothing_of_it_is_read_as_browsers_do(probe: Probe) -> None:
    with serving(answering(body=b"\xff caf\xe9 ok")) as server:
        outcome = probe(
            "http", {"url": server.url, "expect": {"body_contains": "ok"}, "conditions": ["[BODY] == pat(*ok*)"]}
        )
    assert outcome.health is Health.UP


def test_deeply_nested_json_is_no_json_and_no_crash(probe: Probe) -> None:
    with serving(answering(body=b"[" * 200_000 + b"]" * 200_000)) as server:
        outcome = probe("http", {"url": server.url, "expect": {"json": {"a": 1}}})
    assert outcome.health is Health.DOWN
    assert "is not JSON" in outcome.message


@pytest.mark.timing
def test_a_regex_bomb_ends_quickly(probe: Probe) -> None:
    with serving(answering(body=b"a" * 1_000_000 + b"!")) as server:
        began = time.perf_counter()
        outcome = probe("http", {"url": server.url, "expect": {"body_matches": "^(a+)+$"}})
        assert time.perf_counter() - began < 2
    assert outcome.health is Health.DOWN


def test_letters_beyond_ascii_are_sent_as_utf8(probe: Probe) -> None:
    seen: list[bytes] = []
    with serving(answering(seen=seen)) as server:
        settings = {
            "url": f"http://bücher.test:{server.port}/größe?q=ä#ö",
            "headers": {"X-Name": "Jürgen"},
            "user_agent": "Wächter",
        }
        outcome = probe("http", settings, names={"xn--bcher-kva.test": ["127.0.0.1"]})
    assert outcome.health is Health.UP, outcome.message
    assert b"GET /gr%C3%B6%C3%9Fe?q=%C3%A4 HTTP/1.1" in seen[0]
    assert b"Host: xn--bcher-kva.test:" in seen[0]
    assert "X-Name: Jürgen".encode() in seen[0]
    assert "User-Agent: Wächter".encode() in seen[0]


@pytest.mark.parametrize("letter", ["ä".encode(), "ä".encode("latin-1"), b"\xff\xfe", b"a b", b"%zz"])
def test_a_redirect_with_strange_bytes_is_harmless(probe: Probe, letter: bytes) -> None:
    def script(connection: socket.socket) -> None:
        request = read_request(connection)
        if request.startswith(b"GET / "):
            connection.sendall(b"HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: /x" + letter + b"\r\n\r\n")
        else:
            connection.sendall(answer())

    with serving(script) as server:
        outcome = probe("http", {"url": server.url + "/"})
    assert outcome.health is Health.UP or "not well formed" in outcome.message or "white space" in outcome.message


def test_a_certificate_with_letters_beyond_ascii(probe: Probe, tmp_path: Path) -> None:
    authority = new_authority("Zertifizierungsstelle Köln")
    with serving(answering(), authority.server(tmp_path)) as server:
        outcome = probe("http", {"url": server.url, "ca": authority.pem})
        unknown = probe("http", {"url": server.url})
    assert outcome.health is Health.UP, outcome.message
    assert outcome.facts["certificate_days_left"] == pytest.approx(90, abs=0.1)
    assert "the certificate is not accepted" in unknown.message


# --- proxies and address families -------------------------------------------------------------------------------


def test_a_proxy_is_used_with_its_credentials(probe: Probe) -> None:
    seen: list[bytes] = []
    with serving(answering(body=b"by proxy", seen=seen)) as proxy:
        settings = {
            "url": "http://shop.test/x",
            "proxy": f"http://localhost:{proxy.port}",
            "proxy_username": "u",
            "proxy_password": "p",
            "expect": {"body_contains": "by proxy"},
        }
        outcome = probe("http", settings)
    assert outcome.health is Health.UP, outcome.message
    assert seen[0].startswith(b"GET http://shop.test/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dTpw\r\n" in seen[0]


def test_a_refused_target_is_refused_through_a_proxy_too(probe: Probe) -> None:
    with serving(answering()) as proxy:
        outcome = probe("http", {"url": "http://169.254.169.254/", "proxy": proxy.url})
        assert proxy.connections == 0
    assert "refuses" in outcome.message


def test_the_environment_does_not_set_a_proxy(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
    with serving(answering()) as server:
        assert probe("http", {"url": server.url}).health is Health.UP


def test_ip_version_chooses_the_family(probe: Probe) -> None:
    with serving(answering(), host="::1") as server:
        assert probe("http", {"url": server.url}).facts["ip"] == "::1"
        four = probe("http", {"url": server.url, "ip_version": 4})
        by_name = probe("http", {"url": f"http://localhost:{server.port}/", "ip_version": 4})
    assert four.health is Health.DOWN
    assert by_name.health is Health.DOWN


def test_public_only_refuses_loopback(probe: Probe) -> None:
    with serving(answering()) as server:
        outcome = probe("http", {"url": server.url}, policy=AddressPolicy("public-only"))
        assert server.connections == 0
    assert "`mode: public-only` refuses addresses that are not public" in outcome.message
