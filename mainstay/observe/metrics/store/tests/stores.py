"""What the tests of the store share: how they ask, and how they compare."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from mainstay.observe.metrics.promql.plan import Matcher, MatchKind
from mainstay.observe.metrics.promql.series import Hints, Selection
from mainstay.observe.metrics.store import Store, StoreLimits

Labels = tuple[tuple[str, str], ...]
Found = dict[Labels, list[tuple[int, int]]]  # times and bits of values

START = 1_750_000_000_000 // 7_200_000 * 7_200_000
SMALL = StoreLimits(columns=8, kept=3, batch=4, segment_bytes=3_000, recent_bytes=0)
RECENT_BYTES = (0, 4_000, 1 << 20)  # of chunks in memory: all is read from history, some of it, nothing


def key(labels: Mapping[str, str]) -> Labels:
    """Return labels as a key."""
    return tuple(sorted(labels.items()))


def bits(value: float) -> int:
    """Return the bits of a value."""
    return int(np.float64(value).view(np.uint64))


def found(selection: Selection) -> Found:
    """Return what was selected, series by series; check that it is a proper answer."""
    samples = selection.samples
    assert len(samples.group) == len(selection.series) == len(samples.values)
    out: Found = {}
    for row, labels in enumerate(selection.series.all_labels()):
        group = int(samples.group[row])
        count = int(samples.counts[group])
        times = samples.times[group, :count].tolist()
        assert count, "a series without samples"
        assert all(one < other for one, other in pairwise(times)), "times do not ascend"
        assert key(labels) not in out, "a series twice"
        values = np.ascontiguousarray(samples.values[row, :count]).view(np.uint64).tolist()
        out[key(labels)] = list(zip(times, values, strict=True))
    return out


def equal(name: str, value: str) -> Matcher:
    """Return a matcher."""
    return Matcher(name, MatchKind.EQUAL, value)


def select(store: Store, *matchers: Matcher, after: int = 0, until: int = 1 << 60, hints: Hints | None = None) -> Found:
    """Select and compare-ready."""
    return found(store.select(matchers, after, until, hints))


def everything(store: Store) -> Found:
    """Return all there is."""
    return select(store, Matcher("__name__", MatchKind.NOT_EQUAL, ""))


def reopened(store: Store, folder: Path, limits: StoreLimits) -> Store:
    """Close a store and open it again."""
    store.close()
    return Store(folder, limits)
