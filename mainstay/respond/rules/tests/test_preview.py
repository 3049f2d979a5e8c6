"""What a rule would have done: its states gone through again over courses of the past."""

import time
from collections.abc import Sequence

import pytest

from mainstay.observe.metrics.client import BadQuery, Curve
from mainstay.observe.metrics.tests.speaker import asked_by_pages, speaking
from mainstay.respond.rules.pages import preview
from mainstay.respond.rules.pages.preview import Draft, Gone, Span, go_through, united
from mainstay.respond.rules.spec import RuleSpec


def rule(**given: object) -> RuleSpec:
    return RuleSpec.model_validate({"alert": "ErrorRate", "expr": "x > 5", **given})


def course(*held: tuple[int, int], job: str = "shop", step: int = 60) -> Curve:
    """The condition holds from the first to the second, in seconds."""
    points = [(float(at), 6.0) for begin, end in held for at in range(begin, end + 1, step)]
    return Curve({"__name__": "x", "job": job}, points)


def gone(curves: Sequence[Curve], held_for: str = "0s", *, end: float = 3600, **given: object) -> Gone:
    return go_through(Draft.of(rule(**{"for": held_for, **given})), curves, 0, end, 60)


def test_it_fires_once_it_has_held_for_as_long_as_for() -> None:
    found = gone([course((600, 1500))], "5m")
    assert (found.fired, found.pending, found.firing) == (1, [Span(600, 900)], [Span(900, 1560)])
    assert found.firing_s == 660


def test_what_ends_before_for_is_over_never_pages() -> None:
    found = gone([course((600, 780), (1800, 2000))], "5m")
    assert (found.fired, found.cancelled, found.firing) == (0, 2, [])


def test_without_for_each_time_that_it_holds_pages() -> None:
    assert gone([course((60, 120), (600, 600), (1200, 1260))]).fired == 3


def test_keep_firing_for_makes_one_of_several() -> None:
    held = ((600, 1200), (1380, 1800))
    assert gone([course(*held)]).fired == 2
    found = gone([course(*held)], keep_firing_for="5m")
    assert (found.fired, found.firing) == (1, [Span(600, 2160)])


def test_what_still_fires_at_the_end_counts_up_to_it() -> None:
    assert gone([course((3000, 3600))], "5m").firing == [Span(3300, 3600)]


def test_two_series_page_twice_and_their_times_are_counted_once() -> None:
    found = gone([course((600, 1200)), course((900, 1500), job="web")])
    assert (found.fired, found.firing) == (2, [Span(600, 1560)])


def test_labels_of_the_rule_make_one_alert_of_series_that_they_hide() -> None:
    curves = [course((600, 1200), job="a"), course((900, 1500), job="b")]
    assert gone(curves, labels={"job": "all"}).fired == 1
    assert gone(curves, labels={"job": "{{ $labels.job }}!"}).fired == 2
    assert gone(curves, labels={"job": "{{ broken"}).fired == 2


def test_it_is_what_the_state_machine_says_step_by_step() -> None:
    from mainstay.respond.rules.engine import state
    from mainstay.respond.rules.files import read

    curves = [course((300, 420), (900, 1800), (2000, 2160)), course((1500, 2700), job="web")]
    spec = rule(**{"for": "3m", "keep_firing_for": "2m"})
    of_file = read.Rule(expr="x > 5", alert="ErrorRate", for_s=180, keep_firing_for_s=120)
    active: dict[str, state.Instance] = {}
    fired = 0
    for at in range(0, 3601, 60):
        vector = [(curve.labels, 6.0) for curve in curves if any(when == at for when, _ in curve.points)]
        stepped = state.step(of_file, active, vector, at * 1000)
        active = dict(stepped.instances)
        fired += sum(change.code is state.Code.FIRED for change in stepped.changes)
    assert go_through(Draft.of(spec), curves, 0, 3600, 60).fired == fired > 0


@pytest.mark.timing
def test_a_week_of_minutes_of_a_handful_of_series_is_gone_through_in_less_than_two_seconds() -> None:
    week = 7 * 86_400
    curves = [course(*((at, at + 1800) for at in range(0, week, 3600)), job=str(i)) for i in range(6)]
    began = time.perf_counter()
    found = gone(curves, "5m", end=week)
    assert found.fired == 6 * 168
    assert time.perf_counter() - began < 2


def test_nothing_that_holds_costs_nothing() -> None:
    assert gone([]) == Gone(0, 0, [], [])
    assert gone([Curve({}, [])]).fired == 0


def test_times_that_touch_are_one() -> None:
    assert united([Span(5, 7), Span(1, 2), Span(2, 4)]) == [Span(1, 4), Span(5, 7)]


# --- asking for it --------------------------------------------------------------------------------------------------

NOW = 1_795_680_000.0


def test_the_replay_asks_for_the_expression_and_for_what_it_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking() as speaker, asked_by_pages(monkeypatch, speaker.url):
        speaker.says("x > 5", [({"job": "shop"}, lambda at: 6.0 if at % 3600 < 600 else None)])
        speaker.says("x", [({"job": "shop"}, lambda at: 6.0 if at % 3600 < 600 else 1.0)])
        found = preview.replay(rule(**{"for": "5m"}), "24h", NOW)
        assert (found.gone.fired, found.step_s, found.total) == (24, 60, 1)
        assert speaker.questions("query_range") == ["x > 5", "x"]
        assert found.since is None


def test_where_samples_begin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking() as speaker, asked_by_pages(monkeypatch, speaker.url):
        speaker.says("x", [({}, lambda at: 1.0 if at >= NOW - 1800 else None)])
        assert preview.replay(rule(), "24h", NOW).since == NOW - 1800


def test_of_many_series_the_step_grows_and_the_nearest_to_the_threshold_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with speaking() as speaker, asked_by_pages(monkeypatch, speaker.url):
        speaker.says("x", [({"i": str(i)}, float(i)) for i in range(300)])
        found = preview.replay(rule(expr="x < 5"), "24h", NOW)
        assert found.step_s == 120
        assert [curve.labels["i"] for curve in found.lines] == ["0", "1", "2", "3", "4", "5"]
        assert "bottomk(6, (\nx\n))" in speaker.questions("query_range")


def test_more_series_than_can_be_replayed_are_refused_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking() as speaker, asked_by_pages(monkeypatch, speaker.url):
        speaker.says("x", [({"i": str(i)}, 1.0) for i in range(2001)])
        with pytest.raises(BadQuery, match="2,001 series"):
            preview.replay(rule(), "1h", NOW)
