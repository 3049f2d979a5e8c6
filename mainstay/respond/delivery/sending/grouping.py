"""What of all that waits for one channel is sent singly, told by a group, or withdrawn: a pure decision with reasons.

More pages than people can read one by one become one message. Only what was never tried is touched: the receiver may
know anything else already, so all that follows goes the same way.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SINGLY_MOST = 20
"""Pages that may wait for one channel, or have gone to it within `RECENT`, before a group tells the rest."""
RECENT = timedelta(minutes=1)
"""A receiver that is quick is not to be sent single pages as fast as it takes them: so long one counts."""
HOLD = timedelta(seconds=1)
"""A group's first message waits so long for more to join."""
JOIN_FOR = timedelta(minutes=10)
"""So long after its begin pages join a group; later ones begin a new group, whose first message is noticed."""
_PAUSES_S = (5, 10, 20)
_PAUSE_LAST_S = 30
_PAUSE_QUIET_S = 300  # nothing new is in it: only that some of it is over


class Fate(StrEnum):
    """What becomes of a waiting message."""

    SINGLY = "singly"
    GROUPED = "grouped"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that waits for the channel and was never tried."""

    id: int
    thread: str
    event: str
    urgency: int
    member: str = ""  # state of the thread in an open group: open, acknowledged, or empty
    told: bool = False  # an earlier message of the thread was tried by itself
    telling: bool = False  # a message of that group, which may tell of it, is not through yet …
    failing: bool = False  # … and its fallbacks are due


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the waiting messages of one thread, and why; `state` is the alert's in its group."""

    thread: str
    fate: Fate
    ids: tuple[int, ...]
    why: str
    state: str = ""
    page: int | None = None  # the trigger among `ids`
    urgency: int = 0


def plan(waiting: Sequence[Waiting], most: int = SINGLY_MOST, recent: Sequence[int] = ()) -> list[Verdict]:
    """Decide for each thread. Where more than `most` pages wait or just went, the least urgent that wait are grouped.

    Args:
        recent: the urgency of each page that was sent singly within `RECENT`. Only those that were as urgent count
            against a page, so a critical one does not wait behind what was minor.
    """
    recent = sorted(recent)
    threads: dict[str, list[Waiting]] = {}
    for row in sorted(waiting, key=lambda row: row.id):
        threads.setdefault(row.thread, []).append(row)
    found, pages, obsolete = [], [], []
    for rows in threads.values():
        first, page, over = rows[0], _page(rows), any(row.event == "resolve" for row in rows)
        if first.member and over:
            found.append(_verdict(rows, Fate.GROUPED, "over", "its page was sent with this group, so its end is, too"))
        elif first.member and page is None:
            state = "acknowledged" if rows[-1].event == "acknowledge" else first.member
            found.append(
                _verdict(rows, Fate.GROUPED, state, "its page was sent with this group, so what follows is, too")
            )
        elif first.told:
            found.append(_verdict(rows, Fate.SINGLY, "", "its page was tried: what follows goes the same way"))
        elif first.member and first.telling:
            # By itself it would overtake that message, which says of it what is no longer so.
            if first.failing:
                state = "acknowledged" if rows[-1].event == "acknowledge" else "open"
                found.append(_verdict(rows, Fate.GROUPED, state, "its group does not get through, so it falls back"))
        elif page is None:
            found.append(_verdict(rows, Fate.SINGLY, "", "it follows no page that waits"))
        elif over:
            obsolete.append(rows)
        else:
            pages.append(rows)
    crowded = len(pages) + len(obsolete) + len(recent) > most
    for rows in obsolete:
        if crowded:
            found.append(_verdict(rows, Fate.WITHDRAWN, "over", "it was over before it could be sent"))
        else:
            found.append(_verdict(rows, Fate.SINGLY, "", f"no more than {most} pages wait"))
    pages.sort(key=lambda rows: (min(row.urgency for row in rows), rows[0].id))
    for place, rows in enumerate(pages):
        if place + bisect_right(recent, min(row.urgency for row in rows)) < most:
            found.append(_verdict(rows, Fate.SINGLY, "single", f"one of the {most} most urgent pages"))
        else:
            state = "acknowledged" if rows[-1].event == "acknowledge" else "open"
            found.append(
                _verdict(rows, Fate.GROUPED, state, f"more than {most} pages waited, and {most} others are more urgent")
            )
    return found


def _page(rows: Sequence[Waiting]) -> Waiting | None:
    return next((row for row in reversed(rows) if row.event == "trigger"), None)


def _verdict(rows: Sequence[Waiting], fate: Fate, state: str, why: str) -> Verdict:
    page = _page(rows)
    ids = tuple(row.id for row in rows)
    return Verdict(rows[0].thread, fate, ids, why, state, page.id if page else None, min(row.urgency for row in rows))


def may_join(created_at: datetime, now: datetime) -> bool:
    """Whether pages may still join a group; after the clock was set back, a new one is begun."""
    return created_at <= now < created_at + JOIN_FOR


def next_message(*, live: int, unacknowledged: int, told: bool, reminder: bool) -> str:
    """Return the event of a group's next message.

    Args:
        live: its alerts that are not over.
        unacknowledged: those of them that nobody has.
        told: it had a message before.
        reminder: one of its alerts is due to be reminded of.
    """
    if not live:
        return "resolve"
    if not told:
        return "trigger"
    if not unacknowledged:
        return "acknowledge"
    return "remind" if reminder else "update"


def due_at(
    event: str, now: datetime, messages: int, told_at: datetime | None, *, news: bool, grave: bool = False
) -> datetime:
    """Return when a group's next message may go: its first and its last soon, those between less and less often.

    Args:
        news: an alert was added, or is due to be reminded of.
        grave: a critical one was added: that is told within seconds, however many messages there were.
    """
    if told_at is None:
        return now + HOLD
    if event == "resolve":
        return now
    pause_s = _PAUSES_S[messages - 1] if messages <= len(_PAUSES_S) else _PAUSE_LAST_S
    if not news:
        pause_s = _PAUSE_QUIET_S
    if grave:
        pause_s = _PAUSES_S[0]
    # Bounded from now as well: the clock may have been set back since.
    return min(max(now, told_at + timedelta(seconds=pause_s)), now + timedelta(seconds=pause_s))
