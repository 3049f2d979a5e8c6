"""What Mainstay has to say about itself: a clock that jumped, a full disk, a missing file, an apply that was cut off.

A process tells a notice and ends it; its beat carries the present ones, so they end with the process, too. What lies in
the database instead (an item set aside, an unfinished apply) comes from a source, registered once by its app.
Now, `mainstay status` and `mainstay doctor` show them all.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from mainstay.foundation.processes.beat import beating

log = logging.getLogger("mainstay.processes")
SHOWN_MOST = 20
TOGETHER = timedelta(minutes=1)
_FIGURES = re.compile(r"\d+")
Source = Callable[[datetime], Iterable["Notice"]]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people should know.

    Attributes:
        code: names its kind, such as "clock"; a process has at most one of each. "gap.web" is a part of what "gap"
            says: not shown beside one of that code.
        title: one short sentence: what is wrong.
        detail: what that means and how to mend it.
        grave: nobody may be watched or paged because of it.
        since: ISO 8601, UTC.
        href: the page where it can be mended, or "".
    """

    code: str
    title: str
    detail: str
    grave: bool
    since: str
    href: str = ""

    @property
    def begun(self) -> datetime:
        """When it began to be so."""
        return datetime.fromisoformat(self.since)


_lock = threading.Lock()
_told: dict[str, Notice] = {}
_sources: list[Source] = []


def tell(code: str, title: str, detail: str, now: datetime, *, grave: bool = False, href: str = "") -> None:
    """Say that something is so, until `end(code)`; the first telling is logged and gives `since`."""
    with _lock:
        before = _told.get(code)
        _told[code] = Notice(code, title, detail, grave, before.since if before else now.isoformat(), href)
    if before is None:
        log.log(logging.ERROR if grave else logging.WARNING, "%s %s", title, detail)


def end(code: str) -> None:
    """It is so no longer. Does nothing when it was not told."""
    with _lock:
        before = _told.pop(code, None)
    if before is not None:
        log.info("over: %s", before.title)


def told() -> list[dict[str, object]]:
    """Return this process's notices as its beat carries them."""
    with _lock:
        return [asdict(notice) for notice in _told.values()]


def source(function: Source) -> Source:
    """Register what finds notices in the database; quick, for Now asks every few seconds."""
    _sources.append(function)
    return function


def _read(given: object) -> Notice | None:
    """Read one from a beat; None when it is of another version."""
    try:
        notice = Notice(**given)  # type: ignore[arg-type]  # a beat may hold anything
        texts = (notice.code, notice.title, notice.detail, notice.since, notice.href)
        return notice if all(isinstance(text, str) for text in texts) and notice.begun.tzinfo else None
    except (TypeError, ValueError):
        return None


def _is_part(notice: Notice, found: Iterable[Notice]) -> bool:
    whole, dot, _ = notice.code.partition(".")
    return bool(dot) and any(one.code == whole and abs(one.begun - notice.begun) <= TOGETHER for one in found)


def current(now: datetime) -> list[Notice]:
    """Return what is to be said at `now`, the grave first; two processes that say the same are heard once.

    Each measures for itself: what begins within a minute and differs in its figures only is the same.
    """
    found: list[Notice] = []
    for detail in beating(now).order_by("id").values_list("detail", flat=True):
        given = detail.get("notices")
        for each in given if isinstance(given, list) else ():
            notice = _read(each)
            if notice is None:
                continue
            found.append(notice)
    for each in _sources:
        found += each(now)
    found = [notice for notice in found if not _is_part(notice, found)]
    heard: dict[tuple[str, str], list[Notice]] = {}
    for notice in found:
        same = heard.setdefault((notice.code, _FIGURES.sub("0", notice.title)), [])
        if all(notice.title != other.title and abs(notice.begun - other.begun) > TOGETHER for other in same):
            same.append(notice)
    kept = [notice for same in heard.values() for notice in same]
    return sorted(kept, key=lambda notice: (not notice.grave, notice.since))[:SHOWN_MOST]
