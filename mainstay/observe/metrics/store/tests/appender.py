"""Puts samples into a store until it is killed: `python -m …appender FOLDER FIRST`. See test_crash.

Prints the number of a column after the tick that made it safe.
"""

import sys
from pathlib import Path

import numpy as np

from mainstay.observe.metrics.promql.series import Values
from mainstay.observe.metrics.store import Store, StoreLimits
from mainstay.observe.metrics.store.tests.stores import START

STREAMS, SERIES, INTERVAL_MS = 5, 12, 15_000
LIMITS = StoreLimits(
    columns=12, kept=4, batch=6, age_ms=600_000, segment_bytes=20_000, raw_ms=1 << 50, five_minutes_ms=1 << 50
)


def labels(stream: int, number: int) -> dict[str, str]:
    """Return the labels of a series."""
    return {"__name__": f"metric_{number % 3}_total", "stream": str(stream), "number": str(number)}


def time_of(column: int) -> int:
    """Return the time of a column."""
    return START + column * INTERVAL_MS


def values_of(stream: int, column: int) -> Values:
    """Return the values of a column: counters, some reset now and then, and decimals."""
    number = np.arange(SERIES)
    return np.where(
        number % 3 == 2, (column * 7 + number + stream) / 100, column % (50 + number) * (number + stream + 1.0)
    )


def main(folder: Path, first: int) -> None:
    """Put one column after the other."""
    store = Store(folder, LIMITS)
    streams = [store.stream(f"t{number}", "job") for number in range(STREAMS)]
    layouts = [store.layout([labels(number, one) for one in range(SERIES)], "job") for number in range(STREAMS)]
    print("ready", flush=True)
    column = first
    while True:
        for number in range(STREAMS):
            streams[number].put(time_of(column), layouts[number], values_of(number, column))
        store.tick(time_of(column))
        print(column, flush=True)
        column += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
