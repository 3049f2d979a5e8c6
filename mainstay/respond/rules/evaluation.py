"""Evaluates rules, each group at its interval, and commits what follows: the monitor's half of rules.

All groups of one interval are evaluated at the same instants, so that an expression, or a part of one, that many rules
share is evaluated once a round. Memory moves on only as far as the records have: when a commit fails, the round is done
again. A source that is away, or an expression that fails, leaves every instance as it was, and says so.
"""

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import DatabaseError, transaction

from mainstay.foundation.clock import from_unix
from mainstay.foundation.processes.models import Revision
from mainstay.observe.metrics.store.coverage import Coverage
from mainstay.respond.rules import records
from mainstay.respond.rules.ask import OWN_RULES, Instant, Source
from mainstay.respond.rules.doubt import held_open
from mainstay.respond.rules.models import RuleGroup
from mainstay.respond.rules.outcome import Health, Outcome, RuleFails, SourceAway, evaluate
from mainstay.respond.rules.records import Held, HeldGroup, Standing
from mainstay.respond.rules.verdict import Verdict, verdict

log = logging.getLogger("mainstay.rules")
STANDING_EVERY_S = 15.0  # how old the row of a rule's state may be when nothing changed
MISSING_EVERY_S = 60.0  # how often a rule that gives nothing is asked whether its series exist
LATE_MOST_S = 300.0  # an instant that is missed by more is skipped: what it would tell is history


@dataclass(slots=True)
class Figures:
    """How evaluation goes."""

    rounds: int = 0
    rules: int = 0
    missed: int = 0  # instants that were skipped
    last_s: float = 0.0  # CPU and waiting of the last round
    lag_s: float = 0.0


@dataclass(slots=True)
class _Done:
    """What one rule's evaluation came to, before it is committed."""

    held: Held
    found: Outcome
    standing: Standing


@dataclass(slots=True)
class Evaluation:
    """The rules that this monitor evaluates.

    Args:
        source: whom to ask; None while there is nobody to ask.
        mine: which groups are this monitor's.
        turn: what that depends on; when it changes, the groups are looked at again.
        ready: whether samples have come in since the start; before that, missing series mean nothing.
        external_url: where people find this installation, for templates.
    """

    source: Callable[[], Source | None]
    mine: Callable[[int], bool]
    turn: Callable[[], Hashable]
    ready: Callable[[], bool]
    external_url: str
    coverage: Callable[[], Coverage | None] = lambda: None  # of the store: before, missing series mean nothing
    figures: Figures = field(default_factory=Figures)
    groups: dict[int, HeldGroup] = field(default_factory=dict)
    _revision: Hashable = None
    _next_at: dict[int, float] = field(default_factory=dict)  # group → unix seconds
    _looked: dict[int, float] = field(default_factory=dict)  # rule → when its series were last asked for
    _missing: dict[int, Verdict] = field(default_factory=dict)
    _standing_at: float = 0.0

    def reload(self) -> None:
        """Notice groups that were added, edited, removed, handed over."""
        revision = (Revision.current("rules"), self.turn())
        if revision == self._revision:
            return
        versions = {group: n for group, n in RuleGroup.objects.values_list("id", "version") if self.mine(group)}
        for gone in self.groups.keys() - versions.keys():
            del self.groups[gone]
            self._next_at.pop(gone, None)
        changed = [g for g, version in versions.items() if g not in self.groups or self.groups[g].version != version]
        for group in records.load(changed):
            self.groups[group.id] = group
        self._revision = revision

    def cycle(self, now: datetime, _process: int) -> bool:
        """Evaluate what is due at `now`; return whether more is waiting.

        Raises:
            DatabaseError: nothing was committed; the same instants are evaluated again.
        """
        self.reload()
        source = self.source() if self.groups else None
        if source is None or not self.ready():
            return False
        at_s = now.timestamp()
        due: dict[tuple[float, int], list[HeldGroup]] = {}
        for group in self.groups.values():
            at = self._due(group, at_s)
            if at is not None:
                due.setdefault((at, group.offset_ms), []).append(group)
        for (at, offset_ms), groups in sorted(due.items(), key=lambda item: item[0]):
            self._round(groups, at, offset_ms, source)
        if at_s - self._standing_at >= STANDING_EVERY_S:
            self._tell_standing()
            self._standing_at = at_s
        self.figures.lag_s = 0.0
        return False

    def _due(self, group: HeldGroup, now_s: float) -> float | None:
        """Return the newest instant of the group's grid that is due; None while none is."""
        slot = now_s // group.every_s * group.every_s
        known = self._next_at.get(group.id)
        if known is None:
            self._next_at[group.id] = slot + group.every_s
            return None
        if now_s < known:
            if known - now_s > 2 * group.every_s:  # the clock was set back
                self._next_at[group.id] = slot + group.every_s
            return None
        self.figures.missed += max(0, round((slot - known) / group.every_s))
        return slot

    def _round(self, groups: list[HeldGroup], at_s: float, offset_ms: int, source: Source) -> None:
        began = time.perf_counter()
        at_ms = round(at_s * 1000)
        instant = source.at(at_ms - offset_ms)
        done = [self._evaluate(group, held, instant, at_ms) for group in groups for held in group.rules]
        self._commit([one for one in done if one.found.changes])
        for one in done:
            one.held.instances, one.held.standing = one.found.instances, one.standing
        for group in groups:
            self._next_at[group.id] = at_s + group.every_s
        self.figures.rounds += 1
        self.figures.rules += len(done)
        self.figures.last_s = time.perf_counter() - began

    def _evaluate(self, group: HeldGroup, held: Held, instant: Instant, at_ms: int) -> _Done:
        began, at = time.perf_counter(), from_unix(at_ms / 1000)
        rule = held.rule
        try:
            if rule.is_alert or instant.records:
                found = evaluate(
                    rule,
                    instant.ask,
                    held.instances,
                    at_ms,
                    limit=group.limit,
                    external_url=self.external_url,
                )
                coverage = self.coverage()
                if coverage is not None and found.health is Health.OK:
                    found = held_open(rule, held.instances, found, instant.count, coverage, at_ms)
                found = self._kept(held, instant, found)
                found = self._looked_for(held, instant, found, at_ms)
            else:
                found = Outcome(Health.UNKNOWN, OWN_RULES, held.instances)
        except DatabaseError:
            raise
        except SourceAway as error:
            found = Outcome(Health.UNKNOWN, str(error), held.instances)
        except Exception as error:  # a defect met by one rule must not stop the others
            log.exception("rule %s cannot be evaluated", rule.name)
            reason = f"a defect of Mainstay: {type(error).__name__}; its log has the details"
            found = Outcome(Health.ERR, reason, held.instances)
        since = held.standing.since if found.health == held.standing.health else at
        spent_s = time.perf_counter() - began
        return _Done(held, found, Standing(found.health.value, found.reason, since or at, at, spent_s, found.results))

    @staticmethod
    def _kept(held: Held, instant: Instant, found: Outcome) -> Outcome:
        if found.health is not Health.OK:
            return found
        try:
            instant.record(f"rule:{held.id}", found.rows)
        except RuleFails as error:
            if held.rule.is_alert:  # it pages nevertheless; only its history is not kept
                return found
            return replace(found, health=Health.ERR, reason=str(error))
        return found

    def _looked_for(self, held: Held, instant: Instant, found: Outcome, at_ms: int) -> Outcome:
        """A rule that gives nothing is fine, unless nothing could ever make it give anything."""
        if found.health is not Health.OK or found.results:
            self._missing.pop(held.id, None)
            self._looked.pop(held.id, None)
            return found
        if at_ms / 1000 - self._looked.get(held.id, 0.0) >= MISSING_EVERY_S:
            self._looked[held.id] = at_ms / 1000
            self._missing[held.id] = verdict(held.rule.expression, instant.count, at_ms)
        missing = self._missing.get(held.id)
        if missing is None or missing.health is Health.OK:
            return found
        return replace(found, health=missing.health, reason=missing.reason)

    def _commit(self, done: Iterable[_Done]) -> None:
        changed = list(done)
        if not changed:
            return
        with transaction.atomic():
            for one in changed:
                records.commit_changes(one.held, one.found.instances, one.found.changes)

    def _tell_standing(self) -> None:
        stale = [held for group in self.groups.values() for held in group.rules if held.standing != held.told]
        if not stale:
            return
        with transaction.atomic():
            records.commit_standing(stale)
            records.commit_values(held for held in stale if held.instances)
        for held in stale:
            held.told = held.standing
