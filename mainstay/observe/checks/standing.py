"""What stands around a check when somebody asks why it does or does not page: windows, what it needs, pauses."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from mainstay.foundation.catalog.models import Dependency
from mainstay.observe.checks import decide
from mainstay.observe.checks.models import Check, CheckState, Maintenance
from mainstay.observe.checks.parents import parents
from mainstay.observe.checks.windows import Cover, Window, covering


@dataclass(frozen=True, slots=True)
class Standing:
    """`cover`: the window now. `blocked_by`: a down check that it needs. `waits_for`: one whose verdict is out.

    `back`: a check that it needs came back at `back_at`, and it had no fair chance yet to come back, too.
    """

    cover: Cover | None
    blocked_by: str
    waits_for: str
    back: str = ""
    back_at: datetime | None = None


def windows() -> list[Window]:
    """Return all windows that were not cancelled."""
    return [window_of(row) for row in Maintenance.objects.filter(cancelled_at=None)]


def window_of(row: Maintenance) -> Window:
    """Return a row as the value that the pure functions take."""
    return Window(
        name=row.name,
        application=row.application_id,
        match=row.match,
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
    components: dict[int, list[int]] = {}
    for one, other in Dependency.objects.values_list("component_id", "needs_id"):
        components.setdefault(one, []).append(other)
    if not needs and not components:
        return {}
    related = Q(component__isnull=False) | Q(pk__in=list(needs))
    rows = Check.objects.filter(related, paused=False).values_list("id", "component_id", "environment_id")
    return parents(rows, needs, components)


def standing(check: Check, now: datetime, since: datetime) -> Standing:
    """Return what stands around `check`, which has been failing since `since`."""
    cover = covering(windows(), check.application_id, all_labels(check), now)
    states = list(
        CheckState.objects.filter(check_ref__in=graph().get(check.pk, ()), check_ref__paused=False).select_related(
            "check_ref__application"
        )
    )
    down = next((state for state in states if state.health == decide.Health.DOWN), None)
    open_verdict = next((state for state in states if _verdict_is_out(state, since)), None)
    back = _just_back(check, states, since)
    return Standing(
        cover,
        blocked_by=str(down.check_ref) if down else "",
        waits_for=str(open_verdict.check_ref) if open_verdict else "",
        back=str(back.check_ref) if back else "",
        back_at=back.since if back else None,
    )


def _just_back(check: Check, states: Iterable[CheckState], since: datetime) -> CheckState | None:
    """The needed check that came back last, after the trouble began, if this one has not failed anew since then."""
    came = [
        state
        for state in states
        if state.health != decide.Health.DOWN and state.since is not None and state.since > since
    ]
    last = max(came, key=lambda state: state.since or since, default=None)
    if last is None or last.since is None:
        return None
    own = CheckState.objects.filter(pk=check.pk, last_at__gt=last.since, failures__gt=0).exists()
    return None if own else last


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
    return decide.shown(
        decide.Health(state.health),
        state.message,
        paused=check.paused,
        maintenance=cover.window.name if cover else None,
        blocked_by=str(blocked) if blocked else None,
        late=late,
        unusable=state.unusable,
    )
