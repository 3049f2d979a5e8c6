"""The metrics, read by Prometheus' own parser."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from examples.shop.metrics import Counter, Gauge, Histogram, exposition
from examples.shop.tests.conftest import RunningShop

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[(name, frozenset(labels.items()))]


def test_the_shop_speaks_prometheus(shop: RunningShop) -> None:
    shop.get("/products/1")
    shop.get("/products/2")
    shop.request("HEAD", "/products/2")
    shop.request("BREW", "/products/2")
    shop.get("/nowhere/1")
    shop.get("/nowhere/2")
    answer = shop.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = parsed(answer.text)
    assert value(samples, "http_requests_total", handler="product", method="GET", code="200") == 2
    assert value(samples, "http_requests_total", handler="product", method="HEAD", code="200") == 1
    assert value(samples, "http_requests_total", handler="unmatched", method="other", code="405") == 1
    assert value(samples, "http_requests_total", handler="unmatched", method="GET", code="404") == 2
    assert value(samples, "http_request_duration_seconds_count", handler="product") == 3
    assert value(samples, "shop_db_query_duration_seconds_count", query="product") == 3
    assert value(samples, "shop_job_last_success_timestamp_seconds", job="reconcile-stock") > 1.7e9
    assert value(samples, "process_resident_memory_bytes") > 5e6
    assert value(samples, "process_cpu_seconds_total") > 0
    assert value(samples, "process_start_time_seconds") > 1.7e9
    assert value(samples, "shop_cart_size") == 0


def test_carts_and_orders_are_counted(shop: RunningShop) -> None:
    added = shop.post_form("/cart", product_id=1, quantity=4)
    cookie = added.headers["Set-Cookie"].split(";")[0]
    assert shop.metric("shop_cart_size") == 4
    for card in ("declined", "accepted"):
        shop.post_form("/checkout", cookie, name="Ada", email="ada@example.org", card=card)
    samples = parsed(shop.get("/metrics").text)
    assert value(samples, "shop_orders_total", outcome="paid") == 1
    assert value(samples, "shop_orders_total", outcome="declined") == 1
    assert value(samples, "shop_cart_size") == 0


@given(st.text(), st.text())
def test_any_label_and_help_text_survives_the_exposition(label: str, meaning: str) -> None:
    counter = Counter("things_total", meaning, ("which",))
    counter.add(2, which=label)
    lines = exposition((counter,)).decode(errors="surrogatepass")
    # The parser splits lines as str.splitlines does, which is more often than the format does.
    if len(lines.splitlines()) == 3:
        assert parsed(lines) == {("things_total", frozenset({("which", label)})): 2.0}


@given(st.lists(st.floats(0, 20), max_size=50))
def test_histogram_buckets_hold_all_observations_at_or_below_their_bound(observations: list[float]) -> None:
    histogram = Histogram("wait_seconds", "Waiting.", ("queue",), bounds=(0.1, 1.0, 5.0))
    for number in observations:
        histogram.observe(number, queue="a")
    samples = parsed(exposition((histogram,)).decode())
    if not observations:
        assert samples == {}
        return
    for bound in (0.1, 1.0, 5.0, math.inf):
        le = "+Inf" if math.isinf(bound) else str(bound)
        expected = sum(number <= bound for number in observations)
        assert value(samples, "wait_seconds_bucket", queue="a", le=le) == expected
    assert value(samples, "wait_seconds_count", queue="a") == len(observations)
    assert value(samples, "wait_seconds_sum", queue="a") == pytest.approx(sum(observations))


def test_a_gauge_that_was_never_set_is_absent() -> None:
    assert parsed(exposition((Gauge("job_last_success_seconds", "When."),)).decode()) == {}


def test_a_wrong_label_is_refused() -> None:
    with pytest.raises(ValueError, match="takes the labels"):
        Counter("things_total", "Things.", ("which",)).add(what="x")
