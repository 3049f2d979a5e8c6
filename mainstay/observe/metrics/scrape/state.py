"""What goes into the scraper and what it shows of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mainstay.observe.metrics.scrape.settings import ScrapeSettings


@dataclass(frozen=True, slots=True)
class PlannedScrape:
    """A scrape to be done: every `every_s` seconds, each target for `timeout_s` at most.

    `name` becomes the label `job`; `labels` go onto every target's series.
    """

    key: int
    name: str
    settings: ScrapeSettings
    every_s: float
    timeout_s: float
    labels: Mapping[str, str] = field(default_factory=dict)


class TargetHealth(StrEnum):
    """As the Prometheus API has it."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class TargetState:
    """One target as it stands. Times are unix seconds."""

    scrape: int
    job: str
    identity: str
    url: str
    """Without the values of parameters."""
    labels: Mapping[str, str]
    discovered: Mapping[str, str]
    health: TargetHealth
    error: str
    """Why the last scrape failed; "" when it did not. Of a target that is up: what of its answer was not taken."""
    last_at: float | None
    duration_s: float
    samples: int
    kept: int
    added: int
    every_s: float
    timeout_s: float
    slots_overlapped: int
    """Slots that fell due while the target's previous scrape was still running."""
    slots_skipped: int
    """Slots that nobody could serve: a stall, a suspended machine, a clock that was set."""


@dataclass(frozen=True, slots=True)
class ScrapeState:
    """What discovery knows of one scrape."""

    key: int
    name: str
    targets: int
    dropped: tuple[Mapping[str, str], ...]
    """Discovered labels of the targets that relabelling dropped, the first thousand."""
    errors: tuple[str, ...]
    """What keeps targets from being found or scraped, the first hundred."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The scraper's own health."""

    alive: bool
    lag_s: float
    waiting_s: float
    """For how long the first target that is due has been held back because too many scrapes are running."""
    lateness_p50_s: float
    lateness_p99_s: float
    targets: int
    targets_up: int
    in_flight: int
    waiting: int
    scrapes: int
    failures: int
    samples: int
    repeated: int
    """Samples left out because their series stood in the answer before, at the same time."""
    body_bytes: int
    """Of the answers taken in so far, uncompressed."""
    held_bytes: int
    """Of the answers that are held now."""
    slots_overlapped: int
    slots_skipped: int
