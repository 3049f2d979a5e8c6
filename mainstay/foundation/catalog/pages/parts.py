"""What the catalog gives to Now, to an application's page and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.http import HttpRequest
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.foundation.parts import FOUND_MOST, Drawn, Duty, Fact, Found
from mainstay.kit import rows
from mainstay.kit.lists import with_words


def without_owner(_user: User, _now: datetime) -> Iterator[Duty]:
    """Applications that no team owns."""
    names = list(Application.objects.filter(owner=None).order_by("name").values_list("name", flat=True)[:4])
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        yield Duty("Applications without an owner", reverse("applications"), shown, "minor", "assign")


def kind(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Its tier and its owner, below the first sentence."""
    facts = [Fact(TIERS.get(application.tier, application.tier))]
    if application.owner is not None:
        facts.append(Fact(str(application.owner)))
    if application.managed_by:
        facts.append(Fact(rows.managed_by(application.managed_by)))
    yield Drawn(facts=tuple(facts))


def about(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """What it is and where it runs."""
    context = {
        "application": application,
        "tier": TIERS.get(application.tier, application.tier),
        "environments": list(application.environments.order_by("id")),
    }
    yield Drawn("catalog/parts/about.html", context)


def links(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Where else to look."""
    if application.links:
        yield Drawn("catalog/parts/links.html", {"application": application})


def buttons(_request: HttpRequest, _now: datetime, application: Application) -> Iterator[Drawn]:
    """Edit it."""
    yield Drawn("catalog/parts/edit.html", {"application": application})


def find(words: Sequence[str], _actor: Actor) -> Iterator[Found]:
    """Find applications by name and description."""
    found = with_words(Application.objects.all(), words, "name", "description")
    for row in found.order_by("name")[:FOUND_MOST]:
        tier = TIERS.get(row.tier, row.tier).lower()
        yield Found(reverse("application", args=[row.name]), row.name, f"{tier} application")
