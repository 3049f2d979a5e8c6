"""Scrapes to do, read from the database."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError

from mainstay.foundation.processes.models import Revision
from mainstay.foundation.processes.setaside import Known
from mainstay.observe.metrics.actions import REVISION, settings_of
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.state import PlannedScrape

log = logging.getLogger("mainstay.monitor")
READ_AGAIN = timedelta(seconds=30)


class Plans:
    """The scrapes that should be done. Belongs to one thread.

    for the monitor: compare `plans.wanted(now)` with what the scraper has, and do what is missing.
    """

    def __init__(self) -> None:
        self._revision = -1
        self._read_at: datetime | None = None
        self._wanted: dict[int, PlannedScrape] = {}
        self.unusable: dict[str, str] = {}
        """Scrapes whose settings cannot be used, and why."""

    @property
    def asked(self) -> bool:
        """Whether the records have been read."""
        return self._read_at is not None

    def wanted(self, now: datetime) -> dict[int, PlannedScrape]:
        """Return the usable scrapes that are not paused; read when the revision is another, or after half a minute."""
        revision = Revision.current(REVISION)
        fresh = self._read_at is not None and abs(now - self._read_at) < READ_AGAIN
        if fresh and revision == self._revision:
            return self._wanted
        wanted: dict[int, PlannedScrape] = {}
        unusable: dict[str, str] = {}
        for scrape in Scrape.objects.filter(paused=False).select_related("application", "environment").order_by("id"):
            try:
                wanted[scrape.pk] = planned(scrape)
            except DatabaseError:
                raise
            except Exception as error:  # noqa: BLE001  # told where the scrape is shown; the others go on
                why = unusable[scrape.name] = f"its settings cannot be used: {error}"
                if self.unusable.get(scrape.name) != why:
                    log.error("the scrape %s: %s", scrape.name, why)
        self._wanted, self.unusable, self._revision, self._read_at = wanted, unusable, revision, now
        return wanted


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
