"""The `websocket` check type: the opening handshake, and a text message to send and to expect (RFC 6455)."""

import time
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from mainstay.foundation.outside_files import PemText
from mainstay.foundation.strict import Secret
from mainstay.foundation.words.pattern import PatternText, compile_pattern
from mainstay.net.addresses import IPVersion, shown_url, split_url, valid_header_name, valid_header_value
from mainstay.net.connect import connected_socket, judged_addresses, tls_context
from mainstay.net.params import apart, with_params
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.http.settings import QUERY_SECRETS
from mainstay.observe.checks.kinds.stepped import LatencyExpect, SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_LONGEST_MESSAGE_BYTES = 64 * 1024


def _valid_url(url: str) -> str:
    stripped = url.strip()
    scheme, separator, rest = stripped.partition("://")
    if scheme.lower() not in ("ws", "wss") or not separator:
        raise ValueError(f"the URL {url!r} is not of ws or wss: write for example wss://example.com/socket")
    # The same rules as for http, under the scheme's sister.
    if "@" in split_url(f"http{scheme.lower()[2:]}://{rest}").netloc:
        raise ValueError("the URL holds a user name or password: give them in `secret_headers`")
    return f"{scheme.lower()}://{rest}"


class WebsocketExpect(LatencyExpect):
    """What must hold for the check to be up."""

    contains: Text | None = Field(default=None, description="A text that a message of the server must hold.")
    matches: PatternText | None = Field(
        default=None, description="A regular expression (RE2) that must occur in a message of the server."
    )


class WebsocketSettings(SteppedSettings):
    """A WebSocket endpoint that must accept the handshake."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY, Placeholder.STATUS}
    )

    url: Annotated[str, AfterValidator(_valid_url)] = Field(description="Where to connect, ws or wss.")
    secret_params: dict[str, Secret] = Field(default_factory=dict, max_length=50, description=QUERY_SECRETS)
    headers: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="Request headers of the handshake."
    )
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict, max_length=50, description="Request headers whose values are secret."
    )
    origin: str | None = Field(default=None, max_length=300, description="The Origin header.")
    subprotocol: str | None = Field(
        default=None, max_length=100, description="The subprotocol to ask for; the server must choose it."
    )
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    verify: bool = Field(default=True, description="Whether the certificate must be trusted and match the host.")
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    send: Text | None = Field(default=None, description="A text message to send after the handshake.")
    expect: WebsocketExpect = Field(
        default_factory=WebsocketExpect, description="What must hold for the check to be up."
    )

    @model_validator(mode="before")
    @classmethod
    def _secrets_are_apart(cls, given: Any) -> Any:
        return apart(given)

    @model_validator(mode="after")
    def _headers_are_well_formed(self) -> Self:
        values = self.headers | {name: secret.get_secret_value() for name, secret in self.secret_headers.items()}
        for name, value in values.items():
            valid_header_name(name)
            valid_header_value(name, value)
        for name, written in (("Origin", self.origin), ("Sec-WebSocket-Protocol", self.subprotocol)):
            valid_header_value(name, written or "")
        return self


class Websocket(SteppedKind[WebsocketSettings]):
    name: ClassVar[str] = "websocket"
    label: ClassVar[str] = "WebSocket"
    Settings = WebsocketSettings

    def target(self, settings: WebsocketSettings) -> str:
        return shown_url(settings.url)

    async def run(self, settings: WebsocketSettings, context: Context, steps: Steps) -> None:
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
        headers = settings.headers | {
            name: secret.get_secret_value() for name, secret in settings.secret_headers.items()
        }
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
            await self._talk(settings, connection, steps)
        finally:
            connection.transport.abort()

    async def _talk(self, settings: WebsocketSettings, connection: ClientConnection, steps: Steps) -> None:
        steps.code = 101
        if settings.subprotocol is not None and connection.subprotocol != settings.subprotocol:
            raise ProbeError(
                f"the server chose the subprotocol {connection.subprotocol}, expected {settings.subprotocol}"
            )
        began = time.perf_counter()
        try:
            if settings.send is not None:
                steps.now = "sending the message"
                await connection.send(settings.send)
            contains, matches = settings.expect.contains, settings.expect.matches
            reads = (
                contains is not None
                or matches is not None
                or any("[BODY]" in text.upper() for text in settings.conditions)
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
