"""The monitor's memory: the checks it holds, their states, and the one transaction that writes what results change.

Results arrive in batches from the prober. What changes a check's health is committed at once, with its journal entry,
its alert and the pages it owes; what changes nothing waits up to `FLUSH_EVERY_S` to share a commit. Memory moves on
only as far as the database has: when a commit fails, the same content is tried again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson
from django.db import DatabaseError, transaction
from django.db.models import F

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.journal.write import Subject, write
from mainstay.observe.checks import decide, facts, store
from mainstay.observe.checks.decide import Health, State, Thresholds, Verdict
from mainstay.observe.checks.heartbeats import Rhythm
from mainstay.observe.checks.models import CheckState, Downtime, Result

log = logging.getLogger("mainstay.monitor")
MONITOR = program("monitor")
FLUSH_EVERY_S = 1.0
FLUSH_ROWS = 2_000
KEPT_MOST = 200_000  # results waiting for a database that is away; beyond this the oldest that changed nothing go
RESULT_COLUMNS = (
    "check_ref_id", "at", "health", "duration_s", "dns_s", "connect_s", "tls_s", "first_byte_s", "transfer_s", "code", "message",
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


@dataclass(slots=True)
class _Step:
    """What one observation makes of a check, waiting to be committed."""

    seen: Observation
    verdict: Verdict


class Watch:
    """All checks that this monitor holds. `observe` may be called from one thread at a time per check; it locks."""

    def __init__(self) -> None:
        self.checks: dict[int, Watched] = {}
        self._lock = threading.RLock()
        self._steps: list[_Step] = []
        self._ahead: dict[int, State] = {}  # states beyond the committed ones
        self._flushed_at = time.monotonic()
        self._urgent = False
        self.stale: set[int] = set()  # checks to be loaded again
        self.lost = 0  # results dropped because the database was away for too long

    def put(self, watched: Watched) -> None:
        """Hold a check, or its new version."""
        with self._lock:
            self.checks[watched.id] = watched
            self._ahead.pop(watched.id, None)

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
                state = self._ahead.get(one.check, watched.state)
                verdict = decide.observe(state, one.health, one.at, watched.thresholds)
                self._ahead[one.check] = verdict.state
                self._steps.append(_Step(one, verdict))
                if verdict.changed or verdict.began_flapping or verdict.settled:
                    self._urgent = True
            if len(self._steps) > KEPT_MOST:
                self._shed()
            return self._urgent or len(self._steps) >= FLUSH_ROWS

    def failing(self) -> list[int]:
        """Return the checks whose present run of results is bad."""
        with self._lock:
            return [check for check, watched in self.checks.items() if self._ahead.get(check, watched.state).failures]

    def flush(self, *, force: bool = False) -> int:
        """Commit what has arrived, if anything is urgent or old enough; return the number of results.

        Raises:
            DatabaseError: nothing was committed, and all is kept for the next call.
        """
        with self._lock:
            old = time.monotonic() - self._flushed_at >= FLUSH_EVERY_S
            if not self._steps or not (force or self._urgent or old):
                return 0
            steps, self._steps, self._urgent = self._steps, [], False
        try:
            stale = self._commit(steps)
        except BaseException:
            with self._lock:
                self._steps[:0] = steps
                self._urgent = True
            raise
        self._flushed_at = time.monotonic()
        self._apply(steps, stale)
        return len(steps)

    def settle(self, seen: Iterable[Observation], also: Callable[[], None]) -> None:
        """Commit observations of heartbeats now, in one transaction with `also` (which marks their pings as handled).

        Raises:
            DatabaseError: nothing was committed and nothing is remembered; the pings are still unhandled.
        """
        steps: list[_Step] = []
        with self._lock:
            states: dict[int, State] = {}
            for one in seen:
                watched = self.checks.get(one.check)
                if watched is None or watched.paused:
                    continue
                verdict = decide.observe(states.get(one.check, watched.state), one.health, one.at, watched.thresholds)
                states[one.check] = verdict.state
                steps.append(_Step(one, verdict))
        self._apply(steps, self._commit(steps, also))

    def _apply(self, steps: list[_Step], stale: set[int]) -> None:
        with self._lock:
            waiting = {step.seen.check for step in self._steps}
            for step in steps:
                watched = self.checks.get(step.seen.check)
                if watched is None or watched.id in stale:
                    continue
                watched.state = step.verdict.state
                watched.first_at = watched.first_at or step.seen.at
                watched.changes += step.verdict.changed
                if watched.id not in waiting:
                    self._ahead.pop(watched.id, None)
            for check in stale:  # another writer was there: what we hold is old, so it is loaded again
                self.checks.pop(check, None)
                self._ahead.pop(check, None)
            self.stale |= stale

    def _commit(self, steps: list[_Step], also: Callable[[], None] = lambda: None) -> set[int]:
        newest = {step.seen.check: step for step in steps}
        with transaction.atomic():
            stale = self._commit_changes(steps)
            kept = [step for step in steps if step.seen.check not in stale]
            store.insert(Result, RESULT_COLUMNS, [_result_row(step.seen) for step in kept])
            store.update(
                CheckState,
                STATE_COLUMNS,
                ("check_ref_id",),
                [_state_row(step) for check, step in newest.items() if check not in stale],
            )
            also()
        return stale

    def _commit_changes(self, steps: list[_Step]) -> set[int]:
        stale: set[int] = set()
        moved: dict[int, int] = {}
        for step in steps:
            verdict, check = step.verdict, step.seen.check
            watched = self.checks.get(check)
            if watched is None:
                stale.add(check)  # removed or handed over meanwhile
                continue
            if check in stale:
                continue
            if watched.first_at is None and check not in moved:
                CheckState.objects.filter(pk=check, first_at=None).update(first_at=step.seen.at)
            if not (verdict.changed or verdict.began_flapping or verdict.settled):
                continue
            try:
                with transaction.atomic():
                    advanced = _advance(watched, step, expected=watched.changes + moved.get(check, 0))
                    if advanced:
                        tell(watched, step)
            except DatabaseError:
                raise
            except Exception:  # noqa: BLE001  # a defect met by one check must not hold up all the others' pages
                log.exception("%s: its change could not be recorded; its state is read anew", watched.name)
                advanced = False
            if not advanced:
                log.warning("%s: another monitor has taken this check over", watched.name)
                stale.add(check)
                continue
            moved[check] = moved.get(check, 0) + verdict.changed
        return stale

    def _shed(self) -> None:
        quiet = [step for step in self._steps if not step.verdict.changed]
        dropped = {id(step) for step in quiet[: len(quiet) // 2]}
        self._steps = [step for step in self._steps if id(step) not in dropped]
        self.lost += len(dropped)
        log.error("the database is away: %d results that changed nothing were dropped", len(dropped))


def _advance(watched: Watched, step: _Step, *, expected: int) -> bool:
    """Write the change of health; False when the row is not as we left it."""
    verdict, seen = step.verdict, step.seen
    values: dict[str, Any] = {"flapping": verdict.state.flapping, "changes": F("changes") + int(verdict.changed)}
    if verdict.changed:
        values |= {"health": verdict.state.health.value, "since": seen.at, "message": _why(step)}
        values["first_bad_at"] = verdict.state.first_bad_at
        if verdict.state.health is not Health.DOWN:
            values["blocked_by"] = None
    return bool(CheckState.objects.filter(pk=watched.id, changes=expected).update(**values))


def tell(watched: Watched, step: _Step) -> None:
    """Write what changed into the journal, and the downtime that follows from it."""
    verdict, seen = step.verdict, step.seen
    if verdict.began_flapping:
        write(facts.CHECK_FLAPPING, watched.subject, MONITOR, seen.at, message=seen.message or verdict.reason)
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
    return "" if step.verdict.state.health is Health.UP else step.seen.message or step.verdict.reason


def _result_row(seen: Observation) -> tuple[Any, ...]:
    phases = seen.phases
    durations = (
        (phases.dns_s, phases.connect_s, phases.tls_s, phases.first_byte_s, phases.transfer_s)
        if phases is not None
        else (None, None, None, None, None)
    )
    return (seen.check, store.moment(seen.at), seen.health.value, seen.duration_s, *durations, seen.code, seen.message)


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
        seen.message,
        seen.duration_s,
        seen.code,
        orjson.dumps(seen.facts).decode(),
        seen.check,
    )
