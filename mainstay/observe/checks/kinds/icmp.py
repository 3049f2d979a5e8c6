"""The `icmp` check type: echo requests (ping), without privileges where the system allows it."""

import asyncio
import errno
import os
import secrets
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from mainstay.foundation.words.durations import Duration
from mainstay.net.addresses import Host, IPVersion
from mainstay.net.connect import judged_addresses
from mainstay.observe.checks.kinds.stepped import LatencyExpect, LatencyWarn, SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_REQUEST_V4, _REPLY_V4, _REQUEST_V6, _REPLY_V6 = 8, 0, 128, 129
_TOKEN_BYTES = 16
_LONGEST_REPLY_BYTES = 2048
_MARGIN_S = 0.05


class IcmpExpect(LatencyExpect):
    """What must hold for the check to be up."""

    max_latency: Duration | None = Field(default=None, description="The average round-trip time may be this long.")
    max_loss: float = Field(
        default=50, ge=0, lt=100, description="At most this percentage of the pings may stay unanswered."
    )


class IcmpWarn(LatencyWarn):
    """Softer limits: missing them makes the check degraded instead of down."""

    max_latency: Duration | None = Field(
        default=None, description="An average round-trip time longer than this is degraded."
    )
    max_loss: float | None = Field(
        default=None, ge=0, lt=100, description="More than this percentage unanswered is degraded."
    )


class IcmpSettings(SteppedSettings):
    """A host that must answer pings."""

    host: Host = Field(description="Name or address to ping.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    count: int = Field(default=3, ge=1, le=20, description="How many pings to send.")
    interval: Duration = Field(default=0.2, ge=0.01, le=10, description="The pause between two pings.")
    wait: Duration = Field(default=1.0, ge=0.01, le=30, description="How long after the last ping replies count.")
    expect: IcmpExpect = Field(default_factory=IcmpExpect, description="What must hold for the check to be up.")
    warn: IcmpWarn = Field(default_factory=IcmpWarn, description="Softer limits whose violation is degraded.")


class Icmp(SteppedKind[IcmpSettings]):
    name: ClassVar[str] = "icmp"
    label: ClassVar[str] = "Ping"
    Settings = IcmpSettings

    def target(self, settings: IcmpSettings) -> str:
        return settings.host

    async def run(self, settings: IcmpSettings, context: Context, steps: Steps) -> None:
        began = time.perf_counter()
        judged = await judged_addresses(context, settings.host, settings.ip_version)
        steps.dns_s = judged.dns_s
        address = judged.addresses[0]
        steps.ip = address
        steps.now = "waiting for replies"
        sock, raw = _ping_socket(v6=":" in address)
        try:
            round_trips = await _ping(sock, address, settings, raw=raw, until=began + context.timeout_s - _MARGIN_S)
        finally:
            sock.close()
        lost = 100 * (settings.count - len(round_trips)) / settings.count
        steps.facts |= {"sent": settings.count, "received": len(round_trips), "loss_percent": round(lost, 1)}
        if not round_trips:
            steps.wrong = f"none of {settings.count} pings was answered"
            return
        steps.connected = True
        average = sum(round_trips) / len(round_trips)
        steps.latency_s = steps.first_byte_s = average
        steps.facts |= {
            "rtt_min_ms": round(min(round_trips) * 1000, 3),
            "rtt_avg_ms": round(average * 1000, 3),
            "rtt_max_ms": round(max(round_trips) * 1000, 3),
        }
        answered = f"{len(round_trips)} of {settings.count} pings were answered ({lost:.0f} % lost)"
        if lost > settings.expect.max_loss:
            steps.wrong = f"{answered}; at most {settings.expect.max_loss:g} % may be lost"
        elif settings.warn.max_loss is not None and lost > settings.warn.max_loss:
            steps.warning = f"{answered}; more than {settings.warn.max_loss:g} % is too many"


def _ping_socket(*, v6: bool) -> tuple[socket.socket, bool]:
    """A socket for echo requests, and whether it is a raw one (which sees other processes' replies, too).

    Ping sockets need no privilege where `net.ipv4.ping_group_range` includes our group (the sysctl rules IPv6, too);
    raw sockets need CAP_NET_RAW.
    """
    family, protocol = (
        (socket.AF_INET6, socket.getprotobyname("ipv6-icmp")) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.socket(family, kind, protocol)
        except PermissionError:
            continue
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
                continue
            raise
        sock.setblocking(False)
        return sock, kind == socket.SOCK_RAW
    raise ProbeError(
        "this process may not send pings: allow its group in the sysctl net.ipv4.ping_group_range "
        "(for all groups: 0 2147483647), or give it the capability CAP_NET_RAW"
    )


@dataclass(slots=True)
class _Replies:
    token: bytes
    sent_at: dict[int, float] = field(default_factory=dict)
    round_trips: dict[int, float] = field(default_factory=dict)


async def _ping(sock: socket.socket, address: str, settings: IcmpSettings, *, raw: bool, until: float) -> list[float]:
    """Round-trip times in seconds of the pings that were answered."""
    replies = _Replies(secrets.token_bytes(_TOKEN_BYTES))
    identifier = int.from_bytes(os.urandom(2))
    v6 = ":" in address
    listener = asyncio.ensure_future(_listen(sock, replies, settings.count, v6=v6, raw=raw))
    try:
        for sequence in range(1, settings.count + 1):
            replies.sent_at[sequence] = time.perf_counter()
            sock.sendto(_request(identifier, sequence, replies.token, v6=v6), (address, 0))
            pause = settings.interval if sequence < settings.count else settings.wait
            # What was answered by the timeout counts; a ping never sent by then counts as lost.
            pause = min(pause, until - time.perf_counter())
            if pause <= 0:
                break
            await asyncio.wait({listener}, timeout=pause)
            if listener.done() and sequence == settings.count:
                listener.result()
    finally:
        listener.cancel()
    return list(replies.round_trips.values())


async def _listen(sock: socket.socket, replies: _Replies, count: int, *, v6: bool, raw: bool) -> None:
    loop = asyncio.get_running_loop()
    while len(replies.round_trips) < count:
        packet, _ = await loop.sock_recvfrom(sock, _LONGEST_REPLY_BYTES)
        now = time.perf_counter()
        if raw and not v6:
            packet = packet[(packet[0] & 0x0F) * 4 :] if packet else b""
        if len(packet) < 8 + _TOKEN_BYTES or packet[0] != (_REPLY_V6 if v6 else _REPLY_V4):
            continue
        # The kernel rewrites the identifier of ping sockets, and raw sockets see everybody's replies: the random
        # token is what tells ours.
        if packet[8 : 8 + _TOKEN_BYTES] != replies.token:
            continue
        sequence = int.from_bytes(packet[6:8])
        if sequence in replies.sent_at and sequence not in replies.round_trips:
            replies.round_trips[sequence] = now - replies.sent_at[sequence]


def _request(identifier: int, sequence: int, token: bytes, *, v6: bool) -> bytes:
    kind = _REQUEST_V6 if v6 else _REQUEST_V4
    header = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    # Over IPv6 the kernel fills in the checksum, which covers the addresses.
    checksum = 0 if v6 else _checksum(header + token)
    return struct.pack("!BBHHH", kind, 0, checksum, identifier, sequence) + token


def _checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
