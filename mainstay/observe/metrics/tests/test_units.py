"""In which unit the values of an expression are."""

import pytest

from mainstay.observe.metrics.pages import units


@pytest.mark.parametrize(
    ("text", "shown", "factor"),
    [
        ("process_resident_memory_bytes", "bytes", 1),
        ("http_requests_total", "", 1),
        ("rate(http_requests_total[5m])", "/s", 1),
        ("sum by (code) (rate(http_requests_total[5m]))", "/s", 1),
        ("sum(rate(node_network_receive_bytes_total[5m])) without (device)", "bytes/s", 1),
        ("increase(http_requests_total[1h])", "", 1),
        ("rate(process_cpu_seconds_total[5m])", "%", 100),
        ('sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m]))', "%", 100),
        ('sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m])) > 0.05', "%", 100),
        ('100 * sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m]))', "", 1),
        ('sum(rate(r_total{code="500"}[5m])) / sum(rate(r_total[5m])) * 100', "%", 1),
        ("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "%", 100),
        ("histogram_quantile(0.99, sum by (le) (rate(x_duration_seconds_bucket[5m])))", "s", 1),
        ("rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])", "s", 1),
        ("time() - process_start_time_seconds", "s", 1),
        ("(probe_ssl_earliest_cert_expiry - time()) / 86400", "", 1),
        ("x_milliseconds / 1000", "s", 1),
        ("avg_over_time(disk_usage_ratio[1h])", "%", 100),
        ("topk(5, queue_bytes)", "bytes", 1),
        ("quantile by (job) (0.9, latency_seconds)", "s", 1),
        ("count(up)", "", 1),
        ("up", "", 1),
        ("avg(up)", "%", 100),
        ("sum by (job) (up)", "", 1),
        ("1 - avg_over_time(probe_success[1d])", "%", 100),
        ("sum(up) / count(up)", "%", 100),
        ("job:http_requests:rate5m", "/s", 1),
        ("job:errors:ratio_rate5m", "%", 100),
        ("bytes_a_bytes * 8", "", 1),
        ("foo", "", 1),
        ("x_seconds > bool 5", "", 1),
    ],
)
def test_the_unit_follows_from_names_and_operations(text: str, shown: str, factor: float) -> None:
    found = units.of(text)
    assert (found.shown, found.factor) == (shown, factor)
