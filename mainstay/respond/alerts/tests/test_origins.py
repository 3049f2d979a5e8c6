"""A source of another kind is paged on like a check: it registers what stands around it and what its page shows."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mainstay.observe.checks.tests.parts import NOON, after, check
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts import origins
from mainstay.respond.alerts.actions import Firing, consider_due, fire, fire_all, look_again
from mainstay.respond.alerts.decide import Code
from mainstay.respond.alerts.models import Alert
from mainstay.respond.alerts.origins import ORIGINS, Context, ContextOf, Origin, Shown
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.alerts.tests.parts import events
from mainstay.respond.delivery.models import Channel

pytestmark = pytest.mark.django_db
SHOWN = Shown(link=lambda _: "/hosts/")


def host(number: int) -> Firing:
    name = f"host {number} is full"
    return Firing(source=f"host:{number}", name=name, severity="major", summary="", labels={"host": str(number)})


@pytest.fixture
def racks(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Racks that are down; hosts need them."""
    down: dict[str, int] = {}

    def context(alerts: Sequence[Alert], windows: Sequence[Window]) -> ContextOf:
        asked.append(len(alerts))

        def of(alert: Alert, now: datetime) -> Context:
            return Context(blocked_by=next(iter(down), ""), needed=next(iter(down.values()), None))

        return of

    asked: list[int] = []
    monkeypatch.setitem(ORIGINS, "host", Origin(word="host", context=context, shown=f"{__name__}.SHOWN"))
    return down


def test_what_a_source_needs_holds_its_alert_until_it_is_looked_at_again(ops: Channel, racks: dict[str, int]) -> None:
    racks["rack 4"] = 4
    alert = fire(host(1), NOON)
    assert (alert.decision, alert.held_by) == (Code.UNREACHABLE, 4)
    assert alert.reason == "rack 4, which it needs, is down and has its own alert"
    assert origins.link(alert) == ("host", "/hosts/")
    racks.clear()
    look_again(after(1), held_by=4)
    assert consider_due(after(1)) == 1
    assert events() == ["trigger ops"]


def test_what_nobody_registered_pages_and_shows_nothing(ops: Channel) -> None:
    alert = fire(host(1), NOON)
    assert alert.decision == Code.FIRST_PAGE
    assert origins.link(alert) == ("", "")


def test_sources_of_several_kinds_are_decided_on_together(ops: Channel, racks: dict[str, int]) -> None:
    racks["rack 4"] = 4
    counts = []
    for some in ([host(1)], [host(2), host(3)]):
        with CaptureQueriesContext(connection) as seen:
            fire_all([(firing, NOON) for firing in some])
        counts.append(len(seen))
    assert counts[0] == counts[1]
    made = fire_all([(host(4), NOON), (of_check(check(), "major", "down", ""), NOON)])
    assert [alert.decision for alert in made] == [Code.UNREACHABLE, Code.FIRST_PAGE]
