"""Whom rules ask: the store of this monitor, or the server that METRICS_URL names. The answers are alike."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import numpy as np

from mainstay.foundation.words.text import storable
from mainstay.observe.metrics.client import BadQuery, Client, MetricsAway
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Kind, Matcher
from mainstay.observe.metrics.promql.query import Round
from mainstay.observe.metrics.store import BadLabels, CardinalityExceeded, Layout, Store, Stream
from mainstay.respond.rules.engine.outcome import Rows, RuleFails, SourceAway
from mainstay.respond.rules.engine.state import Labels, Vector
from mainstay.respond.rules.engine.verdict import shown

JOB = "rules"
DEADLINE_S = 10.0  # of one expression: one that is too dear must not hold up the others' pages
OWN_RULES = "METRICS_URL is set: that server evaluates recording rules, from its own rule files"


class Instant(Protocol):
    """One instant at which many expressions are evaluated; the same expression is evaluated once."""

    records: bool
    """Whether what recording rules make can be kept."""

    def ask(self, text: str) -> Vector:
        """Return what an expression gives; a number is one series without labels.

        Raises:
            QueryError, SourceAway.
        """
        ...

    def record(self, key: str, rows: Rows) -> None:
        """Keep series that a rule makes at this instant. What it made before and does not make now ends here.

        Raises:
            RuleFails: they cannot be kept.
        """
        ...

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Return about how many samples match in (after_ms, until_ms]; 0 only if there is none.

        Raises:
            SourceAway.
        """
        ...


class Source(Protocol):
    """Where instants come from."""

    def at(self, at_ms: int) -> Instant:
        """Return an instant (unix milliseconds)."""
        ...

    def keep(self, keys: Collection[str]) -> None:
        """End what was recorded under other keys, also before this process began: those rules are gone."""
        ...


def _storable(found: Vector) -> Vector:
    """Make labels that a database refuses storable. Of series that become equal by that, the first counts."""
    whole = "".join("".join((*labels, *labels.values())) for labels, _ in found)
    if storable(whole) == whole:
        return found
    kept: dict[tuple[tuple[str, str], ...], tuple[Labels, float]] = {}
    for labels, value in found:
        plain = {storable(name): storable(text) for name, text in labels.items()}
        kept.setdefault(tuple(plain.items()), (plain, value))
    return list(kept.values())


# --- the embedded store -----------------------------------------------------------------------------------------------


class StoreSource:
    """Asks the store of this process.

    Args:
        seconds: a clock that only runs forward, for deadlines.
    """

    def __init__(self, store: Store, seconds: Callable[[], float]) -> None:
        self.store = store
        self.seconds = seconds
        self.streams: dict[str, Stream] = {}
        self.layouts: dict[str, tuple[tuple[Any, ...], Layout]] = {}

    def at(self, at_ms: int) -> "StoreInstant":
        """Return an instant of the store."""
        return StoreInstant(self, at_ms)

    def keep(self, keys: Collection[str]) -> None:
        """End the other streams of rules."""
        for gone in self.streams.keys() - keys:
            del self.streams[gone]
            self.layouts.pop(gone, None)
        self.store.end_others(JOB, keys)


class _Deadline:
    """Ends an expression that takes too long.

    An object of its own: were it a method of the instant, the two would hold each other, and what a round has evaluated
    (some 60 MiB over 100,000 series) would wait for the garbage collector, which comes seldom.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._until = 0.0

    def begin(self) -> None:
        """Count from now."""
        self._until = self._seconds() + DEADLINE_S

    def __call__(self) -> None:
        """Raise when the time is over."""
        if self._seconds() > self._until:
            raise QueryError(f"It takes longer than {DEADLINE_S:g} s. Ask for less, or record a part of it by a rule.")


class StoreInstant:
    """One instant of the store.

    Expressions share what has been evaluated already. One that reads a metric which a rule has recorded at this very
    instant is evaluated apart, so that it sees it. (A selector without a metric's name shares nevertheless: it may miss
    what was recorded a moment ago.)
    """

    records = True

    def __init__(self, source: StoreSource, at_ms: int) -> None:
        self._source = source
        self._at_ms = at_ms
        self._deadline = _Deadline(source.seconds)
        self._round = self._new_round()
        self._fresh: set[str] = set()

    def _new_round(self) -> Round:
        return Round(self._source.store, self._at_ms, Limits(deadline=self._deadline))

    def ask(self, text: str) -> Vector:
        """Evaluate."""
        expression = parse(text)
        self._deadline.begin()
        apart = bool(self._fresh) and any(selector.metric in self._fresh for selector in expression.selectors())
        result = (self._new_round() if apart else self._round).evaluate(expression)
        if result.kind is Kind.SCALAR:
            return [({}, result.scalar)]
        if result.kind is not Kind.VECTOR:
            raise QueryError(f"It gives a {result.kind.value}; a rule needs an instant vector or a number.")
        if not len(result):
            return ()
        return _storable([(labels, points[0][1]) for labels, points in result.rows()])

    def record(self, key: str, rows: Rows) -> None:
        """Write a column into the store."""
        source = self._source
        stream = source.streams.get(key)
        fresh = stream is None  # since the start: the store may have series of before
        if stream is None:
            stream = source.streams[key] = source.store.stream(key, JOB)
        try:
            if not rows:
                if source.layouts.pop(key, None) is not None or fresh:
                    stream.end(self._at_ms)
                return
            names = tuple(tuple(labels.items()) for labels, _ in rows)
            known = source.layouts.get(key)
            if known is None or known[0] != names:
                known = (names, source.store.layout([labels for labels, _ in rows], JOB))
                source.layouts[key] = known
            # Refused, and counted, when it is evaluated again after a commit that failed: the column is there.
            stream.put(self._at_ms, known[1], np.array([value for _, value in rows], np.float64))
        except (CardinalityExceeded, BadLabels) as error:
            raise RuleFails(str(error)) from None
        self._fresh.update(labels["__name__"] for labels, _ in rows)

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Ask the store."""
        return self._source.store.count(matchers, after_ms, until_ms)


# --- another server ---------------------------------------------------------------------------------------------------


class ServerSource:
    """Asks a Prometheus-compatible server. It evaluates its own recording rules, so none are evaluated here."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def at(self, at_ms: int) -> "ServerInstant":
        """Return an instant of the server."""
        return ServerInstant(self._client, at_ms)

    def keep(self, keys: Collection[str]) -> None:
        """Do nothing: the server is not written to."""


class ServerInstant:
    """One instant at a server. Each distinct expression is asked once; a server that is away is asked once, too."""

    records = False

    def __init__(self, client: Client, at_ms: int) -> None:
        self._client = client
        self._at = at_ms / 1000
        self._known: dict[str, Vector] = {}
        self._away = ""

    def ask(self, text: str) -> Vector:
        """Ask the server."""
        return self._asked(text, self._at)

    def _asked(self, text: str, at: float) -> Vector:
        key = f"{at} {text}"
        if key in self._known:
            return self._known[key]
        if self._away:
            raise SourceAway(self._away)
        try:
            answer = self._client.query(text, at)
        except MetricsAway as error:
            self._away = str(error)
            raise SourceAway(self._away) from None
        except BadQuery as error:
            raise QueryError(str(error)) from None
        self._known[key] = _storable([(sample.labels, sample.value) for sample in answer])
        return self._known[key]

    def record(self, key: str, rows: Rows) -> None:
        """Do nothing: the server is not written to, and knows its own alerts."""

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        """Ask the server how many samples there are."""
        seconds = max(1, round((until_ms - after_ms) / 1000))
        found = self._asked(f"sum(count_over_time({shown(matchers)}[{seconds}s]))", until_ms / 1000)
        return int(found[0][1]) if found else 0
