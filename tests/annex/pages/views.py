"""Contracts: the list, one of them with its calls, and the forms."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.journal.pages.lines import latest
from mainstay.kit.editing import Editing
from mainstay.kit.lists import columns, export
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.replies import attempt
from tests.annex import actions
from tests.annex.models import Contract
from tests.annex.resource import CONTRACTS
from tests.annex.wing import CONTRACTS_EDIT

COLUMNS = columns("name vendor state ends_at managed_by")


@needs(OPERATIONS_VIEW, "GET")
def contracts(request: HttpRequest) -> HttpResponseBase:
    """List contracts; or export them."""
    found = list(CONTRACTS.rows())
    file = export(request, "contracts", COLUMNS, found)
    if file is not None:
        return file
    context: dict[str, Any] = {
        "contracts": found,
        "may_edit": actor_of(request).may(CONTRACTS_EDIT),
    }
    return live(request, "annex/contracts.html", context)


@needs(OPERATIONS_VIEW, "GET")
def contract(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show a contract and its calls."""
    row = get_object_or_404(Contract, name=name)
    actor = actor_of(request)
    context: dict[str, Any] = {
        "contract": row,
        "calls": row.calls.order_by("-id")[:20],
        "entries": latest(f"contract:{row.pk}", 20),
        "may": {"edit": actor.may(CONTRACTS_EDIT), "call": actor.may(ALERTS_RESPOND)},
        **trail("contracts"),
    }
    return live(request, "annex/contract.html", context)


class ContractPages(Editing[Contract]):
    """Signing, changing and ending contracts."""

    resource, permission, model, place, page = CONTRACTS, CONTRACTS_EDIT, Contract, "contracts", "contract"


CONTRACT = ContractPages()


@needs(ALERTS_RESPOND, "POST")
def call(request: HttpRequest, name: str) -> HttpResponseBase:
    """Write down a call."""
    row = get_object_or_404(Contract, name=name)
    return attempt(
        request,
        lambda: actions.call(row, request.POST.get("note", ""), actor_of(request), clock.now()),
        "The call was written down.",
        reverse("contract", args=[row.name]),
    )
