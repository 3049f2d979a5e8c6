"""Answers of the Prometheus HTTP API, by path. https://prometheus.io/docs/prometheus/latest/querying/api/

What is asked of samples is answered here. `/rules` and `/alerts` are asked of the records, `/targets` of the scraper:
whoever owns those answers them.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import orjson

from mainstay import __version__
from mainstay.foundation.words.text import storable_json
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.parse import prettified
from mainstay.observe.metrics.promql.plan import Matcher
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.series import Series, Source
from mainstay.observe.metrics.serve.asked import (
    EARLIEST_MS,
    LATEST_MS,
    BadRequest,
    Parameters,
    duration_ms,
    expression,
    label_name,
    limit,
    one,
    selectors,
    span,
    time_ms,
)
from mainstay.observe.metrics.serve.text import of_float

log = logging.getLogger("mainstay.metrics")
PREFIX = "/api/v1/"
TIMEOUT_S = 30.0
_LABEL_VALUES = re.compile(r"^label/(.+)/values$", re.DOTALL)


class Store(Source, Protocol):
    """What is asked of a store beyond samples."""

    def series(self, matchers: Sequence[Matcher], after_ms: int, until_ms: int) -> Series:
        """Return the series that match and have samples in that time."""
        ...

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """Return type, help and unit of each metric."""
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
        extra: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._seconds = seconds
        self._extra = dict(extra or {})
        self._paths: dict[str, Callable[[Parameters], Any]] = {
            "query": self._query,
            "query_range": self._query_range,
            "series": self._series,
            "labels": self._labels,
            "metadata": self._metadata,
            "format_query": self._format,
            "query_exemplars": lambda _asked: [],
            "status/buildinfo": lambda _asked: _buildinfo(),
        }

    def answer(self, path: str, parameters: Parameters) -> Answer:
        """Answer a request for `path`, which begins with `/api/v1/`. Never raises for what was asked."""
        name = path.removeprefix(PREFIX)
        values = _LABEL_VALUES.match(name)
        try:
            if values is not None:
                return _success(self._label_values(label_name(values[1]), parameters))
            if name in self._extra:
                return _success(self._extra[name]())
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
        at_ms = time_ms(asked, "time", self._now_ms())
        return _of_result(evaluate(expression(asked), self._store, at_ms, limits=self._limits(asked)), limit(asked))

    def _query_range(self, asked: Parameters) -> Answer:
        steps = span(asked)
        result = evaluate_range(
            expression(asked), self._store, steps.start_ms, steps.end_ms, steps.step_ms, limits=self._limits(asked)
        )
        return _of_result(result, limit(asked))

    @staticmethod
    def _format(asked: Parameters) -> str:
        return prettified(expression(asked).text)

    # --- series and labels ---------------------------------------------------------------------------------------

    def _found(self, asked: Parameters, *, needed: bool) -> Iterator[Series]:
        after_ms, until_ms = time_ms(asked, "start", EARLIEST_MS), time_ms(asked, "end", LATEST_MS)
        check_deadline = self._deadline(asked)
        for matchers in selectors(asked, needed=needed) or [()]:
            check_deadline()
            yield self._store.series(matchers, after_ms - 1, until_ms)

    def _series(self, asked: Parameters) -> list[dict[str, str]]:
        most = limit(asked)
        unique: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        for found in self._found(asked, needed=True):
            for labels in found.all_labels():
                unique.setdefault(tuple(labels.items()), labels)
                if len(unique) >= most:
                    return list(unique.values())
        return [unique[key] for key in sorted(unique)]

    def _labels(self, asked: Parameters) -> list[str]:
        names: set[str] = set()
        for found in self._found(asked, needed=False):
            names |= {name for name in found.names if found.column(name).any()}
        return list(islice(sorted(names), limit(asked)))

    def _label_values(self, name: str, asked: Parameters) -> list[str]:
        codes: set[int] = set()
        for found in self._found(asked, needed=False):
            codes |= set(found.column(name).tolist())
        texts = self._store.symbols.texts
        return list(islice(sorted(texts[code] for code in codes if code), limit(asked)))

    def _metadata(self, asked: Parameters) -> dict[str, list[dict[str, str]]]:
        metric = one(asked, "metric", "")
        known = self._store.metadata()
        wanted = {metric: known[metric]} if metric in known else {} if metric else known
        return {
            name: [{"type": of[0], "help": of[1], "unit": of[2]}] for name, of in islice(wanted.items(), limit(asked))
        }


def _buildinfo() -> dict[str, str]:
    # Grafana reads the version to know what it may ask; it is that of the API, whose answers are those of 2.x and 3.x.
    return {
        "version": "2.55.0",
        "revision": f"mainstay-{__version__}",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }


def _json(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # a label of bytes that are no UTF-8, as `label_replace(up, "x", "\\xff", "", "")` makes
        return orjson.dumps(storable_json(document))


def _success(data: Any) -> Answer:
    return Answer(200, _json({"status": "success", "data": data}))


def failure(status: int, kind: str, message: str) -> Answer:
    """Return an error as the API has it."""
    return Answer(status, _json({"status": "error", "errorType": kind, "error": message}))


def _of_result(result: Result, most: int) -> Answer:
    data: dict[str, Any] = {"resultType": result.kind}
    if result.kind == "string":
        data["result"] = [int(result.times[0]) / 1000, result.text]
    elif result.kind == "scalar":
        data["result"] = [int(result.times[0]) / 1000, of_float(result.scalar)]
    elif result.kind == "vector":
        data["result"] = [
            {"metric": labels, "value": [points[0][0] / 1000, of_float(points[0][1])]}
            for labels, points in islice(result.rows(), most)
        ]
    else:
        data["result"] = [
            {"metric": labels, "values": [[at_ms / 1000, of_float(value)] for at_ms, value in points]}
            for labels, points in islice(result.rows(), most)
        ]
    document: dict[str, Any] = {"status": "success", "data": data}
    if result.warnings:
        document["warnings"] = list(result.warnings)
    if result.infos:
        document["infos"] = list(result.infos)
    return Answer(200, _json(document))


__all__ = ["Answer", "Prometheus", "Store", "failure"]
