"""Channels, routes, checks that fall, and what is owed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.permissions import Role
from mainstay.observe.checks.models import Check
from mainstay.observe.checks.runtime.results import Watch
from mainstay.observe.checks.tests.parts import NOON, down, see, up, watch
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.spec import RouteSpec, SilenceSpec
from mainstay.respond.delivery import actions as delivery
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.spec import ChannelSpec

KIM, LEE = Actor("user:1", "Kim", Role.SUPPORT), Actor("user:2", "Lee", Role.DEVELOPER)
VIEWER = Actor("user:9", "Viewer", Role.STAKEHOLDER)


def channel(name: str, me: Actor) -> Channel:
    given = {"name": name, "webhook": {"url": f"http://127.0.0.1:1/{name}"}}
    return delivery.put_channel(ChannelSpec.model_validate(given), me, NOON)


def silencing(match: Mapping[str, Any], starts_at: datetime, ends_at: datetime, comment: str) -> SilenceSpec:
    """A silence of these labels."""
    return SilenceSpec(match=dict(match), starts_at=starts_at, ends_at=ends_at, comment=comment)


def route(me: Actor, name: str = "all", **given: Any) -> Route:
    return put_route(RouteSpec.model_validate({"name": name, "notify": ["ops"], **given}), me, NOON)


def events(*, of: Check | None = None) -> list[str]:
    """What is owed, in order: `trigger ops`."""
    rows = Delivery.objects.order_by("id")
    if of is not None:
        rows = rows.filter(subject__in=[f"alert:{alert.pk}" for alert in Alert.objects.filter(source=f"check:{of.pk}")])
    return [f"{row.event} {row.channel_name}" for row in rows]


def delivered() -> None:
    Delivery.objects.update(status="delivered")


def the_alert() -> Alert:
    return Alert.objects.get()


def fall(row: Check, seconds: float = 60, held: Watch | None = None) -> Watch:
    """The check answers, then it does not."""
    held = held or watch(row)
    see(held, up(row, seconds - 1), down(row, seconds))
    return held
