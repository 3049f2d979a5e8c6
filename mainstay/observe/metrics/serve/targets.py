"""`/api/v1/targets`, `/scrape_pools` and `/targets/metadata`: what was asked for of what the scraper tells.

https://prometheus.io/docs/prometheus/latest/querying/api/#targets
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from mainstay.observe.metrics.exposition import Family
from mainstay.observe.metrics.promql.patterns import accepts
from mainstay.observe.metrics.scrape.state import TargetState
from mainstay.observe.metrics.serve.asked import Parameters, many, number, one, selector


def targets(document: Mapping[str, Any], asked: Parameters) -> dict[str, Any]:
    """Return the document of all targets narrowed by `state` (active, dropped, any) and `scrapePool`.

    Of another state there are none, as with Prometheus.
    """
    state, pool = one(asked, "state", "any").lower(), one(asked, "scrapePool", "")

    def kept(part: str, name: str, states: tuple[str, ...] = ()) -> list[Any]:
        wanted = not states or state in states
        return [each for each in document[part] if wanted and (not pool or each[name] == pool)]

    has_dropped = state in ("dropped", "any")
    counts = document["droppedTargetCounts"].items()
    return {
        "activeTargets": kept("activeTargets", "scrapePool", ("active", "any")),
        "droppedTargets": kept("droppedTargets", "scrapePool", ("dropped", "any")),
        "droppedTargetCounts": {name: count for name, count in counts if has_dropped and (not pool or name == pool)},
        "scrapes": kept("scrapes", "name"),
    }


def pools(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of all scrapes."""
    return {"scrapePools": sorted(each["name"] for each in document["scrapes"])}


def metadata(told: Iterable[tuple[TargetState, tuple[Family, ...]]], asked: Parameters) -> list[dict[str, Any]]:
    """Return what targets say of their metrics, narrowed by `match_target` and `metric`, of at most `limit` targets.

    Raises:
        BadRequest: `limit` is no number, `match_target` no selector.
    """
    most, metric = number(asked, "limit", -1), one(asked, "metric", "")
    matchers = selector("match_target", one(asked, "match_target")) if many(asked, "match_target") else ()
    ordered = sorted(told, key=lambda each: (each[0].job, each[0].url))
    found = (
        [_described(target, family, metric) for family in families if not metric or family.name == metric]
        for target, families in ordered
        if all(accepts(each, target.labels.get(each.name, "")) for each in matchers)
    )
    chosen = (each for each in found if each)
    return [each for group in (islice(chosen, most) if most >= 0 else chosen) for each in group]


def _described(target: TargetState, family: Family, metric: str) -> dict[str, Any]:
    named = {} if metric else {"metric": family.name}
    return {"target": dict(target.labels), **named, "type": family.type, "help": family.help, "unit": family.unit}
