"""The embedded store of metrics: what a sample costs from the text of a scrape to history, and how fast it is found.

`python -m bench.sections.store FOLDER TARGETS ROUNDS` is the process that is measured: the store, NumPy and DuckDB, and
nothing of Mainstay's other parts.
"""

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.figures import Aim, Figure, Line, elsewhere
from bench.program import directory
from mainstay.observe.metrics.exposition import Parser
from mainstay.observe.metrics.promql.plan import Matcher, MatchKind
from mainstay.observe.metrics.promql.series import Hints, Selection
from mainstay.observe.metrics.store import Store
from mainstay.observe.metrics.store.layouts import Layout
from tests.program import ROOT

TARGETS, ROUNDS = 100, 240  # an hour at 15 s
QUICK_TARGETS, QUICK_ROUNDS = 20, 130
START_MS, INTERVAL_MS = 1_767_225_600_000, 15_000
HANDLERS = [f"/api/v1/h{number:02}" for number in range(20)]
METHODS = ("GET", "POST")
CODES = {"200": 0.85, "201": 0.1, "404": 0.03, "500": 0.014, "503": 0.006}
BOUNDS = {
    "0.005": 0.05, "0.01": 0.12, "0.025": 0.3, "0.05": 0.55, "0.1": 0.75, "0.25": 0.9, "0.5": 0.96, "1": 0.985,
    "2.5": 0.995, "5": 0.998, "10": 0.9995, "+Inf": 1.0,
}  # fmt: skip


def run(*, quick: bool) -> list[Line]:
    """Measure; about a minute. In a process of its own, so that its memory is only the store's."""
    targets, rounds = (QUICK_TARGETS, QUICK_ROUNDS) if quick else (TARGETS, ROUNDS)
    with directory() as home:
        found = measured(home, targets, rounds)
    note = f"{targets} targets × 1,000 series, {rounds} scrapes each"
    cpu, memory, disk = elsewhere("prometheus-ingest"), elsewhere("prometheus-memory"), elsewhere("prometheus-disk")
    return [
        Figure("CPU per sample: parse, put, log, history", found["cpu_us"], "µs", Aim(2), (cpu,), note=note),
        Figure("… parse", found["parse_us"], "µs", Aim(0.4)),
        Figure("… put", found["put_us"], "µs"),
        Figure("… log and history", found["tick_us"], "µs"),
        Figure("bytes per sample on disk, index and labels included", found["disk"], "B", Aim(4.6), (disk,)),
        Figure("memory of a process with the store alone", found["memory_mib"], "MiB", peers=(memory,)),
        Figure("… of labels and indexes, by series", found["label_bytes"], "B", Aim(400)),
        Figure("longest put", found["put_ms"], "ms", note="while history is written in another thread"),
        Figure("select a fifth of the series × 20 samples", found["select_many_ms"], "ms", Aim(8)),
        Figure("… for the first time", found["select_many_first_ms"], "ms"),
        Figure("select 10 series × 20 samples", found["select_ten_ms"], "ms", Aim(0.1)),
        Figure("select a fifth of the series × 30 minutes, from history too", found["select_history_ms"], "ms"),
        Figure("select 10 series × all, from history too", found["select_ten_history_ms"], "ms"),
        Figure("open after kill -9", found["open_s"], "s", Aim(5)),
    ]


def measured(home: Path, targets: int, rounds: int) -> dict[str, float]:
    """Run this module as a process and return what it found."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.sections.store", str(home), str(targets), str(rounds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Exporter:
    """A service with 1,000 series: counters by handler, method and code, histograms, whole and fractional gauges."""

    def __init__(self, seed: int) -> None:
        self._random = chance = random.Random(seed)
        self._rates = [chance.expovariate(1 / 3) + 0.05 for _ in range(len(HANDLERS) * len(METHODS))]
        self._requests = [[0] * len(CODES) for _ in self._rates]
        self._buckets = [[0] * len(BOUNDS) for _ in self._rates]
        self._sums = [0.0] * len(self._rates)
        self._queues = [chance.randint(0, 200) for _ in range(100)]
        self._usage = [chance.random() for _ in range(140)]

    def body(self) -> bytes:
        """Let an interval pass, and return the text."""
        chance = self._random
        for place, rate in enumerate(self._rates):
            mean = rate * INTERVAL_MS / 1000
            count = max(0, round(chance.gauss(mean, mean**0.5)))
            for one, share in enumerate(CODES.values()):
                self._requests[place][one] += int(count * share + chance.random())
            for one, share in enumerate(BOUNDS.values()):
                self._buckets[place][one] += round(count * share)
            self._sums[place] += count * chance.uniform(0.07, 0.09)
        self._queues = [
            max(0, depth + chance.randint(-5, 5)) if chance.random() < 0.3 else depth for depth in self._queues
        ]
        self._usage = [min(1.0, max(0.0, usage + chance.gauss(0, 0.02))) for usage in self._usage]
        return "".join(self._lines()).encode()

    def _lines(self) -> list[str]:
        out = ["# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n"]
        pairs = [f'handler="{handler}",method="{method}"' for handler in HANDLERS for method in METHODS]
        for pair, counts in zip(pairs, self._requests, strict=True):
            out += [
                f'http_requests_total{{{pair},code="{code}"}} {count}\n'
                for code, count in zip(CODES, counts, strict=True)
            ]
        out.append("# HELP http_request_duration_seconds Latency.\n# TYPE http_request_duration_seconds histogram\n")
        for pair, counts, total in zip(pairs, self._buckets, self._sums, strict=True):
            out += [
                f'http_request_duration_seconds_bucket{{{pair},le="{bound}"}} {count}\n'
                for bound, count in zip(BOUNDS, counts, strict=True)
            ]
            out.append(f"http_request_duration_seconds_sum{{{pair}}} {total:.6f}\n")
            out.append(f"http_request_duration_seconds_count{{{pair}}} {counts[-1]}\n")
        out.append("# HELP queue_depth Depth.\n# TYPE queue_depth gauge\n")
        out += [f'queue_depth{{queue="q{number:02}"}} {depth}\n' for number, depth in enumerate(self._queues)]
        out.append("# HELP resource_usage_ratio Usage.\n# TYPE resource_usage_ratio gauge\n")
        out += [
            f'resource_usage_ratio{{resource="r{number // 10:02}",shard="{number % 10}"}} {usage:.4f}\n'
            for number, usage in enumerate(self._usage)
        ]
        return out


def resident_mib() -> float:
    """Return the memory of this process that is its own, in MiB."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no Pss in smaps_rollup")


def main() -> None:
    """Print the figures as JSON."""
    folder, targets, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(fed(folder, targets, rounds)))


def fed(folder: Path, targets: int, rounds: int) -> dict[str, float]:
    """Scrape, measure, kill, open again."""
    exporters = [Exporter(1_000 + number) for number in range(targets)]
    bodies_mib = resident_mib()
    store = Store(folder)
    parsers = [Parser() for _ in exporters]
    streams = [store.stream(f"bench/{number}", "bench") for number in range(targets)]
    layouts: list[tuple[object, Layout]] = []
    spent = {"parse": 0.0, "put": 0.0}
    samples, now = 0, START_MS
    longest = 0.0
    ticking = Ticking(store)
    for turn in range(rounds):
        for number, exporter in enumerate(exporters):
            now = START_MS + turn * INTERVAL_MS + number * (INTERVAL_MS // targets)
            body = exporter.body()
            begin = time.thread_time()
            found = parsers[number].parse(body)
            parsed = time.thread_time()
            if not turn:
                labels = [
                    one | {"job": "bench", "instance": f"10.0.0.{number}:9100"} for one in found.layout.label_sets()
                ]
                layouts.append((found.layout, store.layout(labels, "bench")))
            before, put_at = time.perf_counter(), time.thread_time()
            streams[number].put(now, layouts[number][1], found.values)
            longest = max(longest, time.perf_counter() - before)
            spent["parse"] += parsed - begin
            spent["put"] += time.thread_time() - put_at
            samples += len(found.values)
            if number % max(1, targets // 15) == 0:
                ticking.at(now)
    ticking.stop()
    figures = store.figures()
    found_figures = {
        "parse_us": spent["parse"] / samples * 1e6,
        "put_us": spent["put"] / samples * 1e6,
        "tick_us": ticking.cpu_s / samples * 1e6,
        "cpu_us": (spent["parse"] + spent["put"] + ticking.cpu_s) / samples * 1e6,
        "put_ms": longest * 1e3,
        "memory_mib": resident_mib() - bodies_mib + _interpreter_mib(),
        "label_bytes": store._core.index.memory_bytes / figures.series,
        **_selections(store, now, targets),
    }
    store._core.log.put_out(store._core.log.take())
    store._core.history.close()  # what kill -9 leaves: the log as it is, and nothing said
    begin = time.perf_counter()
    store = Store(folder)
    found_figures["open_s"] = time.perf_counter() - begin
    store.flush()
    store._core.history.checkpoint()
    figures = store.figures()
    found_figures["disk"] = (figures.disk_bytes - figures.log_bytes) / samples
    store.close()
    return found_figures


class Ticking:
    """Ticks in a thread of its own, as the monitor does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now = START_MS
        self._due = threading.Event()
        self._done = threading.Event()
        self._end = False
        self.cpu_s = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self._due.wait() and not self._end:
            self._due.clear()
            self._store.tick(self._now)
            self.cpu_s = time.thread_time()
            self._done.set()

    def at(self, now_ms: int) -> None:
        """Let a tick happen; wait for the one before."""
        if self._now > START_MS:
            self._done.wait()
        self._done.clear()
        self._now = now_ms
        self._due.set()

    def stop(self) -> None:
        """Wait for the last tick, and end."""
        self._done.wait()
        self._end = True
        self._due.set()
        self._thread.join()


def _interpreter_mib() -> float:
    """Return what an interpreter with NumPy, DuckDB and the store's modules takes before anything is stored."""
    code = (
        "import mainstay.observe.metrics.store, mainstay.observe.metrics.exposition;"
        "from bench.sections.store import resident_mib; print(resident_mib())"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def _selections(store: Store, now_ms: int, targets: int) -> dict[str, float]:
    """Return how long selections take, in ms: the best of several, for other programs only ever make them longer."""
    name = Matcher("__name__", MatchKind.EQUAL, "http_requests_total")
    ten = [
        name,
        Matcher("instance", MatchKind.EQUAL, f"10.0.0.{targets // 2}:9100"),
        Matcher("handler", MatchKind.EQUAL, HANDLERS[3]),
    ]

    def best(matchers: list[Matcher], range_ms: int, series: int, times: int = 5) -> tuple[float, float]:
        taken = []
        for _ in range(times):
            begin = time.perf_counter()
            selection: Selection = store.select(matchers, now_ms - range_ms, now_ms, Hints())
            taken.append((time.perf_counter() - begin) * 1e3)
            assert len(selection.series) == series
        return taken[0], min(taken)

    first, many = best([name], 300_000, 200 * targets)
    _, few = best(ten, 300_000, 10, 50)
    _, past = best([name], 1_800_000, 200 * targets, 3)
    _, few_past = best(ten, now_ms, 10)
    return {
        "select_many_first_ms": first,
        "select_many_ms": many,
        "select_ten_ms": few,
        "select_history_ms": past,
        "select_ten_history_ms": few_past,
    }


if __name__ == "__main__":
    main()
