"""The golden signals on an application's page: four small charts, a fragment that the page asks for once it is open."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.catalog.models import Application
from mainstay.kit import charts
from mainstay.kit.live import live
from mainstay.observe.metrics.client import BadQuery, MetricsAway
from mainstay.observe.metrics.pages import asking, golden, units
from mainstay.observe.metrics.pages.asking import Memory
from mainstay.observe.metrics.pages.explore_views import figure
from mainstay.observe.metrics.pages.golden import Chosen, Signal

LENGTH_S, STEP_S = 3600, 30
HEIGHT = 112
NOT_TOLD = {
    Signal.RATE: ("Requests", "Nothing counts its requests."),
    Signal.ERRORS: ("Errors", "Nothing tells which of its requests fail."),
    Signal.LATENCY: ("Latency", "Nothing measures how long its requests take."),
    Signal.SATURATION: ("Saturation", "Nothing tells how full it is."),
}
_memory = Memory(120.0)


@needs(OPERATIONS_VIEW, "GET")
def signals(request: HttpRequest, name: str) -> HttpResponseBase:
    """Draw rate, errors, latency and saturation of an application over the last hour, from what it has."""
    application = get_object_or_404(Application, name=name)
    now = clock.now()
    context: dict[str, Any] = {"application": application, "now": now}
    try:
        chosen = chosen_for(application)
        context["signals"] = [_drawn(signal, chosen.get(signal), now) for signal in Signal] if chosen else []
    except MetricsAway as error:
        context |= {"signals": [], "away": str(error)}
    return live(request, "metrics/signals.html", context, part="golden")


def chosen_for(application: Application) -> dict[Signal, Chosen]:
    """Return the queries for an application; what there is is asked every two minutes.

    Raises:
        MetricsAway.
    """
    hosts = [urlsplit(url).netloc.rpartition("@")[2] for url in application.environments.values_list("url", flat=True)]
    scopes = golden.scopes(application.name, [host for host in dict.fromkeys(hosts) if host])
    return _memory.get((application.name, tuple(scopes)), lambda: _discover(scopes))


def _discover(scopes: list[str]) -> dict[Signal, Chosen]:
    found: list[golden.Seen] = []
    chosen: dict[Signal, Chosen] = {}
    for scope in scopes:
        try:
            rows = [sample.labels for sample in asking.client().query(golden.discovery(scope))]
        except BadQuery:
            continue  # a server that cannot count by name
        found += golden.seen_of(rows, scope)
        chosen = golden.choose(found)
        if Signal.RATE in chosen and Signal.SATURATION in chosen:
            break
    return chosen


def forget() -> None:
    """Forget what was asked, for tests."""
    _memory.forget()


def _drawn(signal: Signal, chosen: Chosen | None, now: datetime) -> dict[str, Any]:
    if chosen is None:
        title, why = NOT_TOLD[signal]
        return {"signal": signal.value, "title": title, "missing": why}
    unit = units.of(chosen.query)
    end = float(int(now.timestamp()))
    start = end - LENGTH_S
    href = f"{reverse('explore')}?{urlencode({'q': chosen.query, 'range': '1h'})}"
    shown: dict[str, Any] = {
        "signal": signal.value, "title": chosen.title, "metric": chosen.metric, "why": chosen.why, "href": href,
    }  # fmt: skip
    try:
        curves = asking.client().query_range(chosen.query, start, end, STEP_S)
    except BadQuery as error:
        return shown | {"missing": str(error)}
    points = [(at, value * unit.factor) for at, value in curves[0].points] if curves else []
    last = points[-1][1] if points and points[-1][0] >= end - 2 * STEP_S else None
    svg = charts.line_chart(
        [charts.Series(chosen.title, points)], start=start, end=end, unit=unit.shown, gap_s=STEP_S * 1.5,
        zone=timezone.get_current_timezone(), title=f"{chosen.title} of the last hour", width=320, height=HEIGHT,
    )  # fmt: skip
    return shown | {"svg": mark_safe(svg), "value": figure(last, unit), "known": last is not None}  # noqa: S308
