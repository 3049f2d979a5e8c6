"""Health of channels: does each reach anybody, and if not, what does its receiver answer?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, Subquery

from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.models import Channel, Delivery

LABELS = {name: kind.label for name, kind in CHANNELS.items()}
WAITING = ("queued", "sending")


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """One channel and how it does.

    `state`: paused, failing, sending, delivered, or unknown (nothing was ever sent). `since`: of the oldest message
    that fails. `answer`: the receiver's last.
    """

    channel: Channel
    state: str
    word: str
    waiting: int
    since: datetime | None
    answer: str
    delivered_at: datetime | None
    kind: str


def channel_health() -> list[ChannelHealth]:
    """Return all channels by name, in a fixed number of queries."""
    mine = Delivery.objects.filter(channel=OuterRef("pk")).order_by("-pk")
    channels = Channel.objects.annotate(
        delivered_at=Subquery(mine.filter(status="delivered").values("delivered_at")[:1]),
        last_answer=Subquery(mine.filter(status="delivered").values("answer")[:1]),
    ).order_by("name")
    waiting: dict[int, Mapping[str, Any]] = {
        row["channel"]: {**row}
        for row in Delivery.objects.filter(status__in=WAITING, channel__isnull=False)
        .values("channel")
        .annotate(
            count=Count("pk"),
            failing=Count("pk", filter=Q(attempts__gt=0)),
            since=Min("created_at", filter=Q(attempts__gt=0)),
            oldest=Min("pk", filter=Q(attempts__gt=0)),
        )
    }
    answers = dict(
        Delivery.objects.filter(pk__in=[row["oldest"] for row in waiting.values() if row["oldest"]]).values_list(
            "pk", "answer"
        )
    )
    return [_health_of(channel, waiting.get(channel.pk, {}), answers) for channel in channels]


def _health_of(channel: Channel, row: Mapping[str, Any], answers: dict[int, str]) -> ChannelHealth:
    count: int = row.get("count", 0)
    delivered_at: datetime | None = getattr(channel, "delivered_at", None)
    answer: str = getattr(channel, "last_answer", None) or ""
    since: datetime | None = row.get("since")
    if row.get("failing"):
        state, word = "failed", "failing"
        answer = answers.get(row["oldest"], "")
    elif count:
        state, word = "sending", "sending"
    elif delivered_at is not None:
        state, word = "delivered", "delivers"
    else:
        state, word = "unknown", "never used"
    if channel.paused:
        state, word = "paused", "paused"
    kind = LABELS.get(channel.kind, channel.kind)
    return ChannelHealth(channel, state, word, count, since, answer, delivered_at, kind)


def headline(found: Sequence[ChannelHealth], routes: int) -> str:
    """Return what the page answers: would a page reach anybody now?"""
    if not found:
        return "Nobody can be paged yet: there is no channel."
    failing = [row for row in found if row.state == "failed"]
    paused = [row for row in found if row.state == "paused"]
    if failing:
        names = ", ".join(row.channel.name for row in failing[:3])
        return (
            f"{names} {'does' if len(failing) == 1 else 'do'} not reach anybody."
            if len(failing) < 4
            else f"{len(failing)} of {len(found)} channels reach nobody."
        )
    if not routes:
        return "Nobody is paged yet: no route leads to a channel."
    if len(paused) == len(found):
        return "Every channel is paused: pages wait."
    proven = [row for row in found if row.state in {"delivered", "sending"}]
    if not proven:
        return "No channel has delivered anything yet: send a test."
    if len(proven) == len(found):
        return "The channel delivers." if len(found) == 1 else f"All {len(found)} channels deliver."
    return f"{len(proven)} of {len(found)} channels deliver{'s' if len(proven) == 1 else ''}."
