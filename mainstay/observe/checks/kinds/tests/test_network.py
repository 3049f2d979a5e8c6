"""tcp, tls, dns and icmp against real servers."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mainstay.net.policy import AddressPolicy
from mainstay.observe.checks.kinds import KINDS, icmp
from mainstay.observe.checks.kinds.dns import comparable
from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.kinds.tests.servers import Authority, serving, unused_port
from mainstay.observe.checks.probe.outcome import Health, ProbeError


def echo(connection: socket.socket) -> None:
    while data := connection.recv(4096):
        connection.sendall(data)


# --- tcp --------------------------------------------------------------------------------------------------------


def test_an_open_port_is_up_and_a_closed_one_down(probe: Probe) -> None:
    with serving(echo) as server:
        up = probe("tcp", {"host": "localhost", "port": server.port})
    down = probe("tcp", {"host": "127.0.0.1", "port": unused_port()})
    assert up.health is Health.UP
    assert up.phases is not None
    assert up.phases.connect_s > 0
    assert up.facts["ip"] == "127.0.0.1"
    assert down.health is Health.DOWN
    assert "the connection was refused" in down.message


def test_a_port_that_must_be_closed(probe: Probe) -> None:
    condition = ["[CONNECTED] == false"]
    closed = probe("tcp", {"host": "127.0.0.1", "port": unused_port(), "conditions": condition})
    with serving(echo) as server:
        opened = probe("tcp", {"host": "127.0.0.1", "port": server.port, "conditions": condition})
    assert closed.health is Health.UP
    assert opened.health is Health.DOWN
    assert "[CONNECTED] (true) == false" in opened.message


def test_what_is_sent_and_expected(probe: Probe) -> None:
    with serving(echo) as server:
        here = {"host": "127.0.0.1", "port": server.port, "send": "PING\r\n"}
        up = probe("tcp", {**here, "expect": {"contains": "PING", "matches": "^P[A-Z]+"}})
        asked = probe("tcp", {**here, "conditions": ["[BODY] == PING"]})
        wrong = probe("tcp", {**here, "expect": {"contains": "PONG"}}, timeout_s=0.3)
    assert up.health is Health.UP
    assert asked.health is Health.UP
    assert wrong.health is Health.DOWN
    assert "waiting for the expected answer" in wrong.message


def test_a_peer_that_says_something_else_and_hangs_up(probe: Probe) -> None:
    with serving(lambda connection: connection.sendall(b"\xffgo away\r\n")) as server:
        outcome = probe("tcp", {"host": "127.0.0.1", "port": server.port, "expect": {"contains": "220"}})
    assert 'does not hold "220"' in outcome.message


@pytest.mark.timing
def test_a_peer_that_floods_is_cut_off(probe: Probe) -> None:
    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    with serving(flood) as server:
        outcome = probe("tcp", {"host": "127.0.0.1", "port": server.port, "expect": {"contains": "never"}})
    assert outcome.health is Health.DOWN
    assert outcome.duration_s < 2


def test_tcp_with_tls(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    with serving(echo, authority.server(tmp_path)) as server:
        here = {"host": "localhost", "port": server.port, "tls": True}
        up = probe("tcp", {**here, "ca": authority.pem, "send": "x", "expect": {"contains": "x"}})
        strange = probe("tcp", here)
    assert up.health is Health.UP
    assert "the certificate is not accepted" in strange.message


@pytest.mark.parametrize("kind", ["tcp", "tls", "redis", "smtp", "postgresql", "icmp", "dns", "websocket", "mysql"])
def test_every_kind_obeys_the_policy(probe: Probe, kind: str) -> None:
    settings: dict[str, dict[str, object]] = {
        "dns": {"name": "a.test", "server": "rebind.test"},
        "websocket": {"url": "ws://rebind.test/"},
        "tcp": {"host": "rebind.test", "port": 80},
        "mysql": {"host": "rebind.test", "username": "u"},
    }
    names = {"rebind.test": ["169.254.169.254"]}
    outcome = probe(kind, settings.get(kind, {"host": "rebind.test"}), names=names, timeout_s=1)
    assert outcome.health is Health.DOWN
    assert "169.254.169.254" in outcome.message
    assert "to `allow` to allow it" in outcome.message


def test_the_next_address_is_tried(probe: Probe) -> None:
    with serving(echo) as server:
        names = {"two.test": ["127.0.0.7", "127.0.0.1"]}
        outcome = probe("tcp", {"host": "two.test", "port": server.port}, names=names)
    assert outcome.facts["ip"] == "127.0.0.1"


# --- tls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "settings", "health", "words"),
    [
        ({"days": 90}, {}, Health.UP, ""),
        ({"days": 10}, {}, Health.DEGRADED, "ends in 10.0 days"),
        ({"days": 2}, {}, Health.DOWN, "at least 3 are required"),
        ({"days": -2}, {}, Health.DOWN, "expired"),
        ({"days": -2}, {"verify": False}, Health.DOWN, "ended 2.0 days ago"),
        ({"names": ("other.test",)}, {}, Health.DOWN, "mismatch"),
        ({"names": ("other.test",)}, {"server_name": "other.test"}, Health.UP, ""),
        ({"names": ("other.test",)}, {"verify_name": False}, Health.UP, ""),
        ({"days": 90}, {"ca": None}, Health.DOWN, "issued by CN=Test authority"),
        ({"days": 90}, {"ca": None, "verify": False}, Health.UP, ""),
        ({"days": 90}, {"conditions": ["[CERTIFICATE_EXPIRATION] > 100d"]}, Health.DOWN, "> 100d"),
        ({"days": 90}, {"ca": "nonexistent.pem"}, Health.DOWN, "cannot be read as a PEM file"),
        ({"days": 90}, {"ca": "-----BEGIN CERTIFICATE-----\nx"}, Health.DOWN, ""),
    ],
)
def test_certificates(
    probe: Probe,
    authority: Authority,
    tmp_path: Path,
    options: dict[str, object],
    settings: dict[str, object],
    health: Health,
    words: str,
) -> None:
    with serving(echo, authority.server(tmp_path, **options)) as server:
        outcome = probe("tls", {"host": "localhost", "port": server.port, "ca": authority.pem, **settings})
    assert outcome.health is health, outcome.message
    assert words in outcome.message
    if health is not Health.DOWN:
        assert outcome.facts["certificate_issuer"] == "CN=Test authority"
        assert str(outcome.facts["tls_version"]).startswith("TLSv1.")


# --- dns --------------------------------------------------------------------------------------------------------

ZONE = {
    ("shop.test.", "A"): ["10.0.0.2", "10.0.0.1"],
    ("shop.test.", "MX"): ["10 Mail.Shop.test."],
    ("shop.test.", "TXT"): ['"v=spf1 " "-all"'],
    ("www.shop.test.", "CNAME"): ["shop.test."],
    ("big.test.", "TXT"): [f'"{number:03d}{"x" * 200}"' for number in range(20)],
}


def _same_port() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one port; a port free for one may be taken for the other, so several are tried."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            continue
        return udp, tcp


class NameServer:
    """A name server on UDP and TCP; `lose` drops that many questions first."""

    def __init__(self) -> None:
        self.udp, self.tcp = _same_port()
        self.port: int = self.udp.getsockname()[1]
        self.lose = 0
        self.with_edns: int | None = 0  # the response code to questions with EDNS, None for silence
        self.garble: Callable[[bytes], bytes] = bytes
        self.before: list[Callable[[bytes], bytes]] = []  # what else is sent first, made of the right answer
        self.elsewhere: socket.socket | None = None  # where from
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def close(self) -> None:
        for listener in (self.udp, self.tcp):
            listener.close()

    def _serve_udp(self) -> None:
        while True:
            try:
                question, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if self.lose:
                self.lose -= 1
                continue
            reply = self._answer(question, limit=1232)
            if reply is None:
                continue
            for forge in self.before:
                (self.elsewhere or self.udp).sendto(forge(reply), peer)
            self.udp.sendto(self.garble(reply), peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            length = int.from_bytes(connection.recv(2))
            reply = self._answer(connection.recv(length), limit=65535)
            if reply is not None:
                connection.sendall(len(reply).to_bytes(2) + reply)
            connection.close()

    def _answer(self, wire: bytes, limit: int) -> bytes | None:
        question = dns.message.from_wire(wire)
        if question.edns >= 0 and self.with_edns != dns.rcode.NOERROR:
            return None if self.with_edns is None else _without_edns(question, self.with_edns)
        reply = dns.message.make_response(question)
        asked = question.question[0]
        name, record = str(asked.name), dns.rdatatype.to_text(asked.rdtype)
        if (name, "CNAME") in ZONE and record != "CNAME":
            alias = ZONE[name, "CNAME"][0]
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", alias))
            name = alias
        if (name, record) in ZONE:
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", record, *ZONE[name, record]))
        elif not any(known == name for known, _ in ZONE):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        try:
            return reply.to_wire(max_size=limit)
        except dns.exception.TooBig:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            return reply.to_wire()


def _without_edns(question: dns.message.Message, rcode: int) -> bytes:
    """What a server answers that does not know EDNS: often nothing but the head."""
    if rcode == dns.rcode.BADVERS:
        reply = dns.message.make_response(question)
        reply.set_rcode(dns.rcode.Rcode(rcode))
        return reply.to_wire()
    return question.id.to_bytes(2) + bytes([0x81, 0x80 | rcode]) + bytes(8)


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("settings", "health", "words"),
    [
        ({"name": "shop.test"}, Health.UP, ""),
        ({"name": "shop.test", "expect": {"values": ["10.0.0.1", "10.0.0.2"]}}, Health.UP, ""),
        (
            {"name": "shop.test", "expect": {"values": ["10.0.0.1"]}},
            Health.DOWN,
            "the answer is 10.0.0.1, 10.0.0.2; expected 10.0.0.1",
        ),
        ({"name": "shop.test", "expect": {"contains": ["10.0.0.2"]}}, Health.UP, ""),
        ({"name": "shop.test", "expect": {"contains": ["10.9.9.9"]}}, Health.DOWN, "it lacks 10.9.9.9"),
        ({"name": "www.shop.test", "expect": {"contains": ["10.0.0.1"]}}, Health.UP, ""),
        ({"name": "shop.test", "record": "MX", "expect": {"values": ["10 mail.shop.test"]}}, Health.UP, ""),
        ({"name": "shop.test", "record": "TXT", "expect": {"values": ["v=spf1 -all"]}}, Health.UP, ""),
        ({"name": "shop.test", "record": "AAAA"}, Health.DOWN, "has no AAAA record"),
        ({"name": "shop.test", "record": "AAAA", "expect": {"values": []}}, Health.UP, ""),
        ({"name": "none.test"}, Health.DOWN, "answered NXDOMAIN, expected NOERROR"),
        ({"name": "none.test", "expect": {"rcode": "NXDOMAIN"}}, Health.UP, ""),
        ({"name": "none.test", "conditions": ["[DNS_RCODE] == NXDOMAIN"]}, Health.UP, ""),
        ({"name": "shop.test", "conditions": ["[BODY] == pat(*10.0.0.2*)"]}, Health.UP, ""),
        (
            {"name": "shop.test", "conditions": ["[DNS_RCODE] == SERVFAIL"]},
            Health.DOWN,
            "[DNS_RCODE] (NOERROR) == SERVFAIL",
        ),
        ({"name": "shop.test", "transport": "tcp"}, Health.UP, ""),
        ({"name": "big.test", "record": "TXT"}, Health.UP, ""),
    ],
)
def test_records(
    probe: Probe, name_server: NameServer, settings: dict[str, object], health: Health, words: str
) -> None:
    outcome = probe("dns", {"server": "127.0.0.1", "port": name_server.port, **settings})
    assert outcome.health is health, outcome.message
    assert words in outcome.message


def test_a_lost_packet_is_asked_again(probe: Probe, name_server: NameServer) -> None:
    name_server.lose = 1
    outcome = probe("dns", {"name": "shop.test", "server": "127.0.0.1", "port": name_server.port})
    assert outcome.health is Health.UP
    assert outcome.duration_s >= 1


@pytest.mark.parametrize("garble", [lambda reply: reply[:20], lambda reply: b"", lambda reply: b"\0" * 40])
def test_a_garbled_answer_is_down(probe: Probe, name_server: NameServer, garble: Callable[[bytes], bytes]) -> None:
    name_server.garble = garble
    settings = {"name": "shop.test", "server": "127.0.0.1", "port": name_server.port}
    assert probe("dns", settings, timeout_s=0.6).health is Health.DOWN


def _lie(reply: bytes) -> bytes:
    return reply.replace(bytes([10, 0, 0, 1]), bytes([6, 6, 6, 6])).replace(bytes([10, 0, 0, 2]), bytes([6, 6, 6, 6]))


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "another id": lambda reply: bytes([reply[0] ^ 1]) + _lie(reply)[1:],
    "another question": lambda reply: _lie(reply).replace(b"shop", b"evil"),
    "a question": lambda reply: reply[:2] + bytes([reply[2] & 0x7F]) + _lie(reply)[3:],
    "nothing": lambda reply: b"",
    "nonsense": lambda reply: b"\xff" * 40,
    "cut off, of another id": lambda reply: bytes([reply[0] ^ 1, reply[1], reply[2] | 2]) + reply[3:],
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_is_no_answer_to_the_question_is_waited_past(
    probe: Probe, name_server: NameServer, forge: Callable[[bytes], bytes]
) -> None:
    name_server.before = [forge] * 3
    expect = {"values": ["10.0.0.1", "10.0.0.2"]}
    outcome = probe("dns", {"name": "shop.test", "server": "127.0.0.1", "port": name_server.port, "expect": expect})
    assert outcome.health is Health.UP, outcome.message


@pytest.mark.parametrize("port", ["same", "another"])
def test_an_answer_from_elsewhere_is_waited_past(probe: Probe, name_server: NameServer, port: str) -> None:
    expect = {"values": ["10.0.0.1", "10.0.0.2"]}
    settings = {"name": "shop.test", "server": "127.0.0.1", "port": name_server.port, "expect": expect}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.2", name_server.port) if port == "same" else ("127.0.0.1", 0))
        name_server.elsewhere, name_server.before = elsewhere, [_lie]
        outcome = probe("dns", settings)
    assert outcome.health is Health.UP, outcome.message


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test", "a." * 200])
def test_what_is_no_domain_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        KINDS["dns"].Settings.model_validate({"name": name})


@pytest.mark.fault("C8")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS, None])
def test_a_server_without_edns_is_asked_without_it(
    probe: Probe, name_server: NameServer, rcode: int | None, transport: str
) -> None:
    name_server.with_edns = rcode
    settings = {"name": "shop.test", "server": "127.0.0.1", "port": name_server.port, "transport": transport}
    outcome = probe("dns", {**settings, "expect": {"values": ["10.0.0.1", "10.0.0.2"]}})
    assert outcome.health is Health.UP, outcome.message
    failing = probe("dns", {**settings, "name": "none.test", "expect": {"rcode": "NXDOMAIN"}})
    assert failing.health is Health.UP, failing.message


@pytest.mark.fault("C9")
@pytest.mark.parametrize(
    ("record", "wanted", "came", "same"),
    [
        ("AAAA", "2001:DB8::1", "2001:db8::1", True),
        ("AAAA", "2001:0db8:0:0:0:0:0:1", "2001:db8::1", True),
        ("AAAA", "::ffff:192.0.2.7", "::ffff:c000:207", True),
        ("AAAA", "2001:db8::2", "2001:db8::1", False),
        ("A", " 192.0.2.7", "192.0.2.7", True),
        ("MX", "10 Mail.Example", "10 mail.example.", True),
        ("MX", "10  mail.example.", "10 Mail.Example", True),
        ("MX", "20 mail.example", "10 mail.example.", False),
        ("NS", "NS1.Example.COM", "ns1.example.com.", True),
        ("CNAME", "Bücher.example", "xn--bcher-kva.example.", True),
        ("SRV", "0 5 443 WWW.example.", "0 5 443 www.example", True),
        ("MX", "0 .", "0 .", True),
        ("TXT", "v=DKIM1; p=AbC", "v=dkim1; p=abc", False),
        ("TXT", "two  blanks", "two blanks", False),
        ("TXT", "ends with a dot.", "ends with a dot", False),
        ("CAA", '0 issue "LetsEncrypt.org"', '0 issue "letsencrypt.org"', False),
        ("DS", "60485 5 1 2BB183AF 5F22588179A53B0A", "60485 5 1 2bb183af5f22588179a53b0a", True),
        ("TLSA", "3 1 1 AB CD", "3 1 1 abcd", True),
    ],
)
def test_values_are_compared_as_what_they_are(record: str, wanted: str, came: str, same: bool) -> None:
    assert (comparable(record, wanted) == comparable(record, came)) is same


# --- icmp -------------------------------------------------------------------------------------------------------


def _may_ping() -> bool:
    try:
        sock, _ = icmp._ping_socket(v6=False)
    except ProbeError:
        return False
    sock.close()
    return True


needs_ping = pytest.mark.skipif(not _may_ping(), reason="neither ping sockets nor raw sockets are allowed here")


@needs_ping
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_host_that_answers_is_up(probe: Probe, host: str) -> None:
    outcome = probe("icmp", {"host": host, "interval": "10ms"})
    assert outcome.health is Health.UP, outcome.message
    assert outcome.facts["received"] == 3
    assert outcome.facts["loss_percent"] == 0
    assert 0 < float(outcome.facts["rtt_avg_ms"]) < 500


@needs_ping
def test_the_latency_of_a_ping_is_its_round_trip(probe: Probe) -> None:
    settings = {"host": "127.0.0.1", "count": 2, "interval": "300ms", "expect": {"max_latency": "200ms"}}
    outcome = probe("icmp", settings)
    assert outcome.health is Health.UP, outcome.message
    assert outcome.duration_s > 0.3


@needs_ping
def test_parallel_pings_do_not_take_each_others_replies() -> None:
    async def one() -> int:
        sock, raw = icmp._ping_socket(v6=False)
        settings = icmp.IcmpSettings(host="127.0.0.1", count=3, interval=0.02, wait=1.0)
        try:
            return len(await icmp._ping(sock, "127.0.0.1", settings, raw=raw, until=float("inf")))
        finally:
            sock.close()

    async def many() -> list[int]:
        return list(await asyncio.gather(*(one() for _ in range(20))))

    assert asyncio.run(many()) == [3] * 20


@needs_ping
def test_no_answer_is_down(probe: Probe) -> None:
    """240.0.0.1 is reserved: nothing answers there, and the kernel may refuse to send at all."""
    settings = {"host": "240.0.0.1", "count": 1, "wait": "100ms"}
    outcome = probe("icmp", settings, policy=AddressPolicy(allow=["240.0.0.0/4"]))
    assert outcome.health is Health.DOWN


def test_without_permission_the_message_tells_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refused)
    with pytest.raises(ProbeError, match=r"ping_group_range.*CAP_NET_RAW"):
        icmp._ping_socket(v6=False)


def test_the_checksum_is_that_of_rfc_1071() -> None:
    packet = icmp._request(0x1234, 1, bytes(16), v6=False)
    total = sum(int.from_bytes(packet[at : at + 2]) for at in range(0, len(packet), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
