"""How deliveries are, for `mainstay status` and /metrics."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Min
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mainstay.foundation.parts import Finding
from mainstay.respond.delivery.models import Attempt, Delivery

LATE_AFTER = timedelta(seconds=30)
SETTLED_AFTER = timedelta(minutes=5)  # an attempt that is so old is committed, or never will be


def report(at: datetime) -> list[Finding]:
    """Return the messages that wait for longer than a send takes, per channel."""
    waiting: dict[str, list[Delivery]] = {}
    for row in Delivery.objects.filter(status__in=("queued", "sending")).order_by("id"):
        if row.attempts or at - row.created_at > LATE_AFTER:
            waiting.setdefault(row.channel_name, []).append(row)
    return [
        Finding(
            True,
            channel,
            f"{len(rows)} waiting",
            next((row.answer for row in rows if row.answer), "not sent yet"),
            rows[0].created_at,
        )
        for channel, rows in waiting.items()
    ]


def figures(now: datetime) -> Iterator[Metric]:
    """Yield what waits for each channel, and what became of attempts."""
    waiting = GaugeMetricFamily("mainstay_deliveries_waiting", "Messages not yet confirmed.", labels=["channel"])
    oldest = GaugeMetricFamily(
        "mainstay_delivery_oldest_waiting_seconds", "Age of the oldest message not yet confirmed.", labels=["channel"]
    )
    rows = (
        Delivery.objects.filter(status__in=("queued", "sending"))
        .values("channel_name")
        .annotate(count=Count("pk"), first=Min("created_at"))
    )
    for row in rows.order_by("channel_name"):
        waiting.add_metric([row["channel_name"]], row["count"])
        oldest.add_metric([row["channel_name"]], max(0.0, (now - row["first"]).total_seconds()))
    yield waiting
    yield oldest
    attempts = CounterMetricFamily(
        "mainstay_delivery_attempts", "Attempts at sending, by what became of them.", labels=["channel", "outcome"]
    )
    for (channel, outcome), count in sorted(_attempts.counts(now).items()):
        attempts.add_metric([channel, outcome], count)
    yield attempts


class _Attempts:
    """Counts attempts without reading all of them at each scrape: what is settled is counted once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: Counter[tuple[str, str]] = Counter()
        self._up_to = 0

    def counts(self, now: datetime) -> Counter[tuple[str, str]]:
        """Return how many attempts there were, by channel and outcome."""
        with self._lock:
            settled = (
                Attempt.objects.filter(pk__gt=self._up_to, at__lt=now - SETTLED_AFTER)
                .order_by("-pk")
                .values_list("pk", flat=True)
                .first()
            )
            if settled is not None:
                self._settled += self._between(self._up_to, settled)
                self._up_to = settled
            return self._settled + self._between(self._up_to, None)

    @staticmethod
    def _between(after: int, up_to: int | None) -> Counter[tuple[str, str]]:
        rows = Attempt.objects.filter(pk__gt=after)
        if up_to is not None:
            rows = rows.filter(pk__lte=up_to)
        counted = rows.values_list("delivery__channel_name", "outcome").annotate(count=Count("pk"))
        return Counter({(channel, outcome): count for channel, outcome, count in counted})


_attempts = _Attempts()
