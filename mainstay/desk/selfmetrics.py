"""`GET /metrics`: how Mainstay itself is, in Prometheus' text format.

Whoever may see operations may read it, by token or session; so may our own monitor, by a token derived from the
secret key. Where a request comes from says nothing: behind a proxy everybody comes from there.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mainstay import __version__
from mainstay.foundation.accounts.access import public
from mainstay.foundation.accounts.actor import NotAllowed
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import caller
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.http.pool import vouch
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes.beat import health
from mainstay.foundation.words import SEVERITIES
from mainstay.observe.checks.decide import Status
from mainstay.observe.checks.models import Check, Ping
from mainstay.observe.checks.pages import listing
from mainstay.observe.metrics.client import bears, scrape_token
from mainstay.respond.alerts.models import Alert
from mainstay.respond.delivery.models import Attempt, Delivery

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SETTLED_AFTER = timedelta(minutes=5)  # an attempt that is so old is committed, or never will be


@public
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scrape."""
    if request.method not in {"GET", "HEAD"}:
        return _plain(405, "use GET", {"Allow": "GET, HEAD"})
    if not bears(request.headers.get("Authorization", ""), scrape_token(settings.SECRET_KEY)):
        try:
            actor = caller(request)
            vouch(request.META)
            actor.need(OPERATIONS_VIEW)
        except Problem as problem:
            return _plain(problem.status, problem.detail, {"WWW-Authenticate": "Bearer"})
        except NotAllowed as refusal:
            return _plain(403, str(refusal))
    try:
        return HttpResponse(text(clock_now()), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
    except DatabaseError:
        return _plain(503, "the database does not answer")


def text(now: datetime) -> bytes:
    """Return the metrics at `now`.

    Raises:
        DatabaseError.
    """
    registry = CollectorRegistry()
    registry.register(_Figures(now))
    return generate_latest(registry)


def _plain(status: int, message: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(f"{message}\n", content_type="text/plain; charset=utf-8", status=status, headers=headers)


class _Figures(Collector):
    def __init__(self, now: datetime) -> None:
        self._now = now

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is read at registration

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("mainstay_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from _processes(self._now)
        yield _checks(self._now)
        yield _alerts()
        yield from _deliveries(self._now)
        unsealed = Entry.objects.filter(seal=None).count()
        yield GaugeMetricFamily(
            "mainstay_journal_entries_unsealed", "Facts that the hash chain does not cover yet.", value=unsealed
        )
        unhandled = Ping.objects.filter(handled=False).count()
        yield GaugeMetricFamily("mainstay_pings_unhandled", "Pings that the monitor has not seen yet.", value=unhandled)


def _processes(now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily("mainstay_processes", "Processes that beat.", labels=["role"])
    lag = GaugeMetricFamily("mainstay_process_lag_seconds", "How late the best process of a role is.", labels=["role"])
    for role, found in health(now).items():
        up.add_metric([role], found.count)
        if found.count:
            lag.add_metric([role], found.lag_s)
    yield up
    yield lag


def _checks(now: datetime) -> Metric:
    found = GaugeMetricFamily("mainstay_checks", "Checks by the status that people see.", labels=["status"])
    open_now = listing.open_windows(now)
    rows = Check.objects.values_list(*listing.COLUMNS).iterator(chunk_size=2_000)
    counts = Counter(listing.Row(*values).shown(open_now, now).status for values in rows)
    for status in Status:
        found.add_metric([status.value], counts[status])
    return found


def _alerts() -> Metric:
    found = GaugeMetricFamily(
        "mainstay_alerts_open", "Alerts that have not ended.", labels=["severity", "acknowledged"]
    )
    rows = Alert.objects.filter(ended_at=None).values_list("severity", "acknowledged_at")
    counts = Counter((severity, at is not None) for severity, at in rows)
    for severity in SEVERITIES:
        for taken in (False, True):
            found.add_metric([severity, str(taken).lower()], counts[severity, taken])
    return found


def _deliveries(now: datetime) -> Iterator[Metric]:
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
