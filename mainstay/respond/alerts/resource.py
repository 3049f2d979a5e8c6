"""Routes, as files and the API have them."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.resource import By, Resource, Use, Written, shortened
from mainstay.respond.alerts import routes
from mainstay.respond.alerts.models import Route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.receivers import split


class Routes(Resource[RouteSpec]):
    """Which alerts notify which channels."""

    kind, section, order, spec = "route", "routes", 40, RouteSpec
    title, listed = "Routes", "list of [routes](#routes), in the order in which they are tried"
    ordered = True
    examples = ({"match": {"severity": "critical"}, "notify": ["ops"]},)
    about = (
        "Routes are tried in the order of the file; the first that matches decides, unless it says `also`. A channel"
        " gets the most severe first; when more than 20 wait for it or went to it within a minute, one message"
        " tells of the others. What `match` and `matchers` mean: [matching](matching.md)."
    )

    def rows(self) -> QuerySet[Route]:
        return Route.objects.order_by("position", "id")

    def read(self, row: Any) -> RouteSpec:
        return routes.spec_of(row)

    def called(self, spec: RouteSpec) -> str:
        return spec.name or routes.default_name(spec)

    def document(self, spec: RouteSpec, of: str = "") -> Written:
        """A name that would be made anyway is left out."""
        return shortened(spec, name=spec.name if spec.name != routes.default_name(spec) else None)

    def uses(self, name: str, spec: RouteSpec) -> Iterator[Use]:
        for field, receivers in (("notify", spec.notify), ("fallback", spec.fallback)):
            for number, receiver in enumerate(receivers):
                kind, called = split(receiver)
                yield Use(kind or "channel", called, (field, number))

    def save(self, spec: RouteSpec, by: By, existing: Any | None = None, position: int | None = None) -> Route:
        return routes.put_route(spec, by.actor, by.at, existing=existing, position=position, by_file=by.file)

    def put(self, name: str, spec: RouteSpec, by: By, position: int | None = None) -> bool:
        self.save(spec, by, self.find(name), position)
        return False

    def arrange(self, names: Sequence[str], by: By) -> None:
        routes.arrange(names, by.actor, by.at, by_file=by.file)

    def delete(self, row: Any, by: By) -> None:
        routes.remove_route(row, by.actor, by.at, by_file=by.file)


ROUTES = Routes()
