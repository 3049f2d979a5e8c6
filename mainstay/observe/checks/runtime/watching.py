"""What checks do in the monitor: probe those of its shards, understand pings, notice what did not come.

Two threads matter: the prober's loop (on time, never touches the database) and the flush cycle (the one that writes
results); others look for what changed.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from django.db.models import F

from mainstay.foundation import gaps
from mainstay.foundation.clock import from_unix
from mainstay.foundation.environment import Environment
from mainstay.foundation.processes.run import Cycle, Ending, Work
from mainstay.net.policy import policy
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Ping
from mainstay.observe.checks.probe import outcome
from mainstay.observe.checks.probe.engine import Prober, Result
from mainstay.observe.checks.runtime import arrivals, reachability, shards
from mainstay.observe.checks.runtime.figures import ProberMetrics, ProberNotices
from mainstay.observe.checks.runtime.holding import Holding, Measurer, Unmeasured
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.runtime.watched import Observation

PINGS_AT_ONCE = 2_000
STOP_WITHIN_S = 2.0
_HEALTH = {each: Health(each.value) for each in outcome.Health}


class Watching(Work):
    """What one monitor process knows and does of checks."""

    def __init__(self, environment: Environment, _works: Sequence[Work] = ()) -> None:
        self.watch = Watch()
        self.prober = Prober(policy(environment), self.results, commands_allowed=environment.commands_allowed)
        self.holding = Holding(self.watch, self.prober, Unmeasured())
        self.shards: frozenset[int] = frozenset()  # replaced as one value; each round reads it once
        self.shards_changed: list[threading.Event] = []
        self._leasing = threading.Lock()  # two cycles ask for shards
        self._failing: set[int] = set()
        self._notices = ProberNotices()
        self._gaps = gaps.detector.follow()
        self._reception = arrivals.Reception()
        self._flush = Cycle("flush", 0.25, self.flush)
        super().__init__(
            [
                Cycle("leases", 2.0, self.hold),
                Cycle("reload", 0.5, self.reload),
                Cycle("pings", 0.2, self.pings),
                Cycle("sweep", 1.0, self.sweep),
                Cycle("recorded", 0.25, lambda _now, _process: self.watch.recorded.pass_on()),
                self._flush,
            ]
        )
        self.collectors.append(ProberMetrics(self.prober.figures))

    def measure_with(self, measurer: Measurer, heard: Callable[[Sequence[Observation]], None]) -> None:
        """Let results be kept as series: `measurer` learns which checks there are, `heard` gets what was recorded."""
        self.holding.metrics = measurer
        self.watch.recorded.heard = heard

    def start(self, works: Sequence[Work]) -> None:  # it needs no other's
        """Begin to probe."""
        self.prober.start()

    def stop(self) -> None:
        """Probe no more."""
        self.prober.stop(STOP_WITHIN_S)

    def endings(self) -> Iterator[Ending]:
        """Commit what is left."""
        yield "the last results", lambda: self.watch.flush(force=True)
        yield "the last results as metrics", self.watch.recorded.pass_on

    def leave(self, process: int) -> Iterable[Ending]:
        """Give the shards back."""
        return [("the shares of checks", lambda: shards.release(process))]

    def lag_s(self) -> float:
        """Return how late the prober's loop is."""
        return self.prober.lag_s()

    def waiting_s(self) -> float:
        """Return for how long a probe that is due has waited for a place."""
        return self.prober.waiting_s()

    def results(self, results: list[Result]) -> None:
        """Take results from the prober's loop; quick, for that loop must stay on time."""
        urgent = self.watch.observe(
            Observation(
                check=result.key,
                at=from_unix(result.outcome.started_at),
                health=_HEALTH[result.outcome.health],
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

    def hold(self, at: datetime, process: int) -> None:
        """Keep a fair share of the shards."""
        with self._leasing:
            before, self.shards = self.shards, frozenset(shards.hold(process, at))
        if self.shards != before:
            for changed in self.shards_changed:
                changed.set()

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
