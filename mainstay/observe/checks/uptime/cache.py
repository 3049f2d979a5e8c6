"""What downtimes there were, kept in the process: one that has ended changes no more, so it is read once.

Each look asks the database for what may have changed since the last one: the newest rows and those that have not ended.
Rows are written open and closed later, so a row that is not among the known ones is either open or of the newest,
even where transactions commit in another order than they took their numbers. Whatever does not fit what is known (a
row that is gone, or says something else) makes it read everything anew. Rows of removed checks stay until then:
nobody asks for them.
"""

import threading
import time
from array import array
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from django.db.models import Q, QuerySet

from mainstay.observe.checks.models import Downtime
from mainstay.observe.checks.uptime.instants import UnixSeconds
from mainstay.observe.checks.uptime.timeline import Span

LONGEST = timedelta(days=90)
REACH = LONGEST + timedelta(days=2)  # what is kept when nobody asks further back …
REACH_MOST = timedelta(days=102)  # … until time has gone on so far: then older rows are let go
FEW = 100  # checks; of so many or fewer the rows are read from the database, which costs no more
NAMED_MOST = 1_500  # for more it is cheaper to read all downtimes than to name the checks
RECENT = 200  # rows that are looked at again each time
KEPT_MOST = 1_000_000  # rows of 16 bytes each
MANY_FOR_S = 600.0  # after finding more than that: how long nothing is kept

_Row = tuple[int, int, str, float, float | None]  # number, check, health, start, end
_NONE = array("d")


class Ended(NamedTuple):
    """The downtimes of a check that have ended: starts and ends by turns. Never changed, only replaced."""

    down: "array[float]" = _NONE
    degraded: "array[float]" = _NONE


class Gone(NamedTuple):
    """When a check was not up: what has ended, and what lasts as its health and start."""

    ended: Ended = Ended()
    lasting: tuple[str, float] | None = None

    def spans(self, since: float, lasts_until: float) -> tuple[list[Span], list[Span]]:
        """Return the stretches of "down" and "degraded" that end after `since`."""
        pairs = [_pairs(one, since) for one in self.ended]
        if self.lasting is not None:
            pairs[0 if self.lasting[0] == "down" else 1].append((self.lasting[1], lasts_until))
        return pairs[0], pairs[1]


def _pairs(flat: "array[float]", since: float) -> list[Span]:
    ends = iter(flat)
    return [span for span in zip(ends, ends, strict=True) if span[1] > since]


class Ledger:
    """The downtimes of the last `REACH`. One for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        self._too_many_until = 0.0

    def read(self, checks: Collection[int], since: datetime, now: datetime) -> dict[int, Gone]:
        """Return the downtimes of `checks` that end after `since`, and maybe some that ended before; one query or two.

        Checks that were never down are left out.
        """
        if len(checks) <= FEW:
            return _read(checks, since)
        with self._lock:
            if time.monotonic() < self._too_many_until:
                return _read(checks, since)
            reach = min(since, now - REACH)
            fits = self._since is not None and reach - (REACH_MOST - REACH) <= self._since <= reach
            if not (fits and self._catch_up()) and not self._load(reach):
                return _read(checks, since)
            ended, lasting = self._ended, self._lasting
            known = ((check, ended.get(check), lasting.get(check)) for check in checks)
            return {check: Gone(past or Ended(), open_) for check, past, open_ in known if past or open_}

    def _forget(self) -> None:
        self._since: datetime | None = None
        self._ended: dict[int, Ended] = {}
        self._lasting: dict[int, tuple[str, float]] = {}  # by check
        self._open: dict[int, _Row] = {}  # by number of the row, as is the next
        self._recent: dict[int, _Row] = {}

    def _load(self, since: datetime) -> bool:
        """Read everything; False when it is too much to keep."""
        self._forget()
        window = Downtime.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since)).order_by("id")
        rows = list(_values(window)[: KEPT_MOST + 1])
        if len(rows) > KEPT_MOST:
            self._too_many_until = time.monotonic() + MANY_FOR_S
            return False
        self._since = since
        self._take(rows)
        self._look_again_at(rows)
        return True

    def _catch_up(self) -> bool:
        """Take what is new; False when what is known does not fit it."""
        newest = max(self._recent, default=0)
        recent = _values(Downtime.objects.filter(id__gt=newest - RECENT))
        seen: dict[int, _Row] = {row[0]: row for row in recent.union(_values(Downtime.objects.filter(ended_at=None)))}
        missing = [number for number in self._open if number not in seen]  # they have ended
        if len(missing) > NAMED_MOST:
            return False
        seen |= {row[0]: row for row in _values(Downtime.objects.filter(id__in=missing))} if missing else {}
        known = self._recent | self._open
        for number, row in known.items():
            now = seen.get(number)
            if now is None or now[:4] != row[:4] or (row[4] is not None and now[4] != row[4]):
                return False
        self._take(row for number, row in sorted(seen.items()) if known.get(number) != row)
        self._look_again_at(seen.values())
        return True

    def _take(self, rows: Iterable[_Row]) -> None:
        over: list[_Row] = []
        for row in rows:
            if row[4] is None:
                self._open[row[0]] = row
            else:
                self._open.pop(row[0], None)
                over.append(row)
        self._lasting = {check: (health, start) for _, check, health, start, _ in self._open.values()}
        self._ended |= _with(self._ended, over)

    def _look_again_at(self, rows: Collection[_Row]) -> None:
        newest = max((row[0] for row in rows), default=0)
        self._recent = {row[0]: row for row in rows if row[0] > newest - RECENT}


LEDGER = Ledger()


def _with(ended: Mapping[int, Ended], rows: Iterable[_Row]) -> dict[int, Ended]:
    """Return `ended` with `rows` for the checks of these."""
    added: dict[int, tuple[list[float], list[float]]] = {}
    for _, check, health, start, end in rows:
        flat = (added.get(check) or added.setdefault(check, ([], [])))[0 if health == "down" else 1]
        flat += (start, cast(float, end))
    out = {}
    for check, (down, degraded) in added.items():
        before = ended.get(check) or Ended()
        out[check] = Ended(
            before.down + array("d", down) if down else before.down,
            before.degraded + array("d", degraded) if degraded else before.degraded,
        )
    return out


def _values(rows: "QuerySet[Downtime]") -> "QuerySet[Downtime, _Row]":
    return rows.values_list("id", "check_ref_id", "health", UnixSeconds("started_at"), UnixSeconds("ended_at"))


def _read(checks: Collection[int], since: datetime) -> dict[int, Gone]:
    """Read from the database, past what is kept."""
    window = Downtime.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since))
    if len(checks) <= NAMED_MOST:
        window = window.filter(check_ref__in=checks)
    wanted = set(checks)
    rows = [row for row in _values(window.order_by("id")) if row[1] in wanted]
    ended = _with({}, (row for row in rows if row[4] is not None))
    lasting = {check: (health, start) for _, check, health, start, end in rows if end is None}
    return {check: Gone(ended.get(check, Ended()), lasting.get(check)) for check in ended.keys() | lasting.keys()}
