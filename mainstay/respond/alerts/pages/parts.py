"""What alerts give to Now and to Ctrl K."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db.models import Count, Min
from django.urls import reverse

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import User
from mainstay.foundation.parts import FOUND_MOST, Duty, Found
from mainstay.kit.lists import ids_in, with_words
from mainstay.kit.rows import in_minutes
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.delivery.models import Channel

UNSETTLED = ("no_route", "no_channel")


def unacknowledged(_user: User, now: datetime) -> Iterator[Duty]:
    """Alerts that nobody has."""
    found = Alert.objects.filter(ended_at=None, acknowledged_at=None).aggregate(n=Count("id"), since=Min("started_at"))
    if number := found["n"]:
        title = f"{number} {'alert' if number == 1 else 'alerts'} nobody has"
        detail = f"the oldest for {in_minutes(now - found['since'])}"
        yield Duty(title, f"{reverse('alerts')}?state=firing", detail, "firing", "acknowledge")


def unpaged(_user: User, _now: datetime) -> Iterator[Duty]:
    """Alerts of which nobody is told."""
    number = Alert.objects.filter(ended_at=None, acknowledged_at=None, decision__in=UNSETTLED).count()
    if number:
        title = f"{number} {'alert reaches' if number == 1 else 'alerts reach'} nobody"
        yield Duty(title, reverse("channels"), "no route leads from it to a channel", "critical", "add a route")


def no_way_out(_user: User, _now: datetime) -> Iterator[Duty]:
    """Something is watched, and nobody would be told."""
    if not Check.objects.exists():
        return
    channels = reverse("channels")
    if not Channel.objects.filter(paused=False).exists():
        yield Duty("Nobody can be paged", channels, "there is no channel, or all are paused", "critical", "add one")
    elif not Route.objects.exists():
        yield Duty("Nobody is paged", channels, "no route leads from an alert to a channel", "critical", "add one")


def of_own_applications(user: User, _now: datetime) -> Iterator[Duty]:
    """Open alerts on the applications of one's teams."""
    rows = (
        Alert.objects.filter(ended_at=None, application__owner__members=user)
        .values("application__name")
        .annotate(n=Count("id"), since=Min("started_at"))
        .order_by("since")[:5]
    )
    for row in rows:
        name, noun = row["application__name"], "alert" if row["n"] == 1 else "alerts"
        detail = f"{row['n']} open {noun} on an application of your team"
        yield Duty(name, reverse("application", args=[name]), detail, "firing", "look")


def find(words: Sequence[str], _actor: Actor) -> Iterator[Found]:
    """Find open alerts by their texts, and any by its number."""
    found = with_words(Alert.objects.filter(ended_at=None), words, "name", "summary")
    rows = list(found.order_by("-id")[:FOUND_MOST])
    if len(words) == 1:
        rows = [*Alert.objects.filter(pk__in=ids_in([words[0].removeprefix("#")])), *rows]
    for row in rows:
        yield Found(reverse("alert", args=[row.pk]), row.name, f"alert {row.pk}, {row.severity}", row.state)
