"""Scraping real targets: what is put into the store, when, and what is said of each target."""

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from mainstay.net.resolver import Resolver
from mainstay.observe.checks.kinds.tests.servers import serving, unused_port
from mainstay.observe.metrics.scrape import engine as engine_module
from mainstay.observe.metrics.scrape import seek
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.state import TargetHealth
from mainstay.observe.metrics.scrape.tests.parts import (
    RecordingStore,
    all_scraped,
    exposing,
    only,
    planned,
    settled,
    stale,
    until,
)

Make = Callable[..., Scraper]
BODY = '# TYPE requests counter\nrequests{code="200"} 7\nrequests{code="500"} 1\nload 0.5\n'


def test_samples_and_reports_go_into_the_store_at_the_scrapes_start(scraper: Make, store: RecordingStore) -> None:
    began = time.time()
    with serving(exposing(BODY)) as server:
        engine = scraper()
        engine.update([planned(1, server, name="shop")])
        state = settled(engine)
    instance = f"127.0.0.1:{server.port}"
    (at_ms, value), *_ = store.of("requests", code="200")
    assert value == 7
    assert began * 1000 - 25 <= at_ms <= time.time() * 1000
    assert store.keys("load") == [{"__name__": "load", "job": "shop", "instance": instance}]
    own = {"job": "shop", "instance": instance}
    assert store.of("up", **own)[0] == (at_ms, 1.0)
    assert store.of("scrape_samples_scraped", **own)[0] == (at_ms, 3.0)
    assert store.of("scrape_samples_post_metric_relabeling", **own)[0] == (at_ms, 3.0)
    assert store.of("scrape_series_added", **own)[0] == (at_ms, 3.0)
    assert 0 < store.of("scrape_duration_seconds", **own)[0][1] < 5
    assert (state.health, state.error, state.samples, state.kept) == (TargetHealth.UP, "", 3, 3)
    assert state.url == f"http://{instance}/metrics"
    assert state.discovered["__address__"] == instance


def test_new_series_are_counted_and_vanished_ones_end(scraper: Make, store: RecordingStore) -> None:
    bodies = ["a 1\nb 2\n", "a 1\nc 3\n"]
    with serving(exposing(lambda: bodies[0])) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        until(lambda: len(store.of("up")) >= 2)
        assert [value for _, value in store.of("scrape_series_added")[:2]] == [2.0, 0.0]
        bodies.pop(0)
        until(lambda: store.of("c"))
        until(lambda: 1.0 in [value for _, value in store.of("scrape_series_added")[2:]])
    at_ms, value = store.of("b")[-1]
    assert stale(value)
    assert at_ms == store.of("c")[0][0]


def test_a_target_that_falls_silent_is_down_and_its_series_end(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing(BODY)) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        until(lambda: store.of("load"))
    until(lambda: only(engine).health is TargetHealth.DOWN)
    assert "no connection to 127.0.0.1" in only(engine).error
    assert "refused" in only(engine).error
    until(lambda: store.of("up")[-1][1] == 0.0)
    assert stale(store.of("load")[-1][1])
    ended_at = store.of("load")[-1][0]
    assert (ended_at, 0.0) in store.of("up"), "it ends at the time of the scrape that failed"
    time.sleep(0.5)
    assert store.of("load")[-1][0] == ended_at, "what has ended is not ended again"
    assert only(engine).samples == 0


def test_a_target_that_is_taken_away_ends_with_all_its_series(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing(BODY)) as one, serving(exposing(BODY)) as other:
        engine = scraper()
        engine.update([planned(1, one, other)])
        until(lambda: len(store.keys("load")) == 2)
        engine.update([planned(1, other)])
        until(lambda: len(engine.targets()) == 1)
        gone = f"127.0.0.1:{one.port}"
        until(lambda: stale(store.of("up", instance=gone)[-1][1]))
        assert stale(store.of("load", instance=gone)[-1][1])
        before = len(store.of("up", instance=f"127.0.0.1:{other.port}"))
        until(lambda: len(store.of("up", instance=f"127.0.0.1:{other.port}")) > before)
        assert not any(stale(v) for _, v in store.of("up", instance=f"127.0.0.1:{other.port}"))
        engine.update([], removed=[1])
        until(lambda: not engine.targets())
        until(lambda: stale(store.of("up", instance=f"127.0.0.1:{other.port}")[-1][1]))
        assert engine.scrapes() == []


def test_stopping_ends_no_series(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing(BODY)) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        until(lambda: store.of("load"))
        assert engine.stop(2.0)
    assert not stale(store.of("load")[-1][1])


def test_scrapes_keep_to_their_grid_and_to_one_connection(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing(BODY)) as server:
        engine = scraper()
        engine.update([planned(1, server, every_s=0.25)])
        until(lambda: len(store.of("up")) >= 9)
        assert server.connections == 1, "a target that keeps the connection is asked on it again"
    times = [at_ms for at_ms, _ in store.of("up")[1:9]]
    steps = [after - before for before, after in pairwise(times)]
    assert all(abs(step - 250) <= 30 for step in steps), steps
    assert abs((times[-1] - times[0]) - 250 * (len(times) - 1)) <= 30, "it must not drift"


@pytest.mark.timing
def test_slots_that_fall_due_while_a_scrape_is_taken_in_are_counted_and_not_made_up_for(
    scraper: Make, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_INLINE_S", -1.0)  # everything is taken in beside the loop
    layout = store.layout

    def slow_layout(label_sets: Any, job: str) -> Any:
        if not any(labels["__name__"] == "up" for labels in label_sets):
            time.sleep(0.7)
        return layout(label_sets, job)

    monkeypatch.setattr(store, "layout", slow_layout)
    with serving(exposing(BODY)) as server, serving(exposing("y 1\n")) as other:
        engine = scraper()
        engine.update([planned(1, server), planned(2, other)])
        slow = next(state for state in all_scraped(engine) if state.job == "job1")
        assert slow.slots_overlapped >= 2
        assert slow.health is TargetHealth.UP
        assert engine.figures().lag_s < 0.3, "the loop goes on meanwhile"
    assert any(thread.startswith("scrape-intake") for thread in store.threads)


def test_many_targets_are_spread_over_the_interval(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing("x 1\n")) as server:
        engine = scraper()
        groups = [{"targets": [f"127.0.0.1:{server.port}"], "labels": {"shard": str(number)}} for number in range(40)]
        engine.update([planned(1, targets=groups, every_s=2.0, timeout_s=1.0)])
        until(lambda: engine.figures().scrapes >= 100, 10)
    places = sorted(store.of("up", shard=str(number))[-1][0] % 2000 for number in range(40))
    gaps = [after - before for before, after in pairwise(places)]
    assert max(gaps) <= 200, "even would be 50 ms"


def test_the_same_target_of_two_scrapes_is_scraped_by_both(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing("x 1\n")) as server:
        engine = scraper()
        engine.update([planned(1, server, name="one"), planned(2, server, name="two")])
        until(lambda: store.of("up", job="one") and store.of("up", job="two"))
    assert [state.job for state in engine.targets()] == ["one", "two"]


def test_an_edit_of_what_is_kept_goes_on_with_the_same_target(scraper: Make, store: RecordingStore) -> None:
    with serving(exposing("a 1\nb 2\n")) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        until(lambda: store.of("b"))
        rules = [{"source_labels": ["__name__"], "regex": "b", "action": "drop"}]
        engine.update([planned(1, server, metric_relabel=rules)])
        until(lambda: any(value == 1.0 for _, value in store.of("scrape_samples_post_metric_relabeling")))
        until(lambda: store.of("scrape_samples_post_metric_relabeling")[-1][1] == 1.0)
    assert not any(stale(value) for _, value in store.of("up"))


def test_a_name_with_several_addresses_is_tried_until_one_answers_and_then_kept(
    scraper: Make, store: RecordingStore
) -> None:
    with serving(exposing("x 1\n")) as server:
        names = {"shop.test": ["127.0.0.2", "127.0.0.1"]}
        engine = scraper(resolver=Resolver(lambda host, _family: names[host]))
        engine.update([planned(1, f"shop.test:{server.port}", timeout_s=0.2)])
        until(lambda: len(store.of("up")) >= 4)
        assert only(engine).health is TargetHealth.UP
        assert server.connections <= 2
    assert store.keys("x")[0]["instance"] == f"shop.test:{server.port}"


@pytest.mark.timing
def test_figures_tell_of_the_scrapers_own_health(scraper: Make) -> None:
    with serving(exposing(BODY)) as server:
        engine = scraper()
        engine.update([planned(1, server, f"127.0.0.1:{unused_port()}")])
        until(lambda: engine.figures().failures >= 2 and engine.figures().targets_up == 1)
        figures = engine.figures()
    assert figures.alive
    assert figures.lag_s < 0.5
    assert (figures.targets, figures.targets_up) == (2, 1)
    assert figures.failures >= 2
    assert figures.samples % 3 == 0
    assert figures.held_bytes == 0
    assert 0 <= figures.lateness_p50_s < 0.2


def test_metadata_of_the_last_answer_is_kept(scraper: Make) -> None:
    with serving(exposing("# HELP a What it is.\n# TYPE a gauge\na 1\n")) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        settled(engine)
        ((state, families),) = engine.families()
    assert state.job == "job1"
    assert [(family.name, family.type, family.help) for family in families] == [("a", "gauge", "What it is.")]


@pytest.mark.parametrize("place", ["_start", "_due", "_next_hop", "_hop_done", "_ended"])
def test_a_defect_met_by_one_target_takes_down_only_that(
    scraper: Make, store: RecordingStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    engine = scraper()
    real, met = getattr(engine, place), [0]

    def broken(first: Any, *rest: Any) -> Any:
        if getattr(first, "entry", first).wanted.frame.job == "job1":
            met[0] += 1
            raise RuntimeError("a defect")
        return real(first, *rest)

    with serving(exposing("x 1\n")) as server:
        with monkeypatch.context() as patched:
            patched.setattr(engine, place, broken)
            engine.update([planned(1, server), planned(2, server)])
            until(lambda: len(store.of("up", job="job2")) >= 4 and met[0] >= 2)
        before = len(store.of("up", job="job1"))
        until(lambda: len(store.of("up", job="job1")) >= before + 2)


def test_a_target_whose_name_was_never_asked_about_is_not_called_down(scraper: Make, store: RecordingStore) -> None:
    go = threading.Event()

    def lookup(host: str, _family: int) -> list[str]:
        if host.endswith(".dead.test"):
            go.wait(8)
        return ["127.0.0.1"]

    with serving(exposing("x 1\n")) as server:
        engine = scraper(resolver=Resolver(lookup, threads=4, slow_s=0.1))
        dead = [f"n{number}.dead.test:80" for number in range(20)]
        engine.update(
            [planned(1, targets=[{"targets": dead}], timeout_s=0.2), planned(2, f"www.good.test:{server.port}")]
        )
        until(lambda: len(store.of("up", job="job2")) >= 5)
        waiting = [state for state in engine.targets() if "still waited to be looked up" in state.error]
        # Looked at while the zone still hangs: once it answers, those that waited are asked.
        asked = {key["instance"] for key in store.keys("up")}
        go.set()
    assert len(waiting) >= 10
    assert {state.health for state in waiting} == {TargetHealth.UNKNOWN}
    assert not asked & {state.labels["instance"] for state in waiting}


@pytest.mark.parametrize("place", ["sources_of", "targets_of"])
def test_a_scrape_whose_targets_cannot_be_found_by_a_defect_costs_only_itself(
    scraper: Make, store: RecordingStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    real = getattr(seek, place)
    calls = [0]

    def broken(*given: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise RuntimeError("a defect")
        return real(*given)

    monkeypatch.setattr(seek, place, broken)
    with serving(exposing("x 1\n")) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        until(lambda: [state.errors for state in engine.scrapes()] == [("it cannot be scraped: a defect",)])
        engine.update([planned(2, server)])
        until(lambda: len(store.of("up", job="job2")) >= 2)
        engine.update([planned(1, server, every_s=0.3)])
        until(lambda: len(store.of("up", job="job1")) >= 2)
    assert set(engine.held()) == {1, 2}
