"""What somebody asks the metrics, and what is shown of the answer. No Django, no NumPy."""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import accumulate
from statistics import fmean
from typing import Protocol

from mainstay.observe.metrics.client import BadQuery, Curve, MetricsAway, Sample
from mainstay.observe.metrics.pages import scan, units
from mainstay.observe.metrics.pages.units import Unit
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import constant
from mainstay.observe.metrics.promql.printed import series

RANGES_S = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}
RANGE_WORDS = {
    "15m": "the last 15 minutes",
    "1h": "the last hour",
    "6h": "the last 6 hours",
    "24h": "the last 24 hours",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
}
DEFAULT_RANGE = "1h"
EXPRESSIONS_MOST = 6
POINTS = 240  # about so many per line
POINTS_MOST = 10_000
SHORTEST_S, LONGEST_S = 10.0, 5 * 366 * 86_400.0
# Six colours in three dashes: a nineteenth line could not be told from the first.
DRAWN_MOST = 18
FETCHED_MOST = 200  # series; of more, only the highest are asked for
TONES = ("accent", "phase-3", "phase-1", "phase-5", "phase-2", "quiet")
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_SHORTEST_STEP_S = 5
_NAME = "__name__"
_PLACED = re.compile(r'^(?:invalid parameter "?query"?: )?(?:(\d+):(\d+): )?(?:parse error: )?(.*)$', re.DOTALL)
_QUOTED = re.compile(r"""["'`]([^"'`]{1,80})["'`]""")


class Source(Protocol):
    """Who is asked (`client.Client`)."""

    def query(self, text: str, at: float | None = None) -> list[Sample]:
        """Evaluate at one instant."""
        ...

    def query_range(self, text: str, start: float, end: float, step_s: float) -> list[Curve]:
        """Evaluate over time."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Expressions and the time they are evaluated over, in unix seconds."""

    expressions: tuple[str, ...]
    range: str  # a key of RANGES_S, or "custom"
    start: float
    end: float
    step_s: float
    step_given: str = ""
    problem: str = ""  # what is wrong with the time that was given

    @property
    def words(self) -> str:
        """The time in words."""
        return RANGE_WORDS.get(self.range, "the time you chose")


def asked(given: Mapping[str, Sequence[str]], now: float, zone: tzinfo) -> Asked:
    """Read a query string: `q` (often), `range` or `from` and `to`, `step`. What means nothing counts as absent."""
    now = float(int(now))  # whole seconds: a point at the end of the range lies within it
    texts = tuple(text.replace("\0", "").strip()[: scan.LONGEST] for text in given.get("q", ()))
    texts = tuple(text for text in texts if text)[:EXPRESSIONS_MOST]
    name = _one(given, "range")
    problem = ""
    begin, until = moment(_one(given, "from"), zone), moment(_one(given, "to"), zone)
    if (name == "custom" or (not name and begin is not None)) and begin is not None:
        name, end = "custom", min(until if until is not None else now, now + LONGEST_S)
        start = begin
        if end <= start:
            problem, start = "“From” must lie before “to”; an hour before it is shown.", end - 3600
        start = max(start, end - LONGEST_S)
        start = min(start, end - SHORTEST_S)
    else:
        if name == "custom":
            problem = "Say from when."
        name = name if name in RANGES_S else DEFAULT_RANGE
        start, end = now - RANGES_S[name], now
    step_given = _one(given, "step")
    step = _step(step_given)
    least = (end - start) / POINTS_MOST
    if step is None or step < least:
        step_given, step = "", automatic_step(end - start)
    return Asked(texts, name, start, end, step, step_given, problem)


def _one(given: Mapping[str, Sequence[str]], name: str) -> str:
    found = given.get(name, ())
    return found[0].strip() if found else ""


def moment(text: str, zone: tzinfo) -> float | None:
    """Return unix seconds of `2026-03-02T12:00` (in `zone`), of the same with an offset, or of unix seconds."""
    if re.fullmatch(r"\d{1,11}(\.\d{1,6})?", text):
        return float(text)
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return None


def _step(text: str) -> float | None:
    try:
        found = constant(parse(text).node)
    except QueryError:
        return None
    return found if found is not None and 1 <= found <= 31 * 86_400 else None


def automatic_step(length_s: float) -> float:
    """Return the step that gives about `POINTS` points."""
    wanted = max(length_s / POINTS, _SHORTEST_STEP_S)
    return float(next((step for step in _STEPS_S if step >= wanted * 0.99), 86_400))


@dataclass(frozen=True, slots=True)
class Line:
    """One series as it is shown: its labels, its course, and figures of it in the unit that is shown."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]
    tone: str = "accent"
    dash: int = 0
    last: float | None = None
    low: float | None = None
    mean: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no answer: at the expression (with the place, where it is known), or because nobody answers."""

    text: str
    away: bool = False
    line: str = ""
    column: int | None = None  # in `line`, from 0

    @property
    def before(self) -> str:
        """The line up to the place."""
        return self.line[: self.column or 0]

    @property
    def at(self) -> str:
        """The character at the place; something visible at the end of a line."""
        return self.line[self.column : (self.column or 0) + 1] or "⏎"

    @property
    def after(self) -> str:
        """The rest of the line."""
        return self.line[(self.column or 0) + 1 :]


@dataclass(frozen=True, slots=True)
class Answered:
    """An expression and what is shown of its answer."""

    expression: str
    unit: Unit
    lines: Sequence[Line] = ()
    total: int = 0
    highest_only: bool = False  # there are so many series that only the highest were asked for
    narrow_by: Sequence[tuple[str, int]] = ()  # labels that tell the series apart, and their number of values
    problem: Problem | None = None
    letter: str = ""
    common: Mapping[str, str] = field(default_factory=dict)


def answer(source: Source, text: str, times: Asked, *, letter: str = "", first_tone: int = 0) -> Answered:
    """Ask one expression. Whatever goes wrong is told in the answer."""
    unit = units.of(text)
    try:
        count = _count(source, text, times.end)
        # A line of its own: the expression may end in a comment.
        query = text if count is None or count <= FETCHED_MOST else f"topk({DRAWN_MOST}, (\n{text}\n))"
        curves = [curve for curve in source.query_range(query, times.start, times.end, times.step_s) if curve.points]
    except MetricsAway as error:
        return Answered(text, unit, problem=Problem(str(error), away=True), letter=letter)
    except BadQuery as error:
        return Answered(text, unit, problem=problem_of(str(error), text), letter=letter)
    highest_only = query != text
    shown = sorted(curves, key=_height, reverse=True)[:DRAWN_MOST]
    if len(curves) <= DRAWN_MOST:
        shown = sorted(curves, key=lambda curve: sorted(curve.labels.items()))
    lines = [_line(curve, unit.factor, first_tone + index) for index, curve in enumerate(shown)]
    total = max(len(curves), count or 0) if highest_only else len(curves)
    return Answered(
        text, unit, lines, total, highest_only, distinguishing([curve.labels for curve in curves]), letter=letter,
        common=in_common([line.labels for line in lines]),
    )  # fmt: skip


def _count(source: Source, text: str, at: float) -> int | None:
    """Return how many series there are at `at`, None for what has none to count. A broken expression is told later."""
    try:
        found = source.query(f"count((\n{text}\n))", at)
    except BadQuery:
        return None
    return int(found[0].value) if found else 0


def _height(curve: Curve) -> tuple[bool, float, float]:
    """Order: by the last value; what has ended, after what goes on."""
    at, value = curve.points[-1]
    return value == value, value if value == value else 0.0, at


def _line(curve: Curve, factor: float, index: int) -> Line:
    points = [(at, value * factor) for at, value in curve.points]
    numbers = [value for _, value in points if value - value == 0]
    return Line(
        curve.labels,
        points,
        TONES[index % len(TONES)],
        index // len(TONES) % 3,
        points[-1][1],
        min(numbers, default=None),
        fmean(numbers) if numbers else None,
        max(numbers, default=None),
    )


def distinguishing(labels: Sequence[Mapping[str, str]]) -> list[tuple[str, int]]:
    """Return the labels that tell series apart with their numbers of values, the fewest first: good to narrow by."""
    names = {name for one in labels for name in one if name != _NAME}
    counts = [(name, len({one.get(name, "") for one in labels})) for name in names]
    return sorted(((name, count) for name, count in counts if count > 1), key=lambda pair: (pair[1], pair[0]))[:4]


def in_common(labels: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the labels that all series have alike, the name among them; of one series alone, none."""
    if len(labels) < 2:
        return {}
    first = labels[0]
    return {name: first[name] for name in sorted(first) if all(one.get(name) == first[name] for one in labels)}


def name_of(
    labels: Mapping[str, str], common: Mapping[str, str], instead: str = ""
) -> tuple[str, list[tuple[str, str]]]:
    """Return a series' metric and the labels that tell it from the others; `instead` where it has neither."""
    own = [(name, labels[name]) for name in sorted(labels) if name != _NAME and common.get(name) != labels[name]]
    metric = labels.get(_NAME, "") if common.get(_NAME) != labels.get(_NAME) else ""
    return metric or (instead if not own else ""), own


def telling(labels: Sequence[Mapping[str, str]]) -> str:
    """Return the label that alone tells all series apart, the one with the shortest texts; empty where none does."""
    names = {name for one in labels for name in one if name != _NAME}
    alone = [name for name in names if len({one.get(name, "") for one in labels}) == len(labels) > 1]
    return min(alone, key=lambda name: (sum(len(one.get(name, "")) for one in labels), name), default="")


def written(labels: Mapping[str, str]) -> str:
    """Return labels as PromQL writes a series."""
    return series(labels)


def problem_of(message: str, text: str) -> Problem:
    """Return what a server said about an expression, with the place where it tells or names one."""
    hit = _PLACED.match(message.strip())
    assert hit is not None  # it matches every text
    line, column, said = hit.groups()
    said = said.strip() or message
    said = said[:1].upper() + said[1:]
    if not said.endswith((".", "!", "?")):
        said += "."
    offset: int | None = None
    if line is not None:
        offset = position(text, int(line), int(column))
    else:
        named = [word for word in _QUOTED.findall(message) if word in text]
        offset = text.find(named[0]) if named else None
        parts = scan.tokens(text)
        if offset is None and "unclosed" in said.lower() and (open_at := scan.unclosed(parts)) is not None:
            offset = parts[open_at].start
    if offset is None:
        return Problem(said)
    row, place = line_of(text, offset)
    begin = max(0, place - 60)  # a long line is shown around the place
    return Problem(said, line=row[begin : place + 60], column=place - begin)


def position(text: str, line: int, column: int) -> int:
    """Return the offset in characters of a line and column, both counted from 1."""
    starts = [0, *accumulate(len(part) for part in text.splitlines(keepends=True))]
    begin = starts[min(max(line, 1), len(starts)) - 1]
    return min(begin + max(column, 1) - 1, len(text))


def line_of(text: str, offset: int) -> tuple[str, int]:
    """Return the line in which `offset` lies, and where in it."""
    starts = [0, *accumulate(len(part) for part in text.splitlines(keepends=True))]
    index = max(0, bisect_right(starts, offset) - 1)
    rows = text.splitlines() or [""]
    index = min(index, len(rows) - 1)
    return rows[index], min(offset - starts[index], len(rows[index]))
