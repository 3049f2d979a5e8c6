"""The page of channels and routes: their state, their order, and who would be paged."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from mainstay.foundation import clock
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
from mainstay.foundation.parts import Drawn
from mainstay.kit.lists import columns, export
from mainstay.kit.live import live
from mainstay.respond.alerts import routes
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.pages.forms import shown_hours, shown_reminder
from mainstay.respond.alerts.pages.route_views import tester
from mainstay.respond.alerts.routes import never_reached, shown_match
from mainstay.respond.delivery.models import Channel, Group
from mainstay.respond.delivery.pages.channel_health import LABELS, channel_health, headline
from mainstay.respond.delivery.receivers import channels_of
from mainstay.respond.delivery.wing import DELIVERY_EDIT

COLUMNS = columns(
    "name=channel.name kind=channel.kind target=channel.target state=word waiting failing_since=since "
    "delivered_at answer managed_by=channel.managed_by"
)


def leads_here(_request: HttpRequest, _now: datetime, channel: Channel) -> Iterator[Drawn]:
    """The routes that name a channel."""
    yield Drawn("alerts/parts/leads_here.html", {"named_by": routes.naming(channel.name)})


def of_group(_request: HttpRequest, _now: datetime, _group: Group) -> Iterator[Drawn]:
    """Where the alerts are that a group tells of."""
    yield Drawn("alerts/parts/open_link.html")


@needs(OPERATIONS_VIEW, "GET")
def channels(request: HttpRequest) -> HttpResponseBase:
    """Show channels with their state, routes in order, and the question who would be paged."""
    found = channel_health()
    file = export(request, "channels", COLUMNS, found)
    if file is not None:
        return file
    rows = list(Route.objects.all())
    known = channels_of([name for route in rows for name in (*route.notify, *route.fallback)], clock.now())
    hidden = never_reached(rows)
    context: dict[str, Any] = {
        "now": clock.now(),
        "title": headline(found, len(rows)),
        "channels": found,
        "waiting": sum(one.waiting for one in found),
        "routes": [
            {
                "row": row,
                "match": shown_match(row.match),
                "hours": shown_hours(row.times),
                "reminder": shown_reminder(row.remind_every_s),
                "behind": hidden.get(row.pk),
                "unknown": sorted({*row.notify, *row.fallback} - known.keys()),
            }
            for row in rows
        ],
        "can_edit": actor_of(request).may(DELIVERY_EDIT),
        "kinds": LABELS,
        **tester(request),
    }
    return live(request, "alerts/channels.html", context)
