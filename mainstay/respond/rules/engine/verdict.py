"""Whether a rule that gives nothing could give something: "all is well" and "nobody looks" must not look alike.

An expression is blind if, because metrics that it names have no series at all, it can give nothing whatever happens.
`absent()` is never blind, nor is what has a fallback (`or vector(0)`). If the metrics exist but no selector matches any
series, that is told as well. Ask this only when an evaluation gave nothing, and not at every evaluation: it counts.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mainstay.observe.metrics.promql import plan
from mainstay.observe.metrics.promql.parse import Expression
from mainstay.observe.metrics.promql.plan import NAME, Kind, Matcher, MatchKind, Node, Selector
from mainstay.respond.rules.engine.outcome import Health, SourceAway

LOOKBACK_MS = 5 * 60 * 1000
HISTORY_MS = 30 * 24 * 3600 * 1000  # how far back a metric that has vanished is looked for
_TO_THE_MINUTE_MS = 60_000
_ABSENT = frozenset({"absent", "absent_over_time"})

Count = Callable[[Sequence[Matcher], int, int], int]
"""How many samples match in (after_ms, until_ms], about; 0 only if there is none. `Source.count` is one.

It may raise SourceAway."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a rule is that gave nothing, why, and the selectors without series. A missing metric has `last_seen_ms`."""

    health: Health
    reason: str = ""
    missing: tuple[str, ...] = ()
    last_seen_ms: int | None = None


def verdict(expression: Expression, count: Count, at_ms: int, *, lookback_ms: int = LOOKBACK_MS) -> Verdict:
    """Return whether `expression` can give something at `at_ms`. A source that is away gives UNKNOWN."""
    try:
        return _judged(expression, count, at_ms, lookback_ms)
    except SourceAway as error:
        return Verdict(Health.UNKNOWN, str(error))


def unseen(expression: Expression, count: Count, after_ms: int, at_ms: int) -> tuple[str, ...]:
    """Return the metrics without a sample in (after_ms, at_ms] for want of which `expression` can give nothing.

    Raises:
        SourceAway.
    """
    looks = _Looks(lambda matchers, _after, _until: count(matchers, after_ms, at_ms), at_ms, LOOKBACK_MS)
    return tuple(dict.fromkeys(shown(_by_name(selector)) for selector in looks.blind(expression.node, 0, 0)))


def _judged(expression: Expression, count: Count, at_ms: int, lookback_ms: int) -> Verdict:
    looks = _Looks(count, at_ms, lookback_ms)
    blind = looks.blind(expression.node, 0, 0)
    if blind:
        names = tuple(dict.fromkeys(shown(_by_name(selector)) for selector in blind))
        last = max((seen for selector in blind if (seen := looks.last_seen(selector)) is not None), default=None)
        if last is not None:
            when = f"{datetime.fromtimestamp(last / 1000, UTC):%Y-%m-%d %H:%M}Z"
            reason = f"no series of {' or '.join(names)} is left; it was last seen {when}"
        else:
            reason = f"there is no series of {' or '.join(names)}, nor was there in {HISTORY_MS // 86_400_000} days"
        return Verdict(Health.NO_SERIES, reason, names, last)
    unmatched = looks.blind(expression.node, 0, 0, named=False)
    if unmatched and not looks.something_matches:
        texts = tuple(dict.fromkeys(shown(selector.matchers) for selector in unmatched))
        reason = f"no series matches {' or '.join(texts)}, though the metric exists; are the labels right?"
        return Verdict(Health.NO_SERIES, reason, texts)
    return Verdict(Health.OK)


class _Looks:
    """Walks an expression and asks for what its selectors look at."""

    def __init__(self, count: Count, at_ms: int, lookback_ms: int) -> None:
        self._count = count
        self._at_ms = at_ms
        self._lookback_ms = lookback_ms
        self.something_matches = False  # some selector does, with all its labels

    def blind(self, node: Node, back_ms: int, width_ms: int, *, named: bool = True) -> list[Selector]:
        """Return the selectors because of which `node` can give nothing; none if it can.

        `back_ms` is how far the window that is looked at has been moved back, `width_ms` its width (0: the lookback).
        `named` counts a selector as seeing something if its metric exists, whatever its labels.
        """

        def below(child: Node, back_ms: int = back_ms, width_ms: int = width_ms) -> list[Selector]:
            return self.blind(child, back_ms, width_ms, named=named)

        match node:
            case Selector():
                return [] if self._sees(node, back_ms, width_ms, named=named) else [node]
            case plan.Range():
                return below(node.selector, width_ms=width_ms + node.range_ms)
            case plan.Subquery():
                return below(node.inner, back_ms + node.offset_ms, width_ms + node.range_ms)
            case plan.Call() if node.function in _ABSENT:
                return []
            case plan.Binary() if node.operator == "or":
                left, right = below(node.left), below(node.right)
                return [*left, *right] if left and right else []
            case plan.Binary() if node.operator == "unless":
                return below(node.left)
            case _:
                found = [each for child in plan.children(node) for each in below(child)]
                return [] if node.kind is Kind.SCALAR else found  # scalar() of nothing is NaN, which is something

    def _sees(self, selector: Selector, back_ms: int, width_ms: int, *, named: bool) -> bool:
        until = selector.at if isinstance(selector.at, int) else self._at_ms
        until -= back_ms + selector.offset_ms
        after = until - max(width_ms, self._lookback_ms)
        if self._count(selector.matchers, after, until):
            self.something_matches = True
            return True
        return named and bool(self._count(_by_name(selector), after, until))

    def last_seen(self, selector: Selector) -> int | None:
        """Return when the metric had its last sample, to the minute; None if not within the history that is kept."""
        matchers = _by_name(selector)
        until, width = self._at_ms, self._lookback_ms
        while True:  # go back in steps that double, then halve the step in which it was found
            after = max(self._at_ms - HISTORY_MS, until - width)
            if self._count(matchers, after, until):
                break
            if after <= self._at_ms - HISTORY_MS:
                return None
            until, width = after, width * 2
        while until - after > _TO_THE_MINUTE_MS:
            middle = (after + until) // 2
            if self._count(matchers, middle, until):
                after = middle
            else:
                until = middle
        return until


def _by_name(selector: Selector) -> tuple[Matcher, ...]:
    """Return the matchers of the metric's name alone; all of them if the selector names no metric."""
    named = tuple(matcher for matcher in selector.matchers if matcher.name == NAME)
    return named or selector.matchers


def shown(matchers: Sequence[Matcher]) -> str:
    """Return matchers as PromQL has them."""
    name = next((one.value for one in matchers if one.name == NAME and one.kind is MatchKind.EQUAL), "")
    rest = [one for one in matchers if not (name and one.name == NAME and one.kind is MatchKind.EQUAL)]
    inside = ", ".join(f"{one.name}{one.kind.value}{json.dumps(one.value, ensure_ascii=False)}" for one in rest)
    return f"{name}{{{inside}}}" if inside or not name else name
