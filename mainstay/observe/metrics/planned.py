"""The records as what the monitor scrapes."""

import logging
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from mainstay.foundation.processes.models import Revision
from mainstay.foundation.processes.setaside import Known
from mainstay.foundation.secrets import LostKey
from mainstay.observe.metrics.actions import REVISION, settings_of
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.state import PlannedScrape

log = logging.getLogger("mainstay.monitor")


class Plans:
    """Tells what has changed since it was asked last. Belongs to one thread.

    for the monitor: `planned, removed = plans.changes()`, then `scraper.update(planned, removed)`.
    """

    def __init__(self) -> None:
        self._revision = -1
        self._held: dict[int, PlannedScrape] = {}
        self.unusable: dict[str, str] = {}
        """Scrapes whose settings cannot be used, and why."""

    @property
    def asked(self) -> bool:
        """Whether the records have been read."""
        return self._revision >= 0

    def changes(self) -> tuple[list[PlannedScrape], list[int]]:
        """Return the scrapes that are new or differ, and the ids of those that are gone, paused or unusable."""
        revision = Revision.current(REVISION)
        if revision == self._revision:
            return [], []
        self.unusable = {}
        now = {plan.key: plan for plan in self._read()}
        changed = [plan for key, plan in now.items() if self._held.get(key) != plan]
        gone = [key for key in self._held if key not in now]
        self._held, self._revision = now, revision
        return changed, gone

    def _read(self) -> Iterator[PlannedScrape]:
        for scrape in Scrape.objects.filter(paused=False).select_related("application", "environment").order_by("id"):
            try:
                yield planned(scrape)
            except (ValidationError, LostKey) as error:
                log.error("the scrape %s: its settings cannot be used: %s", scrape.name, error)
                self.unusable[scrape.name] = f"its settings cannot be used: {error}"


def planned(scrape: Scrape) -> PlannedScrape:
    """Return a scrape as the scraper takes it. Its series are labelled with application and environment.

    Raises:
        pydantic.ValidationError, LostKey: what is stored cannot be used.
    """
    labels = {
        **({"application": scrape.application.name} if scrape.application else {}),
        **({"environment": scrape.environment.name} if scrape.environment else {}),
        **scrape.labels,
    }
    return PlannedScrape(scrape.pk, scrape.name, settings_of(scrape), scrape.every_s, scrape.timeout_s, labels)


def known(ids: Sequence[int]) -> Mapping[int, Known]:
    """Return what processes say of scrapes that took them down: name, version, page."""
    return {
        row.pk: Known(row.name, str(row.version), row.application_id, f"/scrapes/{row.name}/")
        for row in Scrape.objects.filter(pk__in=ids)
    }
