"""A check as the monitor holds it, what one observation says of it, and what that makes of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from mainstay.foundation.journal.write import Subject
from mainstay.observe.checks import decide
from mainstay.observe.checks.decide import Health, State, Thresholds, Verdict
from mainstay.observe.checks.heartbeats import Rhythm
from mainstay.observe.checks.probe.outcome import Phases

_URGENCY = {"critical": 0, "major": 1, "minor": 2}


@dataclass(slots=True)
class Watched:
    """One check as the monitor holds it."""

    id: int
    version: int
    name: str  # "shop/storefront"
    application: int
    kind: str
    thresholds: Thresholds
    every_s: float
    timeout_s: float
    paused: bool
    created_at: datetime
    rhythm: Rhythm | None
    state: State
    changes: int
    first_at: datetime | None
    pinged_at: datetime | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    second_chances: int = 0
    stored_due: datetime | None = None  # `due_at` as the records have it
    blocked_by: int | None = None
    severity: str = "major"

    @property
    def urgency(self) -> int:
        """The smaller, the more severe."""
        return _URGENCY.get(self.severity, len(_URGENCY))

    @property
    def subject(self) -> Subject:
        """The check as the journal names it."""
        return Subject("check", self.id, self.name, self.application)


@dataclass(frozen=True, slots=True)
class Observation:
    """One result of one check, whatever brought it: a probe, a ping, a ping that did not come."""

    check: int
    at: datetime
    health: Health
    duration_s: float
    message: str = ""
    code: int | None = None
    phases: Phases | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    extra: bool = False  # beside the check's rhythm: recorded, but it does not count towards a threshold


class Step(NamedTuple):
    """What one observation makes of a check, waiting to be committed."""

    watched: Watched  # the check as it was held then
    seen: Observation
    verdict: Verdict
    changes: int  # the value of `CheckState.changes` that this builds on: the fence against other writers

    @property
    def changes_after(self) -> int:
        return self.changes + self.verdict.changed

    @property
    def tells(self) -> bool:
        """Whether the journal hears of it."""
        return self.verdict.changed or self.verdict.began_flapping or self.verdict.settled


def step_of(watched: Watched, seen: Observation, before: Step | None) -> Step:
    """Return what an observation makes of a check, after `before`, its newest one that is not yet committed."""
    state, changes = (before.verdict.state, before.changes_after) if before else (watched.state, watched.changes)
    if seen.extra:
        return Step(watched, seen, decide.glance(state, seen.health, seen.at), changes)
    return Step(watched, seen, decide.observe(state, seen.health, seen.at, watched.thresholds), changes)
