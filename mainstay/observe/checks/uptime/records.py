"""Reads the records that uptime is computed from: a fixed number of queries for any number of checks."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from django.db.models import Q

from mainstay.foundation.journal.models import Entry
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks.cron import newest
from mainstay.observe.checks.models import CheckState, Hour, Maintenance
from mainstay.observe.checks.uptime import timeline
from mainstay.observe.checks.uptime.applications import deciding
from mainstay.observe.checks.uptime.cache import LEDGER, Gone
from mainstay.observe.checks.uptime.instants import Instant, read_instant
from mainstay.observe.checks.uptime.timeline import Course, Record, Spans, Sum

SAMPLED = 5  # checks whose results tell when anybody watched at all
SAMPLED_EVERY_MOST_S = 1200
OCCURRENCES_MOST = 4_400  # of one recurring window: every half hour for 90 days
COURSES_KEPT, RECORDS_KEPT = 10_000, 1_000  # of checks and of applications; each times the days people look back to


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
    def failing_since(self) -> datetime | None:
        """When the first result came, when all were bad, though too few to decide: no downtime tells of it yet."""

    @property
    def matched(self) -> Mapping[str, str]:
        """The labels as matchers see them."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A maintenance window of the past or present: whom it covers, and when."""

    application: int | None
    match: Matchers
    spans: Spans

    def covers(self, check: Watched) -> bool:
        """Tell whether `check` is meant."""
        return self.application in {None, check.application_id} and self.match.matches(check.matched)


class Weighed(Watched, Protocol):
    """What must be known of a check to compute the course of its application."""

    @property
    def severity(self) -> str: ...


class Lasting(NamedTuple):
    """How a check fares while time goes on: what lasts has no end, and what else is known of it is summed up."""

    course: Course
    known: Sum
    down: Sum

    def uptime(self, now: float) -> float | None:
        """Return the uptime of the whole course until `now`."""
        return timeline.uptime_of(self.known.until(now), self.down.until(now))


def courses(checks: Iterable[Watched], since: datetime, now: datetime) -> dict[int, Course]:
    """Return the course of each check from `since` on (at most `LONGEST` ago)."""
    end = now.timestamp()
    return {check: timeline.until(one.course, end) for check, one in lasting(checks, since, now).items()}


def lasting(checks: Iterable[Watched], since: datetime, now: datetime) -> dict[int, Lasting]:
    """Return the same before it is cut at `now`: thousands are compared by their uptime, and few are drawn."""
    rows = list(checks)
    start = since.timestamp()
    gone = LEDGER.read([row.id for row in rows], since, now)
    unknown = _Unknown.read(since, now)
    untroubled: dict[datetime | None, Lasting] = {}  # most checks fared alike: known since they are, and never down
    out: dict[int, Lasting] = {}
    for row in rows:
        made_of = _made(row, gone.get(row.id), unknown.of(row))
        if made_of[1:] != _UNTROUBLED:
            out[row.id] = _kept_course(row.id, start, unknown.silent, made_of)
        else:
            if row.first_at not in untroubled:
                untroubled[row.first_at] = _summed(start, unknown.silent, made_of)
            out[row.id] = untroubled[row.first_at]
    return out


# First result, downtimes, what is not known of it only, since when it fails without a downtime.
_Made = tuple[datetime | None, Gone | None, tuple[Spans, ...], datetime | None]
_UNTROUBLED = (None, (), None)
_COURSES: dict[tuple[int, float], tuple[Spans, _Made, Lasting]] = {}


def _made(check: Watched, gone: Gone | None, apart: tuple[Spans, ...]) -> _Made:
    return check.first_at, gone, apart, check.failing_since


def _kept_course(check: int, start: float, silent: Spans, made_of: _Made) -> Lasting:
    """Return the course of a check while time goes on: the one kept, when it was made of the same."""
    kept = _COURSES.get((check, start))
    if kept is not None and kept[1] == made_of and kept[0] == silent:
        return kept[2]
    if len(_COURSES) >= COURSES_KEPT:
        _COURSES.clear()
    found = _summed(start, silent, made_of)
    _COURSES[check, start] = (silent, made_of, found)
    return found


def _summed(start: float, silent: Spans, made_of: _Made) -> Lasting:
    course = _course(start, silent, made_of)
    return Lasting(course, Sum.of(course.known), Sum.of(course.down))


def _course(start: float, silent: Spans, made_of: _Made) -> Course:
    first_at, gone, apart, failing_since = made_of
    first = max(first_at.timestamp(), start) if first_at is not None else None
    down, degraded = gone.spans(start, math.inf) if gone is not None else ((), ())
    if failing_since is not None:
        down = [*timeline.merged([*down, (failing_since.timestamp(), math.inf)])]
    excluded = timeline.merged(span for spans in (silent, *apart) for span in spans) if apart else silent
    return timeline.course(first, math.inf, down=down, degraded=degraded, excluded=excluded)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """What keeps the time of checks from being known: pauses, maintenance, stretches in which nobody watched.

    What lasts has no end here, so that it stays the same while time goes on.
    """

    start: float
    now: float
    paused: Mapping[int, list[tuple[float, bool]]]
    closed: Sequence[Closed]
    silent: Spans

    @staticmethod
    def read(since: datetime, now: datetime) -> "_Unknown":
        """Read it in a fixed number of queries."""
        start, end = since.timestamp(), now.timestamp()
        closed = [replace(one, spans=timeline.endless(one.spans, end)) for one in closed_windows(since, now)]
        return _Unknown(start, end, _pause_events(since), closed, timeline.endless(silence(since, now), end))

    def of(self, check: Watched) -> tuple[Spans, ...]:
        """Return what holds for `check` only: mostly nothing."""
        mine = self.paused.get(check.id, ())
        if not (mine or check.paused or self.closed):
            return ()
        found = [window.spans for window in self.closed if window.covers(check)]
        if mine or check.paused:
            paused = timeline.pauses(mine, paused_now=check.paused, start=self.start, now=self.now)
            found.append(timeline.endless(paused, self.now))
        return tuple(found)


# --- applications ---------------------------------------------------------------------------------------------------


def records(applications: Mapping[int, Sequence[Weighed]], since: datetime, now: datetime) -> dict[int, Record]:
    """Return how each application fared from `since` on, as `timeline.united` has it, given its checks.

    What it is computed from is kept with the result. While that is the same (all but the time), so is the result.
    """
    start, end = since.timestamp(), now.timestamp()
    gone = LEDGER.read([row.id for rows in applications.values() for row in rows], since, now)
    unknown = _Unknown.read(since, now)
    out: dict[int, Record] = {}
    for application, rows in applications.items():
        severity = deciding(row.severity for row in rows)
        made_of = [(row.severity == severity, _made(row, gone.get(row.id), unknown.of(row))) for row in rows]
        out[application] = replace(_kept_record(application, start, unknown.silent, made_of), until=end)
    return out


_Weight = tuple[bool, _Made]  # whether the check decides, and what its course is made of
_RECORDS: dict[tuple[int, float], tuple[Spans, list[_Weight], Record]] = {}


def _kept_record(application: int, start: float, silent: Spans, made_of: list[_Weight]) -> Record:
    kept = _RECORDS.get((application, start))
    if kept is not None and kept[1] == made_of and kept[0] == silent:
        return kept[2]
    if len(_RECORDS) >= RECORDS_KEPT:
        _RECORDS.clear()
    deciding_ones = [_course(start, silent, made) for decides, made in made_of if decides]
    others = [_course(start, silent, made) for decides, made in made_of if not decides]
    record = Record.of(timeline.united(deciding_ones, others), math.inf)
    _RECORDS[application, start] = (silent, made_of, record)
    return record


# --- what is read ---------------------------------------------------------------------------------------------------


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
        inside = timeline.overlap(spans, timeline.merged([(begin.timestamp(), end.timestamp())]))
        if inside:
            out.append(Closed(row.application_id, Matchers.of(row.match), inside))
    return out


@lru_cache(maxsize=256)
def _occurrences(cron: str, duration_s: float, zone: str, begin: datetime, end: datetime) -> Spans:
    """Return when a recurring window was open between `begin` and `end`; the newest `OCCURRENCES_MOST` of them."""
    starts = newest(cron, zone, begin - timedelta(seconds=duration_s), end, OCCURRENCES_MOST)
    return timeline.merged([(start.timestamp(), start.timestamp() + duration_s) for start in starts])


def silence(since: datetime, now: datetime) -> Spans:
    """Return when nobody watched anything: the program was off, or its monitor.

    Told by the results of the few oldest checks that are probed several times an hour; without any such check nothing
    is known of it, and no silence is claimed.
    """
    sample = _sample()
    if not sample:
        return ()
    hours = Hour.objects.filter(check_ref__in=[pk for pk, _, _ in sample], hour__gte=since)
    watched = [read_instant(hour).timestamp() for (hour,) in hours.values_list(Instant("hour")).distinct()]
    last = max((at.timestamp() for _, _, at in sample if at is not None), default=None)
    return timeline.silent_stretches(watched, last, now.timestamp())


_SAMPLE: list[tuple[int, datetime | None]] = []  # checks with their first result


def _sample() -> list[tuple[int, datetime | None, datetime | None]]:
    """Return checks with their first and newest results: the same ones while they can tell, since the oldest are found
    by reading all.
    """
    telling = (
        CheckState.objects.filter(
            first_at__isnull=False, check_ref__paused=False, check_ref__every_s__lte=SAMPLED_EVERY_MOST_S
        )
        .exclude(check_ref__kind="heartbeat")
        .order_by("first_at", "pk")
        .values_list("pk", "first_at", "last_at")
    )
    before = _SAMPLE[:]
    found = list(telling.filter(pk__in=[pk for pk, _ in before])) if len(before) == SAMPLED else []
    if not found or [row[:2] for row in found] != before:
        found = list(telling[:SAMPLED])
        _SAMPLE[:] = [row[:2] for row in found]
    return found
