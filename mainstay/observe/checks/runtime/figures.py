"""Prometheus metrics of the prober, and what it says about itself on Now."""

import math
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mainstay.foundation.processes import notices
from mainstay.observe.checks.probe.engine import Figures

SAID_FROM_S = 3.0  # probes that wait for less are a burst
SAID_FOR_S = 60.0  # after the last time that it was so
WAITING, NAMES = "descriptors", "names"


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
            ("mainstay_probes_waiting_seconds", "For how long the first of them has waited.", now.waiting_s),
            ("mainstay_names_pending", "Names being looked up, or waiting for that.", now.names_waiting),
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
            (
                "mainstay_slots_skipped",
                "Slots that nobody could probe (stall, suspended machine, name not asked about).",
                now.slots_skipped,
            ),
            ("mainstay_probes_unasked", "Probes given up since their name was never asked about.", now.unasked),
            ("mainstay_prober_defects", "Errors of Mainstay that cost a probe or a turn.", now.defects),
        ):
            yield CounterMetricFamily(name, help_text, value=value)


class ProberNotices:
    """Says when probes wait for a place, or are not made because names are not looked up in time."""

    def __init__(self) -> None:
        self._unasked = 0
        self._since_s: dict[str, float] = {}  # when it was so last

    def tell(self, figures: Figures, now: datetime, monotonic: float) -> None:
        """Compare the figures with those of the last call."""
        if self._lasts(WAITING, figures.waiting_s >= SAID_FROM_S, monotonic):
            limit = (
                f"The limit on open files (ulimit -n, LimitNOFILE of systemd) allows {figures.max_in_flight} at once: "
                "raise it, and start Mainstay again."
                if figures.by_descriptors
                else f"{figures.max_in_flight} probes run at once. Shorter timeouts, longer intervals or a second "
                "monitor help."
            )
            notices.tell(WAITING, "Probes begin late: more are due than may run at once.", limit, now)
        more, self._unasked = figures.unasked - self._unasked, figures.unasked
        if self._lasts(NAMES, more > 0, monotonic):
            notices.tell(
                NAMES,
                "Some checks are not probed: their names are not looked up in time.",
                "Name servers of other names do not answer, and half of the look-ups may wait for those. "
                "Such a check is not called down; its slots are skipped. Mend the name servers, or probe by address.",
                now,
            )

    def _lasts(self, code: str, so: bool, monotonic: float) -> bool:
        """Tell whether it is so now; end the notice when it has not been so for a while."""
        if so:
            self._since_s[code] = monotonic
        elif monotonic - self._since_s.get(code, math.inf) >= SAID_FOR_S:
            del self._since_s[code]
            notices.end(code)
        return so
