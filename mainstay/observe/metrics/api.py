"""The API of scrapes and of their targets' health."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Body, Path, Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.body import Described, Document, read
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.types import Paging, Search, Seconds
from mainstay.foundation.clock import now
from mainstay.foundation.secrets import keep_masked
from mainstay.foundation.words import Name
from mainstay.observe.checks.wing import CHECKS_EDIT, MAINTENANCE_EDIT
from mainstay.observe.metrics import actions
from mainstay.observe.metrics.health import Health, live
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.document import LiveTarget
from mainstay.observe.metrics.scrape.settings import from_prometheus
from mainstay.observe.metrics.spec import ScrapeSpec

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
    managed_by: str = Field(description="The configuration file that describes it, or empty.")
    created_at: datetime


class ScrapeDetail(ScrapeRow):
    """A scrape and the document that describes it."""

    spec: dict[str, Any] = Field(
        description="The scrape as people write it; PUT takes the same. Secrets are masked, and a mask that is sent"
        " back keeps the secret."
    )


class ScrapeFilter(Paging):
    """Which scrapes."""

    application: Search = Field(default="", description="Name of an application.")
    paused: bool | None = None


def _row(row: Scrape) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in ScrapeRow.model_fields if name not in ("application", "environment")},
        "application": row.application.name if row.application else None,
        "environment": row.environment.name if row.environment else None,
    }


def _detail(row: Scrape) -> dict[str, Any]:
    return _row(row) | {"spec": actions.shown_spec(row)}


def _named(name: str) -> Scrape:
    return find(Scrape.objects.select_related("application", "environment"), "scrape", name=name)


@router.get("/scrapes", auth=needs(OPERATIONS_VIEW), response=Page[ScrapeRow])
def list_scrapes(request: HttpRequest, given: Query[ScrapeFilter]) -> dict[str, Any]:
    """List scrapes."""
    rows = Scrape.objects.select_related("application", "environment")
    if given.application:
        rows = rows.filter(application__name=given.application)
    if given.paused is not None:
        rows = rows.filter(paused=given.paused)
    return page(rows, _row, cursor=given.cursor, limit=given.limit)


@router.post("/scrapes", auth=needs(CHECKS_EDIT), response={201: ScrapeDetail})
def create_scrape(
    request: HttpRequest, response: HttpResponse, body: Body[Annotated[Document, Described(ScrapeSpec)]]
) -> dict[str, Any]:
    """Create a scrape.

    An entry of Prometheus' `scrape_configs` is understood. Secrets are encrypted and never shown again. Its targets
    are scraped within seconds.
    """
    row = actions.put_scrape(read(ScrapeSpec, body), actor_of(request), now())
    response["Location"] = f"/api/v1/scrapes/{row.name}"
    return _detail(row)


@router.get("/scrapes/{name}", auth=needs(OPERATIONS_VIEW), response=ScrapeDetail)
def get_scrape(request: HttpRequest, name: ScrapeName) -> dict[str, Any]:
    """Show a scrape."""
    return _detail(_named(name))


@router.put("/scrapes/{name}", auth=needs(CHECKS_EDIT), response=ScrapeDetail)
def replace_scrape(
    request: HttpRequest, name: ScrapeName, body: Body[Annotated[Document, Described(ScrapeSpec)]]
) -> dict[str, Any]:
    """Make a scrape what the body says.

    A mask (`********`) keeps the secret that is stored at its place.
    """
    row = _named(name)
    kept = keep_masked(_in_our_words(body), row.config, settings.SECRET_KEY)
    return _detail(actions.put_scrape(read(ScrapeSpec, kept), actor_of(request), now(), existing=row))


def _in_our_words(body: Document) -> Document:
    """A mask stands where Prometheus has the field, and the secret is stored where we have it."""
    try:
        found: Document = from_prometheus(body)
    except ValueError:
        return body  # whoever validates says what is wrong with it
    return found


@router.delete("/scrapes/{name}", auth=needs(CHECKS_EDIT), response={204: None})
def remove_scrape(request: HttpRequest, name: ScrapeName) -> None:
    """Remove a scrape.

    Its series end; what was measured stays as long as metrics are kept.
    """
    actions.remove_scrape(_named(name), actor_of(request), now())


@router.post("/scrapes/{name}/pause", auth=needs(MAINTENANCE_EDIT), response=ScrapeDetail)
def pause_scrape(request: HttpRequest, name: ScrapeName) -> dict[str, Any]:
    """Stop scraping."""
    actions.pause(_named(name), actor_of(request), now(), paused=True)
    return _detail(_named(name))


@router.post("/scrapes/{name}/resume", auth=needs(MAINTENANCE_EDIT), response=ScrapeDetail)
def resume_scrape(request: HttpRequest, name: ScrapeName) -> dict[str, Any]:
    """Scrape again."""
    actions.pause(_named(name), actor_of(request), now(), paused=False)
    return _detail(_named(name))


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


def _target(target: LiveTarget) -> dict[str, Any]:
    return {name: getattr(target, name) for name in TargetRow.model_fields}


@router.get("/targets", auth=needs(OPERATIONS_VIEW), response=Targets)
def show_targets(request: HttpRequest, given: Query[TargetFilter]) -> dict[str, Any]:
    """Show targets with their health, as the monitor knows them now."""
    seen = live()
    found = [target for target in seen.targets if given.job in ("", target.job) and given.health in ("", target.health)]
    return {
        "available": seen.available,
        "reason": seen.reason,
        "items": [_target(target) for target in found[:LISTED_MOST]],
        "troubles": [
            {"scrape": each.name, "error": error}
            for each in seen.scrapes
            if given.job in ("", each.name)
            for error in each.errors
        ],
    }
