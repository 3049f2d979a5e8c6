"""The pages that do not get through: owed, and tried in vain or not tried for a while. Tests are none."""

from datetime import datetime, timedelta

from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

from mainstay.respond.delivery.message import Event
from mainstay.respond.delivery.models import Delivery

LATE = timedelta(seconds=30)
READ_MOST = 200
_OWED = ("queued", "sending")


def waiting(now: datetime) -> list[Delivery]:
    """Return what waits, oldest first; at most `READ_MOST`. The messages themselves are not read."""
    found = [
        delivery
        for status in _OWED
        for delivery in Delivery.objects.filter(
            # As a literal: SQLite uses an index that holds one status only where the statement itself names it.
            RawSQL(f"status = '{status}'", [], output_field=BooleanField()),  # noqa: S611 - a constant of ours
            Q(attempts__gt=0) | Q(created_at__lt=now - LATE),
        )
        .exclude(event=Event.TEST)  # whoever sent it looks at it
        .order_by("due_at" if status == "queued" else "claimed_until", "id")
        .defer("message")[:READ_MOST]
    ]
    return sorted(found, key=lambda delivery: delivery.pk)[:READ_MOST]
