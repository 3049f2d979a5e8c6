"""Charts as SVG text: pure functions, no Django.

Every chart comes in two dresses. In a page it is coloured by CSS classes (so themes apply), stretches to its box and
carries its data for the hover readout of `mainstay.js`. With `standalone=True` it is one SVG document of fixed size
with literal colours, for e-mail and PDF. Time is in unix seconds; a value that is None, NaN or infinite is missing,
and what is missing is left open, never bridged.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape
from itertools import groupby, pairwise
from statistics import median

from mainstay.kit.scales import LIMIT, NBSP, Scale, known, quantity, scale_for, time_ticks, value_ticks, write_percent

Point = tuple[float, float | None]
Known = tuple[float, float]

LINES_TOLD = 4  # a chart's description names as many lines
_MISSING_SPACINGS = 3.0
"""A silence longer than this many usual spacings is a gap."""
_TONES = {
    "accent": ("#2f5fd0", "#edf2fe"),
    "ok": ("#1a7f4b", "#e7f5ed"),
    "warn": ("#9a6300", "#fdf3df"),
    "bad": ("#c3302b", "#fdecea"),
    "quiet": ("#7b7d84", "#f0f0ee"),
    "phase-1": ("#0f7b8a", "#e3f2f4"),
    "phase-2": ("#6a9a2d", "#eef5e4"),
    "phase-3": ("#b7791f", "#fbf1df"),
    "phase-4": ("#4a72d9", "#e9eefb"),
    "phase-5": ("#8a5bc7", "#f1eafa"),
}
"""Literal ink and soft colour per tone, for standalone charts; pages take theirs from `tokens.css`."""
_PARTS = {
    "grid": 'stroke="#e6e5e1" fill="none"',
    "axis": 'stroke="#d4d3ce" fill="none"',
    "label": 'fill="#63656b" font-size="11"',
    "label alt": 'fill="#63656b" font-size="11"',
    "line": 'stroke="{ink}" fill="none" stroke-width="1.75" stroke-linejoin="round" stroke-linecap="round"',
    "line dash-2": 'stroke="{ink}" fill="none" stroke-width="1.75" stroke-dasharray="6 4" stroke-linecap="round"',
    "line dash-3": 'stroke="{ink}" fill="none" stroke-width="1.75" stroke-dasharray="1 4" stroke-linecap="round"',
    "dot": 'stroke="{ink}" fill="none" stroke-width="4" stroke-linecap="round"',
    "end": 'fill="{ink}" stroke="#ffffff" stroke-width="2"',
    "area": 'fill="{soft}"',
    "band": 'fill="{ink}" stroke="#ffffff" stroke-width="1"',
    "down": 'fill="{soft}"',
    "edge": 'stroke="{ink}" fill="none" stroke-width="4"',
    "threshold": 'stroke="{ink}" fill="none" stroke-width="1.25" stroke-dasharray="4 4"',
    "note": 'fill="{ink}" font-size="11"',
    "mark": 'stroke="{ink}" fill="none" stroke-width="1.5"',
    "strip": 'stroke="{ink}" fill="none"',
    "strip-none": 'stroke="#d4d3ce" fill="none"',
}
"""Every painted part and its literal presentation; in a page the part is the class `c-<part>`."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `points` are (unix seconds, value or None), oldest first. `dash` is 0 (whole) to 2; None: by place."""

    label: str
    points: Sequence[Point]
    tone: str = "accent"
    dash: int | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit in the unit of the chart."""

    value: float
    label: str = ""
    tone: str = "bad"


@dataclass(frozen=True, slots=True)
class Mark:
    """An event at one instant, such as a deployment."""

    at: float
    label: str
    tone: str = "accent"


@dataclass(frozen=True, slots=True)
class Interval:
    """A shaded stretch of time, such as an outage."""

    start: float
    end: float
    label: str = "down"
    tone: str = "bad"


@dataclass(frozen=True, slots=True)
class Day:
    """One strip of an uptime bar: `uptime` from 0 to 1, or None where nothing was measured."""

    label: str
    uptime: float | None
    detail: str = ""


def segments(points: Iterable[Point], start: float, end: float, gap_s: float | None = None) -> list[list[Known]]:
    """Split points within [start, end] into unbroken runs; a missing value or more than `gap_s` of silence breaks.

    Without `gap_s`, three times the usual spacing is a silence.
    """
    inside = [(t, known(v)) for t, v in points if start <= t <= end]
    if gap_s is None:
        spacings = [b[0] - a[0] for a, b in pairwise(inside)]
        gap_s = _MISSING_SPACINGS * median(spacings) if spacings else math.inf
    runs: list[list[Known]] = []
    previous: float | None = None
    for t, value in inside:
        if value is None:
            previous = None
            continue
        if previous is None or t - previous > gap_s:
            runs.append([])
        runs[-1].append((t, value))
        previous = t
    return runs


def decimate(run: Sequence[Known], start: float, end: float, columns: int) -> list[Known]:
    """Keep per pixel column the first, lowest, highest and last point, so that no spike is lost."""
    if len(run) <= 2 * columns:
        return list(run)
    kept: list[Known] = []
    per_second = columns / (end - start)
    bucket: list[Known] = []
    column = -1
    for point in [*run, (math.inf, 0.0)]:
        this = columns if point[0] == math.inf else int((point[0] - start) * per_second)
        if this != column and bucket:
            lowest, highest = min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])
            kept += sorted({bucket[0], lowest, highest, bucket[-1]})
            bucket = []
        column = this
        bucket.append(point)
    return kept


class _Sheet:
    """Where things lie on one chart and how they are painted."""

    def __init__(self, start: float, end: float, width: int, height: int, *, standalone: bool) -> None:
        self.start, self.end, self.width, self.standalone = start, max(end, start + 1), width, standalone
        self.height, self.plot = height, height - 24
        self.low, self.high, self.scale = 0.0, 1.0, Scale(1, "")
        self.ticks: list[float] = []

    def fit(self, low: float, high: float, unit: str) -> None:
        """Lay out the value axis."""
        self.scale = scale_for(max(abs(low), abs(high)), unit)
        d = self.scale.divisor
        self.ticks = [t * d for t in value_ticks(low / d, high / d, about=max(2, min(5, self.plot // 36)))]
        self.low, self.high = self.ticks[0], self.ticks[-1]

    def px(self, t: float) -> float:
        return (t - self.start) / (self.end - self.start) * self.width

    def x(self, t: float) -> str:
        """Return a horizontal place that follows the width of the box (or is fixed, when standalone)."""
        return f"{self.px(t):.2f}" if self.standalone else f"{self.px(t) / self.width * 100:.3f}%"

    def y(self, value: float) -> float:
        # Divided before subtracting: the span of two huge values would overflow.
        part = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return self.plot - part * (self.plot - 8)

    def paint(self, part: str, tone: str = "quiet") -> str:
        """Return the attributes that paint a part: classes in a page, literal colours in a document."""
        if self.standalone:
            ink, soft = _TONES[tone]
            return _PARTS[part].format(ink=ink, soft=soft)
        return 'class="c-' + part.replace(" ", " c-") + f' tone-{tone}"'

    def path(self, run: Sequence[Known]) -> str:
        return "M" + " ".join(f"{self.px(t):.1f} {self.y(v):.1f}" for t, v in run)

    def tick_text(self, value: float) -> str:
        scaled = value / self.scale.divisor
        step = (self.ticks[1] - self.ticks[0]) / self.scale.divisor
        if abs(scaled) >= 1e6 or step < 1e-6:
            number = f"{scaled:.3g}"
        else:
            number = f"{scaled:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
        return f"{number}{NBSP}{self.scale.suffix}" if self.scale.suffix else number

    def axes(self, zone: tzinfo) -> list[str]:
        out = []
        for tick in self.ticks:
            y = f"{self.y(tick):.1f}"
            end = f"{self.width}" if self.standalone else "100%"
            out.append(f'<line x1="0" x2="{end}" y1="{y}" y2="{y}" {self.paint("grid")}/>')
            out.append(
                f'<text x="-8" y="{self.y(tick) + 4:.1f}" text-anchor="end" {self.paint("label")}>'
                f"{escape(self.tick_text(tick))}</text>"
            )
        ticks = time_ticks(self.start, self.end, zone, at_most=max(2, min(8, self.width // 80)))
        for i, (at, label) in enumerate(ticks):
            x, share = self.x(at), self.px(at) / self.width
            anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
            # Every second label leaves when the box is narrow.
            paint = self.paint("label alt" if i % 2 else "label")
            out.append(f'<line x1="{x}" x2="{x}" y1="{self.plot}" y2="{self.plot + 4}" {self.paint("axis")}/>')
            out.append(f'<text x="{x}" y="{self.height - 4}" text-anchor="{anchor}" {paint}>{escape(label)}</text>')
        return out

    def marks(self, marks: Sequence[Mark]) -> list[str]:
        out: list[str] = []
        rows = [-math.inf, -math.inf]
        for mark in sorted((m for m in marks if self.start <= m.at <= self.end), key=lambda m: m.at):
            x, at = self.x(mark.at), self.px(mark.at)
            late, reach = at > self.width * 0.6, 7 * len(mark.label) + 16
            left = at - reach if late else at
            row = 0 if left >= rows[0] else 1 if left >= rows[1] else None
            out.append(
                f"<g><title>{escape(mark.label)}</title>"
                f'<line x1="{x}" x2="{x}" y1="{4 + 12 * (row or 0)}" y2="{self.plot}" {self.paint("mark", mark.tone)}/>'
            )
            if row is not None:  # a third label at one place would be unreadable; its title remains
                rows[row] = left + reach + 8
                out.append(
                    f'<text x="{x}" dx="{-6 if late else 6}" y="{12 + 12 * row}" '
                    f'text-anchor="{"end" if late else "start"}" {self.paint("note", mark.tone)}>'
                    f"{escape(mark.label)}</text>"
                )
            out.append("</g>")
        return out

    def limit(self, threshold: Threshold) -> list[str]:
        y, end = self.y(threshold.value), f"{self.width}" if self.standalone else "100%"
        line = f'<line x1="0" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" {self.paint("threshold", threshold.tone)}/>'
        text = f'<text x="4" y="{y - 4:.1f}" {self.paint("note", threshold.tone)}>{escape(threshold.label)}</text>'
        return [line, text] if threshold.label else [line]

    def frame(
        self, back: list[str], stretch: list[str], front: list[str], *, title: str, desc: str, data: str, legend: str
    ) -> str:
        """Put the parts together, back to front: `stretch` follows the box, the rest keeps its letters' shape."""
        text = f"<title>{escape(title)}</title><desc>{escape(desc)}</desc>"
        gutter = 8 * math.ceil((max((len(self.tick_text(t)) for t in self.ticks), default=0) * 7 + 12) / 8)
        gutter = max(24, min(gutter, 96))
        drawn = "".join(stretch)
        if self.standalone:
            return (
                f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{self.width + gutter}" '
                f'height="{self.height}" viewBox="{-gutter} 0 {self.width + gutter} {self.height}" '
                f'font-family="Helvetica, Arial, sans-serif">{text}{"".join(back)}{drawn}{"".join(front)}</svg>'
            )
        return (
            f'<div class="chart gutter-{gutter}"{data}>'
            f'<svg role="img" tabindex="0" width="100%" height="{self.height}" '
            f'aria-label="{escape(title)}. {escape(desc)}">{text}{"".join(back)}'
            f'<svg width="100%" height="{self.plot + 4}" viewBox="0 0 {self.width} {self.plot + 4}" '
            f'preserveAspectRatio="none">{drawn}</svg>{"".join(front)}</svg>{legend}</div>'
        )

    def data(self, zone: tzinfo) -> str:
        name = escape(str(getattr(zone, "key", None) or "UTC"))
        return (
            f' data-chart="" data-start="{self.start:.3f}" data-end="{self.end:.3f}" data-zone="{name}" '
            f'data-divisor="{self.scale.divisor:g}" data-unit="{escape(self.scale.suffix)}"'
        )


def _readout(points: Sequence[Known], sheet: _Sheet) -> str:
    """Return at most one point per pixel column (its highest) as "seconds:value …" for the hover readout."""
    best: dict[int, Known] = {}
    for t, v in points:
        column = int(sheet.px(t))
        if column not in best or v > best[column][1]:
            best[column] = (t, v)
    return " ".join(f"{t - sheet.start:.5g}:{v:.4g}" for t, v in best.values())


def _gist(name: str, values: Sequence[float], unit: str, gaps: int) -> str:
    if not values:
        return f"{name}: no data."
    words = f"lowest {quantity(min(values), unit)}, highest {quantity(max(values), unit)}"
    open_ = "" if not gaps else ", 1 gap without data" if gaps == 1 else f", {gaps} gaps without data"
    return f"{name}: {words}, last {quantity(values[-1], unit)}{open_}."


def _span_text(start: float, end: float, zone: tzinfo) -> str:
    a, b = datetime.fromtimestamp(start, zone), datetime.fromtimestamp(end, zone)
    until = f"{b:%H:%M}" if a.date() == b.date() else f"{b.day} {b:%b %Y %H:%M}"
    return f"{a.day} {a:%b %Y %H:%M} to {until} ({getattr(zone, 'key', None) or 'UTC'})"


def _legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """Build the key under a chart from (part, tone, label); a single entry needs none."""
    if len(entries) < 2:
        return ""
    items = "".join(
        f'<li><svg width="16" height="8" aria-hidden="true">'
        f'<path d="M1 4H15" class="c-{part.replace(" ", " c-")} tone-{tone}"/></svg>{escape(label)}</li>'
        for part, tone, label in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _line_part(index: int, dash: int | None = None) -> str:
    which = min(index, 2) if dash is None else dash
    return f"line dash-{which + 1}" if which else "line"


def _nothing(sheet: _Sheet) -> str:
    x = f"{sheet.width / 2}" if sheet.standalone else "50%"
    paint = sheet.paint("label")
    return f'<text x="{x}" y="{sheet.plot / 2:.0f}" text-anchor="middle" {paint}>no data in this range</text>'


def line_chart(
    series: Sequence[Series],
    *,
    start: float,
    end: float,
    unit: str,
    threshold: Threshold | None = None,
    marks: Sequence[Mark] = (),
    down: Sequence[Interval] = (),
    zone: tzinfo = UTC,
    title: str = "",
    gap_s: float | None = None,
    width: int = 640,
    height: int = 176,
    many: bool = False,
    from_zero: bool = True,
    standalone: bool = False,
) -> str:
    """Draw up to three lines over the same time; the first has a soft area, the others differ by dash as well.

    Args:
        many: draw more of them, without an area and a key; the page lists them beside it.
        from_zero: whether the axis begins at 0 though all values are far from it.
    """
    sheet = _Sheet(start, end, width, height, standalone=standalone)
    runs = [segments(s.points, start, end, gap_s) for s in series]
    flat = [[p for run in rs for p in run] for rs in runs]
    values = [v for points in flat for _, v in points]
    limits = [threshold.value] if threshold else []
    lowest = [0.0] if from_zero or not values else []
    sheet.fit(min([*lowest, *values, *limits]), max([*values, *limits], default=1.0), unit)
    inner: list[str] = []
    for gone in down:
        left, right = max(gone.start, start), min(gone.end, end)
        if right <= left:
            continue
        x, w = sheet.px(left), max(sheet.px(right) - sheet.px(left), 1)
        inner.append(
            f"<g><title>{escape(gone.label)}</title>"
            f'<rect x="{x:.1f}" y="0" width="{w:.1f}" height="{sheet.plot}" {sheet.paint("down", gone.tone)}/>'
            f'<path d="M{x:.1f} {sheet.plot}h{w:.1f}" {sheet.paint("edge", gone.tone)}/></g>'
        )
    inner_lines: list[str] = []
    for i, (one, rs) in enumerate(zip(series, runs, strict=True)):
        thin = [decimate(run, start, end, width) for run in rs]
        part = _line_part(i, one.dash)
        base = sheet.y(max(0.0, sheet.low))
        for run in thin:
            if len(run) > 1 and i == 0 and not many:
                closed = (
                    f"{sheet.path(run)}L{sheet.px(run[-1][0]):.1f} {base:.1f} {sheet.px(run[0][0]):.1f} {base:.1f}Z"
                )
                inner.append(f'<path d="{closed}" {sheet.paint("area", one.tone)}/>')
        joined = "".join(sheet.path(run) for run in thin if len(run) > 1)
        alone = "".join(f"{sheet.path(run)}h0" for run in thin if len(run) == 1)
        readout = "" if standalone else f' data-label="{escape(one.label)}" data-points="{_readout(flat[i], sheet)}"'
        inner_lines.append(f'<path d="{joined}" {sheet.paint(part, one.tone)}{readout}/>')
        if alone:
            inner_lines.append(f'<path d="{alone}" {sheet.paint("dot", one.tone)}/>')
    ends = [(one, points[-1]) for one, points in zip(series, flat, strict=True) if points]
    dots = [
        f'<circle cx="{sheet.x(t)}" cy="{sheet.y(v):.1f}" r="4" {sheet.paint("end", one.tone)}/>'
        for one, (t, v) in ends
    ]
    front = [*(sheet.limit(threshold) if threshold else []), *sheet.marks(marks), *dots]
    if not values:
        front.append(_nothing(sheet))
    told = list(zip(series, flat, runs, strict=True))
    gist = " ".join(_gist(s.label, [v for _, v in p], unit, max(len(r) - 1, 0)) for s, p, r in told[:LINES_TOLD])
    if len(told) > LINES_TOLD:
        gist += f" And {len(told) - LINES_TOLD} more lines."
    outages = f" {len(down)} {'outage' if len(down) == 1 else 'outages'} shaded." if down else ""
    return sheet.frame(
        sheet.axes(zone),
        [*inner, *inner_lines],
        front,
        title=title or ", ".join(s.label for s in series) or "Chart",
        desc=f"{_span_text(start, end, zone)}. {gist}{outages}",
        data=sheet.data(zone),
        legend="" if many else _legend([(_line_part(i, s.dash), s.tone, s.label) for i, s in enumerate(series)]),
    )


def stacked_area(
    times: Sequence[float],
    layers: Sequence[tuple[str, Sequence[float | None]]],
    *,
    start: float,
    end: float,
    unit: str,
    zone: tzinfo = UTC,
    title: str = "",
    gap_s: float | None = None,
    width: int = 640,
    height: int = 176,
    standalone: bool = False,
) -> str:
    """Draw layers on top of each other, the first at the bottom: latency by phase, for one.

    `layers` are (label, one value per time). A time at which every layer is missing is a gap; below zero counts as 0.
    """
    sheet = _Sheet(start, end, width, height, standalone=standalone)
    columns = list(zip(*(layer for _, layer in layers), strict=True)) if layers else []
    totals: list[Point] = []
    heights: dict[float, list[float]] = {}
    for t, column in zip(times, columns, strict=True):
        clean = [known(v) for v in column]
        if all(v is None for v in clean):
            totals.append((t, None))
            continue
        tops, reached = [0.0], 0.0
        for v in clean:
            reached = min(reached + max(v or 0.0, 0.0), LIMIT)
            tops.append(reached)
        heights[t] = tops
        totals.append((t, reached))
    runs = segments(totals, start, end, gap_s)
    flat = [p for run in runs for p in run]
    sheet.fit(0.0, max((v for _, v in flat), default=1.0), unit)
    # All layers keep the same instants, chosen by the total, so that the bands stay flush and peaks survive.
    thin = [sorted({t for t, _ in decimate(run, start, end, width)}) for run in runs]
    inner: list[str] = []
    for i, (label, _) in enumerate(layers):
        tone = f"phase-{i % 5 + 1}"
        d = ""
        for instants in thin:
            upper = [(t, heights[t][i + 1]) for t in instants]
            lower = [(t, heights[t][i]) for t in reversed(instants)]
            if len(instants) == 1:  # one sample alone is drawn as a bar two units wide
                x, a, b = sheet.px(instants[0]), sheet.y(upper[0][1]), sheet.y(lower[0][1])
                d += f"M{x - 1:.1f} {a:.1f}h2V{b:.1f}h-2Z"
            else:
                d += f"{sheet.path(upper)}L{sheet.path(lower)[1:]}Z"
        shown = [(t, heights[t][i + 1] - heights[t][i]) for t, _ in flat]
        readout = "" if standalone else f' data-label="{escape(label)}" data-points="{_readout(shown, sheet)}"'
        inner.append(f'<path d="{d}" {sheet.paint("band", tone)}{readout}/>')
    gaps = max(len(runs) - 1, 0)
    last = ", ".join(
        f"{label} {quantity(heights[flat[-1][0]][i + 1] - heights[flat[-1][0]][i], unit)}"
        for i, (label, _) in enumerate(layers)
        if flat
    )
    return sheet.frame(
        sheet.axes(zone),
        inner,
        [] if flat else [_nothing(sheet)],
        title=title or "Time by phase",
        desc=f"{_span_text(start, end, zone)}. {_gist('Total', [v for _, v in flat], unit, gaps)}"
        + (f" Last: {last}." if last else ""),
        data=sheet.data(zone) + ' data-stacked=""',
        legend=_legend([("swatch", f"phase-{i % 5 + 1}", label) for i, (label, _) in enumerate(layers)]),
    )


def day_tone(uptime: float | None) -> str:
    """Name the tone of a day: "none" (not measured), "ok" (whole), "warn" (99 % or better), else "bad"."""
    if uptime is None:
        return "none"
    return "ok" if uptime >= 1 else "warn" if uptime >= 0.99 else "bad"


def day_text(day: Day) -> str:
    """Describe one day in words."""
    share = "not measured" if day.uptime is None else f"{write_percent(day.uptime * 100)}{NBSP}% up"
    return f"{day.label}: {share}{', ' + day.detail if day.detail else ''}"


def uptime_bar(
    days: Sequence[Day],
    *,
    title: str = "Uptime",
    height: int = 20,
    readout: bool = True,
    standalone: bool = False,
) -> str:
    """Draw one strip per day, oldest first. A bad day is a full dark strip, a scratched one is notched at the top,
    an unmeasured one is a stub: the shape tells them apart without the colour.

    With `readout` each day's words travel along for the pointer and the arrow keys; a long list goes without.
    """
    width = max(len(days), 1) * 4
    sheet = _Sheet(0, 1, width, height + 24, standalone=standalone)
    # A run of equal days is one thick dashed line, all of a kind one path: a list of a thousand bars stays small.
    thick = {"ok": height - 2, "warn": height - height // 2 + 2, "bad": height, "none": 4}
    lines: dict[str, str] = {}
    for tone, run in groupby(enumerate(days), key=lambda pair: day_tone(pair[1].uptime)):
        places = [i for i, _ in run]
        line = f"M{places[0] * 4 + 0.5:g} {height - thick[tone] / 2:g}h{len(places) * 4 - 1}"
        lines[tone] = lines.get(tone, "") + line
    drawn = ""
    for tone, line in lines.items():
        paint = sheet.paint("strip-none") if tone == "none" else sheet.paint("strip", tone)
        drawn += f'<path d="{line}" stroke-width="{thick[tone]}" stroke-dasharray="3 1" {paint}/>'
    measured = [d.uptime for d in days if d.uptime is not None]
    mean = f"{write_percent(sum(measured) / len(measured) * 100)}{NBSP}% up" if measured else "nothing measured"
    bad = sum(1 for u in measured if u < 1)
    desc = f"{len(days)} days, {mean}, {bad} {'day' if bad == 1 else 'days'} with downtime"
    text = f"<title>{escape(title)}</title><desc>{escape(desc)}</desc>"
    box = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    if standalone:
        return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>{text}{drawn}</svg>'
    words = f' data-days="{"&#10;".join(escape(day_text(d)) for d in days)}"' if readout else ""
    focus = ' tabindex="0"' if readout else ""
    return (
        f'<div class="uptime"{words}><svg role="img"{focus} width="100%" height="{height}" '
        f'viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-label="{escape(title)}: {escape(desc)}">'
        f"{text if readout else ''}{drawn}</svg></div>"
    )


def _level(value: float, low: float, span: float, height: int) -> float:
    return height - 2 - ((value / 2 - low / 2) / span if span else 0.5) * (height - 4)


def sparkline(
    values: Sequence[float | None],
    *,
    tone: str = "accent",
    label: str = "",
    width: int = 80,
    height: int = 20,
    limit: float | None = None,
    standalone: bool = False,
) -> str:
    """Draw the course of evenly spaced values, without axes, against a dashed `limit`; missing ones leave it open.

    Without `label` the line is decoration for assistive technology, so the number must stand beside it.
    """
    sheet = _Sheet(0, max(len(values) - 1, 1), width - 4, height, standalone=standalone)
    numbers = [v for v in [*map(known, values), known(limit)] if v is not None]
    low, high = min([0.0, *numbers]), max(numbers, default=1.0)
    span = high / 2 - low / 2
    last = max(len(values) - 1, 1)
    runs = [decimate(run, 0, last, width) for run in segments(enumerate(values), 0, last, 1.5)]
    line, dots = "", ""
    for run in runs:
        spots = [f"{2 + sheet.px(t):.1f} {_level(v, low, span, height):.1f}" for t, v in run]
        if len(spots) > 1:
            line += "M" + " ".join(spots)
        else:
            dots += f"M{spots[0]}h0"
    line_of_limit = ""
    if (level := known(limit)) is not None:
        y = _level(level, low, span, height)
        line_of_limit = f'<path d="M0 {y:.1f}H{width}" {sheet.paint("threshold", "bad")}/>'
    named = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    xmlns = 'xmlns="http://www.w3.org/2000/svg" ' if standalone else 'class="spark" '
    drawn = (
        line_of_limit
        + (f'<path d="{line}" {sheet.paint("line", tone)}/>' if line else "")
        + (f'<path d="{dots}" {sheet.paint("dot", tone)}/>' if dots else "")
    )
    return f'<svg {xmlns}{named} width="{width}" height="{height}" viewBox="0 0 {width} {height}">{drawn}</svg>'
