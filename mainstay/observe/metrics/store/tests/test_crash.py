"""kill -9 at any moment: nothing that a tick has made safe is lost, nothing is there twice, nothing is wrong."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mainstay.observe.metrics.promql.series import Hints
from mainstay.observe.metrics.store import Store
from mainstay.observe.metrics.store.tests import appender
from mainstay.observe.metrics.store.tests.appender import SERIES, STREAMS, labels, time_of, values_of
from mainstay.observe.metrics.store.tests.stores import bits, equal, everything, key, select

ROUNDS = 12


def killed(folder: Path, first: int, after_s: float) -> int:
    """Append until killed; return the last column that was said to be safe, or the one before `first`."""
    process = subprocess.Popen(
        [sys.executable, "-m", appender.__name__, str(folder), str(first)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split("\n")[:-1]  # what is not a whole line was not said
        process.wait()
    return int(said[-1]) if said else first - 1


@pytest.mark.timeout(300)
def test_a_killed_process_loses_only_what_no_tick_had_made_safe(tmp_path: Path) -> None:
    chance = random.Random(8)
    first, rounds_with_samples = 0, 0
    for _ in range(ROUNDS):
        safe = killed(tmp_path, first, chance.uniform(0, 0.5))
        rounds_with_samples += safe >= first
        store = Store(tmp_path, appender.LIMITS)
        found = everything(store)
        columns = dict.fromkeys(range(STREAMS), 0)
        for stream in range(STREAMS):
            times = [at for at, _ in found[key(labels(stream, 0))]] if found else []
            columns[stream] = len(times)
            assert times == [time_of(column) for column in range(len(times))]
            assert len(times) > safe
            wanted = np.array([values_of(stream, column) for column in range(len(times))]).reshape(-1, SERIES)
            for number in range(SERIES if times else 0):
                got = found[key(labels(stream, number))]
                assert [at for at, _ in got] == times
                assert [one for _, one in got] == [bits(value) for value in wanted[:, number].tolist()]
        first = max(columns.values())
        for stream in range(STREAMS):  # the killed process was in the middle of a round: finish it
            if columns[stream] < first:
                layout = store.layout([labels(stream, one) for one in range(SERIES)], "job")
                store.stream(f"t{stream}", "job").put(time_of(first - 1), layout, values_of(stream, first - 1))
        figures = store.figures()
        assert figures.failed_writes == 0
        store.close()
    assert rounds_with_samples >= ROUNDS // 2
    assert not list(tmp_path.glob("*.broken-*"))
    store = Store(tmp_path, appender.LIMITS)
    assert store.figures().written == 0
    rolled = store.figures().rolled_up_ms
    if rolled is not None:  # as fast as this machine is, there have been hours
        hints = Hints("max_over_time", 3_600_000, 3_600_000)
        buckets = select(store, equal("__name__", "metric_0_total"), until=rolled, hints=hints)
        for number in range(0, SERIES, 3):
            for at, value in buckets[key(labels(0, number))]:
                inside = [c for c in range(first) if at - 300_000 < time_of(c) <= at]
                assert value == bits(max(values_of(0, column)[number] for column in inside))
    store.close()
