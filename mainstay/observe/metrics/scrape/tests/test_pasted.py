"""Entries of Prometheus' `scrape_configs`, pasted: what is taken, what is refused, and what null means."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mainstay.net.request import Request
from mainstay.observe.metrics.scrape.discovery import read_groups
from mainstay.observe.metrics.scrape.fetch import FetchPlan
from mainstay.observe.metrics.scrape.pasted import FOREIGN
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.tests.test_targets import found
from mainstay.observe.metrics.spec import ScrapeSpec

DOCUMENT = Path(__file__).parents[5] / "docs" / "scraping.md"


def pasted(**fields: Any) -> ScrapeSettings:
    return ScrapeSettings.model_validate({"static_configs": [{"targets": ["a:1"]}], **fields})


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        pasted(**fields)
    return str(refused.value)


# --- null, or nothing at all ---------------------------------------------------------------------------------------


@pytest.mark.fault("M15")
@pytest.mark.parametrize(
    ("content", "addresses"),
    [
        ("- labels: {job: node}\n- targets: [b:1]\n", ["b:1"]),
        ("- targets:\n  labels: {job: node}\n- targets: [b:1]\n", ["b:1"]),
        ("- targets: [a:1]\n  labels:\n- targets: [b:1]\n", ["a:1", "b:1"]),
        ("- targets: [a:1]\n  labels: ~\n", ["a:1"]),
        ("- {}\n- targets: [b:1]\n", ["b:1"]),
        ("- targets: [null, b:1]\n", ["b:1"]),
        ("- targets:\n  -\n  - b:1\n", ["b:1"]),
        ("- targets: [a:1]\n  labels: {zone: null, env: }\n", ["a:1"]),
        ("null", []),
        ("[]", []),
        ('[{"labels": {"job": "node"}}, {"targets": ["b:1"]}]', ["b:1"]),
        ('[{"targets": null, "labels": null}, {"targets": ["b:1"], "labels": null}]', ["b:1"]),
        ('[{"targets": ["b:1", null], "labels": {"zone": null}}]', ["b:1"]),
    ],
)
def test_null_in_a_list_of_targets_is_an_empty_value_and_the_rest_counts(content: str, addresses: list[str]) -> None:
    groups = read_groups(content.encode(), is_json=content.startswith("[{"))
    assert [address for group in groups for address in group.targets] == addresses
    settings = ScrapeSettings.model_validate({"static_configs": [*map(dict, groups), {"targets": ["z:1"]}]})
    assert [target.labels["instance"] for target in found(targets=settings.targets).targets] == [*addresses, "z:1"]


@pytest.mark.fault("M15")
@pytest.mark.parametrize("content", ["-\n- targets: [b:1]\n", "[null]", "- null\n", "~: 1\n"])
def test_a_group_that_is_null_itself_is_refused_as_prometheus_does(content: str) -> None:
    with pytest.raises(ValueError, match=r"as a whole|must be a list"):
        read_groups(content.encode(), is_json=False)


@pytest.mark.fault("M15")
def test_a_label_without_a_value_is_no_label() -> None:
    (target,) = found(targets=[{"targets": ["a:1"], "labels": {"zone": None, "instance": None, "env": "x"}}]).targets
    assert target.labels == {"job": "node", "instance": "a:1", "env": "x"}


@pytest.mark.fault("M15")
@pytest.mark.parametrize(
    "fields",
    [
        {"params": None},
        {"params": {"a": None}},
        {"relabel_configs": None},
        {"metric_relabel_configs": None},
        {"basic_auth": None},
        {"basic_auth": {"username": None}},
        {"authorization": {"type": None, "credentials": None}},
        {"tls_config": {"insecure_skip_verify": None, "ca_file": None}},
        {"http_headers": None},
        {"http_headers": {"X-A": None}},
        {"http_headers": {"X-A": {"values": None}}},
        {"file_sd_configs": None},
        {"dns_sd_configs": None},
        {"scheme": None, "metrics_path": None, "honor_labels": None, "scrape_protocols": None, "oauth2": None},
        {"scrape_interval": None, "scrape_timeout": None, "bearer_token": ""},
        {"tls_config": {"ca_file": "", "cert_file": "", "key_file": ""}},
        {"sample_limit": None, "body_size_limit": None, "kubernetes_sd_configs": None, "proxy_url": None},
        {"metric_name_validation_scheme": None, "metric_name_escaping_scheme": None, "fallback_scrape_protocol": None},
    ],
)
def test_a_field_that_is_null_is_as_if_it_were_not_there(fields: dict[str, Any]) -> None:
    given = {"name": "node", "static_configs": [{"targets": ["a:1"]}]}
    taken, plain = (ScrapeSpec.model_validate({**given, **more}) for more in (fields, {}))
    same = {name for name in ScrapeSpec.model_fields if getattr(taken, name) == getattr(plain, name)}
    assert set(ScrapeSpec.model_fields) - same <= {"params"}
    assert not any(taken.params.values())


@pytest.mark.fault("M15")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("honor_timestamps", "honor_timestamps"),
        ("follow_redirects", "follow_redirects"),
        ("enable_compression", "compressed"),
    ],
)
def test_a_truth_that_is_null_is_false_as_in_go(theirs: str, ours: str) -> None:
    assert getattr(pasted(), ours) is True
    assert getattr(pasted(**{theirs: None}), ours) is False


@pytest.mark.fault("M15")
def test_in_a_rule_null_is_an_empty_text_and_no_labels_but_an_action_is_needed() -> None:
    given = {"source_labels": None, "separator": None, "regex": None, "modulus": None, "target_label": "x"}
    (rule,) = pasted(relabel_configs=[{**given, "replacement": None}]).relabel
    assert (rule.source_labels, rule.separator, rule.regex, rule.modulus, rule.replacement) == ((), "", "", 0, "")
    assert "action" in refusal(relabel_configs=[{"action": None, "target_label": "x"}])


@pytest.mark.fault("M15")
@pytest.mark.parametrize("zero", [0, "0", "0s"])
def test_an_interval_of_zero_is_none(zero: int | str) -> None:
    given = {"name": "node", "targets": ["a:1"], "scrape_interval": zero, "scrape_timeout": zero}
    assert ScrapeSpec.model_validate(given).every == 15.0
    assert ScrapeSpec.model_validate(given).timeout_s == 10.0


@pytest.mark.fault("M15")
def test_in_a_search_of_the_dns_null_is_the_default_and_the_type_is_read_in_either_case() -> None:
    given = {"names": ["shop.example.com"], "type": "a", "port": 9100, "refresh_interval": None}
    (search,) = pasted(dns_sd_configs=[given]).dns
    assert (search.type, search.refresh) == ("A", 30.0)
    (search,) = pasted(dns_sd_configs=[{"names": ["shop.example.com"], "port": None}]).dns
    assert (search.type, search.port) == ("SRV", None)
    assert "`type` must be SRV" in refusal(dns_sd_configs=[{"names": ["shop.example.com"], "type": None}])


# --- fields without a counterpart ----------------------------------------------------------------------------------


@pytest.mark.fault("M19")
@pytest.mark.parametrize(
    "fields",
    [
        {"fallback_scrape_protocol": "PrometheusText0.0.4"},
        {"fallback_scrape_protocol": "PrometheusText1.0.0"},
        {"fallback_scrape_protocol": ""},
        {"always_scrape_classic_histograms": True},
        {"always_scrape_classic_histograms": False},
        {"scrape_classic_histograms": True},
        {"scrape_native_histograms": False},
        {"convert_classic_histograms_to_nhcb": False},
        {"native_histogram_bucket_limit": 160},
        {"native_histogram_min_bucket_factor": 1.1},
        {"keep_dropped_targets": 100},
        {"enable_http2": False},
        {"enable_http2": True},
        {"track_timestamps_staleness": False},
        {"extra_scrape_metrics": False},
        {"scrape_failure_log_file": ""},
        {"proxy_url": "", "no_proxy": "", "proxy_from_environment": False, "proxy_connect_header": {}},
    ],
)
def test_a_field_that_makes_no_difference_is_taken(fields: dict[str, Any]) -> None:
    assert pasted(**fields) == pasted()


@pytest.mark.fault("M19")
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fallback_scrape_protocol": "OpenMetricsText1.0.0"}, "is read as PrometheusText0.0.4"),
        ({"fallback_scrape_protocol": "PrometheusProto"}, "is read as PrometheusText0.0.4"),
        ({"always_scrape_classic_histograms": "often"}, "give true or false"),
        ({"scrape_native_histograms": True}, "`scrape_native_histograms` cannot be true here: native histograms"),
        ({"convert_classic_histograms_to_nhcb": True}, "native histograms are not scraped"),
        ({"keep_dropped_targets": -1}, "give a number"),
        ({"track_timestamps_staleness": True}, "end 5 minutes after"),
        ({"extra_scrape_metrics": True}, "scrape_timeout_seconds"),
        ({"scrape_failure_log_file": "/var/log/scrapes"}, "`scrape_failure_log_file` cannot be given here"),
        (
            {"proxy_url": "http://user:secret@proxy:3128"},
            "`proxy_url` cannot be given here: targets are asked directly",
        ),
        ({"oauth2": {"client_id": "x"}}, "`oauth2` cannot be given here"),
        ({"bearer_token_file": "/run/token"}, "stored encrypted"),
        ({"kubernetes_sd_configs": [{"role": "pod"}]}, "`kubernetes_sd_configs` is not known here"),
        ({"http_sd_configs": []}, "`http_sd_configs` is not known here"),
        ({"scrape_protocols": ["PrometheusProto"]}, "names PrometheusProto only"),
        ({"scrape_protocols": ["PrometheusText0.0.4", "PrometheusText0.0.4"]}, "names a format twice"),
        ({"scrape_protocols": ["Graphite"]}, "scrape_protocols.0"),
        ({"metric_name_validation_scheme": "ascii"}, "must be utf8 or legacy"),
        ({"metric_name_escaping_scheme": "none"}, "metric_name_escaping_scheme"),
        (
            {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "allow-utf-8"},
            "cannot be allow-utf-8 where names are legacy",
        ),
        ({"file_sd_configs": [{"files": ["/srv/files/a.json"], "paths": []}]}, "`file_sd_configs` holds paths"),
        ({"http_headers": {"X-A": {"files": ["/x"]}}}, "`http_headers.X-A` holds files"),
        ({"tls_config": {"insecure_skip_verify": "no"}}, "must be true or false"),
        ({"tls_config": {"min_version": "TLS13"}}, "`tls_config` holds min_version"),
    ],
)
def test_a_field_that_would_make_a_difference_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    message = refusal(**fields)
    assert words in message
    assert "user:secret" not in message


@pytest.mark.fault("M19")
def test_documents_name_every_field_without_a_counterpart() -> None:
    section = DOCUMENT.read_text("utf-8").split("## From Prometheus")[1].split("\n## ")[0]
    assert set(FOREIGN) <= set(re.findall(r"`(\w+)`", section))


# --- formats and names ---------------------------------------------------------------------------------------------


def asked(**fields: Any) -> str:
    request: Request = FetchPlan("http://a:1/metrics", pasted(**fields), 10.0).request
    return request.headers["Accept"]


@pytest.mark.fault("M19")
@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({"scrape_protocols": ["PrometheusText0.0.4"]}, "text/plain;version=0.0.4;q=0.9,*/*;q=0.8"),
        ({"scrape_protocols": ["PrometheusProto", "PrometheusText0.0.4"]}, "text/plain;version=0.0.4;q=0.9,*/*;q=0.8"),
        (
            {
                "scrape_protocols": ["PrometheusText1.0.0", "OpenMetricsText0.0.1"],
                "metric_name_validation_scheme": "utf8",
            },
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.9,application/openmetrics-text;version=0.0.1;q=0.8,"
            "*/*;q=0.7",
        ),
        (
            {"scrape_protocols": ["OpenMetricsText1.0.0"], "metric_name_escaping_scheme": "dots"},
            "application/openmetrics-text;version=1.0.0;escaping=dots;q=0.9,*/*;q=0.8",
        ),
        (
            {"scrape_protocols": ["OpenMetricsText1.0.0"], "metric_name_validation_scheme": "legacy"},
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.9,*/*;q=0.8",
        ),
        (
            {
                "scrape_protocols": ["OpenMetricsText1.0.0"],
                "metric_name_validation_scheme": "utf8",
                "metric_name_escaping_scheme": "values",
            },
            "application/openmetrics-text;version=1.0.0;escaping=values;q=0.9,*/*;q=0.8",
        ),
    ],
)  # fmt: skip
def test_targets_are_asked_for_the_formats_and_names_that_a_scrape_wants(fields: dict[str, Any], header: str) -> None:
    assert asked(**fields) == header


def test_targets_are_asked_for_every_format_that_is_read_openmetrics_first() -> None:
    ranked = [each.partition(";")[0] for each in asked().split(",")]
    assert ranked == [*["application/openmetrics-text"] * 2, *["text/plain"] * 2, "*/*"]
