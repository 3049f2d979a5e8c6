"""`GET /metrics`: how Mainstay itself is, in Prometheus' text format.

Whoever may see operations may read it, by token or session; so may our own monitor, by a token derived from the
secret key. Where a request comes from says nothing: behind a proxy everybody comes from there.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mainstay import __version__
from mainstay.foundation.accounts.access import public
from mainstay.foundation.accounts.actor import NotAllowed
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import caller
from mainstay.foundation.api.problems import Problem
from mainstay.foundation.clock import now as clock_now
from mainstay.foundation.guarded import guarded
from mainstay.foundation.http.pool import vouch
from mainstay.foundation.processes.beat import health
from mainstay.foundation.secrets import bears, scrape_token
from mainstay.kit.regions import ask
from mainstay.wings import WINGS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
        return HttpResponse(text(clock_now()), content_type=CONTENT_TYPE)
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


def _written(metric: Metric) -> bytes:
    """Return a metric as text, to see whether it can be written: one that cannot would cost all others."""
    alone = CollectorRegistry()
    alone.register(_One(metric))
    return generate_latest(alone)


class _One(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self._metric


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
        for wing in WINGS:
            for figures in wing.figures:
                for metric in ask(figures, self._now, of=Metric):
                    if guarded(figures, partial(_written, metric), b""):
                        yield metric


def _processes(now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily("mainstay_processes", "Processes that beat.", labels=["role"])
    lag = GaugeMetricFamily("mainstay_process_lag_seconds", "How late the best process of a role is.", labels=["role"])
    for role, found in health(now).items():
        up.add_metric([role], found.count)
        if found.count:
            lag.add_metric([role], found.lag_s)
    yield up
    yield lag
