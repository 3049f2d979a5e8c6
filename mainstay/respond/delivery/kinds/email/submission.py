"""One submission over SMTP (RFC 5321, RFC 6409), bounded in time as a whole.

`smtplib` limits each single read; a server that sends a byte now and then could hold it for ever. Here a timer
shuts the connection down when the time is up, whatever the library is waiting for.
"""

import os
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mainstay.foundation.outside_files import pem
from mainstay.net.connect import trusting
from mainstay.net.http import CA_WAIT_S, AddressPolicy
from mainstay.net.resolver import look_up

_LINE_START_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how to submit."""

    host: str
    port: int
    tls_from_start: bool
    """smtps: TLS before the first word (RFC 8314)."""
    starttls_required: bool
    starttls_used: bool
    username: str | None
    password: str | None
    ca_file: str | None


@dataclass(slots=True)
class Submission:
    """What happened, filled in as it happens, so that it is right wherever the connection ends."""

    data_sent: bool = False
    """The final full stop went out: from here on the letter may have been taken."""
    confirmed: bool = False
    """The server answered 250 to the letter."""
    accepted: list[str] = field(default_factory=list)
    """Recipients the server will deliver to, if `confirmed`."""
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Recipients it will not, with its answer."""
    reply: tuple[int, str] | None = None
    """The answer that ended the submission."""


class PolicyForbidsError(Exception):
    """No address of the server may be connected to."""


class TlsMissingError(Exception):
    """TLS is required and the server offers none."""


class LoginRefusedError(Exception):
    """The server did not take user name and password; holds its answer."""

    def __init__(self, code: int, answer: str) -> None:
        super().__init__(answer)
        self.code = code


class TimeUpError(Exception):
    """The whole exchange took longer than allowed."""


def submit(
    server: Server,
    *,
    sender: str,
    recipients: list[str],
    letter: bytes,
    timeout_s: float,
    policy: AddressPolicy,
    submission: Submission,
) -> None:
    """Hand `letter` (CRLF lines) to `server` for `recipients`; what happened is in `submission`.

    Raises `PolicyForbidsError`, `TlsMissingError`, `LoginRefusedError`, `TimeUpError`, `smtplib.SMTPException` or
    `OSError` (of which `ssl.SSLError` is one); `submission` then says how far it came.
    """
    deadline = time.monotonic() + timeout_s
    connection = _connect(server, deadline, policy)
    with _shut_down_at(deadline, connection) as expired:
        try:
            _converse(server, connection, sender, recipients, letter, submission)
        except (OSError, smtplib.SMTPException) as error:
            if expired.is_set() or isinstance(error, TimeoutError):
                raise TimeUpError(f"no answer within {timeout_s:g} s") from error
            raise
        finally:
            connection.close()


def _converse(
    server: Server,
    connection: socket.socket,
    sender: str,
    recipients: list[str],
    letter: bytes,
    submission: Submission,
) -> None:
    client = _Client(connection, server)
    try:
        code, answer = client.connect(server.host, server.port)
        if code != 220:
            submission.reply = code, _words(answer)
            return
        client.ehlo_or_helo_if_needed()
        if server.starttls_used and not server.tls_from_start:
            if client.has_extn("starttls"):
                client.starttls(context=_tls(server))
                client.ehlo_or_helo_if_needed()
            elif server.starttls_required:
                raise TlsMissingError("the server does not offer STARTTLS")
        if server.username and server.password is not None:
            _log_in(client, server.username, server.password)
        _transact(client, sender, recipients, letter, submission)
        if submission.confirmed:
            # The letter is the server's now: a broken farewell changes nothing.
            try:
                client.quit()
            except (OSError, smtplib.SMTPException):
                pass
    finally:
        client.close()


def _transact(client: smtplib.SMTP, sender: str, recipients: list[str], letter: bytes, submission: Submission) -> None:
    code, answer = client.mail(sender)
    if code != 250:
        submission.reply = code, _words(answer)
        return
    for recipient in recipients:
        code, answer = client.rcpt(recipient)
        if code in {250, 251}:
            submission.accepted.append(recipient)
        else:
            submission.rejected[recipient] = code, _words(answer)
        if code == 421:  # the server closes the connection (RFC 5321 §3.8)
            submission.reply = code, _words(answer)
            return
    if not submission.accepted:
        return
    code, answer = client.docmd("DATA")
    if code != 354:
        submission.reply = code, _words(answer)
        return
    body = _LINE_START_DOT.sub(b"..", letter)
    client.send(body if body.endswith(b"\r\n") else body + b"\r\n")
    # Until the final full stop has been sent the server may not take the letter (RFC 5321 §4.1.1.4).
    submission.data_sent = True
    client.send(b".\r\n")
    code, answer = client.getreply()
    submission.reply = code, _words(answer)
    submission.confirmed = code == 250


def _log_in(client: smtplib.SMTP, username: str, password: str) -> None:
    try:
        client.login(username, password)
    except smtplib.SMTPAuthenticationError as error:
        raise LoginRefusedError(error.smtp_code, _words(error.smtp_error)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise LoginRefusedError(504, "the server offers no login at this port") from error


class _Client(smtplib.SMTP):
    """`smtplib` on a connection made here, where the address policy was asked."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        # Without a name smtplib would look its own up, which can block on DNS.
        super().__init__(local_hostname="[127.0.0.1]")
        self._connection = connection
        self._server = server

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._connection.settimeout(None)  # from here on the timer watches
        self._host = self._server.host  # what starttls checks the certificate against
        if self._server.tls_from_start:
            return _tls(self._server).wrap_socket(self._connection, server_hostname=self._server.host)
        return self._connection


def _connect(server: Server, deadline: float, policy: AddressPolicy) -> socket.socket:
    """A connection to the first address that the policy allows and that answers."""
    found = look_up(server.host, deadline - time.monotonic())
    if found.error:
        raise OSError(f"{server.host}: {found.error}")
    forbidden, last = [], None
    for address in found.addresses:
        if reason := policy.check(address, server.host):
            forbidden.append(f"{address}: {reason}")
            continue
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        connection.settimeout(max(0.05, deadline - time.monotonic()))
        try:
            connection.connect((address, server.port))
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    if last is None:
        raise PolicyForbidsError("; ".join(forbidden))
    raise last


@contextmanager
def _shut_down_at(deadline: float, connection: socket.socket) -> Iterator[threading.Event]:
    """Shut `connection` down at `deadline`, so that whatever waits on it ends; the event says that it happened.

    TLS takes the socket object over and leaves the old one empty, so the timer holds a duplicate of the
    descriptor: shutting that down ends the same connection.
    """
    expired = threading.Event()
    handle = socket.socket(fileno=os.dup(connection.fileno()))

    def expire() -> None:
        expired.set()
        try:
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:  # closed by the other side a moment before
            pass

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
        handle.close()


def _tls(server: Server) -> ssl.SSLContext:
    return trusting(pem(server.ca_file, CA_WAIT_S) if server.ca_file is not None else None)


def _words(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
