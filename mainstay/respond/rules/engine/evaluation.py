"""Evaluates rules, each group at its interval, and commits what follows: the monitor's half of rules.

All groups of one interval are evaluated at the same instants, so that an expression, or a part of one, that many rules
share is evaluated once a round. What changed is committed in pieces, the most severe pages first. Memory moves on only
as far as the records have: when a commit fails, the rest of the round is done again. A source that is away, or an
expression that fails, leaves every instance as it was, and says so. A rule that takes long or cannot be recorded holds
up no other.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from mainstay.foundation.clock import from_unix
from mainstay.foundation.foreign import EXITS, told
from mainstay.foundation.processes import notices
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.processes.work import SetAside, working_on
from mainstay.foundation.words.names import severity_of, weight
from mainstay.foundation.words.text import storable
from mainstay.observe.checks.runtime.holding import changes
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.store.limits import Coverage
from mainstay.respond.rules.engine import records
from mainstay.respond.rules.engine.blind import held_open
from mainstay.respond.rules.engine.outcome import Health, Outcome, RuleFails, SourceAway, evaluate
from mainstay.respond.rules.engine.records import Held, HeldGroup, RuleHealth
from mainstay.respond.rules.engine.sources import OWN_RULES, Instant, Source
from mainstay.respond.rules.engine.state import Change, Code, State, moved
from mainstay.respond.rules.engine.verdict import Verdict, verdict
from mainstay.respond.rules.models import Rule, RuleGroup

log = logging.getLogger("mainstay.rules")
STANDING_EVERY_S = 15.0  # how old the row of a rule's state may be when nothing changed
MISSING_EVERY_S = 60.0  # how often a rule that gives nothing is asked whether its series exist
RULE_MOST_S = 10.0  # of one rule: its expression and all its templates
SLOW_S = 1.0  # groups that took longer last time come last; after so long what is known is committed before going on
STANDINGS_AT_ONCE = 500
PIECE_MOST, PIECE_MOST_S = 50, 0.3  # changes and seconds in one transaction
READ_AGAIN = timedelta(seconds=30)
NOTICE = "rules"


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
    standing: RuleHealth
    broken: bool = False

    def breaks(self, error: Exception) -> None:
        """A change cannot be recorded: the instance stays as it was, and is tried again at the next evaluation."""
        reason = f"an alert of it cannot be recorded: {told(error)}"
        if self.held.standing.reason != reason:  # once, not at every evaluation
            log.exception("rule %s: an alert cannot be recorded", self.held.rule.name)
        known = self.held.standing
        since = known.since if known.health == Health.ERR.value else self.standing.evaluated_at
        self.standing = replace(self.standing, health=Health.ERR.value, reason=storable(reason), since=since)
        self.broken = True


@dataclass(slots=True)
class Evaluation:
    """The rules that this monitor evaluates.

    Args:
        source: whom to ask; None while there is nobody to ask.
        mine: which groups are this monitor's.
        turn: what that depends on; when it changes, the groups are looked at again.
        ready: whether samples have come in since the start; before that, missing series mean nothing.
        external_url: where people find this installation, for templates.
        jumped_s: how far the clock was set since it was last asked, in seconds.
    """

    source: Callable[[], Source | None]
    mine: Callable[[int], bool]
    turn: Callable[[], Hashable]
    ready: Callable[[], bool]
    external_url: str
    jumped_s: Callable[[], float] = lambda: 0.0
    coverage: Callable[[], Coverage | None] = lambda: None  # of the store: before, missing series mean nothing
    figures: Figures = field(default_factory=Figures)
    groups: dict[int, HeldGroup] = field(default_factory=dict)
    _revision: Hashable = None
    _read_at: datetime | None = None
    _unusable: dict[int, str] = field(default_factory=dict)  # groups that could not be loaded, and why
    _next_at: dict[int, float] = field(default_factory=dict)  # group → unix seconds
    _looked: dict[int, float] = field(default_factory=dict)  # rule → when its series were last asked for
    _missing: dict[int, Verdict] = field(default_factory=dict)
    _standing_at: float = 0.0
    _ended: bool = False  # whether series of rules that are gone have ended since the groups were read

    def reload(self, now: datetime) -> None:
        """Make the groups that are held those that the records say; these are read every half a minute at the latest.

        A group that cannot be loaded costs only itself.
        """
        revision = (Revision.current("rules"), self.turn())
        fresh = self._read_at is not None and abs(now - self._read_at) < READ_AGAIN
        if fresh and revision == self._revision:
            return
        versions = {group: n for group, n in RuleGroup.objects.values_list("id", "version") if self.mine(group)}
        found = changes(versions, {group.id: group.version for group in self.groups.values()})
        for gone in found.drop:
            del self.groups[gone]
            self._next_at.pop(gone, None)
        unusable: dict[int, str] = {}
        for group in found.put:
            try:
                self.groups.update((one.id, one) for one in records.load([group]))
            except DatabaseError:
                raise
            except Exception as error:
                unusable[group] = why = str(error) or type(error).__name__
                self.groups.pop(group, None)
                if self._unusable.get(group) != why:
                    log.exception("the group %d of rules cannot be loaded; the others are evaluated", group)
        self._unusable = unusable
        if unusable:
            title = f"{len(unusable)} {'group' if len(unusable) == 1 else 'groups'} of rules cannot be evaluated."
            notices.tell(NOTICE, title, f"{next(iter(unusable.values()))[:300]} The log says more.", now, grave=True)
        else:
            notices.end(NOTICE)
        self._revision, self._read_at, self._ended = revision, now, False

    def cycle(self, now: datetime, _process: int) -> bool:
        """Evaluate what is due at `now`; return whether more is waiting.

        Raises:
            DatabaseError: nothing was committed; the same instants are evaluated again.
        """
        self.reload(now)
        self._follow_clock()
        source = self.source() if self.groups or not self._ended else None
        if source is None or not self.ready():
            return False
        if not self._ended:
            source.keep({_key(rule) for rule in Rule.objects.values_list("id", flat=True)})
            self._ended = True
        at_s = now.timestamp()
        due: dict[tuple[float, int], list[HeldGroup]] = {}
        for group in self.groups.values():
            at = self._due(group, at_s)
            if at is not None:
                due.setdefault((at, group.offset_ms), []).append(group)
        for (at, offset_ms), groups in sorted(due.items(), key=lambda item: item[0]):
            self._round(groups, at, offset_ms, source)
        if at_s - self._standing_at >= STANDING_EVERY_S:
            self._tell_health()
            self._standing_at = at_s
        self.figures.lag_s = 0.0
        return False

    def _follow_clock(self) -> None:
        """When the clock was set, what has held for ten minutes has still held for ten minutes."""
        by_s = self.jumped_s()
        if not by_s:
            return
        for group in self.groups.values():
            for held in group.rules:
                held.instances = moved(held.instances, round(by_s * 1000))
        self._next_at.clear()
        self._looked.clear()
        self._standing_at = 0.0

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
        began = told_at = time.perf_counter()
        at_ms = round(at_s * 1000)
        instant = source.at(at_ms - offset_ms)
        waiting: list[_Done] = []
        evaluated: list[HeldGroup] = []
        for group in sorted(groups, key=lambda group: group.spent_s > SLOW_S):
            if evaluated and max(group.spent_s, time.perf_counter() - told_at) > SLOW_S:
                self._settle(waiting, evaluated, at_s)
                waiting, evaluated, told_at = [], [], time.perf_counter()
            waiting += [self._evaluate(group, held, instant, at_ms) for held in group.rules]
            evaluated.append(group)
        self._settle(waiting, evaluated, at_s)
        self.figures.rounds += 1
        self.figures.last_s = time.perf_counter() - began

    def _settle(self, done: list[_Done], groups: list[HeldGroup], at_s: float) -> None:
        """Commit what these rules came to. Memory follows piece by piece, and what fails midway is evaluated again."""
        changes = [(one, change) for one in done for change in one.found.changes]
        waiting = deque(sorted(changes, key=lambda item: _urgency(item[1])))
        while waiting:
            piece = [waiting.popleft() for _ in range(min(PIECE_MOST, len(waiting)))]
            waiting.extendleft(reversed(self._commit(piece)))
        for one in done:
            if not one.broken:
                one.held.instances = one.found.instances
            one.held.standing = one.standing
        for group in groups:
            self._next_at[group.id] = at_s + group.every_s
        self.figures.rules += len(done)

    def _commit(self, piece: list[tuple[_Done, Change]]) -> list[tuple[_Done, Change]]:
        """Commit changes in one transaction, each in a savepoint; return those for which no time was left."""
        until = time.perf_counter() + PIECE_MOST_S
        kept: list[tuple[_Done, Change]] = []
        with transaction.atomic():
            for number, (one, change) in enumerate(piece):
                if number and time.perf_counter() > until:
                    break
                try:
                    with transaction.atomic():
                        records.commit_change(one.held, one.found.instances, change)
                except Exception as error:
                    if not records.is_of_the_content(error):
                        raise
                    one.breaks(error)
                else:
                    kept.append((one, change))
            else:
                number = len(piece)
        for one in {id(one): one for one, _ in kept}.values():
            one.held.follow({change.fingerprint for other, change in kept if other is one}, one.found.instances)
        return piece[number:]

    def _evaluate(self, group: HeldGroup, held: Held, instant: Instant, at_ms: int) -> _Done:
        began, at = time.perf_counter(), from_unix(at_ms / 1000)
        rule = held.rule

        def check_time() -> None:
            if time.perf_counter() - began > RULE_MOST_S:
                raise QueryError(f"The rule and its templates take longer than {RULE_MOST_S:g} s. Ask for less.")

        try:
            if rule.is_alert or instant.records:
                with working_on("rule", held.id):
                    found = evaluate(
                        rule,
                        instant.ask,
                        held.instances,
                        at_ms,
                        limit=group.limit,
                        external_url=self.external_url,
                        check_time=check_time,
                    )
                    coverage = self.coverage()
                    if coverage is not None and found.health is Health.OK:
                        found = held_open(rule, held.instances, found, instant.count, coverage, at_ms)
                    found = self._kept(held, instant, found)
                    found = self._looked_for(held, instant, found, at_ms)
            else:
                found = Outcome(Health.UNKNOWN, OWN_RULES, held.instances)
        except (DatabaseError, *EXITS):
            raise
        except SetAside as error:
            found = Outcome(Health.ERR, str(error), held.instances)
        except SourceAway as error:
            found = Outcome(Health.UNKNOWN, str(error), held.instances)
        except BaseException as error:  # a defect met by one rule, a panic of a library's too, must not stop the others
            reason = f"a defect of Mainstay: {told(error)}; its log has the details"
            if held.standing.reason != storable(reason):  # once, not at every evaluation
                log.exception("rule %s cannot be evaluated", rule.name)
            found = Outcome(Health.ERR, reason, held.instances)
        since = held.standing.since if found.health == held.standing.health else at
        spent_s = time.perf_counter() - began
        health, reason = found.health.value, storable(found.reason)
        return _Done(held, found, RuleHealth(health, reason, since or at, at, spent_s, found.results))

    @staticmethod
    def _kept(held: Held, instant: Instant, found: Outcome) -> Outcome:
        if found.health is not Health.OK:
            return found
        try:
            instant.record(_key(held.id), found.rows)
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

    def _tell_health(self) -> None:
        stale = [held for group in self.groups.values() for held in group.rules if held.standing != held.told]
        for begin in range(0, len(stale), STANDINGS_AT_ONCE):
            part = stale[begin : begin + STANDINGS_AT_ONCE]
            with transaction.atomic():
                records.commit_health(part)
            records.commit_values(part)
            for held in part:
                held.told = held.standing


def _key(rule: int) -> str:
    """Return under which key a rule's series are recorded."""
    return f"rule:{rule}"


def _urgency(change: Change) -> int:
    """What pages comes first, by severity; then what is over; then what nobody is told of."""
    if change.code is Code.FIRED:
        return -weight(severity_of(change.labels.get("severity", "")))
    return 10 if change.before is State.FIRING else 20
