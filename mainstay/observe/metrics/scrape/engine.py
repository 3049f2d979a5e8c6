"""The scraper: owns the schedule, fetches, hands answers to be taken in.

One thread holds the schedule and all transfers; names are resolved and targets are looked for in threads that may
wait (`seek.py`). An answer is taken in on the loop's thread while that costs a few milliseconds at most, else by a
thread beside it: Python gives the loop its turn every 5 ms then, whatever the size of the answer.

Each grid slot of a target ends in one of three ways, as a check's: it is scraped, or it fell due while the previous
scrape was still running, or nobody could serve it; the last two are counted.
"""

import heapq
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from mainstay.foundation.processes.work import working_on
from mainstay.foundation.words.text import one_sentence
from mainstay.net.addresses import shown_url
from mainstay.net.loop import TransferLoop
from mainstay.net.policy import AddressPolicy
from mainstay.net.resolver import Resolution, Resolver, Ticket
from mainstay.net.schedule import offset_for
from mainstay.observe.metrics.exposition import Family, ParseError
from mainstay.observe.metrics.scrape.fetch import Budget, Fetch
from mainstay.observe.metrics.scrape.intake import Counts, Intake, LimitReached, StoreLike, TooMuch, newest_of
from mainstay.observe.metrics.scrape.seek import Seeker, Sought, Wanted
from mainstay.observe.metrics.scrape.state import Figures, PlannedScrape, ScrapeState, TargetHealth, TargetState

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 500
HELD_BYTES_MOST = 256 << 20
KEPT_ALIVE_MOST = 4000
_INLINE_S = 0.003
_COLD_S_PER_BYTE = 2e-7
"""Of an answer that must be read in full: measured, about 0.15 µs."""
_ALIGN_S = 0.02
"""A scrape that starts this soon after its slot is dated with the slot: even distances compress best."""
_THREADS = 2


@dataclass(slots=True, eq=False)
class _Entry:
    """One target in the loop's hands."""

    key: int
    wanted: Wanted
    intake: Intake
    run: "_Run | None" = None
    waits: bool = False
    removed: bool = False
    health: TargetHealth = TargetHealth.UNKNOWN
    error: str = ""
    last_at: float | None = None
    duration_s: float = 0.0
    counts: Counts = field(default_factory=Counts)
    overlapped: int = 0
    skipped: int = 0
    address: str = ""
    s_per_byte: float = _COLD_S_PER_BYTE
    newest_ms: int = 0

    def lost_its_run(self) -> None:
        if self.run is not None:
            self.run.fetch.release()
        self.run = None
        self.skipped += 1


@dataclass(slots=True, eq=False)
class _Run:
    run_id: int
    entry: _Entry
    intake: Intake
    due_at: float
    at_ms: int
    fetch: Fetch
    digesting: bool = False
    name: Ticket | None = None
    """It waits for the addresses of a name."""


@dataclass(frozen=True, slots=True)
class _Digest:
    """What became of one scrape. One that is up may have an error, too: the store had no room for all of it."""

    up: bool
    error: str
    counts: Counts
    took_s: float


class Scraper(TransferLoop["_Entry", "_Run", Fetch]):
    """Scrapes what is planned. All methods are thread-safe."""

    def __init__(
        self,
        policy: AddressPolicy,
        store: StoreLike,
        *,
        resolver: Resolver | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`wall_clock` exists to be travelled in tests."""
        super().__init__(
            "scrape-engine", max_in_flight=max_in_flight, kept_alive=KEPT_ALIVE_MOST, wall_clock=wall_clock
        )
        self._policy = policy
        self._store = store
        self._resolver = resolver or Resolver()
        self._by_scrape: dict[int, dict[str, _Entry]] = {}
        self._sought: dict[int, Sought] = {}
        self._free_keys: list[int] = []
        self._keys = itertools.count(1)
        self._scrapes = self._failures = self._samples = self._repeated = self._bytes = 0
        self._budget = Budget(HELD_BYTES_MOST)
        self._aside = ThreadPoolExecutor(_THREADS, thread_name_prefix="scrape-intake")
        self._seeker = Seeker(lambda sought: self._post(lambda: self._take_over(sought)))

    # --- for any thread -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to scrape. A scraper is started once."""
        self._seeker.start()
        self._start_loop()

    def stop(self, timeout_s: float) -> bool:
        """Begin no more scrapes, give running ones until the timeout, end the threads. False when one did not end.

        No series is marked as ended: whoever is started next goes on with them.
        """
        self._seeker.stop()
        self._stop_loop(timeout_s)
        self._aside.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive()

    def update(self, planned: Iterable[PlannedScrape], removed: Iterable[int] = ()) -> None:
        """Add or change scrapes, and remove some: the series of targets that are gone are marked as ended."""
        self._seeker.update(list(planned), list(removed))

    def held(self) -> dict[int, PlannedScrape]:
        """Return the scrapes that are done, or will be, by key."""
        return self._seeker.held()

    def targets(self) -> list[TargetState]:
        """Return all targets with their health, by job and URL."""
        # A copy in one step: the loop goes on meanwhile.
        states = [_state(entry) for entry in list(self._items.values())]
        return sorted(states, key=lambda state: (state.job, state.url, state.identity))

    def scrapes(self) -> list[ScrapeState]:
        """Return what discovery found for each scrape, by name."""
        states = [
            ScrapeState(each.key, each.name, len(each.wanted), each.dropped[:1000], each.errors[:100])
            for each in list(self._sought.values())
        ]
        return sorted(states, key=lambda state: (state.name, state.key))

    def families(self) -> list[tuple[TargetState, tuple[Family, ...]]]:
        """Return what each target says of its metrics: type, help, unit."""
        return [(_state(entry), entry.intake.families) for entry in list(self._items.values())]

    def figures(self) -> Figures:
        """Return the scraper's health; cheap enough for every scrape of Mainstay itself."""
        lateness_p50_s, lateness_p99_s = self._lateness_s()
        entries = list(self._items.values())
        return Figures(
            alive=self._thread.is_alive(),
            lag_s=self.lag_s(),
            waiting_s=self.waiting_s(),
            lateness_p50_s=lateness_p50_s,
            lateness_p99_s=lateness_p99_s,
            targets=len(entries),
            targets_up=sum(entry.health is TargetHealth.UP for entry in entries),
            in_flight=len(self._runs),
            waiting=len(self._ready),
            scrapes=self._scrapes,
            failures=self._failures,
            samples=self._samples,
            repeated=self._repeated,
            body_bytes=self._bytes,
            held_bytes=max(0, self._budget.held),
            slots_overlapped=self._overlapped,
            slots_skipped=self._skipped,
        )

    # --- what is scraped ----------------------------------------------------------------------------------------

    def _take_over(self, sought: Sought) -> None:
        """Make the targets of a scrape those that were found; `sought.gone` tells that the scrape itself is gone."""
        if self._stopping:
            return
        wall = self._wall_clock()
        held = self._by_scrape.setdefault(sought.key, {})
        wanted = {each.target.identity: each for each in sought.wanted}
        for identity in [identity for identity in held if identity not in wanted]:
            self._drop(held.pop(identity), wall)
        for identity, each in wanted.items():
            try:
                self._take_target(held, identity, each, wall)
            except Exception as defect:  # noqa: BLE001  # one target's defect must not cost the others
                self._survive(defect)
        if sought.gone:
            self._by_scrape.pop(sought.key, None)
            self._sought.pop(sought.key, None)
        else:
            self._sought[sought.key] = sought

    def _take_target(self, held: dict[str, _Entry], identity: str, each: Wanted, wall: float) -> None:
        entry = held.get(identity)
        if entry is None:
            intake = self._intake(each)
            key = heapq.heappop(self._free_keys) if self._free_keys else next(self._keys)
            entry = held[identity] = self._items[key] = _Entry(key, each, intake)
        elif entry.wanted is not each:
            if entry.wanted.frame is not each.frame:
                # A run that is under way ends with the old one: both write to the same streams.
                entry.intake = self._intake(each, entry.newest_ms)
                entry.s_per_byte = _COLD_S_PER_BYTE
            entry.wanted = each
        target = each.target
        self._schedule.put(entry.key, target.every_s, offset_for(entry.key, target.every_s), wall)

    def _intake(self, wanted: Wanted, newest_ms: int = 0) -> Intake:
        frame, target = wanted.frame, wanted.target
        intake = Intake(
            self._store, target.identity, target.labels.get("job", frame.job), target.labels, frame.settings,
            wanted.metric_relabel,
        )  # fmt: skip
        intake.newest_ms = max(intake.newest_ms, newest_ms)
        return intake

    def _drop(self, entry: _Entry, wall: float) -> None:
        entry.removed = True
        self._schedule.remove(entry.key)
        del self._items[entry.key]
        heapq.heappush(self._free_keys, entry.key)
        if entry.run is None:
            self._close(entry, wall)

    def _close(self, entry: _Entry, wall: float) -> None:
        try:
            entry.intake.close(int(wall * 1000))
        except Exception:
            log.exception("the series of %s could not be marked as ended", shown_url(entry.wanted.target.url))

    # --- one scrape ---------------------------------------------------------------------------------------------

    def _due(self, entry: _Entry, due_at: float, skipped: int) -> None:
        entry.skipped += skipped
        self._skipped += skipped
        if entry.run is not None or entry.waits:
            entry.overlapped += 1
            self._overlapped += 1
        else:
            self._enqueue(entry, due_at)

    def _start(self, entry: _Entry, due_at: float) -> None:
        now = time.perf_counter()
        started_at = self._wall + (now - self._mono)
        aligned = 0 <= started_at - due_at <= min(_ALIGN_S, entry.wanted.target.every_s / 100)
        at_ms = round((due_at if aligned else started_at) * 1000)
        fetch = Fetch(
            entry.wanted.plan, self._policy, started_at, now, entry.wanted.target.timeout_s, self._budget, entry.address
        )
        run = _Run(next(self._run_ids), entry, entry.intake, due_at, at_ms, fetch)
        fetch.run_id = run.run_id
        entry.run = self._runs[run.run_id] = run
        self._next_hop(run)

    def _next_hop(self, run: _Run) -> None:
        try:
            wanted = run.fetch.resolve_next()
        except Exception as defect:  # noqa: BLE001  # one target's defect must not stop all the others
            self._broken(run, defect)
            return
        if wanted is None:
            self._begin(run)
            return
        heapq.heappush(self._deadlines, (run.fetch.deadline, run.run_id))
        run_id = run.run_id
        run.name = self._resolver.submit(
            *wanted, lambda resolution: self._post(lambda: self._resolved(run_id, resolution))
        )

    def _resolved(self, run_id: int, resolution: Resolution) -> None:
        run = self._runs.get(run_id)
        if run is not None and not run.digesting:
            run.name = None
            self._begin(run, resolution)

    def _begin(self, run: _Run, resolution: Resolution | None = None) -> None:
        try:
            if resolution is not None:
                run.fetch.resolved(resolution)
            if not run.fetch.ended and self._curl.begin(run.fetch, time.perf_counter()):
                return
        except Exception as defect:  # noqa: BLE001  # as above
            self._broken(run, defect)
            return
        self._fetched(run)

    def _item_of(self, run: _Run) -> _Entry:
        return run.entry

    def _hop_done(self, run: _Run, transfer: Fetch, again: bool, defect: Exception | None) -> None:
        if defect is not None:
            self._broken(run, defect)
        elif again:
            self._next_hop(run)
        else:
            self._fetched(run)

    def _broken(self, run: _Run, defect: BaseException) -> None:
        log.error("scraping %s failed by a defect of ours", shown_url(run.entry.wanted.target.url), exc_info=defect)
        run.fetch.broke(f"a defect in Mainstay ({type(defect).__name__})")
        self._fetched(run)

    def _expired(self, run: _Run) -> None:
        if run.name is None or run.digesting:
            return
        run.name.give_up()
        if run.name.asked:
            run.fetch.timed_out("its name was not resolved")
            self._fetched(run)
        else:
            self._not_made(run)

    def _not_made(self, run: _Run) -> None:
        """The slot passes without a sample: nobody was asked about the name, so nothing is known of the target."""
        entry = run.entry
        self._runs.pop(run.run_id, None)
        entry.lost_its_run()
        entry.error = "not scraped: its name still waited to be looked up, behind others"
        self._skipped += 1
        if entry.removed:
            self._close(entry, self._wall_clock())

    def _fetched(self, run: _Run) -> None:
        """The answer is there, or why there is none: take it in, here or beside the loop."""
        run.digesting = True
        fetch, entry = run.fetch, run.entry
        size = len(fetch.body) if fetch.body is not None else 0
        self._bytes += size
        duration_s = max(fetch.ended_mono, fetch.started_mono) - fetch.started_mono
        if fetch.body is None:
            duration_s = time.perf_counter() - fetch.started_mono
        if entry.removed:
            self._ended(run, None, duration_s)
        elif size * entry.s_per_byte <= _INLINE_S:
            self._ended(run, _digest(run, duration_s), duration_s)
        else:
            self._aside.submit(_digest, run, duration_s).add_done_callback(
                lambda digesting: self._digested(run, digesting, duration_s)
            )

    def _digested(self, run: _Run, digesting: Future[_Digest], duration_s: float) -> None:
        """Called by the thread beside the loop."""
        if not digesting.cancelled():
            self._post(lambda: self._ended(run, digesting.result(), duration_s))

    def _ended(self, run: _Run, digest: _Digest | None, duration_s: float) -> None:
        entry, fetch = run.entry, run.fetch
        size = len(fetch.body) if fetch.body is not None else 0
        fetch.release()
        del self._runs[run.run_id]
        entry.run = None
        self._scrapes += 1
        self._lateness.append(fetch.started_at - run.due_at)
        entry.newest_ms = newest_of(entry.newest_ms, run.at_ms)
        entry.intake.newest_ms = newest_of(entry.intake.newest_ms, run.intake.newest_ms)
        if entry.removed:
            self._close(entry, self._wall_clock())
        if digest is None:
            return
        if size:
            rate = digest.took_s / size
            # Once warm, an answer costs a third: what it cost last is what it will cost, but one slow turn is noise.
            entry.s_per_byte = rate if rate < entry.s_per_byte else (entry.s_per_byte + rate) / 2
        entry.error, entry.counts = digest.error, digest.counts
        entry.health = TargetHealth.UP if digest.up else TargetHealth.DOWN
        entry.last_at, entry.duration_s = fetch.started_at, duration_s
        # The address that answered is asked again; after a failure all of them are.
        entry.address = fetch.ip if digest.up else ""
        self._failures += not digest.up
        self._samples += digest.counts.kept
        self._repeated += digest.counts.repeated


def _digest(run: _Run, duration_s: float) -> _Digest:
    """Take an answer in, or what came instead of one. Never raises."""
    began = time.perf_counter()
    error, counts, refused = run.fetch.failure, Counts(), ""
    intake, body = run.intake, run.fetch.body
    try:
        if body is not None:
            with working_on("scrape", run.entry.wanted.scrape):
                error, counts = _taken(intake, run.fetch, body, run.at_ms)
            refused = intake.refused if not error else ""
        if error:
            intake.end(run.at_ms)
        intake.report(run.at_ms, up=not error, duration_s=duration_s, counts=counts)
    except Exception as defect:
        log.exception("the samples of %s could not be stored", shown_url(run.entry.wanted.target.url))
        error = error or f"the samples could not be stored: {defect or type(defect).__name__}"
    return _Digest(not error, one_sentence(error or refused), counts, time.perf_counter() - began)


def _taken(intake: Intake, fetch: Fetch, body: bytes, at_ms: int) -> tuple[str, Counts]:
    try:
        return "", intake.take(body, fetch.content_type, at_ms, whole=fetch.whole)
    except LimitReached as over:
        return str(over), over.counts
    except TooMuch as over:
        return str(over), Counts()
    except ParseError as wrong:
        return f"the answer can't be read: {wrong}", Counts()


def _state(entry: _Entry) -> TargetState:
    target, counts = entry.wanted.target, entry.counts
    return TargetState(
        scrape=entry.wanted.scrape,
        job=entry.wanted.frame.job,
        identity=target.identity,
        url=shown_url(target.url),
        labels=target.labels,
        discovered=target.discovered,
        health=entry.health,
        error=entry.error,
        last_at=entry.last_at,
        duration_s=entry.duration_s,
        samples=counts.scraped,
        kept=counts.kept,
        added=counts.added,
        every_s=target.every_s,
        timeout_s=target.timeout_s,
        slots_overlapped=entry.overlapped,
        slots_skipped=entry.skipped,
    )
