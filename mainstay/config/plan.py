"""The difference between what is configured and what a file asks for: pure."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mainstay.config import canonical
from mainstay.config.canonical import Written
from mainstay.config.present import Key, State, Thing
from mainstay.config.problems import Problems
from mainstay.config.references import Wanted, check_cycles, check_references
from mainstay.config.schema import Document


class Verb(StrEnum):
    """What becomes of a thing."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: what it is and what it shall be, secrets masked. None: not there."""

    field: str
    before: Any
    after: Any

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"field": self.field, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one thing."""

    verb: Verb
    kind: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    adopted: bool = False  # it exists, and is managed by this file from now on
    note: str = ""

    @property
    def matters(self) -> bool:
        """Whether applying it does anything."""
        return self.verb is not Verb.KEEP or self.adopted

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        fields = [field.document() for field in self.fields]
        return {
            "verb": self.verb.value,
            "kind": self.kind,
            "name": self.name,
            "fields": fields,
            "adopted": self.adopted,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes, in the order in which they are shown; removals last."""

    managed_as: str
    changes: tuple[Change, ...]
    route_order: tuple[str, ...] | None  # of all routes, when theirs changes

    def counts(self) -> dict[str, int]:
        """Return how many of each verb, and how many are adopted."""
        found = Counter(change.verb.value for change in self.changes)
        adopted = sum(change.adopted for change in self.changes)
        return {**{verb.value: found[verb.value] for verb in Verb}, "adopt": adopted}

    @property
    def changes_nothing(self) -> bool:
        """Whether everything is as the file says already."""
        return not any(change.matters for change in self.changes)


def plan(state: State, wanted: Document, managed_as: str, problems: Problems) -> Plan:
    """Return what would change. What cannot be (another file's thing, an unknown name, a cycle) goes to `problems`."""
    asked = {(one.kind, one.item.name): one for one in _asked(wanted)}
    there = asked.keys() | wanted.failed
    leaving = [thing for key, thing in state.things.items() if thing.managed_by == managed_as and key not in there]
    gone = {(thing.kind, thing.name) for thing in leaving}
    removals = list(_removals(leaving, state, there, gone, problems))
    gone |= {(change.kind, change.name) for change in removals}
    check_references(state, asked, gone, wanted.failed, problems)
    check_cycles(state, asked, gone, problems)
    moved, order = _order(state, wanted, gone)
    changes = [_change(one, state, managed_as, moved, problems) for one in asked.values()]
    return Plan(managed_as, (*changes, *removals), order)


def _asked(wanted: Document) -> Iterable[Wanted]:
    for team in wanted.teams:
        yield Wanted("team", team, canonical.team(team.spec))
    for application in wanted.applications:
        yield Wanted("application", application, canonical.application(application.spec))
        for check in wanted.checks.get(application.name, ()):
            yield Wanted("check", check, canonical.check(check.spec, application.name))
    for channel in wanted.channels:
        yield Wanted("channel", channel, canonical.channel(channel.spec))
    for route in wanted.routes:
        yield Wanted("route", route, canonical.route(route.spec))
    for window in wanted.maintenance:
        yield Wanted("maintenance", window, canonical.maintenance(window.spec))
    for scrape in wanted.scrapes:
        yield Wanted("scrape", scrape, canonical.scrape(scrape.spec))
    for group in wanted.groups:
        yield Wanted("rules", group, canonical.rules(group.spec))


def _change(one: Wanted, state: State, managed_as: str, moved: frozenset[str], problems: Problems) -> Change:
    name = one.item.name
    thing = state.things.get((one.kind, name))
    if thing is None:
        return Change(Verb.ADD, one.kind, name, differences({}, one.document))
    if thing.managed_by not in {"", managed_as}:
        place = one.item.place("name")
        detail = (
            f"the {one.kind} {name} is managed by the file {thing.managed_by}; remove it from one of the two,"
            f" or apply this file as that one: managed_as: {thing.managed_by}"
        )
        problems.add(place.line, place.column, one.item.path, detail)
    fields = differences(thing.document, one.document)
    if one.kind == "route" and name in moved:
        fields = (*fields, FieldChange("order", None, "moved"))
    note = "written anew, since what is stored cannot be read" if (one.kind, name) in state.unreadable else ""
    return Change(Verb.CHANGE if fields else Verb.KEEP, one.kind, name, fields, not thing.managed_by, note)


def differences(before: Written, after: Written) -> tuple[FieldChange, ...]:
    """Return the fields in which two documents differ; a changed secret shows as a mask on both sides."""
    was, now = canonical.flat(before), canonical.flat(after)
    return tuple(
        FieldChange(path, canonical.masked(was.get(path)), canonical.masked(now.get(path)))
        for path in dict.fromkeys([*was, *now])
        if was.get(path) != now.get(path) or (path in was) != (path in now)
    )


def _removals(
    leaving: Iterable[Thing], state: State, asked: AbstractSet[Key], gone: AbstractSet[Key], problems: Problems
) -> Iterable[Change]:
    for thing in leaving:
        yield Change(Verb.REMOVE, thing.kind, thing.name)
        if thing.kind == "application":
            for check in state.of("check"):
                if check.name.startswith(f"{thing.name}/") and ("check", check.name) not in gone:
                    if check.managed_by:
                        detail = f"cannot be removed: its check {check.name} is managed by the file {check.managed_by}"
                        problems.add(0, 0, f"applications[{thing.name}]", detail)
                    yield Change(Verb.REMOVE, "check", check.name, note="with its application")
        if thing.kind == "team":
            kept = [
                name
                for name, owner in state.owners.items()
                if owner == thing.name and ("application", name) not in gone
            ]
            owned = [name for name in kept if ("application", name) not in asked]
            if owned:
                detail = f"cannot be removed: it still owns {', '.join(owned)}; give these another owner first"
                problems.add(0, 0, f"teams[{thing.name}]", detail)
        if thing.kind == "channel":
            users = [
                route.name
                for route in state.of("route")
                if ("route", route.name) not in gone | asked
                and thing.name in [*route.document.get("notify", ()), *route.document.get("fallback", ())]
            ]
            if users:
                detail = f"cannot be removed: the route {users[0]} notifies it; change that route first"
                problems.add(0, 0, f"channels[{thing.name}]", detail)


def _order(state: State, wanted: Document, gone: set[Key]) -> tuple[frozenset[str], tuple[str, ...] | None]:
    """Return the file's routes that move, and the order of all routes when it is to change.

    The file's routes take the places that they have among all routes now, in the file's order; new ones follow the
    last of these (or come at the end). Routes that are not the file's keep their order.
    """
    mine = list(dict.fromkeys(item.name for item in wanted.routes))
    now = [thing.name for thing in state.of("route") if ("route", thing.name) not in gone]
    places = [number for number, name in enumerate(now) if name in mine]
    order = list(now)
    for number, name in zip(places, mine, strict=False):
        order[number] = name
    after = places[-1] + 1 if places else len(order)
    order[after:after] = mine[len(places) :]
    old = [name for name in now if name in mine]
    kept = [name for name in order if name in old]
    moved = frozenset(name for name, other in zip(old, kept, strict=True) if name != other)
    return moved, tuple(order) if order != now else None
