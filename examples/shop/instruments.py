"""The metrics of the shop, declared once."""

from examples.shop import __version__, process
from examples.shop.metrics import Counter, Family, Gauge, Histogram, exposition


class Instruments:
    def __init__(self) -> None:
        self.requests = Counter("http_requests_total", "Requests answered.", ("handler", "method", "code"))
        self.request_duration = Histogram(
            "http_request_duration_seconds", "Time from a request read to its answer ready.", ("handler",)
        )
        self.query_duration = Histogram(
            "shop_db_query_duration_seconds", "Time of one SQL statement, rows fetched.", ("query",)
        )
        self.orders = Counter("shop_orders_total", "Checkouts, by how they ended.", ("outcome",))
        self.cart_size = Gauge("shop_cart_size", "Units lying in open carts.")
        self.job_last_success = Gauge(
            "shop_job_last_success_timestamp_seconds", "When a job last succeeded (unix time).", ("job",)
        )
        self.job_runs = Counter("shop_job_runs_total", "Runs of a background job.", ("job", "result"))
        self._build = Gauge("shop_build_info", "Always 1; the version is the label.", ("version",))
        self._memory = Gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
        self._cpu = Gauge("process_cpu_seconds_total", "Total user and system CPU time in seconds.", kind="counter")
        self._started = Gauge("process_start_time_seconds", "Start of the process since the unix epoch in seconds.")
        self._open_files = Gauge("process_open_fds", "Number of open file descriptors.")

    def scrape(self) -> bytes:
        """Everything as Prometheus text; process figures are read at this moment."""
        self._build.set(1, version=__version__)
        self._memory.set(process.resident_memory_bytes())
        self._cpu.set(process.cpu_seconds())
        self._started.set(process.STARTED_AT)
        open_files = process.open_files()
        if open_files is not None:
            self._open_files.set(open_files)
        return exposition(tuple(family for family in vars(self).values() if isinstance(family, Family)))
