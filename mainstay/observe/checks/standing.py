"""What stands around a check when somebody asks why it does or does not page: windows, what it needs, pauses."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, CharField, Q, TextField, Value, When
from django.db.models.functions import Coalesce

from mainstay.foundation.catalog.models import Dependency
from mainstay.foundation.processes.setaside import Known
from mainstay.foundation.processes.unreadable import readable
from mainstay.foundation.words.matching import Matchers
from mainstay.observe.checks import decide
from mainstay.observe.checks.models import Check, CheckState, Maintenance
from mainstay.observe.checks.parents import parents, reachable
from mainstay.observe.checks.windows import Cover, Window, covering, validate

FAILING = Q(state__health="unknown", state__warnings__gt=0)
"""Checks whose only results were bad (see `decide.failing`)."""
# What it says first is what the index of states is for: it has few of them.
NOT_UP = ~Q(state__health="up") & Q(paused=False) & (Q(state__health__in=("down", "degraded")) | FAILING)
BY_RESULTS = Case(
    When(paused=True, then=Value("paused")),
    When(FAILING, then=Value("degraded")),
    default=Coalesce("state__health", Value("unknown")),
    output_field=CharField(),
)
"""How a check is by its results alone, as far as the database can tell."""
MESSAGE = Case(When(FAILING, then="state__last_message"), default="state__message", output_field=TextField())
"""What its results say: of a check that is failing, the last one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`cover`: the window now. `blocked_by`: a down check that it needs. `waits_for`: one whose verdict is out.

    `back`: a check that it needs came back at `back_at`, and it had no fair chance yet to come back, too.
    `needed`: the id of the first of these three that there is.
    """

    cover: Cover | None
    blocked_by: str
    waits_for: str
    back: str = ""
    back_at: datetime | None = None
    needed: int | None = None


def windows() -> list[Window]:
    """Return all windows that were not cancelled."""
    return readable("maintenance", Maintenance.objects.filter(cancelled_at=None), _usable)


def _usable(row: Maintenance) -> Window:
    window = window_of(row)
    validate(window)
    return window


def window_of(row: Maintenance) -> Window:
    """Return a row as the value that the pure functions take."""
    return Window(
        name=row.name,
        application=row.application_id,
        match=Matchers.of(row.match),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        cron=row.cron,
        duration=timedelta(seconds=row.duration_s or 0),
        zone=row.time_zone,
        id=row.pk,
    )


def all_labels(check: Check) -> dict[str, str]:
    """Return the labels that matchers see: the check's own and what it belongs to."""
    return {
        **check.labels,
        "application": check.application.name,
        "check": check.name,
        "kind": check.kind,
        "severity": check.severity,
        **({"environment": check.environment.name} if check.environment else {}),
        **({"component": check.component.name} if check.component else {}),
    }


def graph() -> dict[int, frozenset[int]]:
    """Return for each check the ids of the checks it needs (see `parents.parents`)."""
    needs: dict[int, list[int]] = {}
    for one, other in Check.needs.through.objects.values_list("from_check_id", "to_check_id"):
        needs.setdefault(one, []).append(other)
    components = _components()
    if not needs and not components:
        return {}
    related = Q(component__isnull=False) | Q(pk__in=list(needs))
    rows = Check.objects.filter(related, paused=False).values_list("id", "component_id", "environment_id")
    return parents(rows, needs, components)


def graph_of(checks: Iterable[int]) -> dict[int, frozenset[int]]:
    """Return what `graph` has for `checks`, from the part of it that can be reached from them.

    A storm asks for a few checks at a time, and of thousands that need one proxy only those few are read.
    """
    wanted = set(checks)
    components = _components()
    through = Check.needs.through.objects
    needs: dict[int, list[int]] = {}
    rows: dict[int, tuple[int, int | None, int | None]] = {}
    seen: set[int] = set()
    on: set[int] = set()  # components whose checks are read
    work = set(wanted)
    while work:
        seen |= work
        found: set[int] = set()
        for one, other in through.filter(from_check__in=work).values_list("from_check_id", "to_check_id"):
            needs.setdefault(one, []).append(other)
            found.add(other)
        if components:
            placed = _placed(Q(pk__in=work))
            below = {component for _, one, _ in placed if one is not None for component in reachable(one, components)}
            beside = _placed(Q(component__in=below - on)) if below - on else []
            on |= below
            rows |= {row[0]: row for row in (*placed, *beside)}
            found |= {row[0] for row in beside}
        elif needs:
            rows |= {row[0]: row for row in _placed(Q(pk__in=work))}
        work = found - seen
    return {check: needed for check, needed in parents(rows.values(), needs, components).items() if check in wanted}


def _placed(which: Q) -> list[tuple[int, int | None, int | None]]:
    rows = Check.objects.filter(which, paused=False).order_by("id")
    return list(rows.values_list("id", "component_id", "environment_id"))


def _components() -> dict[int, list[int]]:
    components: dict[int, list[int]] = {}
    for one, other in Dependency.objects.values_list("component_id", "needs_id"):
        components.setdefault(one, []).append(other)
    return components


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around some checks: read once for all of them, in the transaction that decides about them."""

    windows: Sequence[Window]
    needs: Mapping[int, frozenset[int]]
    states: Mapping[int, CheckState]  # of the checks and of all that they need, with `check_ref.application`

    def standing(self, check: Check, now: datetime, began: datetime) -> Standing:
        """Return what stands around `check`, whose trouble began when its state says so, else at `began`."""
        cover = covering(self.windows, check.application_id, all_labels(check), now) if self.windows else None
        own = self.states.get(check.pk)
        since = (own.first_bad_at if own else None) or began
        needed = [self.states[each] for each in sorted(self.needs.get(check.pk, ())) if each in self.states]
        states = [state for state in needed if not state.check_ref.paused]
        down = next((state for state in states if state.health == decide.Health.DOWN), None)
        open_verdict = next((state for state in states if _verdict_is_out(state, since)), None)
        back = _just_back(own, states, since)
        holding = down or back or open_verdict
        return Standing(
            cover,
            blocked_by=str(down.check_ref) if down else "",
            waits_for=str(open_verdict.check_ref) if open_verdict else "",
            back=str(back.check_ref) if back else "",
            back_at=back.since if back else None,
            needed=holding.pk if holding else None,
        )


def around(checks: Collection[int], covers: Sequence[Window]) -> Around:
    """Read what stands around `checks`, given all windows."""
    if not checks:
        return Around(covers, {}, {})
    needs = graph_of(checks)
    wanted = set(checks).union(*needs.values())
    states = CheckState.objects.filter(pk__in=wanted).select_related("check_ref__application")
    return Around(covers, needs, {state.pk: state for state in states.only(*_STATE_FIELDS)})


_STATE_FIELDS = (
    "health", "since", "failures", "first_bad_at", "last_at",
    "check_ref__name", "check_ref__kind", "check_ref__paused", "check_ref__application__name",
)  # fmt: skip


def standing(check: Check, now: datetime, since: datetime) -> Standing:
    """Return what stands around one check, which has been failing since its state says so, else since `since`."""
    return around([check.pk], windows()).standing(check, now, since)


def _just_back(own: CheckState | None, states: Iterable[CheckState], since: datetime) -> CheckState | None:
    """The needed check that came back last, after the trouble began, if this one has not failed anew since then."""
    came = [
        state
        for state in states
        if state.health != decide.Health.DOWN and state.since is not None and state.since > since
    ]
    last = max(came, key=lambda state: state.since or since, default=None)
    if last is None or last.since is None:
        return None
    failed_anew = own is not None and own.last_at is not None and own.last_at > last.since and own.failures > 0
    return None if failed_anew else last


def _verdict_is_out(state: CheckState, since: datetime) -> bool:
    """A needed check that is failing but not yet down, or that nobody has looked at since the trouble began."""
    if state.check_ref.passive:
        return False
    failing = state.failures > 0 or state.last_health == decide.Health.DOWN
    return failing or state.last_at is None or state.last_at < since


def shown(
    check: Check, state: CheckState, covers: Iterable[Window], now: datetime, labels: dict[str, str]
) -> decide.Shown:
    """Return the status people see of a check; `check.application` and `state.blocked_by` should be loaded."""
    cover = covering(covers, check.application_id, labels, now)
    late = not check.passive and decide.overdue(
        state.last_at, state.since, check.created_at, check.every_s, check.timeout_s, now
    )
    blocked = state.blocked_by
    failing = decide.failing(decide.Health(state.health), state.failures, state.warnings, check.fail_after)
    return decide.shown(
        decide.Health(state.health),
        state.last_message if failing else state.message,
        since=state.since,
        paused=check.paused,
        maintenance=(cover.window.name, cover.since) if cover else None,
        blocked_by=str(blocked) if blocked else None,
        late=late,
        unusable=state.unusable,
        failing=failing,
        failing_since=state.first_bad_at,
    )


def known(ids: Sequence[int]) -> Mapping[int, Known]:
    """Return what processes say of checks that took them down: name, version, page."""
    return {
        check.pk: Known(str(check), str(check.version), check.application_id, f"/checks/{check.pk}/")
        for check in Check.objects.filter(pk__in=ids).select_related("application")
    }
