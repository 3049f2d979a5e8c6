"""The monitor's memory: the checks it holds, their states, and the one transaction that writes what results change.

Results arrive in batches from the prober. What changes a check's health is committed at once, with its journal entry,
its alert and the pages it owes; what changes nothing waits up to `FLUSH_EVERY_S` to share a commit. Memory moves on
only as far as the database has: when a commit fails, the same content is tried again.

When thousands of checks change at once, they are committed in pieces, the most severe first, with a gap between two in
which others write: pings, acknowledgements, beats.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.journal.write import Fact, Subject, write_all
from mainstay.foundation.pieces import Pace, is_of_the_content, let_others_write
from mainstay.foundation.text import storable
from mainstay.observe.checks import decide, facts, store
from mainstay.observe.checks.decide import Health, State, Thresholds, Verdict
from mainstay.observe.checks.heartbeats import Rhythm
from mainstay.observe.checks.models import CheckState, Downtime, Result
from mainstay.observe.checks.recorded import Recorded

log = logging.getLogger("mainstay.monitor")
MONITOR = program("monitor")
FLUSH_EVERY_S = 1.0
FLUSH_ROWS = 2_000  # results that wait until a flush is due at once
CHANGES_AT_ONCE = 25  # in one transaction; more only delay the first pages and those who wait
ROWS_AT_ONCE = 1_000  # results in one transaction
TURN_S = 1.0  # how long one flush goes on while more is waiting: its cycle must not look as if it hung
WAITED_FOR_S = 60.0  # for a thing that is about to come; see `Patience`
KEPT_MOST = 200_000  # results waiting for a database that is away; beyond this the oldest that changed nothing go
RESULT_COLUMNS = (
    "check_ref_id", "at", "health", "duration_s", "dns_s", "connect_s", "tls_s", "first_byte_s", "transfer_s",
    "code", "message",
)  # fmt: skip
STATE_COLUMNS = (
    "failures", "answers", "warnings", "successes", "history", "flapping", "first_bad_at",
    "last_at", "last_health", "last_message", "last_duration_s", "last_code", "last_facts",
)  # fmt: skip


class PhasesLike(Protocol):
    """Durations of the phases of a probe, in seconds."""

    @property
    def dns_s(self) -> float: ...
    @property
    def connect_s(self) -> float: ...
    @property
    def tls_s(self) -> float: ...
    @property
    def first_byte_s(self) -> float: ...
    @property
    def transfer_s(self) -> float: ...


_URGENCY = {"critical": 0, "major": 1, "minor": 2}


@dataclass(slots=True)
class Watched:
    """One check as the monitor holds it."""

    id: int
    version: int
    name: str  # "shop/storefront"
    application: int
    kind: str
    thresholds: Thresholds
    every_s: float
    timeout_s: float
    paused: bool
    created_at: datetime
    rhythm: Rhythm | None
    state: State
    changes: int
    first_at: datetime | None
    pinged_at: datetime | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    second_chances: int = 0
    stored_due: datetime | None = None  # `due_at` as the records have it
    blocked_by: int | None = None
    severity: str = "major"

    @property
    def urgency(self) -> int:
        """The smaller, the more severe."""
        return _URGENCY.get(self.severity, len(_URGENCY))

    @property
    def subject(self) -> Subject:
        """The check as the journal names it."""
        return Subject("check", self.id, self.name, self.application)


@dataclass(frozen=True, slots=True)
class Observation:
    """One result of one check, whatever brought it: a probe, a ping, a ping that did not come."""

    check: int
    at: datetime
    health: Health
    duration_s: float
    message: str = ""
    code: int | None = None
    phases: PhasesLike | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    extra: bool = False  # beside the check's rhythm: recorded, but it does not count towards a threshold


@dataclass(frozen=True, slots=True)
class _Step:
    """What one observation makes of a check, waiting to be committed."""

    watched: Watched  # the check as it was held then
    seen: Observation
    verdict: Verdict
    changes: int  # the value of `CheckState.changes` that this builds on: the fence against other writers

    @property
    def changes_after(self) -> int:
        return self.changes + self.verdict.changed

    @property
    def tells(self) -> bool:
        """Whether the journal hears of it."""
        return self.verdict.changed or self.verdict.began_flapping or self.verdict.settled


@dataclass(slots=True)
class _Refused:
    """Checks of which a commit recorded nothing."""

    stale: set[int] = field(default_factory=set)  # another writer was there, or the check is gone
    broken: set[int] = field(default_factory=set)  # what they brought cannot be recorded: a defect, logged

    @property
    def all(self) -> set[int]:
        return self.stale | self.broken


class Patience:
    """Waits for each of several things, but not for ever."""

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        self._since: dict[int, float] = {}

    def lasts(self, thing: int) -> bool:
        """Tell whether `thing`, which is waited for since the first call, is still worth it."""
        at = time.monotonic()
        return at - self._since.setdefault(thing, at) < self.most_s

    def end(self, thing: int) -> None:
        """It came."""
        self._since.pop(thing, None)


class Watch:
    """All checks that this monitor holds. Any thread may call; only one at a time writes.

    `heard` is called with recorded results by `recorded.pass_on`, in another thread than the one that writes.
    """

    def __init__(self, heard: Callable[[Sequence[Observation]], None] = lambda _seen: None) -> None:
        self.recorded = Recorded(heard)
        self.checks: dict[int, Watched] = {}
        self._lock = threading.RLock()  # of memory; never held while the database is asked
        self._writing = threading.Lock()  # held from reading a state to having committed what follows from it
        self._steps: dict[int, list[_Step]] = {}  # by check; each check's own in order
        self._telling: dict[int, tuple[int, datetime]] = {}  # checks with a step that tells: the smallest comes first
        self._count = 0  # of steps
        self._ahead: dict[int, _Step] = {}  # the newest step of each check that has some not yet committed
        self._flushed_at = time.monotonic()
        self._pace, self._quiet_pace = Pace(CHANGES_AT_ONCE), Pace(ROWS_AT_ONCE)
        self.stale: set[int] = set()  # checks that were let go, to be loaded again
        self.lost = 0  # results dropped because the database was away for too long
        self.unread = Patience(WAITED_FOR_S)  # heartbeats that are late, but whose pings are not understood yet
        self.unknown = Patience(WAITED_FOR_S)  # checks that have pings and are not loaded yet

    def put(self, watched: Watched) -> None:
        """Hold a check, or its new version. Results that wait count on, unless its state was reset meanwhile."""
        with self._lock:
            before = self.checks.get(watched.id)
            self.checks[watched.id] = watched
            self.stale.discard(watched.id)
            if self._ahead.pop(watched.id, None) is None:
                return
            mine = [step.seen for step in self._take(watched.id)]
            if before is not None and before.changes == watched.changes:
                self.observe(mine)

    def drop(self, ids: Iterable[int]) -> None:
        """Let go of checks (removed, or another monitor's now)."""
        with self._lock:
            for check in ids:
                self.checks.pop(check, None)
                self._ahead.pop(check, None)

    def observe(self, seen: Iterable[Observation]) -> bool:
        """Take results in; return whether a flush is due at once."""
        with self._lock:
            for one in seen:
                watched = self.checks.get(one.check)
                if watched is None or watched.paused:
                    continue
                step = _step(watched, one, self._ahead.get(one.check))
                self._ahead[one.check] = step
                self._keep(step)
            if self._count > KEPT_MOST:
                self._shed()
            return self.urgent

    @property
    def urgent(self) -> bool:
        """Whether a flush is due at once."""
        return bool(self._telling) or self._count >= FLUSH_ROWS

    def failing(self) -> list[int]:
        """Return the checks whose present run of results is bad."""
        with self._lock:
            return [
                check
                for check, watched in self.checks.items()
                if (step.verdict.state if (step := self._ahead.get(check)) else watched.state).failures
            ]

    def flush(self, *, force: bool = False) -> int:
        """Commit what has arrived, if anything is urgent or old enough; return the number of results.

        What is more than one piece is committed in several transactions, for about a second: see `urgent` then.

        Raises:
            DatabaseError: the database is away; what is not committed is kept for the next call.
        """
        done, until = 0, time.monotonic() + TURN_S
        with self._lock:
            old = time.monotonic() - self._flushed_at >= FLUSH_EVERY_S
            if not (force or old or self.urgent):
                return 0
            waiting = self._count
        while True:
            with self._writing:
                piece, pace, items = self._next_piece()
                if not piece:
                    self._flushed_at = time.monotonic()
                    return done
                began = time.monotonic()
                self._commit_piece(piece)
                took_s = time.monotonic() - began
                pace.took(items, took_s)
                done += len(piece)
            if done >= waiting and not self._telling:
                self._flushed_at = time.monotonic()
                return done
            let_others_write(took_s)
            if time.monotonic() > until:
                return done

    def _next_piece(self) -> tuple[list[_Step], Pace, int]:
        """Take steps for one transaction: all of a check up to its last that tells, or those that change nothing."""
        with self._lock:
            piece: list[_Step] = []
            if not self._telling:
                for check in list(self._steps):
                    piece += self._take(check, self._quiet_pace.size - len(piece))
                    if len(piece) >= self._quiet_pace.size:
                        break
                return piece, self._quiet_pace, len(piece)
            changes = 0
            for check in heapq.nsmallest(self._pace.size, self._telling, key=self._telling.__getitem__):
                taken = self._take(check, self._fitting(check, self._pace.size - changes, ROWS_AT_ONCE - len(piece)))
                changes += sum(step.tells for step in taken)
                piece += taken
                if changes >= self._pace.size or len(piece) >= ROWS_AT_ONCE:
                    break
            return piece, self._pace, changes

    def _fitting(self, check: int, changes: int, rows: int) -> int:
        """Return how many steps of a check have at most so many changes and rows."""
        for place, step in enumerate(self._steps[check][:rows]):
            changes -= step.tells
            if changes < 0:
                return place
        return rows

    def _commit_piece(self, piece: list[_Step]) -> None:
        batches = [piece]
        while batches:
            batch = batches[0]
            try:
                refused = self._commit(batch)
            except BaseException as error:
                if not is_of_the_content(error):
                    self._give_back(batches)
                    raise
                apart = _by_check(batch)
                if len(apart) > 1:
                    log.exception("%d results cannot be recorded together; trying check by check", len(batch))
                    batches = apart
                    continue
                log.exception("%s: its results cannot be recorded and are dropped", batch[0].watched.name)
                refused = _Refused(broken={batch[0].seen.check})
            self._apply(batch, refused)
            del batches[0]

    def alone(self) -> threading.Lock:
        """Return what is held while a state is read and changed: `with watch.alone(): …`."""
        return self._writing

    def settle(
        self,
        decide: Callable[[], Iterable[Observation]],
        also: Callable[[set[int]], None],
        then: Callable[[set[int]], None] = lambda _stale: None,
    ) -> set[int]:
        """Commit observations of heartbeats now, in one transaction with `also` (which marks their pings as handled).

        `decide` is called once nobody else can write here: what it is told by the records still holds when this is
        committed. `also` is given the checks whose observations were not taken, since another writer was there; they
        are returned, too. They are loaded again, and what was seen of them has to be brought again then. `then` lets
        the caller's memory follow once it is committed.

        Raises:
            DatabaseError: nothing was committed and nothing is remembered; the pings are still unhandled.
        """
        with self._writing:
            with transaction.atomic():
                steps = self._steps_of(decide())
                refused = self._commit(steps, also)
            self._apply(steps, refused)
            then(refused.stale)
            return refused.stale

    # --- memory ----------------------------------------------------------------------------------------------------

    def _keep(self, step: _Step) -> None:
        check = step.seen.check
        self._steps.setdefault(check, []).append(step)
        self._count += 1
        if step.tells:
            self._telling.setdefault(check, _order(step))

    def _take(self, check: int, most: int | None = None) -> list[_Step]:
        """Take the oldest steps of a check out of memory, all unless `most` is given."""
        steps = self._steps.pop(check, [])
        taken, rest = (steps, []) if most is None else (steps[:most], steps[most:])
        self._count -= len(taken)
        self._telling.pop(check, None)
        if rest:
            self._steps[check] = rest
            self._mark(check)
        return taken

    def _mark(self, check: int) -> None:
        telling = next((step for step in self._steps[check] if step.tells), None)
        if telling is not None:
            self._telling[check] = _order(telling)

    def _give_back(self, batches: Iterable[list[_Step]]) -> None:
        """Keep what was not committed, before what came meanwhile."""
        with self._lock:
            for check, steps in ((apart[0].seen.check, apart) for batch in batches for apart in _by_check(batch)):
                self._steps[check] = [*steps, *self._steps.get(check, ())]
                self._count += len(steps)
                self._telling.pop(check, None)
                self._mark(check)

    def _steps_of(self, seen: Iterable[Observation]) -> list[_Step]:
        steps: list[_Step] = []
        newest: dict[int, _Step] = {}
        with self._lock:
            for one in seen:
                watched = self.checks.get(one.check)
                if watched is None or watched.paused:
                    continue
                newest[one.check] = step = _step(watched, one, newest.get(one.check))
                steps.append(step)
        return steps

    def _apply(self, steps: list[_Step], refused: _Refused) -> None:
        """Let memory follow what the database has."""
        with self._lock:
            for step in steps:
                if step.seen.check not in refused.all:
                    step.watched.state = step.verdict.state
                    step.watched.first_at = step.watched.first_at or step.seen.at
                    step.watched.changes = step.changes_after
            for check, watched in {step.seen.check: step.watched for step in steps}.items():
                held = self.checks.get(check)
                if held is None:
                    continue
                if (held is watched) == (check in refused.all):
                    # Refused: what is held is old. Not refused, but loaded again while this was committed: what was
                    # loaded may lack it.
                    self.checks.pop(check)
                    self._ahead.pop(check, None)
                    self.stale.add(check)
                elif held is watched and check not in self._steps:
                    self._ahead.pop(check, None)
        self.recorded.add([step.seen for step in steps if step.seen.check not in refused.all])

    # --- the transaction -------------------------------------------------------------------------------------------

    def _commit(self, steps: list[_Step], also: Callable[[set[int]], None] = lambda _stale: None) -> _Refused:
        with transaction.atomic():
            refused = _commit_changes(steps)
            newest = {step.seen.check: step for step in steps if step.seen.check not in refused.all}
            refused.stale |= _commit_states(newest)
            kept = [step for step in steps if step.seen.check not in refused.all]
            _commit_first(kept)
            store.insert(Result, RESULT_COLUMNS, [_result_row(step.seen) for step in kept])
            also(refused.stale)
        return refused

    def _shed(self) -> None:
        """Drop the older half of what changed nothing: the database is away, and memory has an end."""
        quiet = [step for steps in self._steps.values() for step in steps if not step.tells]
        quiet.sort(key=lambda step: step.seen.at)
        dropped = {id(step) for step in quiet[: len(quiet) // 2]}
        for check, steps in list(self._steps.items()):
            self._steps[check] = [step for step in steps if id(step) not in dropped]
            if not self._steps[check]:
                del self._steps[check]
        self._count -= len(dropped)
        self.lost += len(dropped)
        log.error("the database is away: %d results that changed nothing were dropped", len(dropped))


def _step(watched: Watched, seen: Observation, before: _Step | None) -> _Step:
    state, changes = (before.verdict.state, before.changes_after) if before else (watched.state, watched.changes)
    if seen.extra:
        return _Step(watched, seen, decide.glance(state, seen.health, seen.at), changes)
    return _Step(watched, seen, decide.observe(state, seen.health, seen.at, watched.thresholds), changes)


def _order(step: _Step) -> tuple[int, datetime]:
    """The most severe first, then the oldest."""
    return step.watched.urgency, step.seen.at


def _by_check(steps: Iterable[_Step]) -> list[list[_Step]]:
    found: dict[int, list[_Step]] = {}
    for step in steps:
        found.setdefault(step.seen.check, []).append(step)
    return list(found.values())


def _commit_changes(steps: Iterable[_Step]) -> _Refused:
    """Write the changes of health with all that follows from them."""
    refused = _Refused()
    waiting = _by_check(step for step in steps if step.tells)
    while waiting:  # of each check one change at a time: the second builds on the first
        turn = [mine[0] for mine in waiting if mine[0].seen.check not in refused.all]
        try:
            refused.stale |= _commit_turn(turn)
        except Exception as error:
            if not is_of_the_content(error):
                raise
            # A defect met by one check must not hold up all the others' pages.
            log.exception("%d changes cannot be recorded together; trying one by one", len(turn))
            for step in turn:
                _commit_alone(step, refused)
        waiting = [mine[1:] for mine in waiting if len(mine) > 1]
    return refused


def _commit_alone(step: _Step, refused: _Refused) -> None:
    try:
        refused.stale |= _commit_turn([step])
    except Exception as error:
        if not is_of_the_content(error):
            raise
        log.exception("%s: its change could not be recorded; its state is read anew", step.watched.name)
        refused.broken.add(step.seen.check)


def _commit_turn(turn: Sequence[_Step]) -> set[int]:
    """Write changes of different checks; return those whose row is not as we left it, of which nothing is written."""
    with transaction.atomic():
        # Locked and compared: what another writer changed meanwhile is not ours to change.
        rows = CheckState.objects.select_for_update().filter(pk__in=[step.seen.check for step in turn]).order_by("pk")
        found = dict(rows.values_list("pk", "changes"))
        stale = {step.seen.check for step in turn if found.get(step.seen.check) != step.changes}
        for step in turn:
            if step.seen.check in stale:
                log.warning("%s: its state was changed elsewhere meanwhile; it is read anew", step.watched.name)
        mine = [step for step in turn if step.seen.check not in stale]
        _advance(mine)
        tell(mine)
    return stale


def _commit_states(newest: Mapping[int, _Step]) -> set[int]:
    """Write where each check stands now; return those whose row is not as we left it, which stay as they are."""
    rows = [_state_row(step) for step in newest.values()]
    if store.update(CheckState, STATE_COLUMNS, ("check_ref_id", "changes"), rows) == len(rows):
        return set()
    found = dict(CheckState.objects.filter(pk__in=newest).values_list("pk", "changes"))
    return {check for check, step in newest.items() if found.get(check) != step.changes_after}


def _commit_first(steps: Iterable[_Step]) -> None:
    first: dict[int, datetime] = {}
    for step in steps:
        if step.watched.first_at is None:
            first.setdefault(step.seen.check, step.seen.at)
    rows = [(store.moment(at), check) for check, at in first.items()]
    store.update(CheckState, ("first_at",), ("check_ref_id",), rows, null=("first_at",))


def _advance(steps: Iterable[_Step]) -> None:
    """Write changes of health to rows that are locked."""
    counted, changed = [], []
    for step in steps:
        state, check = step.verdict.state, step.seen.check
        counted.append((state.flapping, step.changes_after, check))
        if step.verdict.changed:
            changed.append((state.health.value, store.moment(step.seen.at), _why(step), check))
    store.update(CheckState, ("flapping", "changes"), ("check_ref_id",), counted)
    store.update(CheckState, ("health", "since", "message"), ("check_ref_id",), changed)


def tell(steps: Sequence[_Step]) -> None:
    """Write what changed into the journal, and the downtimes that follow from it."""
    changed = [step for step in steps if step.verdict.changed]
    ended = [(store.moment(step.seen.at), step.watched.id) for step in changed]
    store.update(Downtime, ("ended_at",), ("check_ref_id",), ended, null=("ended_at",))
    begun = [_downtime(step) for step in changed if step.verdict.state.health in {Health.DOWN, Health.DEGRADED}]
    store.insert(Downtime, ("check_ref_id", "application_id", "health", "started_at"), begun)
    write_all(fact for step in steps for fact in _facts(step))


def _downtime(step: _Step) -> tuple[Any, ...]:
    verdict, seen = step.verdict, step.seen
    # Down since the first failure of the run, not since the threshold: the users were without it from then on.
    began = verdict.state.first_bad_at or seen.at
    if verdict.was not in {Health.UP, Health.UNKNOWN}:
        began = seen.at
    return step.watched.id, step.watched.application, verdict.state.health.value, store.moment(began)


def _facts(step: _Step) -> Iterator[Fact]:
    about, verdict, seen = step.watched.subject, step.verdict, step.seen
    if verdict.began_flapping:
        said = {"message": storable(seen.message) or verdict.reason}
        yield Fact(facts.CHECK_FLAPPING, about, MONITOR, seen.at, said)
    if verdict.changed:
        since = verdict.state.first_bad_at
        yield Fact(
            facts.CHECK_CHANGED,
            about,
            MONITOR,
            seen.at,
            {
                "was": verdict.was.value,
                "health": verdict.state.health.value,
                "message": _why(step),
                "first_bad_at": since.isoformat() if since else None,
            },
        )
    if verdict.settled:
        yield Fact(facts.CHECK_SETTLED, about, MONITOR, seen.at, {})


def _why(step: _Step) -> str:
    return "" if step.verdict.state.health is Health.UP else storable(step.seen.message) or step.verdict.reason


def _result_row(seen: Observation) -> tuple[Any, ...]:
    phases = seen.phases
    durations = (
        (phases.dns_s, phases.connect_s, phases.tls_s, phases.first_byte_s, phases.transfer_s)
        if phases is not None
        else (None, None, None, None, None)
    )
    return (
        seen.check,
        store.moment(seen.at),
        seen.health.value,
        seen.duration_s,
        *durations,
        seen.code,
        storable(seen.message),
    )


def _state_row(step: _Step) -> tuple[Any, ...]:
    state, seen = step.verdict.state, step.seen
    return (
        state.failures,
        state.answers,
        state.warnings,
        state.successes,
        state.history,
        state.flapping,
        store.moment(state.first_bad_at),
        store.moment(seen.at),
        seen.health.value,
        storable(seen.message),
        seen.duration_s,
        seen.code,
        store.json_text(seen.facts),
        seen.check,
        step.changes_after,
    )
