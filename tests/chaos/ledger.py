"""What was broken when, held against what the receiver was told: pages lost, false, or under two threads. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outage:
    """One subject that was really broken, from `began` to `ended` (unix seconds; None while it lasts)."""

    subject: str
    began: float
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """One mention of one alert in one message, as the receiver had it."""

    at: float
    subject: str
    firing: bool
    thread: str  # the same in all messages of one alert, or of one group
    key: str  # the message's own: the same when it is sent again


@dataclass(slots=True)
class Judgement:
    """What came of all outages."""

    outages: int = 0
    lost: list[str] = field(default_factory=list)  # was broken, nobody was told
    unresolved: list[str] = field(default_factory=list)  # told, and never told that it is over
    false: list[str] = field(default_factory=list)  # told, though it was not broken
    twice: list[str] = field(default_factory=list)  # told under two threads
    repeated: int = 0  # messages that came again with the same key
    waits_s: list[float] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.unresolved or self.false or self.twice)


def judge(outages: Sequence[Outage], tellings: Iterable[Telling], slack_s: float) -> Judgement:
    """Compare them. A page belongs to an outage when it came between its beginning and `slack_s` after its end."""
    found = Judgement(outages=len(outages))
    by_subject: dict[str, list[Outage]] = {}
    for one in sorted(outages, key=lambda one: one.began):
        by_subject.setdefault(one.subject, []).append(one)
    fired: dict[int, list[Telling]] = {}
    over: dict[int, list[Telling]] = {}
    sent: set[tuple[str, float]] = set()
    for telling in sorted(tellings, key=lambda one: one.at):
        mine = by_subject.get(telling.subject, [])
        outage = next((one for one in reversed(mine) if one.began <= telling.at), None)
        sent.add((telling.key, telling.at))
        if not telling.firing:
            if outage is not None:
                over.setdefault(id(outage), []).append(telling)
        elif outage is None or (outage.ended is not None and telling.at > outage.ended + slack_s):
            found.false.append(f"{telling.subject} at {telling.at:.1f}")
        else:
            fired.setdefault(id(outage), []).append(telling)
    found.repeated = len(sent) - len({key for key, _ in sent})
    for one in outages:
        told = fired.get(id(one), [])
        name = f"{one.subject} broken at {one.began:.1f}"
        if not told:
            found.lost.append(name)
            continue
        found.waits_s.append(told[0].at - one.began)
        threads: dict[str, float] = {}
        for telling in told:
            threads.setdefault(telling.thread, telling.at)
        if len(threads) > 1:
            when = ", ".join(f"{thread} at {at:.1f}" for thread, at in threads.items())
            found.twice.append(f"{name} until {one.ended or math.nan:.1f}: {when}")
        if one.ended is not None and not over.get(id(one)):
            found.unresolved.append(name)
    return found
