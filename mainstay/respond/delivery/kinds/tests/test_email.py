import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from email.headerregistry import Address
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounds
from pydantic import ValidationError

from mainstay.net.resolver import Resolver
from mainstay.respond.delivery.kinds.base import Receipt
from mainstay.respond.delivery.kinds.email import Email, EmailSettings, letter, server_of
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll, Refuse
from mainstay.respond.delivery.kinds.tests.mail_server import MailServer, Script, up_to_the_full_stop
from mainstay.respond.delivery.kinds.tests.receiver import closed_port
from mainstay.respond.delivery.kinds.tests.samples import (
    HOSTILE_TEXTS,
    MESSAGES,
    PART,
    PLAIN,
    changed,
    everywhere,
    follow_up,
)
from mainstay.respond.delivery.message import Event, Message

PASSWORD = "correct horse battery"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


def settings_for(port: int, **values: Any) -> EmailSettings:
    given = {"url": f"smtp://127.0.0.1:{port}", "from": "Mainstay <desk@example.org>", "to": ["ann@example.org"]}
    return EmailSettings.model_validate(given | values)


def send(
    settings: EmailSettings,
    policy: AllowAll | Refuse,
    message: Message = PLAIN,
    *,
    key: str = "d-1",
    state: dict[str, str] | None = None,
    timeout_s: float = 5,
) -> Receipt:
    return Email().send(settings, message, idempotency_key=key, state=state or {}, timeout_s=timeout_s, policy=policy)


def parts(mail: EmailMessage) -> tuple[str, str]:
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def test_a_letter_says_what_is_wrong_in_text_and_html(server: MailServer, policy: AllowAll) -> None:
    receipt = send(settings_for(server.port, to=["ann@example.org", "bob@example.org"]), policy)
    assert receipt == Receipt("delivered", "SMTP 250. The server said: taken")
    mail = server.mailbox.letter()
    assert server.mailbox.recipients() == [["ann@example.org", "bob@example.org"]]
    assert server.mailbox.envelopes[0].mail_from == "desk@example.org"
    assert mail["From"] == "Mainstay <desk@example.org>"
    assert mail["To"] == "ann@example.org, bob@example.org"
    assert mail["Subject"] == "Critical: shop / storefront is down"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert mail.get_content_type() == "multipart/alternative"
    text, html = parts(mail)
    for content in (text, html):
        for expected in (PLAIN.title, PLAIN.text, PART.url, "storefront", "Why you get this: route severity"):
            assert expected in content
    assert str(PART.acknowledge_url) in text
    assert "src=" not in html
    assert "prefers-color-scheme: dark" in html


def test_all_letters_of_an_alert_are_one_conversation_and_each_has_its_own_id(
    server: MailServer, policy: AllowAll
) -> None:
    ids, threads = set(), set()
    for key, message in (
        ("d-1", PLAIN),
        ("d-2", follow_up(Event.ACKNOWLEDGE, "Ann")),
        ("d-3", follow_up(Event.RESOLVE)),
    ):
        send(settings_for(server.port), policy, message, key=key)
        mail = server.mailbox.letter()
        ids.add(mail["Message-ID"])
        threads |= {mail["References"], mail["In-Reply-To"]}
    assert (len(ids), len(threads)) == (3, 1)
    send(settings_for(server.port), policy, key="d-1")
    assert server.mailbox.letter()["Message-ID"] in ids, "sent again, it is the same letter"
    send(settings_for(server.port), policy, changed(PLAIN, dedup_key="alert:18"), key="d-4")
    assert server.mailbox.letter()["References"] not in threads


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("event", [Event.TRIGGER, Event.RESOLVE])
def test_hostile_text_adds_no_header_no_recipient_and_no_markup(
    text: str, event: Event, server: MailServer, policy: AllowAll
) -> None:
    assert send(settings_for(server.port), policy, everywhere(text, event=event)).outcome == "delivered"
    content = server.mailbox.envelopes[-1].content
    assert isinstance(content, bytes)
    content.decode("ascii")
    mail = server.mailbox.letter()
    assert server.mailbox.recipients() == [["ann@example.org"]]
    assert "Bcc" not in mail
    assert len(mail.get_all("Subject", [])) == 1
    headers = content.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert sum(not line.startswith(b" ") for line in headers) < 30
    _, html = parts(mail)
    _OnlyOurMarkup().feed(html)


class _OnlyOurMarkup(HTMLParser):
    OURS = {
        *("html", "head", "meta", "title", "style", "body", "div"),
        *("p", "h1", "a", "br", "table", "tr", "th", "td"),
    }

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.OURS
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "href":
                assert value in {PART.url, PART.acknowledge_url}


@bounds(deadline=None)
@given(MESSAGES)
def test_any_message_makes_a_letter(message: Message) -> None:
    written = letter.write(
        message,
        sender=Address("Mainstay", addr_spec="desk@example.org"),
        to=["ann@example.org"],
        idempotency_key="d-1",
        at=message.at,
    )
    raw = written.as_bytes()
    raw.decode("ascii")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998, "RFC 5322 §2.1.1"
    assert b"\n" not in raw.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("450 greylisted, try later", "retry"), ("550 no such user", "refused")],
)
def test_who_was_accepted_is_not_written_to_again(
    answer: str, outcome: str, server: MailServer, policy: AllowAll
) -> None:
    server.mailbox.recipient_answers = {"bob@example.org": answer}
    given = settings_for(server.port, to=["ann@example.org", "bob@example.org"])
    receipt = send(given, policy)
    assert receipt.outcome == outcome
    assert "bob@example.org" in receipt.answer
    assert answer in receipt.answer
    assert server.mailbox.recipients() == [["ann@example.org"]]
    server.mailbox.recipient_answers = {}
    again = send(given, policy, state=dict(receipt.state))
    assert (again.outcome, again.state) == ("delivered", {})
    assert server.mailbox.recipients() == [["ann@example.org"], ["bob@example.org"]]
    send(given, policy, key="d-2", state=dict(receipt.state))
    assert server.mailbox.recipients()[-1] == ["ann@example.org", "bob@example.org"], "another message is for all"


@pytest.mark.parametrize(("answer", "outcome"), [("451 later", "retry"), ("550 never", "refused")])
def test_when_nobody_is_accepted_nothing_is_sent(
    answer: str, outcome: str, server: MailServer, policy: AllowAll
) -> None:
    server.mailbox.recipient_answers = {"ann@example.org": answer}
    receipt = send(settings_for(server.port), policy)
    assert (receipt.outcome, receipt.state) == (outcome, {})
    assert server.mailbox.envelopes == []


@pytest.mark.parametrize(
    ("answer", "outcome"), [("452 disk full", "retry"), ("554 spam", "refused"), ("421 shutting down", "retry")]
)
def test_the_answer_to_the_letter_decides(answer: str, outcome: str, server: MailServer, policy: AllowAll) -> None:
    server.mailbox.data_answer = answer
    receipt = send(settings_for(server.port), policy)
    assert receipt.outcome == outcome
    assert answer in receipt.answer


def test_starttls_and_login(server_tls: ssl.SSLContext, certificate: Path, policy: AllowAll) -> None:
    with MailServer(server_tls, login=("desk", PASSWORD)) as server:
        tls = {"starttls": "required", "ca_file": str(certificate)}
        login = {"username": "desk", "password": PASSWORD}
        assert send(settings_for(server.port, **tls, **login), policy).outcome == "delivered"
        in_url = f"smtp://desk:correct%20horse%20battery@127.0.0.1:{server.port}"
        assert send(settings_for(server.port, **tls, url=in_url), policy).outcome == "delivered"
        wrong = send(settings_for(server.port, **tls, username="desk", password="wrong secret"), policy)
        assert wrong.outcome == "refused"
        assert "check username and password" in wrong.answer
        assert "wrong secret" not in wrong.answer
        anonymous = send(settings_for(server.port, **tls), policy)
        assert anonymous.outcome == "refused"
        assert "set username and password" in anonymous.answer
        untrusted = send(settings_for(server.port, starttls="required", **login), policy)
        assert untrusted.outcome == "refused"
        assert "not trusted" in untrusted.answer
        assert len(server.mailbox.envelopes) == 2


def test_tls_from_the_start(server_tls: ssl.SSLContext, certificate: Path, policy: AllowAll) -> None:
    with MailServer(server_tls, tls_from_start=True) as server:
        url = f"smtps://127.0.0.1:{server.port}"
        assert send(settings_for(0, url=url, ca_file=str(certificate)), policy).outcome == "delivered"
        other_name = url.replace("127.0.0.1", "localhost")
        assert send(settings_for(0, url=other_name, ca_file=str(certificate)), policy).outcome == "refused"


def test_an_authority_that_cannot_be_read_is_said_and_nothing_is_sent(
    server_tls: ssl.SSLContext, certificate: Path, policy: AllowAll
) -> None:
    with MailServer(server_tls, tls_from_start=True) as server:
        url = f"smtps://127.0.0.1:{server.port}"
        gone = send(settings_for(0, url=url, ca_file="gone.pem"), policy)
        assert (gone.outcome, "cannot be read as a PEM file" in gone.answer) == ("refused", True)
        rubbish = certificate.with_name("rubbish.pem")
        rubbish.write_bytes(b"\xff no certificate \x00")
        assert send(settings_for(0, url=url, ca_file=str(rubbish)), policy).outcome in {"refused", "retry"}
        commented = certificate.with_name("commented.pem")
        commented.write_bytes("# Behörde\n".encode() + certificate.read_bytes())
        assert send(settings_for(0, url=url, ca_file=str(commented)), policy).outcome == "delivered"
        assert len(server.mailbox.envelopes) == 1


def test_a_server_without_starttls_gets_no_letter_when_it_is_required(server: MailServer, policy: AllowAll) -> None:
    receipt = send(settings_for(server.port, starttls="required"), policy)
    assert receipt.outcome == "refused"
    assert "offers no STARTTLS" in receipt.answer
    opportunistic = {"starttls": "opportunistic"}
    assert send(settings_for(server.port, **opportunistic), policy).outcome == "delivered"
    with_password = settings_for(server.port, username="desk", password=PASSWORD, **opportunistic)
    assert send(with_password, policy).outcome == "refused", "a password is worth more than the page's speed"


def test_smtps_at_a_plain_port_is_explained(server: MailServer, policy: AllowAll) -> None:
    receipt = send(settings_for(0, url=f"smtps://127.0.0.1:{server.port}"), policy)
    assert receipt.outcome == "refused"
    assert "no TLS at this port" in receipt.answer


def _silence(script: Script, connection: socket.socket) -> None:
    script.released.wait(30)


def _drip(script: Script, connection: socket.socket) -> None:
    connection.sendall(b"220-")
    while not script.released.wait(0.02):
        connection.sendall(b"x")


def _silence_in_tls(script: Script, connection: socket.socket) -> None:
    connection.sendall(b"220 ready\r\n")
    script.hear(connection)
    connection.sendall(b"250-hello\r\n250 STARTTLS\r\n")
    script.hear(connection)
    connection.sendall(b"220 go ahead\r\n")
    script.released.wait(30)


def _silence_after_the_full_stop(script: Script, connection: socket.socket) -> None:
    up_to_the_full_stop(script, connection)
    script.released.wait(30)


@pytest.mark.timing
@pytest.mark.parametrize(
    ("talk", "starttls", "outcome"),
    [
        (_silence, "never", "retry"),
        (_drip, "never", "retry"),
        (_silence_in_tls, "required", "retry"),
        (_silence_after_the_full_stop, "never", "unknown"),
    ],
)
def test_a_server_that_hangs_costs_no_more_than_the_timeout(
    talk: Any, starttls: str, outcome: str, policy: AllowAll
) -> None:
    with Script(talk) as script:
        began = time.monotonic()
        receipt = send(settings_for(script.port, starttls=starttls), policy, timeout_s=0.3)
        assert time.monotonic() - began < 1.5
    assert receipt.outcome == outcome


@pytest.mark.timing
def test_a_name_server_that_does_not_answer_holds_up_no_letter_longer_than_its_time(
    policy: AllowAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    resolver = Resolver(lambda _host, _family: ["127.0.0.1"] if over.wait(30) else [])  # hangs as getaddrinfo does
    monkeypatch.setattr("mainstay.net.resolver.shared", lambda: resolver)
    dead = settings_for(0, url="smtp://mail.dead.example:25", starttls="never")
    began = time.monotonic()
    receipts = [send(dead, policy, timeout_s=0.3) for _ in range(3)]
    assert time.monotonic() - began < 5
    assert {receipt.outcome for receipt in receipts} == {"retry"}
    assert "did not answer within" in receipts[0].answer
    assert resolver.pending == 1, "one thread hangs, however many ask"
    over.set()


def _reset_after_the_full_stop(script: Script, connection: socket.socket) -> None:
    up_to_the_full_stop(script, connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _nonsense_after_the_full_stop(script: Script, connection: socket.socket) -> None:
    up_to_the_full_stop(script, connection)
    connection.sendall(b"\x00\xff what?\r\n")


def _taken_but_no_farewell(script: Script, connection: socket.socket) -> None:
    up_to_the_full_stop(script, connection)
    connection.sendall(b"250 taken\r\n")


def _nonsense(script: Script, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _busy(script: Script, connection: socket.socket) -> None:
    connection.sendall(b"421 too many connections\r\n")


def _endless_line(script: Script, connection: socket.socket) -> None:
    connection.sendall(b"220 " + b"x" * 100_000 + b"\r\n")


def _hang_up_before_the_letter(script: Script, connection: socket.socket) -> None:
    connection.sendall(b"220 ready\r\n")
    script.hear(connection)


@pytest.mark.parametrize(
    ("talk", "outcome"),
    [
        (_reset_after_the_full_stop, "unknown"),
        (_nonsense_after_the_full_stop, "unknown"),
        (_taken_but_no_farewell, "delivered"),
        (_nonsense, "refused"),
        (_busy, "retry"),
        (_endless_line, "refused"),
        (_hang_up_before_the_letter, "retry"),
    ],
)
def test_a_conversation_that_breaks_off_is_judged_by_how_far_it_came(talk: Any, outcome: str, policy: AllowAll) -> None:
    with Script(talk) as script:
        assert send(settings_for(script.port), policy).outcome == outcome


def test_lines_that_begin_with_a_full_stop_arrive_whole(server: MailServer, policy: AllowAll) -> None:
    send(settings_for(server.port), policy, changed(PLAIN, text=".\n.hidden\n..two\nlast"))
    text, _ = parts(server.mailbox.letter())
    assert "\n.\n.hidden\n..two\nlast\n" in text.replace("\r\n", "\n")


def test_nobody_listens(policy: AllowAll) -> None:
    assert send(settings_for(closed_port()), policy).outcome == "retry"
    unknown_name = settings_for(0, url=f"smtp://{'x' * 64}.invalid:25", starttls="never")
    assert send(unknown_name, policy).outcome == "retry"


def test_a_forbidden_address_is_not_connected_to(server: MailServer, refuse: Refuse) -> None:
    receipt = send(settings_for(0, url=f"smtp://localhost:{server.port}"), refuse)
    assert receipt.outcome == "refused"
    assert "loopback addresses are not allowed here" in receipt.answer
    assert ("127.0.0.1", "localhost") in refuse.asked
    assert server.mailbox.envelopes == []


@pytest.mark.parametrize(
    ("url", "port", "tls_from_start", "starttls_required"),
    [
        ("smtp://mail.example.org", 587, False, True),
        ("smtp://mail.example.org:25", 25, False, True),
        ("smtps://mail.example.org", 465, True, True),
        ("smtp://127.0.0.1", 587, False, False),
        ("smtp://localhost:1025", 1025, False, False),
        ("smtp://[::1]:1025", 1025, False, False),
    ],
)
def test_defaults_are_safe(url: str, port: int, tls_from_start: bool, starttls_required: bool) -> None:
    server = server_of(settings_for(0, url=url))
    assert (server.port, server.tls_from_start, server.starttls_required) == (port, tls_from_start, starttls_required)


@pytest.mark.parametrize(
    "values",
    [
        {"to": []},
        {"to": ["ann"]},
        {"to": ["ann@example.org\r\nBcc: eve@example.org"]},
        {"to": ["ann@example.org>, <eve@example.org"]},
        {"to": ["änn@example.org"]},
        {"from": "desk"},
        {"from": "Desk\r\nBcc: eve@example.org <desk@example.org>"},
        {"url": "http://mail.example.org"},
        {"url": "smtp://"},
        {"url": "smtp://mail.example.org:x"},
        {"url": "smtp://mail.example.org/path"},
        {"username": "desk"},
        {"password": PASSWORD},
        {"url": "smtp://desk:secret@mail.example.org", "starttls": "never"},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        settings_for(25, **values)
    assert PASSWORD not in str(refusal.value)
