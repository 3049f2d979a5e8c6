"""What applying a plan does, as steps: each makes one thing whole, in an order in which what it refers to is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from mainstay.config.document import AS_THEY_ARE, Document, Item
from mainstay.config.plan import Change, Plan, Verb
from mainstay.config.problems import BadFile
from mainstay.config.resources import resources
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import By, Named, Resource
from mainstay.foundation.yaml.problems import Problem

Step = Callable[[], None]


@dataclass(slots=True)
class Steps:
    """The steps of a plan. What other things refer to comes first; removals come last."""

    wanted: Document
    plan: Plan
    actor: Actor
    now: datetime
    unsettled: set[str] = field(default_factory=set)  # kinds of which something was put since the last piece

    def all(self) -> list[Step]:
        """Return them in order."""
        matters = {(change.kind, change.name) for change in self.plan.changes if change.matters}
        steps: list[Step] = []
        for resource in resources().values():
            items = {item.name: item for item in self.wanted.of(resource.kind) if item.key in matters}
            order = {name: place for place, name in enumerate(self.plan.orders.get(resource.kind, ()))}
            arranged = resource.arranged([Named(item.name, item.spec) for item in items.values()])
            steps += [partial(self._put, items[one.name], order.get(one.name)) for one in arranged]
            # Two may need each other's parts: only once all are there.
            steps += [partial(self._tie, item) for item in items.values() if resource.ties(item.spec)]
            steps += [partial(self._arrange, resource, list(order))] if order else []
        leaving = [change for change in self.plan.changes if change.verb is Verb.REMOVE]
        for resource in reversed(list(resources().values())):
            steps += [partial(self._remove, resource, change) for change in leaving if change.kind == resource.kind]
        return steps

    @property
    def by(self) -> By:
        """Who does it."""
        managed_as = self.plan.managed_as
        return By(self.actor, self.now, "" if managed_as == AS_THEY_ARE else managed_as)

    def settle(self) -> None:
        """End a piece: what holds only of several things together is looked at."""
        for kind in sorted(self.unsettled):
            with _without_place(resources()[kind].section):
                resources()[kind].settle()
        self.unsettled.clear()

    def _put(self, item: Item, position: int | None) -> None:
        with _placed(item):
            if item.resource.put(item.name, item.spec, self.by, position):
                self.unsettled.add(item.resource.kind)

    @staticmethod
    def _tie(item: Item) -> None:
        with _placed(item):
            item.resource.tie(item.name, item.spec)

    def _arrange(self, resource: Resource[Any], order: list[str]) -> None:
        resource.arrange(order, self.by)

    def _remove(self, resource: Resource[Any], change: Change) -> None:
        with _without_place(f"{change.kind} {change.name}"):
            resource.remove(change.name, self.by)


@contextmanager
def _placed(item: Item) -> Iterator[None]:
    """Turn a refusal into a problem at the place of its field."""
    try:
        yield
    except Refused as error:
        loc = [int(part) if part.isdecimal() else part for part in error.field.split(".") if part]
        place = item.place(*loc)
        raise BadFile([Problem(place.line, place.column, place.path, error.detail)]) from None


@contextmanager
def _without_place(what: str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise BadFile([Problem(0, 0, what, error.detail)]) from None
