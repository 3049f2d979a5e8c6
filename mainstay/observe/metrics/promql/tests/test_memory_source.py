"""Series in memory."""

import pytest

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.memory import MemorySource
from mainstay.observe.metrics.promql.plan import Matcher, MatchKind
from mainstay.observe.metrics.promql.query import evaluate
from mainstay.observe.metrics.promql.series import Hints

UP = Matcher("__name__", MatchKind.EQUAL, "up")


def test_points_may_come_in_any_order_and_the_later_given_counts() -> None:
    source = MemorySource({"up": [(2000, 2.0), (1000, 1.0), (2000, 3.0)]})
    assert list(evaluate("up[1m]", source, 3000).rows()) == [({"__name__": "up"}, [(1000, 1.0), (2000, 3.0)])]


def test_series_may_be_given_by_labels() -> None:
    source = MemorySource([({"__name__": "up", "job": 'say "hi"'}, [(0, 1.0)])])
    assert list(evaluate("up", source, 0).rows()) == [({"__name__": "up", "job": 'say "hi"'}, [(0, 1.0)])]


def test_a_name_that_is_no_single_series_is_refused() -> None:
    for name in ("up + 1", 'up{job=~"a.*"}', "rate(up[5m])"):
        with pytest.raises(QueryError, match="not one series"):
            MemorySource({name: []})


def test_series_sampled_together_share_their_times() -> None:
    source = MemorySource({"up": [(0, 1.0), (5, 2.0)], "a": [(0, 3.0), (5, 4.0)], "b": [(1, 5.0)]})
    anything = Matcher("__name__", MatchKind.REGEX, ".+")
    found = source.select([anything], -1, 5, Hints())
    assert len(found.samples.times) == 2
    assert found.samples.counts.tolist() == [2, 1]
    assert found.samples.group.tolist() == [0, 0, 1]


def test_a_selection_is_open_on_the_left_and_its_cost_is_its_size() -> None:
    source = MemorySource({"up": [(0, 1.0), (10, 2.0), (20, 3.0)]})
    assert source.count([UP], 0, 20) == 2
    assert source.select([UP], 0, 20, Hints()).samples.values.tolist() == [[2.0, 3.0]]
    assert len(source.select([UP], 20, 30, Hints()).series) == 0


def test_the_same_selection_has_the_same_table_of_series() -> None:
    source = MemorySource({"up": [(0, 1.0), (10, 2.0)]})
    assert source.select([UP], -1, 5, Hints()).series is source.select([UP], 5, 10, Hints()).series
