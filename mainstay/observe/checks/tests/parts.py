"""Checks in the database, and held by a `Watch` as the monitor holds them."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from mainstay.foundation import gaps
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.catalog.models import Application
from mainstay.observe.checks.actions import put_check, settings_of
from mainstay.observe.checks.decide import Health, State, Thresholds
from mainstay.observe.checks.heartbeats import RhythmSettings, rhythm_of
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.runtime.watched import Observation, Watched
from mainstay.observe.checks.spec import CheckSpec

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def after(seconds: float) -> datetime:
    """A time after noon."""
    return NOON + timedelta(seconds=seconds)


def application(name: str = "shop") -> Application:
    return Application.objects.get_or_create(name=name, defaults={"created_at": NOON})[0]


def spec(name: str = "front", **given: Any) -> Any:
    """A check as people write it; `fail_after` and `recover_after` 1 unless given."""
    document: dict[str, Any] = {"fail_after": 1, "recover_after": 1, **given, "name": name}
    if "heartbeat" not in document:
        document.setdefault("http", {"url": f"http://127.0.0.1:1/{name}"})
    return CheckSpec.model_validate(document)


def check(name: str = "front", *, of: str = "shop", **given: Any) -> Check:
    """A check that was added at noon."""
    return put_check(application(of), spec(name, **given), COMMAND_LINE, NOON)


def heartbeat(name: str = "job", *, every: str = "1h", grace: str = "5m", **given: Any) -> Check:
    """A heartbeat that was added at noon."""
    settings = {"every": every, "grace": grace, **{key: given.pop(key) for key in ("max_runtime",) if key in given}}
    return check(name, heartbeat=settings, **given)


def watched(row: Check) -> Watched:
    """What the monitor holds of a check, read anew."""
    row = Check.objects.select_related("application", "state").get(pk=row.pk)
    state = row.state
    return Watched(
        id=row.pk,
        version=row.version,
        name=str(row),
        application=row.application_id,
        kind=row.kind,
        thresholds=Thresholds(row.fail_after, row.recover_after),
        every_s=row.every_s,
        timeout_s=row.timeout_s,
        paused=row.paused,
        created_at=row.created_at,
        rhythm=rhythm_of(cast(RhythmSettings, settings_of(row))) if row.passive else None,
        state=State(
            Health(state.health), state.failures, state.answers, state.warnings, state.successes, state.history,
            state.flapping, state.first_bad_at,
        ),
        changes=state.changes,
        first_at=state.first_at,
        pinged_at=state.pinged_at,
        started_at=state.started_at,
        due_at=state.due_at,
        stored_due=state.due_at,
        second_chances=state.second_chances,
        blocked_by=state.blocked_by_id,
        severity=row.severity,
    )  # fmt: skip


def watch(*rows: Check) -> Watch:
    """A monitor's memory that holds `rows`."""
    made = Watch()
    for row in rows:
        made.put(watched(row))
    return made


def up(row: Check, seconds: float = 0) -> Observation:
    return Observation(row.pk, after(seconds), Health.UP, 0.1)


def down(row: Check, seconds: float = 0, message: str = "HTTP 500.") -> Observation:
    return Observation(row.pk, after(seconds), Health.DOWN, 0.1, message)


def slow(row: Check, seconds: float = 0) -> Observation:
    return Observation(row.pk, after(seconds), Health.DEGRADED, 2.0, "It took 2 s.")


def see(made: Watch, *seen: Observation) -> None:
    """Take results in and commit them all, however many turns that takes."""
    made.observe(seen)
    while made.flush(force=True):
        pass


class Clocks:
    """A wall clock that can be set and one that cannot, as a detector of gaps reads them."""

    def __init__(self) -> None:
        self.wall_s = self.elapsed_s = 0.0
        self.detector = gaps.Detector(self.read)
        self.detector.begin()
        self.detector.look(committed=True)

    def read(self) -> gaps.Reading:
        return gaps.Reading(after(self.wall_s), self.elapsed_s)

    @property
    def now(self) -> datetime:
        return after(self.wall_s)

    def go(self, seconds: float, *, committed: bool = True) -> None:
        """Let time pass, looking all the while; `committed`: the database takes writes."""
        whole, rest = divmod(seconds, 1.0)
        for step in [1.0] * int(whole) + [rest]:
            self.wall_s += step
            self.elapsed_s += step
            self.detector.look(committed=committed)

    def sleep(self, seconds: float) -> None:
        """Let time pass unwatched."""
        self.wall_s += seconds
        self.elapsed_s += seconds

    def set(self, by_s: float) -> None:
        """Set the wall clock."""
        self.wall_s += by_s
