"""What a rule would have done: its states gone through again over samples of the past, before it wakes anybody.

`go_through` is a pure function over courses, as a range query gives them; `replay` asks for them. It is as exact as the
step that is told with it; templates of labels that ask queries find nothing here. No NumPy: the web process runs this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mainstay.observe.metrics.client import BadQuery, Curve, MetricsAway
from mainstay.observe.metrics.pages import asking
from mainstay.observe.metrics.pages.explore import automatic_step
from mainstay.respond.rules.engine import state
from mainstay.respond.rules.engine.state import Code, Found, Instance, Labels
from mainstay.respond.rules.pages.drawing import LINES_MOST, Watched, nearest
from mainstay.respond.rules.spec import RuleSpec
from mainstay.respond.rules.template import Template, TemplateProblem

RANGES_S = {"1h": 3_600, "24h": 86_400, "7d": 604_800}
RANGE_WORDS = {"1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days"}
_STEPS_S = {"1h": 15.0, "24h": 60.0, "7d": 60.0}
POINTS_MOST = 400_000  # series × steps that are asked for; beyond it the steps grow
SERIES_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule that is being written, as `state.step` knows rules."""

    alert: str
    for_ms: int
    keep_firing_for_ms: int
    label_templates: Mapping[str, Template]
    annotation_templates: Mapping[str, Template] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: RuleSpec) -> "Draft":
        """Compile what of a specification decides; a template that cannot be read is left out."""
        compiled = {}
        for name, text in sorted(spec.labels.items()):
            try:
                compiled[name] = Template.compile(text)
            except TemplateProblem:
                continue
        return cls(spec.name, round(spec.for_ * 1000), round(spec.keep_firing_for * 1000), compiled)


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which at least one alert of the rule was in a state; unix seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Gone:
    """What became of a rule over the range: how often it fired, when, and what never came so far."""

    fired: int = 0
    cancelled: int = 0  # the condition ended before `for` was over
    firing: Sequence[Span] = ()
    pending: Sequence[Span] = ()

    @property
    def firing_s(self) -> float:
        """How long at least one alert fired."""
        return sum(span.end - span.start for span in self.firing)


def go_through(draft: Draft, curves: Sequence[Curve], start: float, end: float, step_s: float) -> Gone:
    """Go through the states of a rule for the courses that its expression gave from `start` every `step_s`.

    Steps at which nothing holds and nothing waits cost nothing.
    """
    rule = cast("Any", draft)  # it has all that is asked of a rule there
    holding: dict[int, dict[str, Found]] = {}
    for curve in curves:
        if not curve.points:
            continue
        scope = state.scope_of(curve.labels, curve.points[0][1], round(start * 1000), state.NOTHING_AROUND)
        labels = state.identified(rule, curve.labels, scope)
        key = state.fingerprint(labels)
        for at, value in curve.points:
            holding.setdefault(round((at - start) / step_s), {})[key] = Found(labels, _NONE, value)
    opened: dict[tuple[str, str], float] = {}
    spans: dict[str, list[Span]] = {"pending": [], "firing": []}
    fired = cancelled = 0
    active: Mapping[str, Instance] = {}
    last = round((end - start) / step_s)
    index = 0
    places = sorted(place for place in holding if 0 <= place <= last)
    upcoming = iter([*places, last + 1])
    following = next(upcoming)
    while index <= last:
        while following < index:
            following = next(upcoming)
        if not active and following > index:
            index = following
            continue
        at = start + index * step_s
        stepped = state.advance(rule, active, holding.get(index, _NOTHING), round(at * 1000))
        # What has resolved is kept there for a while; here it is over.
        active = {key: one for key, one in stepped.instances.items() if one.is_active}
        for change in stepped.changes:
            if change.code is Code.PENDING:
                opened["pending", change.fingerprint] = at
            elif change.code is Code.FIRED:
                fired += 1
                _close(opened, spans, "pending", change.fingerprint, at)
                opened["firing", change.fingerprint] = at
            elif change.code is Code.CANCELLED:
                cancelled += 1
                _close(opened, spans, "pending", change.fingerprint, at)
            elif change.code is Code.RESOLVED:
                _close(opened, spans, "firing", change.fingerprint, at)
        index += 1
    for kind, key in list(opened):
        _close(opened, spans, kind, key, end)
    return Gone(fired, cancelled, united(spans["firing"]), united(spans["pending"]))


_NONE: Labels = {}
_NOTHING: Mapping[str, Found] = {}


def _close(opened: dict[tuple[str, str], float], spans: dict[str, list[Span]], kind: str, key: str, at: float) -> None:
    begin = opened.pop((kind, key), None)
    if begin is not None:
        spans[kind].append(Span(begin, at))


def united(spans: Sequence[Span]) -> list[Span]:
    """Return times that overlap or touch as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay and what is drawn of it."""

    name: str  # of the range
    start: float
    end: float
    step_s: float
    gone: Gone
    watched: Watched
    lines: Sequence[Curve]
    lines_step_s: float
    total: int
    since: float | None  # the first sample, when the range begins before it

    @property
    def words(self) -> str:
        """The range in words."""
        return RANGE_WORDS[self.name]


def replay(spec: RuleSpec, name: str, now: float) -> Replayed:
    """Replay a rule over a range of `RANGES_S`.

    Raises:
        MetricsAway, BadQuery.
    """
    client = asking.client()
    length, step = RANGES_S[name], _STEPS_S[name]
    watched = Watched.of(spec.expr)
    total = _count(watched.text, now)
    if total > SERIES_MOST:
        raise BadQuery(
            f"it looks at {total:,} series, and {SERIES_MOST:,} can be replayed here; the rule itself may have them all"
        )
    while total * length / step > POINTS_MOST:
        step *= 2
    end = float(int(now))
    start = end - length
    curves = client.query_range(spec.expr, start, end, step)
    if watched.comparison is None:
        lines, lines_step = curves, step
    else:
        lines_step = step if max(total, 1) <= LINES_MOST else max(step, automatic_step(length))
        few = total <= 50
        pick = "bottomk" if watched.worst == "min" else "topk"
        text = watched.text if few else f"{pick}({LINES_MOST}, (\n{watched.text}\n))"
        lines = client.query_range(text, start, end, lines_step)
    lines = [curve for curve in lines if curve.points]
    first = min((curve.points[0][0] for curve in lines), default=None)
    return Replayed(
        name, start, end, step,
        go_through(Draft.of(spec), curves, start, end, step),
        watched, nearest(lines, watched), lines_step, max(total, len(lines)),
        first if first is not None and first > start + 3 * step else None,
    )  # fmt: skip


def _count(text: str, at: float) -> int:
    try:
        found = asking.client().query(f"count((\n{text}\n))", at)
    except BadQuery:
        return 1
    return int(found[0].value) if found else 0


__all__ = ["BadQuery", "Draft", "Gone", "MetricsAway", "Replayed", "Span", "go_through", "replay", "united"]
