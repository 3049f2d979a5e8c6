"""Mail servers on 127.0.0.1: a real one (aiosmtpd) that records, and scripted ones that misbehave."""

import socket
import ssl
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Mailbox:
    """The handler of aiosmtpd: keeps letters, and answers as the test says."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.recipient_answers: dict[str, str] = {}
        self.data_answer = "250 taken"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipient_answers.get(address, "250 yes")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data_answer.startswith("250"):
            self.envelopes.append(envelope)
        return self.data_answer

    def recipients(self) -> list[list[str]]:
        return [envelope.rcpt_tos for envelope in self.envelopes]

    # No properties here: aiosmtpd reads every attribute of its handler as it starts.
    def letter(self) -> EmailMessage:
        content = self.envelopes[-1].content
        assert isinstance(content, bytes)
        return message_from_bytes(content, policy=MAIL_POLICY)


class _Controller(Controller):  # type: ignore[misc]  # aiosmtpd ships no types
    """aiosmtpd's controller with port 0: it must find out which one it got before it checks itself."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """A running aiosmtpd; `port` says where. With `login`, it wants that user and password."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        tls_from_start: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.mailbox = Mailbox()

        def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
            assert isinstance(data, LoginPassword)
            right = login is not None and (data.login.decode(), data.password.decode()) == login
            return AuthResult(success=right, handled=False)

        self._controller = _Controller(
            self.mailbox,
            hostname="127.0.0.1",
            port=0,
            ssl_context=tls if tls_from_start else None,
            tls_context=None if tls_from_start else tls,
            require_starttls=tls is not None and not tls_from_start,
            auth_required=login is not None,
            server_hostname="mail.test",
            authenticator=authenticate,
        )

    @property
    def port(self) -> int:
        port: int = self._controller.port
        return port

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


Talk = Callable[["Script", socket.socket], None]


class Script:
    """A server that follows `talk` for one connection; `released` is set when the test is over."""

    def __init__(self, talk: Talk) -> None:
        self.released = threading.Event()
        self.heard: list[bytes] = []
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        # Wakes an accept that nobody came to.
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            try:
                self._talk(self, connection)
            except OSError:
                pass  # the client hung up: that is what these tests are about

    def hear(self, connection: socket.socket) -> bytes:
        """One line from the client."""
        line = b""
        while not line.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                raise OSError("the client hung up")
            line += byte
        self.heard.append(line)
        return line


def up_to_the_full_stop(script: Script, connection: socket.socket) -> None:
    """A friendly conversation up to the client's final full stop, not answered."""
    connection.sendall(b"220 ready\r\n")
    for answer in (b"250 hello\r\n", b"250 sender\r\n", b"250 recipient\r\n", b"354 go on\r\n"):
        script.hear(connection)
        connection.sendall(answer)
    while script.hear(connection) != b".\r\n":
        pass
