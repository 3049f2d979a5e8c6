"""The value of a rule against its threshold: charts of one rule, and small courses for the list.

The web process has no evaluator: what is drawn is asked of whoever keeps the samples, briefly and not again within a
minute.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from mainstay.kit import charts
from mainstay.kit.scales import quantity
from mainstay.observe.metrics.client import BadQuery, Curve, MetricsAway
from mainstay.observe.metrics.durations import written
from mainstay.observe.metrics.pages import asking, units
from mainstay.observe.metrics.pages.asking import Memory
from mainstay.observe.metrics.pages.explore import Line, in_common, name_of
from mainstay.observe.metrics.pages.units import Unit
from mainstay.respond.rules.pages.comparison import Comparison, comparison

SPARK_S, SPARK_STEP_S = 3600, 60
SPARKS_AT_ONCE_S = 3.0  # so long a batch asks; the rest comes with the next
LINES_MOST = 6
ANSWERS_MOST = 200
HEIGHT = 220
_LINE_TONES = ("accent", "phase-3", "phase-1", "phase-5", "phase-2", "quiet")
_sparks = Memory(60.0)


@dataclass(frozen=True, slots=True)
class Watched:
    """What of an expression is drawn: its left side and the threshold it is compared with, in the unit shown."""

    text: str
    comparison: Comparison | None
    unit: Unit

    @classmethod
    def of(cls, expr: str) -> "Watched":
        """Read an expression."""
        found = comparison(expr)
        text = found.left if found is not None else expr.strip()
        return cls(text, found, units.of(text))

    @property
    def number(self) -> float | None:
        """The threshold as it is shown; None where there is none, or no number."""
        if self.comparison is None or self.comparison.number is None:
            return None
        return self.comparison.number * self.unit.factor

    @property
    def limit_words(self) -> str:
        """The comparison in words: "above 5 %"."""
        if self.comparison is None:
            return ""
        words = {">": "above", ">=": "at or above", "<": "below", "<=": "at or below", "==": "at", "!=": "other than"}
        what = quantity(self.number, self.unit.shown) if self.number is not None else self.comparison.right
        return f"{words[self.comparison.operator]} {what}"

    @property
    def worst(self) -> str:
        """The aggregation to the value nearest to the threshold."""
        return self.comparison.worst if self.comparison is not None else "max"

    def holds(self, shown: float) -> bool | None:
        """Tell whether a value, as it is shown, meets the comparison."""
        return self.comparison.holds(shown / self.unit.factor) if self.comparison is not None else None


@dataclass(frozen=True, slots=True)
class Course:
    """A rule's value over time, drawn, and what it is now."""

    chart: SafeString
    lines: Sequence[Line] = ()
    total: int = 0
    away: str = ""
    problem: str = ""
    now: float | None = None  # the last value nearest to the threshold, as it is shown
    note: str = ""


def ask_lines(watched: Watched, start: float, end: float, step_s: float) -> tuple[list[Curve], int]:
    """Return the courses nearest to the threshold, at most `LINES_MOST`, and how many there are.

    Raises:
        MetricsAway, BadQuery.
    """
    client = asking.client()
    pick = "bottomk" if watched.worst == "min" else "topk"
    try:
        counted = client.query(f"count((\n{watched.text}\n))", end)
        total = int(counted[0].value) if counted else 0
    except BadQuery:
        total = 0  # a number, or broken: the next question tells
    text = watched.text if total <= ANSWERS_MOST else f"{pick}({LINES_MOST}, (\n{watched.text}\n))"
    curves = [curve for curve in client.query_range(text, start, end, step_s) if curve.points]
    return nearest(curves, watched), max(total if text != watched.text else 0, len(curves))


def nearest(curves: Sequence[Curve], watched: Watched) -> list[Curve]:
    """Return the courses whose last values lie nearest to the threshold, or beyond it."""

    def key(curve: Curve) -> tuple[bool, float]:
        value = curve.points[-1][1]
        return value != value, value if watched.worst == "min" else -value

    return sorted(curves, key=key)[:LINES_MOST]


def course(
    expr: str,
    start: float,
    end: float,
    step_s: float,
    zone: tzinfo,
    *,
    for_s: float = 0.0,
    shaded: Sequence[charts.Interval] = (),
    marks: Sequence[charts.Mark] = (),
    narrow_to: Callable[[Curve], bool] | None = None,
    height: int = HEIGHT,
) -> Course:
    """Draw what an expression watches against its threshold.

    Args:
        narrow_to: which of the series are meant, when not all.
    """
    watched = Watched.of(expr)
    try:
        curves, total = ask_lines(watched, start, end, step_s)
    except MetricsAway as error:
        return Course(mark_safe(""), away=str(error))
    except BadQuery as error:
        return Course(mark_safe(""), problem=str(error))
    if narrow_to is not None:
        fitting = [curve for curve in curves if narrow_to(curve)]
        if fitting:
            curves, total = fitting, len(fitting)
    return drawn(
        watched, curves, total, start, end, step_s, zone, for_s=for_s, shaded=shaded, marks=marks, height=height
    )


def drawn(
    watched: Watched,
    curves: Sequence[Curve],
    total: int,
    start: float,
    end: float,
    step_s: float,
    zone: tzinfo,
    *,
    for_s: float = 0.0,
    shaded: Sequence[charts.Interval] = (),
    marks: Sequence[charts.Mark] = (),
    height: int = HEIGHT,
) -> Course:
    """Draw courses against the threshold."""
    factor = watched.unit.factor
    common = in_common([curve.labels for curve in curves])
    lines, series = [], []
    for index, curve in enumerate(curves):
        points = [(at, value * factor) for at, value in curve.points]
        tone, dash = _LINE_TONES[index % len(_LINE_TONES)], 1 if index else 0
        lines.append(Line(curve.labels, points, tone, dash, points[-1][1]))
        metric, own = name_of(curve.labels, common, "value")
        series.append(charts.Series(", ".join(value for _, value in own) or metric, points, tone, dash))
    limit = None
    if watched.number is not None:
        held = f" for {written(for_s)}" if for_s else ""
        limit = charts.Threshold(watched.number, f"fires {watched.limit_words}{held}")
    svg = charts.line_chart(
        series, start=start, end=end, unit=watched.unit.shown, threshold=limit, down=shaded, marks=marks, zone=zone,
        gap_s=step_s * 1.5, height=height, width=880, title="Value of the rule",
    )  # fmt: skip
    note = ""
    if total > len(curves):
        which = "lowest" if watched.worst == "min" else "highest"
        note = f"The {len(curves)} {which} of {total:,} series are drawn."
    values = [line.last for line in lines if line.last is not None and line.points[-1][0] >= end - 2 * step_s]
    pick = min if watched.worst == "min" else max
    return Course(mark_safe(svg), lines, total, now=pick(values, default=None), note=note)  # noqa: S308 - charts escape


def because(expr: str, found: Course, *, for_s: float, firing: int, pending: int) -> str:
    """Say why the rule fires or does not, by the value it has now."""
    watched = Watched.of(expr)
    if found.away or found.problem:
        return ""
    held = f", held for {written(for_s)}" if for_s else ""
    if watched.comparison is None:
        return "" if firing or pending else f"It fires for every series that the expression gives{held}."
    if found.now is None:
        return "Its expression gives no value now."
    which = "lowest" if watched.worst == "min" else "highest"
    subject = "The value" if found.total == 1 else f"The {which} of {found.total:,} values"
    value = quantity(found.now, watched.unit.shown)
    if watched.number is None:
        return f"{subject} is {value}; it fires {watched.limit_words}{held}."
    if watched.holds(found.now):
        return f"{subject} is {value}, which is {watched.limit_words}."
    return f"{subject} is {value}; it fires {watched.limit_words}{held}."


# --- small courses for the list -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spark:
    """The course of an hour, drawn small, and the last value in words; both empty when there is none."""

    svg: SafeString
    value: str = ""


NOTHING = Spark(mark_safe(""))


def known_spark(expr: str) -> Spark | None:
    """Return a course that was asked for a short while ago; nothing is asked."""
    found = _sparks.peek(expr)
    return found if isinstance(found, Spark) else None


def sparks(exprs: Sequence[str], now: float) -> tuple[dict[str, Spark], str]:
    """Return the courses of expressions, as many as can be asked in a few seconds, and why the source is away."""
    found: dict[str, Spark] = {}
    until = time.monotonic() + SPARKS_AT_ONCE_S
    for expr in dict.fromkeys(exprs):
        if time.monotonic() > until:
            break
        try:
            found[expr] = _sparks.get(expr, lambda expr=expr: _spark(expr, now))  # type: ignore[misc]
        except MetricsAway as error:
            return found, str(error)
    return found, ""


def forget() -> None:
    """Forget what was asked, for tests."""
    _sparks.forget()


def _spark(expr: str, now: float) -> Spark:
    watched = Watched.of(expr)
    end = float(int(now))
    start = end - SPARK_S
    text = f"{watched.worst}((\n{watched.text}\n))"
    try:
        try:
            curves = asking.client().query_range(text, start, end, SPARK_STEP_S)
        except BadQuery:  # of a number there is no maximum
            curves = asking.client().query_range(watched.text, start, end, SPARK_STEP_S)
    except BadQuery:
        return NOTHING
    if not curves or (watched.comparison is None and watched.text.lower().startswith("absent")):
        return NOTHING
    return spark_of(curves[0], watched, start)


def spark_of(curve: Curve, watched: Watched, start: float) -> Spark:
    """Draw one course small, against the threshold."""
    by_place: dict[int, float] = {round((at - start) / SPARK_STEP_S): value for at, value in curve.points}
    values: list[Any] = [by_place.get(place) for place in range(SPARK_S // SPARK_STEP_S + 1)]
    shown = [None if value is None else value * watched.unit.factor for value in values]
    last = shown[-1] if shown[-1] is not None else shown[-2]
    tone = "bad" if last is not None and watched.holds(last) else "accent"
    svg = charts.sparkline(shown, tone=tone, width=120, height=24, limit=watched.number)
    return Spark(mark_safe(svg), quantity(last, watched.unit.shown) if last is not None else "")  # noqa: S308 - escaped
