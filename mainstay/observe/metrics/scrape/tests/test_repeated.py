"""The same series several times in one answer: what counts is series and time, and the first sample of both."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.observe.checks.kinds.tests.servers import serving
from mainstay.observe.metrics.measuring import StoreMetrics
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.scrape.engine import Scraper
from mainstay.observe.metrics.scrape.intake import Intake, LimitReached
from mainstay.observe.metrics.scrape.relabel import Relabelling, Rule
from mainstay.observe.metrics.scrape.settings import ScrapeSettings
from mainstay.observe.metrics.scrape.state import TargetHealth
from mainstay.observe.metrics.scrape.tests.parts import TEXT, RecordingStore, exposing, planned, settled, until
from mainstay.observe.metrics.store import Store

Make = Callable[..., Scraper]
AT_MS = 1_800_000_000_000
T1, T2 = AT_MS - 7000, AT_MS - 5000
DROPS_N = {"action": "labeldrop", "regex": "n"}


def intake(store: Any, *rules: dict[str, Any], **settings: Any) -> Intake:
    relabel = Relabelling([Rule.model_validate(rule) for rule in rules])
    given = ScrapeSettings.model_validate({"targets": ["a:1"], **settings})
    return Intake(store, "key", "shop", {"job": "shop"}, given, relabel)


@pytest.mark.fault("M9")
@pytest.mark.parametrize(
    ("body", "rules", "kept"),
    [
        ("a 1\na 2\nb 3\n", [], {"a": 1.0, "b": 3.0}),
        ('a{x="1",y="2"} 1\nb 3\na{y="2",x="1"} 2\n', [], {"a": 1.0, "b": 3.0}),
        ('a{x="1"} 1\na{x="1",y=""} 2\nb 3\n', [], {"a": 1.0, "b": 3.0}),
        ("b 3\na NaN\na 1\na 2\n", [], {"a": float("nan"), "b": 3.0}),
        ("a 1\nb 3\na 1\n", [], {"a": 1.0, "b": 3.0}),
        ('a{n="1"} 1\na{n="2"} 2\nb 3\n', [DROPS_N], {"a": 1.0, "b": 3.0}),
        ("a 1\nc 2\nb 3\n", [{"source_labels": ["__name__"], "regex": "c", "target_label": "__name__",
                             "replacement": "a"}], {"a": 1.0, "b": 3.0}),
        ('# TYPE h histogram\nh{le="1"} 1\nh{le="1.0"} 2\n', [], {"h": 1.0}),
        ('{"a"} 1\na 2\n', [], {"a": 1.0}),
    ],
)  # fmt: skip
def test_of_a_series_that_stands_twice_without_timestamps_the_first_counts(
    body: str, rules: list[dict[str, Any]], kept: dict[str, float]
) -> None:
    store = RecordingStore()
    taking = intake(store, *rules)
    for turn in range(2):
        counts = taking.take(body.encode(), TEXT, AT_MS + turn)
        lines = body.count("\n") - body.count("#")
        assert (counts.scraped, counts.kept, counts.repeated) == (lines, lines, lines - len(kept))
        assert counts.added == (0 if turn else len(kept))
        assert re.search(r"left out, for the answer has the same series and time before \([ah]\{", taking.refused)
        assert "make their labels differ" in taking.refused
    assert {name: store.of(name)[0][1] for name in kept} == pytest.approx(kept, nan_ok=True)
    assert all(len(store.of(name)) == 2 for name in kept)
    taking.take(b"a 1\n", TEXT, AT_MS + 2)
    assert taking.refused == ""


@pytest.mark.fault("M9")
def test_a_target_that_names_a_series_twice_is_up_with_a_warning_and_counted(
    scraper: Make, store: RecordingStore
) -> None:
    with serving(exposing('a{x="1"} 1\na{x="1"} 2\nb 1\n')) as server:
        engine = scraper()
        engine.update([planned(1, server)])
        state = settled(engine)
        until(lambda: engine.figures().repeated >= 2)
    assert state.health is TargetHealth.UP
    assert "1 sample is left out" in state.error
    assert 'x="1"' in state.error
    assert (state.samples, state.kept) == (3, 3)
    assert store.of("a")[0][1] == 1.0
    assert store.of("up")[0][1] == 1.0
    assert store.of("b")[0][1] == 1.0
    shown: Any = SimpleNamespace(store=None, scraper=engine)
    counted = {one.name: one.value for metric in StoreMetrics(shown).collect() for one in metric.samples}
    assert counted["mainstay_scrape_samples_repeated_total"] >= 2


@pytest.mark.fault("M9")
def test_the_numbers_alone_are_read_when_an_answer_repeats_series() -> None:
    taking = intake(RecordingStore())
    for turn in range(5):
        taking.take(f"a {turn}\na 2\nb 3\n".encode(), TEXT, AT_MS + turn)
    assert (taking._parser.full, taking._parser.fast) == (1, 4)


@pytest.mark.fault("M9")
def test_samples_that_are_left_out_do_not_count_towards_the_limit() -> None:
    taking = intake(RecordingStore(), sample_limit=1)
    assert taking.take(b"a 1\na 2\n", TEXT, AT_MS).kept == 2
    with pytest.raises(LimitReached, match="2 samples are left by relabelling"):
        taking.take(b"a 1\nb 2\n", TEXT, AT_MS + 1)


@pytest.mark.fault("M8")
@pytest.mark.parametrize(
    ("body", "rules", "kept", "repeated"),
    [
        (f'a{{x="1"}} 1 {T1}\na{{x="1"}} 2 {T2}\n', [], [(T1, 1.0), (T2, 2.0)], 0),
        (f"a 2 {T2}\na 1 {T1}\n", [], [(T1, 1.0), (T2, 2.0)], 0),
        (f'a{{n="1"}} 1 {T1}\na{{n="2"}} 2 {T2}\n', [DROPS_N], [(T1, 1.0), (T2, 2.0)], 0),
        (f"a 1 {T1}\na 2 {T1}\na 3 {T2}\n", [], [(T1, 1.0), (T2, 3.0)], 1),
        (f'a{{n="1"}} 1 {T1}\na{{n="2"}} 2 {T1}\n', [DROPS_N], [(T1, 1.0)], 1),
        (f"a 1 {T1}\na 2\n", [], [(T1, 1.0), (AT_MS, 2.0)], 0),
        (f"a 2\na 1 {T1}\n", [], [(T1, 1.0), (AT_MS, 2.0)], 0),
        (f"a 2\na 1 {T1}\na 3\n", [], [(T1, 1.0), (AT_MS, 2.0)], 1),
        (f"a 2\na 1 {AT_MS}\n", [], [(AT_MS, 2.0)], 1),
        (f"b 5\na 1 {T1}\nb 6 {T2}\na 2 {T2}\n", [], [(T1, 1.0), (T2, 2.0)], 0),
    ],
)
def test_a_series_has_a_sample_for_each_timestamp(
    body: str, rules: list[dict[str, Any]], kept: list[tuple[int, float]], repeated: int, tmp_path: Any
) -> None:
    store = Store(tmp_path / "store")
    store.tick(AT_MS)
    taking = intake(store, *rules)
    counts = taking.take(body.encode(), TEXT, AT_MS)
    assert (counts.repeated, counts.kept) == (repeated, body.count("\n"))
    assert bool(taking.refused) == bool(repeated)
    ((_, found),) = evaluate("a[1h]", store, AT_MS).rows()
    assert found == kept
    assert store.figures().refused == {}
    store.close()


@pytest.mark.fault("M8")
def test_times_that_repeat_in_one_answer_may_differ_in_the_next() -> None:
    taking = intake(RecordingStore())
    for turn, (first, second, repeated) in enumerate([(T1, T2, 0), (T2, T2, 1), (T2 + 1, T2 + 2, 0)]):
        counts = taking.take(f"a 1 {first}\na 2 {second}\n".encode(), TEXT, AT_MS + turn)
        assert counts.repeated == repeated
        assert bool(taking.refused) == bool(repeated)
    assert taking._parser.full == 1


@pytest.mark.fault("M8")
def test_without_honor_timestamps_a_series_has_one_sample() -> None:
    store = RecordingStore()
    taking = intake(store, honor_timestamps=False)
    assert taking.take(f"a 1 {T1}\na 2 {T2}\n".encode(), TEXT, AT_MS).repeated == 1
    assert store.of("a") == [(AT_MS, 1.0)]


@pytest.mark.fault("M8")
def test_openmetrics_may_have_several_points_of_a_series() -> None:
    store = RecordingStore()
    body = b"# TYPE a gauge\na 1 123\na 2 124.5\n# EOF\n"
    taking = intake(store)
    assert taking.take(body, "application/openmetrics-text", AT_MS).repeated == 0
    assert store.of("a") == [(123_000, 1.0), (124_500, 2.0)]
    assert taking.refused == ""
