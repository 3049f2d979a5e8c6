"""Random queries on random series: what a real Prometheus answers is what we answer, to one in a thousand million.

PROMQL_DIFFERENTIAL says how many queries (500); PROMQL_DIFFERENTIAL_SEED which (1). The Debian package's Prometheus is
2.42, the evaluator follows 3.x. Where the two differ, the series and queries are made so that it does not show:

- ranges are closed on the left in 2, open in 3: no sample and no step of a subquery lies on the edge of a window;
- rate near zero: counters never come near zero (`random_queries._counter`), gauges get no rate;
- predict_linear and timestamp of what @ fixes go wrong in 2: they get nothing fixed;
- atan2 leaves the metric's name in 2: it gets series without;
- stddev and stdvar of a single NaN or infinity are 0 in 2, NaN in 3: only ordinary numbers are given to them;
- `double_exponential_smoothing` is called `holt_winters` in 2;
- % and trigonometry get samples as they are: they can make a rounding in the last digit one in the first;
- functions that 2 does not have are not asked for;
- sums over series are not compensated in 2: a sum that cancels out is compared with the size of what was summed.
"""

import contextlib
import http.client
import json
import math
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.plan import Kind
from mainstay.observe.metrics.promql.query import evaluate, evaluate_range
from mainstay.observe.metrics.promql.result import Result
from mainstay.observe.metrics.promql.tests.random_queries import BASE_MS, INTERVAL_MS, SAMPLES, Random, make_series

QUERIES = int(os.environ.get("PROMQL_DIFFERENTIAL", "500"))
SEED = int(os.environ.get("PROMQL_DIFFERENTIAL_SEED", "1"))
CHUNK = 250
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
RELATIVE = 1e-9

pytestmark = pytest.mark.skipif(not PROMETHEUS or not PROMTOOL, reason="no prometheus and promtool on this machine")

Answer = dict[tuple[tuple[str, str], ...], dict[int, float]]


class Prometheus:
    """A running Prometheus that is asked by HTTP."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the answer to a query, None if it is an error."""
        body = urllib.parse.urlencode(parameters)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", f"/api/v1/{path}", body, headers)
        answer = json.loads(self._connection.getresponse().read())
        return answer["data"] if answer["status"] == "success" else None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@pytest.fixture(scope="module")
def series() -> dict[str, list[tuple[int, float]]]:
    return make_series(SEED)


@pytest.fixture(scope="module")
def prometheus(
    series: dict[str, list[tuple[int, float]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    home = tmp_path_factory.mktemp("prometheus")
    text = home / "samples.txt"
    with text.open("w") as lines:
        for name, points in series.items():
            lines.writelines(f"{name} {value!r} {moment / 1000:.3f}\n" for moment, value in points)
        lines.write("# EOF\n")
    assert PROMTOOL
    assert PROMETHEUS
    data = home / "data"
    subprocess.run([PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True)
    (home / "prometheus.yml").write_text("global: {evaluation_interval: 1m}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            PROMETHEUS,
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(port)
        asked = Prometheus(port)
        yield asked
        asked.close()
    finally:
        server.terminate()
        server.wait()


def _wait_until_ready(port: int) -> None:
    for _ in range(300):
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/-/ready")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("Prometheus does not become ready")


def _theirs(data: Any) -> Answer:
    if data["resultType"] in ("scalar", "string"):
        moment, value = data["result"]
        return {(): {round(moment * 1000): float(value)}}
    return {
        tuple(sorted(one["metric"].items())): {
            round(moment * 1000): float(value) for moment, value in one.get("values") or [one["value"]]
        }
        for one in data["result"]
    }


def _ours(result: Result) -> Answer:
    return {tuple(sorted(labels.items())): dict(points) for labels, points in result.rows()}


def _equal(ours: float, theirs: float) -> bool:
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    return ours == theirs or abs(ours - theirs) <= RELATIVE * max(abs(ours), abs(theirs))


def _difference(ours: Answer | None, theirs: Answer | None) -> str:
    """Return what differs, nothing if nothing does."""
    if ours is None or theirs is None:
        return "" if ours is theirs else f"error only {'here' if ours is None else 'there'}"
    if ours.keys() != theirs.keys():
        return (
            f"only here {sorted(ours.keys() - theirs.keys())[:2]}, only there {sorted(theirs.keys() - ours.keys())[:2]}"
        )
    for labels, points in theirs.items():
        if ours[labels].keys() != points.keys():
            return f"{labels}: other steps: {sorted(ours[labels].keys() ^ points.keys())[:3]}"
        for moment, value in points.items():
            if not _equal(ours[labels][moment], value):
                return f"{labels} at {moment}: here {ours[labels][moment]!r}, there {value!r}"
    return ""


def _one(number: int, source: MemorySource, prometheus: Prometheus) -> str:
    """Ask both one question; return what differs, nothing if nothing does."""
    chance = random.Random(f"{SEED}-{number}")
    query = Random(chance).query()
    first = BASE_MS + chance.randrange(-60, SAMPLES * INTERVAL_MS // 1000 + 300) * 1000 + 500
    ours: Answer | None = None
    if chance.random() < 0.5:
        data = prometheus.ask("query", query=query, time=f"{first / 1000:.3f}")
        asked = f"at {first}"
        try:
            result = evaluate(query, source, first)
            assert result.kind is not Kind.STRING
            ours = _ours(result)
        except QueryError:
            pass
    else:
        step = chance.choice((1, 7, 15, 60, 60, 97)) * 1000
        end = first + step * chance.choice((1, 2, 5, 20, 20, 40))
        data = prometheus.ask(
            "query_range", query=query, start=f"{first / 1000:.3f}", end=f"{end / 1000:.3f}", step=f"{step // 1000}"
        )
        asked = f"from {first} to {end} step {step}"
        try:
            ours = _ours(evaluate_range(query, source, first, end, step))
        except QueryError:
            pass
    difference = _difference(ours, None if data is None else _theirs(data))
    return f"\n{number}: {query}\n  {asked}\n  {difference}" if difference else ""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("begin", range(0, QUERIES, CHUNK))
def test_prometheus_gives_the_same_answers(
    begin: int, series: dict[str, list[tuple[int, float]]], prometheus: Prometheus
) -> None:
    source = MemorySource(series)
    numbers = range(begin, min(begin + CHUNK, QUERIES))
    differences = [difference for number in numbers if (difference := _one(number, source, prometheus))]
    assert not differences, f"{len(differences)} of {len(numbers)} differ: {''.join(differences[:20])}"


def test_most_queries_have_an_answer(series: dict[str, list[tuple[int, float]]]) -> None:
    source = MemorySource(series)
    answered = 0
    for number in range(200):
        try:
            query = Random(random.Random(f"{SEED}-{number}")).query()
            answered += bool(len(evaluate(query, source, BASE_MS + 1_800_500)))
        except QueryError:
            continue
    assert answered > 120
