"""What applying a plan does, as steps: each makes one thing whole, in an order in which what it refers to is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from mainstay.config import canonical
from mainstay.config.explain import locate
from mainstay.config.plan import Change, Plan, Verb
from mainstay.config.present import with_needs
from mainstay.config.problems import BadFile, Problem
from mainstay.config.read import Mapping as Node
from mainstay.config.read import Sequence
from mainstay.config.schema import CheckFields, Document, Item
from mainstay.foundation.accounts import actions as people
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.catalog import actions as catalog
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.refusal import Refused
from mainstay.observe.checks import actions as checks
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.spec import MaintenanceSpec
from mainstay.observe.metrics import actions as metrics
from mainstay.observe.metrics.models import Scrape
from mainstay.respond.alerts import routes
from mainstay.respond.alerts.models import Route
from mainstay.respond.delivery import actions as delivery
from mainstay.respond.delivery.models import Channel
from mainstay.respond.rules import actions as rules
from mainstay.respond.rules.models import RuleGroup

Step = Callable[[], None]
_REMOVED_IN_ORDER = ("rules", "scrape", "maintenance", "route", "check", "channel", "application", "team")


@dataclass(slots=True)
class Steps:
    """The steps of a plan. What other things refer to comes first; removals come last."""

    wanted: Document
    plan: Plan
    actor: Actor
    now: datetime
    needs_set: bool = False  # since the last piece

    def all(self) -> list[Step]:
        """Return them in order."""
        matters = {(change.kind, change.name) for change in self.plan.changes if change.matters}
        wanted = self.wanted
        applications = [item for item in wanted.applications if ("application", item.name) in matters]
        items = [item for some in wanted.checks.values() for item in some if ("check", item.name) in matters]
        order = {name: place for place, name in enumerate(self.plan.route_order or ())}
        leaving = [change for change in self.plan.changes if change.verb is Verb.REMOVE]
        return [
            *(partial(self._team, item) for item in wanted.teams if ("team", item.name) in matters),
            *(partial(self._application, item) for item in applications),
            # Components of two applications may need each other's: only once all are there.
            *(partial(self._depend, item) for item in applications if _needs_others(item.spec)),
            *(partial(self._channel, item) for item in wanted.channels if ("channel", item.name) in matters),
            *(partial(self._check, item) for item in _needed_first(items)),
            *(partial(self._route, item, order) for item in wanted.routes if ("route", item.name) in matters),
            *([partial(self._arrange, list(order))] if order else []),
            *(partial(self._window, item) for item in wanted.maintenance if ("maintenance", item.name) in matters),
            *(partial(self._scrape, item) for item in wanted.scrapes if ("scrape", item.name) in matters),
            *(partial(self._rules, item) for item in wanted.groups if ("rules", item.name) in matters),
            *(partial(self._remove, change) for kind in _REMOVED_IN_ORDER for change in leaving if change.kind == kind),
        ]

    @property
    def file(self) -> str:
        """What things are managed by."""
        return self.plan.managed_as

    def settle(self) -> None:
        """End a piece: no circle, for people may have added the other half of one since the plan was made."""
        if self.needs_set:
            with _without_place("checks"):
                checks.refuse_cycle()
        self.needs_set = False

    def _team(self, item: Item[TeamSpec]) -> None:
        existing = Team.objects.filter(name=item.name).first()
        members = list(User.objects.filter(email__in=item.spec.members))
        with _placed(item):
            people.put_team(
                item.name, item.spec.email or "", members, self.actor, self.now, existing=existing, by_file=self.file
            )

    def _application(self, item: Item[ApplicationSpec]) -> None:
        existing = Application.objects.filter(name=item.name).first()
        spec = _in_present_order(item.spec, catalog.spec_of(existing) if existing else None)
        with _placed(item, spec):
            catalog.put_application(
                spec,
                self.actor,
                self.now,
                existing=existing,
                by_file=self.file,
                dependencies=not _needs_others(spec),
            )

    def _depend(self, item: Item[ApplicationSpec]) -> None:
        with _placed(item):
            catalog.depend(Application.objects.get(name=item.name), item.spec.components)

    def _channel(self, item: Item[Any]) -> None:
        existing = Channel.objects.filter(name=item.name).first()
        with _placed(item):
            delivery.put_channel(item.spec, self.actor, self.now, existing=existing, by_file=self.file)

    def _check(self, item: Item[CheckFields]) -> None:
        application = Application.objects.get(name=item.name.partition("/")[0])
        existing = with_needs(application.checks.filter(name=item.spec.name)).first()
        needs = canonical.own_needs(item.spec.needs, application.name)
        present = checks.needed_names(existing) if existing is not None else []
        spec = canonical.normal_check(item.spec).model_copy(update={"needs": _ordered(needs, present)})
        with _placed(item):
            check = checks.put_check(
                application, spec, self.actor, self.now, existing=existing, by_file=self.file, needs=False
            )
            if sorted(present) != needs:
                checks.set_needs(check, needs, look_for_cycle=False)
                self.needs_set = True

    def _route(self, item: Item[Any], order: dict[str, int]) -> None:
        existing = Route.objects.filter(name=item.name).first()
        with _placed(item):
            routes.put_route(
                item.spec,
                self.actor,
                self.now,
                existing=existing,
                position=order.get(item.name),
                by_file=self.file,
            )

    def _arrange(self, order: list[str]) -> None:
        routes.arrange(order, self.actor, self.now, by_file=self.file)

    def _window(self, item: Item[MaintenanceSpec]) -> None:
        row = Maintenance.objects.filter(name=item.name, cancelled_at=None).order_by("id").first()
        with _placed(item):
            checks.announce(checks.window_for(item.spec), self.actor, self.now, existing=row, by_file=self.file)

    def _scrape(self, item: Item[Any]) -> None:
        existing = Scrape.objects.filter(name=item.name).first()
        with _placed(item):
            metrics.put_scrape(item.spec, self.actor, self.now, existing=existing, by_file=self.file)

    def _rules(self, item: Item[Any]) -> None:
        existing = RuleGroup.objects.filter(name=item.name).first()
        with _placed(item):
            rules.put_group(item.spec, self.actor, self.now, existing=existing, by_file=self.file)

    def _remove(self, change: Change) -> None:
        with _without_place(f"{change.kind} {change.name}"):
            self._removed(change)

    def _removed(self, change: Change) -> None:
        actor, now, file = self.actor, self.now, self.file
        match change.kind:
            case "maintenance":
                for window in Maintenance.objects.filter(name=change.name, managed_by=file, cancelled_at=None):
                    checks.cancel(window, actor, now, by_file=file)
            case "route":
                for route in Route.objects.filter(name=change.name):
                    routes.remove_route(route, actor, now, by_file=file)
            case "check":
                application, _, name = change.name.partition("/")
                of_it = Check.objects.filter(application__name=application, name=name)
                for row in of_it.select_related("application"):
                    checks.remove_check(row, actor, now, by_file=row.managed_by and file)
            case "channel":
                for channel in Channel.objects.filter(name=change.name):
                    delivery.remove_channel(channel, actor, now, by_file=file)
            case "application":
                for thing in Application.objects.filter(name=change.name):
                    catalog.remove_application(thing, actor, now, by_file=file)
            case "scrape":
                for scrape in Scrape.objects.filter(name=change.name):
                    metrics.remove_scrape(scrape, actor, now, by_file=file)
            case "rules":
                for group in RuleGroup.objects.filter(name=change.name):
                    rules.remove_group(group, actor, now, by_file=file)
            case "team":
                for team in Team.objects.filter(name=change.name):
                    people.remove_team(team, actor, now, by_file=file)


def _needs_others(spec: ApplicationSpec) -> bool:
    return any("/" in name for component in spec.components for name in component.needs)


def _needed_first(items: list[Item[CheckFields]]) -> list[Item[CheckFields]]:
    """Return checks so that each comes after those of the file that it needs; the plan has refused circles."""
    waiting = {item.name: item for item in items}
    ordered: list[Item[CheckFields]] = []
    for item in items:
        stack = [item.name] if item.name in waiting else []
        while stack:
            one = waiting[stack[-1]]
            needs = canonical.own_needs(one.spec.needs, one.name.partition("/")[0])
            first = [
                name
                for name in (need if "/" in need else f"{one.name.partition('/')[0]}/{need}" for need in needs)
                if name in waiting and name not in stack
            ]
            if first:
                stack.append(first[0])
            else:
                ordered.append(waiting.pop(stack.pop()))
    return ordered


def _in_present_order(spec: ApplicationSpec, present: ApplicationSpec | None) -> ApplicationSpec:
    """Return the spec with its parts in the order of the records, so that the journal tells real changes only."""
    components = []
    for component in spec.components:
        was = next((one.needs for one in present.components if one.name == component.name), []) if present else []
        needs = _ordered(canonical.own_needs(component.needs, spec.name), was)
        components.append(component.model_copy(update={"needs": needs}))
    place = {part.name: number for number, part in enumerate(present.components)} if present else {}
    components.sort(key=lambda part: place.get(part.name, len(place)))
    site = {part.name: number for number, part in enumerate(present.environments)} if present else {}
    environments = sorted(spec.environments, key=lambda part: site.get(part.name, len(site)))
    return spec.model_copy(update={"components": components, "environments": environments})


def _ordered(names: list[str], present: list[str]) -> list[str]:
    kept = [name for name in present if name in names]
    return [*kept, *(name for name in names if name not in kept)]


@contextmanager
def _placed(item: Item[Any], spec: ApplicationSpec | None = None) -> Iterator[None]:
    """Turn a refusal into a problem at the place of its field."""
    try:
        yield
    except Refused as error:
        loc: list[str | int] = [int(part) if part.isdecimal() else part for part in error.field.split(".") if part]
        if spec is not None and len(loc) > 1 and loc[0] == "components" and isinstance(loc[1], int):
            loc[1] = _position(item.node, spec.components[loc[1]].name)
        place = locate(item.node, item.path, loc)
        raise BadFile([Problem(place.line, place.column, place.path, error.detail)]) from None


@contextmanager
def _without_place(what: str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise BadFile([Problem(0, 0, what, error.detail)]) from None


def _position(node: Node, name: str) -> int:
    """Return the place in the file of the component that is called `name`."""
    entry = node.entries.get("components")
    if entry is None or not isinstance(entry.node, Sequence):
        return 0
    parts = [part.text("name") if isinstance(part, Node) else "" for part in entry.node.items]
    return parts.index(name) if name in parts else 0
