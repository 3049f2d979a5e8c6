"""The health of targets, asked of the monitor: only it knows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mainstay.observe.metrics.client import BadQuery, MetricsAway
from mainstay.observe.metrics.scrape.document import LiveScrape, LiveTarget, read_document
from mainstay.observe.metrics.servers import monitor_client

Health = Literal["up", "down", "unknown"]
PATH = "/api/v1/targets"
Ask = Callable[[], Any]
"""Returns the `data` of the monitor's answer; raises MetricsAway or BadQuery when there is none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the monitor said, or why it said nothing."""

    available: bool
    reason: str = ""
    targets: tuple[LiveTarget, ...] = ()
    scrapes: tuple[LiveScrape, ...] = ()
    dropped: tuple[Any, ...] = ()

    def one(self, identity: str) -> LiveTarget | None:
        """Return the target with this identity, or None."""
        return next((target for target in self.targets if target.identity == identity), None)

    def of(self, job: str) -> list[LiveTarget]:
        """Return the targets of one scrape."""
        return [target for target in self.targets if target.job == job]


def _ask_the_monitor() -> Any:
    return monitor_client().ask(PATH, {})


def live(ask: Ask | None = None) -> Seen:
    """Ask (the monitor, if nothing else is given) for all targets. Never raises: that it is away is an answer."""
    try:
        found = read_document((ask or _ask_the_monitor)())
    except (MetricsAway, BadQuery, ValueError) as error:
        return Seen(False, str(error))
    return Seen(True, "", found.targets, found.scrapes, found.dropped)
