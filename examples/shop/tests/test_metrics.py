"""The metrics, read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

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
    shop.request("DELETE", "/products/2")
    shop.get("/nowhere/1")
    shop.get("/nowhere/2")
    answer = shop.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = parsed(answer.text)
    assert value(samples, "http_requests_total", handler="product", method="GET", code="200") == 2
    assert value(samples, "http_requests_total", handler="product", method="HEAD", code="200") == 1
    assert value(samples, "http_requests_total", handler="unmatched", method="DELETE", code="405") == 1
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
