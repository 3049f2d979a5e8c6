"""`/api/v1/status/…` of the Prometheus API: what the store holds, and the bounds of queries.

https://prometheus.io/docs/prometheus/latest/querying/api/#status

What only a Prometheus has (Go's garbage collector, flags of its own) is left out or empty; what is told is true.
"""

import os
import platform
import threading
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from mainstay import __version__
from mainstay.observe.metrics.durations import written_ms
from mainstay.observe.metrics.promql.evaluate import Limits
from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import Series

_LATEST, _EARLIEST = 2**63 - 1, -(2**63)  # what Prometheus tells of a store without samples


class Figures(Protocol):
    """What is told of a store."""

    @property
    def series(self) -> int:
        """Return how many series are in memory."""
        ...

    @property
    def oldest_ms(self) -> int | None:
        """Return when its oldest sample was taken, unix milliseconds."""
        ...


class Bounds(Protocol):
    """How long a store keeps samples."""

    @property
    def raw_ms(self) -> int:
        """Return for how long samples are kept as they came, milliseconds."""
        ...


def buildinfo() -> dict[str, str]:
    """Return the version. Grafana reads it to know what it may ask: answers are those of 2.x and 3.x."""
    return {
        "version": "2.55.0",
        "revision": f"mainstay-{__version__}",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }


def flags(bounds: Bounds, timeout_s: float) -> dict[str, str]:
    """Return the bounds that hold, by the names of Prometheus' flags."""
    limits = Limits()
    return {
        "query.lookback-delta": written_ms(limits.lookback_ms),
        "query.max-samples": str(limits.max_samples),
        "query.timeout": written_ms(round(timeout_s * 1000)),
        "storage.tsdb.retention.time": written_ms(bounds.raw_ms),
        "web.enable-admin-api": "false",
        "web.enable-lifecycle": "false",
        "web.enable-remote-write-receiver": "false",
    }


def runtimeinfo(figures: Figures, bounds: Bounds, started_ms: int, now_ms: int) -> dict[str, Any]:
    """Return how the store is, which was opened at `started_ms`. What Go alone has is empty."""
    return {
        "startTime": _written(started_ms),
        "CWD": "",
        "hostname": platform.node(),
        "serverTime": _written(now_ms),
        "reloadConfigSuccess": True,
        "lastConfigTime": _written(started_ms),
        "timeSeriesCount": figures.series,
        "corruptionCount": 0,
        "goroutineCount": threading.active_count(),
        "GOMAXPROCS": os.cpu_count() or 1,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": written_ms(bounds.raw_ms),
    }


def tsdb(series: Series, figures: Figures, newest_ms: int | None, most: int) -> dict[str, Any]:
    """Return which names and values have the most series, at most `most` of each.

    A pair's memory is the bytes of its texts times its series, as Prometheus counts it.
    """
    texts = series.symbols.texts
    metrics, values, memory, pairs = {}, {}, {}, {}
    for name in series.names:
        codes, counts = np.unique(series.column(name), return_counts=True)
        found = [(texts[code], count) for code, count in zip(codes.tolist(), counts.tolist(), strict=True) if code]
        if not found:
            continue
        values[name] = len(found)
        memory[name] = sum(len(text.encode("utf-8", "surrogateescape")) * count for text, count in found)
        pairs.update({f"{name}={text}": count for text, count in found})
        if name == NAME:
            metrics = dict(found)
    return {
        "headStats": {
            "numSeries": len(series),
            "numLabelPairs": len(pairs),
            "chunkCount": 0,
            "minTime": _LATEST if figures.oldest_ms is None else figures.oldest_ms,
            "maxTime": _EARLIEST if newest_ms is None else newest_ms,
        },
        "seriesCountByMetricName": _greatest(metrics, most),
        "labelValueCountByLabelName": _greatest(values, most),
        "memoryInBytesByLabelName": _greatest(memory, most),
        "seriesCountByLabelValuePair": _greatest(pairs, most),
    }


def _greatest(counts: dict[str, int], most: int) -> list[dict[str, Any]]:
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [{"name": name, "value": value} for name, value in ranked[:most]]


def _written(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
