"""The monitor's memory: the checks it holds, their states, and the results that wait to be committed.

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
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from django.db import transaction

from mainstay.foundation.pieces import Pace, is_of_the_content, let_others_write
from mainstay.observe.checks.runtime.commit import Refused, by_check, commit
from mainstay.observe.checks.runtime.recorded import Recorded
from mainstay.observe.checks.runtime.watched import Observation, Step, Watched, step_of

log = logging.getLogger("mainstay.monitor")
FLUSH_EVERY_S = 1.0
FLUSH_ROWS = 2_000  # results that wait until a flush is due at once
CHANGES_AT_ONCE = 25  # in one transaction; more only delay the first pages and those who wait
ROWS_AT_ONCE = 1_000  # results in one transaction
TURN_S = 1.0  # how long one flush goes on while more is waiting: its cycle must not look as if it hung
WAITED_FOR_S = 60.0  # for a thing that is about to come; see `Patience`
KEPT_MOST = 200_000  # results waiting for a database that is away; beyond this the oldest that changed nothing go


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
        self._steps: dict[int, list[Step]] = {}  # by check; each check's own in order
        self._telling: dict[int, tuple[int, datetime]] = {}  # checks with a step that tells: the smallest comes first
        self._count = 0  # of steps
        self._ahead: dict[int, Step] = {}  # the newest step of each check that has some not yet committed
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
                step = step_of(watched, one, self._ahead.get(one.check))
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

    def _next_piece(self) -> tuple[list[Step], Pace, int]:
        """Take steps for one transaction: all of a check up to its last that tells, or those that change nothing."""
        with self._lock:
            piece: list[Step] = []
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

    def _commit_piece(self, piece: list[Step]) -> None:
        batches = [piece]
        while batches:
            batch = batches[0]
            try:
                refused = commit(batch)
            except BaseException as error:
                if not is_of_the_content(error):
                    self._give_back(batches)
                    raise
                apart = by_check(batch)
                if len(apart) > 1:
                    log.exception("%d results cannot be recorded together; trying check by check", len(batch))
                    batches = apart
                    continue
                log.exception("%s: its results cannot be recorded and are dropped", batch[0].watched.name)
                refused = Refused(broken={batch[0].seen.check})
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
                refused = commit(steps, also)
            self._apply(steps, refused)
            then(refused.stale)
            return refused.stale

    # --- memory ----------------------------------------------------------------------------------------------------

    def _keep(self, step: Step) -> None:
        check = step.seen.check
        self._steps.setdefault(check, []).append(step)
        self._count += 1
        if step.tells:
            self._telling.setdefault(check, _order(step))

    def _take(self, check: int, most: int | None = None) -> list[Step]:
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

    def _give_back(self, batches: Iterable[list[Step]]) -> None:
        """Keep what was not committed, before what came meanwhile."""
        with self._lock:
            for check, steps in ((apart[0].seen.check, apart) for batch in batches for apart in by_check(batch)):
                self._steps[check] = [*steps, *self._steps.get(check, ())]
                self._count += len(steps)
                self._telling.pop(check, None)
                self._mark(check)

    def _steps_of(self, seen: Iterable[Observation]) -> list[Step]:
        steps: list[Step] = []
        newest: dict[int, Step] = {}
        with self._lock:
            for one in seen:
                watched = self.checks.get(one.check)
                if watched is None or watched.paused:
                    continue
                newest[one.check] = step = step_of(watched, one, newest.get(one.check))
                steps.append(step)
        return steps

    def _apply(self, steps: list[Step], refused: Refused) -> None:
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


def _order(step: Step) -> tuple[int, datetime]:
    """The most severe first, then the oldest."""
    return step.watched.urgency, step.seen.at
