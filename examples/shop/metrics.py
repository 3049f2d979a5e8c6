"""The metrics of the shop, declared once; the process and Python bring their own."""

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from examples.shop import __version__

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]
Info("shop_build", "The version is the label.").info({"version": __version__})
REQUESTS = Counter("http_requests_total", "Requests answered.", ("handler", "method", "code"))
REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request read to its answer ready.",
    ("handler",),
    buckets=_BUCKETS_S,
)
QUERY_DURATION = Histogram(
    "shop_db_query_duration_seconds", "Time of one SQL statement, rows fetched.", ("query",), buckets=_BUCKETS_S
)
ORDERS = Counter("shop_orders_total", "Checkouts, by how they ended.", ("outcome",))
CART_SIZE = Gauge("shop_cart_size", "Units lying in open carts.")
JOB_RUNS = Counter("shop_job_runs_total", "Runs of a background job.", ("job", "result"))
JOB_LAST_SUCCESS = Gauge("shop_job_last_success_timestamp_seconds", "When a job last succeeded (unix time).", ("job",))
