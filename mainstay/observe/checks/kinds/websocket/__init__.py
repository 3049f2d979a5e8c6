"""The `websocket` check type: the opening handshake, and a text message to send and to expect (RFC 6455)."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from mainstay.foundation.outside_files import PemText
from mainstay.foundation.strict import Secret
from mainstay.foundation.words.pattern import PatternText
from mainstay.net.addresses import IPVersion, shown_url, split_url, valid_header_name, valid_header_value
from mainstay.net.params import apart
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.http.settings import QUERY_SECRETS
from mainstay.observe.checks.kinds.stepped import LatencyExpect, SteppedKind, SteppedSettings, Steps, load
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context


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
        await load(f"{__name__}.session", context)
        from mainstay.observe.checks.kinds.websocket import session

        await session.run(settings, context, steps)
