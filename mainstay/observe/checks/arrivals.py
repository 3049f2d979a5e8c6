"""Heartbeats: what pings mean, and noticing the ones that do not come."""

from collections.abc import Iterable
from datetime import datetime

from mainstay.observe.checks import heartbeats, store
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import CheckState, Ping
from mainstay.observe.checks.watch import Observation, Watch, Watched



def take(watch: Watch, pings: Iterable[Ping]) -> None:
    """Commit what `pings` (in order of arrival) mean, and mark them as handled, in one transaction.

    Raises:
        DatabaseError: nothing was committed; the pings are still unhandled.
    """
    seen: list[Observation] = []
    marks: list[tuple[object, ...]] = []
    touched: dict[int, tuple[datetime | None, datetime | None]] = {}  # check → pinged_at, started_at
    for ping in pings:
        watched = watch.checks.get(ping.check_ref_id)
        duration_s: float | None = None
        if watched is not None and watched.rhythm is not None and ping.kind != "log":
            pinged_at, started_at = touched.get(watched.id, (watched.pinged_at, watched.started_at))
            if ping.kind == "start":
                touched[watched.id] = (pinged_at, ping.at)
            else:
                duration_s = (ping.at - started_at).total_seconds() if started_at else None
                touched[watched.id] = (ping.at, None)
                seen.append(_observation(ping, duration_s))
        marks.append((True, duration_s, ping.pk))
    dues = {check: _due(watch.checks[check], *times) for check, times in touched.items()}

    def also() -> None:
        store.update(Ping, ("handled", "duration_s"), ("id",), marks)
        store.update(
            CheckState,
            ("pinged_at", "started_at", "due_at"),
            ("check_ref_id",),
            [
                (store.moment(pinged), store.moment(started), store.moment(dues[check]), check)
                for check, (pinged, started) in touched.items()
            ],
        )

    watch.settle(seen, also)
    for check, (pinged_at, started_at) in touched.items():
        if (held := watch.checks.get(check)) is not None:
            held.pinged_at, held.started_at, held.due_at = pinged_at, started_at, dues[check]


def miss(watch: Watch, now: datetime) -> int:
    """Commit a failure for every heartbeat that is due and did not come; return how many."""
    late = [
        watched
        for watched in list(watch.checks.values())
        if watched.due_at is not None and watched.due_at <= now and not watched.paused and watched.rhythm is not None
    ]
    if not late:
        return 0
    seen, dues = [], {}
    for watched in late:
        assert watched.rhythm is not None  # noqa: S101  # for the type checker; selected above
        message = heartbeats.missing(watched.rhythm, watched.pinged_at, watched.created_at, watched.started_at)
        seen.append(Observation(watched.id, now, Health.DOWN, 0.0, message))
        # The next failure is noted a period later, counted from now: one sentence per missed period, not per second.
        dues[watched.id] = heartbeats.due_at(watched.rhythm, now, None)

    def also() -> None:
        store.update(
            CheckState,
            ("started_at", "due_at"),
            ("check_ref_id",),
            [(None, store.moment(due), check) for check, due in dues.items()],
        )

    watch.settle(seen, also)
    for watched in late:
        watched.started_at, watched.due_at = None, dues[watched.id]
    return len(late)


def first_due(watched: Watched) -> datetime | None:
    """Return when a heartbeat that is just loaded is due."""
    return _due(watched, watched.pinged_at, watched.started_at) if watched.rhythm is not None else None


def _due(watched: Watched, pinged_at: datetime | None, started_at: datetime | None) -> datetime:
    assert watched.rhythm is not None  # noqa: S101  # only heartbeats come here
    return heartbeats.due_at(watched.rhythm, pinged_at or watched.created_at, started_at)


def _observation(ping: Ping, duration_s: float | None) -> Observation:
    if ping.kind == "success":
        return Observation(ping.check_ref_id, ping.at, Health.UP, duration_s or 0.0, "", ping.exit_status)
    message = heartbeats.failed(ping.exit_status, ping.body)
    return Observation(ping.check_ref_id, ping.at, Health.DOWN, duration_s or 0.0, message, ping.exit_status)
