"""Answers of the Prometheus HTTP API, by path. https://prometheus.io/docs/prometheus/latest/querying/api/

What is asked of samples is answered here. `/rules` and `/alerts` are asked of the records, `/targets` of the scraper:
whoever owns those answers them.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import orjson

from mainstay.foundation.words.text import storable_json
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.parse import Expression, prettified
from mainstay.observe.metrics.promql.plan import Matcher
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.series import Hints, Selection, Series, Source, Symbols
from mainstay.observe.metrics.serve import status
from mainstay.observe.metrics.serve.asked import (
    EARLIEST_MS,
    LATEST_MS,
    BadRequest,
    Parameters,
    duration_ms,
    expression,
    label_name,
    limit,
    number,
    one,
    selectors,
    span,
    time_ms,
)
from mainstay.observe.metrics.serve.results import written
from mainstay.observe.metrics.serve.text import CONFIG, of_float
from mainstay.observe.metrics.serve.tree import tree

log = logging.getLogger("mainstay.metrics")
PREFIX = "/api/v1/"
TIMEOUT_S = 30.0
TRUNCATED = "results truncated due to limit"  # Prometheus' words, by which Grafana knows it
RANKED, RANKED_MOST = 10, 10_000  # of names and values by their number of series
_LABEL_VALUES = re.compile(r"^label/(.+)/values$", re.DOTALL)


class Store(Source, Protocol):
    """What is asked of a store beyond samples."""

    def series(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> Series:
        """Return the series that match and have samples in that time."""
        ...

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """Return type, help and unit of each metric."""
        ...

    def figures(self) -> status.Figures:
        """Return what it holds."""
        ...

    @property
    def limits(self) -> status.Bounds:
        """Return how long samples are kept."""
        ...

    @property
    def newest_ms(self) -> int | None:
        """Return when the newest sample was put; None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON."""

    status: int
    body: bytes


class Overdue(RuntimeError):
    """A query took longer than it may."""


class Prometheus:
    """Answers requests from a store.

    Args:
        store: where the samples are.
        now_ms: the clock, unix milliseconds.
        seconds: a clock that only runs forward, for deadlines.
        extra: further paths below `/api/v1/` and what gives their `data`.
    """

    def __init__(
        self,
        store: Store,
        now_ms: Callable[[], int],
        seconds: Callable[[], float],
        extra: Mapping[str, Callable[[Parameters], Any]] | None = None,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._seconds = seconds
        started_ms = now_ms()
        self._paths: dict[str, Callable[[Parameters], Any]] = {
            "query": self._query,
            "query_range": self._query_range,
            "series": self._series,
            "labels": self._labels,
            "metadata": self._metadata,
            "format_query": self._format,
            "parse_query": self._tree,
            "query_exemplars": _exemplars,
            "alertmanagers": lambda _asked: {"activeAlertmanagers": [], "droppedAlertmanagers": []},
            "status/buildinfo": lambda _asked: status.buildinfo(),
            "status/config": lambda _asked: CONFIG,
            "status/flags": lambda _asked: status.flags(store.limits, TIMEOUT_S),
            "status/runtimeinfo": lambda _asked: status.runtimeinfo(
                store.figures(), store.limits, started_ms, now_ms()
            ),
            "status/tsdb": self._tsdb,
            "status/tsdb/blocks": lambda _asked: {"blocks": []},
            "status/walreplay": lambda _asked: {"min": 0, "max": 0, "current": 0},
            **(extra or {}),
        }

    def answer(self, path: str, parameters: Parameters) -> Answer:
        """Answer a request for `path`, which begins with `/api/v1/`. Never raises for what was asked."""
        name = path.removeprefix(PREFIX)
        values = _LABEL_VALUES.match(name)
        try:
            if values is not None:
                return self._label_values(label_name(values[1]), parameters)
            if name not in self._paths:
                return failure(404, "not_found", f"there is nothing at {path}")
            found = self._paths[name](parameters)
        except BadRequest as error:
            return failure(400, "bad_data", str(error))
        except QueryError as error:
            return failure(422, "execution", str(error))
        except Overdue as error:
            return failure(503, "timeout", str(error))
        except MemoryError:
            return failure(422, "execution", "the answer does not fit into memory; ask for less")
        except Exception:
            log.exception("a defect of ours met %s", path)
            return failure(500, "internal", "this is a defect of Mainstay; its log has the details")
        return found if isinstance(found, Answer) else _success(found)

    # --- samples -------------------------------------------------------------------------------------------------

    def _deadline(self, asked: Parameters) -> Callable[[], None]:
        timeout_s = min(duration_ms(asked, "timeout", f"{TIMEOUT_S}") / 1000, TIMEOUT_S)
        until = self._seconds() + timeout_s

        def deadline() -> None:
            if self._seconds() > until:
                raise Overdue(f"the query took longer than {timeout_s:g} s; ask for less")

        return deadline

    def _limits(self, asked: Parameters) -> Limits:
        deadline = self._deadline(asked)
        if asked.get("lookback_delta"):
            return Limits(deadline=deadline, lookback_ms=duration_ms(asked, "lookback_delta"))
        return Limits(deadline=deadline)

    def _query(self, asked: Parameters) -> Answer:
        at_ms, most, limits = time_ms(asked, "time", self._now_ms()), limit(asked), self._limits(asked)
        return self._measured(asked, most, lambda query, source: evaluate(query, source, at_ms, limits=limits))

    def _query_range(self, asked: Parameters) -> Answer:
        steps, most, limits = span(asked), limit(asked), self._limits(asked)
        return self._measured(
            asked,
            most,
            lambda query, source: evaluate_range(
                query, source, steps.start_ms, steps.end_ms, steps.step_ms, limits=limits
            ),
        )

    def _measured(self, asked: Parameters, most: int, ask: Callable[[Expression, Source], Result]) -> Answer:
        """Evaluate the query; with `stats` the answer tells what it cost."""
        wanted = one(asked, "stats", "")
        if not wanted:
            return _of_result(ask(expression(asked), self._store), most)
        begun, source = self._seconds(), Counting(self._store)
        query = expression(asked)
        parsed = self._seconds()
        result = ask(query, source)
        if wanted == "all":
            result = replace(result, infos=[*result.infos, UNCOUNTED])
        return _of_result(result, most, _stats(parsed - begun, self._seconds() - parsed, source.samples))

    @staticmethod
    def _format(asked: Parameters) -> str:
        return prettified(expression(asked).text)

    @staticmethod
    def _tree(asked: Parameters) -> dict[str, Any]:
        return tree(expression(asked).node)

    def _tsdb(self, asked: Parameters) -> dict[str, Any]:
        most = number(asked, "limit", RANKED)
        if not 0 < most <= RANKED_MOST:
            raise BadRequest(f"invalid parameter limit: it must be 1 to {RANKED_MOST:,}, it is {most}")
        series = self._store.series((), EARLIEST_MS, LATEST_MS)
        return status.tsdb(series, self._store.figures(), self._store.newest_ms, most)

    # --- series and labels ---------------------------------------------------------------------------------------

    def _found(self, asked: Parameters, *, needed: bool) -> Iterator[Series]:
        after_ms, until_ms = time_ms(asked, "start", EARLIEST_MS), time_ms(asked, "end", LATEST_MS)
        check_deadline = self._deadline(asked)
        for matchers in selectors(asked, needed=needed) or [()]:
            check_deadline()
            yield self._store.series(matchers, after_ms - 1, until_ms)

    def _series(self, asked: Parameters) -> Answer:
        most = limit(asked)
        labels = (each for found in self._found(asked, needed=True) for each in found.all_labels())
        unique = dict(islice(_by_key(labels), most + 1))
        chosen = sorted(islice(unique, most))
        return _success([unique[key] for key in chosen], [TRUNCATED] if len(unique) > most else ())

    def _labels(self, asked: Parameters) -> Answer:
        names: set[str] = set()
        for found in self._found(asked, needed=False):
            names |= {name for name in found.names if found.column(name).any()}
        return _cut(sorted(names), limit(asked))

    def _label_values(self, name: str, asked: Parameters) -> Answer:
        codes: set[int] = set()
        for found in self._found(asked, needed=False):
            codes |= set(found.column(name).tolist())
        texts = self._store.symbols.texts
        return _cut(sorted(texts[code] for code in codes if code), limit(asked))

    def _metadata(self, asked: Parameters) -> Answer:
        """Each metric has one description here, so that `limit_per_metric` (0 and less is none) is always kept."""
        metric, most = one(asked, "metric", ""), number(asked, "limit", -1)
        number(asked, "limit_per_metric", -1)
        known = self._store.metadata()
        wanted = {metric: known[metric]} if metric in known else {} if metric else known
        chosen = dict(islice(wanted.items(), most)) if most >= 0 else wanted
        data = {name: [{"type": of[0], "help": of[1], "unit": of[2]}] for name, of in chosen.items()}
        return _success(data, [TRUNCATED] if len(data) < len(wanted) else ())


UNCOUNTED = "stats=all: samples are counted for the whole query, not for each step"


class Counting:
    """A source that counts the samples it hands out."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.samples = 0

    @property
    def symbols(self) -> Symbols:
        return self._source.symbols

    def select(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int, hints: Hints) -> Selection:
        found = self._source.select(matchers, after_ms, until_ms, hints)
        self.samples += int(found.samples.counts[found.samples.group].sum())
        return found

    def count(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> int:
        return self._source.count(matchers, after_ms, until_ms)


def _stats(parsed_s: float, evaluated_s: float, samples: int) -> dict[str, Any]:
    """Return what a query cost, by Prometheus' names: seconds, and samples read from the store."""
    return {
        "timings": {
            "evalTotalTime": parsed_s + evaluated_s,
            "resultSortTime": 0,
            "queryPreparationTime": parsed_s,
            "innerEvalTime": evaluated_s,
            "execQueueTime": 0,
            "execTotalTime": parsed_s + evaluated_s,
        },
        "samples": {"totalQueryableSamples": samples, "peakSamples": samples},
    }


def _exemplars(asked: Parameters) -> list[Any]:
    """Return nothing, for no exemplars are kept; what is asked for must be askable all the same."""
    start_ms, end_ms = time_ms(asked, "start", EARLIEST_MS), time_ms(asked, "end", LATEST_MS)
    if end_ms < start_ms:
        raise BadRequest("end timestamp must not be before start timestamp")
    expression(asked)
    return []


def _json(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # a label of bytes that are no UTF-8, as `label_replace(up, "x", "\\xff", "", "")` makes
        return orjson.dumps(storable_json(document))


def _success(data: Any, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Answer:
    document = {"status": "success", "data": data}
    if warnings:
        document["warnings"] = list(warnings)
    if infos:
        document["infos"] = list(infos)
    return Answer(200, _json(document))


def _by_key(label_sets: Iterable[dict[str, str]]) -> Iterator[tuple[tuple[tuple[str, str], ...], dict[str, str]]]:
    """Yield each label set once, behind what it is sorted by."""
    seen = set()
    for labels in label_sets:
        key = tuple(labels.items())
        if key not in seen:
            seen.add(key)
            yield key, labels


def _cut(found: Iterable[Any], most: int) -> Answer:
    """Answer with the first `most`, and a warning where there are more."""
    data = list(islice(found, most + 1))
    return _success(data[:most], [TRUNCATED] if len(data) > most else ())


def failure(status: int, kind: str, message: str) -> Answer:
    """Return an error as the API has it."""
    return Answer(status, _json({"status": "error", "errorType": kind, "error": message}))


def _of_result(result: Result, most: int, stats: Mapping[str, Any] | None = None) -> Answer:
    data: dict[str, Any] = {"resultType": result.kind}
    warnings = list(result.warnings)
    if result.kind == "string":
        data["result"] = [int(result.times[0]) / 1000, result.text]
    elif result.kind == "scalar":
        data["result"] = [int(result.times[0]) / 1000, of_float(result.scalar)]
    else:
        data["result"] = written(result, most)
        if len(result) > most:
            warnings.append(TRUNCATED)
    if stats is not None:
        data["stats"] = stats
    return _success(data, warnings, result.infos)


__all__ = ["Answer", "Prometheus", "Store", "failure"]
