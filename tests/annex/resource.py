"""Contracts, as files and the API have them."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.resource import By, Resource, Use
from tests.annex import actions
from tests.annex.models import Contract
from tests.annex.spec import ContractSpec


class Contracts(Resource[ContractSpec]):
    """Contracts with those who help from outside."""

    kind, section, order, spec = "contract", "contracts", 90, ContractSpec
    title, listed = "Contracts", "list of [contracts](#contracts)"
    examples = ({"name": "hosting", "application": "shop", "vendor": "Rack and Sons", "pin": "4711"},)
    secrets = ("pin",)

    def rows(self) -> QuerySet[Contract]:
        return Contract.objects.order_by("name").select_related("application")

    def read(self, row: Any) -> ContractSpec:
        return actions.spec_of(row)

    def stored(self, row: Any) -> Mapping[str, Any]:
        return dict(row.config)

    def shown(self, row: Any) -> dict[str, Any]:
        return actions.shown_spec(row)

    def uses(self, name: str, spec: ContractSpec) -> Iterator[Use]:
        if spec.application is not None:
            yield Use("application", spec.application, ("application",))

    def save(self, spec: ContractSpec, by: By, existing: Any | None = None) -> Contract:
        return actions.put_contract(spec, by.actor, by.at, existing=existing, by_file=by.file)

    def delete(self, row: Any, by: By) -> None:
        actions.remove_contract(row, by.actor, by.at, by_file=by.file)


CONTRACTS = Contracts()
