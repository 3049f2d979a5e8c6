"""Heartbeats: what pings mean, and noticing the ones that do not come."""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from mainstay.foundation.pieces import pieces
from mainstay.observe.checks import heartbeats, store
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import Check, CheckState, Ping
from mainstay.observe.checks.watch import CHANGES_AT_ONCE, TURN_S, Observation, Watch, Watched

log = logging.getLogger("mainstay.monitor")
EARLIER_MOST = 200  # pings looked at for the start of a run
TAKEN_AT_ONCE = 200  # pings in one transaction


@dataclass(slots=True)
class _Course:
    """How far a heartbeat is after some pings, waiting to be committed."""

    pinged_at: datetime | None
    started_at: datetime | None

    def start(self, ping: Ping) -> None:
        """A job that is started again and again and never ends must be noticed: the first start counts."""
        self.started_at = self.started_at or ping.at

    def end(self, ping: Ping) -> float | None:
        """Return how long the run took, in seconds, or None when its start is not known."""
        began, self.pinged_at = None, ping.at
        if self.started_at is not None:
            earlier = (
                Ping.objects.filter(check_ref=ping.check_ref_id, id__lt=ping.pk).exclude(kind="log").order_by("-id")
            )
            rows = earlier.values_list("kind", "run", "at")[:EARLIER_MOST]
            began, self.started_at = heartbeats.end_of_run(ping.run, rows, self.started_at)
        return max(0.0, (ping.at - began).total_seconds()) if began is not None else None


SECOND_CHANCE = timedelta(minutes=5)


def waiting() -> bool:
    """Tell whether any ping is not understood yet. Asked five times a second, so past the ORM."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {Ping._meta.db_table} WHERE NOT handled LIMIT 1")  # noqa: S608  # our own table
        return cursor.fetchone() is not None


def take(watch: Watch, pings: Iterable[Ping]) -> None:
    """Commit what `pings` (in order of arrival) mean, and mark them as handled, some hundreds in one transaction.

    Pings of a check that is not loaded yet, or was changed by somebody meanwhile, stay unhandled until it is loaded.

    Raises:
        DatabaseError: of the piece that failed and those after it nothing was committed; they are still unhandled.
    """
    for piece in pieces(list(pings), TAKEN_AT_ONCE):
        _take(watch, piece)


def _take(watch: Watch, pings: Sequence[Ping]) -> None:
    later = _not_loaded_yet(watch, {ping.check_ref_id for ping in pings})
    seen: list[Observation] = []
    marks: list[tuple[Ping, float | None]] = []
    courses: dict[int, tuple[Watched, _Course]] = {}
    for ping in pings:
        if ping.check_ref_id in later:
            continue
        watched = watch.checks.get(ping.check_ref_id)
        duration_s: float | None = None
        if watched is not None and watched.rhythm is not None and ping.kind != "log":
            fresh = _Course(watched.pinged_at, watched.started_at)
            _, course = courses.setdefault(watched.id, (watched, fresh))
            if ping.kind == "start":
                course.start(ping)
            else:
                duration_s = course.end(ping)
                seen.append(_observation(ping, duration_s))
        marks.append((ping, duration_s))
    dues = {check: _due(watched, course.pinged_at, course.started_at) for check, (watched, course) in courses.items()}

    def also(stale: Collection[int]) -> None:
        handled = [(True, duration_s, ping.pk) for ping, duration_s in marks if ping.check_ref_id not in stale]
        store.update(Ping, ("handled", "duration_s"), ("id",), handled)
        store.update(
            CheckState,
            ("pinged_at", "started_at", "due_at"),
            ("check_ref_id",),
            [
                (store.moment(course.pinged_at), store.moment(course.started_at), store.moment(dues[check]), check)
                for check, (_, course) in courses.items()
                if check not in stale
            ],
        )

    stale = watch.settle(seen, also)
    for check, (watched, course) in courses.items():
        if check not in stale:
            watched.pinged_at, watched.started_at, watched.due_at = course.pinged_at, course.started_at, dues[check]


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


def miss(watch: Watch, now: datetime) -> int:
    """Commit a failure for heartbeats that are due and did not come, the most severe first; return how many.

    When thousands did not come, the others' turn is the next second.
    """
    done, until = 0, time.monotonic() + TURN_S
    for piece in pieces(sorted(_late(watch, now), key=lambda watched: watched.urgency), CHANGES_AT_ONCE):
        done += _miss(watch, piece, now)
        if time.monotonic() > until:
            break
    return done


def _miss(watch: Watch, late: Sequence[Watched], now: datetime) -> int:
    seen, dues = [], {}
    for watched in late:
        assert watched.rhythm is not None  # for the type checker; selected above
        message = heartbeats.missing(watched.rhythm, watched.pinged_at, watched.created_at, watched.started_at)
        seen.append(Observation(watched.id, now, Health.DOWN, 0.0, message))
        # The next failure is noted a period later, counted from now: one sentence per missed period, not per second.
        dues[watched.id] = heartbeats.due_at(watched.rhythm, now, None)

    def also(stale: Collection[int]) -> None:
        store.update(
            CheckState,
            ("started_at", "due_at"),
            ("check_ref_id",),
            [(None, store.moment(due), check) for check, due in dues.items() if check not in stale],
        )

    stale = watch.settle(seen, also)
    for watched in late:
        if watched.id not in stale:
            watched.started_at, watched.due_at = None, dues[watched.id]
    return len(late) - len(stale)


def _late(watch: Watch, now: datetime) -> list[Watched]:
    """Return the heartbeats that are due and did not come, by the database's word rather than by memory's."""
    late = {
        watched.id: watched
        for watched in list(watch.checks.values())
        if watched.due_at is not None and watched.due_at <= now and not watched.paused and watched.rhythm is not None
    }
    if not late:
        return []
    # After a restart or a jam the ping may lie in the table, not yet understood: that is not a ping that did not come.
    unread = set(Ping.objects.filter(handled=False, check_ref__in=late).values_list("check_ref_id", flat=True))
    for check in late.keys() - unread:
        watch.unread.end(check)
    # A monitor that was suspended may hold what another one has moved on since.
    due = dict(CheckState.objects.filter(pk__in=late, due_at__gt=now).values_list("pk", "due_at"))
    for check, at in due.items():
        late[check].due_at = at
    return [
        watched
        for check, watched in late.items()
        if check not in due and not (check in unread and watch.unread.lasts(check))
    ]


def due_on_loading(watched: Watched, stored: datetime | None, now: datetime) -> datetime | None:
    """Return when a heartbeat that is just loaded is due.

    One that fell due while no monitor ran gets its grace again, five minutes at most: while Mainstay was down the job
    could not report either, and a restart must not page for every job of the night.
    """
    if watched.rhythm is None:
        return None
    due = stored or _due(watched, watched.pinged_at, watched.started_at)
    return due if due > now else now + min(watched.rhythm.grace, SECOND_CHANCE)


def _due(watched: Watched, pinged_at: datetime | None, started_at: datetime | None) -> datetime:
    assert watched.rhythm is not None  # only heartbeats come here
    return heartbeats.due_at(watched.rhythm, pinged_at or watched.created_at, started_at)


def _observation(ping: Ping, duration_s: float | None) -> Observation:
    if ping.kind == "success":
        return Observation(ping.check_ref_id, ping.at, Health.UP, duration_s or 0.0, "", ping.exit_status)
    message = heartbeats.failed(ping.exit_status, ping.body)
    return Observation(ping.check_ref_id, ping.at, Health.DOWN, duration_s or 0.0, message, ping.exit_status)
