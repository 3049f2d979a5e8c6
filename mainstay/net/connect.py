"""Connections to judged addresses, for what runs on asyncio."""

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from mainstay.foundation.outside_files import UnreadableFileError, pem
from mainstay.net.certificates import USUAL_AUTHORITIES
from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolution

FAMILIES: dict[int | None, int] = {None: 0, 4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
STREAM_LIMIT_BYTES = 64 * 1024
_NEXT_ADDRESS_S = 0.25  # RFC 8305, section 5
_REASONS = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ENETUNREACH: "the network is unreachable",
    errno.ETIMEDOUT: "no answer from the host",
}


class NetworkError(Exception):
    """A name, an address, a connection or a handshake failed; the text says why, without the target's name."""


class Names(Protocol):
    """What looks names up: a `Resolver`, or one probe's view of it."""

    async def resolve(self, host: str, family: int = 0) -> Resolution: ...


class Means(Protocol):
    """What a connection is made with. `timeout_s` bounds the whole of what it is made for."""

    @property
    def timeout_s(self) -> float: ...
    @property
    def policy(self) -> AddressPolicy: ...
    @property
    def resolver(self) -> Names: ...


@dataclass(slots=True)
class Stream:
    """An open connection. `tls_s` is 0.0 without TLS."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    dns_s: float
    connect_s: float
    tls_s: float

    def close(self) -> None:
        """Drop the connection at once: no lingering TLS farewell."""
        self.writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Judged:
    """Addresses that the policy allows, in the order to try them."""

    addresses: tuple[str, ...]
    dns_s: float


async def judged_addresses(means: Means, host: str, ip_version: int | None = None) -> Judged:
    """Resolve and judge. Raises NetworkError when there is no address, or none that is allowed."""
    refusal = means.policy.check_host(host)
    if refusal is not None:
        raise NetworkError(refusal.message)
    found = await means.resolver.resolve(host, FAMILIES[ip_version])
    if found.error:
        raise NetworkError(f"the name {host} could not be resolved: {found.error}")
    refusals = [means.policy.check_address(address, host=host) for address in found.addresses]
    allowed = tuple(address for address, refusal in zip(found.addresses, refusals, strict=True) if refusal is None)
    if not allowed:
        raise NetworkError(next(refusal.message for refusal in refusals if refusal is not None))
    return Judged(allowed, found.took_s)


async def connected_socket(addresses: Sequence[str], port: int) -> tuple[socket.socket, str]:
    """A connected TCP socket to the first address that answers; the next one is tried beside it after 250 ms
    or at once when one fails (a small happy eyeballs, RFC 8305). Raises NetworkError naming why all failed."""
    loop = asyncio.get_running_loop()
    attempts: dict[asyncio.Task[socket.socket], str] = {}
    waiting = list(addresses)
    failures: list[str] = []
    try:
        while True:
            if waiting:
                address = waiting.pop(0)
                attempts[loop.create_task(_connect(address, port))] = address
            done, _ = await asyncio.wait(
                attempts, timeout=_NEXT_ADDRESS_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                address = attempts.pop(task)
                failure = task.exception()
                if failure is None:
                    return task.result(), address
                if not isinstance(failure, OSError):
                    raise failure
                failures.append(f"{address} port {port}: {reason(failure)}")
            if not attempts and not waiting:
                raise NetworkError(f"no connection to {'; '.join(dict.fromkeys(failures))}")
    finally:
        for task in attempts:
            # A late winner must not leak its socket.
            task.add_done_callback(_close_result)
            task.cancel()


async def open_stream(
    means: Means,
    host: str,
    port: int,
    *,
    ip_version: int | None = None,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    at: Callable[[str], None] | None = None,
) -> Stream:
    """Resolve, judge, connect, and shake hands if `tls` is given; `at` is told each step as it begins.

    Raises NetworkError for anything that goes wrong with the name, the policy, the connection or the handshake.
    """
    tell = at or _nobody_asks
    tell(f"resolving the name {host}")
    judged = await judged_addresses(means, host, ip_version)
    tell(f"connecting to {', '.join(judged.addresses)}")
    began = time.perf_counter()
    sock, address = await connected_socket(judged.addresses, port)
    connected = time.perf_counter()
    tell("shaking hands (TLS)")
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock,
            limit=STREAM_LIMIT_BYTES,
            ssl=tls,
            server_hostname=(server_name or host) if tls is not None else None,
            ssl_handshake_timeout=means.timeout_s + 1 if tls is not None else None,
        )
    except ssl.SSLError as error:
        sock.close()
        raise NetworkError(tls_reason(error)) from None
    except OSError as error:
        sock.close()
        raise NetworkError(f"the TLS handshake with {address} port {port} broke: {reason(error)}") from None
    except asyncio.CancelledError:
        sock.close()
        raise
    ended = time.perf_counter()
    return Stream(
        reader, writer, address, judged.dns_s, connected - began, ended - connected if tls is not None else 0.0
    )


def tls_context(*, verify: bool = True, ca: str | None = None, check_name: bool = True) -> ssl.SSLContext:
    """A client context; `ca` is PEM text or the path of a PEM file. Raises NetworkError when it can't be read.

    Contexts with the usual authorities are shared: parsing them takes 10 ms.
    """
    if ca is None:
        return _usual_context(verify, check_name)
    try:
        return trusting(pem(ca), verify=verify, check_name=check_name)
    except UnreadableFileError as error:
        raise NetworkError(f"`ca` {error}") from None
    except (ValueError, ssl.SSLError) as error:
        raise NetworkError(f"`ca` holds no certificate that can be read: {error}") from None


@lru_cache
def _usual_context(verify: bool, check_name: bool) -> ssl.SSLContext:
    return trusting(verify=verify, check_name=check_name)


def trusting(authorities: bytes | None = None, *, verify: bool = True, check_name: bool = True) -> ssl.SSLContext:
    """A client context that trusts these (PEM), or the usual authorities. Raises ValueError or SSLError."""
    if authorities is None:
        context = ssl.create_default_context(cafile=USUAL_AUTHORITIES)
    else:
        context = ssl.create_default_context(cadata=authorities.decode("ascii", "ignore"))  # comments may be anything
    context.check_hostname = verify and check_name
    context.hostname_checks_common_name = False  # only alternative names count (RFC 9525, section 6.3)
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    # A session is never offered again: every probe is a full handshake.
    context.options |= ssl.OP_NO_TICKET
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """Why a handshake failed, in one sentence without a dot."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message.rstrip('.')}"
    detail = (error.reason or str(error)).replace("_", " ").lower()
    return f"the TLS handshake failed: {detail}"


def reason(error: OSError) -> str:
    """Why the system refused, in a few words."""
    if isinstance(error, ssl.SSLError):
        return tls_reason(error)
    return _REASONS.get(error.errno or 0) or (os.strerror(error.errno) if error.errno else str(error) or "it broke")


async def _connect(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _nobody_asks(step: str) -> None:
    """What is told of the steps when there is no one to tell."""
