"""What checks found, for the tests of all wings (desk/tests/desk.py): one is down, a ping has come."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.observe.checks.models import Check, CheckState, Ping, Result


def fill(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    check, heartbeat = Check.objects.get(pk=places["check_id"]), Check.objects.get(name="nightly")
    Result.objects.create(check_ref=check, at=at, health="down", duration_s=0.2, code=503, message="HTTP 503")
    Ping.objects.create(check_ref=heartbeat, at=at, kind="success", body="fine")
    CheckState.objects.filter(pk=check.pk).update(
        health="down", since=at, message="HTTP 503", failures=3, first_at=at, last_at=at, last_health="down"
    )
    return {}


BODIES = {"try_check": {"name": "x", "http": {"url": "http://127.0.0.1:1/"}, "timeout": "1s"}}
