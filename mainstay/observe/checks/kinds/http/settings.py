"""Settings of the `http` check type."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from mainstay.foundation.outside_files import PemText, checked_secret
from mainstay.foundation.strict import Secret, StrictModel
from mainstay.foundation.words.durations import Duration
from mainstay.foundation.words.pattern import PatternText
from mainstay.net.addresses import (
    LONGEST_URL,
    Host,
    IPVersion,
    split_url,
    valid_header_name,
    valid_header_value,
    valid_url,
    wire_url,
)
from mainstay.net.params import apart, with_params
from mainstay.net.policy import literal_address
from mainstay.observe.checks.kinds.base import ProbedSettings, Text
from mainstay.observe.checks.kinds.http.comparison import Comparison
from mainstay.observe.checks.kinds.http.status import Statuses
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.jsonpath import parse_path

QUERY_SECRETS = (
    "Parameters of the URL's query whose values are secret; those of `url` with names like token, api_key or signature"
    " are moved here."
)
DEFAULT_BODY_BYTES = 1 << 20
LARGEST_BODY_BYTES = 16 << 20


def _valid_proxy(url: str) -> str:
    stripped = wire_url(url.strip())
    if "@" in split_url(stripped).netloc:
        raise ValueError(
            "the proxy's URL holds a user name or password: give them as `proxy_username` and `proxy_password`"
        )
    return stripped


Url = Annotated[str, AfterValidator(valid_url)]
Proxy = Annotated[str, AfterValidator(_valid_proxy)]


def _valid_path(path: str) -> str:
    parse_path(path)
    return path


def _valid_address(address: str) -> str:
    if literal_address(address) is None:
        raise ValueError(f"{address!r} is no IP address")
    return address


class HttpExpect(StrictModel):
    """What must hold for the check to be up."""

    status: Statuses = Field(
        default=((200, 299),),
        json_schema_extra={"default": "2xx"},
        description='Accepted statuses: 200, "2xx", "200-299", or a list of these.',
    )
    max_latency: Duration | None = Field(
        default=None, description="The whole request, name resolution and redirects included, may take this long."
    )
    headers: dict[str, Comparison] = Field(
        default_factory=dict,
        description="Response headers and what each must be, e.g. {Content-Type: {contains: json}}.",
    )
    body_contains: Text | None = Field(default=None, description="A text that must occur in the body.")
    body_not_contains: Text | None = Field(default=None, description="A text that must not occur in the body.")
    body_matches: PatternText | None = Field(
        default=None, description="A regular expression (RE2) that must occur in the body."
    )
    json_values: dict[Annotated[str, AfterValidator(_valid_path)], Comparison] = Field(
        default_factory=dict,
        alias="json",
        description="Paths into the JSON body and what each value must be, e.g. {status: ok, 'data[0].id': 1}.",
    )
    location: Comparison | None = Field(
        default=None, description="Where the response redirects to (absolute URL); redirects are then not followed."
    )
    certificate_days_left: float | None = Field(
        default=None, ge=0, description="The server's certificate must be valid for this many more days."
    )


class HttpWarn(StrictModel):
    """Softer limits: missing them makes the check degraded instead of down."""

    max_latency: Duration | None = Field(default=None, description="Slower than this is degraded.")
    certificate_days_left: float | None = Field(
        default=None, ge=0, description="A certificate valid for fewer days is degraded."
    )


class HttpSettings(ProbedSettings):
    """An HTTP request and what its answer must be."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(set(Placeholder) - {Placeholder.DNS_RCODE})

    url: Url = Field(description="What to request, http or https, without user name or password.")
    secret_params: dict[str, Secret] = Field(default_factory=dict, max_length=50, description=QUERY_SECRETS)
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(
        default="GET", description="The request's method."
    )
    headers: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="Request headers. Not sent on to another host by a redirect."
    )
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict, max_length=50, description="Request headers whose values are secret, such as API keys."
    )
    body: Text | None = Field(default=None, description="The request's body as text.")
    json_body: JsonValue = Field(default=None, alias="json", description="The request's body as JSON.")
    form: dict[str, str] = Field(default_factory=dict, description="The request's body as form fields.")
    secret_form: dict[str, Secret] = Field(default_factory=dict, description="Form fields whose values are secret.")
    username: str | None = Field(default=None, description="User name for basic authentication.")
    password: Secret | None = Field(default=None, description="Password for basic authentication.")
    bearer: Secret | None = Field(default=None, description="Token sent as `Authorization: Bearer …`.")
    client_certificate: PemText | None = Field(
        default=None, description="Client certificate: PEM text, or the path of a PEM file."
    )
    client_key: Annotated[Secret, checked_secret] | None = Field(
        default=None, description="The client certificate's key: PEM text, or the path of a PEM file."
    )
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    verify: bool = Field(
        default=True, description="Whether the server's certificate must be trusted and match the host."
    )
    proxy: Proxy | None = Field(default=None, description="Proxy to go through, e.g. http://proxy.example.com:3128.")
    proxy_username: str | None = Field(default=None, description="User name for the proxy.")
    proxy_password: Secret | None = Field(default=None, description="Password for the proxy.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    resolve: dict[Host, Annotated[str, AfterValidator(_valid_address)]] = Field(
        default_factory=dict,
        description="Addresses to use for host names instead of asking the DNS, e.g. {shop.example.com: 10.0.0.5}.",
    )
    http2: bool = Field(default=True, description="Whether HTTP/2 may be used over TLS.")
    compressed: bool = Field(
        default=False, description="Whether to ask for a compressed body (it is decompressed before it is looked at)."
    )
    follow_redirects: bool = Field(default=True, description="Whether to follow redirects.")
    max_redirects: int = Field(default=10, ge=0, le=50, description="More redirects than this are down.")
    user_agent: str = Field(default="Mainstay", max_length=300, description="The User-Agent header.")
    max_body_bytes: int = Field(
        default=DEFAULT_BODY_BYTES,
        ge=0,
        le=LARGEST_BODY_BYTES,
        description="Reading stops after this many bytes of body; what follows is not looked at.",
    )
    expect: HttpExpect = Field(default_factory=HttpExpect, description="What must hold for the check to be up.")
    warn: HttpWarn = Field(default_factory=HttpWarn, description="Softer limits whose violation is degraded.")

    @property
    def whole_url(self) -> str:
        """The URL with its secret parameters, not for people."""
        return with_params(self.url, self.secret_params)

    @model_validator(mode="before")
    @classmethod
    def _secrets_are_apart(cls, given: Any) -> Any:
        return apart(given)

    @field_validator("headers", "secret_headers")
    @classmethod
    def _headers_are_well_formed(cls, headers: dict[str, object]) -> dict[str, object]:
        for name, value in headers.items():
            valid_header_name(name)
            if isinstance(value, str):
                valid_header_value(name, value)
        return headers

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if len(self.whole_url) > LONGEST_URL:
            raise ValueError(f"`url` and `secret_params` together have more than {LONGEST_URL} characters")
        for name, secret in self.secret_headers.items():
            valid_header_value(name, secret.get_secret_value())
        if self.bearer is not None:
            valid_header_value("Authorization", self.bearer.get_secret_value())
        valid_header_value("User-Agent", self.user_agent)
        bodies = [self.body is not None, self.json_body is not None, bool(self.form or self.secret_form)]
        if sum(bodies) > 1:
            raise ValueError("give one body only: `body`, `json`, or `form` with `secret_form`")
        if any(bodies) and self.method == "HEAD":
            raise ValueError("a HEAD request has no body: use another method")
        if self.bearer is not None and (self.username is not None or self.password is not None):
            raise ValueError("give either `bearer` or `username` and `password`")
        if self.password is not None and self.username is None:
            raise ValueError("`password` needs `username`")
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("`client_key` needs `client_certificate`")
        if self.proxy is None and (self.proxy_username is not None or self.proxy_password is not None):
            raise ValueError("`proxy_username` and `proxy_password` need `proxy`")
        wants_certificate = self.expect.certificate_days_left is not None or self.warn.certificate_days_left is not None
        if wants_certificate and not self.url.lower().startswith("https:"):
            raise ValueError("`certificate_days_left` needs a URL of https")
        return self
