"""Heartbeats: what pings mean, and noticing the ones that do not come."""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from mainstay.foundation import gaps, store
from mainstay.foundation.gaps import Follower, Gap, Kind
from mainstay.foundation.pieces import is_of_the_content, pieces
from mainstay.observe.checks import heartbeats
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Check, CheckState, Ping
from mainstay.observe.checks.runtime.results import CHANGES_AT_ONCE, TURN_S, Watch
from mainstay.observe.checks.runtime.watched import Observation, Watched
from mainstay.observe.checks.wing import TAKES_PINGS

log = logging.getLogger("mainstay.monitor")
EARLIER_MOST = 200  # pings looked at for the start of a run
TAKEN_AT_ONCE = 200  # pings in one transaction
SECOND_CHANCE = timedelta(minutes=5)
CHANCES_MOST = 3  # between a ping (or a miss) and the next: gaps without end must not hide a job that is gone
SAVED_AT_ONCE = 500
LOOK_MOST_S = 2.0  # that count of the time between two looks
HOLD_AFTER_S = 2.5  # without a beat of a web process that takes pings; each beats every second

Earlier = tuple[str, str, datetime]  # kind, run and time of a ping


@dataclass(slots=True)
class _Course:
    """How far a heartbeat is after some pings, waiting to be committed."""

    pinged_at: datetime | None
    started_at: datetime | None
    earlier: list[Earlier]  # the newest last; logs left out

    def take(self, ping: Ping) -> float | None:
        """Go on by one ping; return how long the run took that it ended, in seconds, or None when that is unknown."""
        began = None
        at = heartbeats.bounded(gaps.detector.present(ping.at))  # when it came by the present clock
        if ping.kind == "start":
            # A job that is started again and again and never ends must be noticed: the first start counts.
            self.started_at = self.started_at or at
        else:
            self.pinged_at = at
            if self.started_at is not None:
                rows = reversed(self.earlier[-EARLIER_MOST:])
                began, self.started_at = heartbeats.end_of_run(ping.run, rows, self.started_at)
        self.earlier.append((ping.kind, ping.run, ping.at))
        return max(0.0, (ping.at - began).total_seconds()) if began is not None else None


class Reception:
    """Whether anybody takes pings. While no web process does, a ping that does not come says nothing.

    A web process that beats tells whether it stores those that come. Only whether beats change counts, and only time in
    which we looked: clocks of hosts differ, and we may stand still.
    """

    def __init__(self, detector: gaps.Detector = gaps.detector) -> None:
        self._detector = detector
        self._beats: frozenset[tuple[int, object]] = frozenset()
        self._known = False  # whether there was ever a web process
        self._looked_at, self._silent_s = -math.inf, 0.0

    def closed(self, monotonic: float) -> bool:
        """Look, and tell whether misses are to wait; after a closure, heartbeats get their grace again."""
        web = store.select("SELECT id, beat_at, detail FROM processes_process WHERE role = 'web'")
        beats = frozenset((row, at) for row, at, detail in web if _takes_pings(detail))
        self._silent_s += min(monotonic - self._looked_at, LOOK_MOST_S)
        self._looked_at = monotonic
        self._known = self._known or bool(web)
        if beats - self._beats:
            if self._silent_s >= gaps.STANDSTILL_LEAST_S:
                self._detector.no_pings(self._silent_s)
            self._beats, self._silent_s = beats, 0.0
        return self._known and HOLD_AFTER_S < self._silent_s < SECOND_CHANCE.total_seconds()


def _takes_pings(detail: str) -> bool:
    try:
        return orjson.loads(detail).get(TAKES_PINGS) is not False
    except (ValueError, AttributeError):  # written by something else
        return True


def waiting() -> bool:
    """Tell whether any ping is not understood yet."""
    return bool(store.select("SELECT 1 FROM checks_ping WHERE NOT handled LIMIT 1"))


def take(watch: Watch, pings: Iterable[Ping], follower: Follower | None = None) -> None:
    """Commit what `pings` (in order of arrival) mean, and mark them as handled, some hundreds in one transaction.

    Pings of a check that is not loaded yet, or was changed by somebody meanwhile, stay unhandled until it is loaded.

    Args:
        follower: who knows of jumps of the clock; the one that `miss` is given.

    Raises:
        DatabaseError: of the piece that failed and those after it nothing was committed; they are still unhandled.
    """
    for piece in pieces(list(pings), TAKEN_AT_ONCE):
        try:
            _take(watch, piece, follower)
        except Exception as error:  # a defect met by one ping must not keep all heartbeats from being understood
            if not is_of_the_content(error):
                raise
            log.exception("%d pings cannot be understood together; trying one by one", len(piece))
            for ping in piece:
                _take_alone(watch, ping, follower)


def _take_alone(watch: Watch, ping: Ping, follower: Follower | None) -> None:
    try:
        _take(watch, [ping], follower)
    except Exception as error:
        if not is_of_the_content(error):
            raise
        log.exception("ping %d cannot be understood and is passed over", ping.pk)
        Ping.objects.filter(pk=ping.pk).update(handled=True)


def _take(watch: Watch, pings: Sequence[Ping], follower: Follower | None) -> None:
    marks: list[tuple[Ping, float | None]] = []
    courses: dict[int, tuple[Watched, _Course]] = {}
    dues: dict[int, datetime] = {}

    def decide() -> list[Observation]:
        if follower is not None:  # before anything counts from a time by the clock as it is now
            _after(watch, follower.new())
        later = _not_loaded_yet(watch, {ping.check_ref_id for ping in pings})
        mine = [ping for ping in pings if ping.check_ref_id not in later]
        courses.update(_courses(watch, mine))
        seen: list[Observation] = []
        for ping in mine:
            duration_s: float | None = None
            if ping.check_ref_id in courses and ping.kind != "log":
                duration_s = courses[ping.check_ref_id][1].take(ping)
                if ping.kind != "start":
                    seen.append(_observation(ping, duration_s))
            marks.append((ping, duration_s))
        for check, (watched, course) in courses.items():
            dues[check] = _due(watched, course.pinged_at, course.started_at)
        return seen

    def also(stale: Collection[int]) -> None:
        handled = [(True, duration_s, ping.pk) for ping, duration_s in marks if ping.check_ref_id not in stale]
        store.update(Ping, ("handled", "duration_s"), ("id",), handled)
        store.update(
            CheckState,
            ("pinged_at", "started_at", "due_at", "second_chances"),
            ("check_ref_id",),
            [
                (store.moment(course.pinged_at), store.moment(course.started_at), store.moment(dues[check]), 0, check)
                for check, (_, course) in courses.items()
                if check not in stale
            ],
        )

    def then(stale: Collection[int]) -> None:
        for check, (watched, course) in courses.items():
            if check not in stale:
                watched.pinged_at, watched.started_at = course.pinged_at, course.started_at
                _is_due(watched, dues[check])

    watch.settle(decide, also, then)


def _courses(watch: Watch, pings: Sequence[Ping]) -> dict[int, tuple[Watched, _Course]]:
    """Return how far each heartbeat that pings tell of was before them."""
    found: dict[int, tuple[Watched, _Course]] = {}
    for ping in pings:
        watched = watch.checks.get(ping.check_ref_id)
        if watched is not None and watched.rhythm is not None and ping.kind != "log" and watched.id not in found:
            found[watched.id] = watched, _Course(watched.pinged_at, watched.started_at, [])
    under_way = {check: course.started_at for check, (_, course) in found.items() if course.started_at is not None}
    for check, earlier in _earlier(under_way, min((ping.pk for ping in pings), default=0)).items():
        found[check][1].earlier = earlier
    return found


def _earlier(since: Mapping[int, datetime], before: int) -> dict[int, list[Earlier]]:
    """Return the pings of runs under way that were understood before, by check, the newest last."""
    if not since:
        return {}
    rows = Ping.objects.filter(check_ref__in=since, id__lt=before, at__gte=min(since.values())).exclude(kind="log")
    newest = rows.order_by("-id").values_list("check_ref_id", "kind", "run", "at")[: EARLIER_MOST * len(since)]
    found: dict[int, list[Earlier]] = defaultdict(list)
    for check, kind, run, at in reversed(newest):
        found[check].append((kind, run, at))
    return found


def _not_loaded_yet(watch: Watch, checks: set[int]) -> set[int]:
    """Return those of `checks` that exist but are not held: just added, or the monitor has just begun."""
    for check in checks & watch.checks.keys():
        watch.unknown.end(check)
    unknown = checks - watch.checks.keys()
    existing = (
        set(Check.objects.filter(pk__in=unknown, kind="heartbeat").values_list("pk", flat=True)) if unknown else set()
    )
    later = {check for check in existing if watch.unknown.lasts(check)}
    if existing - later:
        log.error("pings of checks that cannot be loaded are passed over: %s", sorted(existing - later))
    return later


def miss(watch: Watch, now: datetime, follower: Follower | None = None) -> int:
    """Commit a failure for heartbeats that are due and did not come, the most severe first; return how many.

    When thousands did not come, the others' turn is the next second.

    Args:
        follower: who knows of jumps of the clock and of gaps. What fell due in one gets its grace again.

    Raises:
        DatabaseError: of the piece that failed and those after it nothing was committed.
    """
    with watch.alone():
        if follower is not None:
            _after(watch, follower.new())
            now = follower.at
        _save_dues(watch)
    done, until = 0, time.monotonic() + TURN_S
    for piece in pieces(sorted(_late(watch, now), key=lambda watched: watched.urgency), CHANGES_AT_ONCE):
        done += _miss_all(watch, [watched.id for watched in piece], now, follower)
        if time.monotonic() > until:
            break
    return done


def _miss_all(watch: Watch, checks: Sequence[int], now: datetime, follower: Follower | None) -> int:
    try:
        return _miss(watch, checks, now, follower)
    except Exception as error:  # a defect met by one heartbeat must not keep the others' misses from being noticed
        if not is_of_the_content(error):
            raise
        if len(checks) == 1:
            log.exception("check %d: what did not come cannot be recorded", checks[0])
            return 0
        return sum(_miss_all(watch, [check], now, follower) for check in checks)


def _miss(watch: Watch, checks: Collection[int], now: datetime, follower: Follower | None) -> int:
    late: list[Watched] = []
    dues: dict[int, datetime] = {}

    def decide() -> list[Observation]:
        nonlocal now
        candidates = {watched.id: watched for watched in _late(watch, now) if watched.id in checks}
        unread = _unread(watch, candidates)
        if follower is not None:
            # That this transaction may write tells, too, for how long the database could not be written.
            _after(watch, follower.new(committed=True))
            now = follower.at  # of a clock that was set back meanwhile, all that is due within the hour would be late
        late[:] = [watched for check, watched in candidates.items() if check not in unread and _is_late(watched, now)]
        seen = []
        for watched in late:
            assert watched.rhythm is not None  # for the type checker; selected above
            message = heartbeats.missing(watched.rhythm, watched.pinged_at, watched.created_at, watched.started_at)
            seen.append(Observation(watched.id, now, Health.DOWN, 0.0, message))
            # The next failure is noted a period later, counted from now: one sentence per missed period, not per second
            dues[watched.id] = heartbeats.due_at(watched.rhythm, now, None)
        return seen

    def also(stale: Collection[int]) -> None:
        store.update(
            CheckState,
            ("started_at", "due_at", "second_chances"),
            ("check_ref_id",),
            [(None, store.moment(due), 0, check) for check, due in dues.items() if check not in stale],
        )

    def then(stale: Collection[int]) -> None:
        for watched in late:
            if watched.id not in stale:
                watched.started_at = None
                _is_due(watched, dues[watched.id])

    stale = watch.settle(decide, also, then)
    return len(late) - len(stale)


def _is_late(watched: Watched, now: datetime) -> bool:
    return watched.due_at is not None and watched.due_at <= now and not watched.paused and watched.rhythm is not None


def _late(watch: Watch, now: datetime) -> list[Watched]:
    """Return the heartbeats that are due and did not come, as far as memory knows."""
    return [watched for watched in list(watch.checks.values()) if _is_late(watched, now)]


def _unread(watch: Watch, late: Mapping[int, Watched]) -> set[int]:
    """Return those of `late` whose ping lies in the table, not yet understood: that is none that did not come.

    Their states stay locked until the transaction ends, and memory learns what another monitor has moved on since.
    """
    rows = CheckState.objects.select_for_update().filter(pk__in=late).order_by("pk")
    for check, due in rows.values_list("pk", "due_at"):
        watched = late[check]
        if due is not None and watched.due_at is not None and due > watched.due_at:
            watched.due_at = watched.stored_due = due
    unread = set(Ping.objects.filter(handled=False, check_ref__in=late).values_list("check_ref_id", flat=True))
    for check in late.keys() - unread:
        watch.unread.end(check)
    return {check for check in unread if watch.unread.lasts(check)}


# --- jumps and gaps ---------------------------------------------------------------------------------------------------


def _after(watch: Watch, found: Iterable[Gap]) -> None:
    """Move the due times that a jump of the clock or a gap has made wrong. Nobody else may change them meanwhile."""
    for gap in found:
        for watched in list(watch.checks.values()):
            if watched.rhythm is None or watched.due_at is None:
                continue
            if gap.kind is Kind.JUMPED:
                last = watched.pinged_at or watched.created_at
                watched.due_at = heartbeats.moved(watched.rhythm, watched.due_at, last, watched.started_at, gap.by)
                watched.pinged_at = watched.pinged_at and watched.pinged_at + gap.by
                watched.started_at = watched.started_at and watched.started_at + gap.by
            else:
                _give_second_chance(watched, gap.ended)


def _give_second_chance(watched: Watched, ended: datetime) -> None:
    """What fell due in a gap, or just after, gets its grace again, five minutes at most: it could not report either."""
    assert watched.rhythm is not None and watched.due_at is not None  # noqa: PT018  # only heartbeats come here
    due = ended + min(watched.rhythm.grace, SECOND_CHANCE)
    if watched.due_at < due and watched.second_chances < CHANCES_MOST:
        watched.due_at = due
        watched.second_chances += 1


def _save_dues(watch: Watch) -> None:
    """Let the records have the due times that gaps and jumps have moved."""
    unsaved = [
        watched
        for watched in list(watch.checks.values())
        if watched.stored_due is not None and watched.due_at != watched.stored_due
    ][:SAVED_AT_ONCE]
    if not unsaved:
        return
    rows = [
        (
            store.moment(watched.due_at), store.moment(watched.pinged_at), store.moment(watched.started_at),
            watched.second_chances, watched.id, store.moment(watched.stored_due),
        )
        for watched in unsaved
    ]  # fmt: skip
    # A row that is not as it was read was changed by a person or another monitor: theirs holds.
    columns = ("due_at", "pinged_at", "started_at", "second_chances")
    store.update(CheckState, columns, ("check_ref_id", "due_at"), rows)
    for watched, row in zip(unsaved, rows, strict=True):
        if store.moment(watched.due_at) == row[0]:
            watched.stored_due = watched.due_at


def due_on_loading(watched: Watched, stored: datetime | None, now: datetime) -> datetime | None:
    """Return when a heartbeat that is just loaded is due.

    One that fell due while no monitor ran gets its grace again: while Mainstay was down the job could not report
    either, and a restart must not page for every job of the night. One that is due later than a ping of this moment
    would make it is from before the clock was set back.
    """
    if watched.rhythm is None:
        return None
    watched.due_at = stored or _due(watched, watched.pinged_at, watched.started_at)
    watched.stored_due = stored
    latest = heartbeats.latest_due(watched.rhythm, watched.started_at, now)
    if watched.due_at <= now:
        _give_second_chance(watched, now)
    elif latest is not None and watched.due_at > latest:
        watched.due_at = latest
    return watched.due_at


def _is_due(watched: Watched, due: datetime) -> None:
    """Remember a due time that the records have."""
    watched.due_at = watched.stored_due = due
    watched.second_chances = 0


def _due(watched: Watched, pinged_at: datetime | None, started_at: datetime | None) -> datetime:
    assert watched.rhythm is not None  # only heartbeats come here
    return heartbeats.due_at(watched.rhythm, pinged_at or watched.created_at, started_at)


def _observation(ping: Ping, duration_s: float | None) -> Observation:
    if ping.kind == "success":
        return Observation(ping.check_ref_id, ping.at, Health.UP, duration_s or 0.0, "", ping.exit_status)
    message = heartbeats.failed(ping.exit_status, ping.body)
    return Observation(ping.check_ref_id, ping.at, Health.DOWN, duration_s or 0.0, message, ping.exit_status)
