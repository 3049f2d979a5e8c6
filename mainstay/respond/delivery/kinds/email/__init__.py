"""E-mail by SMTP: text and HTML in one letter, one conversation per alert.

Recipients are accepted or rejected one by one. Who already has the letter is kept in the receipt's state, so a
later attempt reaches only the others.
"""

import re
import smtplib
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from mainstay.foundation import clock
from mainstay.foundation.outside_files import PemPath, UnreadableFileError
from mainstay.net.http import AddressPolicy
from mainstay.respond.delivery.kinds.base import (
    SHOWN_ANSWER_CHARACTERS,
    Channel,
    ChannelSettings,
    Outcome,
    Receipt,
)
from mainstay.respond.delivery.kinds.email import letter
from mainstay.respond.delivery.kinds.email.submission import (
    LoginRefusedError,
    PolicyForbidsError,
    Server,
    Submission,
    TimeUpError,
    TlsMissingError,
    submit,
)
from mainstay.respond.delivery.kinds.masking import masked_line
from mainstay.respond.delivery.kinds.wording import one_line
from mainstay.respond.delivery.message import Message

DEFAULT_PORTS = {"smtp": 587, "smtps": 465}
ADDRESS_PATTERN = (
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*)"
)


def _address(value: str) -> str:
    if not re.fullmatch(ADDRESS_PATTERN, value) or len(value) > 254:
        raise ValueError("an e-mail address looks like name@example.org, in ASCII (a domain with umlauts as xn--…)")
    return value


def _sender(value: str) -> str:
    name, address = _split_sender(value)
    _address(address)
    if name != one_line(name):
        raise ValueError("the sender's name must be one line without control characters")
    return value


def _split_sender(value: str) -> tuple[str, str]:
    match = re.fullmatch(r'"?([^"<>]*?)"?\s*<([^<>]*)>', value)
    return (match.group(1), match.group(2)) if match else ("", value)


class EmailSettings(ChannelSettings):
    """A mail server and who writes to whom."""

    url: SecretStr = Field(
        description="smtp://host (port 587, STARTTLS) or smtps://host (port 465, TLS); may hold user:password@."
    )
    username: str | None = Field(None, min_length=1, description="User at the mail server, if not in the URL.")
    password: SecretStr | None = Field(None, min_length=1, description="Password, if not in the URL.")
    sender: Annotated[str, AfterValidator(_sender)] = Field(
        alias="from", description="The sender: ops@example.org or Mainstay <ops@example.org>."
    )
    to: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(
        min_length=1, max_length=100, description="Recipients, at most 100."
    )
    starttls: Literal["auto", "required", "opportunistic", "never"] = Field(
        "auto",
        description="For smtp:// — auto: required, unless the host is a loopback address, then never. "
        "opportunistic: if offered, but never a password without it.",
    )
    ca_file: PemPath | None = Field(
        None, description="PEM file with the certificate authorities to trust instead of the system's."
    )

    @field_validator("url")
    @classmethod
    def _mail_server(cls, value: SecretStr) -> SecretStr:
        try:
            url = urlsplit(value.get_secret_value())
            _ = url.port  # raises for one that is no number
        except ValueError as error:
            raise ValueError("this is not a URL: its host or port cannot be read") from error
        if url.scheme not in DEFAULT_PORTS or not url.hostname:
            raise ValueError("the URL must start with smtp:// or smtps:// and name a host")
        if url.path.strip("/") or url.query or url.fragment:
            raise ValueError("the URL ends after the host and port; percent-encode /, ? and # in a password")
        return value

    @field_validator("to")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _login_complete(self) -> Self:
        server = server_of(self)
        if (server.username is None) != (server.password is None):
            raise ValueError("a login needs both username and password")
        if not (server.tls_from_start or server.starttls_used or server.password is None or _is_loopback(server.host)):
            raise ValueError("a password is sent only over TLS: do not set starttls to never")
        return self


def server_of(settings: EmailSettings) -> Server:
    """The server these settings name, with defaults filled in."""
    url = urlsplit(settings.url.get_secret_value())
    host = url.hostname or ""
    starttls = settings.starttls
    if starttls == "auto":
        starttls = "never" if _is_loopback(host) else "required"
    password = settings.password.get_secret_value() if settings.password else None
    if password is None and url.password is not None:
        password = unquote(url.password)
    username = settings.username or (unquote(url.username) if url.username else None)
    return Server(
        host=host,
        port=url.port or DEFAULT_PORTS[url.scheme],
        tls_from_start=url.scheme == "smtps",
        starttls_required=starttls == "required" or (starttls == "opportunistic" and password is not None),
        starttls_used=starttls != "never",
        username=username,
        password=password,
        ca_file=None if settings.ca_file is None else str(settings.ca_file),
    )


class Email(Channel[EmailSettings]):
    """See the module."""

    name = "email"
    label = "E-mail"
    Settings = EmailSettings

    def describe(self, settings: EmailSettings) -> str:
        others = len(settings.to) - 1
        return f"E-mail to {settings.to[0]}" + (f" and {others} more" if others else "")

    def send(
        self,
        settings: EmailSettings,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        had = set(state.get("accepted", "").split(",")) if state.get("key") == idempotency_key else set()
        pending = [address for address in settings.to if address not in had]
        if not pending:
            return Receipt("delivered", "Every recipient had been accepted before.")
        name, address = _split_sender(settings.sender)
        text = letter.write(
            message,
            sender=Address(name, addr_spec=address),
            to=list(settings.to),
            idempotency_key=idempotency_key,
            at=clock.now(),
        )
        submission = Submission()
        problem: Exception | None = None
        try:
            submit(
                server_of(settings),
                sender=address,
                recipients=pending,
                letter=text.as_bytes(),
                timeout_s=timeout_s,
                policy=policy,
                submission=submission,
            )
        except (OSError, smtplib.SMTPException, *_OWN_PROBLEMS) as error:
            problem = error
        if submission.confirmed:
            had.update(submission.accepted)
        kept = {"key": idempotency_key, "accepted": ",".join(sorted(had - {""}))} if had - {""} else {}
        outcome, advice, said = _verdict(submission, problem)
        said = masked_line(said, settings, SHOWN_ANSWER_CHARACTERS)
        answer = f"{advice} The server said: {said}" if said else advice
        return Receipt(outcome, answer, state={} if outcome == "delivered" else kept)


_OWN_PROBLEMS = (PolicyForbidsError, TlsMissingError, LoginRefusedError, TimeUpError, UnreadableFileError)


def _verdict(submission: Submission, problem: Exception | None) -> tuple[Outcome, str, str]:
    """Outcome, advice, and what the server or the system said (not yet masked)."""
    if submission.confirmed:
        return _confirmed(submission)
    if submission.reply is not None:
        return _ended_by(submission, *submission.reply)
    if submission.data_sent:
        return "unknown", "The letter went out, but the server did not confirm it.", str(problem or "")
    if problem is not None:
        return _failed(problem)
    # Nothing ended it, so every recipient was turned down.
    outcome: Outcome = "retry" if _any_temporary(submission) else "refused"
    return outcome, f"Nobody was accepted: {_names(submission)}. Check the addresses in to.", _said(submission)


def _confirmed(submission: Submission) -> tuple[Outcome, str, str]:
    if not submission.rejected:
        code, text = submission.reply or (250, "")
        return "delivered", f"SMTP {code}.", text
    taken = f"Delivered to {len(submission.accepted)}, not to {_names(submission)}."
    if _any_temporary(submission):
        return "retry", f"{taken} The next attempt writes to those only.", _said(submission)
    return "refused", f"{taken} Correct or remove these addresses in to.", _said(submission)


def _ended_by(submission: Submission, code: int, text: str) -> tuple[Outcome, str, str]:
    said = f"{code} {text}" if code > 0 else text
    if 400 <= code < 500:
        return "retry", "The server asks to try again later.", said
    if code in {530, 535}:
        return "refused", "The server wants a login: set username and password.", said
    if 500 <= code < 600:
        return "refused", "The server does not take the letter: check from, to and the size it allows.", said
    if submission.data_sent:
        return "unknown", "The letter went out, and the answer is no SMTP.", said
    return "refused", "This is not a mail server: check host and port in url.", said


def _failed(problem: Exception) -> tuple[Outcome, str, str]:
    said = str(problem)
    match problem:
        case PolicyForbidsError():
            return "refused", f"Not sent: the address policy forbids this mail server ({said}).", ""
        case TlsMissingError():
            advice = "Not sent: the server offers no STARTTLS. Use smtps://, or set starttls if you trust the network."
            return "refused", advice, ""
        case LoginRefusedError() if 400 <= problem.code < 500:
            return "retry", "The login failed for now.", f"{problem.code} {said}"
        case LoginRefusedError():
            return "refused", "The login was refused: check username and password.", f"{problem.code} {said}"
        case ssl.SSLCertVerificationError():
            advice = "Not sent: the server's certificate is not trusted for this host name; ca_file adds an authority."
            return "refused", f"{advice} ({problem.verify_message})", ""
        case ssl.SSLError() if problem.reason == "WRONG_VERSION_NUMBER":
            return "refused", "Not sent: no TLS at this port. smtps:// is for port 465, smtp:// for 587 and 25.", ""
        case UnreadableFileError():
            return "refused", f"Not sent: ca_file {said}.", ""
        case TimeUpError():
            return "retry", f"Not sent: {said}.", ""
        case smtplib.SMTPResponseException():
            outcome: Outcome = "retry" if 400 <= problem.smtp_code < 500 else "refused"
            text = problem.smtp_error
            words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            return outcome, "The server refuses the conversation.", f"{problem.smtp_code} {words}"
        case _:
            return "retry", f"Not sent: the mail server cannot be reached or broke off ({said}).", ""


def _any_temporary(submission: Submission) -> bool:
    return any(400 <= code < 500 for code, _ in submission.rejected.values())


def _names(submission: Submission) -> str:
    shown = list(submission.rejected)[:5]
    more = len(submission.rejected) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _said(submission: Submission) -> str:
    return "; ".join(f"{code} {text}" for code, text in submission.rejected.values())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
