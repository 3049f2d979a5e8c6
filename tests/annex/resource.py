"""Contracts, as files and the API have them."""

from collections.abc import Iterable, Iterator
from typing import Any

from mainstay.foundation.resource import By, Resource, Use
from tests.annex import actions
from tests.annex.models import Contract
from tests.annex.spec import ContractSpec


class Contracts(Resource[ContractSpec]):
    """Contracts with those who help from outside."""

    kind, section, order, spec = "contract", "contracts", 90, ContractSpec
    title, listed = "Contracts", "list of [contracts](#contracts)"
    secrets = ("pin",)

    def rows(self) -> Iterable[Contract]:
        return Contract.objects.order_by("name").select_related("application")

    def find(self, name: str) -> Contract | None:
        return Contract.objects.filter(name=name).select_related("application").first()

    def read(self, row: Any) -> ContractSpec:
        return actions.spec_of(row)

    def sealed(self) -> Iterator[tuple[str, str, Any]]:
        for name, config in Contract.objects.values_list("name", "config"):
            yield from ((name, field, value) for field, value in config.items())

    def uses(self, name: str, spec: ContractSpec) -> Iterator[Use]:
        if spec.application is not None:
            yield Use("application", spec.application, ("application",))

    def put(self, name: str, spec: ContractSpec, by: By, position: int | None = None) -> bool:
        actions.put_contract(spec, by.actor, by.at, existing=self.find(name), by_file=by.file)
        return False

    def remove(self, name: str, by: By) -> None:
        if (row := self.find(name)) is not None:
            actions.remove_contract(row, by.actor, by.at, by_file=by.file)


CONTRACTS = Contracts()
