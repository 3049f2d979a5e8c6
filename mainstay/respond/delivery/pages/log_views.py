"""The log of deliveries: what was sent where, each attempt, and the receiver's answer."""

from typing import Any

from django.db.models import Count, Prefetch
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import ALERTS_RESPOND, OPERATIONS_VIEW
from mainstay.foundation.journal.subjects import subject_url
from mainstay.kit.lists import Wanted, by_key, columns, cursor, export, ids_in, page_of
from mainstay.kit.live import live
from mainstay.kit.nav import trail
from mainstay.kit.regions import region
from mainstay.kit.replies import done
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.message import Event, Message
from mainstay.respond.delivery.models import Attempt, Channel, Delivery, Group
from mainstay.respond.delivery.sending.groups import write_message

STATUSES = ("queued", "sending", "delivered", "grouped", "withdrawn", "failed")
ATTEMPTS_SHOWN = 5
ATTEMPTS_MOST = 200
COLUMNS: dict[str, Any] = {
    **columns("id=pk channel=channel_name"),
    "receiver": lambda d: d.receiver or d.channel_name,
    **columns("event status subject subject_name attempts created_at due_at delivered_at answer group=group_id"),
}
_MEMBER_STATES = {"open": "firing", "acknowledged": "acknowledged", "over": "resolved", "single": "firing"}


@needs(OPERATIONS_VIEW, "GET")
def deliveries(request: HttpRequest) -> HttpResponseBase:
    """List deliveries, newest first; `?group=` lists the messages of a group and the alerts that they tell of."""
    wanted = Wanted(request)
    name = wanted.choose("channel", "Any channel", Channel.objects.order_by("name").values_list("name", flat=True))
    status = wanted.choose("status", "Any status", ("waiting", *STATUSES), known=True)
    event = wanted.choose("event", "Any event", [event.value for event in Event], known=True)
    rows = Delivery.objects.select_related("channel")
    group = Group.objects.filter(pk__in=ids_in([request.GET.get("group", "")])).first()
    if group is not None:
        wanted.choose("group", "Any group", [(str(group.pk), str(group))])
        rows = rows.filter(group=group)
    if name:
        channel = Channel.objects.filter(name=name).first()
        # The index is on the channel; one that was removed is found by name.
        rows = rows.filter(channel=channel) if channel else rows.filter(channel=None, channel_name=name)
    if status:
        rows = rows.filter(status__in=("queued", "sending") if status == "waiting" else (status,))
    if event:
        rows = rows.filter(event=event)
    file = export(request, "deliveries", COLUMNS, by_key(rows))
    if file is not None:
        return file
    page = page_of(request, rows.prefetch_related(Prefetch("tries", _newest(), to_attr="latest")))
    if group is not None:
        members = dict(group.members.filter(delivery__in=page.rows).values_list("delivery", "state"))
        for row in page.rows:
            row.member = _MEMBER_STATES.get(members.get(row.pk, ""), "")  # type: ignore[attr-defined]
    waiting = Delivery.objects.filter(status__in=("queued", "sending"))[:1001].count()
    context: dict[str, Any] = {
        "deliveries": page.rows,
        "page": page,
        "paged": cursor(request) != (None, None),
        "filtered": bool(wanted),
        "group": group,
        "group_title": _group_title(group) if group is not None else "",
        "group_links": region("group", "links", request, clock.now(), group).html if group is not None else "",
        "waiting": waiting,
        "can_respond": actor_of(request).may(ALERTS_RESPOND),
        "filters": wanted.filters,
        **trail("channels"),
    }
    return live(request, "delivery/deliveries.html", context)


def _group_title(group: Group) -> str:
    """What the page of a group says first: how many alerts, and how they stand."""
    states = dict(group.members.values_list("state").annotate(Count("pk")))
    total, over = sum(states.values()), states.get("over", 0)
    parts = [
        f"{states[name]:,} {word}"
        for name, word in (("open", "firing"), ("acknowledged", "acknowledged"), ("single", "sent singly since"))
        if states.get(name)
    ]
    parts += [f"{over:,} over"] if over and parts else ["all over"] if over else []
    return f"{total:,} alert{'' if total == 1 else 's'} told together to {group.channel_name}: {', '.join(parts)}."


def _newest() -> Any:
    return Attempt.objects.order_by("-pk")[:ATTEMPTS_SHOWN]


@needs(OPERATIONS_VIEW, "GET")
def delivery(request: HttpRequest, delivery_id: int) -> HttpResponseBase:
    """Show one message: what it says, each attempt, and the receiver's answer."""
    row = _delivery(delivery_id)
    context: dict[str, Any] = {
        "delivery": row,
        "message": write_message(row) if row.of_group and row.tried_at is None else Message.from_json(row.message),
        "tries": list(row.tries.order_by("-pk")[:ATTEMPTS_MOST]),
        "subject_href": subject_url(row.subject, row.subject_name),
        "fallbacks": list(row.fallbacks.order_by("pk")),
        "can_respond": actor_of(request).may(ALERTS_RESPOND),
        **trail("channels", "deliveries"),
    }
    return live(request, "delivery/delivery.html", context)


@needs(ALERTS_RESPOND, "POST")
def retry(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Try a waiting delivery at once."""
    row = _delivery(delivery_id)
    back = reverse("delivery", args=[row.pk])
    if row.channel is not None and row.channel.paused:
        return done(request, f"{row.channel} is paused: resume it first.", back, tone="warn")
    if actions.retry_now(row, actor_of(request), clock.now()):
        return done(request, f"Tried again now: {row.event} to {row.channel_name}.", back)
    return done(request, "Nothing waits: it is delivered, withdrawn, or being sent.", back, tone="warn")


@needs(ALERTS_RESPOND, "POST")
def discard(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Give a waiting delivery up."""
    row = _delivery(delivery_id)
    back = reverse("delivery", args=[row.pk])
    if actions.discard(row, actor_of(request), clock.now()):
        return done(request, f"Discarded: the {row.event} message to {row.channel_name} is not sent.", back)
    return done(request, "Nothing waits: it is delivered, withdrawn, or being sent.", back, tone="warn")


def _delivery(delivery_id: int) -> Delivery:
    return get_object_or_404(Delivery.objects.select_related("channel", "fallback_of", "group"), pk=delivery_id)
