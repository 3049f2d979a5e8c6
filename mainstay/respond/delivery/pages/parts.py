"""What channels and deliveries give to Now and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.http import HttpRequest
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.parts import FOUND_MOST, Drawn, Duty, Fact, Found, Sentence
from mainstay.kit.lists import with_words
from mainstay.kit.rows import in_minutes
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.waiting import waiting
from mainstay.respond.delivery.wing import DELIVERY_EDIT

LATE_SHOWN = 5


def late(_request: HttpRequest, now: datetime) -> Iterator[Drawn]:
    """Pages that do not get through."""
    found = waiting(now)
    if found:
        number = "1 page waits" if len(found) == 1 else f"{len(found)} pages wait"
        says = Sentence(30, "Nothing is wrong, but pages do not get through.")
        context = {"late": found[:LATE_SHOWN], "number": len(found)}
        yield Drawn("delivery/parts/late.html", context, says, (Fact(number, reverse("deliveries")),))


def failing(_user: User, now: datetime) -> Iterator[Duty]:
    """Channels that do not get through."""
    by_channel: dict[str, list[Delivery]] = {}
    for delivery in waiting(now):
        by_channel.setdefault(delivery.channel_name, []).append(delivery)
    for name, rows in list(by_channel.items())[:5]:
        number = f"{len(rows)} {'page waits' if len(rows) == 1 else 'pages wait'}"
        detail = f"{number}, the oldest for {in_minutes(now - rows[0].created_at)}"
        yield Duty(
            f"{name} does not get through", f"{reverse('deliveries')}?status=waiting", detail, "retrying", "mend it"
        )


def find(words: Sequence[str], actor: Actor) -> Iterator[Found]:
    """Find channels by name, target and kind."""
    may_edit = actor.may(DELIVERY_EDIT)
    found = with_words(Channel.objects.all(), words, "name", "target", "kind")
    for row in found.order_by("name")[:FOUND_MOST]:
        href = reverse("channel_edit", args=[row.name]) if may_edit else reverse("channels")
        yield Found(href, row.name, f"{row.kind} · {row.target}")
