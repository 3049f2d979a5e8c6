"""A kind of channel and a test message, for the tests of all wings (desk/tests/desk.py)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.respond.delivery.models import Delivery


def fill(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    return {"kind": "slack"}


def further(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    """A test message, whose page has an address of its own."""
    sent = Delivery.objects.get(pk=places["delivery_id"])
    sent.pk, sent.event, sent.key = None, "test", "a test"
    sent.save(force_insert=True)
    return {"delivery_id": sent.pk}
