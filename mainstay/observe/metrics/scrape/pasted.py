"""Prometheus' `scrape_config` in the words of a scrape here.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config

Null is Go's zero value, as Prometheus reads it: false, an empty text, an empty list; where that could not be used (an
empty scheme or path), it is the default. Both spellings of one field at once are refused.
A field without a counterpart is taken where it makes no difference here, and else refused by name with the reason.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

Protocol = Literal["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"]
"""The formats that targets are asked for, by Prometheus' names."""
PROTOBUF = "PrometheusProto"

RENAMED = {
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
"""Fields whose name alone differs. `file_sd_configs`, `basic_auth`, `authorization`, `tls_config` and `http_headers`
are taken apart by `from_prometheus`."""


class Foreign(NamedTuple):
    """A field without a counterpart here."""

    harmless: Callable[[Any], bool]
    """Whether a value makes no difference."""
    reason: str
    """Why any other value is refused, and what to write instead."""


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_off(value: Any) -> bool:
    return value is False


def _is_empty(value: Any) -> bool:
    return value is False or value in ("", [], {})


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_text_format(value: Any) -> bool:
    return value in ("", "PrometheusText0.0.4", "PrometheusText1.0.0")


_NATIVE = "native histograms are not scraped: leave it out"
_DIRECT = "targets are asked directly, not by a proxy"
_STORED = "secrets are stored encrypted here; in a file write ${NAME} of an environment variable"

FOREIGN = {
    "always_scrape_classic_histograms": Foreign(_is_truth, "give true or false: classic histograms are always scraped"),
    "scrape_classic_histograms": Foreign(_is_truth, "give true or false: classic histograms are always scraped"),
    "scrape_native_histograms": Foreign(_is_off, _NATIVE),
    "convert_classic_histograms_to_nhcb": Foreign(_is_off, _NATIVE),
    "native_histogram_bucket_limit": Foreign(_is_count, "give a number; native histograms are not scraped"),
    "native_histogram_min_bucket_factor": Foreign(_is_count, "give a number; native histograms are not scraped"),
    "fallback_scrape_protocol": Foreign(
        _is_text_format, "an answer whose Content-Type is missing or unknown is read as PrometheusText0.0.4"
    ),
    "keep_dropped_targets": Foreign(_is_count, "give a number; 1000 dropped targets are listed"),
    "enable_http2": Foreign(_is_truth, "give true or false; targets are asked by HTTP/1.1"),
    "track_timestamps_staleness": Foreign(
        _is_off, "series with timestamps of the target's own end 5 minutes after their last sample"
    ),
    "extra_scrape_metrics": Foreign(
        _is_off, "scrape_timeout_seconds, scrape_sample_limit and scrape_body_size_bytes are not written"
    ),
    "scrape_failure_log_file": Foreign(_is_empty, "the page Targets and the log tell why a scrape failed"),
    "bearer_token_file": Foreign(_is_empty, _STORED),
    "oauth2": Foreign(_is_empty, "targets are asked with `username` and `password`, `bearer` or headers"),
    "sigv4": Foreign(_is_empty, "targets are asked with `username` and `password`, `bearer` or headers"),
    "proxy_url": Foreign(_is_empty, _DIRECT),
    "proxy_from_environment": Foreign(_is_empty, _DIRECT),
    "proxy_connect_header": Foreign(_is_empty, _DIRECT),
    "no_proxy": Foreign(_is_empty, _DIRECT),
}
"""By Prometheus' name. Other ways of discovery than files and DNS are refused by `from_prometheus`."""

_TRUE = ("honor_timestamps", "follow_redirects", "enable_compression")  # without a value; null is false
_ZEROS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("scrape_interval", "scrape_timeout"), (0, "0", "0s")),
    "bearer_token": ("",),
    "sample_limit": (0,),
    "target_limit": (0,),
    "label_limit": (0,),
    "label_name_length_limit": (0,),
    "label_value_length_limit": (0,),
    "body_size_limit": (0, "0"),
}
"""Values that mean the same as none."""


def from_prometheus(given: Any) -> Any:
    """Return a mapping in which a scrape_config's names are ours; anything else as it is.

    Raises:
        ValueError: a field is given twice, or has no counterpart.
    """
    if not isinstance(given, Mapping):
        return given
    given = {
        name: False if value is None and name in _TRUE else value
        for name, value in given.items()
        if isinstance(value, bool) or value not in _ZEROS.get(name, ())
    }
    out = dict(_renamed(given, RENAMED))
    _take_files(out)
    _take_authentication(out)
    _take_tls(out)
    _take_headers(out)
    _take_formats(out)
    for name in [each for each in out if isinstance(each, str)]:
        if name in FOREIGN:
            value = out.pop(name)
            if not FOREIGN[name].harmless(value):
                raise ValueError(f"`{name}` cannot be {_shown(value)} here: {FOREIGN[name].reason}")
        elif name.endswith("_sd_configs"):
            raise ValueError(f"`{name}` is not known here: targets come from `targets`, `file` or `dns`")
    return out


def group_from_prometheus(given: Any) -> Any:
    """Return targets that share labels, with empty texts and lists where nothing is given."""
    given = without_nulls(given)
    if not isinstance(given, Mapping):
        return given
    out = dict(given)
    if isinstance(out.get("targets"), list | tuple):
        out["targets"] = [each for each in out["targets"] if each is not None]
    if isinstance(out.get("labels"), Mapping):
        out["labels"] = {name: "" if value is None else value for name, value in out["labels"].items()}
    return out


def name_search_from_prometheus(given: Any) -> Any:
    """Return an entry of `dns_sd_configs` in our words.

    Raises:
        ValueError: a field is given twice, or `type` is null.
    """
    if isinstance(given, Mapping) and "type" in given and given["type"] is None:
        raise ValueError("`type` must be SRV, A or AAAA")
    out = _renamed(given, {"refresh_interval": "refresh"})
    if isinstance(out, Mapping) and isinstance(out.get("type"), str):
        return {**out, "type": out["type"].upper()}
    return out


def without_nulls(given: Any) -> Any:
    """Return a mapping without the fields that are null; anything else as it is."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in given.items() if value is not None}


def _renamed(given: Any, names: Mapping[str, str]) -> Any:
    given = without_nulls(given)
    if not isinstance(given, Mapping):
        return given
    out: dict[Any, Any] = {}
    for name, value in given.items():
        ours = names.get(name, name) if isinstance(name, str) else name
        if ours in out or (ours != name and ours in given):
            raise ValueError(f"`{ours}` is given twice: `{name}` is Prometheus' name for it")
        out[ours] = value
    return out


def _shown(value: Any) -> str:
    """Return a short value as YAML writes it; an address or a mapping may hold a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else "given"


def _take_files(out: dict[Any, Any]) -> None:
    configs = out.pop("file_sd_configs", None)
    if configs is None:
        return
    if "file" in out:
        raise ValueError("`file` is given twice: `file_sd_configs` is Prometheus' name for it")
    if not isinstance(configs, list) or not all(isinstance(each, Mapping) for each in configs):
        raise ValueError("`file_sd_configs` is a list of {files: […]}")
    for each in configs:
        _check_names(each, "file_sd_configs", {"files", "refresh_interval"})
    # How often to look is not a question here: a change is noticed within seconds.
    out["file"] = [path for each in configs for path in each.get("files") or ()]


def _take_authentication(out: dict[Any, Any]) -> None:
    basic = _part(out, "basic_auth", {"username", "password"})
    if basic is not None:
        _set(out, "username", basic.get("username"), "basic_auth.username")
        _set(out, "password", basic.get("password"), "basic_auth.password")
    authorization = _part(out, "authorization", {"type", "credentials"})
    if authorization is not None:
        kind = authorization.get("type") or "Bearer"
        if not isinstance(kind, str) or kind.strip().lower() != "bearer":
            raise ValueError("`authorization` of a type other than Bearer: give the header in `secret_headers`")
        _set(out, "bearer", authorization.get("credentials"), "authorization.credentials")


def _take_tls(out: dict[Any, Any]) -> None:
    names = {"ca", "ca_file", "cert", "cert_file", "key", "key_file", "insecure_skip_verify"}
    tls = _part(out, "tls_config", names)
    if tls is None:
        return
    for ours, theirs in (("ca", "ca"), ("client_certificate", "cert"), ("client_key", "key")):
        _set(out, ours, tls.get(theirs) or tls.get(f"{theirs}_file") or None, f"tls_config.{theirs}")
    skipped = tls.get("insecure_skip_verify")
    if skipped is not None:
        if not isinstance(skipped, bool):
            raise ValueError("`tls_config.insecure_skip_verify` must be true or false")
        _set(out, "verify", not skipped, "tls_config.insecure_skip_verify")


def _take_headers(out: dict[Any, Any]) -> None:
    headers = without_nulls(out.pop("http_headers", None) or {})
    if not isinstance(headers, Mapping) or not all(isinstance(each, Mapping) for each in headers.values()):
        raise ValueError("`http_headers` is {Name: {values: […]}} or {Name: {secrets: […]}}")
    for name, given in headers.items():
        _check_names(given, f"http_headers.{name}", {"values", "secrets"})
        for theirs, ours in (("values", "headers"), ("secrets", "secret_headers")):
            values = given.get(theirs)
            if values:
                target = dict(out.get(ours) or {})
                target[name] = ", ".join(map(str, values))
                out[ours] = target


def _take_formats(out: dict[Any, Any]) -> None:
    formats = out.get("scrape_protocols")
    if isinstance(formats, list | tuple) and formats:
        known = [each for each in formats if each != PROTOBUF]  # targets answer in the next format of the list
        if not known:
            raise ValueError(f"`scrape_protocols` names {PROTOBUF} only: add one of {', '.join(get_args(Protocol))}")
        if len(set(map(str, known))) < len(known):
            raise ValueError("`scrape_protocols` names a format twice")
        out["scrape_protocols"] = known
    elif formats is not None and not formats:
        del out["scrape_protocols"]
    if out.get("metric_name_escaping_scheme") == "":
        del out["metric_name_escaping_scheme"]
    scheme = out.pop("metric_name_validation_scheme", "")
    if scheme not in ("", "utf8", "legacy"):
        raise ValueError("`metric_name_validation_scheme` must be utf8 or legacy")
    escaping = out.setdefault("metric_name_escaping_scheme", _ESCAPING[scheme]) if scheme else None
    if scheme == "legacy" and escaping == "allow-utf-8":
        raise ValueError("`metric_name_escaping_scheme` cannot be allow-utf-8 where names are legacy")


_ESCAPING = {"utf8": "allow-utf-8", "legacy": "underscores"}


def _part(out: dict[Any, Any], name: str, known: set[str]) -> Mapping[Any, Any] | None:
    part = out.pop(name, None)
    if part is None:
        return None
    if not isinstance(part, Mapping):
        raise ValueError(f"`{name}` is a mapping of {', '.join(sorted(known))}")
    _check_names(part, name, known)
    return part


def _check_names(part: Mapping[Any, Any], name: str, known: set[str]) -> None:
    foreign = sorted(str(each) for each in part if each not in known)
    if foreign:
        raise ValueError(
            f"`{name}` holds {', '.join(foreign)}, which Mainstay does not know here; it knows "
            f"{', '.join(sorted(known))}"
        )


def _set(out: dict[Any, Any], name: str, value: Any, theirs: str) -> None:
    if value is None:
        return
    if name in out:
        raise ValueError(f"`{name}` is given twice: `{theirs}` is Prometheus' name for it")
    out[name] = value
