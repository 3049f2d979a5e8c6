"""The pages of one channel: its settings, tests, and what would be lost with it."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.kit.editing import Editing
from mainstay.kit.nav import trail
from mainstay.kit.regions import region
from mainstay.kit.replies import attempt, posted
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.pages.channel_health import LABELS, WAITING, channel_health
from mainstay.respond.delivery.pages.forms import ChannelForm
from mainstay.respond.delivery.receivers import naming
from mainstay.respond.delivery.resource import CHANNELS as RESOURCE
from mainstay.respond.delivery.wing import DELIVERY_EDIT


class ChannelPages(Editing[Channel]):
    """Channels. Secrets are masked, and a channel keeps its name."""

    resource, permission, model = RESOURCE, DELIVERY_EDIT, Channel
    place, page = "channels", "channel_edit"
    template, asks = "delivery/channel_form.html", "delivery/channel_delete.html"

    def form_of(self, request: HttpRequest, row: Channel | None, kind: str = "", **given: str) -> ChannelForm:
        kind = row.kind if row is not None else kind
        if kind not in CHANNELS:
            raise Http404
        return ChannelForm(posted(request), kind=kind, channel=row)

    def named(self, row: Channel) -> str:
        return f"Channel {row.name}"

    def said(self, kept: Channel, *, new: bool) -> str:
        text = "added. Send a test to see whether it arrives" if new else "saved. What waits for it is sent at once"
        return f"{self.named(kept)} was {text}."

    def context(self, request: HttpRequest, row: Channel | None, form: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"kind": LABELS[form.kind], **trail("channels")}
        if row is not None:
            context["health"] = next((found for found in channel_health() if found.channel.pk == row.pk), None)
            context["deliveries"] = recent(row)
            context["leads_here"] = region("channel", "side", request, clock.now(), row).html
            context["test"] = Delivery.objects.filter(channel=row, event="test").order_by("-pk").first()
        return context

    def consequences(self, row: Channel) -> dict[str, Any]:
        waiting, named_by = Delivery.objects.filter(channel=row, status__in=WAITING), naming(row.name)
        return {
            "waiting": waiting.count(),
            "oldest": waiting.order_by("pk").first(),
            "named_by": named_by,
            "left_alone": [one for one in named_by if one.alone],
        }


CHANNEL = ChannelPages()


def recent(row: Channel, most: int = 8) -> list[Delivery]:
    """Return the newest deliveries of a channel."""
    return list(Delivery.objects.filter(channel=row).order_by("-pk")[:most])


@needs(DELIVERY_EDIT, "POST")
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Owe a test message to a channel, and follow it: htmx gets the part that keeps itself current."""
    row = get_object_or_404(Channel, name=name)
    delivery = actions.send_test(row, actor_of(request), clock.now())
    if request.headers.get("HX-Request") == "true":
        return render(request, "delivery/test.html", {"delivery": delivery, "tries": [], "channel": row})
    return redirect("delivery", delivery.pk)


@needs(OPERATIONS_VIEW, "GET")
def test_result(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Show what became of a test so far."""
    row = get_object_or_404(Delivery.objects.select_related("channel"), pk=delivery_id, event="test")
    tries = list(row.tries.order_by("-pk")[:3])
    return render(request, "delivery/test.html", {"delivery": row, "tries": tries, "channel": row.channel})


@needs(DELIVERY_EDIT, "POST")
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Pause a channel (`to=pause`) so that its messages wait, or resume it."""
    row = get_object_or_404(Channel, name=name)
    paused = request.POST.get("to") == "pause"
    spec = actions.spec_of(row).model_copy(update={"paused": paused})
    text = f"{row} is paused: its messages wait." if paused else f"{row} sends again, what waited first."
    actor, now = actor_of(request), clock.now()
    return attempt(request, lambda: actions.put_channel(spec, actor, now, existing=row), text, CHANNEL.address(row))
