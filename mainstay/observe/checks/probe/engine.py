"""The prober: owns the schedule, runs the probes, hands out results in batches.

One thread holds the schedule, all HTTP transfers and the delivery of results; the other kinds run on an asyncio loop
in a second thread; names are resolved in a third place. The engine reads the wall clock once per turn (due times,
`started_at`) and a monotonic clock for durations and deadlines.

**Slots.** Each grid slot of a check ends in exactly one of three ways: it is probed; it fell due while the check's
previous probe was still running; or nobody could probe it (stall, suspended machine, clock set, a name that only
waited in our own queue to be looked up). The last two are never probed twice, never invented as outcomes, and never
silent: they are counted in `figures()` and in the facts `slots_overlapped` and `slots_skipped` of the check's next
result. A slot that fell due while a probe ran is still served, late, if that probe ends within half an interval of it.

**Results are not lost** when the receiver raises: the batch is kept and offered again a second later.
"""

import heapq
import logging
import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel

from mainstay.foundation.processes.work import is_set_aside, working_on
from mainstay.foundation.words.durations import spoken_duration
from mainstay.net.loop import TransferLoop
from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolution, Resolver, Ticket
from mainstay.net.schedule import check_rhythm
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.kinds.http.probe import Probe, ProbePlan
from mainstay.observe.checks.kinds.http.settings import HttpSettings
from mainstay.observe.checks.probe.outcome import Health, Outcome
from mainstay.observe.checks.probe.runner import AsyncRunner, Job

log = logging.getLogger(__name__)

DEFAULT_MAX_IN_FLIGHT = 2000
BATCH_WAIT_S = 0.05
"""A result waits this long for company, so that the receiver is called 20 times a second at most."""
BATCH_SIZE = 512
_RETRY_S = 1.0
_JUDGING_THREADS = 2
_GRACE_S = 1.0
"""The asyncio side ends its probes itself; the engine steps in this much later."""
LONGEST_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A check to be probed: every `every_s` seconds at `offset_s` within the interval, for `timeout_s` at most."""

    key: int
    kind: str
    settings: BaseModel
    every_s: float
    timeout_s: float
    offset_s: float
    version: int = 0
    """Of the record that it was made of; see `Prober.held`."""


class Result(NamedTuple):
    """A probe's outcome. `due_at` is unix seconds; `outcome.started_at - due_at` is how late the probe began."""

    key: int
    due_at: float
    outcome: Outcome
    extra: bool = False
    """Asked for by `probe_now`, beside the grid."""

    @property
    def lateness_s(self) -> float:
        return self.outcome.started_at - self.due_at


@dataclass(frozen=True, slots=True)
class Figures:
    """The engine's own health."""

    alive: bool
    lag_s: float
    """How late the engine's turn is now: 0 while it turns on time; a blocked or dead engine shows a growing lag."""
    waiting_s: float
    """For how long the first probe that is due has been held back because `max_in_flight` are running."""
    max_in_flight: int
    by_descriptors: bool
    """Whether it is the limit on open files that holds `max_in_flight` down."""
    lateness_p50_s: float
    lateness_p99_s: float
    planned: int
    in_flight: int
    waiting: int
    """Probes that are due, but held back because `max_in_flight` are running."""
    results_pending: int
    names_waiting: int
    """Names that are looked up or wait to be."""
    unasked: int
    """Probes that were given up because their name was never asked about: they are skipped slots, not failures."""
    defects: int
    """Errors of ours that cost a probe or a turn."""
    probes: int
    slots_overlapped: int
    slots_skipped: int


@dataclass(slots=True)
class _Run:
    run_id: int
    check: "_Check"
    due_at: float
    extra: bool = False
    transfer: Probe | None = None
    started_at: float = 0.0
    name: Ticket | None = None
    """It waits for the addresses of a name."""


@dataclass(slots=True, eq=False)
class _Check:
    planned: Planned
    plan: ProbePlan | None
    run: _Run | None = None
    missed: list[float] = field(default_factory=list)
    overlapped: int = 0
    skipped: int = 0
    wanted_now: bool = False
    extra: bool = False
    """The probe that waits for its turn is one beside the grid."""
    waits: bool = False
    removed: bool = False

    def lost_its_run(self) -> None:
        self.run = None
        self.skipped += 1


class Prober(TransferLoop["_Check", "_Run", Probe]):
    """Probes what is planned. All methods are thread-safe; `on_results` is called in the engine's thread."""

    def __init__(
        self,
        policy: AddressPolicy,
        on_results: Callable[[list[Result]], None],
        commands_allowed: bool = False,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
        *,
        resolver: Resolver | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`max_in_flight` bounds memory and descriptors (each HTTP probe needs one descriptor and about 30 kB);
        it is lowered to half of what the process may open. `wall_clock` exists to be travelled in tests."""
        super().__init__(
            "probe-engine",
            max_in_flight=min(max_in_flight, _descriptors() // 2),
            kept_alive=1,
            wall_clock=wall_clock,
        )
        self._wanted_in_flight = max_in_flight
        self._unasked = 0
        self._policy = policy
        self._on_results = on_results
        self._resolver = resolver or Resolver()
        self._results: list[Result] = []
        self._oldest_result: float | None = None
        self._offer_again_at = 0.0
        self._probes = 0
        self._async = AsyncRunner(policy, self._resolver, self._async_done, commands_allowed=commands_allowed)
        self._aside = ThreadPoolExecutor(_JUDGING_THREADS, thread_name_prefix="probe-judge")
        self._jobs: list[Job] = []

    # --- for any thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to probe. A prober is started once."""
        self._async.start()
        self._start_loop()

    def stop(self, timeout_s: float) -> bool:
        """Start no more probes, give running ones until the timeout, deliver their results, end the threads.

        Probes cut off by the timeout give no result: they were neither up nor down. False when a thread did not end.
        """
        deadline = time.perf_counter() + timeout_s
        self._stop_loop(timeout_s)
        stopped = self._async.stop(max(0.1, deadline - time.perf_counter()))
        self._aside.shutdown(wait=False, cancel_futures=True)
        return stopped and not self._thread.is_alive()

    def update(self, planned: Iterable[Planned], removed: Iterable[int] = ()) -> None:
        """Add or change checks, and remove some. New ones are probed soon (paced), changed ones at their next slot.

        Raises ValueError naming the check whose plan can't be: unknown or passive kind, wrong settings, bad times.
        Then nothing of this call is taken over.
        """
        checks = [_compiled(each) for each in planned]
        keys = list(removed)
        self._post(lambda: self._take_over(checks, keys))

    def held(self) -> dict[int, int]:
        """The checks that are planned, each with the version of its plan."""
        # A copy in one step: the loop goes on meanwhile.
        return {key: check.planned.version for key, check in list(self._items.items())}

    def probe_now(self, key: int) -> None:
        """Probe once, now, beside the grid; right after the running probe if there is one. Unknown keys are ignored."""
        self._post(lambda: self._want_now(key))

    def figures(self) -> Figures:
        """The engine's health; cheap enough for every scrape."""
        lateness_p50_s, lateness_p99_s = self._lateness_s()
        return Figures(
            alive=self._thread.is_alive(),
            lag_s=self.lag_s(),
            waiting_s=self.waiting_s(),
            max_in_flight=self._max_in_flight,
            by_descriptors=self._max_in_flight < self._wanted_in_flight,
            lateness_p50_s=lateness_p50_s,
            lateness_p99_s=lateness_p99_s,
            planned=len(self._items),
            in_flight=len(self._runs),
            waiting=len(self._ready),
            results_pending=len(self._results),
            names_waiting=self._resolver.pending,
            unasked=self._unasked,
            defects=self._defects,
            probes=self._probes,
            slots_overlapped=self._overlapped,
            slots_skipped=self._skipped,
        )

    # --- its turns ---------------------------------------------------------------------------------------------

    def _finish_turn(self, now: float) -> None:
        if self._jobs:
            jobs, self._jobs = self._jobs, []
            self._async.submit(jobs)
        self._deliver(now)

    def _wait_s(self) -> float:
        wait_s = super()._wait_s()
        if self._oldest_result is not None:
            deliver_at = max(self._oldest_result + BATCH_WAIT_S, self._offer_again_at)
            wait_s = min(wait_s, max(0.0, deliver_at - time.perf_counter()))
        return wait_s

    def _over(self, now: float) -> bool:
        if not super()._over(now):
            return False
        self._deliver(now, all_of_it=True)
        return not self._results or now >= self._drain_until

    def _take_over(self, checks: list[_Check], removed: list[int]) -> None:
        wall = self._wall_clock()
        for key in removed:
            check = self._items.pop(key, None)
            self._schedule.remove(key)
            if check is not None:
                check.removed = True
        for check in checks:
            planned = check.planned
            known = self._items.get(planned.key)
            if known is not None:
                known.planned, known.plan = planned, check.plan
            else:
                self._items[planned.key] = check
            self._schedule.put(planned.key, planned.every_s, planned.offset_s, wall)

    def _want_now(self, key: int) -> None:
        check = self._items.get(key)
        if check is None or self._stopping:
            return
        if check.run is not None:
            check.wanted_now = True
        elif not check.waits:
            check.extra = True
            self._enqueue(check, self._wall_clock())

    def _due(self, check: _Check, due_at: float, skipped: int) -> None:
        if skipped:
            check.skipped += skipped
            self._skipped += skipped
        if check.run is not None:
            check.missed.append(due_at)
        elif check.waits and check.extra:
            check.extra = False  # the probe that waits is this slot's
        elif check.waits:
            # It is due again before it got its turn: `max_in_flight` is too low for what is planned.
            self._count_overlapped(check, 1)
        else:
            self._enqueue(check, due_at)

    def _start(self, check: _Check, due_at: float) -> None:
        if is_set_aside("check", check.planned.key):
            return  # no result: it is shown as overdue, not as down
        run = _Run(next(self._run_ids), check, due_at, check.extra)
        check.extra = False
        check.run = run
        self._runs[run.run_id] = run
        planned = check.planned
        if check.plan is None:
            run.started_at = self._wall
            self._watch(run, self._mono + planned.timeout_s + _GRACE_S)
            self._jobs.append(Job(run.run_id, KINDS[planned.kind], planned.settings, planned.timeout_s, planned.key))
            return
        now = time.perf_counter()
        # One reading of the wall clock per turn, carried forward by the monotonic one.
        transfer = Probe(check.plan, self._policy, self._wall + (now - self._mono), now, planned.timeout_s)
        transfer.run_id = run.run_id
        run.transfer = transfer
        self._next_hop(run, transfer)

    # --- http --------------------------------------------------------------------------------------------------

    def _next_hop(self, run: _Run, transfer: Probe) -> None:
        """Resolve if need be, then begin; ends the run when the transfer says so."""
        try:
            wanted = transfer.resolve_next()
        except Exception as defect:  # noqa: BLE001  # one check's defect must not stop all the others
            self._end(run, self._broken(run, transfer, defect))
            return
        if wanted is None:
            self._begin(run, transfer)
            return
        self._watch(run, transfer.deadline)
        run_id = run.run_id
        run.name = self._resolver.submit(
            *wanted, lambda resolution: self._post(lambda: self._resolved(run_id, resolution))
        )

    def _resolved(self, run_id: int, resolution: Resolution) -> None:
        run = self._runs.get(run_id)
        if run is None or run.transfer is None:
            return  # its time was over before the name server answered
        run.name = None
        self._begin(run, run.transfer, resolution)

    def _begin(self, run: _Run, transfer: Probe, resolution: Resolution | None = None) -> None:
        try:
            if resolution is not None:
                transfer.resolved(resolution)
            if transfer.outcome is None and self._curl.begin(transfer, time.perf_counter()):
                return
            outcome = transfer.judge()
        except Exception as defect:  # noqa: BLE001  # one check's defect must not stop all the others
            outcome = self._broken(run, transfer, defect)
        self._end(run, outcome)

    def _item_of(self, run: _Run) -> _Check:
        return run.check

    def _hop_done(self, run: _Run, transfer: Probe, again: bool, defect: Exception | None) -> None:
        if defect is not None:
            self._end(run, self._broken(run, transfer, defect))
        elif again:
            self._next_hop(run, transfer)
        elif transfer.belongs_aside():
            self._watch(run, transfer.deadline)
            judging = self._aside.submit(_judge, run.check.planned.key, transfer)
            judging.add_done_callback(lambda done: self._post(lambda: self._judged(run, transfer, done)))
        else:
            try:
                outcome = _judge(run.check.planned.key, transfer)
            except Exception as error:  # noqa: BLE001  # as above
                outcome = self._broken(run, transfer, error)
            self._end(run, outcome)

    def _judged(self, run: _Run, transfer: Probe, judging: Future[Outcome]) -> None:
        if judging.cancelled():
            return
        defect = judging.exception()
        self._end(run, judging.result() if defect is None else self._broken(run, transfer, defect))

    def _broken(self, run: _Run, transfer: Probe, defect: BaseException) -> Outcome:
        log.error("probing check %d failed by a defect of ours", run.check.planned.key, exc_info=defect)
        transfer.broke(f"a defect in the check type http ({type(defect).__name__})")
        return transfer.judge()

    # --- the other kinds ---------------------------------------------------------------------------------------

    def _async_done(self, run_id: int, outcome: Outcome | None) -> None:
        """Called in the runner's thread."""
        self._post(lambda: self._async_ended(run_id, outcome))

    def _async_ended(self, run_id: int, outcome: Outcome | None) -> None:
        run = self._runs.get(run_id)
        if run is not None and outcome is None:
            self._not_made(run)
        elif run is not None and outcome is not None:
            self._end(run, outcome)

    # --- ends --------------------------------------------------------------------------------------------------

    def _watch(self, run: _Run, deadline: float) -> None:
        """End the run at the deadline if whatever it waits for (a name server, a thread) has not answered."""
        heapq.heappush(self._deadlines, (deadline, run.run_id))

    def _expired(self, run: _Run) -> None:
        transfer = run.transfer
        if transfer is None:
            planned = run.check.planned
            where = KINDS[planned.kind].target(planned.settings)
            message = (
                f"{where} did not finish within {spoken_duration(planned.timeout_s)}, nor did it end when told to."
            )
            self._end(run, Outcome(Health.DOWN, run.started_at, planned.timeout_s, message))
        elif run.name is not None:
            run.name.give_up()
            if run.name.asked:
                transfer.timed_out("its name was not resolved")
                self._end(run, transfer.judge())
            else:
                self._not_made(run)
        elif transfer not in self._curl:
            # In libcurl's hands its own timeout counts; here it is the judging that hangs.
            transfer.timed_out("its body took too long to judge")
            self._end(run, transfer.judge())

    def _not_made(self, run: _Run) -> None:
        """The slot passes without a result: nobody was asked about the name, so nothing is known of the target."""
        if self._runs.pop(run.run_id, None) is None:
            return
        check = run.check
        check.lost_its_run()
        self._skipped += 1
        self._unasked += 1
        if not check.removed:
            again_at = self._serve_missed(check)
            wanted_now, check.wanted_now = check.wanted_now, False
            self._go_on(check, again_at, wanted_now=wanted_now)

    def _end(self, run: _Run, outcome: Outcome) -> None:
        if self._runs.pop(run.run_id, None) is None:
            return
        check = run.check
        check.run = None
        self._probes += 1
        if check.removed:
            return
        self._lateness.append(outcome.started_at - run.due_at)
        again_at = self._serve_missed(check)
        wanted_now, check.wanted_now = check.wanted_now, False
        if check.overlapped or check.skipped:
            counted = {"slots_overlapped": check.overlapped, "slots_skipped": check.skipped}
            outcome = outcome._replace(facts={**outcome.facts, **{name: n for name, n in counted.items() if n}})
            check.overlapped = check.skipped = 0
        if not self._results:
            self._oldest_result = time.perf_counter()
        self._results.append(Result(check.planned.key, run.due_at, outcome, run.extra))
        self._go_on(check, again_at, wanted_now=wanted_now)

    def _go_on(self, check: _Check, again_at: float | None, *, wanted_now: bool) -> None:
        if self._stopping:
            return
        if again_at is not None:
            self._due(check, again_at, 0)
        elif wanted_now:
            self._want_now(check.planned.key)

    def _serve_missed(self, check: _Check) -> float | None:
        """The due time to probe for at once after a probe that ran past slots, or None."""
        if not check.missed:
            return None
        latest = check.missed[-1]
        served = 0 <= self._wall_clock() - latest <= check.planned.every_s / 2
        self._count_overlapped(check, len(check.missed) - served)
        check.missed.clear()
        return latest if served else None

    def _count_overlapped(self, check: _Check, slots: int) -> None:
        check.overlapped += slots
        self._overlapped += slots

    def _deliver(self, now: float, *, all_of_it: bool = False) -> None:
        if self._oldest_result is None or now < self._offer_again_at:
            return
        if not all_of_it and len(self._results) < BATCH_SIZE and now < self._oldest_result + BATCH_WAIT_S:
            return
        batch = self._results
        try:
            self._on_results(batch)
        except Exception:  # a receiver that fails must neither lose results nor end the engine
            log.exception(
                "the receiver of %d probe results failed; they are offered again in %g s", len(batch), _RETRY_S
            )
            self._offer_again_at = now + _RETRY_S
            return
        self._results = []
        self._oldest_result = None


def _compiled(planned: Planned) -> _Check:
    """Check a plan and prepare it; runs in the caller's thread, so that a big update doesn't hold the loop."""
    kind = KINDS.get(planned.kind)
    if kind is None:
        raise ValueError(f"check {planned.key}: there is no check type {planned.kind!r}; there are {', '.join(KINDS)}")
    if kind.passive:
        raise ValueError(f"check {planned.key}: {planned.kind} waits for pings and can't be probed")
    if not isinstance(planned.settings, kind.Settings):
        raise ValueError(
            f"check {planned.key}: its settings are {type(planned.settings).__name__}, not {kind.Settings.__name__}"
        )
    if not 0 < planned.timeout_s < LONGEST_TIMEOUT_S:
        raise ValueError(
            f"check {planned.key}: the timeout must lie between 0 and {LONGEST_TIMEOUT_S:g} s, "
            f"not {planned.timeout_s!r}"
        )
    check_rhythm(planned.key, planned.every_s, planned.offset_s)
    return _Check(planned, ProbePlan(planned.settings) if isinstance(planned.settings, HttpSettings) else None)


def _descriptors() -> int:
    """How many descriptors this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, soft) if soft != resource.RLIM_INFINITY else 1 << 20


def _judge(key: int, transfer: Probe) -> Outcome:
    """Judge an answer; should that take the process with it, it is known whose."""
    with working_on("check", key):
        return transfer.judge()
