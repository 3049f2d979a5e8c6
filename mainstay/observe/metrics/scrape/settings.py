"""What a scrape is: where its targets are, how they are asked, what becomes of their series.

People may paste a Prometheus `scrape_config`: `pasted.py` puts it into these words.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from mainstay.foundation.outside_files import PemText, checked_list, checked_secret
from mainstay.foundation.strict import Secret, StrictModel
from mainstay.foundation.words.durations import Duration
from mainstay.net.addresses import Host, Port, valid_header_name, valid_header_value
from mainstay.net.params import is_secret_name
from mainstay.observe.metrics.scrape.pasted import (
    Protocol,
    from_prometheus,
    group_from_prometheus,
    name_search_from_prometheus,
)
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

    targets: tuple[Address, ...] = Field(
        default=(), max_length=TARGETS_MOST, description="Addresses, e.g. 10.0.0.5:9100."
    )
    labels: Labels = Field(default_factory=dict, description="Labels of these targets' series.")

    @model_validator(mode="before")
    @classmethod
    def _as_prometheus_writes_it(cls, given: Any) -> Any:
        return group_from_prometheus(given)


class Dns(StrictModel):
    """Targets found by asking the DNS."""

    names: tuple[Host, ...] = Field(min_length=1, max_length=100, description="Names to ask for.")
    type: Literal["SRV", "A", "AAAA"] = Field(default="SRV", description="The record type to ask for.")
    port: Port | None = Field(default=None, description="The targets' port; for A and AAAA, which name none.")
    refresh: Duration = Field(default=30.0, ge=1.0, description="How often to ask.")

    @model_validator(mode="before")
    @classmethod
    def _as_prometheus_writes_it(cls, given: Any) -> Any:
        return name_search_from_prometheus(given)

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


def _values(value: object) -> object:
    """Of a query parameter: nothing is no value, and a value that is nothing is empty."""
    if value is None:
        return ()
    return ["" if each is None else each for each in value] if isinstance(value, list | tuple) else _listed(value)


def _secrets_apart(given: Any) -> Any:
    params = given.get("params") if isinstance(given, Mapping) else None
    if not isinstance(params, Mapping):
        return given
    plain: dict[object, object] = {}
    secret = dict(given.get("secret_params") or {})
    for name, value in params.items():
        values = _values(value)
        if not (isinstance(name, str) and is_secret_name(name) and isinstance(values, list | tuple) and values):
            plain[name] = value
        elif len(values) > 1 or name in secret:
            raise ValueError(f"the parameter {name!r} is given twice: leave one")
        else:
            secret[name] = values[0]
    return {**given, "params": plain, **({"secret_params": secret} if secret else {})}


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
    params: dict[str, Annotated[tuple[str, ...], BeforeValidator(_values)]] = Field(
        default_factory=dict, max_length=50, description="Query parameters, e.g. {collect[]: [cpu, meminfo]}."
    )
    secret_params: dict[str, Secret] = Field(
        default_factory=dict,
        max_length=50,
        description="Query parameters whose values are secret; those of `params` with names like token, api_key or "
        "signature are moved here.",
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
    scrape_protocols: Annotated[tuple[Protocol, ...], BeforeValidator(_listed)] = Field(
        default=("OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"),
        min_length=1,
        max_length=len(get_args(Protocol)),
        description="The formats to ask for, the most wanted first.",
    )
    metric_name_escaping_scheme: Literal["allow-utf-8", "underscores", "dots", "values"] = Field(
        default="allow-utf-8",
        description="How targets are asked to write names that are more than letters, digits, `_` and `:`.",
    )
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
        return _secrets_apart(from_prometheus(given))

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


def interval_text(seconds: float) -> str:
    """Return a duration as Prometheus writes it in `__scrape_interval__`: `15s`, `1m30s`, `500ms`."""
    left = math.floor(seconds * 1000 + 0.5)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
