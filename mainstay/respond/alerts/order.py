"""The order in which routes are tried."""

from datetime import datetime

from django.db import transaction

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.write import Subject, write
from mainstay.foundation.refusal import need_unmanaged
from mainstay.respond.alerts import facts
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.delivery.wing import DELIVERY_EDIT


@transaction.atomic
def move_route(row: Route, actor: Actor, at: datetime, *, up: bool) -> bool:
    """Swap a route with its neighbour; False when it is the first (or last) already.

    Raises:
        NotAllowed, Managed: a file that describes a route also gives its place.
    """
    actor.need(DELIVERY_EDIT)
    need_unmanaged(f"The route {row.name}", row.managed_by, "")
    rows = list(Route.objects.select_for_update())
    place = next((place for place, each in enumerate(rows) if each.pk == row.pk), None)
    other = None if place is None else place - 1 if up else place + 1
    if place is None or other is None or not 0 <= other < len(rows):
        return False
    rows[place], rows[other] = rows[other], rows[place]
    # Positions may have gaps or be equal (files give their own), so all are written anew.
    for position, each in enumerate(rows, 1):
        if each.position != position:
            Route.objects.filter(pk=each.pk).update(position=position)
    write(facts.ROUTE_EDITED, Subject("route", row.pk, row.name), actor, at, fields=["position"])
    Alert.objects.filter(ended_at=None, look_at__isnull=False).update(look_at=at)
    return True
