"""Reads the records that uptime is computed from: a fixed number of queries for any number of checks."""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

from django.db.models import Q

from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks import uptime
from mainstay.observe.checks.applications import deciding
from mainstay.observe.checks.cron import newest
from mainstay.observe.checks.ledger import LEDGER, Gone
from mainstay.observe.checks.models import CheckState, Hour, Maintenance
from mainstay.observe.checks.uptime import Course, Record, Spans

SAMPLED = 5  # checks whose results tell when anybody watched at all
SAMPLED_EVERY_MOST_S = 1200
OCCURRENCES_MOST = 4_400  # of one recurring window: every half hour for 90 days
RECORDS_KEPT = 1_000  # applications times days, zones and lengths that people look at


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


class Weighed(Watched, Protocol):
    """What must be known of a check to compute the course of its application."""

    @property
    def severity(self) -> str: ...


def courses(checks: Iterable[Watched], since: datetime, now: datetime) -> dict[int, Course]:
    """Return the course of each check from `since` on (at most `LONGEST` ago)."""
    rows = list(checks)
    start, end = since.timestamp(), now.timestamp()
    gone = LEDGER.read([row.id for row in rows], since, now)
    unknown = _Unknown.read(since, now)
    untroubled: dict[float | None, Course] = {}  # most checks fared alike: known since they are, and never down
    out: dict[int, Course] = {}
    for row in rows:
        first = max(row.first_at.timestamp(), start) if row.first_at is not None else None
        mine, apart = gone.get(row.id), unknown.of(row)
        if mine is None and not apart:
            if first not in untroubled:
                untroubled[first] = uptime.course(first, end, excluded=unknown.silent)
            out[row.id] = untroubled[first]
            continue
        out[row.id] = _course(first, mine, unknown.excluded(apart), start, end)
    return out


def _course(first: float | None, gone: Gone | None, excluded: Spans, start: float, end: float) -> Course:
    down, degraded = gone.spans(start, end) if gone is not None else ((), ())
    return uptime.course(first, end, down=down, degraded=degraded, excluded=excluded)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """What keeps the time of checks from being known: pauses, maintenance, stretches in which nobody watched."""

    start: float
    now: float
    paused: Mapping[int, list[tuple[float, bool]]]
    closed: Sequence[Closed]
    silent: Spans

    @staticmethod
    def read(since: datetime, now: datetime) -> "_Unknown":
        """Read it in a fixed number of queries."""
        paused, closed, silent = _pause_events(since), closed_windows(since, now), silence(since, now)
        return _Unknown(since.timestamp(), now.timestamp(), paused, closed, silent)

    def of(self, check: Watched) -> Sequence[Spans]:
        """Return what holds for `check` only: mostly nothing."""
        mine = self.paused.get(check.id, ())
        if not (mine or check.paused or self.closed):
            return ()
        found = [window.spans for window in self.closed if window.covers(check)]
        if mine or check.paused:
            found.append(uptime.pauses(mine, paused_now=check.paused, start=self.start, now=self.now))
        return found

    def excluded(self, apart: Sequence[Spans]) -> Spans:
        """Return all that is unknown where `apart` holds."""
        return uptime.merged(span for spans in (self.silent, *apart) for span in spans) if apart else self.silent


# --- applications ---------------------------------------------------------------------------------------------------


def records(applications: Mapping[int, Sequence[Weighed]], since: datetime, now: datetime) -> dict[int, Record]:
    """Return how each application fared from `since` on, as `uptime.united` has it, given its checks.

    What it is computed from is kept with the result. While that is the same (all but the time), so is the result.
    """
    start, end = since.timestamp(), now.timestamp()
    gone = LEDGER.read([row.id for rows in applications.values() for row in rows], since, now)
    unknown = _Unknown.read(since, now)
    silent = uptime.endless(unknown.silent, end)
    out: dict[int, Record] = {}
    for application, rows in applications.items():
        severity = deciding(row.severity for row in rows)
        made_of: list[_Made] = []
        for row in rows:
            apart = tuple(uptime.endless(spans, end) for spans in unknown.of(row))
            made_of.append((row.first_at, row.severity == severity, gone.get(row.id), apart))
        out[application] = replace(_RECORDS.of(application, start, silent, made_of), until=end)
    return out


_Made = tuple[datetime | None, bool, Gone | None, tuple[Spans, ...]]  # whether it decides is the second


class _Records:
    """The records of applications, and what each was made of."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, float], tuple[Spans, list[_Made], Record]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, application: int, start: float, silent: Spans, made_of: list[_Made]) -> Record:
        key = (application, start)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] == silent and kept[1] == made_of:
                self._kept.move_to_end(key)
                return kept[2]
        record = _united(start, silent, made_of)
        with self._lock:
            self._kept[key] = (silent, made_of, record)
            while len(self._kept) > RECORDS_KEPT:
                self._kept.popitem(last=False)
        return record


_RECORDS = _Records()


def _united(start: float, silent: Spans, made_of: Iterable[_Made]) -> Record:
    both: tuple[list[Course], list[Course]] = ([], [])
    for first_at, decides, gone, apart in made_of:
        first = max(first_at.timestamp(), start) if first_at is not None else None
        excluded = uptime.merged(span for spans in (silent, *apart) for span in spans) if apart else silent
        both[0 if decides else 1].append(_course(first, gone, excluded, start, math.inf))
    return Record.of(uptime.united(*both), math.inf)


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
