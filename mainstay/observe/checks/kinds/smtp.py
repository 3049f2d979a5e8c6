"""The `smtp` check type: banner, EHLO, STARTTLS and AUTH if wanted, QUIT (RFC 5321, 3207, 4954). Sends no mail."""

import asyncio
import base64
import re
import time
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from mainstay.foundation.outside_files import PemText
from mainstay.foundation.strict import Secret
from mainstay.net.addresses import Host, IPVersion, Port, host_port
from mainstay.net.connect import Stream, open_stream, tls_context
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.stepped import LatencyExpect, SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_MOST_LINES = 100
_LINE = re.compile(rb"(\d{3})([ -]?)(.*)", re.DOTALL)


class SmtpExpect(LatencyExpect):
    """What must hold for the check to be up."""

    banner_contains: Text | None = Field(default=None, description="A text that the server's greeting must hold.")


class SmtpSettings(SteppedSettings):
    """A mail server that must greet us and, if wanted, encrypt and let us in."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY, Placeholder.STATUS}
    )

    host: Host = Field(description="Name or address of the server.")
    port: Port = Field(default=25, description="Port of the server: 25, 587, or 465 with `tls: implicit`.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    tls: Literal["none", "starttls", "implicit"] = Field(
        default="none", description="No TLS, STARTTLS after EHLO, or TLS from the first byte."
    )
    verify: bool = Field(default=True, description="Whether the certificate must be trusted and match the host.")
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    hello: Host = Field(default="mainstay.invalid", description="The name to introduce ourselves with in EHLO.")
    username: str | None = Field(default=None, description="User to authenticate as (AUTH PLAIN or LOGIN).")
    password: Secret | None = Field(default=None, description="The user's password.")
    expect: SmtpExpect = Field(default_factory=SmtpExpect, description="What must hold for the check to be up.")

    @model_validator(mode="after")
    def _credentials_are_whole_and_safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("give both `username` and `password`, or neither")
        if self.username is not None and self.tls == "none":
            raise ValueError("a password is not sent in the clear: set `tls` to starttls or implicit")
        return self


class Smtp(SteppedKind[SmtpSettings]):
    name: ClassVar[str] = "smtp"
    label: ClassVar[str] = "Mail server (SMTP)"
    Settings = SmtpSettings

    def target(self, settings: SmtpSettings) -> str:
        return host_port(settings.host, settings.port)

    async def run(self, settings: SmtpSettings, context: Context, steps: Steps) -> None:
        tls = tls_context(verify=settings.verify, ca=settings.ca) if settings.tls != "none" else None
        stream = await open_stream(
            context,
            settings.host,
            settings.port,
            ip_version=settings.ip_version,
            tls=tls if settings.tls == "implicit" else None,
            at=steps.at,
        )
        try:
            steps.took(stream)
            began = time.perf_counter()
            banner = await _expect(stream, steps, "the greeting", 220)
            steps.first_byte_s = time.perf_counter() - began
            steps.body = banner.encode()
            steps.facts["banner"] = banner[:200]
            features = await self._hello(settings, stream, steps)
            if settings.tls == "starttls":
                assert tls is not None
                if "STARTTLS" not in features:
                    raise ProbeError("the server does not offer STARTTLS")
                await _say(stream, steps, "STARTTLS", 220)
                steps.now = "shaking hands (STARTTLS)"
                shaking = time.perf_counter()
                await stream.writer.start_tls(tls, server_hostname=settings.host)
                steps.tls_s = time.perf_counter() - shaking
                features = await self._hello(settings, stream, steps)
            if settings.username is not None and settings.password is not None:
                await _authenticate(stream, steps, features, settings.username, settings.password.get_secret_value())
            steps.code = 250
            await _say(stream, steps, "QUIT", 221)
            steps.transfer_s = max(0.0, time.perf_counter() - began - steps.first_byte_s - steps.tls_s)
            wanted = settings.expect.banner_contains
            if wanted is not None and wanted not in banner:
                steps.wrong = f'the greeting is "{banner[:100]}" and does not hold "{wanted}"'
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise ProbeError(f"the connection ended, or a line was too long, while {steps.now}") from None
        finally:
            stream.close()

    async def _hello(self, settings: SmtpSettings, stream: Stream, steps: Steps) -> str:
        return (await _say(stream, steps, f"EHLO {settings.hello}", 250)).upper()


async def _authenticate(stream: Stream, steps: Steps, features: str, username: str, password: str) -> None:
    mechanisms = next((line.split()[1:] for line in features.splitlines() if line.startswith("AUTH")), [])
    if "PLAIN" in mechanisms:
        secret = _base64("\0".join(("", username, password)))
        await _say(stream, steps, f"AUTH PLAIN {secret}", 235, shown="AUTH PLAIN")
    elif "LOGIN" in mechanisms:
        await _say(stream, steps, "AUTH LOGIN", 334)
        await _say(stream, steps, _base64(username), 334, shown="AUTH LOGIN (user)")
        await _say(stream, steps, _base64(password), 235, shown="AUTH LOGIN (password)")
    else:
        raise ProbeError(f"the server offers no AUTH PLAIN or LOGIN (it offers: {' '.join(mechanisms) or 'none'})")


async def _say(stream: Stream, steps: Steps, line: str, wanted: int, *, shown: str = "") -> str:
    stream.writer.write(line.encode() + b"\r\n")
    await stream.writer.drain()
    return await _expect(stream, steps, f"the answer to {shown or line.split()[0]}", wanted)


async def _expect(stream: Stream, steps: Steps, what: str, wanted: int) -> str:
    """The text of a reply with the wanted code; raises ProbeError for any other."""
    steps.now = f"waiting for {what}"
    lines: list[str] = []
    while len(lines) < _MOST_LINES:
        found = _LINE.fullmatch((await stream.reader.readuntil(b"\n")).rstrip(b"\r\n"))
        if found is None:
            raise ProbeError(f"{what} is not SMTP")
        lines.append(found[3].decode("utf-8", "replace"))
        steps.code = int(found[1])
        if found[2] != b"-":
            break
    text = "\n".join(lines)
    if steps.code != wanted:
        raise ProbeError(f'{what} was {steps.code} "{lines[-1][:150]}", expected {wanted}', code=steps.code)
    return text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
