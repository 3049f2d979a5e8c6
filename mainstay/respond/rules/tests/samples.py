"""A rule that fires, for the tests of all wings (desk/tests/desk.py)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.respond.alerts.actions import Firing, fire
from mainstay.respond.rules.models import Rule


def fill(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    return {"rule_id": Rule.objects.get(group=places["rules_id"], alerts=True).pk, "pack": "hosts"}


def further(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    """An alert of the rule."""
    source, labels = f"rule:{places['rule_id']}:0a1b", {"alertname": "ErrorRate"}
    firing = Firing(source=source, name="The shop fails", severity="critical", summary="", labels=labels)
    return {"raised_id": fire(firing, at).pk}
