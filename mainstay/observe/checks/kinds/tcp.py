"""The `tcp` check type: a connection, optionally with TLS, a line to send and an answer to expect."""

import time
from typing import ClassVar

from pydantic import Field

from mainstay.foundation.outside_files import PemText
from mainstay.foundation.words.pattern import Pattern, PatternText, compile_pattern
from mainstay.net.addresses import Host, IPVersion, Port, host_port
from mainstay.net.connect import STREAM_LIMIT_BYTES, open_stream, tls_context
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.stepped import LatencyExpect, SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context


class TcpExpect(LatencyExpect):
    """What must hold for the check to be up."""

    contains: Text | None = Field(
        default=None, description="A text that the peer must send (looked for in its first 64 KiB)."
    )
    matches: PatternText | None = Field(
        default=None, description="A regular expression (RE2) that must occur in what the peer sends."
    )


class TcpSettings(SteppedSettings):
    """A TCP port that must accept connections."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY}
    )

    host: Host = Field(description="Name or address to connect to.")
    port: Port = Field(description="Port to connect to.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    tls: bool = Field(default=False, description="Whether to speak TLS.")
    verify: bool = Field(
        default=True, description="Whether the certificate must be trusted and match the host (with `tls`)."
    )
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    send: Text | None = Field(
        default=None, description='Text to send once connected, line ends written out ("PING\\r\\n").'
    )
    expect: TcpExpect = Field(default_factory=TcpExpect, description="What must hold for the check to be up.")


class Tcp(SteppedKind[TcpSettings]):
    name: ClassVar[str] = "tcp"
    label: ClassVar[str] = "TCP port"
    Settings = TcpSettings

    def target(self, settings: TcpSettings) -> str:
        return host_port(settings.host, settings.port)

    async def run(self, settings: TcpSettings, context: Context, steps: Steps) -> None:
        tls = tls_context(verify=settings.verify, ca=settings.ca) if settings.tls else None
        stream = await open_stream(
            context, settings.host, settings.port, ip_version=settings.ip_version, tls=tls, at=steps.at
        )
        try:
            steps.took(stream)
            began = time.perf_counter()
            if settings.send is not None:
                steps.now = "sending"
                stream.writer.write(settings.send.encode())
                await stream.writer.drain()
            contains = settings.expect.contains.encode() if settings.expect.contains is not None else None
            pattern = compile_pattern(settings.expect.matches) if settings.expect.matches is not None else None
            reads = (
                contains is not None
                or pattern is not None
                or any("[BODY]" in text.upper() for text in settings.conditions)
            )
            if not reads:
                return
            steps.now = "waiting for the expected answer"
            while not steps.body or not _satisfied(steps.body, contains, pattern):
                chunk = await stream.reader.read(STREAM_LIMIT_BYTES)
                if not steps.body:
                    steps.first_byte_s = time.perf_counter() - began
                steps.body += chunk
                if not chunk or len(steps.body) >= STREAM_LIMIT_BYTES:
                    break
            steps.transfer_s = time.perf_counter() - began - steps.first_byte_s
            if not _satisfied(steps.body, contains, pattern):
                wanted = settings.expect.contains if settings.expect.contains is not None else settings.expect.matches
                shown = steps.body[:80].decode("utf-8", "replace")
                steps.wrong = f'the answer does not hold "{wanted}"; it begins with "{shown}" ({len(steps.body)} bytes)'
        finally:
            stream.close()


def _satisfied(body: bytes, contains: bytes | None, pattern: Pattern | None) -> bool:
    return (contains is None or contains in body) and (pattern is None or pattern.search(body))
