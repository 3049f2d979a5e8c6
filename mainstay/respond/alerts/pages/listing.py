"""The list of alerts: filtered by URL, open ones first, fast whatever has gathered."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When

from mainstay.foundation.words.names import SEVERITIES, weight
from mainstay.kit import rows
from mainstay.kit.lists import with_words
from mainstay.kit.nav import numbered
from mainstay.kit.scales import NBSP
from mainstay.respond.alerts.decide import Code, SilenceFacts, silenced_by
from mainstay.respond.alerts.models import Alert

STATES = ("firing", "acknowledged", "silenced", "resolved")
OPEN_SHOWN = 100
_WEIGHT = Case(
    *(When(severity=name, then=Value(weight(name))) for name in SEVERITIES),
    default=Value(-1),
    output_field=IntegerField(),
)
# Something that its check needs is down and has an alert of its own: whoever is woken at night needs the cause.
_FOLLOWS = Case(When(decision=Code.UNREACHABLE, then=Value(1)), default=Value(-1), output_field=IntegerField())


def matching(wanted: Mapping[str, str], active: Iterable[SilenceFacts], now: datetime) -> QuerySet[Alert]:
    """Return the alerts that the filters `wanted` describe, unordered."""
    found = Alert.objects.select_related("application")
    if wanted["state"] == "resolved":
        found = found.filter(ended_at__isnull=False)
    elif wanted["state"]:
        found = found.filter(ended_at=None)
    if wanted["state"] == "acknowledged":
        found = found.filter(acknowledged_at__isnull=False)
    elif wanted["state"] in {"firing", "silenced"}:
        found = found.filter(acknowledged_at=None)
        covered = silenced_ids(active, now)
        found = found.filter(pk__in=covered) if wanted["state"] == "silenced" else found.exclude(pk__in=covered)
    if wanted["severity"]:
        found = found.filter(severity=wanted["severity"])
    if wanted["application"]:
        found = found.filter(application__name=wanted["application"])
    return with_words(found, wanted["q"], "name", "summary")


def silenced_ids(active: Iterable[SilenceFacts], now: datetime) -> list[int]:
    """Return the open alerts that a silence covers. Without silences nothing is read."""
    active = list(active)
    if not active:
        return []
    labels = Alert.objects.filter(ended_at=None, acknowledged_at=None).values_list("pk", "labels")
    return [number for number, found in labels if silenced_by(found, active, now)]


def gravest_first(found: QuerySet[Alert]) -> QuerySet[Alert]:
    """Order alerts: causes before what follows from them, the gravest and newest first."""
    return found.order_by(_FOLLOWS, _WEIGHT.desc(), "-pk")


def open_first(found: QuerySet[Alert], most: int = OPEN_SHOWN + 1) -> list[Alert]:
    """Return the open alerts of `found`, the gravest first, at most so many."""
    return list(gravest_first(found.filter(ended_at=None))[:most])


def shown_state(alert: Alert, active: Iterable[SilenceFacts], now: datetime) -> str:
    """Return firing, acknowledged, silenced or resolved."""
    state = alert.state
    return "silenced" if state == "firing" and silenced_by(alert.labels, active, now) else state


def table(alerts: Iterable[Alert], active: Iterable[SilenceFacts], now: datetime) -> str:
    """Return table rows as HTML."""
    active = list(active)
    return rows.join(_row(alert, shown_state(alert, active, now), now) for alert in alerts)


def _row(alert: Alert, state: str, now: datetime) -> str:
    summary = alert.summary.replace("\n", " ")
    if alert.ended_at is not None:
        lasted = rows.write_duration((alert.ended_at - alert.started_at).total_seconds())
        summary = f"lasted {lasted}{NBSP}· {summary}" if summary else f"lasted {lasted}"
    return rows.alert_row(
        href=numbered("alert", alert.pk),
        name=alert.name,
        state=state,
        now=now,
        severity=alert.severity,
        summary=summary,
        application=alert.application.name if alert.application else alert.labels.get("application", ""),
        environment=alert.environment,
        since=alert.started_at,
        owner=alert.acknowledged_by,
        routes=", ".join(alert.paged_channels),
    )


def headline(now: datetime, active: Iterable[SilenceFacts]) -> tuple[str, str]:
    """Return what the page answers: is anything wrong, and does somebody have it?"""
    opened = Alert.objects.filter(ended_at=None)
    causes = opened.exclude(decision=Code.UNREACHABLE)
    counts = {
        row["severity"]: (row["all"], row["free"])
        for row in causes.values("severity").annotate(all=Count("pk"), free=Count("pk", filter=Q(acknowledged_at=None)))
    }
    total = sum(every for every, _ in counts.values())
    following = opened.filter(decision=Code.UNREACHABLE).count()
    unreachable = [f"{following} unreachable"] if following else []
    if not total:
        return "Nothing is firing.", " · ".join(unreachable)
    quiet = len(silenced_ids(active, now))
    free = sum(unowned for _, unowned in counts.values()) - quiet
    parts = [f"{counts[name][0]} {name}" for name in SEVERITIES if name in counts]
    if quiet:
        parts.append(f"{quiet} silenced")
    parts += unreachable
    if free <= 0:
        have = "somebody has it" if total == 1 else "each is in somebody's hands"
        have = have if not quiet else "none waits for anybody"
    elif total == 1:
        have = "nobody has it"
    else:
        have = "nobody has any" if free == total else f"nobody has {free} of them"
    return f"{total} alert{' is' if total == 1 else 's are'} open, {have}.", " · ".join(parts)
