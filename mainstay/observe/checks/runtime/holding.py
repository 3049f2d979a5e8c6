"""Which checks this monitor should watch, probe and measure, compared with those that it does.

Nothing here depends on having heard of a change. What is wanted is read whenever the revision or the shards are others,
and every half a minute in any case. It is compared with what the watch, the prober and the metrics hold themselves: in
every round until a round found nothing to do, then every five seconds, or at once when the watch let go of a check. So
whatever a failure left half done, the next round does. A check that cannot be used costs nothing
but itself: its page says why.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

from django.db import DatabaseError
from pydantic import BaseModel, ValidationError

from mainstay.foundation.processes import notices
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.words.explained import detail_of
from mainstay.foundation.words.text import storable
from mainstay.net.schedule import offset_for
from mainstay.observe.checks.actions import kind_refusal, settings_of
from mainstay.observe.checks.decide import Health, State, Thresholds
from mainstay.observe.checks.heartbeats import RhythmSettings, bounded, rhythm_of
from mainstay.observe.checks.models import Check, CheckState
from mainstay.observe.checks.probe.engine import Planned
from mainstay.observe.checks.runtime import arrivals
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.runtime.shards import shard_of
from mainstay.observe.checks.runtime.watched import Watched
from mainstay.observe.checks.standing import all_labels, graph

log = logging.getLogger("mainstay.monitor")
READ_AGAIN = timedelta(seconds=30)
COMPARE_AGAIN = timedelta(seconds=5)  # a comparison of 5,000 checks costs some milliseconds
LOADED_AT_ONCE = 500
TRIED_AGAIN_AT_ONCE = 100  # unusable checks, at each reading
WHY_MOST = 1_000
NOTICE = "unusable"

Key = TypeVar("Key", bound=Hashable)
Version = TypeVar("Version")


@dataclass(frozen=True, slots=True)
class Changes(Generic[Key]):
    """What makes that which is held that which is wanted."""

    put: list[Key]
    drop: list[Key]


def changes(wanted: Mapping[Key, Version], held: Mapping[Key, Version]) -> Changes[Key]:
    """Compare what is wanted, in which version, with what is held."""
    missing = object()
    return Changes(
        put=[key for key, version in wanted.items() if held.get(key, missing) != version],
        drop=[key for key in held if key not in wanted],
    )


class Prober(Protocol):
    """What probes."""

    def update(self, planned: Iterable[Planned], removed: Iterable[int] = ()) -> None: ...
    def held(self) -> dict[int, int]: ...


class Measurer(Protocol):
    """What keeps results as series."""

    def know(self, check: int, kind: str, target: str, labels: Mapping[str, str], version: int = 0) -> None: ...
    def forget(self, checks: Iterable[int], now: datetime) -> None: ...
    def known(self) -> dict[int, int]: ...


class Unmeasured:
    """Keeps nothing, and knows all that it was told."""

    def __init__(self) -> None:
        self._versions: dict[int, int] = {}

    def know(self, check: int, kind: str, target: str, labels: Mapping[str, str], version: int = 0) -> None:
        """Know a check."""
        self._versions[check] = version

    def forget(self, checks: Iterable[int], now: datetime) -> None:
        """Let go of checks."""
        for check in checks:
            self._versions.pop(check, None)

    def known(self) -> dict[int, int]:
        """Return the checks that are known, each with its version."""
        return dict(self._versions)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The checks of some shards as they were at one revision: one value, so no half of it is ever older."""

    revision: int
    shards: frozenset[int]
    versions: Mapping[int, int]
    parents: Mapping[int, frozenset[int]]
    read_at: datetime

    def holds(self, revision: int, shards: frozenset[int], now: datetime) -> bool:
        """Tell whether reading again would most likely find the same."""
        fresh = abs(now - self.read_at) < READ_AGAIN  # a clock that was set makes it old, whichever way
        return fresh and (revision, shards) == (self.revision, self.shards)


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a check cannot be probed, in the version that was tried."""

    version: int
    name: str
    why: str


class SwitchedOff(Exception):
    """The setting without which checks of this kind do not work was taken away."""


@dataclass(slots=True)
class Holding:
    """Keeps what this monitor holds like what it should hold. Only one thread calls `round`."""

    watch: Watch
    prober: Prober
    metrics: Measurer
    wanted: Wanted | None = None
    unusable: dict[int, Unusable] = field(default_factory=dict)
    _retry: set[int] = field(default_factory=set)
    _settled: tuple[Wanted, datetime, int] | None = None  # when a round found nothing to do, and how many were watched
    _unmeasured: set[int] = field(default_factory=set)  # what the metrics refused; tried again at the next reading

    @property
    def parents(self) -> Mapping[int, frozenset[int]]:
        """Return for each check those that it needs."""
        return self.wanted.parents if self.wanted is not None else {}

    def round(self, shards: frozenset[int], now: datetime) -> None:
        """Compare, and do what is missing.

        Raises:
            DatabaseError: what was not done is done by the next round.
        """
        wanted = self._read(shards, now)
        if self._is_settled(wanted, now):
            return
        self._settled = None
        lacking, gone = self._compare(wanted, now)
        for check in _load(lacking):
            self._take(check, now)
        if lacking:
            gone += self._compare(wanted, now)[1]
        self._tell(wanted, now)
        if lacking or gone:
            log.info("%d checks held: %d new or edited, %d gone", len(self.watch.checks), len(lacking), gone)
        else:
            self._settled = (wanted, now, len(self.watch.checks))

    def _is_settled(self, wanted: Wanted, now: datetime) -> bool:
        if self._settled is None:
            return False
        of, at, number = self._settled
        return of is wanted and number == len(self.watch.checks) and abs(now - at) < COMPARE_AGAIN

    def _read(self, shards: frozenset[int], now: datetime) -> Wanted:
        revision = Revision.current("checks")
        if self.wanted is not None and self.wanted.holds(revision, shards, now):
            return self.wanted
        versions = {
            check: version for check, version in Check.objects.values_list("id", "version") if shard_of(check) in shards
        }
        self.wanted = Wanted(revision, shards, versions, graph(), now)
        for check in [check for check in self.unusable if check not in versions]:
            del self.unusable[check]
        # What could not be used may have become so without an edit; those tried longest ago come first.
        self._retry = set(list(self.unusable)[:TRIED_AGAIN_AT_ONCE])
        self._unmeasured.clear()
        return self.wanted

    # --- comparing -----------------------------------------------------------------------------------------------

    def _compare(self, wanted: Wanted, now: datetime) -> tuple[list[int], int]:
        """Let go of what is held without being wanted; return what is lacking, and how many are gone."""
        usable = self._usable(wanted)
        watched = changes(usable, {check: one.version for check, one in list(self.watch.checks.items())})
        self.watch.drop(watched.drop)
        should_probe, should_measure = self._shares(usable)
        probed = changes(should_probe, self.prober.held())
        if probed.drop:
            self.prober.update((), probed.drop)
        measured = changes(should_measure, self.metrics.known())
        for check in measured.drop:
            self._measure(check, partial(self.metrics.forget, [check], now))
        lacking = dict.fromkeys([*watched.put, *probed.put])
        lacking |= dict.fromkeys(check for check in measured.put if check not in self._unmeasured)
        lacking |= dict.fromkeys(check for check in self._retry if check in wanted.versions)
        return list(lacking), len(watched.drop)

    def _usable(self, wanted: Wanted) -> Mapping[int, int]:
        if not self.unusable:
            return wanted.versions
        bad = {check: one.version for check, one in self.unusable.items()}
        return {check: version for check, version in wanted.versions.items() if bad.get(check) != version}

    def _shares(self, usable: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Return what should be probed and what measured. Of a check that is not watched yet that is not known."""
        held = self.watch.checks
        probed, measured = {}, {}
        for check, version in usable.items():
            watched = held.get(check)
            if watched is None or not watched.paused:
                measured[check] = version
                if watched is None or watched.rhythm is None:
                    probed[check] = version
        return probed, measured

    # --- doing it ------------------------------------------------------------------------------------------------

    def _measure(self, check: int, act: Callable[[], None]) -> None:
        """Tell the metrics of a check. They may fail: no check goes unprobed because of that."""
        if check in self._unmeasured:
            return
        try:
            act()
        except Exception:
            if not self._unmeasured:
                log.exception("the metrics refuse the check %d; tried again in half a minute", check)
            self._unmeasured.add(check)

    def _take(self, check: Check, now: datetime) -> None:
        """Give a check to whoever lacks it; one that cannot be used is said to be so."""
        try:
            settings = settings_of(check)
            if refusal := kind_refusal(check.kind):
                raise SwitchedOff(refusal)
            if self._watched_version(check.pk) != check.version:
                self.watch.put(watched_of(check, settings, now))
            if not (check.paused or check.passive):
                self.prober.update([planned_of(check, settings)])
            labels = all_labels(check)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  # said on its page and logged: one check must not stop the others
            self._refuse(check, error)
            return
        if not check.paused:
            known = partial(self.metrics.know, check.pk, check.kind, check.target, labels, check.version)
            self._measure(check.pk, known)
        if check.state.unusable:
            CheckState.objects.filter(pk=check.pk).update(unusable="")
            log.info("%s: it can be probed again", check)
        self.unusable.pop(check.pk, None)
        self._retry.discard(check.pk)

    def _watched_version(self, check: int) -> int | None:
        held = self.watch.checks.get(check)
        return held.version if held is not None else None

    def _refuse(self, check: Check, error: Exception) -> None:
        why = _why(error)
        # First the row: should that fail, nothing is remembered and the next round comes here again.
        said = not CheckState.objects.filter(pk=check.pk).exclude(unusable=why).update(unusable=why)
        before = self.unusable.pop(check.pk, None)
        if not said or before is None:
            log.error("%s cannot be probed: %s", check, why)
        self.unusable[check.pk] = Unusable(check.version, str(check), why)
        self._retry.discard(check.pk)

    def _tell(self, wanted: Wanted, now: datetime) -> None:
        bad = [one for check, one in self.unusable.items() if wanted.versions.get(check) == one.version]
        if not bad:
            notices.end(NOTICE)
            return
        names = ", ".join(sorted(one.name for one in bad)[:3]) + (", …" if len(bad) > 3 else "")
        notices.tell(
            NOTICE,
            f"{len(bad)} {'check' if len(bad) == 1 else 'checks'} cannot be probed: {names}.",
            "The page of each says why. Edit or delete it, or give back the key or the version that it needs.",
            now,
            grave=True,
            href="/checks/?status=unknown",
        )


def _load(ids: list[int]) -> Iterator[Check]:
    for begin in range(0, len(ids), LOADED_AT_ONCE):
        part = ids[begin : begin + LOADED_AT_ONCE]
        yield from Check.objects.filter(pk__in=part).select_related("application", "environment", "component", "state")


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False)
        places = [(".".join(map(str, one["loc"])), detail_of(one)) for one in found]
        text = "its settings cannot be used: " + "; ".join(f"{where}: {what}".lstrip(": ") for where, what in places)
    else:
        text = str(error) or type(error).__name__
    return storable(text)[:WHY_MOST]


def planned_of(check: Check, settings: BaseModel) -> Planned:
    """Return a check as the prober takes it."""
    return Planned(
        key=check.pk,
        kind=check.kind,
        settings=settings,
        every_s=check.every_s,
        timeout_s=check.timeout_s,
        offset_s=offset_for(check.pk, check.every_s),
        version=check.version,
    )


def watched_of(check: Check, settings: BaseModel, now: datetime) -> Watched:
    """Return a check, with its state, as the watch holds it."""
    state = check.state
    watched = Watched(
        id=check.pk,
        version=check.version,
        name=str(check),
        application=check.application_id,
        kind=check.kind,
        thresholds=Thresholds(check.fail_after, check.recover_after),
        every_s=check.every_s,
        timeout_s=check.timeout_s,
        paused=check.paused,
        created_at=bounded(check.created_at),
        rhythm=rhythm_of(cast(RhythmSettings, settings)) if check.passive else None,
        state=State(
            health=Health(state.health),
            failures=state.failures,
            answers=state.answers,
            warnings=state.warnings,
            successes=state.successes,
            history=state.history,
            flapping=state.flapping,
            first_bad_at=state.first_bad_at,
        ),
        changes=state.changes,
        first_at=state.first_at,
        pinged_at=state.pinged_at and bounded(state.pinged_at),
        started_at=state.started_at and bounded(state.started_at),
        second_chances=state.second_chances,
        blocked_by=state.blocked_by_id,
        severity=check.severity,
    )
    watched.due_at = arrivals.due_on_loading(watched, state.due_at, now)
    return watched
