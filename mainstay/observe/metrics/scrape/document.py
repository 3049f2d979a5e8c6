"""Targets and their health as `/api/v1/targets` of the Prometheus API tells them, and back.

The monitor writes it, pages and API read it. What Prometheus does not have (samples, missed slots, what discovery
could not do) stands beside its own fields. No NumPy here: the web process reads this.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mainstay.foundation.words.durations import parse_duration
from mainstay.net.params import masked
from mainstay.observe.metrics.scrape.settings import interval_text
from mainstay.observe.metrics.scrape.state import ScrapeState, TargetState
from mainstay.observe.metrics.scrape.targets import PARAM

NEVER = "0001-01-01T00:00:00Z"
DROPPED_MOST = 1000


def targets_document(
    targets: Iterable[TargetState], scrapes: Iterable[ScrapeState], unusable: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the `data` of the answer.

    Args:
        unusable: scrapes that are not done at all, and why.
    """
    scrapes = list(scrapes)
    told = [
        {"name": each.name, "targets": each.targets, "dropped": len(each.dropped), "errors": list(each.errors)}
        for each in scrapes
    ]
    told += [{"name": name, "targets": 0, "dropped": 0, "errors": [why]} for name, why in (unusable or {}).items()]
    return {
        "activeTargets": [_active(target) for target in targets],
        "droppedTargets": [
            {"discoveredLabels": masked(labels, PARAM), "scrapePool": each.name}
            for each in scrapes
            for labels in each.dropped
        ][:DROPPED_MOST],
        "droppedTargetCounts": {each.name: len(each.dropped) for each in scrapes},
        "scrapes": told,
    }


def _active(target: TargetState) -> dict[str, Any]:
    return {
        "discoveredLabels": masked(target.discovered, PARAM),
        "labels": dict(target.labels),
        "scrapePool": target.job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": target.error,
        "lastScrape": NEVER if target.last_at is None else _written(target.last_at),
        "lastScrapeDuration": target.duration_s,
        "health": target.health.value,
        "scrapeInterval": interval_text(target.every_s),
        "scrapeTimeout": interval_text(target.timeout_s),
        "identity": target.identity,
        "samples": target.samples,
        "samplesKept": target.kept,
        "seriesAdded": target.added,
        "slotsOverlapped": target.slots_overlapped,
        "slotsSkipped": target.slots_skipped,
    }


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """A target as the monitor tells it."""

    identity: str
    job: str
    url: str
    health: str
    error: str
    last_at: datetime | None
    duration_s: float
    samples: int
    kept: int
    every_s: float
    timeout_s: float
    labels: Mapping[str, str]
    discovered: Mapping[str, str]
    slots_overlapped: int
    slots_skipped: int

    @property
    def instance(self) -> str:
        return self.labels.get("instance", "")

    @property
    def problem(self) -> str:
        """Return the error without the address, for a row that shows the address already."""
        return self.error.removeprefix(f"GET {self.url}: ").removeprefix(f"GET {self.url} ")


@dataclass(frozen=True, slots=True)
class LiveScrape:
    """What discovery found for a scrape, as the monitor tells it."""

    name: str
    targets: int
    dropped: int
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """All targets and scrapes."""

    targets: tuple[LiveTarget, ...] = ()
    scrapes: tuple[LiveScrape, ...] = ()
    dropped: tuple[Mapping[str, Any], ...] = ()


def read_document(data: Any) -> Live:
    """Read what `targets_document` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        return Live(
            tuple(_read_target(each) for each in data["activeTargets"]),
            tuple(
                LiveScrape(each["name"], int(each["targets"]), int(each["dropped"]), tuple(each["errors"]))
                for each in data.get("scrapes", ())
            ),
            tuple(data.get("droppedTargets", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"not what /api/v1/targets answers: {type(error).__name__} {error}") from None


def _read_target(each: Mapping[str, Any]) -> LiveTarget:
    last = str(each["lastScrape"])
    return LiveTarget(
        identity=str(each.get("identity", "")),
        job=str(each["scrapePool"]),
        url=str(each["scrapeUrl"]),
        health=str(each["health"]),
        error=str(each["lastError"]),
        last_at=None if last.startswith("0001-") else datetime.fromisoformat(last),
        duration_s=float(each["lastScrapeDuration"]),
        samples=int(each.get("samples", 0)),
        kept=int(each.get("samplesKept", 0)),
        every_s=parse_duration(each["scrapeInterval"]),
        timeout_s=parse_duration(each["scrapeTimeout"]),
        labels=dict(each["labels"]),
        discovered=dict(each["discoveredLabels"]),
        slots_overlapped=int(each.get("slotsOverlapped", 0)),
        slots_skipped=int(each.get("slotsSkipped", 0)),
    )
