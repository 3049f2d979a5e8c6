"""What rules do in the monitor: where they ask, and which of them are this monitor's."""

import time
from collections.abc import Iterator, Sequence

from django.conf import settings
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mainstay.foundation import gaps
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.run import Cycle, Work, lower
from mainstay.observe.checks.runtime.shards import shard_of
from mainstay.observe.checks.runtime.watching import Watching
from mainstay.observe.metrics.measuring import LONG_CALL_S, Measuring
from mainstay.observe.metrics.servers import client
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.sources import ServerSource, Source, StoreSource


class Evaluating(Work):
    """What one monitor process knows and does of rules."""

    def __init__(self, environment: Environment, works: Sequence[Work]) -> None:
        self._watching = lower(works, Watching)
        measuring = lower(works, Measuring)
        self._metrics, self._elsewhere = measuring.embedded, measuring.elsewhere
        self._source: Source | None = None
        self.rules = Evaluation(
            source=self.source,
            mine=self.evaluates,
            turn=lambda: self._watching.shards if self._elsewhere else id(self._metrics.store),
            ready=self.may_evaluate,
            external_url=settings.BASE_URL,
            jumped_s=gaps.detector.follow().jumped_s,
            coverage=lambda: self._metrics.coverage,
        )
        super().__init__(
            [Cycle("rules", 0.5, self.rules.cycle, patience_s=LONG_CALL_S + environment.metrics_timeout_s)]
        )
        self.collectors.append(RuleMetrics(self.rules))

    def source(self) -> Source | None:
        """Return what rules ask: the server of METRICS_URL, or this monitor's store while it has one."""
        if self._elsewhere:
            self._source = self._source or ServerSource(client())
            return self._source
        store = self._metrics.store
        if store is None:
            return None
        if not isinstance(self._source, StoreSource) or self._source.store is not store:
            self._source = StoreSource(store, time.monotonic)
        return self._source

    def evaluates(self, group: int) -> bool:
        """Tell whether a group of rules is this monitor's: where the store is, or by shards."""
        if self._elsewhere:
            return shard_of(group) in self._watching.shards
        return self._metrics.store is not None

    def may_evaluate(self) -> bool:
        """Tell whether what rules find missing is missing."""
        return self._elsewhere or self._metrics.ready


class RuleMetrics:
    """Turns the figures of evaluation into metrics when somebody asks."""

    def __init__(self, rules: Evaluation) -> None:
        self._rules = rules

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; durations in seconds."""
        figures = self._rules.figures
        yield CounterMetricFamily("mainstay_rules_evaluated", "Evaluations of rules.", value=figures.rules)
        yield CounterMetricFamily("mainstay_rule_rounds", "Rounds of evaluation.", value=figures.rounds)
        yield CounterMetricFamily("mainstay_rule_instants_missed", "Instants that were skipped.", value=figures.missed)
        yield GaugeMetricFamily("mainstay_rule_round_seconds", "Duration of the last round.", value=figures.last_s)
