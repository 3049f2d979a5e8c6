"""`mainstay monitor`: probes the checks of its shards, understands pings, notices what did not come; scrapes, keeps
metrics and evaluates rules.

Four threads matter: the prober's and the scraper's loops (on time, never touch the database), the flush cycle (the one
that writes results) and the cycle of rules; others look for what changed.
"""

import argparse
import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import cast

from django.conf import settings as django_settings
from django.db.models import F
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError

from mainstay.foundation import environment as env
from mainstay.foundation.clock import from_unix, now
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.processes.run import Cycle, Runner
from mainstay.foundation.secrets import LostKey
from mainstay.observe.checks import arrivals, blocking, leases
from mainstay.observe.checks.actions import settings_of
from mainstay.observe.checks.decide import Health, State, Thresholds
from mainstay.observe.checks.figures import ProberMetrics
from mainstay.observe.checks.heartbeats import RhythmSettings, rhythm_of
from mainstay.observe.checks.models import Check, CheckState, Ping
from mainstay.observe.checks.probe.engine import Planned, Prober, Result
from mainstay.observe.checks.probe.schedule import offset_for
from mainstay.observe.checks.standing import all_labels, graph
from mainstay.observe.checks.targets import policy
from mainstay.observe.checks.watch import Observation, Watch, Watched
from mainstay.observe.metrics.client import inner_token
from mainstay.observe.metrics.embedded import Embedded
from mainstay.observe.metrics.serve.port import serve
from mainstay.observe.metrics.servers import LISTENS, OWNING_SHARD, client
from mainstay.respond.rules.ask import ServerSource, Source, StoreSource
from mainstay.respond.rules.evaluation import Evaluation
from mainstay.respond.rules.figures import StoreMetrics

log = logging.getLogger("mainstay.monitor")
PINGS_AT_ONCE = 2_000
LOADED_AT_ONCE = 500


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """`mainstay monitor` takes its settings from the environment."""


def run(_args: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT."""
    environment = env.read()
    monitor = Monitor(environment)
    listens = {LISTENS: [environment.host, environment.monitor_port]}
    runner = Runner("monitor", monitor.cycles, extra_lag=monitor.lag_s, facts=listens)
    runner.stop_on_signals()
    runner.start()
    monitor.prober.start()
    token = inner_token(django_settings.SECRET_KEY)
    server = serve(environment.host, environment.monitor_port, monitor.registry(), monitor.metrics.answer, token)
    log.info("watching")
    runner.wait()
    server.shutdown()
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
            turn=lambda: frozenset(self.shards) if self._elsewhere else id(self.metrics.store),
            ready=self.may_evaluate,
            external_url=django_settings.BASE_URL,
            coverage=lambda: self.metrics.coverage,
        )
        self.prober = Prober(policy(environment), self.results, commands_allowed=environment.commands_allowed)
        self.shards: set[int] = set()
        self.revision = -1
        self.parents: dict[int, frozenset[int]] = {}
        self._failing: set[int] = set()
        self._lock = threading.Lock()
        self._flush = Cycle("flush", 0.25, self.flush)
        self.cycles = [
            Cycle("leases", 2.0, self.hold),
            Cycle("reload", 0.5, self.reload),
            Cycle("pings", 0.2, self.pings),
            Cycle("sweep", 1.0, self.sweep),
            Cycle("metrics", 1.0, self.metrics.cycle),
            Cycle("rules", 0.5, self.rules.cycle),
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
            )
            for result in results
        )
        if urgent:
            self._flush.wake.set()

    def flush(self, _now: datetime, _process: int) -> bool:
        """Commit results."""
        self.watch.flush()
        return False

    def finish(self, process: int) -> None:
        """Commit what is left and give the shards back."""
        self.watch.flush(force=True)
        self.metrics.close()
        leases.release(process)

    def hold(self, at: datetime, process: int) -> None:
        """Keep a fair share of the shards."""
        shards = leases.hold(process, at)
        if shards != self.shards:
            self.shards = shards
            self.revision = -1
        self.metrics.hold(mine=OWNING_SHARD in shards and not self._elsewhere)

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
            return leases.shard_of(group) in self.shards
        return self.metrics.store is not None

    def may_evaluate(self) -> bool:
        """Tell whether what rules find missing is missing."""
        return self._elsewhere or self.metrics.ready

    # --- how it is -----------------------------------------------------------------------------------------------

    def lag_s(self) -> float:
        """Return how late the loops are that are no cycles."""
        return max(self.prober.figures().lag_s, self.metrics.lag_s())

    def registry(self) -> CollectorRegistry:
        """Return this monitor's own metrics."""
        registry = CollectorRegistry()
        registry.register(ProberMetrics(self.prober.figures))
        registry.register(StoreMetrics(self.metrics, self.rules))
        if self.metrics.latest is not None:
            registry.register(self.metrics.latest)
        return registry

    # --- checks --------------------------------------------------------------------------------------------------

    def reload(self, _now: datetime, process: int) -> None:
        """Notice checks that were added, edited, removed, handed over."""
        if not self.shards:
            self.hold(now(), process)
        revision = Revision.current("checks")
        with self._lock:
            if revision == self.revision and not self.watch.stale:
                return
            self.watch.stale.clear()
            self._reload(revision)

    def _reload(self, revision: int) -> None:
        versions = {
            check: version
            for check, version in Check.objects.values_list("id", "version")
            if leases.shard_of(check) in self.shards
        }
        held = {check: watched.version for check, watched in list(self.watch.checks.items())}
        gone = held.keys() - versions.keys()
        changed = [check for check, version in versions.items() if held.get(check) != version]
        self.watch.drop(gone)
        self.metrics.forget(gone, now())
        planned = [plan for check in self._load(changed) if (plan := self._take(check)) is not None]
        probed = {plan.key for plan in planned}
        self.prober.update(planned, [*gone, *(check for check in changed if check not in probed)])
        self.parents = graph()
        self.revision = revision
        if changed or gone:
            log.info("%d checks held: %d new or edited, %d gone", len(versions), len(changed), len(gone))

    @staticmethod
    def _load(ids: list[int]) -> Iterator[Check]:
        for begin in range(0, len(ids), LOADED_AT_ONCE):
            part = ids[begin : begin + LOADED_AT_ONCE]
            related = ("application", "environment", "component", "state")
            yield from Check.objects.filter(pk__in=part).select_related(*related)

    def _take(self, check: Check) -> Planned | None:
        """Hold a check; return its plan for the prober, or None when it is not probed."""
        try:
            settings = settings_of(check)
        except (ValidationError, LostKey) as error:
            log.error("%s: its settings cannot be used: %s", check, error)
            CheckState.objects.filter(pk=check.pk).update(message=f"Its settings cannot be used: {error}")
            return None
        self.watch.put(_watched(check, settings))
        self.metrics.know(check.pk, check.kind, check.target, all_labels(check))
        if check.paused or check.passive:
            return None
        return Planned(
            key=check.pk,
            kind=check.kind,
            settings=settings,
            every_s=check.every_s,
            timeout_s=check.timeout_s,
            offset_s=offset_for(check.pk, check.every_s),
        )

    def pings(self, _now: datetime, _process: int) -> bool:
        """Understand pings that have come in; return whether more are waiting."""
        if not arrivals.waiting():
            return False
        unhandled = Ping.objects.filter(handled=False)
        if len(self.shards) < leases.SHARDS:  # else all are ours
            unhandled = unhandled.annotate(shard=F("check_ref_id") % leases.SHARDS).filter(shard__in=self.shards)
        mine = list(unhandled.order_by("id")[:PINGS_AT_ONCE])
        if mine:
            arrivals.take(self.watch, mine)
        return len(mine) == PINGS_AT_ONCE

    def sweep(self, at: datetime, _process: int) -> None:
        """Notice heartbeats that did not come, checks whose needs are down, and parents worth asking at once."""
        arrivals.miss(self.watch, at)
        failing = set(self.watch.failing())
        for check in failing - self._failing:
            for parent in self.parents.get(check, ()):
                self.prober.probe_now(parent)
        self._failing = failing
        blocking.sweep(self.watch, self.parents, at)


def _watched(check: Check, settings: BaseModel) -> Watched:
    state = check.state
    watched = Watched(
        id=check.pk,
        version=check.version,
        name=str(check),
        application=check.application_id,
        kind=check.kind,
        thresholds=Thresholds(check.fail_after, check.recover_after),
        every_s=check.every_s,
        timeout_s=check.timeout_s,
        paused=check.paused,
        created_at=check.created_at,
        rhythm=rhythm_of(cast(RhythmSettings, settings)) if check.passive else None,
        state=State(
            health=Health(state.health),
            failures=state.failures,
            answers=state.answers,
            warnings=state.warnings,
            successes=state.successes,
            history=state.history,
            flapping=state.flapping,
            first_bad_at=state.first_bad_at,
        ),
        changes=state.changes,
        first_at=state.first_at,
        pinged_at=state.pinged_at,
        started_at=state.started_at,
        blocked_by=state.blocked_by_id,
    )
    watched.due_at = arrivals.due_on_loading(watched, state.due_at, now())
    return watched
