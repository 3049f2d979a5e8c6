"""A small desk with one of everything, and a caller of the API, for tests."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.test import Client

from mainstay.foundation.accounts.actions import create_token, create_user, put_team
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Team, Token, User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.api.body import Document
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.clock import now
from mainstay.foundation.matching import Matchers
from mainstay.observe.checks.actions import announce, put_check
from mainstay.observe.checks.models import Check, CheckState, Maintenance, Ping, Result
from mainstay.observe.checks.spec import CheckSpec
from mainstay.observe.checks.windows import Window
from mainstay.observe.metrics.actions import put_scrape
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.spec import ScrapeSpec
from mainstay.respond.alerts.actions import fire, silence
from mainstay.respond.alerts.models import Alert, Route, Silence
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.sources.checks import of_check
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.alerts.tests.parts import silencing
from mainstay.respond.delivery.actions import put_channel
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.respond.delivery.spec import ChannelSpec
from mainstay.respond.rules.actions import put_group
from mainstay.respond.rules.models import RuleGroup
from mainstay.respond.rules.spec import RuleGroupSpec

SECRET = "sesame-opens-the-door"


@dataclass
class Caller:
    """Calls the API as a program does, with a token (or none)."""

    token: str = ""

    def __call__(
        self, method: str, address: str, body: Any = None, *, content_type: str = "application/json", **headers: str
    ) -> Any:
        """Send one request; `body` is sent as JSON unless it is bytes. `headers` with _ for -."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            given.setdefault("Authorization", f"Bearer {self.token}")
        # No Content-Type goes with no body, as with real clients.
        sent = content_type if data else ""
        client = Client(raise_request_exception=False)
        return client.generic(method, f"/api/v1{address}", data, content_type=sent, headers=given)

    def get(self, address: str, **headers: str) -> Any:
        """Return the JSON of a GET that succeeds."""
        return self.expect(200, "GET", address, None, **headers)

    def post(self, address: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """Return the JSON of a POST that is answered with `status`."""
        return self.expect(status, "POST", address, body, **headers)

    def put(self, address: str, body: Any, status: int = 200) -> Any:
        """Return the JSON of a PUT that is answered with `status`."""
        return self.expect(status, "PUT", address, body)

    def expect(self, status: int, method: str, address: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of an answer with `status`."""
        answer = self(method, address, body, **headers)
        assert answer.status_code == status, (answer.status_code, answer.content[:2_000])
        return json.loads(answer.content) if answer.content else None


def caller(role: Role = Role.ADMIN, name: str = "") -> Caller:
    """Return a caller with a fresh token of `role`."""
    return Caller(create_token(name or f"{role.value} for a test", role, COMMAND_LINE, now())[1])


@dataclass(frozen=True)
class Desk:
    """One of everything."""

    application: Application
    check: Check
    heartbeat: Check
    channel: Channel
    route: Route
    rules: RuleGroup
    alert: Alert
    delivery: Delivery
    silence: Silence
    maintenance: Maintenance
    scrape: Scrape
    user: User
    team: Team
    token: Token

    @property
    def places(self) -> dict[str, object]:
        """What stands in the address of each operation."""
        return {
            "application": self.application.name,
            "channel": self.channel.name,
            "check_id": self.check.pk,
            "maintenance_id": self.maintenance.pk,
            "scrape": self.scrape.name,
            "identity": "0a1b2c3d4e5f",
            "alert_id": self.alert.pk,
            "silence_id": self.silence.pk,
            "route_id": self.route.pk,
            "rules_id": self.rules.pk,
            "delivery_id": self.delivery.pk,
            "user_id": self.user.pk,
            "team_id": self.team.pk,
            "token_id": self.token.pk,
        }


def desk(at: datetime | None = None) -> Desk:
    """Set up a desk in the test's database."""
    me, at = COMMAND_LINE, at or now()
    user = create_user("lee@example.com", Role.SUPPORT, "Lee", me, at)
    create_user("root@example.com", Role.ADMIN, "", me, at)
    team = put_team("Payments", "payments@example.com", [user], me, at)
    application = put_application(
        ApplicationSpec.model_validate(
            {
                "name": "shop",
                "tier": "critical",
                "environments": [{"name": "production", "url": "http://127.0.0.1:9001"}],
                "components": [{"name": "database"}, {"name": "storefront", "needs": ["database"]}],
            }
        ),
        me,
        at,
    )
    check = put_check(application, CheckSpec.model_validate(CHECK), me, at)
    heartbeat = put_check(
        application,
        CheckSpec.model_validate({"name": "nightly", "heartbeat": {"every": "1d", "grace": "30m"}}),
        me,
        at,
    )
    Result.objects.create(check_ref=check, at=at, health="down", duration_s=0.2, code=503, message="HTTP 503")
    Ping.objects.create(check_ref=heartbeat, at=at, kind="success", body="fine")
    CheckState.objects.filter(pk=check.pk).update(
        health="down", since=at, message="HTTP 503", failures=3, first_at=at, last_at=at, last_health="down"
    )
    channel = put_channel(ChannelSpec.model_validate(CHANNEL), me, at)
    route = put_route(RouteSpec.model_validate({"match": {"severity": "critical"}, "notify": ["ops"]}), me, at)
    alert = fire(of_check(Check.objects.get(pk=check.pk), "critical", "shop/storefront is down", "HTTP 503"), at)
    return Desk(
        application=application,
        check=check,
        heartbeat=heartbeat,
        channel=channel,
        route=route,
        rules=put_group(RuleGroupSpec.model_validate(RULES), me, at),
        alert=alert,
        delivery=Delivery.objects.get(subject=f"alert:{alert.pk}"),
        silence=silence(silencing({"application": "elsewhere"}, at, at + timedelta(hours=1), "a test"), me, at),
        maintenance=announce(
            Window("deploy", match=Matchers.read({"team": "none"}), starts_at=at, ends_at=at + timedelta(hours=1)),
            me,
            at,
        ),
        scrape=put_scrape(ScrapeSpec.model_validate(SCRAPE), me, at),
        user=user,
        team=team,
        token=create_token("scraper", Role.SUPPORT, me, at)[0],
    )


CHECK: Document = {
    "name": "storefront",
    "environment": "production",
    "component": "storefront",
    "http": {"url": "http://127.0.0.1:1/", "bearer": SECRET, "expect": {"status": 200}},
    "every": "5s",
    "fail_after": 2,
    "severity": "critical",
    "labels": {"team": "payments"},
}
RULES: Document = {
    "name": "shop",
    "rules": [
        {
            "alert": "ErrorRate",
            "expr": "sum(rate(shop_errors_total[5m])) / sum(rate(shop_requests_total[5m])) > 0.05",
            "for": "5m",
            "labels": {"severity": "critical", "application": "shop"},
            "annotations": {"summary": "The shop fails", "first_step": "Look at the log."},
        },
        {"record": "shop:requests:rate5m", "expr": "sum(rate(shop_requests_total[5m]))"},
    ],
}
SCRAPE: Document = {
    "name": "node",
    "application": "shop",
    "environment": "production",
    "targets": ["127.0.0.1:1"],
    "bearer": SECRET,
}
CHANNEL: Document = {"name": "ops", "webhook": {"url": f"http://127.0.0.1:1/hook/{SECRET}"}}
