"""What the pages of alerts show of those that checks have raised: the check, and how it answered meanwhile."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from django.urls import reverse

from mainstay.kit import charts
from mainstay.observe.checks.models import Result
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.origins import Fact, Shown

RESULTS_MOST = 2_000
_LEAD_RESULTS = 120
_LEAD_LEAST, _LEAD_MOST = timedelta(minutes=10), timedelta(hours=2)
_LENGTH_MOST = timedelta(hours=8)
_NOTHING_KEPT = (
    '<p class="muted small-text">No single results of that time are kept any more; hourly figures are on the check’s'
    " page.</p>"
)


def link(alert: Alert) -> str:
    """Return the page of the check; empty when it is gone."""
    return reverse("check", args=[alert.check_ref_id]) if alert.check_ref_id is not None else ""


def facts(alert: Alert) -> Sequence[Fact]:
    """Return the check and what it watches."""
    check = alert.check_ref
    if check is None:
        return ()
    return (Fact("Check", check.name, link(alert)), Fact("Watches", check.target or "–", mono=True))


def drawing(alert: Alert, now: datetime, zone: tzinfo) -> str:
    """Draw how long the check's answers took around the alert, as SVG; say so when no result is kept of that time."""
    check = alert.check_ref
    if check is None or check.passive:
        return ""
    lead = max(_LEAD_LEAST, min(_LEAD_MOST, timedelta(seconds=check.every_s * _LEAD_RESULTS)))
    start = alert.started_at - lead
    end = min(now, (alert.ended_at or now) + lead / 2, start + max(_LENGTH_MOST, 2 * lead))
    rows = Result.objects.filter(check_ref=check, at__gte=start, at__lte=end).order_by("at")
    found = list(rows.values_list("at", "duration_s", "health")[:RESULTS_MOST])
    if not found:
        return _NOTHING_KEPT
    if len(found) == RESULTS_MOST:
        end = found[-1][0]
    over = alert.ended_at or end
    return charts.line_chart(
        [charts.Series("response", [(at.timestamp(), duration) for at, duration, _ in found])],
        start=start.timestamp(),
        end=end.timestamp(),
        unit="s",
        marks=marks(alert),
        down=[charts.Interval(alert.started_at.timestamp(), over.timestamp(), "the alert was open")],
        gap_s=check.every_s * 2.5 + check.timeout_s,
        zone=zone,
        title=f"Response time of {alert.labels.get('check', 'the check')}",
        height=160,
    )


def marks(alert: Alert) -> list[charts.Mark]:
    """Return what a chart marks of an alert's life."""
    moments = (
        (alert.started_at, "fired", "bad"),
        (alert.acknowledged_at, "acknowledged", "accent"),
        (alert.ended_at, "resolved", "ok"),
    )
    return [charts.Mark(at.timestamp(), word, tone) for at, word, tone in moments if at is not None]


SHOWN = Shown(link=link, facts=facts, drawing=drawing, telling={"application", "environment", "check"}.__contains__)
