"""From what a selection is answered: samples as they came, or rollups.

Rollups answer where nobody can tell the difference, or where nothing else is left:

- range queries (step > 0) whose step and range are at least two buckets wide, for functions of which the buckets know
  what they need;
- single evaluations (step 0: rules, tables) only over ranges of at least 288 buckets, a day for those of 5 minutes:
  a rule over an hour is exact;
- times of which the samples are not kept any more.

What is then approximate: a bucket counts as a whole if it ends within the range, so the edges are uncertain by one
bucket; `avg_over_time` is the mean of the buckets' means, exact where all have as many samples; the last value of
a bucket stands at its end; `delta`, `deriv` and `predict_linear` see the last value of each bucket. Functions that
depend on each sample (`count_over_time`, `changes`, `resets`, `quantile_over_time`, `stddev_over_time`, `irate` …) get
samples as long as there are any, and the last value of each bucket before that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mainstay.observe.metrics.promql.series import Hints
from mainstay.observe.metrics.store.disk.rollup import FIVE, HOUR, Tier

COLUMN = {
    "": "last",
    "rate": "counter",
    "increase": "counter",
    "min_over_time": "low",
    "max_over_time": "high",
    "sum_over_time": "total",
    "avg_over_time": "mean",
    "last_over_time": "last",
    "present_over_time": "last",
    "delta": "last",
    "deriv": "last",
    "predict_linear": "last",
}
BUCKETS_OF_STEP = 2
BUCKETS_OF_ONE_EVALUATION = 288


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a range, and from what it is answered: (after, until] of a tier, or of samples if that is None."""

    tier: Tier | None
    column: str
    after_ms: int
    until_ms: int


def coarse_enough(tier: Tier, hints: Hints) -> bool:
    """Tell whether buckets of a tier are as good as samples for what is asked."""
    if hints.function not in COLUMN:
        return False
    if hints.step_ms:
        least = BUCKETS_OF_STEP * tier.bucket_ms
        return hints.step_ms >= least and (not hints.function or hints.range_ms >= least)
    return bool(hints.function) and hints.range_ms >= BUCKETS_OF_ONE_EVALUATION * tier.bucket_ms


def planned(
    after_ms: int,
    until_ms: int,
    hints: Hints,
    *,
    dropped_ms: int | None,
    begins: Mapping[Tier, int],
    ends: Mapping[Tier, int],
) -> list[Stretch]:
    """Divide a range among tiers and samples, oldest first.

    Of samples up to `dropped_ms` some are not kept any more. `begins` and `ends` are the times between which the tiers
    have buckets.
    """
    column = COLUMN.get(hints.function, "last")
    bounds = {}
    for tier in (HOUR, FIVE):
        if tier not in ends or tier not in begins:
            continue
        if coarse_enough(tier, hints):
            bounds[tier] = ends[tier]
        elif dropped_ms is not None:
            bounds[tier] = min(ends[tier], -(-dropped_ms // tier.bucket_ms) * tier.bucket_ms)
    if HOUR in bounds and FIVE in bounds and not coarse_enough(HOUR, hints):
        bounds[HOUR] = min(bounds[HOUR], begins[FIVE])  # finer buckets are better while there are any
    stretches, at = [], after_ms
    for tier in (HOUR, FIVE):
        if tier in bounds and min(bounds[tier], until_ms) > at:
            upto = min(bounds[tier], until_ms)
            stretches.append(Stretch(tier, column, at, upto))
            at = upto
    if at < until_ms:
        stretches.append(Stretch(None, column, at, until_ms))
    return stretches
