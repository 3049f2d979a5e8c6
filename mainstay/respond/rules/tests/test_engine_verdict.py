"""A rule that gives nothing: because all is well, because nobody measures it any more, or because nobody knows."""

from collections.abc import Sequence

import pytest

from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Matcher
from mainstay.respond.rules.engine.outcome import Health, SourceAway
from mainstay.respond.rules.engine.verdict import verdict

NOW = 1_700_000_000_000
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
SOURCE = MemorySource(
    {
        'here{job="a"}': [(NOW - age * MINUTE, 1.0) for age in range(60)],
        'here{job="b"}': [(NOW - age * MINUTE, 1.0) for age in range(60)],
        'gone{job="a"}': [(NOW - 3 * DAY - age * MINUTE, 1.0) for age in range(60)],
    }
)


def judged(text: str) -> tuple[Health, str]:
    found = verdict(parse(text), SOURCE.count, NOW)
    return found.health, found.reason


@pytest.mark.parametrize(
    "text",
    [
        "here > 5",
        "rate(here[5m]) > 5",
        'sum(rate(here{job="nobody"}[5m])) / sum(rate(here[5m])) > 0.05',  # no errors yet, which is well
        "absent(never)",
        "absent(gone)",
        "absent_over_time(never[5m])",
        "never or here > 5",
        "(sum(never) or vector(0)) > 5",
        "here unless on (job) never",
        "vector(1) > 5",
        "time() > bool 5",
        "here > scalar(never)",
        "here offset 30m > 5",
        "max_over_time(here[10m:1m]) > 5",
    ],
)
def test_what_could_give_something_is_well(text: str) -> None:
    assert judged(text) == (Health.OK, "")


@pytest.mark.parametrize(
    "text",
    [
        "never > 5",
        "rate(never[5m]) > 5",
        "here / never > 5",
        "here and never",
        "never unless here",
        "sum by (job) (-never)",
        "histogram_quantile(0.9, rate(never[5m]))",
        "never or never",
        "max_over_time(never[1h:1m])",
    ],
)
def test_what_cannot_give_anything_says_so(text: str) -> None:
    assert judged(text) == (Health.NO_SERIES, "there is no series of never, nor was there in 30 days")


def test_a_metric_that_has_vanished_is_named_with_the_time_it_was_last_seen() -> None:
    found = verdict(parse("rate(gone[5m]) > 5"), SOURCE.count, NOW)
    assert found.health is Health.NO_SERIES
    assert found.reason == "no series of gone is left; it was last seen 2023-11-11 22:13Z"
    assert found.missing == ("gone",)
    assert found.last_seen_ms is not None
    assert 0 <= found.last_seen_ms - (NOW - 3 * DAY) <= MINUTE


def test_labels_that_match_nothing_are_told_when_they_are_all_there_is() -> None:
    health, reason = judged('here{job="typo"} == 0')
    assert health is Health.NO_SERIES
    assert reason == 'no series matches here{job="typo"}, though the metric exists; are the labels right?'


def test_a_selector_without_a_name_is_asked_as_it_is() -> None:
    assert judged('{job="c"} > 5') == (
        Health.NO_SERIES,
        'there is no series of {job="c"}, nor was there in 30 days',
    )
    assert judged('{job="a"} > 5')[0] is Health.OK


def test_a_source_that_is_away_is_unknown_never_well() -> None:
    def away(_matchers: Sequence[Matcher], _after_ms: int, _until_ms: int) -> int:
        raise SourceAway("it does not answer")

    found = verdict(parse("here > 5"), away, NOW)
    assert (found.health, found.reason) == (Health.UNKNOWN, "it does not answer")
