"""The component sheet: every component in every state on one page, for browser tests and for whoever writes a page.

Its facts are made up for the picture, and say so; nothing here reads the records.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django import forms
from django.http import HttpRequest
from django.template import engines
from django.utils import timezone
from django.utils.safestring import mark_safe

from mainstay.kit import charts, nav, rows

_HOUR_S = 3600


class SampleForm(forms.Form):
    """One field of each sort."""

    name = forms.CharField(help_text="Lower case, as it appears in messages.")
    url = forms.URLField(label="Address", assume_scheme="https")
    kind = forms.ChoiceField(choices=[("http", "HTTP"), ("tcp", "TCP"), ("dns", "DNS")])
    every = forms.IntegerField(label="Every", initial=60)
    token = forms.CharField(widget=forms.PasswordInput)
    note = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), required=False)
    days = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, choices=[("mon", "Monday"), ("tue", "Tuesday")], required=False
    )
    paused = forms.BooleanField(required=False, help_text="Nothing is checked until you clear this.")


def _wave(i: int, base: float, swing: float) -> float:
    """Return a repeatable, uneven course, so that pictures of the sheet can be compared."""
    return base + swing * (math.sin(i / 7) + 0.6 * math.sin(i / 2.3) + 0.4 * math.sin(i * 1.7))


def sample_days() -> list[charts.Day]:
    """Return 90 days with a few bad and a few unmeasured ones."""
    special = {3: None, 4: None, 31: 0.9985, 57: 0.94, 58: 0.999, 88: 0.97}
    first = datetime(2025, 1, 1)  # noqa: DTZ001 - only its date is shown
    return [
        charts.Day(
            f"{first + timedelta(days=i):%a %d %b}",
            special.get(i, 1.0),
            "1 outage" if special.get(i) else "",
        )
        for i in range(90)
    ]


def sample_charts(now: float) -> dict[str, str]:
    """Draw one chart of each kind, and the ends of their ranges."""
    start = now - 6 * _HOUR_S
    count = 720
    times = [start + i * 30 for i in range(count + 1)]
    p50 = [(t, None if 300 < i < 360 else _wave(i, 88, 9)) for i, t in enumerate(times)]
    p95 = [(t, None if 300 < i < 360 else _wave(i, 180, 24) * (1 + 1.2 * (i > 640))) for i, t in enumerate(times)]

    def course(base: float, swing: float) -> list[float | None]:
        return [None if 300 < i < 360 else _wave(i, base, swing) for i in range(count + 1)]

    phases = [
        ("dns", course(4, 1)),
        ("connect", course(12, 2)),
        ("tls", course(24, 4)),
        ("first byte", course(60, 9)),
        ("transfer", course(9, 2)),
    ]
    gone = charts.Interval(times[300], times[360], "down for 30 min")
    deploy = charts.Mark(times[636], "v2.14.1 deployed")
    limit = charts.Threshold(400, "400 ms for 5 min")
    errors = [(t, max(0.0, _wave(i, 0.6, 0.15) + 7.2 * (i > 640))) for i, t in enumerate(times)]
    return {
        "latency": charts.line_chart(
            [charts.Series("p95", p95), charts.Series("median", p50, "quiet")],
            start=start, end=now, unit="ms", threshold=limit, marks=[deploy], down=[gone], title="Response time",
        ),
        "errors": charts.line_chart(
            [charts.Series("error rate", errors, "bad")],
            start=start, end=now, unit="%", threshold=charts.Threshold(5, "5 % for 5 min"), marks=[deploy],
            title="Error rate", height=120,
        ),
        "phases": charts.stacked_area(
            times, phases,
            start=start, end=now, unit="ms", title="Response time by phase",
        ),
        "none": charts.line_chart([charts.Series("p95", [])], start=start, end=now, unit="ms", height=120),
        "one": charts.line_chart(
            [charts.Series("p95", [(now - 9000, 61.0)])], start=start, end=now, unit="ms", height=120
        ),
    }  # fmt: skip


def _entries(now: datetime) -> list[dict[str, Any]]:
    rows_ = [
        (4, "bad", "Alert", "still firing", "error rate > 5 % on shop", "reminder sent to ops", ""),
        (11, "accent", "Alert", "acknowledged", "error rate > 5 % on shop", "", "support, first line"),
        (12, "ok", "Page", "delivered", "to ops in 0.4 s", "HTTP 200, first attempt", ""),
        (12, "bad", "Alert", "fired", "error rate > 5 % on shop", "", ""),
        (15, "accent", "Deploy", "finished", "v2.14.1 to production", "", "token ci"),
        (1290, "", "Check", "paused", "nightly-import", "", "devops"),
    ]
    return [
        {"at": timezone.localtime(now - timedelta(minutes=m)), "tone": tone, "before": before, "verb": verb,
         "after": after, "detail": detail, "actor": actor, "href": "#timeline"}
        for m, tone, before, verb, after, detail, actor in rows_
    ]  # fmt: skip


def _check_rows(now: datetime) -> str:
    bar = charts.uptime_bar(sample_days()[-30:], title="Uptime, 30 days", readout=False)
    samples = [
        ("storefront", "up", 88.2, 99.987, "critical", ""),
        ("checkout", "degraded", 1940.0, 99.93, "critical", "shop.yaml"),
        ("payments-api", "down", None, 99.4, "critical", ""),
        ("search-index", "unreachable", None, 99.97, "major", ""),
        ("nightly-import", "paused", None, 100.0, "minor", ""),
        ("mail-out", "maintenance", 12.0, 99.99, "major", ""),
        ("a-check-that-was-given-a-remarkably-long-name-by-someone", "unknown", None, None, "minor", ""),
    ]
    return rows.join(
        rows.check_row(
            href="#table", name=name, state=state, now=now, application="shop", environment="production", kind="HTTP",
            target=f"https://{name}.example/health", severity=severity, duration_s=latency and latency / 1000,
            uptime_percent=uptime, uptime_html=bar, last_at=now - timedelta(seconds=7) if latency else None,
            since=now - timedelta(minutes=7 * i + 3), source=source,
        )
        for i, (name, state, latency, uptime, severity, source) in enumerate(samples)
    )  # fmt: skip


def _alert_rows(now: datetime) -> str:
    samples = [
        ("Error rate above 5 %", "firing", "critical", ""),
        ("Certificate expires in 6 days", "acknowledged", "major", "support, first line"),
        ("Queue is growing", "pending", "minor", ""),
        ("Disk above 80 %", "silenced", "minor", ""),
        ("Storefront is down", "resolved", "critical", ""),
    ]
    return rows.join(
        rows.alert_row(
            href="#alerts", name=name, state=state, now=now, severity=severity, summary="8.2 % of answers are errors",
            application="shop", environment="production", since=now - timedelta(minutes=9 * i + 4), owner=owner,
            routes="ops",
        )
        for i, (name, state, severity, owner) in enumerate(samples)
    )  # fmt: skip


_STEPS = [
    {"passed": True, "question": "The alert is firing", "detail": "8.2 % over 5 % for 5 min"},
    {"passed": True, "question": "No silence matches it", "detail": ""},
    {"passed": True, "question": "What it depends on is up", "detail": "database and cache answered 12 s ago"},
    {"passed": False, "question": "It was announced within the last 4 h", "detail": "first notification of this group"},
    {"passed": None, "question": "Repeat interval", "detail": "not considered: this is the first"},
]


_SAMPLE_FILE = """applications:
  - name: shop
    checks:
      - name: storefront
        http: {url: "https://shop.example/"}
"""


def sheet(request: HttpRequest) -> str:
    """Draw every component in every state."""
    now = timezone.now()
    form = SampleForm({"name": "", "url": "shop", "kind": "http", "every": "60", "token": ""})
    form.is_valid()
    form.add_error(None, "A check of this name exists in production. Choose another name or change that one.")
    context: dict[str, Any] = {
        "now": now,
        "states": rows.STATES,
        "tones": rows.TONES,
        "charts": {name: mark_safe(svg) for name, svg in sample_charts(now.timestamp()).items()},
        "days": sample_days(),
        "trend": mark_safe(charts.sparkline([_wave(i, 40, 8) for i in range(40)])),
        "check_rows": _check_rows(now),
        "alert_rows": _alert_rows(now),
        "entries": _entries(now),
        "steps": _STEPS,
        "form": form,
        "asked": SampleForm(auto_id="silence_%s"),
        "moments": [now - timedelta(seconds=s) for s in (2, 42, 430, 11000, 400000, -900)],
        "lengths": [0.0123, 0.412, 1.94, 432, 11100, 187200],
        "numbers": [(412, "ms"), (99.9962, "%"), (1.5e9, "bytes"), (12400, "/s"), (None, "ms"), (7, "")],
        "crumbs": [{"href": "#", "label": "Applications"}, {"href": "#", "label": "shop"}],
        "tabs": [
            {"href": "#tabs", "label": "Overview", "current": True},
            {"href": "#tabs", "label": "Alerts", "count": 2, "bad": True},
            {"href": "#tabs", "label": "Checks", "count": 14},
            {"href": "#tabs", "label": "Journal"},
        ],
        "filters": [
            {"name": "q", "label": "Name or address", "value": ""},
            {"name": "state", "label": "Any state", "value": "down", "choices": [("up", "Up"), ("down", "Down")]},
            {"name": "application", "label": "Any application", "value": "", "choices": [("shop", "shop")]},
        ],
        "chips": [{"href": "?", "label": "state: down"}],
        "groups": [
            {"label": "Checks", "items": [
                {"href": "#", "title": "storefront", "detail": "shop · production", "state": "up"},
                {"href": "#", "title": "checkout", "detail": "shop · production", "state": "down"}]},
            {"label": "Places", "items": [{"href": "/", "title": "Now"}]},
        ],
        "sample_file": _SAMPLE_FILE,
        "place": "checks",
    }  # fmt: skip
    template = engines["django"].from_string(Path(__file__).with_name("sheet.html").read_text(encoding="utf-8"))
    counted = [replace(place, count=f"{__name__}.two" if place.count else "") for place in nav.PLACES]
    with patch.object(nav, "PLACES", counted):
        return str(template.render(context, request))


def two() -> int:
    """What is counted beside a place, without a database."""
    return 2
