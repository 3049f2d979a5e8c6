"""Scrapes, as files and the API have them."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.resource import By, Resource, Use, Written, shortened
from mainstay.observe.metrics import actions
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.pasted import from_prometheus
from mainstay.observe.metrics.spec import SECRETS, ScrapeSpec, default_timeout_s, short


class Scrapes(Resource[ScrapeSpec]):
    """Targets that are asked for their metrics."""

    kind, section, order, spec = "scrape", "scrapes", 70, ScrapeSpec
    title, listed = "Scrapes", "list of [scrapes](#scrapes)"
    names = ("name", "job_name")  # one that was pasted from Prometheus is called so
    secrets = SECRETS
    examples = (
        {
            "name": "node",
            "application": "shop",
            "environment": "production",
            "targets": ["127.0.0.1:9100"],
            "bearer": "sesame-opens-the-door",
        },
    )
    about = (
        "A scrape has `targets`, `file` or `dns`. An entry of Prometheus' `scrape_configs` can be pasted as it is: the"
        " names that differ, and all that a scrape does, are in [scraping](scraping.md)."
    )

    def rows(self) -> QuerySet[Scrape]:
        return Scrape.objects.order_by("name").select_related("application", "environment")

    def read(self, row: Any) -> ScrapeSpec:
        return actions.spec_of(row)

    def stored(self, row: Any) -> Mapping[str, Any]:
        config: Mapping[str, Any] = row.config
        return config

    def shown(self, row: Any) -> dict[str, Any]:
        return actions.shown_spec(row)

    def in_own_words(self, document: dict[str, Any]) -> dict[str, Any]:
        try:
            document = from_prometheus(document)
        except ValueError:
            pass  # whoever validates says what is wrong with it
        return document

    def document(self, spec: ScrapeSpec, of: str = "") -> Written:
        document = shortened(spec)
        if spec.timeout == default_timeout_s(spec.every):  # it would hold anyway
            document.pop("timeout", None)
        return short(document)

    def uses(self, name: str, spec: ScrapeSpec) -> Iterator[Use]:
        if spec.application is not None:
            yield Use("application", spec.application, ("application",))
        if spec.environment is not None:
            yield Use("environment", f"{spec.application}/{spec.environment}", ("environment",))

    def save(self, spec: ScrapeSpec, by: By, existing: Any | None = None) -> Scrape:
        return actions.put_scrape(spec, by.actor, by.at, existing=existing, by_file=by.file)

    def delete(self, row: Any, by: By) -> None:
        actions.remove_scrape(row, by.actor, by.at, by_file=by.file)


SCRAPES = Scrapes()
