"""Contracts: the list, one of them with its calls, and the forms."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.journal.pages.lines import line
from mainstay.kit.forms import SpecForm
from mainstay.kit.lists import columns, export
from mainstay.kit.live import is_fragment, live
from mainstay.kit.replies import attempt, done, form_page, posted, saved
from tests.annex import actions
from tests.annex.models import Contract
from tests.annex.resource import CONTRACTS
from tests.annex.spec import ContractSpec
from tests.annex.wing import CONTRACTS_EDIT

COLUMNS = columns("name vendor state ends_at managed_by")


class ContractForm(SpecForm):
    """The form of a contract."""

    SPEC = ContractSpec


@needs(OPERATIONS_VIEW)
@require_safe
def contracts(request: HttpRequest) -> HttpResponseBase:
    """List contracts; or export them."""
    found = list(CONTRACTS.rows())
    file = export(request, "contracts", COLUMNS, found)
    if file is not None:
        return file
    context: dict[str, Any] = {
        "now": clock.now(),
        "fragment": is_fragment(request),
        "contracts": found,
        "may_edit": actor_of(request).may(CONTRACTS_EDIT),
    }
    return live(request, "annex/contracts.html", context)


@needs(OPERATIONS_VIEW)
@require_safe
def contract(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show a contract and its calls."""
    row = get_object_or_404(Contract, name=name)
    actor = actor_of(request)
    context: dict[str, Any] = {
        "now": clock.now(),
        "contract": row,
        "calls": row.calls.order_by("-id")[:20],
        "entries": [
            line(one, about=True) for one in Entry.objects.filter(subject=f"contract:{row.pk}").order_by("-id")
        ],
        "may": {"edit": actor.may(CONTRACTS_EDIT), "call": actor.may(ALERTS_RESPOND)},
        "crumbs": _crumbs(),
        "place": "contracts",
    }
    return live(request, "annex/contract.html", context)


@needs(CONTRACTS_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponseBase:
    """Sign a contract."""
    return _edit(request, None)


@needs(CONTRACTS_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    """Change a contract."""
    return _edit(request, get_object_or_404(Contract, name=name))


def _edit(request: HttpRequest, row: Contract | None) -> HttpResponse:
    shown = CONTRACTS.shown(row) if row is not None else {}
    form = ContractForm(
        posted(request), shown=shown, stored=CONTRACTS.stored(row) if row else {}, managed=bool(row and row.managed_by)
    )
    if kept := saved(form, lambda: actions.put_contract(form.spec, actor_of(request), clock.now(), existing=row), row):
        return done(request, f"{kept.name} was saved.", reverse("contract", args=[kept.name]))
    context = {"now": clock.now(), "contract": row, "crumbs": _crumbs(), "place": "contracts"}
    return form_page(request, "annex/edit.html", form, context)


@needs(CONTRACTS_EDIT)
@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponseBase:
    """Remove a contract."""
    row = get_object_or_404(Contract, name=name)
    return attempt(
        request,
        lambda: actions.remove_contract(row, actor_of(request), clock.now()),
        f"{row.name} was removed.",
        reverse("contracts"),
        back=reverse("contract", args=[row.name]),
    )


@needs(ALERTS_RESPOND)
@require_POST
def call(request: HttpRequest, name: str) -> HttpResponseBase:
    """Write down a call."""
    row = get_object_or_404(Contract, name=name)
    return attempt(
        request,
        lambda: actions.call(row, request.POST.get("note", ""), actor_of(request), clock.now()),
        "The call was written down.",
        reverse("contract", args=[row.name]),
    )


def _crumbs() -> list[dict[str, str]]:
    return [{"href": reverse("contracts"), "label": "Contracts"}]
