"""The API of scrapes and of their targets' health."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Path, Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import needs
from mainstay.foundation.api.body import masked_spec
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.types import ManagedBy, Paging, Search, Seconds
from mainstay.foundation.resource import By
from mainstay.foundation.words.names import Name
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.observe.metrics import actions, resource
from mainstay.observe.metrics.health import Health, live
from mainstay.observe.metrics.models import Scrape

router = Router()
ScrapeName = Annotated[Name, Path(description="The scrape's name.", examples=["node"])]
LISTED_MOST = 10_000


class ScrapeRow(BaseModel):
    """Targets that are scraped alike."""

    id: int
    name: str = Field(description="The label `job` of its series.", examples=["node"])
    application: str | None
    environment: str | None
    target: str = Field(description="Where its targets are found; holds no secret.")
    every_s: Seconds
    timeout_s: Seconds
    labels: dict[str, str]
    paused: bool = Field(description="Nothing is scraped.")
    managed_by: ManagedBy
    created_at: datetime


class ScrapeDetail(ScrapeRow):
    """A scrape and the document that describes it."""

    spec: dict[str, Any] = masked_spec("scrape")


class ScrapeFilter(Paging):
    """Which scrapes."""

    application: Search = Field(default="", description="Name of an application.")
    paused: bool | None = None


SCRAPES = Collection[Scrape](
    router=router,
    resource=resource.SCRAPES,
    named=ScrapeName,
    view=OPERATIONS_VIEW,
    edit=CHECKS_EDIT,
    row=ScrapeRow,
    detail=ScrapeDetail,
    filters=ScrapeFilter,
    narrow={"application": "application__name", "paused": "paused"},
    texts={
        "list": "List scrapes.",
        "create": """Create a scrape.

        An entry of Prometheus' `scrape_configs` is understood. Secrets are encrypted and never shown again. Its targets
        are scraped within seconds.
        """,
        "get": "Show a scrape.",
        "replace": """Make a scrape what the body says.

        A mask (`********`) keeps the secret that is stored at its place.
        """,
        "remove": """Remove a scrape.

        Its series end; what was measured stays as long as metrics are kept.
        """,
    },
)
SCRAPES.serve()


@SCRAPES.act(MAINTENANCE_EDIT)
def pause_scrape(row: Scrape, by: By) -> None:
    """Stop scraping."""
    actions.pause(row, by.actor, by.at, paused=True)


@SCRAPES.act(MAINTENANCE_EDIT)
def resume_scrape(row: Scrape, by: By) -> None:
    """Scrape again."""
    actions.pause(row, by.actor, by.at, paused=False)


# --- targets --------------------------------------------------------------------------------------------------------


class TargetRow(BaseModel):
    """One target as the monitor sees it now."""

    identity: str = Field(description="The same for the same target, also after a restart.")
    job: str = Field(description="Name of the scrape that found it.")
    instance: str
    url: str = Field(description="What is asked, without the values of parameters.")
    health: Health = Field(description="`unknown`: not scraped yet.")
    error: str = Field(description="Why the last scrape failed, or what of its answer was not taken.")
    last_at: datetime | None
    duration_s: Seconds
    samples: int = Field(description="Samples of the last answer.")
    kept: int = Field(description="What relabelling left of them.")
    every_s: Seconds
    timeout_s: Seconds
    labels: dict[str, str]
    discovered: dict[str, str] = Field(description="Labels before relabelling.")


class Trouble(BaseModel):
    """What keeps a scrape from finding targets."""

    scrape: str
    error: str


class Targets(BaseModel):
    """All targets."""

    available: bool = Field(description="False: the monitor does not answer, so nothing is known.")
    reason: str = Field(description="Why it is not available.")
    items: list[TargetRow]
    troubles: list[Trouble]


class TargetFilter(BaseModel):
    """Which targets."""

    job: Search = Field(default="", description="Name of a scrape.")
    health: Health | Literal[""] = ""


@router.get("/targets", auth=needs(OPERATIONS_VIEW), response=Targets)
def show_targets(request: HttpRequest, given: Query[TargetFilter]) -> dict[str, Any]:
    """Show targets with their health, as the monitor knows them now."""
    seen = live()
    found = [target for target in seen.targets if given.job in ("", target.job) and given.health in ("", target.health)]
    return {
        "available": seen.available,
        "reason": seen.reason,
        "items": [columns(target, TargetRow) for target in found[:LISTED_MOST]],
        "troubles": [
            {"scrape": each.name, "error": error}
            for each in seen.scrapes
            if given.job in ("", each.name)
            for error in each.errors
        ],
    }
