"""The charts of one check."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from html import escape

from django.utils.safestring import SafeString, mark_safe

from mainstay.kit import charts
from mainstay.observe.checks.uptime.latency import PHASE_LABELS, Gone, Reading

HEIGHT = 200
_WIDTH = 640
_MARKER = 'preserveAspectRatio="none">'
_TONES = {"down": "bad", "degraded": "warn"}


def latency(
    reading: Reading, gone: Sequence[Gone], now: datetime, length: timedelta, zone: tzinfo, *, runs: bool = False
) -> SafeString:
    """Draw how long the check took: by phase where the kind has phases, else as a line; not up is shaded."""
    start, end = (now - length).timestamp(), now.timestamp()
    if reading.phases:
        layers = list(zip(PHASE_LABELS, reading.phases, strict=True))
        drawn = charts.stacked_area(
            reading.times, layers, start=start, end=end, unit="s", zone=zone, gap_s=reading.gap_s, width=_WIDTH,
            height=HEIGHT, title="Response time by phase",
        )  # fmt: skip
        return mark_safe(_shaded(drawn, gone, start, end))  # noqa: S308 - charts escape
    name = "run" if runs else "response"
    series = [charts.Series(f"mean {name}", list(zip(reading.times, reading.mean, strict=True)))]
    if reading.highest is not reading.mean:
        series = [
            charts.Series(f"mean of the {reading.unit}", list(zip(reading.times, reading.mean, strict=True))),
            charts.Series(
                f"slowest of the {reading.unit}", list(zip(reading.times, reading.highest, strict=True)), "quiet"
            ),
        ]
    intervals = [charts.Interval(one.start, one.end, one.health, _TONES.get(one.health, "bad")) for one in gone]
    drawn = charts.line_chart(
        series, start=start, end=end, unit="s", zone=zone, gap_s=reading.gap_s or None, width=_WIDTH, height=HEIGHT,
        down=intervals, title="Run time" if runs else "Response time",
    )  # fmt: skip
    return mark_safe(drawn)  # noqa: S308 - charts escape


def _shaded(svg: str, gone: Sequence[Gone], start: float, end: float) -> str:
    """Lay shaded stretches behind the bands of a stacked chart, which draws none itself."""
    plot = HEIGHT - 24
    parts = []
    for one in gone:
        left, right = max(one.start, start), min(one.end, end)
        if right <= left:
            continue
        x, width = (left - start) / (end - start) * _WIDTH, max((right - left) / (end - start) * _WIDTH, 1)
        tone = _TONES.get(one.health, "bad")
        parts.append(
            f'<g><title>{escape(one.health)}</title><rect x="{x:.1f}" y="0" width="{width:.1f}" height="{plot}" '
            f'class="c-down tone-{tone}"/><path d="M{x:.1f} {plot}h{width:.1f}" class="c-edge tone-{tone}"/></g>'
        )
    return svg.replace(_MARKER, _MARKER + "".join(parts), 1)


def phases_bar(phases: Sequence[tuple[str, float]]) -> SafeString:
    """Draw where the time of one probe went: one bar, a segment per phase; the numbers stand beside it."""
    total = sum(seconds for _, seconds in phases) or 1.0
    x, out = 0.0, []
    for i, (label, seconds) in enumerate(phases):
        width = seconds / total * 1000
        if width > 0:
            place = f'x="{x:.1f}" y="0" width="{width:.1f}" height="12"'
            out.append(f'<rect {place} class="phase tone-phase-{i % 5 + 1}"><title>{escape(label)}</title></rect>')
        x += width
    box = 'width="100%" height="12" viewBox="0 0 1000 12" preserveAspectRatio="none"'
    return mark_safe(f'<svg class="phases" aria-hidden="true" {box}>{"".join(out)}</svg>')  # noqa: S308 - escaped
