"""What metrics do in the monitor: scrape, keep, and answer whoever asks, at a port of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.conf import settings
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mainstay.foundation.clock import now
from mainstay.foundation.environment import Environment
from mainstay.foundation.http.connections import Limits
from mainstay.foundation.processes.run import Cycle, Ending, Work, lower
from mainstay.foundation.processes.supervise import need_port
from mainstay.foundation.processes.watchdog import Turn
from mainstay.foundation.secrets import inner_token
from mainstay.observe.checks.runtime.watching import Watching
from mainstay.observe.metrics.embedded import Embedded
from mainstay.observe.metrics.serve.port import Port
from mainstay.observe.metrics.servers import LISTENS, OWNING_SHARD, may_scrape

LONG_CALL_S = 300.0  # that a call of the store may take on a slow disk before it counts as hanging


class Measuring(Work):
    """What one monitor process knows and does of metrics."""

    def __init__(self, environment: Environment, works: Sequence[Work]) -> None:
        self._environment = environment
        self._watching = lower(works, Watching)
        self.elsewhere = bool(environment.metrics_url)
        self.embedded = Embedded(environment, now)
        self._port: Port | None = None
        cycle = Cycle("metrics", 1.0, self.cycle, patience_s=LONG_CALL_S)
        super().__init__([cycle])
        self._watching.measure_with(self.embedded, self.embedded.hear)
        self._watching.shards_changed.append(cycle.wake)
        self.collectors.append(StoreMetrics(self.embedded))
        if self.embedded.latest is not None:
            self.collectors.append(self.embedded.latest)

    def cycle(self, at: datetime, process: int) -> None:
        """Open the store when it is this monitor's turn, close it when it is not any more; keep it."""
        self.embedded.hold(mine=OWNING_SHARD in self._watching.shards and not self.elsewhere)
        self.embedded.cycle(at, process)

    def prepare(self) -> None:
        """Look whether the port is free, before others wait for what this monitor would take."""
        need_port(self._environment.host, self._environment.monitor_port, "MAINSTAY_MONITOR_PORT")

    def start(self, works: Sequence[Work]) -> None:
        """Listen."""
        registry = CollectorRegistry()
        for work in works:
            for collector in work.collectors:
                registry.register(collector)
        environment, key = self._environment, settings.SECRET_KEY
        self._port = Port(
            environment.host,
            environment.monitor_port,
            registry,
            self.embedded.answer,
            inner_token(key),
            lambda authorization: may_scrape(authorization, key),
            Limits(environment.connections_most, environment.connections_per_address),
        )

    def stop(self) -> None:
        """Answer no more."""
        if self._port is not None:
            self._port.stop()

    def endings(self) -> Iterable[Ending]:
        """Write what is kept in memory."""
        return [("the history of metrics", self.embedded.close)]

    def lag_s(self) -> float:
        """Return how late the loops of the scraper and of the port are."""
        return max(self.embedded.lag_s(), self._port.lag_s() if self._port else 0.0)

    def waiting_s(self) -> float:
        """Return for how long a scrape that is due has waited for a place."""
        return self.embedded.waiting_s()

    def turns(self) -> Iterable[Turn]:
        """Return what the threads of the port do."""
        return [self._port.turn(LONG_CALL_S)] if self._port else ()

    def facts(self) -> Mapping[str, object]:
        """Return where it listens."""
        return {LISTENS: [self._environment.host, self._environment.monitor_port]}


class StoreMetrics:
    """Turns the figures of store and scraper into metrics when somebody asks."""

    def __init__(self, metrics: Embedded) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; sizes in bytes."""
        store, scraper = self._metrics.store, self._metrics.scraper
        if store is not None:
            now = store.figures()
            for name, text, value in (
                ("mainstay_metrics_series", "Series that the store knows.", now.series),
                ("mainstay_metrics_memory_bytes", "Memory of series and recent samples.", now.memory_bytes),
                ("mainstay_metrics_disk_bytes", "Disk that the store uses.", now.disk_bytes),
            ):
                yield GaugeMetricFamily(name, text, value=value)
            yield CounterMetricFamily("mainstay_metrics_samples", "Samples taken.", value=now.appended)
            refused = CounterMetricFamily("mainstay_metrics_refused", "Samples refused, by reason.", labels=["reason"])
            for reason, count in now.refused.items():
                refused.add_metric([reason.value], count)
            yield refused
            yield CounterMetricFamily(
                "mainstay_metrics_series_refused",
                "Series that the cardinality guard refused.",
                value=now.refused_series,
            )
        if scraper is not None:
            seen = scraper.figures()
            targets = GaugeMetricFamily("mainstay_scrape_targets", "Targets that are scraped.", labels=["up"])
            targets.add_metric(["true"], seen.targets_up)
            targets.add_metric(["false"], seen.targets - seen.targets_up)
            yield targets
            yield CounterMetricFamily("mainstay_scrapes", "Scrapes that have ended.", value=seen.scrapes)
            yield CounterMetricFamily("mainstay_scrapes_failed", "Scrapes that failed.", value=seen.failures)
            yield CounterMetricFamily(
                "mainstay_scrape_samples_repeated",
                "Samples left out because the answer had their series before, at the same time.",
                value=seen.repeated,
            )
