"""Applications, as files and the API have them."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.catalog import actions
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import (
    By,
    Edge,
    Loc,
    Resource,
    Use,
    Written,
    in_full,
    in_present_order,
    own_names,
    read_or_none,
    shortened,
)


class Applications(Resource[ApplicationSpec]):
    """Applications with their environments and components."""

    kind, section, order, spec = "application", "applications", 20, ApplicationSpec
    title, listed = "Applications", "list of [applications](#applications), each with its [checks](#checks)"
    parts = ("environments", "components")
    examples = (
        {
            "name": "shop",
            "tier": "critical",
            "environments": [{"name": "production", "url": "http://127.0.0.1:9001"}],
            "components": [{"name": "database"}, {"name": "storefront", "needs": ["database"]}],
        },
    )

    def rows(self) -> QuerySet[Application]:
        return Application.objects.order_by("name").select_related("owner")

    def read(self, row: Any) -> ApplicationSpec:
        return actions.spec_of(row)

    def document(self, spec: ApplicationSpec, of: str = "") -> Written:
        document = shortened(spec)
        for component in document.get("components", ()):
            if "needs" in component:
                component["needs"] = own_names(component["needs"], spec.name)
        return document

    def uses(self, name: str, spec: ApplicationSpec) -> Iterator[Use]:
        if spec.owner is not None:
            yield Use("team", spec.owner, ("owner",))
        for edge in self.edges(name, spec):
            for place, needed in enumerate(edge.needs):
                yield Use("component", needed, (*edge.loc, place))

    def provides(self, name: str, spec: ApplicationSpec) -> Iterator[tuple[str, str]]:
        yield from (("environment", f"{name}/{part.name}") for part in spec.environments)
        yield from (("component", f"{name}/{part.name}") for part in spec.components)

    def edges(self, name: str, spec: ApplicationSpec) -> Iterator[Edge]:
        for number, part in enumerate(spec.components):
            needs = [in_full(needed, name) for needed in part.needs]
            yield Edge(f"{name}/{part.name}", needs, ("components", number, "needs"))

    def save(self, spec: ApplicationSpec, by: By, existing: Any | None = None) -> Application:
        return actions.put_application(spec, by.actor, by.at, existing=existing, by_file=by.file)

    def put(self, name: str, spec: ApplicationSpec, by: By, position: int | None = None) -> bool:
        row = self.find(name)
        ordered = _in_present_order(spec, read_or_none(actions.spec_of, row) if row else None)
        try:
            actions.put_application(
                ordered, by.actor, by.at, existing=row, by_file=by.file, dependencies=not self.ties(spec)
            )
        except Refused as error:
            raise Refused(error.detail, _as_given(error.field, ordered, spec), conflict=error.conflict) from None
        return False

    def ties(self, spec: ApplicationSpec) -> bool:
        return any("/" in name for component in spec.components for name in component.needs)

    def tie(self, name: str, spec: ApplicationSpec) -> None:
        actions.depend(Application.objects.get(name=name), spec.components)

    def delete(self, row: Any, by: By) -> None:
        actions.remove_application(row, by.actor, by.at, by_file=by.file)


APPLICATIONS = Applications()


def _in_present_order(spec: ApplicationSpec, present: ApplicationSpec | None) -> ApplicationSpec:
    """Return the spec with its parts in the order of the records, so that the journal tells real changes only."""
    components = []
    for component in spec.components:
        was = next((one.needs for one in present.components if one.name == component.name), []) if present else []
        needs = in_present_order(own_names(component.needs, spec.name), was)
        components.append(component.model_copy(update={"needs": needs}))
    place = {part.name: number for number, part in enumerate(present.components)} if present else {}
    components.sort(key=lambda part: place.get(part.name, len(place)))
    site = {part.name: number for number, part in enumerate(present.environments)} if present else {}
    environments = sorted(spec.environments, key=lambda part: site.get(part.name, len(site)))
    return spec.model_copy(update={"components": components, "environments": environments})


def _as_given(field: str, ordered: ApplicationSpec, given: ApplicationSpec) -> str:
    """Return the place of a component as it was given, for one of the ordered spec: `components.2.needs`."""
    parts: Loc = tuple(field.split("."))
    if len(parts) < 2 or parts[0] != "components" or not str(parts[1]).isdecimal():
        return field
    name = ordered.components[int(parts[1])].name
    number = next(number for number, part in enumerate(given.components) if part.name == name)
    return ".".join(map(str, ("components", number, *parts[2:])))
