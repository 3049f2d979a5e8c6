"""The API of applications. (Their state and uptime are in `observe/checks/api.py`, where it is known.)"""

from datetime import datetime
from typing import Annotated, Any

from django.db.models import Prefetch, Q
from ninja import Path, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import STATUS_VIEW
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.types import ManagedBy, Paging, Search
from mainstay.foundation.catalog import resource
from mainstay.foundation.catalog.models import Application, Component, Environment
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.catalog.wing import CATALOG_EDIT
from mainstay.foundation.words.names import Name

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
    managed_by: ManagedBy
    created_at: datetime


class ApplicationDetail(ApplicationRow):
    """An application."""

    spec: ApplicationSpec = Field(description="The application as people write it; PUT takes the same.")


class ApplicationFilter(Paging):
    """Which applications."""

    tier: str = Field(default="", max_length=20, pattern="^(critical|important|standard)?$")
    owner: Search = Field(default="", description="Name of a team.")
    q: Search = Field(default="", description="Part of the name or description.")


def _row(row: Application, at: datetime) -> dict[str, Any]:
    return columns(
        row,
        ApplicationRow,
        environments=[part.name for part in row.environments.all()],
        components=[part.name for part in row.components.all()],
    )


APPLICATIONS = Collection(
    router=router,
    resource=resource.APPLICATIONS,
    named=ApplicationName,
    view=STATUS_VIEW,
    edit=CATALOG_EDIT,
    rows=lambda: Application.objects.select_related("owner").prefetch_related(
        Prefetch("environments", Environment.objects.order_by("id")),
        Prefetch("components", Component.objects.order_by("id")),
    ),
    row=ApplicationRow,
    show=_row,
    detail=ApplicationDetail,
    filters=ApplicationFilter,
    narrow={
        "tier": "tier",
        "owner": "owner__name",
        "q": lambda text: Q(name__icontains=text) | Q(description__icontains=text),
    },
    texts={
        "list": "List applications.",
        "create": "Create an application with its environments and components.",
        "get": "Show an application.",
        "replace": """Make an application what the body says.

        Environments and components that the body leaves out are removed. Another `name` renames it.
        """,
        "remove": "Remove an application with its checks. The journal keeps its facts.",
    },
)
APPLICATIONS.serve()
