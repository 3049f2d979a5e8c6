"""A WebSocket as a check talks over it: handshake, a message, an answer."""

import time
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from mainstay.foundation.words.pattern import compile_pattern
from mainstay.net.connect import connected_socket, judged_addresses, tls_context
from mainstay.net.params import with_params
from mainstay.observe.checks.kinds.stepped import Steps
from mainstay.observe.checks.kinds.websocket import WebsocketSettings
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_LONGEST_MESSAGE_BYTES = 64 * 1024


async def run(settings: WebsocketSettings, context: Context, steps: Steps) -> None:
    parts = urlsplit(settings.url)
    host = parts.hostname or ""
    secure = parts.scheme == "wss"
    judged = await judged_addresses(context, host, settings.ip_version)
    steps.dns_s = judged.dns_s
    steps.now = "connecting"
    began = time.perf_counter()
    sock, steps.ip = await connected_socket(judged.addresses, parts.port or (443 if secure else 80))
    steps.connect_s = time.perf_counter() - began
    steps.connected = True
    steps.now = "waiting for the handshake"
    shaking = time.perf_counter()
    headers = settings.headers | {name: secret.get_secret_value() for name, secret in settings.secret_headers.items()}
    try:
        connection = await connect(
            with_params(settings.url, settings.secret_params),
            sock=sock,
            ssl=tls_context(verify=settings.verify, ca=settings.ca) if secure else None,
            server_hostname=host if secure else None,
            origin=Origin(settings.origin) if settings.origin is not None else None,
            subprotocols=[Subprotocol(settings.subprotocol)] if settings.subprotocol is not None else None,
            additional_headers=headers,
            user_agent_header=None if any(name.lower() == "user-agent" for name in headers) else "Mainstay",
            compression=None,
            proxy=None,  # nothing out of the environment
            open_timeout=None,
            close_timeout=1,
            ping_interval=None,
            max_size=_LONGEST_MESSAGE_BYTES,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise ProbeError(f"the handshake was answered with status {status}, expected 101", code=status) from None
    except (WebSocketException, EOFError, ValueError) as error:
        raise ProbeError(f"the handshake failed: {str(error).rstrip('.') or type(error).__name__}") from None
    finally:
        if not steps.first_byte_s:
            steps.first_byte_s = time.perf_counter() - shaking
    try:
        await _talk(settings, connection, steps)
    finally:
        connection.transport.abort()


async def _talk(settings: WebsocketSettings, connection: ClientConnection, steps: Steps) -> None:
    steps.code = 101
    if settings.subprotocol is not None and connection.subprotocol != settings.subprotocol:
        raise ProbeError(f"the server chose the subprotocol {connection.subprotocol}, expected {settings.subprotocol}")
    began = time.perf_counter()
    try:
        if settings.send is not None:
            steps.now = "sending the message"
            await connection.send(settings.send)
        contains, matches = settings.expect.contains, settings.expect.matches
        reads = (
            contains is not None or matches is not None or any("[BODY]" in text.upper() for text in settings.conditions)
        )
        steps.now = "waiting for the expected message"
        while reads:
            message = await connection.recv(decode=False)
            steps.body = bytes(message)
            steps.transfer_s = time.perf_counter() - began
            if contains is not None and contains.encode() not in steps.body:
                continue
            if matches is not None and not compile_pattern(matches).search(steps.body):
                continue
            break
    except ConnectionClosed as error:
        raise ProbeError(f"the server closed the connection while {steps.now}: {error}") from None
