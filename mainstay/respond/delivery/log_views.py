"""The log of deliveries: what was sent where, each attempt, and the receiver's answer."""

from typing import Any

from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import Permission
from mainstay.foundation.journal.lines import subject_url
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.message import Event, Message
from mainstay.respond.delivery.models import Attempt, Channel, Delivery
from mainstay.web.lists import by_key, cursor, export, page_of, with_query
from mainstay.web.live import live
from mainstay.web.replies import done

STATUSES = ("queued", "sending", "delivered", "withdrawn")
ATTEMPTS_SHOWN = 5
ATTEMPTS_MOST = 200
COLUMNS = {
    "id": lambda d: d.pk,
    "channel": lambda d: d.channel_name,
    "event": lambda d: d.event,
    "status": lambda d: d.status,
    "subject": lambda d: d.subject,
    "subject_name": lambda d: d.subject_name,
    "attempts": lambda d: d.attempts,
    "created_at": lambda d: d.created_at,
    "due_at": lambda d: d.due_at,
    "delivered_at": lambda d: d.delivered_at,
    "answer": lambda d: d.answer,
}


@needs(Permission.OPERATIONS_VIEW)
@require_safe
def deliveries(request: HttpRequest) -> HttpResponseBase:
    """List deliveries, newest first."""
    given = {name: request.GET.get(name, "") for name in ("channel", "status", "event")}
    given["status"] = given["status"] if given["status"] in {*STATUSES, "waiting"} else ""
    given["event"] = given["event"] if given["event"] in {event.value for event in Event} else ""
    rows = Delivery.objects.select_related("channel")
    if given["channel"]:
        channel = Channel.objects.filter(name=given["channel"]).first()
        # The index is on the channel; one that was removed is found by name.
        rows = rows.filter(channel=channel) if channel else rows.filter(channel=None, channel_name=given["channel"])
    if given["status"]:
        rows = rows.filter(status__in=("queued", "sending") if given["status"] == "waiting" else (given["status"],))
    if given["event"]:
        rows = rows.filter(event=given["event"])
    file = export(request, "deliveries", COLUMNS, by_key(rows))
    if file is not None:
        return file
    page = page_of(request, rows.prefetch_related(Prefetch("tries", _newest(), to_attr="latest")))
    waiting = Delivery.objects.filter(status__in=("queued", "sending"))[:1001].count()
    context: dict[str, Any] = {
        "now": clock.now(),
        "deliveries": page.rows,
        "page": page,
        "paged": cursor(request) != (None, None),
        "filtered": any(given.values()),
        "waiting": waiting,
        "can_respond": actor_of(request).may(Permission.ALERTS_RESPOND),
        "csv": with_query(request, format="csv", before=None, after=None),
        "json": with_query(request, format="json", before=None, after=None),
        "filters": [
            _choice("channel", "Any channel", given, Channel.objects.order_by("name").values_list("name", flat=True)),
            _choice("status", "Any status", given, ("waiting", *STATUSES)),
            _choice("event", "Any event", given, [event.value for event in Event]),
        ],
        "crumbs": [{"href": reverse("channels"), "label": "Channels and routes"}],
        "place": "channels",
    }
    return live(request, "delivery/deliveries.html", context)


def _choice(name: str, label: str, given: dict[str, str], values: Any) -> dict[str, Any]:
    return {"name": name, "label": label, "value": given[name], "choices": [(value, value) for value in values]}


def _newest() -> Any:
    return Attempt.objects.order_by("-pk")[:ATTEMPTS_SHOWN]


@needs(Permission.OPERATIONS_VIEW)
@require_safe
def delivery(request: HttpRequest, delivery_id: int) -> HttpResponseBase:
    """Show one message: what it says, each attempt, and the receiver's answer."""
    row = _delivery(delivery_id)
    context: dict[str, Any] = {
        "now": clock.now(),
        "delivery": row,
        "message": Message.from_json(row.message),
        "tries": list(row.tries.order_by("-pk")[:ATTEMPTS_MOST]),
        "subject_href": subject_url(row.subject, row.subject_name),
        "fallbacks": list(row.fallbacks.order_by("pk")),
        "can_respond": actor_of(request).may(Permission.ALERTS_RESPOND),
        "crumbs": [
            {"href": reverse("channels"), "label": "Channels and routes"},
            {"href": reverse("deliveries"), "label": "Deliveries"},
        ],
        "place": "channels",
    }
    return live(request, "delivery/delivery.html", context)


@needs(Permission.ALERTS_RESPOND)
@require_POST
def retry(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Try a waiting delivery at once."""
    row = _delivery(delivery_id)
    back = reverse("delivery", args=[row.pk])
    if row.channel is not None and row.channel.paused:
        return done(request, f"{row.channel} is paused: resume it first.", back, tone="warn")
    if actions.retry_now(row, actor_of(request), clock.now()):
        return done(request, f"Tried again now: {row.event} to {row.channel_name}.", back)
    return done(request, "Nothing waits: it is delivered, withdrawn, or being sent.", back, tone="warn")


def _delivery(delivery_id: int) -> Delivery:
    if delivery_id > 2**63 - 1:
        raise Http404
    return get_object_or_404(Delivery.objects.select_related("channel", "fallback_of"), pk=delivery_id)
