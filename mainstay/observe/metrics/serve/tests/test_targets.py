"""Targets, their metadata and the names of scrapes: every parameter counts."""

from typing import Any

import pytest

from mainstay.observe.metrics.exposition import Family
from mainstay.observe.metrics.scrape.document import targets_document
from mainstay.observe.metrics.scrape.state import ScrapeState, TargetHealth, TargetState
from mainstay.observe.metrics.serve.asked import BadRequest
from mainstay.observe.metrics.serve.targets import metadata, pools, targets

pytestmark = pytest.mark.fault("M17")


def state(job: str, instance: str) -> TargetState:
    labels = {"job": job, "instance": instance}
    return TargetState(
        scrape=1, job=job, identity=instance, url=f"http://{instance}/metrics", labels=labels, discovered=labels,
        health=TargetHealth.UP, error="", last_at=None, duration_s=0.0, samples=0, kept=0, added=0, every_s=15.0,
        timeout_s=10.0, slots_overlapped=0, slots_skipped=0,
    )  # fmt: skip


A, B, C = state("shop", "a:1"), state("shop", "b:1"), state("node", "c:1")
DOCUMENT = targets_document(
    [A, B, C],
    [
        ScrapeState(1, "shop", 2, ({"__address__": "d:1"},), ()),
        ScrapeState(2, "node", 1, ({"__address__": "e:1"},), ()),
    ],
)
TOLD = [
    (B, (Family("up", "gauge", "Alive.", ""), Family("hits_total", "counter", "Hits.", ""))),
    (A, (Family("up", "gauge", "Alive.", ""),)),
    (C, ()),
]


@pytest.mark.parametrize(
    ("given", "active", "dropped", "counts"),
    [
        ({}, ["a:1", "b:1", "c:1"], ["d:1", "e:1"], {"shop": 1, "node": 1}),
        ({"state": ["any"]}, ["a:1", "b:1", "c:1"], ["d:1", "e:1"], {"shop": 1, "node": 1}),
        ({"state": ["active"]}, ["a:1", "b:1", "c:1"], [], {}),
        ({"state": ["ACTIVE"]}, ["a:1", "b:1", "c:1"], [], {}),
        ({"state": ["dropped"]}, [], ["d:1", "e:1"], {"shop": 1, "node": 1}),
        ({"state": ["bogus"]}, [], [], {}),
        ({"state": [""]}, ["a:1", "b:1", "c:1"], ["d:1", "e:1"], {"shop": 1, "node": 1}),
        ({"scrapePool": ["node"]}, ["c:1"], ["e:1"], {"node": 1}),
        ({"scrapePool": ["node"], "state": ["dropped"]}, [], ["e:1"], {"node": 1}),
        ({"scrapePool": ["nothing"]}, [], [], {}),
    ],
)
def test_targets_are_narrowed(
    given: dict[str, list[str]], active: list[str], dropped: list[str], counts: dict[str, int]
) -> None:
    found = targets(DOCUMENT, given)
    assert [each["labels"]["instance"] for each in found["activeTargets"]] == active
    assert [each["discoveredLabels"]["__address__"] for each in found["droppedTargets"]] == dropped
    assert found["droppedTargetCounts"] == counts


def test_scrapes_are_named() -> None:
    assert pools(DOCUMENT) == {"scrapePools": ["node", "shop"]}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, [("a:1", "up"), ("b:1", "up"), ("b:1", "hits_total")]),
        ({"metric": "up"}, [("a:1", None), ("b:1", None)]),
        ({"metric": "hits_total"}, [("b:1", None)]),
        ({"metric": "nothing"}, []),
        ({"match_target": '{instance="b:1"}'}, [("b:1", "up"), ("b:1", "hits_total")]),
        ({"match_target": '{instance=~"a.*",job="shop"}'}, [("a:1", "up")]),
        ({"match_target": '{job="node"}'}, []),
        ({"limit": "1"}, [("a:1", "up")]),
        ({"limit": "1", "metric": "hits_total"}, [("b:1", None)]),
        ({"limit": "0"}, []),
        ({"limit": "-1", "metric": "up"}, [("a:1", None), ("b:1", None)]),
    ],
)
def test_metadata_of_targets_is_narrowed(given: dict[str, str], found: list[tuple[str, str | None]]) -> None:
    told = metadata(TOLD, {name: [value] for name, value in given.items()})
    assert [(each["target"]["instance"], each.get("metric")) for each in told] == found


def test_metadata_of_a_target_has_the_fields_of_prometheus() -> None:
    assert metadata(TOLD, {"metric": ["hits_total"]}) == [
        {"target": {"job": "shop", "instance": "b:1"}, "type": "counter", "help": "Hits.", "unit": ""}
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"limit": "few"}, "invalid parameter limit"),
        ({"match_target": "sum(up)"}, "invalid parameter match_target"),
        ({"match_target": "{"}, "invalid parameter match_target"),
    ],
)
def test_what_cannot_be_read_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        metadata(TOLD, {name: [value] for name, value in given.items()})
