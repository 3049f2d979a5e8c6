"""What is said of jumps of the clock and of gaps: log, a notice on Now, the journal, `mainstay doctor`."""

import logging
import math
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction

from mainstay.foundation.accounts.actor import program
from mainstay.foundation.clock import utc_text
from mainstay.foundation.gaps import Detector, Gap, Kind
from mainstay.foundation.journal.kinds import Instant, declare
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.processes import beat, notices
from mainstay.foundation.words.durations import write_span

log = logging.getLogger("mainstay.processes")
CLOCK_SET = declare(
    "clock.set",
    "The clock of {host} was set {way} by {span}, to {to}",
    host=str,
    way=str,
    span=str,
    by_s=float,
    to=Instant,
)
STOOD_STILL = declare(
    "mainstay.stood_still", "Nothing was watched on {host} for {span}, until {until}: {why}",
    host=str, span=str, by_s=float, until=Instant, why=str,
)  # fmt: skip
NO_PINGS = declare(
    "mainstay.no_pings", "No pings were taken on {host} for {span}, until {until}: {why}",
    host=str, span=str, by_s=float, until=Instant, why=str,
)  # fmt: skip
NOTICE_S = 3600.0  # how long Now shows it
TELL_LEAST_S = 10.0  # a shorter gap is not worth a line
# It must not fill the journal.
WRITE_EVERY_S = {Kind.JUMPED: 5.0, Kind.STOOD_STILL: 60.0, Kind.DATABASE_AWAY: 60.0, Kind.NO_PINGS: 60.0}
AHEAD_MOST = timedelta(minutes=1)  # clocks of several hosts differ a little
_WHY = {
    Kind.STOOD_STILL: "the machine was suspended, or the process stopped",
    Kind.DATABASE_AWAY: "the database took no writes",
    Kind.NO_PINGS: "no web process could store any",
}
_CODES = {Kind.JUMPED: "clock", Kind.STOOD_STILL: "gap", Kind.DATABASE_AWAY: "gap", Kind.NO_PINGS: "pings"}


class Teller:
    """Tells the gaps of one process. For the thread that beats."""

    def __init__(self, role: str, detector: Detector) -> None:
        self._role = role
        self._gaps = detector.follow()
        self._until: dict[str, float] = {}  # code of a notice → when it ends
        self._written: dict[Kind, float] = {}
        self._waiting: list[Gap] = []
        self._started = False

    def tell(self, now: datetime, process: int) -> None:
        """Say what is new, and end what has been said long enough.

        Raises:
            DatabaseError: it is written into the journal at the next call.
        """
        if not self._started:
            self._waiting += self._at_start(now)
            self._started = True
        self._waiting += [gap for gap in self._gaps.new() if gap.kind is Kind.JUMPED or gap.by_s >= TELL_LEAST_S]
        while self._waiting:
            gap = self._waiting[0]
            self._notice(gap)
            # One process writes it: whose gaps mean that nothing was watched; of several the one that began first.
            if self._role == "monitor" and process == min(beat.alive(now, "monitor"), default=process):
                self._write(gap, now)
            del self._waiting[0]
        for code, until_s in list(self._until.items()):
            if time.monotonic() >= until_s:
                notices.end(code)
                del self._until[code]

    @staticmethod
    def _at_start(now: datetime) -> list[Gap]:
        """A clock that was set back while nothing ran is behind what is stored. (What was set forward looks like a
        long pause; clean-ups ask the stored data, see `keep.trusted`.)"""
        newest = newest_stored()
        if newest is None or newest <= now + AHEAD_MOST:
            return []
        return [Gap(Kind.JUMPED, newest, now, (now - newest).total_seconds())]

    def _notice(self, gap: Gap) -> None:
        code, title, detail = said(gap, self._role)
        if code in self._until:
            notices.end(code)  # the newer one is said
        notices.tell(code, title, detail, gap.ended if gap.kind is Kind.JUMPED else gap.begun)
        self._until[code] = time.monotonic() + NOTICE_S

    def _write(self, gap: Gap, now: datetime) -> None:
        if time.monotonic() < self._written.get(gap.kind, -math.inf) + WRITE_EVERY_S[gap.kind]:
            return
        host, span = socket.gethostname(), write_span(abs(gap.by))
        about, actor = Subject("mainstay", 0, host), program("mainstay")
        with transaction.atomic():
            if gap.kind is Kind.JUMPED:
                way, to = _way(gap), Instant.of(gap.ended)
                write(CLOCK_SET, about, actor, now, host=host, way=way, span=span, by_s=gap.by_s, to=to)
            else:
                until, why = Instant.of(gap.ended), _WHY[gap.kind]
                kind = NO_PINGS if gap.kind is Kind.NO_PINGS else STOOD_STILL
                write(kind, about, actor, now, host=host, span=span, by_s=gap.by_s, until=until, why=why)
        self._written[gap.kind] = time.monotonic()


def said(gap: Gap, role: str) -> tuple[str, str, str]:
    """Return code, title and detail of the notice about a gap in a process of `role`.

    Only a monitor that stood still means that nothing was watched. What another says is left out where it says so too.
    """
    span = write_span(abs(gap.by))
    if gap.kind is Kind.JUMPED:
        title = f"The clock was set {_way(gap)} by {span}."
        detail = (
            f"It showed {utc_text(gap.begun, seconds=True)} and then {utc_text(gap.ended, seconds=True)}."
            " Due times were moved with it. If it is wrong now, set it and let NTP keep it; if it was wrong before,"
            " times of results and journal entries from then are off."
        )
    else:
        until, why = f"for {span}, until {utc_text(gap.ended, seconds=True)}", f"Reason: {_WHY[gap.kind]}."
        if gap.kind is not Kind.NO_PINGS and role != "monitor":
            did = "stood still" if gap.kind is Kind.STOOD_STILL else "could write nothing"
            return f"{_CODES[gap.kind]}.{role}", f"The {role} process {did} {until}.", why
        title = f"{'No pings were taken' if gap.kind is Kind.NO_PINGS else 'Nothing was watched'} {until}."
        detail = f"{why} Heartbeats that fell due meanwhile got their grace again."
    return _CODES[gap.kind], title, detail


def _newest_entry() -> datetime | None:
    return Entry.objects.order_by("-id").values_list("at", flat=True).first()


WRITTEN_LAST: list[Callable[[], datetime | None]] = [_newest_entry]
"""What tells the time of the row that a table got last; wings add theirs."""


def newest_stored() -> datetime | None:
    """Return the newest time among the rows that tables got last."""
    return max((at for tell in WRITTEN_LAST if (at := tell()) is not None), default=None)


def _way(gap: Gap) -> str:
    return "forward" if gap.by_s > 0 else "back"
