"""Scrapes, as files and the API have them."""

from collections.abc import Iterable, Iterator
from typing import Any

from mainstay.foundation.resource import By, Resource, Use, Written, shortened
from mainstay.observe.metrics import actions
from mainstay.observe.metrics.models import Scrape
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

    def rows(self) -> Iterable[Scrape]:
        return Scrape.objects.order_by("name").select_related("application", "environment")

    def find(self, name: str) -> Scrape | None:
        return Scrape.objects.filter(name=name).first()

    def read(self, row: Any) -> ScrapeSpec:
        return actions.spec_of(row)

    def sealed(self) -> Iterator[tuple[str, str, Any]]:
        for name, config in Scrape.objects.values_list("name", "config"):
            yield from ((name, field, value) for field, value in config.items())

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

    def put(self, name: str, spec: ScrapeSpec, by: By, position: int | None = None) -> bool:
        actions.put_scrape(spec, by.actor, by.at, existing=self.find(name), by_file=by.file)
        return False

    def remove(self, name: str, by: By) -> None:
        if (row := self.find(name)) is not None:
            actions.remove_scrape(row, by.actor, by.at, by_file=by.file)


SCRAPES = Scrapes()
