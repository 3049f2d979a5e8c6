"""How the metrics store, the scraper and the rules are, as metrics."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mainstay.observe.metrics.embedded import Embedded
from mainstay.respond.rules.engine.evaluation import Evaluation


class StoreMetrics:
    """Turns the figures of store, scraper and rules into metrics when somebody asks."""

    def __init__(self, metrics: Embedded, rules: Evaluation) -> None:
        self._metrics = metrics
        self._rules = rules

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; durations in seconds, sizes in bytes."""
        yield from self._evaluation()
        store, scraper = self._metrics.store, self._metrics.scraper
        if store is not None:
            now = store.figures()
            yield _gauge("mainstay_metrics_series", "Series that the store knows.", now.series)
            yield _gauge("mainstay_metrics_memory_bytes", "Memory of series and recent samples.", now.memory_bytes)
            yield _gauge("mainstay_metrics_disk_bytes", "Disk that the store uses.", now.disk_bytes)
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

    def _evaluation(self) -> Iterator[Metric]:
        figures = self._rules.figures
        yield CounterMetricFamily("mainstay_rules_evaluated", "Evaluations of rules.", value=figures.rules)
        yield CounterMetricFamily("mainstay_rule_rounds", "Rounds of evaluation.", value=figures.rounds)
        yield CounterMetricFamily("mainstay_rule_instants_missed", "Instants that were skipped.", value=figures.missed)
        yield _gauge("mainstay_rule_round_seconds", "Duration of the last round.", figures.last_s)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
