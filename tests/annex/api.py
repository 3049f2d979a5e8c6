"""The API of contracts and calls."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router
from pydantic import BaseModel, Field

from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.api.access import actor_of, needs
from mainstay.foundation.api.body import masked_spec
from mainstay.foundation.api.collection import Collection, columns
from mainstay.foundation.api.pagination import Page, page
from mainstay.foundation.api.types import ManagedBy, Paging, Search
from mainstay.foundation.clock import now
from mainstay.foundation.words.names import Name
from tests.annex import actions, resource
from tests.annex.models import Contract
from tests.annex.wing import CONTRACTS_EDIT

router = Router()
ContractName = Annotated[Name, Path(description="The contract's name.", examples=["hosting"])]


class ContractRow(BaseModel):
    """A support contract: who helps with an application from outside."""

    id: int
    name: str
    application: str | None
    vendor: str
    state: str = Field(examples=["covered"])
    ends_at: datetime | None
    managed_by: ManagedBy
    created_at: datetime


class ContractDetail(ContractRow):
    """A contract and the document that describes it."""

    spec: dict[str, Any] = masked_spec("contract")


class ContractFilter(Paging):
    """Which contracts."""

    application: Search = Field(default="", description="Name of an application.")


CONTRACTS = Collection[Contract](
    router=router,
    resource=resource.CONTRACTS,
    named=ContractName,
    view=OPERATIONS_VIEW,
    edit=CONTRACTS_EDIT,
    row=ContractRow,
    detail=ContractDetail,
    filters=ContractFilter,
    narrow={"application": "application__name"},
    texts={
        "list": "List contracts.",
        "create": "Sign a contract.",
        "get": "Show a contract.",
        "replace": "Make a contract what the body says.",
        "remove": "Remove a contract and its calls.",
    },
)
CONTRACTS.serve()


class NewCall(BaseModel):
    """What a call was about."""

    note: str = Field(max_length=500)


class CallRow(BaseModel):
    """One call."""

    id: int
    at: datetime
    by: str
    note: str


@router.get("/contracts/{name}/calls", auth=needs(OPERATIONS_VIEW), response=Page[CallRow])
def list_calls(request: HttpRequest, name: ContractName, given: Query[Paging]) -> dict[str, Any]:
    """List the calls on a contract, the newest first."""
    rows = CONTRACTS.find(name).calls.all()
    return page(rows, lambda row: columns(row, CallRow), cursor=given.cursor, limit=given.limit, newest_first=True)


@router.post("/contracts/{name}/calls", auth=needs(ALERTS_RESPOND), response={201: CallRow})
def call_contract(request: HttpRequest, name: ContractName, body: NewCall) -> dict[str, Any]:
    """Write down a call."""
    return columns(actions.call(CONTRACTS.find(name), body.note, actor_of(request), now()), CallRow)
