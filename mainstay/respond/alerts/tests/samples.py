"""An alert that paged and a silence, for the tests of all wings (desk/tests/desk.py)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.actions import acknowledge, fire, silence
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.alerts.tests.parts import silencing
from mainstay.respond.delivery.models import Delivery


def fill(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    check = Check.objects.get(pk=places["check_id"])
    alert = fire(of_check(check, "critical", "shop/storefront is down", "HTTP 503"), at)
    quiet = silencing({"application": "elsewhere"}, at, at + timedelta(hours=1), "a test")
    return {
        "alert_id": alert.pk,
        "delivery_id": Delivery.objects.get(subject=f"alert:{alert.pk}").pk,
        "silence_id": silence(quiet, COMMAND_LINE, at).pk,
    }


BODIES = {
    "acknowledge_alert": {"note": "on it"},
    "create_silence": {"match": {"check": "storefront"}, "duration": "1h", "comment": "why not"},
    "replace_route": {"notify": ["ops"]},
    "explain_routes": {"labels": {"severity": "critical"}},
}
BEFORE: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "unacknowledge_alert": lambda places: acknowledge(Alert.objects.get(pk=places["alert_id"]), COMMAND_LINE, now()),
}
