"""`mainstay monitor`: probes the checks of its shards, understands pings, notices what did not come; scrapes, keeps
metrics and evaluates rules.

Four threads matter: the prober's and the scraper's loops (on time, never touch the database), the flush cycle (the one
that writes results) and the cycle of rules; others look for what changed.
"""

import argparse
import logging
import threading
import time
from datetime import datetime

from django.conf import settings as django_settings
from django.db import DatabaseError, connection
from django.db.models import F
from prometheus_client import CollectorRegistry

from mainstay.foundation import environment as env
from mainstay.foundation import gaps
from mainstay.foundation.clock import from_unix, now
from mainstay.foundation.http.connections import Limits
from mainstay.foundation.processes.outage import words
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.foundation.processes.supervise import need_port, raise_open_files
from mainstay.net.policy import policy
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Ping
from mainstay.observe.checks.probe.engine import Prober, Result
from mainstay.observe.checks.runtime import arrivals, reachability, shards
from mainstay.observe.checks.runtime.figures import ProberMetrics, ProberNotices
from mainstay.observe.checks.runtime.holding import Holding
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.runtime.watched import Observation
from mainstay.observe.metrics.client import inner_token
from mainstay.observe.metrics.embedded import Embedded
from mainstay.observe.metrics.serve.port import Port
from mainstay.observe.metrics.servers import LISTENS, OWNING_SHARD, client, may_scrape
from mainstay.respond.rules.engine.evaluation import Evaluation
from mainstay.respond.rules.engine.figures import StoreMetrics
from mainstay.respond.rules.engine.sources import ServerSource, Source, StoreSource

log = logging.getLogger("mainstay.monitor")
PINGS_AT_ONCE = 2_000
LONG_CALL_S = 300.0  # that a call of the metrics store may take on a slow disk before it counts as hanging


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay monitor` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT."""
    raise_open_files()
    environment = env.read()
    monitor = Monitor(environment)
    listens = {LISTENS: [environment.host, environment.monitor_port]}
    port: Port | None = None
    runner = Runner(
        "monitor",
        monitor.cycles,
        extra_lag=lambda: max(monitor.lag_s(), port.lag_s() if port else 0.0),
        waiting=monitor.waiting_s,
        others=lambda: [port.turn(LONG_CALL_S)] if port else (),
        facts=lambda: listens,
    )
    runner.stop_on_signals()
    # Before others wait for what this monitor would take.
    need_port(environment.host, environment.monitor_port, "MAINSTAY_MONITOR_PORT")
    runner.start()
    monitor.prober.start()
    key, limits = django_settings.SECRET_KEY, Limits(environment.connections_most, environment.connections_per_address)
    port = Port(
        environment.host,
        environment.monitor_port,
        monitor.registry(),
        monitor.metrics.answer,
        inner_token(key),
        lambda authorization: may_scrape(authorization, key),
        limits,
    )
    log.info("watching")
    runner.wait()
    port.stop()
    monitor.prober.stop(2.0)
    monitor.finish(runner.process_id)
    runner.goodbye()
    return 0


class Monitor:
    """What one monitor process knows and does."""

    def __init__(self, environment: env.Environment) -> None:
        self.metrics = Embedded(environment, now)
        self.watch = Watch(self.metrics.hear)
        self._source: Source | None = None
        self._elsewhere = bool(environment.metrics_url)
        self.rules = Evaluation(
            source=self.source,
            mine=self.evaluates,
            turn=lambda: self.shards if self._elsewhere else id(self.metrics.store),
            ready=self.may_evaluate,
            external_url=django_settings.BASE_URL,
            jumped_s=gaps.detector.follow().jumped_s,
            coverage=lambda: self.metrics.coverage,
        )
        self.prober = Prober(policy(environment), self.results, commands_allowed=environment.commands_allowed)
        self.holding = Holding(self.watch, self.prober, self.metrics)
        self.shards: frozenset[int] = frozenset()  # replaced as one value; each round reads it once
        self._leasing = threading.Lock()  # two cycles ask for shards
        self._failing: set[int] = set()
        self._notices = ProberNotices()
        self._gaps = gaps.detector.follow()
        self._reception = arrivals.Reception()
        self._flush = Cycle("flush", 0.25, self.flush)
        self.cycles = [
            Cycle("leases", 2.0, self.hold),
            Cycle("reload", 0.5, self.reload),
            Cycle("pings", 0.2, self.pings),
            Cycle("sweep", 1.0, self.sweep),
            Cycle("metrics", 1.0, self.metrics.cycle, patience_s=LONG_CALL_S),
            Cycle("recorded", 0.25, lambda _now, _process: self.watch.recorded.pass_on()),
            Cycle("rules", 0.5, self.rules.cycle, patience_s=LONG_CALL_S + environment.metrics_timeout_s),
            self._flush,
        ]

    def results(self, results: list[Result]) -> None:
        """Take results from the prober's loop; quick, for that loop must stay on time."""
        urgent = self.watch.observe(
            Observation(
                check=result.key,
                at=from_unix(result.outcome.started_at),
                health=Health(result.outcome.health.value),
                duration_s=result.outcome.duration_s,
                message=result.outcome.message,
                code=result.outcome.code,
                phases=result.outcome.phases,
                facts=dict(result.outcome.facts),
                extra=result.extra,
            )
            for result in results
        )
        if urgent:
            self._flush.wake.set()

    def flush(self, _now: datetime, _process: int) -> bool:
        """Commit results; return whether more is waiting."""
        self.watch.flush()
        return self.watch.urgent

    def finish(self, process: int) -> None:
        """Commit what is left and give the shards back; what the database refuses now stops nothing else."""
        for name, end in (
            ("the last results", lambda: self.watch.flush(force=True)),
            ("the last results as metrics", self.watch.recorded.pass_on),
            ("the history of metrics", self.metrics.close),
            ("the shares of checks", lambda: shards.release(process)),
        ):
            try:
                end()
            except DatabaseError as error:
                log.warning("%s: not stored on stopping: the database %s", name, words(error))
                connection.close()

    def hold(self, at: datetime, process: int) -> None:
        """Keep a fair share of the shards."""
        with self._leasing:
            self.shards = held = frozenset(shards.hold(process, at))
        self.metrics.hold(mine=OWNING_SHARD in held and not self._elsewhere)

    # --- rules ---------------------------------------------------------------------------------------------------

    def source(self) -> Source | None:
        """Return whom rules ask: the server of METRICS_URL, or this monitor's store while it has one."""
        if self._elsewhere:
            self._source = self._source or ServerSource(client())
            return self._source
        store = self.metrics.store
        if store is None:
            return None
        if not isinstance(self._source, StoreSource) or self._source.store is not store:
            self._source = StoreSource(store, time.monotonic)
        return self._source

    def evaluates(self, group: int) -> bool:
        """Tell whether a group of rules is this monitor's: where the store is, or by shards."""
        if self._elsewhere:
            return shards.shard_of(group) in self.shards
        return self.metrics.store is not None

    def may_evaluate(self) -> bool:
        """Tell whether what rules find missing is missing."""
        return self._elsewhere or self.metrics.ready

    # --- how it is -----------------------------------------------------------------------------------------------

    def lag_s(self) -> float:
        """Return how late the loops are that are no cycles."""
        return max(self.prober.figures().lag_s, self.metrics.lag_s())

    def waiting_s(self) -> float:
        """Return for how long a probe or a scrape that is due has waited for a place."""
        return max(self.prober.figures().waiting_s, self.metrics.waiting_s())

    def registry(self) -> CollectorRegistry:
        """Return this monitor's own metrics."""
        registry = CollectorRegistry()
        registry.register(ProberMetrics(self.prober.figures))
        registry.register(StoreMetrics(self.metrics, self.rules))
        if self.metrics.latest is not None:
            registry.register(self.metrics.latest)
        return registry

    # --- checks --------------------------------------------------------------------------------------------------

    def reload(self, at: datetime, process: int) -> None:
        """Compare the checks that are held with those that should be, and do what is missing."""
        if not self.shards:
            self.hold(at, process)
        self.holding.round(self.shards, at)

    def pings(self, _now: datetime, _process: int) -> bool:
        """Understand pings that have come in; return whether more are waiting."""
        if not arrivals.waiting():
            return False
        unhandled = Ping.objects.filter(handled=False)
        if len(self.shards) < shards.SHARDS:  # else all are ours
            unhandled = unhandled.annotate(shard=F("check_ref_id") % shards.SHARDS).filter(shard__in=self.shards)
        mine = list(unhandled.order_by("id")[:PINGS_AT_ONCE])
        if mine:
            arrivals.take(self.watch, mine, self._gaps)
        return len(mine) == PINGS_AT_ONCE

    def sweep(self, at: datetime, _process: int) -> bool:
        """Notice heartbeats that did not come, checks whose needs are down, and parents worth asking at once.

        Return whether more is waiting.
        """
        self._notices.tell(self.prober.figures(), at, time.monotonic())
        if not self._reception.closed(time.monotonic()):
            arrivals.miss(self.watch, at, self._gaps)
        failing = set(self.watch.failing())
        parents = self.holding.parents
        for parent in {parent for check in failing - self._failing for parent in parents.get(check, ())}:
            self.prober.probe_now(parent)
        self._failing = failing
        return reachability.sweep(self.watch, parents, at) > 0
