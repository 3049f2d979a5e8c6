"""Uptime: what the stretches of downtime leave of the time in which a check was watched. Pure; docs/uptime.md.

Times are unix seconds. A `Span` is half-open, `[start, end)`. Three answers exist for every second: up, not up, and
not known (before the first result, paused, in maintenance, nobody watching). What is not known counts neither way.
"""

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

Span = tuple[float, float]
Spans = tuple[Span, ...]


def merged(spans: Iterable[Span]) -> Spans:
    """Return the union of `spans`: sorted, apart from each other, none empty."""
    spans = tuple(spans)
    if len(spans) == 1:
        return spans if spans[0][1] > spans[0][0] else ()
    out: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if out and start <= out[-1][1]:
            if end > out[-1][1]:
                out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return tuple(out)


def overlap(some: Spans, others: Spans) -> Spans:
    """Return what lies in both; both must be merged."""
    if len(others) == 1:  # as with nearly every check: known from its first result until now
        begin, stop = others[0]
        if not some or (some[0][0] >= begin and some[-1][1] <= stop):
            return some
        return tuple((max(a, begin), min(b, stop)) for a, b in some if b > begin and a < stop)
    out: list[Span] = []
    i = j = 0
    while i < len(some) and j < len(others):
        start, end = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if end > start:
            out.append((start, end))
        if some[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def without(some: Spans, others: Spans) -> Spans:
    """Return what lies in `some` but not in `others`; both must be merged."""
    if not others:
        return some
    out: list[Span] = []
    j = 0
    for start, end in some:
        while j < len(others) and others[j][1] <= start:
            j += 1
        k = j
        while k < len(others) and others[k][0] < end:
            if others[k][0] > start:
                out.append((start, others[k][0]))
            start = max(start, others[k][1])
            k += 1
        if end > start:
            out.append((start, end))
    return tuple(out)


def seconds_between(spans: Spans, edges: Sequence[float]) -> list[float]:
    """Return how many seconds of `spans` (merged) lie in each of the stretches that ascending `edges` bound."""
    count = len(edges) - 1
    out = [0.0] * count
    for start, end in spans:
        if end <= edges[0] or start >= edges[count]:
            continue
        first = max(bisect_right(edges, start) - 1, 0)
        last = min(bisect_left(edges, end) - 1, count - 1)
        if first == last:
            out[first] += min(end, edges[count]) - max(start, edges[0])
            continue
        out[first] += edges[first + 1] - max(start, edges[0])
        for i in range(first + 1, last):
            out[i] += edges[i + 1] - edges[i]
        out[last] += min(end, edges[count]) - edges[last]
    return out


@dataclass(frozen=True, slots=True)
class Course:
    """How a check, or an application, fared: merged spans; `down` and `degraded` lie within `known`, apart."""

    known: Spans = ()
    down: Spans = ()
    degraded: Spans = ()

    def seconds(self, edges: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
        """Return how many seconds were known, down and degraded in each of the stretches that `edges` bound."""
        known, down, degraded = (seconds_between(spans, edges) for spans in (self.known, self.down, self.degraded))
        return known, down, degraded


class Sum(NamedTuple):
    """How much merged spans amount to while time goes on: the last of them may have no end."""

    before: float  # seconds of all but the last
    start: float
    end: float

    @staticmethod
    def of(spans: Spans) -> "Sum":
        """Sum up."""
        return Sum(sum(end - start for start, end in spans[:-1]), *spans[-1]) if spans else Sum(0.0, 0.0, 0.0)

    def until(self, now: float) -> float:
        """Return how many seconds lie before `now`, which is not before the last span but one ends."""
        return self.before + max(0.0, min(self.end, now) - self.start)


class Tally:
    """Merged spans, kept so that how much of them lies before a moment is found by one search."""

    __slots__ = ("_before", "_ends", "_starts")

    def __init__(self, spans: Spans) -> None:
        self._starts = array("d", [start for start, _ in spans])
        self._ends = array("d", [end for _, end in spans])
        lengths = (end - start for start, end in spans[:-1])  # the last may have no end
        self._before = array("d", itertools.accumulate(lengths, initial=0.0))

    def __len__(self) -> int:
        return len(self._starts)

    def until(self, moment: float) -> float:
        """Return how many seconds lie before `moment`."""
        place = bisect_left(self._starts, moment) - 1
        if place < 0:
            return 0.0
        return self._before[place] + (min(moment, self._ends[place]) - self._starts[place])


@dataclass(frozen=True, slots=True)
class Record:
    """A course that is kept while time goes on: what lasts has no end in its tallies, and `until` is now."""

    known: Tally
    down: Tally
    degraded: Tally
    until: float

    @staticmethod
    def of(lasting: Course, until: float) -> "Record":
        """Return the record of a course that was computed with nothing but infinity as now."""
        return Record(Tally(lasting.known), Tally(lasting.down), Tally(lasting.degraded), until)

    def seconds(self, edges: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
        """Return how many seconds were known, down and degraded in each of the stretches that `edges` bound."""
        cut = [min(edge, self.until) for edge in edges]
        columns = ([tally.until(edge) for edge in cut] for tally in (self.known, self.down, self.degraded))
        known, down, degraded = ([b - a for a, b in itertools.pairwise(column)] for column in columns)
        return known, down, degraded


Fared = Course | Record


@dataclass(frozen=True, slots=True)
class Share:
    """What a course amounts to over a stretch of time; seconds."""

    known_s: float
    down_s: float
    degraded_s: float

    @property
    def uptime(self) -> float | None:
        """From 0 to 1; None where nothing is known. Degraded counts as up."""
        return uptime_of(self.known_s, self.down_s)


def uptime_of(known_s: float, down_s: float) -> float | None:
    """Return the uptime, None where nothing is known."""
    return max(0.0, 1 - down_s / known_s) if known_s > 0 else None


def course(
    first_at: float | None,
    now: float,
    *,
    down: Collection[Span] = (),
    degraded: Collection[Span] = (),
    excluded: Spans = (),
) -> Course:
    """Return the course of a check.

    Args:
        first_at: when its first result came; before it nothing is known. None: none has come.
        now: nothing is known after it; a downtime that lasts may end there or later.
        excluded: pauses, maintenance, stretches in which nobody watched; merged.
    """
    if first_at is None or first_at >= now:
        return Course()
    whole: Spans = ((first_at, now),)
    known = without(whole, excluded)
    if not down and not degraded:
        return Course(known)
    gone = overlap(merged(down), known)
    return Course(known, gone, without(overlap(merged(degraded), known), gone))


def endless(spans: Spans, now: float) -> Spans:
    """Return `spans` (merged) with what lasts until `now` lasting for ever: the same a moment later."""
    return (*spans[:-1], (spans[-1][0], math.inf)) if spans and spans[-1][1] >= now else spans


def until(lasting: Course, now: float) -> Course:
    """Return what a course that was computed with infinity as now is at `now`."""
    return Course(_cut(lasting.known, now), _cut(lasting.down, now), _cut(lasting.degraded, now))


def _cut(spans: Spans, now: float) -> Spans:
    if not spans or spans[-1][1] <= now:
        return spans
    start = spans[-1][0]
    return (*spans[:-1], (start, now)) if start < now else _cut(spans[:-1], now)


def share(of: Fared, start: float, end: float) -> Share:
    """Return what `of` amounts to from `start` to `end`."""
    return Share(*(column[0] for column in of.seconds((start, max(end, start)))))


def fraction(of: Fared, start: float, end: float) -> float | None:
    """Return `share(of, start, end).uptime`, without what else a share tells: lists ask it a thousand times."""
    if isinstance(of, Record):
        return share(of, start, end).uptime
    return uptime_of(_seconds_within(of.known, start, end), _seconds_within(of.down, start, end))


def _seconds_within(spans: Spans, start: float, end: float) -> float:
    total = 0.0
    first = max(bisect_right(spans, (start,)) - 1, 0)  # the one before may reach into it
    for place in range(first, len(spans)):
        begin, stop = spans[place]
        if begin >= end:
            break
        if stop > start:
            total += (stop if stop < end else end) - (begin if begin > start else start)
    return total


@dataclass(frozen=True, slots=True)
class Calendar:
    """Calendar days of a zone, oldest first, and the unix seconds that bound them (one more than days)."""

    days: tuple[date, ...]
    edges: tuple[float, ...]


def calendar(now: datetime, days: int, zone: tzinfo) -> Calendar:
    """Return the last `days` calendar days of `zone`; the newest is today, and its end is the coming midnight.

    One with a clock change has 23 or 25 hours; no second is lost or counted twice.
    """
    today = now.astimezone(zone).date()
    dates = tuple(today + timedelta(days=i) for i in range(1 - days, 2))
    edges = tuple(datetime.combine(day, time(), tzinfo=zone).astimezone(UTC).timestamp() for day in dates)
    return Calendar(dates[:-1], edges)


@dataclass(frozen=True, slots=True)
class DayShare:
    """One calendar day."""

    day: date
    share: Share


def by_day(of: Fared, now: datetime, days: int, zone: tzinfo) -> list[DayShare]:
    """Return the last `days` calendar days of `zone`, oldest first; the newest is today so far."""
    found = calendar(now, days, zone)
    return [DayShare(day, one) for day, one in zip(found.days, per_day(of, found), strict=True)]


def per_day(of: Fared, days: Calendar) -> list[Share]:
    """Return what `of` amounts to on each of `days`."""
    return [Share(*row) for row in zip(*of.seconds(days.edges), strict=True)]


def uptimes(of: Fared, edges: Sequence[float]) -> tuple[float | None, ...]:
    """Return the uptime of each day that `edges` bound, None where nothing is known; quick for a course without gaps
    until today.
    """
    if isinstance(of, Record):
        midnight = edges[-2]
        if of.until <= midnight:
            return _shares(of.known, of.down, tuple(min(edge, of.until) for edge in edges))
        return (*_past(of.known, of.down, tuple(edges[:-1])), *_shares(of.known, of.down, (midnight, of.until)))
    if len(of.known) != 1 or of.known[0][1] <= edges[-2]:
        known, down, _ = of.seconds(edges)
        return tuple(uptime_of(all_, gone) for all_, gone in zip(known, down, strict=True))
    begin, end = of.known[0]
    first = max(bisect_right(edges, begin) - 1, 0)
    found: list[float | None] = [None] * first + [1.0] * (len(edges) - 1 - first)
    gone: dict[int, float] = {}
    for start, stop in of.down:
        i = bisect_right(edges, start) - 1 if start > edges[0] else 0
        while i < len(found) and stop > edges[i]:  # most lie within one day
            begins, ends = edges[i], edges[i + 1]
            gone[i] = gone.get(i, 0.0) + (stop if stop < ends else ends) - (start if start > begins else begins)
            i += 1
    for i, seconds in gone.items():
        found[i] = max(0.0, 1 - seconds / (min(end, edges[i + 1]) - max(begin, edges[i])))
    return tuple(found)


def _shares(known: Tally, down: Tally, edges: Sequence[float]) -> tuple[float | None, ...]:
    lies = [(known.until(edge), down.until(edge)) for edge in edges]
    return tuple(uptime_of(k - known_before, d - before) for (known_before, before), (k, d) in itertools.pairwise(lies))


_past = lru_cache(maxsize=512)(_shares)  # tallies never change, and are others when what is over does


def pauses(events: Iterable[tuple[float, bool]], *, paused_now: bool, start: float, now: float) -> Spans:
    """Return when a check was paused between `start` and `now`.

    Args:
        events: (time, whether it was paused or resumed then), oldest first, from `start` on.
        paused_now: tells what held throughout when there is no event.
    """
    out: list[Span] = []
    since: float | None = None
    seen = False
    for at, begins in events:
        if not seen and not begins:
            since = start  # resumed first: it was paused from before
        seen = True
        if begins:
            since = at if since is None else since
        elif since is not None:
            out.append((since, at))
            since = None
    if not seen and paused_now:
        since = start
    if since is not None:
        out.append((since, now))
    return merged(out)


def silent_stretches(watched_hours: Iterable[float], last_at: float | None, now: float) -> Spans:
    """Return when nobody watched: whole hours without any result, and the time since the last result.

    Args:
        watched_hours: starts of the hours that have results, of checks whose rhythm is well below an hour.
        last_at: when the newest result came. Up to an hour later is still counted as watched.
    """
    hours = sorted(watched_hours)
    out = [(a + 3600, b) for a, b in itertools.pairwise(hours) if b - a > 3600]
    # Hourly figures are made a little later than results come, so what follows the last of them is told by `last_at`.
    if last_at is not None and now - last_at > 3600:
        out.append((last_at, now))
    return merged(out)


def united(courses: Iterable[Course], others: Iterable[Course] = ()) -> Course:
    """Return the course of an application.

    It is known while any deciding check is known, down while any of them is down. It is degraded while it is not down
    and a deciding check is degraded or one of the `others` is degraded or down.
    """
    deciding, minor = list(courses), list(others)
    known = merged({span for one in deciding for span in one.known})  # mostly the same span again and again
    down = merged([span for one in deciding if one.down for span in one.down])
    impaired = [span for one in deciding if one.degraded for span in one.degraded]
    impaired += [span for one in minor for spans in (one.degraded, one.down) if spans for span in spans]
    return Course(known, down, without(overlap(merged(impaired), known), down))
