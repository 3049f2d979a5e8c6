"""The store in a monitor: whose turn it is, what feeds it, what it answers; and checks as series."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mainstay.foundation import environment as env
from mainstay.foundation import gaps
from mainstay.foundation.accounts.actor import COMMAND_LINE, Actor
from mainstay.foundation.processes import notices
from mainstay.observe.checks.actions import pause, put_check, remove_check
from mainstay.observe.checks.decide import Health
from mainstay.observe.checks.probe.outcome import Phases
from mainstay.observe.checks.runtime.shards import SHARDS
from mainstay.observe.checks.runtime.watched import Observation
from mainstay.observe.checks.runtime.watching import Watching
from mainstay.observe.checks.tests.parts import check, spec
from mainstay.observe.metrics.actions import put_scrape
from mainstay.observe.metrics.embedded import Embedded
from mainstay.observe.metrics.probes import ProbeSeries
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.spec import ScrapeSpec
from mainstay.observe.metrics.store import Store, StoreLimits
from tests.program import free_port

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LABELS = {"application": "shop", "check": "front", "kind": "http", "severity": "critical", "team": "web", "a-b": "x"}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    ports = {"MAINSTAY_PORT": str(free_port()), "MAINSTAY_MONITOR_PORT": str(free_port())}
    found = Embedded(env.read({"MAINSTAY_HOME": str(tmp_path), **ports}), lambda: NOON)
    yield found
    found.close()


def answered(held: Embedded, query: str, at: datetime = NOON) -> list[tuple[dict[str, str], float]]:
    answer = held.answer("/api/v1/query", {"query": [query], "time": [str(at.timestamp())]})
    assert answer.status == 200, answer.body
    return [(one["metric"], float(one["value"][1])) for one in orjson.loads(answer.body)["data"]["result"]]


def seen(check: int, second: float, health: Health = Health.UP, **given: Any) -> Observation:
    at = NOON + timedelta(seconds=second)
    return Observation(check=check, at=at, health=health, duration_s=0.25, **given)


def ready(held: Embedded) -> bool:
    return held.ready


def opened(held: Embedded) -> Store | None:
    return held.store


def test_only_whose_turn_it_is_has_the_store(embedded: Embedded) -> None:
    embedded.hold(mine=False)
    assert opened(embedded) is None
    assert embedded.answer("/api/v1/query", {"query": ["up"]}).status == 503
    embedded.hold(mine=True)
    first = opened(embedded)
    embedded.hold(mine=True)
    assert first is not None
    assert opened(embedded) is first
    embedded.hold(mine=False)
    assert opened(embedded) is None
    embedded.hold(mine=True)
    assert opened(embedded) is not None


def test_two_who_find_that_it_is_their_turn_open_it_once(embedded: Embedded) -> None:
    threads = [threading.Thread(target=embedded.hold, kwargs={"mine": True}) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(thread.name == "scrape-engine" for thread in threading.enumerate()) == 1


@pytest.mark.django_db
def test_checks_the_host_and_mainstay_itself_feed_it(embedded: Embedded) -> None:
    embedded.know(7, "http", "http://127.0.0.1:9001/", LABELS)  # known before it is opened
    embedded.hold(mine=True)
    embedded.cycle(NOON, 1)
    embedded.hear([seen(7, -5, code=200, phases=Phases(0.01, 0.02, 0.0, 0.2, 0.02))])
    assert answered(embedded, "probe_success") == [
        (
            {
                "__name__": "probe_success", "application": "shop", "check": "front", "kind": "http",
                "severity": "critical", "team": "web", "job": "checks", "instance": "http://127.0.0.1:9001/",
            },
            1.0,
        )
    ]  # fmt: skip
    assert answered(embedded, 'node_memory_MemTotal_bytes{job="host"}')[0][1] > 2**20
    answer = orjson.loads(embedded.answer("/api/v1/targets", {}).body)
    assert {one["labels"]["job"] for one in answer["data"]["activeTargets"]} <= {"mainstay"}


@pytest.mark.django_db
def test_a_scrape_that_the_scraper_lost_is_given_to_it_again(embedded: Embedded) -> None:
    row = put_scrape(
        ScrapeSpec.model_validate({"name": "node", "targets": ["127.0.0.1:1"], "every": "1h"}), COMMAND_LINE, NOON
    )
    embedded.hold(mine=True)
    embedded.cycle(NOON, 1)
    scraper = embedded.scraper
    assert scraper is not None
    assert row.pk in scraper.held()
    scraper.update([], [row.pk])
    assert row.pk not in scraper.held()
    embedded.cycle(NOON, 1)
    assert row.pk in scraper.held()


@pytest.mark.django_db
@pytest.mark.fault("C14")
@pytest.mark.parametrize("then", ["paused", "deleted", "renamed"])
def test_series_of_a_check_end_when_nobody_looks_any_more(embedded: Embedded, me: Actor, then: str) -> None:
    row = check()
    watching = Watching(env.read({"MAINSTAY_HOME": "unused"}))
    watching.start([])
    watching.measure_with(embedded, embedded.hear)
    embedded.hold(mine=True)
    every = frozenset(range(SHARDS))
    watching.holding.round(every, NOON)
    embedded.hear([seen(row.pk, -5)])
    assert len(answered(embedded, "probe_success")) == 1
    if then == "paused":
        pause(row, me, NOON, paused=True)
    elif then == "deleted":
        remove_check(row, me, NOON)
    else:
        put_check(row.application, spec("other"), me, NOON, existing=row)
    watching.holding.round(every, NOON + timedelta(seconds=1))
    embedded.hear([seen(row.pk, 2)])  # one that was under way
    later = answered(embedded, "probe_success", NOON + timedelta(seconds=3))
    assert [labels["check"] for labels, _ in later] == (["other"] if then == "renamed" else [])
    watching.stop()


@pytest.mark.django_db
def test_what_was_kept_is_there_after_a_restart(embedded: Embedded) -> None:
    embedded.know(7, "http", "http://127.0.0.1:9001/", LABELS)
    embedded.hold(mine=True)
    embedded.hear([seen(7, -5)])
    embedded.hold(mine=False)
    embedded.hold(mine=True)
    assert len(answered(embedded, "probe_success")) == 1


@pytest.mark.django_db
def test_rules_wait_until_what_is_scraped_has_been_scraped(embedded: Embedded) -> None:
    assert not embedded.ready
    embedded.hold(mine=True)
    assert not embedded.ready
    embedded.cycle(NOON, 1)
    assert embedded.ready == all(target.last_at for target in embedded.scraper.targets())  # type: ignore[union-attr]


def test_where_another_server_keeps_samples_it_can_scrape_the_last_result_of_every_check(tmp_path: Path) -> None:
    held = Embedded(env.read({"MAINSTAY_HOME": str(tmp_path), "METRICS_URL": "http://127.0.0.1:9090"}), lambda: NOON)
    registry = CollectorRegistry()
    assert held.latest is not None
    registry.register(held.latest)
    held.know(7, "http", "http://127.0.0.1:9001/", LABELS)
    held.know(8, "tcp", "127.0.0.1:22", {"check": "ssh"})
    held.hear([seen(7, -9, health=Health.DOWN, code=503), seen(7, -4, code=200), seen(8, -4), seen(9, -4)])
    text = generate_latest(registry).decode()
    assert 'probe_success{application="shop",check="front",instance="http://127.0.0.1:9001/",job="checks"' in text
    assert text.count("probe_success{") == 2
    assert "probe_http_status_code{" in text
    assert " 200.0" in text
    assert " 503.0" not in text
    held.forget([7], NOON)
    assert generate_latest(registry).decode().count("probe_success{") == 1


# --- checks as series -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "store")
    found.tick(round(NOON.timestamp() * 1000))
    yield found
    found.close()


def value(store: Store, query: str, second: float = 0) -> list[float]:
    result = evaluate(query, store, round((NOON.timestamp() + second) * 1000))
    return [points[0][1] for _, points in result.rows()]


def test_an_http_check_has_the_series_of_blackbox_exporter(store: Store) -> None:
    series = ProbeSeries(store)
    series.hold(7, "http", "https://shop.example/", LABELS)
    facts = {"body_bytes": 1234, "redirects": 1, "chain_expires_at": 1_800_000_000.0}
    series.take([seen(7, -1, code=503, health=Health.DOWN, phases=Phases(0.01, 0.02, 0.03, 0.2, 0.04), facts=facts)])
    assert value(store, "probe_success") == [0.0]
    assert value(store, "probe_duration_seconds") == [0.25]
    assert value(store, "probe_http_status_code") == [503.0]
    assert value(store, 'probe_http_duration_seconds{phase="tls"}') == [0.03]
    assert value(store, "count(probe_http_duration_seconds)") == [5.0]
    assert value(store, "probe_http_redirects") == [1.0]
    assert value(store, "probe_http_uncompressed_body_length") == [1234.0]
    assert value(store, "probe_ssl_earliest_cert_expiry") == [1_800_000_000.0]


@pytest.mark.parametrize(
    ("kind", "given", "metric", "expected"),
    [
        ("dns", {"facts": {"answers": 3}}, "probe_dns_answer_rrs", 3.0),
        ("icmp", {"facts": {"loss_percent": 25.0}}, "probe_icmp_loss_ratio", 0.25),
        ("command", {"code": 2}, "probe_exit_status", 2.0),
        ("tcp", {"phases": Phases(0.01, 0.02)}, "probe_dns_lookup_time_seconds", 0.01),
        ("heartbeat", {}, "probe_duration_seconds", 0.25),
    ],
)
def test_other_kinds_have_theirs(kind: str, given: dict[str, Any], metric: str, expected: float, store: Store) -> None:
    series = ProbeSeries(store)
    series.hold(1, kind, "target", {})
    series.take([seen(1, -1, **given)])
    assert value(store, metric) == [expected]


def test_a_removed_check_ends_its_series_and_a_renamed_one_its_old_ones(store: Store) -> None:
    series = ProbeSeries(store)
    series.hold(1, "tcp", "a", {"check": "old"})
    series.take([seen(1, -20)])
    series.hold(1, "tcp", "a", {"check": "new"})
    series.take([seen(1, -10)])
    assert value(store, 'probe_success{check="old"}') == []
    assert value(store, 'probe_success{check="new"}') == [1.0]
    series.drop([1], NOON)
    assert value(store, "probe_success", 1) == []


def test_checks_beyond_the_cardinality_limit_are_told_and_the_others_go_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "small", StoreLimits(series=3, series_of_job=3))
    series = ProbeSeries(store)
    series.hold(1, "tcp", "a", {})
    series.hold(2, "tcp", "b", {})
    series.take([seen(1, -2), seen(2, -2), seen(1, -1), seen(2, -1)])
    assert value(store, "count(probe_success)") == [1.0]
    assert store.figures().refused_series > 0
    store.close()


@pytest.mark.fault("R6")
@pytest.mark.django_db
def test_after_the_clock_was_set_what_is_missing_means_nothing_until_targets_were_scraped_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_by = [0.0]

    def wall() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=set_by[0])

    detector = gaps.Detector(lambda: gaps.Reading(wall(), time.monotonic()))
    detector.begin()
    monkeypatch.setattr(gaps, "detector", detector)
    ports = {"MAINSTAY_PORT": str(free_port()), "MAINSTAY_MONITOR_PORT": str(free_port())}
    held = Embedded(env.read({"MAINSTAY_HOME": str(tmp_path), **ports}), wall)
    try:
        held.hold(mine=True)
        held.cycle(wall(), 1)
        give_up = time.monotonic() + 10.0
        while not ready(held):
            assert time.monotonic() < give_up, "it never was ready"
            time.sleep(0.02)
        set_by[0] = 3600.0
        assert not ready(held)
        assert not ready(held)  # told once, it still holds
        monkeypatch.setattr("mainstay.observe.metrics.embedded.PATIENCE_S", 0.0)
        assert ready(held)  # but not for ever
    finally:
        held.close()


@pytest.mark.django_db
def test_a_history_that_was_deleted_is_told_while_it_matters(embedded: Embedded, tmp_path: Path) -> None:
    embedded.hold(mine=True)
    (tmp_path / "metrics" / "history.duckdb").unlink()
    for second in (0, 11):
        embedded.cycle(NOON + timedelta(seconds=second), 1)
    (told,) = [each for each in notices.told() if each["code"] == "metrics-file"]
    assert told["title"] == "history.duckdb was deleted or replaced while in use"
    assert "written anew" in str(told["detail"])
    assert not told["grave"]
    embedded.cycle(NOON + timedelta(hours=2), 1)
    assert not [each for each in notices.told() if each["code"] == "metrics-file"]


@pytest.mark.django_db
def test_a_store_beside_which_nothing_more_could_be_begun_is_let_go_and_opened_again(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_threads(_self: Scraper) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as bounded:
        bounded.setattr(Scraper, "start", no_more_threads)
        with pytest.raises(RuntimeError):
            embedded.hold(mine=True)
        assert opened(embedded) is None
    embedded.hold(mine=True)
    assert opened(embedded) is not None
