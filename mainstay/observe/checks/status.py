"""How checks are, for `mainstay status` and /metrics."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from django.db.models import Q
from prometheus_client.core import GaugeMetricFamily, Metric

from mainstay.foundation.parts import Finding
from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.models import Check, CheckState, Ping
from mainstay.observe.checks.pages import listing
from mainstay.observe.checks.standing import all_labels, shown, windows

_WRONG = {Status.DOWN, Status.DEGRADED, Status.UNREACHABLE}


def report(at: datetime) -> list[Finding]:
    """Return the checks that are not up. Pauses and maintenance are somebody's wish, so they are not wrong."""
    rows = CheckState.objects.filter(~Q(check_ref=None)).select_related(
        "check_ref__application", "check_ref__environment", "check_ref__component", "blocked_by__application"
    )
    covers = windows()
    found = []
    for state in rows.order_by("check_ref__application__name", "check_ref__name"):
        check = state.check_ref
        seen = shown(check, state, covers, at, all_labels(check))
        if seen.status is not Status.UP:
            overdue = seen.status is Status.UNKNOWN and bool(seen.reason)
            reason = seen.reason or "no result yet"
            found.append(Finding(seen.status in _WRONG or overdue, str(check), seen.status.value, reason, seen.since))
    return found


def figures(now: datetime) -> Iterator[Metric]:
    """Yield how many checks have which status, and the pings that wait."""
    found = GaugeMetricFamily("mainstay_checks", "Checks by the status that people see.", labels=["status"])
    open_now = listing.open_windows(now)
    rows = Check.objects.values_list(*listing.COLUMNS).iterator(chunk_size=2_000)
    counts = Counter(listing.Row(*values).shown(open_now, now).status for values in rows)
    for status in Status:
        found.add_metric([status.value], counts[status])
    yield found
    unhandled = Ping.objects.filter(handled=False).count()
    yield GaugeMetricFamily("mainstay_pings_unhandled", "Pings that the monitor has not seen yet.", value=unhandled)
