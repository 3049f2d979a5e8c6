"""How alerts are, for `mainstay status` and /metrics."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from mainstay.foundation.parts import Finding
from mainstay.foundation.words.names import SEVERITIES
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.pages.listing import gravest_first


def report(_at: datetime) -> list[Finding]:
    """Return the open alerts, causes and the gravest first; one that somebody has is still open."""
    rows = gravest_first(Alert.objects.filter(ended_at=None))
    return [Finding(True, row.name, row.severity, _stands(row), row.started_at) for row in rows]


def _stands(alert: Alert) -> str:
    if alert.acknowledged_at:
        return f"{alert.acknowledged_by} has it"
    if alert.paged_at or not alert.reason:
        return alert.summary
    return f"not paged: {alert.reason}. {alert.summary}"


def figures(_now: datetime) -> Iterator[Metric]:
    """Yield how many alerts are open."""
    found = GaugeMetricFamily(
        "mainstay_alerts_open", "Alerts that have not ended.", labels=["severity", "acknowledged"]
    )
    rows = Alert.objects.filter(ended_at=None).values_list("severity", "acknowledged_at")
    counts = Counter((severity, at is not None) for severity, at in rows)
    for severity in SEVERITIES:
        for taken in (False, True):
            found.add_metric([severity, str(taken).lower()], counts[severity, taken])
    yield found
