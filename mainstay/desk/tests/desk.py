"""A small desk with one of everything, and a caller of the API, for tests."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.test import Client

from mainstay.config.resources import resources
from mainstay.foundation.accounts.actions import create_token, create_user
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.api.body import Document
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.clock import now
from mainstay.foundation.resource import By, Resource
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.delivery.models import Channel, Delivery
from mainstay.wings import WINGS

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
    """One of everything.

    Attributes:
        places: what stands in the addresses of pages and operations: "application" and "application_id" …
    """

    places: Mapping[str, Any]
    application: Application
    check: Check
    heartbeat: Check
    channel: Channel
    route: Route
    alert: Alert
    delivery: Delivery
    user: User
    team: Team


def desk(at: datetime | None = None) -> Desk:
    """Set up a desk in the test's database: people, the examples of all resources, and what wings add to them."""
    at = at or now()
    user = create_user("lee@example.com", Role.SUPPORT, "Lee", COMMAND_LINE, at)
    create_user("root@example.com", Role.ADMIN, "", COMMAND_LINE, at)
    places: dict[str, Any] = {}
    for resource in resources().values():
        for name, spec in examples(resource):
            resource.put(name, spec, By(COMMAND_LINE, at))
            resource.tie(name, spec)
            places.setdefault(resource.kind, name)
            places.setdefault(f"{resource.kind}_id", getattr(resource.find(name), "pk", None))
    for fill in of_wings("fill"):
        places |= fill(places, at)
    return Desk(
        places=places,
        application=Application.objects.get(name=places["application"]),
        check=Check.objects.get(pk=places["check_id"]),
        heartbeat=Check.objects.get(name="nightly"),
        channel=Channel.objects.get(name=places["channel"]),
        route=Route.objects.get(pk=places["route_id"]),
        alert=Alert.objects.get(pk=places["alert_id"]),
        delivery=Delivery.objects.get(pk=places["delivery_id"]),
        user=user,
        team=Team.objects.get(name=places["team"]),
    )


def examples(resource: Resource[Any]) -> Iterator[tuple[str, Any]]:
    """Each example of a resource with its full name."""
    for written in resource.examples:
        spec = resource.spec.model_validate(written)
        name = resource.called(spec)
        yield f"{first(resource.within)['name']}/{name}" if resource.within else name, spec


def first(kind: str) -> Document:
    """The first example of a resource."""
    return resources()[kind].examples[0]


def of_wings(name: str) -> Iterator[Any]:
    """What the wings' `tests/samples.py` call `name`: `fill`, `further`, `BODIES`, `BEFORE`."""
    for wing in WINGS:
        if find_spec(f"{wing.app}.tests") and find_spec(f"{wing.app}.tests.samples"):
            found = getattr(import_module(f"{wing.app}.tests.samples"), name, None)
            if found is not None:
                yield found


CHECK, CHANNEL = first("check"), first("channel")
