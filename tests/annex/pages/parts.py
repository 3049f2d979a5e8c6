"""What contracts give to Now, to an application's page, to the navigation and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.parts import FOUND_MOST, Drawn, Duty, Fact, Found, Sentence
from tests.annex.models import Contract

SOON = timedelta(days=30)


def over() -> int:
    """Return how many contracts are over."""
    return Contract.objects.filter(over=True).count()


def now(_request: HttpRequest, _now: datetime) -> Iterator[Drawn]:
    """Contracts that are over."""
    found = list(Contract.objects.filter(over=True).order_by("name")[:5])
    if found:
        says = Sentence(60, f"The contract {found[0].name} is over.")
        facts = (Fact(f"{len(found)} over", reverse("contracts")),)
        yield Drawn("annex/parts/contracts.html", {"contracts": found}, says, facts)


def of_application(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """The contracts that cover an application."""
    found = list(Contract.objects.filter(Q(application=application) | Q(application=None)).order_by("name")[:5])
    if found:
        yield Drawn("annex/parts/contracts.html", {"contracts": found})


def ending(_user: User, now: datetime) -> Iterator[Duty]:
    """Contracts that will soon be over."""
    for row in Contract.objects.filter(over=False, ends_at__lt=now + SOON).order_by("ends_at")[:5]:
        yield Duty(row.name, reverse("contract", args=[row.name]), f"with {row.vendor}", "minor", "renew")


def find(words: Sequence[str], _actor: Actor) -> Iterator[Found]:
    """Find contracts by name and vendor."""
    found = Contract.objects.all()
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(vendor__icontains=word))
    for row in found.order_by("name")[:FOUND_MOST]:
        yield Found(reverse("contract", args=[row.name]), row.name, row.vendor, row.state)
