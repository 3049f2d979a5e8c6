"""The `redis` check type: connect, authenticate, one command; Redis, Valkey, KeyDB.

Speaks RESP2 itself: redis-py resolves and connects by name, so the address judged by the policy could not be the
address connected to, and it reads replies of any size. Two commands and five reply types are less than the ways
around that.
"""

import asyncio
import time
from typing import ClassVar

from pydantic import Field, model_validator

from mainstay.foundation.outside_files import PemText
from mainstay.foundation.strict import Secret
from mainstay.net.addresses import Host, IPVersion, Port, host_port
from mainstay.net.connect import open_stream, tls_context
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.database import DatabaseExpect, take_phases, take_value
from mainstay.observe.checks.kinds.stepped import SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_LONGEST_REPLY_BYTES = 1 << 20
_MOST_ELEMENTS = 10_000
_DEEPEST = 8
Reply = str | int | None | list["Reply"]


class RedisSettings(SteppedSettings):
    """A Redis server that must let us in and answer a command."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY}
    )

    host: Host = Field(description="Name or address of the server.")
    port: Port = Field(default=6379, description="Port of the server.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    tls: bool = Field(default=False, description="Whether to speak TLS.")
    verify: bool = Field(
        default=True, description="Whether the certificate must be trusted and match the host (with `tls`)."
    )
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    username: str | None = Field(
        default=None, description="User of the access control list; without it, the default user."
    )
    password: Secret | None = Field(default=None, description="The password.")
    database: int = Field(default=0, ge=0, le=1_000_000, description="Number of the database.")
    command: tuple[Text, ...] = Field(
        default=("PING",),
        min_length=1,
        max_length=100,
        description="One command with its arguments, e.g. [GET, queue:length].",
    )
    expect: DatabaseExpect = Field(default_factory=DatabaseExpect, description="What must hold for the check to be up.")

    @model_validator(mode="after")
    def _user_needs_password(self) -> "RedisSettings":
        if self.username is not None and self.password is None:
            raise ValueError("`username` needs `password`")
        return self


class Redis(SteppedKind[RedisSettings]):
    name: ClassVar[str] = "redis"
    label: ClassVar[str] = "Redis"
    Settings = RedisSettings

    def target(self, settings: RedisSettings) -> str:
        return host_port(settings.host, settings.port) + (f"/{settings.database}" if settings.database else "")

    async def run(self, settings: RedisSettings, context: Context, steps: Steps) -> None:
        tls = tls_context(verify=settings.verify, ca=settings.ca) if settings.tls else None
        stream = await open_stream(
            context, settings.host, settings.port, ip_version=settings.ip_version, tls=tls, at=steps.at
        )
        try:
            steps.took(stream)
            began = time.perf_counter()
            steps.now = "authenticating"
            if settings.password is not None:
                user = [settings.username] if settings.username is not None else []
                await _call(stream.reader, stream.writer, "AUTH", *user, settings.password.get_secret_value())
            if settings.database:
                await _call(stream.reader, stream.writer, "SELECT", str(settings.database))
            authenticated = time.perf_counter()
            steps.now = f"waiting for the answer to {settings.command[0]}"
            reply = await _call(stream.reader, stream.writer, *settings.command)
            take_phases(steps, authenticated - began, time.perf_counter() - authenticated)
            take_value(steps, reply, settings.expect.value, settings.command[0])
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise ProbeError(f"the connection ended, or the answer was not Redis', while {steps.now}") from None
        finally:
            stream.close()


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *words: str) -> Reply:
    parts = [word.encode() for word in words]
    writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    await writer.drain()
    budget = [_LONGEST_REPLY_BYTES, _MOST_ELEMENTS]
    try:
        return await _reply(reader, words[0], budget, _DEEPEST)
    except ValueError:
        raise ProbeError(f"the answer to {words[0]} is not Redis'") from None


async def _reply(reader: asyncio.StreamReader, command: str, budget: list[int], depth: int) -> Reply:
    """One reply (RESP2). `budget` holds the bytes and elements still allowed."""
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:]
    match kind:
        case b"+":
            return rest.decode("utf-8", "replace")
        case b"-":
            raise ProbeError(f"{command} was refused: {rest[:200].decode('utf-8', 'replace').rstrip('.')}")
        case b":":
            return int(rest)
        case b"$":
            length = int(rest)
            if length < 0:
                return None
            budget[0] -= length
            if budget[0] < 0:
                raise ProbeError(f"the answer to {command} is longer than {_LONGEST_REPLY_BYTES} bytes")
            return (await reader.readexactly(length + 2))[:-2].decode("utf-8", "replace")
        case b"*":
            count = int(rest)
            if count < 0:
                return None
            budget[1] -= count
            if budget[1] < 0 or depth == 0:
                raise ProbeError(f"the answer to {command} has more than {_MOST_ELEMENTS} elements")
            return [await _reply(reader, command, budget, depth - 1) for _ in range(count)]
    raise ProbeError(f"the answer to {command} is not Redis'")
