"""What a scrape is: where its targets are, how they are asked, what becomes of their series.

People may paste the fields of a Prometheus `scrape_config` where they differ from ours: `_PROMETHEUS` says which
becomes which. Both spellings of one field at once are refused.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from mainstay.foundation.outside_files import PemText, checked_list, checked_secret
from mainstay.foundation.strict import Secret, StrictModel
from mainstay.foundation.words.durations import Duration
from mainstay.net.addresses import Host, Port, valid_header_name, valid_header_value
from mainstay.observe.metrics.scrape.relabel import LabelName, Rule

DEFAULT_BODY_BYTES = 64 << 20
LARGEST_BODY_BYTES = 1 << 30
TARGETS_MOST = 10_000
_SIZE = re.compile(r"(\d{1,15})\s*([KMGT]?)I?B?", re.IGNORECASE | re.ASCII)
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

Labels = Annotated[
    dict[LabelName, Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]], Field(max_length=100)
]
FilePath = Annotated[
    str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*\.(json|ya?ml)$"), checked_list
]


def _valid_address(text: str) -> str:
    """An address is `host`, `host:port` or `[v6]:port`; what a target's URL is made of must not be one itself."""
    if not text or len(text) > 300 or any(character.isspace() or character < " " for character in text):
        raise ValueError(f"{text!r} is no address: write host:port, e.g. 10.0.0.5:9100")
    if "/" in text or "@" in text or "?" in text or "#" in text:
        raise ValueError(
            f"{text!r} is no address: write host:port; scheme and path have fields of their own (`scheme`, `path`)"
        )
    return text


def _size(value: object) -> object:
    """Bytes from `10MB` as Prometheus writes it (powers of 1024), or a number."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            raise ValueError(f"{value!r} is no size: write for example 10MB or a number of bytes")
        return int(found[1]) * 1024 ** _POWER[found[2].upper()]
    return value


Address = Annotated[str, AfterValidator(_valid_address)]
Limit = Annotated[int | None, Field(ge=1, le=1 << 40)]


class Group(StrictModel):
    """Targets that share labels."""

    targets: tuple[Address, ...] = Field(max_length=TARGETS_MOST, description="Addresses, e.g. 10.0.0.5:9100.")
    labels: Labels = Field(default_factory=dict, description="Labels of these targets' series.")


class Dns(StrictModel):
    """Targets found by asking the DNS."""

    names: tuple[Host, ...] = Field(min_length=1, max_length=100, description="Names to ask for.")
    type: Literal["SRV", "A", "AAAA"] = Field(default="SRV", description="The record type to ask for.")
    port: Port | None = Field(default=None, description="The targets' port; for A and AAAA, which name none.")
    refresh: Duration = Field(default=30.0, ge=1.0, description="How often to ask.")

    @model_validator(mode="before")
    @classmethod
    def _as_prometheus_writes_it(cls, given: Any) -> Any:
        return _renamed(given, {"refresh_interval": "refresh"})

    @model_validator(mode="after")
    def _addresses_need_a_port(self) -> Self:
        if self.type != "SRV" and self.port is None:
            raise ValueError(f"records of type {self.type} name no port: give `port`")
        return self


def _groups(value: object) -> object:
    """A list of addresses is short for one group."""
    if isinstance(value, list | tuple):
        plain = [each for each in value if isinstance(each, str)]
        rest = [each for each in value if not isinstance(each, str)]
        return ([{"targets": plain}] if plain else []) + rest
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | Mapping) else value


class ScrapeSettings(StrictModel):
    """How a scrape finds its targets, asks them, and what it keeps of their answers."""

    targets: Annotated[tuple[Group, ...], BeforeValidator(_groups)] = Field(
        default=(),
        max_length=1000,
        description="Addresses to scrape: a list of host:port, or of {targets: […], labels: {…}}.",
    )
    file: Annotated[tuple[FilePath, ...], BeforeValidator(_listed)] = Field(
        default=(),
        max_length=100,
        description="Files (JSON or YAML, as Prometheus' file_sd; * allowed in the name) that list targets. Re-read "
        "when they change.",
    )
    dns: Annotated[tuple[Dns, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=100, description="Names whose DNS records are the targets."
    )
    scheme: Literal["http", "https"] = Field(default="http", description="http or https.")
    path: Annotated[str, StringConstraints(max_length=2000, pattern=r"^/[^\s?#\x00-\x1f]*$")] = Field(
        default="/metrics", description="The path of the metrics."
    )
    params: dict[str, Annotated[tuple[str, ...], BeforeValidator(_listed)]] = Field(
        default_factory=dict, max_length=50, description="Query parameters, e.g. {collect[]: [cpu, meminfo]}."
    )
    headers: dict[str, str] = Field(default_factory=dict, max_length=50, description="Request headers.")
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict, max_length=50, description="Request headers whose values are secret, such as API keys."
    )
    username: str | None = Field(default=None, description="User name for basic authentication.")
    password: Secret | None = Field(default=None, description="Password for basic authentication.")
    bearer: Secret | None = Field(default=None, description="Token sent as `Authorization: Bearer …`.")
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    client_certificate: PemText | None = Field(
        default=None, description="Client certificate: PEM text, or the path of a PEM file."
    )
    client_key: Annotated[Secret, checked_secret] | None = Field(
        default=None, description="The client certificate's key: PEM text, or the path of a PEM file."
    )
    verify: bool = Field(default=True, description="Whether a target's certificate must be trusted and match the host.")
    compressed: bool = Field(default=True, description="Whether to ask for gzip.")
    follow_redirects: bool = Field(default=True, description="Whether to follow redirects.")
    honor_labels: bool = Field(
        default=False, description="Whether labels of a series win over the target's of the same name."
    )
    honor_timestamps: bool = Field(default=True, description="Whether timestamps that targets give are used.")
    relabel: tuple[Rule, ...] = Field(
        default=(), max_length=200, description="Relabelling of targets, as Prometheus' relabel_configs."
    )
    metric_relabel: tuple[Rule, ...] = Field(
        default=(), max_length=200, description="Relabelling of series, as Prometheus' metric_relabel_configs."
    )
    sample_limit: Limit = Field(default=None, description="A target with more samples than this counts as down.")
    target_limit: Limit = Field(default=None, description="With more targets than this none is scraped.")
    label_limit: Limit = Field(default=None, description="Most labels of a series.")
    label_name_length_limit: Limit = Field(default=None, description="Longest name of a label.")
    label_value_length_limit: Limit = Field(default=None, description="Longest value of a label.")
    body_size_limit: Annotated[int, BeforeValidator(_size), Field(ge=1, le=LARGEST_BODY_BYTES)] = Field(
        default=DEFAULT_BODY_BYTES, description="A target with a larger answer (uncompressed) counts as down; 64MB."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_prometheus_writes_it(cls, given: Any) -> Any:
        return from_prometheus(given)

    @field_validator("headers", "secret_headers")
    @classmethod
    def _headers_are_well_formed(cls, headers: dict[str, object]) -> dict[str, object]:
        for name, value in headers.items():
            valid_header_name(name)
            if name.lower() in _OUR_HEADERS:
                raise ValueError(f"the header {name} is set by Mainstay; see `username`, `bearer` and `compressed`")
            if isinstance(value, str):
                valid_header_value(name, value)
        return headers

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for name, secret in self.secret_headers.items():
            valid_header_value(name, secret.get_secret_value())
        if self.bearer is not None:
            valid_header_value("Authorization", self.bearer.get_secret_value())
        if not (self.targets or self.file or self.dns):
            raise ValueError("a scrape needs `targets`, `file` or `dns`")
        if sum(len(group.targets) for group in self.targets) > TARGETS_MOST:
            raise ValueError(f"one scrape has {TARGETS_MOST} targets at most: make several")
        if self.bearer is not None and (self.username is not None or self.password is not None):
            raise ValueError("give either `bearer` or `username` and `password`")
        if self.password is not None and self.username is None:
            raise ValueError("`password` needs `username`")
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("`client_key` needs `client_certificate`")
        if len(self.relabel) + len(self.metric_relabel) > 200:
            raise ValueError("a scrape has at most 200 relabelling rules")
        return self


_OUR_HEADERS = frozenset(
    {
        "authorization",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "accept-encoding",
        "accept",
        "x-prometheus-scrape-timeout-seconds",
    }
)

_PROMETHEUS = {
    "job_name": "name",
    "scrape_interval": "every",
    "scrape_timeout": "timeout",
    "metrics_path": "path",
    "static_configs": "targets",
    "relabel_configs": "relabel",
    "metric_relabel_configs": "metric_relabel",
    "dns_sd_configs": "dns",
    "enable_compression": "compressed",
    "bearer_token": "bearer",
}
"""Fields of a scrape_config whose name alone differs. `file_sd_configs`, `basic_auth`, `authorization`,
`tls_config` and `http_headers` are taken apart by `from_prometheus`."""

NO_SIZE_LIMIT = 0


def from_prometheus(given: Any) -> Any:
    """Return a mapping in which a scrape_config's names are ours; anything else as it is.

    Raises:
        ValueError: a field is given twice, or has no counterpart.
    """
    if not isinstance(given, Mapping):
        return given
    out = dict(_renamed(given, _PROMETHEUS))
    _take_files(out)
    _take_authentication(out)
    _take_tls(out)
    if "http_headers" in out:
        _take_headers(out, out.pop("http_headers"))
    for name in _ZERO_IS_NONE:
        if out.get(name) == 0 and not isinstance(out[name], bool):
            out.pop(name)
    return out


_ZERO_IS_NONE = (
    "sample_limit",
    "target_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "body_size_limit",
)


def _renamed(given: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(given, Mapping):
        return given
    out: dict[Any, Any] = {}
    for name, value in given.items():
        ours = names.get(name, name) if isinstance(name, str) else name
        if ours in out or (ours != name and ours in given):
            raise ValueError(f"`{ours}` is given twice: `{name}` is Prometheus' name for it")
        out[ours] = value
    return out


def _take_files(out: dict[Any, Any]) -> None:
    configs = out.pop("file_sd_configs", None)
    if configs is None:
        return
    if "file" in out:
        raise ValueError("`file` is given twice: `file_sd_configs` is Prometheus' name for it")
    if not isinstance(configs, list) or not all(isinstance(each, Mapping) for each in configs):
        raise ValueError("`file_sd_configs` is a list of {files: […]}")
    # How often to look is not a question here: a change is noticed within seconds.
    out["file"] = [path for each in configs for path in each.get("files") or ()]


def _take_authentication(out: dict[Any, Any]) -> None:
    basic = _part(out, "basic_auth", {"username", "password"})
    if basic is not None:
        _set(out, "username", basic.get("username"), "basic_auth.username")
        _set(out, "password", basic.get("password"), "basic_auth.password")
    authorization = _part(out, "authorization", {"type", "credentials"})
    if authorization is not None:
        kind = authorization.get("type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ValueError("`authorization` of a type other than Bearer: give the header in `secret_headers`")
        _set(out, "bearer", authorization.get("credentials"), "authorization.credentials")


def _take_tls(out: dict[Any, Any]) -> None:
    names = {"ca", "ca_file", "cert", "cert_file", "key", "key_file", "insecure_skip_verify"}
    tls = _part(out, "tls_config", names)
    if tls is None:
        return
    for ours, theirs in (("ca", "ca"), ("client_certificate", "cert"), ("client_key", "key")):
        _set(out, ours, tls.get(theirs, tls.get(f"{theirs}_file")), f"tls_config.{theirs}")
    if "insecure_skip_verify" in tls:
        _set(out, "verify", not tls["insecure_skip_verify"], "tls_config.insecure_skip_verify")


def _take_headers(out: dict[Any, Any], headers: Any) -> None:
    if not isinstance(headers, Mapping) or not all(isinstance(each, Mapping) for each in headers.values()):
        raise ValueError("`http_headers` is {Name: {values: […]}} or {Name: {secrets: […]}}")
    for name, given in headers.items():
        for theirs, ours in (("values", "headers"), ("secrets", "secret_headers")):
            values = given.get(theirs)
            if values:
                target = dict(out.get(ours) or {})
                target[name] = ", ".join(map(str, values))
                out[ours] = target


def _part(out: dict[Any, Any], name: str, known: set[str]) -> Mapping[Any, Any] | None:
    part = out.pop(name, None)
    if part is None:
        return None
    if not isinstance(part, Mapping):
        raise ValueError(f"`{name}` is a mapping of {', '.join(sorted(known))}")
    foreign = sorted(str(each) for each in part if each not in known)
    if foreign:
        raise ValueError(
            f"`{name}` holds {', '.join(foreign)}, which Mainstay does not know here; it knows "
            f"{', '.join(sorted(known))}"
        )
    return part


def _set(out: dict[Any, Any], name: str, value: Any, theirs: str) -> None:
    if value is None:
        return
    if name in out:
        raise ValueError(f"`{name}` is given twice: `{theirs}` is Prometheus' name for it")
    out[name] = value


def interval_text(seconds: float) -> str:
    """Return a duration as Prometheus writes it in `__scrape_interval__`: `15s`, `1m30s`, `500ms`."""
    left = math.floor(seconds * 1000 + 0.5)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
