"""What accounts give to Now and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db.models import Count, Q
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.parts import FOUND_MOST, Duty, Found
from mainstay.kit.lists import with_words


def second_factors(_user: User, _now: datetime) -> Iterator[Duty]:
    """People who sign in by a password alone."""
    found = User.objects.filter(is_active=True).aggregate(
        n=Count("id", distinct=True), bare=Count("id", filter=Q(authenticator=None), distinct=True)
    )
    if found["bare"]:
        detail = f"{found['bare']} of {found['n']} {'person' if found['n'] == 1 else 'people'}"
        yield Duty("No second factor", reverse("people"), detail, "major", "ask them")


def find(words: Sequence[str], _actor: Actor) -> Iterator[Found]:
    """Find people by name and address."""
    found = with_words(User.objects.filter(is_active=True), words, "name", "email")
    for row in found.order_by("email")[:FOUND_MOST]:
        yield Found(reverse("person", args=[row.pk]), str(row), row.email)
