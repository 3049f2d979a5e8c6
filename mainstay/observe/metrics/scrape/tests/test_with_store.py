"""Scraping into the real store, asked in PromQL: what a person gets to see in the end."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.observe.checks.kinds.tests.servers import serving
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.state import TargetHealth
from mainstay.observe.metrics.scrape.tests.parts import exposing, only, planned, settled, until
from mainstay.observe.metrics.store import Store, StoreLimits

Make = Callable[..., Scraper]
EXPORTER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "metrics", StoreLimits(series=5_000, series_of_job=5_000))
    yield store
    store.close()


def ask(store: Store, text: str) -> dict[str, float]:
    """Evaluate now; return value by `job/instance`, or by the label `code` if there is one."""
    found: Any = evaluate(text, store, int(time.time() * 1000))
    out = {}
    for labels, value in zip(found.series.all_labels(), found.values[:, 0].tolist(), strict=True):
        out[labels.get("code") or labels.get("job", "")] = value
    return out


def test_what_targets_say_is_answered_in_promql(kept: Store, scraper: Make) -> None:
    count = [0]

    def body() -> str:
        count[0] += 1
        return (
            f'# TYPE requests_total counter\nrequests_total{{code="200"}} {count[0]}\nrequests_total{{code="500"}} 1\n'
        )

    with serving(exposing(body)) as server:
        engine = scraper(store=kept)
        engine.update([planned(1, server, name="shop")])
        until(lambda: count[0] >= 5)
        until(lambda: ask(kept, "requests_total").get("200", 0) >= 4)
        assert ask(kept, 'up{job="shop"}') == {"shop": 1.0}
        assert ask(kept, "requests_total")["500"] == 1.0
        assert ask(kept, "count_over_time(up[1m])")["shop"] >= 4
        assert kept.metadata()["requests_total"][0] == "counter"
    until(lambda: ask(kept, 'up{job="shop"}') == {"shop": 0.0})
    assert ask(kept, "requests_total") == {}, "what does not answer has no value, not its last one"


def test_a_target_that_explodes_keeps_what_it_had_and_is_named(kept: Store, scraper: Make) -> None:
    many = "".join(f'exploding{{id="{number}"}} 1\n' for number in range(6_000))
    bodies = ["steady 1\n", "steady 2\n" + many]
    with serving(exposing(lambda: bodies[0])) as bad, serving(exposing("fine 1\n")) as good:
        engine = scraper(store=kept)
        engine.update([planned(1, bad, name="bad"), planned(2, good, name="good")])
        until(lambda: ask(kept, "steady") and ask(kept, "fine"))
        bodies.pop(0)
        until(lambda: ask(kept, "steady") == {"bad": 2.0}, what="the series that there were go on")
        until(lambda: any(state.error for state in engine.targets()))
        state = next(state for state in engine.targets() if state.job == "bad")
        assert state.health is TargetHealth.UP
        assert "'exploding'" in state.error
        assert "'id'" in state.error
        assert ask(kept, "fine") == {"good": 1.0}
        assert ask(kept, "count(exploding)") == {}


def test_timestamps_of_targets_are_kept_and_not_ended(kept: Store, scraper: Make) -> None:
    at_ms = int(time.time() * 1000) - 30_000
    with serving(exposing(f"dated 7 {at_ms}\nplain 1\n")) as server:
        engine = scraper(store=kept)
        engine.update([planned(1, server, name="shop")])
        until(lambda: ask(kept, "plain") and ask(kept, "dated"))
        assert ask(kept, "timestamp(dated)") == {"shop": at_ms / 1000}
    until(lambda: only(engine).health is TargetHealth.DOWN)
    until(lambda: ask(kept, "plain") == {})
    assert ask(kept, "dated") == {"shop": 7.0}, "as with Prometheus, only the lookback ends it"


@pytest.mark.skipif(EXPORTER is None, reason="apt-get install prometheus-node-exporter")
def test_a_real_node_exporter_is_scraped(kept: Store, scraper: Make) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(EXPORTER), f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        engine = scraper(store=kept)
        engine.update([planned(1, f"127.0.0.1:{port}", name="node", every_s=0.5, timeout_s=0.5)])
        until(lambda: ask(kept, "up").get("node") == 1.0 and only(engine).samples > 300, 20)
        until(lambda: ask(kept, "scrape_samples_scraped").get("node", 0) > 300)
        assert ask(kept, "node_memory_MemTotal_bytes")["node"] > 1e8
        assert ask(kept, 'count(node_cpu_seconds_total{mode="idle"})')[""] >= 1
        until(lambda: ask(kept, 'sum(rate(node_cpu_seconds_total{mode="idle"}[10s]))'))
        assert kept.metadata()["node_memory_MemTotal_bytes"][0] == "gauge"
    finally:
        process.terminate()
        process.wait(5)


def test_after_the_clock_was_set_back_a_target_goes_on_at_once(kept: Store, scraper: Make) -> None:
    ahead = [3600.0]
    with serving(exposing("a 1\n")) as server:
        engine = scraper(store=kept, wall_clock=lambda: time.time() + ahead[0])
        engine.update([planned(1, server, name="shop")])
        assert settled(engine).health is TargetHealth.UP
        ahead[0] = 0.0
        before = time.time()
        until(
            lambda: before < (only(engine).last_at or 0.0) < time.time() + 60.0, what="it is scraped by the new clock"
        )
        assert (only(engine).health, only(engine).error) == (TargetHealth.UP, "")
    assert kept.figures().refused == {}
