"""What the catalog gives to Now and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db.models import Q
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.catalog.models import TIERS, Application
from mainstay.foundation.parts import FOUND_MOST, Duty, Found


def without_owner(_user: User, _now: datetime) -> Iterator[Duty]:
    """Applications that no team owns."""
    names = list(Application.objects.filter(owner=None).order_by("name").values_list("name", flat=True)[:4])
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        yield Duty("Applications without an owner", reverse("applications"), shown, "minor", "assign")


def find(words: Sequence[str], _actor: Actor) -> Iterator[Found]:
    """Find applications by name and description."""
    found = Application.objects.all()
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(description__icontains=word))
    for row in found.order_by("name")[:FOUND_MOST]:
        tier = TIERS.get(row.tier, row.tier).lower()
        yield Found(reverse("application", args=[row.name]), row.name, f"{tier} application")
