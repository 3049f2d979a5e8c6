"""The monitor's memory: the checks it holds, their states, and the one transaction that writes what results change.

Results arrive in batches from the prober. What changes a check's health is committed at once, with its journal entry,
its alert and the pages it owes; what changes nothing waits up to `FLUSH_EVERY_S` to share a commit. Memory moves on
only as far as the database has: when a commit fails, the same content is tried again.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError, transaction

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.text import storable, storable_json
from mainstay.observe.checks import decide, facts, store
from mainstay.observe.checks.decide import Health, State, Thresholds, Verdict
from mainstay.observe.checks.heartbeats import Rhythm
from mainstay.observe.checks.models import CheckState, Downtime, Result

log = logging.getLogger("mainstay.monitor")
MONITOR = program("monitor")
FLUSH_EVERY_S = 1.0
FLUSH_ROWS = 2_000
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

    `heard` is called with results once they are recorded, in the thread that recorded them.
    """

    def __init__(self, heard: Callable[[Iterable[Observation]], None] = lambda _seen: None) -> None:
        self._heard = heard
        self.checks: dict[int, Watched] = {}
        self._lock = threading.RLock()  # of memory; never held while the database is asked
        self._writing = threading.Lock()  # held from reading a state to having committed what follows from it
        self._steps: list[_Step] = []
        self._ahead: dict[int, _Step] = {}  # the newest step of each check that has some not yet committed
        self._flushed_at = time.monotonic()
        self._urgent = False
        self.stale: set[int] = set()  # checks to be loaded again
        self.lost = 0  # results dropped because the database was away for too long
        self.unread = Patience(WAITED_FOR_S)  # heartbeats that are late, but whose pings are not understood yet
        self.unknown = Patience(WAITED_FOR_S)  # checks that have pings and are not loaded yet

    def put(self, watched: Watched) -> None:
        """Hold a check, or its new version. Results that wait count on, unless its state was reset meanwhile."""
        with self._lock:
            before = self.checks.get(watched.id)
            self.checks[watched.id] = watched
            if self._ahead.pop(watched.id, None) is None:
                return
            mine = [step.seen for step in self._steps if step.seen.check == watched.id]
            self._steps = [step for step in self._steps if step.seen.check != watched.id]
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
                self._steps.append(step)
                self._urgent |= step.tells
            if len(self._steps) > KEPT_MOST:
                self._shed()
            return self._urgent or len(self._steps) >= FLUSH_ROWS

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

        Raises:
            DatabaseError: the database is away; what is not committed is kept for the next call.
        """
        with self._writing:
            with self._lock:
                old = time.monotonic() - self._flushed_at >= FLUSH_EVERY_S
                if not self._steps or not (force or self._urgent or old):
                    return 0
                steps, self._steps, self._urgent = self._steps, [], False
            self._flush(steps)
            self._flushed_at = time.monotonic()
            return len(steps)

    def _flush(self, steps: list[_Step]) -> None:
        batches = [steps]
        while batches:
            batch = batches[0]
            try:
                refused = self._commit(batch)
            except BaseException as error:
                if not _is_of_the_content(error):
                    with self._lock:
                        self._steps[:0] = [step for waiting in batches for step in waiting]
                        self._urgent = True
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
        self._heard(step.seen for step in steps if step.seen.check not in refused.all)
        with self._lock:
            waiting = {step.seen.check for step in self._steps}
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
                elif held is watched and check not in waiting:
                    self._ahead.pop(check, None)

    def _commit(self, steps: list[_Step], also: Callable[[set[int]], None] = lambda _stale: None) -> _Refused:
        with transaction.atomic():
            refused = self._commit_changes(steps)
            newest = {step.seen.check: step for step in steps if step.seen.check not in refused.all}
            refused.stale |= _commit_states(newest)
            kept = [step for step in steps if step.seen.check not in refused.all]
            _commit_first(kept)
            store.insert(Result, RESULT_COLUMNS, [_result_row(step.seen) for step in kept])
            also(refused.stale)
        return refused

    def _commit_changes(self, steps: list[_Step]) -> _Refused:
        refused = _Refused()
        for step in steps:
            check = step.seen.check
            if not step.tells or check in refused.all:
                continue
            try:
                with transaction.atomic():
                    advanced = _advance(step)
                    if advanced:
                        tell(step)
            except Exception as error:
                if not _is_of_the_content(error):
                    raise
                # A defect met by one check must not hold up all the others' pages.
                log.exception("%s: its change could not be recorded; its state is read anew", step.watched.name)
                refused.broken.add(check)
                continue
            if not advanced:
                log.warning("%s: its state was changed elsewhere meanwhile; it is read anew", step.watched.name)
                refused.stale.add(check)
        return refused

    def _shed(self) -> None:
        quiet = [step for step in self._steps if not step.tells]
        dropped = {id(step) for step in quiet[: len(quiet) // 2]}
        self._steps = [step for step in self._steps if id(step) not in dropped]
        self.lost += len(dropped)
        log.error("the database is away: %d results that changed nothing were dropped", len(dropped))


def _step(watched: Watched, seen: Observation, before: _Step | None) -> _Step:
    state, changes = (before.verdict.state, before.changes_after) if before else (watched.state, watched.changes)
    return _Step(watched, seen, decide.observe(state, seen.health, seen.at, watched.thresholds), changes)


def _by_check(steps: Iterable[_Step]) -> list[list[_Step]]:
    found: dict[int, list[_Step]] = {}
    for step in steps:
        found.setdefault(step.seen.check, []).append(step)
    return list(found.values())


def _is_of_the_content(error: BaseException) -> bool:
    """Whether the same would fail again (a defect of ours); not so for a database that is locked, full or away."""
    if isinstance(error, DatabaseError):
        return isinstance(error, DataError | IntegrityError | ProgrammingError)
    return isinstance(error, Exception) and not isinstance(error, InterfaceError)


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
    for check, at in first.items():
        CheckState.objects.filter(pk=check, first_at=None).update(first_at=at)


def _advance(step: _Step) -> bool:
    """Write the change of health; False when the row is not as we left it."""
    verdict = step.verdict
    values: dict[str, Any] = {"flapping": verdict.state.flapping, "changes": step.changes_after}
    if verdict.changed:
        values |= {"health": verdict.state.health.value, "since": step.seen.at, "message": _why(step)}
    return bool(CheckState.objects.filter(pk=step.seen.check, changes=step.changes).update(**values))


def tell(step: _Step) -> None:
    """Write what changed into the journal, and the downtime that follows from it."""
    watched, verdict, seen = step.watched, step.verdict, step.seen
    if verdict.began_flapping:
        write(facts.CHECK_FLAPPING, watched.subject, MONITOR, seen.at, message=storable(seen.message) or verdict.reason)
    if verdict.changed:
        health, since = verdict.state.health, verdict.state.first_bad_at
        Downtime.objects.filter(check_ref=watched.id, ended_at=None).update(ended_at=seen.at)
        if health in {Health.DOWN, Health.DEGRADED}:
            # Down since the first failure of the run, not since the threshold: the users were without it from then on.
            began = since or seen.at
            if verdict.was not in {Health.UP, Health.UNKNOWN}:
                began = seen.at
            Downtime.objects.create(
                check_ref_id=watched.id, application_id=watched.application, health=health.value, started_at=began
            )
        write(
            facts.CHECK_CHANGED,
            watched.subject,
            MONITOR,
            seen.at,
            was=verdict.was.value,
            health=health.value,
            message=_why(step),
            first_bad_at=since.isoformat() if since else None,
        )
    if verdict.settled:
        write(facts.CHECK_SETTLED, watched.subject, MONITOR, seen.at)


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
        _storable_json(seen.facts),
        seen.check,
        step.changes_after,
    )


def _storable_json(value: dict[str, Any]) -> str:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # half a surrogate pair
        text = json.dumps(value)
    return json.dumps(storable_json(json.loads(text))) if "\\u0000" in text or "\\ud" in text else text
