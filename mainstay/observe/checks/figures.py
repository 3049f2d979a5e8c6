"""How the prober is, as metrics."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mainstay.observe.checks.probe.engine import Figures


class ProberMetrics:
    """Turns the prober's figures into metrics when somebody asks."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; durations in seconds."""
        now = self._figures()
        lateness = GaugeMetricFamily(
            "mainstay_probe_lateness_seconds", "How late probes began after they were due.", labels=["quantile"]
        )
        lateness.add_metric(["0.5"], now.lateness_p50_s)
        lateness.add_metric(["0.99"], now.lateness_p99_s)
        yield lateness
        for name, help_text, value in (
            ("mainstay_prober_lag_seconds", "How late the prober's loop is.", now.lag_s),
            ("mainstay_checks_planned", "Checks that this monitor probes.", now.planned),
            ("mainstay_probes_in_flight", "Probes under way.", now.in_flight),
            ("mainstay_probes_waiting", "Probes that are due but wait for a place.", now.waiting),
            ("mainstay_results_pending", "Results not yet handed on.", now.results_pending),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        for name, help_text, value in (
            ("mainstay_probes", "Probes that have ended.", now.probes),
            (
                "mainstay_slots_overlapped",
                "Slots that fell due while their check was being probed.",
                now.slots_overlapped,
            ),
            ("mainstay_slots_skipped", "Slots that nobody could probe (stall, suspended machine).", now.slots_skipped),
        ):
            yield CounterMetricFamily(name, help_text, value=value)
