"""Reads the records that uptime is computed from: a fixed number of queries for any number of checks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

from django.db.models import Q

from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks import uptime
from mainstay.observe.checks.cron import newest
from mainstay.observe.checks.instants import UnixSeconds
from mainstay.observe.checks.models import CheckState, Downtime, Hour, Maintenance
from mainstay.observe.checks.uptime import Course, Span, Spans

LONGEST = timedelta(days=90)
SAMPLED = 5  # checks whose results tell when anybody watched at all
SAMPLED_EVERY_MOST_S = 1200
NAMED_MOST = 1_500  # checks; for more it is cheaper to read all downtimes than to name the checks
OCCURRENCES_MOST = 4_400  # of one recurring window: every half hour for 90 days


class Watched(Protocol):
    """What must be known of a check to compute its course."""

    @property
    def id(self) -> int: ...
    @property
    def application_id(self) -> int: ...
    @property
    def first_at(self) -> datetime | None: ...
    @property
    def paused(self) -> bool: ...
    @property
    def matched(self) -> Mapping[str, str]:
        """The labels as matchers see them."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A maintenance window of the past or present: whom it covers, and when."""

    application: int | None
    match: Mapping[str, str]
    spans: Spans

    def covers(self, check: Watched) -> bool:
        """Tell whether `check` is meant."""
        if self.application is not None and self.application != check.application_id:
            return False
        return all(check.matched.get(name) == value for name, value in self.match.items())


def courses(checks: Iterable[Watched], since: datetime, now: datetime) -> dict[int, Course]:
    """Return the course of each check from `since` on (at most `LONGEST` ago)."""
    rows = list(checks)
    start, end = since.timestamp(), now.timestamp()
    gone = _downtimes([row.id for row in rows], since, end)
    events = _pause_events(since)
    closed = closed_windows(since, now)
    silent = silence(since, now)
    nothing: tuple[Spans, Spans] = ((), ())
    untroubled: dict[float | None, Course] = {}  # most checks fared alike: known since they are, and never down
    out: dict[int, Course] = {}
    for row in rows:
        first = max(row.first_at.timestamp(), start) if row.first_at is not None else None
        down, degraded = gone.get(row.id, nothing)
        apart: list[Span] = []
        mine = events.get(row.id, ())
        if mine or row.paused:
            apart += uptime.pauses(mine, paused_now=row.paused, start=start, now=end)
        for window in closed:
            if window.covers(row):
                apart += window.spans
        if not (down or degraded or apart):
            if first not in untroubled:
                untroubled[first] = uptime.course(first, end, excluded=silent)
            out[row.id] = untroubled[first]
            continue
        excluded = uptime.merged([*silent, *apart]) if apart else silent
        out[row.id] = uptime.course(first, end, down=down, degraded=degraded, excluded=excluded)
    return out


def _downtimes(ids: list[int], since: datetime, end: float) -> dict[int, tuple[list[Span], list[Span]]]:
    wanted = set(ids)
    rows = Downtime.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since))
    if len(ids) <= NAMED_MOST:
        rows = rows.filter(check_ref__in=ids)
    found: dict[int, tuple[list[Span], list[Span]]] = {}
    times = (UnixSeconds("started_at"), UnixSeconds("ended_at"))
    for check, health, started, ended in rows.values_list("check_ref_id", "health", *times):
        if check in wanted:
            pair = found.get(check) or found.setdefault(check, ([], []))
            pair[0 if health == "down" else 1].append((started, end if ended is None else ended))
    return found


def _pause_events(since: datetime) -> dict[int, list[tuple[float, bool]]]:
    """Return when checks were paused (True) and resumed (False), oldest first."""
    found: dict[int, list[tuple[float, bool]]] = {}
    rows = Entry.objects.filter(kind__in=("check.paused", "check.resumed"), at__gte=since).order_by("at", "id")
    for subject, kind, at in rows.values_list("subject", "kind", "at"):
        number = int(subject.partition(":")[2])
        found.setdefault(number, []).append((at.timestamp(), kind == "check.paused"))
    return found


def closed_windows(since: datetime, now: datetime) -> list[Closed]:
    """Return the maintenance between `since` and `now`. A window counts from when it was announced, not before."""
    rows = Maintenance.objects.filter(Q(ends_at=None) | Q(ends_at__gt=since)).filter(
        Q(cancelled_at=None) | Q(cancelled_at__gt=since)
    )
    out: list[Closed] = []
    for row in rows:
        begin = max(since, row.created_at)
        end = min(now, row.cancelled_at) if row.cancelled_at is not None else now
        if row.cron:
            hour = begin.replace(minute=0, second=0, microsecond=0)
            until = (now + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
            spans = _occurrences(row.cron, row.duration_s or 0.0, row.time_zone, hour, until)
        elif row.starts_at is not None and row.ends_at is not None:
            spans = ((row.starts_at.timestamp(), row.ends_at.timestamp()),)
        else:
            continue
        inside = uptime.overlap(spans, uptime.merged([(begin.timestamp(), end.timestamp())]))
        if inside:
            out.append(Closed(row.application_id, row.match, inside))
    return out


@lru_cache(maxsize=256)
def _occurrences(cron: str, duration_s: float, zone: str, begin: datetime, end: datetime) -> Spans:
    """Return when a recurring window was open between `begin` and `end`; the newest `OCCURRENCES_MOST` of them."""
    starts = newest(cron, zone, begin - timedelta(seconds=duration_s), end, OCCURRENCES_MOST)
    return uptime.merged([(start.timestamp(), start.timestamp() + duration_s) for start in starts])


def silence(since: datetime, now: datetime) -> Spans:
    """Return when nobody watched anything: the program was off, or its monitor.

    Told by the results of the few oldest checks that are probed several times an hour; without any such check nothing
    is known of it, and no silence is claimed.
    """
    sample = list(
        CheckState.objects.filter(
            first_at__isnull=False, check_ref__paused=False, check_ref__every_s__lte=SAMPLED_EVERY_MOST_S
        )
        .exclude(check_ref__kind="heartbeat")
        .order_by("first_at")
        .values_list("pk", "last_at")[:SAMPLED]
    )
    if not sample:
        return ()
    hours = Hour.objects.filter(check_ref__in=[pk for pk, _ in sample], hour__gte=since).values_list("hour", flat=True)
    watched = [hour.timestamp() for hour in hours.distinct()]
    last = max((at.timestamp() for _, at in sample if at is not None), default=None)
    return uptime.silent_stretches(watched, last, now.timestamp())
