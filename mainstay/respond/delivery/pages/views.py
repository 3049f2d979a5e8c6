"""The pages of one channel: its settings, tests, and what would be lost with it."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.refusal import Managed
from mainstay.kit.replies import attempt, done, form_page, posted, saved
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.pages.channel_health import LABELS, WAITING, channel_health
from mainstay.respond.delivery.pages.forms import ChannelForm
from mainstay.respond.delivery.receivers import naming
from mainstay.respond.delivery.wing import DELIVERY_EDIT


@needs(DELIVERY_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, kind: str) -> HttpResponse:
    """Add a channel of a kind."""
    if kind not in CHANNELS:
        raise Http404
    return _edit(request, kind, None)


@needs(DELIVERY_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Show a channel's settings, secrets masked; save them unless a file manages it."""
    row = get_object_or_404(Channel, name=name)
    if row.kind not in CHANNELS:
        raise Http404
    return _edit(request, row.kind, row)


def _edit(request: HttpRequest, kind: str, row: Channel | None) -> HttpResponse:
    form = ChannelForm(posted(request), kind=kind, channel=row)
    if kept := saved(form, lambda: actions.put_channel(form.spec, actor_of(request), clock.now(), existing=row), row):
        text = "saved. What waits for it is sent at once" if row else "added. Send a test to see whether it arrives"
        return done(request, f"Channel {kept} was {text}.", _page(kept))
    context: dict[str, Any] = {
        "now": clock.now(),
        "channel": row,
        "kind": LABELS[kind],
        "crumbs": [{"href": reverse("channels"), "label": "Channels and routes"}],
        "place": "channels",
    }
    if row is not None:
        context["health"] = next((found for found in channel_health() if found.channel.pk == row.pk), None)
        context["deliveries"] = recent(row)
        context["named_by"] = naming(row.name)
        context["test"] = Delivery.objects.filter(channel=row, event="test").order_by("-pk").first()
    return form_page(request, "delivery/channel_form.html", form, context)


def recent(row: Channel, most: int = 8) -> list[Delivery]:
    """Return the newest deliveries of a channel."""
    return list(Delivery.objects.filter(channel=row).order_by("-pk")[:most])


@needs(DELIVERY_EDIT)
@require_POST
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Owe a test message to a channel, and follow it: htmx gets the part that keeps itself current."""
    row = get_object_or_404(Channel, name=name)
    delivery = actions.send_test(row, actor_of(request), clock.now())
    if request.headers.get("HX-Request") == "true":
        return render(
            request, "delivery/test.html", {"delivery": delivery, "tries": [], "now": clock.now(), "channel": row}
        )
    return redirect("delivery", delivery.pk)


@needs(OPERATIONS_VIEW)
@require_safe
def test_result(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Show what became of a test so far."""
    row = get_object_or_404(Delivery.objects.select_related("channel"), pk=delivery_id, event="test")
    tries = list(row.tries.order_by("-pk")[:3])
    return render(
        request, "delivery/test.html", {"delivery": row, "tries": tries, "now": clock.now(), "channel": row.channel}
    )


@needs(DELIVERY_EDIT)
@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Pause a channel (`to=pause`) so that its messages wait, or resume it."""
    row = get_object_or_404(Channel, name=name)
    paused = request.POST.get("to") == "pause"
    spec = actions.spec_of(row).model_copy(update={"paused": paused})
    text = f"{row} is paused: its messages wait." if paused else f"{row} sends again, what waited first."
    return attempt(
        request, lambda: actions.put_channel(spec, actor_of(request), clock.now(), existing=row), text, _page(row)
    )


@needs(DELIVERY_EDIT)
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """Say what would be lost, then remove a channel."""
    row = get_object_or_404(Channel, name=name)
    problem = ""
    if request.method == "POST":
        try:
            actions.remove_channel(row, actor_of(request), clock.now())
        except Managed as error:
            problem = f"{error}."
        else:
            return done(request, f"Channel {row.name} was removed.", reverse("channels"))
    waiting = Delivery.objects.filter(channel=row, status__in=WAITING)
    named_by = naming(row.name)
    context = {
        "now": clock.now(),
        "channel": row,
        "problem": problem,
        "waiting": waiting.count(),
        "oldest": waiting.order_by("pk").first(),
        "named_by": named_by,
        "left_alone": [one for one in named_by if one.alone],
        "crumbs": [
            {"href": reverse("channels"), "label": "Channels and routes"},
            {"href": _page(row), "label": row.name},
        ],
        "place": "channels",
    }
    return render(request, "delivery/channel_delete.html", context, status=409 if problem else 200)


def _page(row: Channel) -> str:
    return reverse("channel_edit", args=[row.name])
