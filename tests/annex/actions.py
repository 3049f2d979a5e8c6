"""What people do with contracts: permission, change and journal entry in one transaction."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from mainstay.foundation.accounts.actor import Actor, program
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.held import held
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import without_empty
from mainstay.foundation.secrets import mask_all, sealed_config, unseal_all
from tests.annex import facts
from tests.annex.models import Call, Contract
from tests.annex.spec import ContractSpec
from tests.annex.wing import CONTRACTS_EDIT


def subject(contract: Contract) -> Subject:
    """Return the contract as the journal names it."""
    return Subject("contract", contract.pk, contract.name, contract.application_id)


def spec_of(contract: Contract) -> ContractSpec:
    """Return the contract as people write it, secrets opened."""
    return ContractSpec.model_validate(_document(contract, unseal_all(contract.config, settings.SECRET_KEY)))


def shown_spec(contract: Contract) -> dict[str, Any]:
    """Return the contract as people see it: secrets masked, what is empty left out."""
    return without_empty(_document(contract, mask_all(contract.config)))


def _document(contract: Contract, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": contract.name,
        "application": contract.application.name if contract.application else None,
        "vendor": contract.vendor,
        "ends_at": contract.ends_at,
        **config,
    }


@transaction.atomic
def put_contract(
    spec: ContractSpec, actor: Actor, at: datetime, *, existing: Contract | None = None, by_file: str = ""
) -> Contract:
    """Create a contract, or make an existing one what `spec` says.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(CONTRACTS_EDIT)
    contract = Contract(created_at=at)
    if existing is not None:
        contract = held(existing, f"The contract {existing.name}", by_file)
    if Contract.objects.filter(name=spec.name).exclude(pk=contract.pk).exists():
        raise Refused(f"a contract named {spec.name} exists already", "name", conflict=True)
    was = spec_of(contract) if existing is not None else None
    contract.application = Application.objects.filter(name=spec.application).first() if spec.application else None
    if spec.application and contract.application is None:
        raise Refused(f"no application named {spec.application} exists", "application")
    sealed = sealed_config(spec, settings.SECRET_KEY)
    contract.config = {"pin": sealed["pin"]} if sealed.get("pin") else {}
    contract.name, contract.vendor, contract.ends_at = spec.name, spec.vendor, spec.ends_at
    contract.over, contract.managed_by = not spec.covers(at), by_file
    contract.save()
    changed = [name for name in ContractSpec.model_fields if was and getattr(was, name) != getattr(spec, name)]
    if was is None:
        write(facts.CONTRACT_CREATED, subject(contract), actor, at, vendor=spec.vendor)
    elif changed:
        write(facts.CONTRACT_EDITED, subject(contract), actor, at, fields=changed)
    return contract


@transaction.atomic
def remove_contract(contract: Contract, actor: Actor, at: datetime, *, by_file: str = "") -> None:
    """Remove a contract and its calls.

    Raises:
        NotAllowed, Managed.
    """
    actor.need(CONTRACTS_EDIT)
    contract = held(contract, f"The contract {contract.name}", by_file, leaving=True)
    write(facts.CONTRACT_REMOVED, subject(contract), actor, at)
    contract.delete()


@transaction.atomic
def call(contract: Contract, note: str, actor: Actor, at: datetime) -> Call:
    """Write down a call.

    Raises:
        NotAllowed, Refused.
    """
    actor.need(ALERTS_RESPOND)
    if contract.over:
        raise Refused(f"{contract.name} is over: it covers nothing", conflict=True)
    if not note.strip():
        raise Refused("say what it was about", "note")
    row = Call.objects.create(contract=contract, at=at, by=actor.name, note=note.strip()[:500])
    write(facts.CONTRACT_CALLED, subject(contract), actor, at, note=row.note)
    return row


def end_over(now: datetime) -> int:
    """Mark the contracts whose time is over; return how many."""
    found = list(Contract.objects.filter(over=False, ends_at__lte=now).order_by("pk")[:100])
    for contract in found:
        with transaction.atomic():
            if Contract.objects.filter(pk=contract.pk, over=False).update(over=True):
                write(facts.CONTRACT_ENDED, subject(contract), program("worker"), now)
    return len(found)
