"""The difference between what is configured and what a file asks for: pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mainstay.config.document import AS_THEY_ARE, Document, Item, Key
from mainstay.config.present import State, Thing
from mainstay.config.problems import Problems
from mainstay.config.references import check_cycles, check_references, check_removals
from mainstay.config.resources import inside, resources
from mainstay.foundation.resource import Hidden, Resource, Written
from mainstay.foundation.secrets import MASK


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
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by kind, of all rows, where it changes

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
    asked = {item.key: item for item in wanted.items}
    # Of a section that cannot be read nothing is known to go, and what follows from that is not said as well.
    failed = wanted.failed | {key for key in state.things if key[0] in wanted.unread}
    there = asked.keys() | failed
    mine = [thing for thing in state.things.values() if thing.managed_by == managed_as]  # of a copy: nothing
    leaving = [thing for thing in mine if (thing.kind, thing.name) not in there]
    gone = dict(_gone(leaving, state))
    check_removals(state, there, gone, managed_as, problems)
    check_references(state, asked, gone.keys(), failed, problems)
    check_cycles(state, asked, gone.keys(), problems)
    moved: set[Key] = set()
    orders: dict[str, tuple[str, ...]] = {}
    for kind in (kind for kind, resource in resources().items() if resource.ordered):
        of_kind, order = _order(kind, state, wanted, gone.keys())
        moved |= {(kind, name) for name in of_kind}
        orders |= {kind: order} if order is not None else {}
    changes = [_change(item, state, managed_as, moved, problems) for item in asked.values()]
    removals = [
        Change(Verb.REMOVE, kind, name, note=f"with its {state.things[kind, name].resource.within}" if holder else "")
        for (kind, name), holder in gone.items()
    ]
    return Plan(managed_as, (*changes, *removals), orders)


def _gone(leaving: Iterable[Thing], state: State) -> Iterator[tuple[Key, str]]:
    """Yield what goes, and with which item: what the file no longer names, and what these hold."""
    named = {(thing.kind, thing.name) for thing in leaving}
    for thing in leaving:
        yield (thing.kind, thing.name), ""
        for resource in inside(thing.kind):
            for held in state.of(resource.kind):
                if held.name.startswith(f"{thing.name}/") and (held.kind, held.name) not in named:
                    yield (held.kind, held.name), thing.name


def _change(item: Item, state: State, managed_as: str, moved: AbstractSet[Key], problems: Problems) -> Change:
    kind, name = item.key
    document = item.resource.document(item.spec, name.rpartition("/")[0])
    thing = state.things.get(item.key)
    if thing is None:
        return Change(Verb.ADD, kind, name, differences(item.resource, {}, document))
    fields = differences(item.resource, thing.document, document)
    if item.key in moved:
        fields = (*fields, FieldChange("order", None, "moved"))
    is_copy = managed_as == AS_THEY_ARE
    if thing.managed_by not in {"", managed_as} and (fields or not is_copy):
        place = item.place("name")
        detail = (
            f"the {kind} {name} is managed by the file {thing.managed_by}; remove it from one of the two,"
            f" or apply this file as that one: managed_as: {thing.managed_by}"
        )
        problems.add(place.line, place.column, item.path, detail)
    note = "written anew, since what is stored cannot be read" if item.key in state.unreadable else ""
    return Change(Verb.CHANGE if fields else Verb.KEEP, kind, name, fields, not thing.managed_by and not is_copy, note)


def differences(resource: Resource[Any], before: Written, after: Written) -> tuple[FieldChange, ...]:
    """Return the fields in which two documents differ; a changed secret shows as a mask on both sides."""
    was, now = _flat(resource, before), _flat(resource, after)
    return tuple(
        FieldChange(path, masked(was.get(path)), masked(now.get(path)))
        for path in dict.fromkeys([*was, *now])
        if was.get(path) != now.get(path) or (path in was) != (path in now)
    )


def masked(value: Any) -> Any:
    """Return a document with the mask in place of each secret."""
    if isinstance(value, Hidden):
        return MASK
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def _flat(resource: Resource[Any], document: Written) -> dict[str, Any]:
    """Return a document as path → leaf. Parts go by their names: their order does not count; steps by number, too."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key in resource.steps:
            for number, one in enumerate(value):
                title = next(iter(one.values()), "")
                found |= {f"{key}[{number}:{title}].{name}": item for name, item in one.items()}
        elif key in resource.parts:
            for part in value:
                here = f"{key}[{part['name']}]"
                inner = {name: item for name, item in part.items() if name != "name"}
                found |= {f"{here}.{name}": item for name, item in inner.items()} if inner else {here: {}}
        elif key != "name":
            found |= _leaves(value, key)
    return found


def _leaves(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _leaves(item, f"{path}.{key}")
    return found


def _order(
    kind: str, state: State, wanted: Document, gone: AbstractSet[Key]
) -> tuple[frozenset[str], tuple[str, ...] | None]:
    """Return the file's items that move, and the order of all rows when it is to change.

    The file's take the places that they have among all now, in the file's order; new ones follow the last of these (or
    come at the end). What is not the file's keeps its order.
    """
    mine = list(dict.fromkeys(item.name for item in wanted.of(kind)))
    now = [thing.name for thing in state.of(kind) if (kind, thing.name) not in gone]
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
