"""The API of applications. (Their state and uptime are in `observe/checks/api.py`, where it is known.)"""

from datetime import datetime
from typing import Annotated, Any

from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import STATUS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.lookup import find
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.types import Paging, Search
from mainstay.foundation.catalog import actions
from mainstay.foundation.catalog.models import Application, Component, Environment
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.foundation.clock import now
from mainstay.foundation.words import Name

router = Router()
ApplicationName = Annotated[Name, Path(description="The application's name.", examples=["shop"])]


class ApplicationRow(BaseModel):
    """An application in a list."""

    id: int
    name: str
    tier: str = Field(examples=["critical"])
    description: str
    owner: str | None = Field(description="Name of the team that owns it.")
    repository: str
    environments: list[str]
    components: list[str]
    managed_by: str = Field(description="The configuration file that describes it, or empty.")
    created_at: datetime


class ApplicationDetail(ApplicationRow):
    """An application."""

    spec: ApplicationSpec = Field(description="The application as people write it; PUT takes the same.")


class ApplicationFilter(Paging):
    """Which applications."""

    tier: str = Field(default="", max_length=20, pattern="^(critical|important|standard)?$")
    owner: Search = Field(default="", description="Name of a team.")
    q: Search = Field(default="", description="Part of the name or description.")


def _row(application: Application) -> dict[str, Any]:
    return {
        "id": application.pk,
        "name": application.name,
        "tier": application.tier,
        "description": application.description,
        "owner": application.owner.name if application.owner else None,
        "repository": application.repository,
        "environments": [row.name for row in application.environments.all()],
        "components": [row.name for row in application.components.all()],
        "managed_by": application.managed_by,
        "created_at": application.created_at,
    }


def _detail(application: Application) -> dict[str, Any]:
    spec = actions.spec_of(application)
    return _row(application) | {
        "environments": [environment.name for environment in spec.environments],
        "components": [component.name for component in spec.components],
        "spec": spec,
    }


def named(name: str) -> Application:
    """Return the application with this name.

    Raises:
        Problem: 404.
    """
    return find(Application.objects.select_related("owner"), "application", name=name)


@router.get("/applications", auth=needs(STATUS_VIEW), response=Page[ApplicationRow])
def list_applications(request: HttpRequest, given: Query[ApplicationFilter]) -> dict[str, Any]:
    """List applications."""
    rows = Application.objects.select_related("owner").prefetch_related(
        Prefetch("environments", Environment.objects.order_by("id")),
        Prefetch("components", Component.objects.order_by("id")),
    )
    if given.tier:
        rows = rows.filter(tier=given.tier)
    if given.owner:
        rows = rows.filter(owner__name=given.owner)
    if given.q:
        rows = rows.filter(Q(name__icontains=given.q) | Q(description__icontains=given.q))
    return page(rows, _row, cursor=given.cursor, limit=given.limit)


@router.post("/applications", auth=needs(CATALOG_EDIT), response={201: ApplicationDetail})
def create_application(request: HttpRequest, response: HttpResponse, body: ApplicationSpec) -> dict[str, Any]:
    """Create an application with its environments and components."""
    row = actions.put_application(body, actor_of(request), now())
    response["Location"] = f"/api/v1/applications/{row.name}"
    return _detail(row)


@router.get("/applications/{name}", auth=needs(STATUS_VIEW), response=ApplicationDetail)
def get_application(request: HttpRequest, name: ApplicationName) -> dict[str, Any]:
    """Show an application."""
    return _detail(named(name))


@router.put("/applications/{name}", auth=needs(CATALOG_EDIT), response=ApplicationDetail)
def replace_application(request: HttpRequest, name: ApplicationName, body: ApplicationSpec) -> dict[str, Any]:
    """Make an application what the body says.

    Environments and components that the body leaves out are removed. Another `name` renames it.
    """
    return _detail(actions.put_application(body, actor_of(request), now(), existing=named(name)))


@router.delete("/applications/{name}", auth=needs(CATALOG_EDIT), response={204: None})
def remove_application(request: HttpRequest, name: ApplicationName) -> None:
    """Remove an application with its checks. The journal keeps its facts."""
    actions.remove_application(named(name), actor_of(request), now())
