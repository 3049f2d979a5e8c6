"""The one transaction that writes what results change: states, downtimes, journal, and what others owe for it."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from mainstay.foundation import store
from mainstay.foundation.accounts.actor import program
from mainstay.foundation.journal.write import Fact, write_all
from mainstay.foundation.pieces import is_of_the_content
from mainstay.foundation.words.text import storable
from mainstay.observe.checks import facts
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.models import CheckState, Downtime, Result
from mainstay.observe.checks.probe.outcome import Phases
from mainstay.observe.checks.runtime.watched import Observation, Step

log = logging.getLogger("mainstay.monitor")
MONITOR = program("monitor")
RESULT_COLUMNS = (
    "check_ref_id", "at", "health", "duration_s", "dns_s", "connect_s", "tls_s", "first_byte_s", "transfer_s",
    "code", "message",
)  # fmt: skip
STATE_COLUMNS = (
    "failures", "answers", "warnings", "successes", "history", "flapping", "first_bad_at",
    "last_at", "last_health", "last_message", "last_duration_s", "last_code", "last_facts",
)  # fmt: skip


_NO_PHASES = (None,) * len(Phases._fields)


@dataclass(slots=True)
class Refused:
    """Checks of which a commit recorded nothing."""

    stale: set[int] = field(default_factory=set)  # another writer was there, or the check is gone
    broken: set[int] = field(default_factory=set)  # what they brought cannot be recorded: a defect, logged

    @property
    def all(self) -> set[int]:
        return self.stale | self.broken


def commit(steps: Sequence[Step], also: Callable[[set[int]], None] = lambda _stale: None) -> Refused:
    """Write results with all that follows from them; `also` is given the checks of which nothing was written.

    Raises:
    DatabaseError: nothing was written.
    """
    with transaction.atomic():
        refused = _commit_changes(steps)
        newest = {step.seen.check: step for step in steps if step.seen.check not in refused.all}
        refused.stale |= _commit_states(newest)
        kept = [step for step in steps if step.seen.check not in refused.all]
        _commit_first(kept)
        moment = store.moments()
        store.insert(Result, RESULT_COLUMNS, [_result_row(step.seen, moment) for step in kept])
        also(refused.stale)
    return refused


def by_check(steps: Iterable[Step]) -> list[list[Step]]:
    """Return the steps of each check apart, each check's own in order."""
    found: dict[int, list[Step]] = {}
    for step in steps:
        found.setdefault(step.seen.check, []).append(step)
    return list(found.values())


def _commit_changes(steps: Iterable[Step]) -> Refused:
    """Write the changes of health with all that follows from them."""
    refused = Refused()
    waiting = by_check(step for step in steps if step.tells)
    while waiting:  # of each check one change at a time: the second builds on the first
        turn = [mine[0] for mine in waiting if mine[0].seen.check not in refused.all]
        try:
            refused.stale |= _commit_turn(turn)
        except Exception as error:
            if not is_of_the_content(error):
                raise
            # A defect met by one check must not hold up all the others' pages.
            log.exception("%d changes cannot be recorded together; trying one by one", len(turn))
            for step in turn:
                _commit_alone(step, refused)
        waiting = [mine[1:] for mine in waiting if len(mine) > 1]
    return refused


def _commit_alone(step: Step, refused: Refused) -> None:
    try:
        refused.stale |= _commit_turn([step])
    except Exception as error:
        if not is_of_the_content(error):
            raise
        log.exception("%s: its change could not be recorded; its state is read anew", step.watched.name)
        refused.broken.add(step.seen.check)


def _commit_turn(turn: Sequence[Step]) -> set[int]:
    """Write changes of different checks; return those whose row is not as we left it, of which nothing is written."""
    with transaction.atomic():
        # Locked and compared: what another writer changed meanwhile is not ours to change.
        rows = CheckState.objects.select_for_update().filter(pk__in=[step.seen.check for step in turn]).order_by("pk")
        found = dict(rows.values_list("pk", "changes"))
        stale = {step.seen.check for step in turn if found.get(step.seen.check) != step.changes}
        for step in turn:
            if step.seen.check in stale:
                log.warning("%s: its state was changed elsewhere meanwhile; it is read anew", step.watched.name)
        mine = [step for step in turn if step.seen.check not in stale]
        _advance(mine)
        tell(mine)
    return stale


def _commit_states(newest: Mapping[int, Step]) -> set[int]:
    """Write where each check stands now; return those whose row is not as we left it, which stay as they are."""
    moment = store.moments()
    rows = [_state_row(step, moment) for step in newest.values()]
    if store.update(CheckState, STATE_COLUMNS, ("check_ref_id", "changes"), rows) == len(rows):
        return set()
    found = dict(CheckState.objects.filter(pk__in=newest).values_list("pk", "changes"))
    return {check for check, step in newest.items() if found.get(check) != step.changes_after}


def _commit_first(steps: Iterable[Step]) -> None:
    first: dict[int, datetime] = {}
    for step in steps:
        if step.watched.first_at is None:
            first.setdefault(step.seen.check, step.seen.at)
    rows = [(store.moment(at), check) for check, at in first.items()]
    store.update(CheckState, ("first_at",), ("check_ref_id",), rows, null=("first_at",))


def _advance(steps: Iterable[Step]) -> None:
    """Write changes of health to rows that are locked."""
    counted, changed = [], []
    for step in steps:
        state, check = step.verdict.state, step.seen.check
        counted.append((state.flapping, step.changes_after, check))
        if step.verdict.changed:
            changed.append((state.health.value, store.moment(step.seen.at), _why(step), check))
    store.update(CheckState, ("flapping", "changes"), ("check_ref_id",), counted)
    store.update(CheckState, ("health", "since", "message"), ("check_ref_id",), changed)


def tell(steps: Sequence[Step]) -> None:
    """Write what changed into the journal, and the downtimes that follow from it."""
    changed = [step for step in steps if step.verdict.changed]
    ended = [(store.moment(step.seen.at), step.watched.id) for step in changed]
    store.update(Downtime, ("ended_at",), ("check_ref_id",), ended, null=("ended_at",))
    begun = [_downtime(step) for step in changed if step.verdict.state.health in {Health.DOWN, Health.DEGRADED}]
    store.insert(Downtime, ("check_ref_id", "application_id", "health", "started_at"), begun)
    write_all(fact for step in steps for fact in _facts(step))


def _downtime(step: Step) -> tuple[Any, ...]:
    verdict, seen = step.verdict, step.seen
    # Down since the first failure of the run, not since the threshold: the users were without it from then on.
    began = verdict.state.first_bad_at or seen.at
    if verdict.was not in {Health.UP, Health.UNKNOWN}:
        began = seen.at
    return step.watched.id, step.watched.application, verdict.state.health.value, store.moment(began)


def _facts(step: Step) -> Iterator[Fact]:
    about, verdict, seen = step.watched.subject, step.verdict, step.seen
    if verdict.began_flapping:
        said = {"message": storable(seen.message) or verdict.reason}
        yield Fact(facts.CHECK_FLAPPING, about, MONITOR, seen.at, said)
    if verdict.changed:
        since = verdict.state.first_bad_at
        yield Fact(
            facts.CHECK_CHANGED,
            about,
            MONITOR,
            seen.at,
            {
                "was": verdict.was.value,
                "health": verdict.state.health.value,
                "message": _why(step),
                "first_bad_at": since.isoformat() if since else None,
            },
        )
    if verdict.settled:
        yield Fact(facts.CHECK_SETTLED, about, MONITOR, seen.at, {})


def _why(step: Step) -> str:
    return "" if step.verdict.state.health is Health.UP else storable(step.seen.message) or step.verdict.reason


def _result_row(seen: Observation, moment: Callable[[datetime | None], Any]) -> tuple[Any, ...]:
    return (
        seen.check,
        moment(seen.at),
        seen.health.value,
        seen.duration_s,
        *(seen.phases or _NO_PHASES),
        seen.code,
        storable(seen.message),
    )


def _state_row(step: Step, moment: Callable[[datetime | None], Any]) -> tuple[Any, ...]:
    state, seen = step.verdict.state, step.seen
    return (
        state.failures,
        state.answers,
        state.warnings,
        state.successes,
        state.history,
        state.flapping,
        moment(state.first_bad_at),
        moment(seen.at),
        seen.health.value,
        storable(seen.message),
        seen.duration_s,
        seen.code,
        store.json_text(seen.facts),
        seen.check,
        step.changes_after,
    )
