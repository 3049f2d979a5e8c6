"""The embedded store of metrics: the last minutes in memory, everything older in one DuckDB file.

    store = Store(folder, StoreLimits())
    layout = store.layout([{"__name__": "up", "job": "shop"}], "shop")
    stream = store.stream("shop/127.0.0.1:9100", "shop")
    stream.put(at_ms, layout, np.array([1.0]))
    store.tick(now_ms)  # every second or so

`Store` is a `promql.series.Source`. No Django; times are arguments, unix milliseconds. See
docs/decisions/0008-the-metrics-store.md.
"""

from mainstay.observe.metrics.store.disk.mending import Missing
from mainstay.observe.metrics.store.layouts import Layout
from mainstay.observe.metrics.store.limits import (
    BadLabels,
    CardinalityExceeded,
    Coverage,
    Figures,
    Offenders,
    Reason,
    StoreLimits,
)
from mainstay.observe.metrics.store.store import Store, Stream

__all__ = [
    "BadLabels",
    "CardinalityExceeded",
    "Coverage",
    "Figures",
    "Layout",
    "Missing",
    "Offenders",
    "Reason",
    "Store",
    "StoreLimits",
    "Stream",
]
