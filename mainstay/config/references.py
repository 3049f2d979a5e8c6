"""Whether the names that a file uses lead anywhere, and never in a circle: pure."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from typing import Any

from mainstay.config.document import Item, Key
from mainstay.config.present import State
from mainstay.config.problems import Problems
from mainstay.foundation.graph import find_cycle
from mainstay.foundation.resource import Resource, Use


def check_references(
    state: State, asked: Mapping[Key, Item], gone: AbstractSet[Key], failed: AbstractSet[Key], problems: Problems
) -> None:
    """Every name that a thing of the file uses must exist, in the file or already.

    Args:
        gone: what the file removes.
        failed: what is in the file but wrong; it exists, though what is in it is not known.
    """
    known = {kind: set(names) for kind, names in state.known.items()}
    for kind, name in {*state.things, *asked, *failed} - gone:
        known.setdefault(kind, set()).add(name)
    for resource, name, spec in _future(state, asked, gone):
        for kind, part in resource.provides(name, spec):
            known.setdefault(kind, set()).add(part)
    unread = {name for _, name in failed}
    for item in asked.values():
        for use in item.resource.uses(item.name, item.spec):
            names = known.get(use.kind, set())
            if use.name not in names and use.name.partition("/")[0] not in unread:
                place = item.place(*use.loc)
                problems.add(place.line, place.column, place.path, _missing(use, names))


def _missing(use: Use, names: AbstractSet[str]) -> str:
    if use.of:
        others = sorted(name.removeprefix(f"{use.of}/") for name in names if name.startswith(f"{use.of}/"))
        there = f"it has {', '.join(others)}" if others else f"add it under {use.kind}s"
        return f"{use.of} has no {use.kind} named {use.name.removeprefix(f'{use.of}/')}; {there}"
    near = get_close_matches(use.name, names, n=1, cutoff=0.7)
    mend = use.mend or f"add it under {use.kind}s, or correct the name"
    return f"no {use.kind} named {use.name} exists; {f'Did you mean {near[0]}?' if near else mend}"


def check_removals(
    state: State, asked: AbstractSet[Key], gone: Mapping[Key, str], managed_as: str, problems: Problems
) -> None:
    """What stays must not refer to what goes, nor be another file's part of it.

    Args:
        gone: what goes, with the name of the item that takes it with it, or "".
    """
    users: dict[Key, list[str]] = {}
    for thing in state.things.values():
        if (thing.kind, thing.name) not in gone.keys() | asked and thing.spec is not None:
            for use in thing.resource.uses(thing.name, thing.spec):
                users.setdefault((use.kind, use.name), []).append(thing.name)
    for (kind, name), holder in gone.items():
        thing = state.things[kind, name]
        if holder and thing.managed_by not in {"", managed_as}:
            section = state.things[thing.resource.within, holder].resource.section
            detail = f"cannot be removed: its {kind} {name} is managed by the file {thing.managed_by}"
            problems.add(0, 0, f"{section}[{holder}]", detail)
        if (kind, name) in users and (why := thing.resource.in_use(sorted(set(users[kind, name])))):
            problems.add(0, 0, f"{thing.resource.section}[{name}]", f"cannot be removed: {why}")


def check_cycles(state: State, asked: Mapping[Key, Item], gone: AbstractSet[Key], problems: Problems) -> None:
    """What needs itself, by way of others, could never be said to be down."""
    graphs: dict[str, dict[str, list[str]]] = {}
    for resource, name, spec in _future(state, asked, gone):
        for edge in resource.edges(name, spec):
            graphs.setdefault(resource.kind, {})[edge.node] = list(edge.needs)
    for kind, edges in graphs.items():
        cycle = find_cycle(edges)
        if cycle:
            mine = [item for item in asked.values() if item.resource.kind == kind]
            detail = f"the dependencies form a cycle: {' → '.join(cycle)}; remove one of them"
            problems.add(*_place(cycle, mine), detail)


def _place(cycle: Iterable[str], items: Iterable[Item]) -> tuple[int, int, str]:
    """Return where the first of the circle's nodes stands that the file describes."""
    found = {edge.node: item.place(*edge.loc) for item in items for edge in item.resource.edges(item.name, item.spec)}
    place = next((found[node] for node in cycle if node in found), None)
    return (place.line, place.column, place.path) if place else (0, 0, "")


def _future(
    state: State, asked: Mapping[Key, Item], gone: AbstractSet[Key]
) -> Iterator[tuple[Resource[Any], str, Any]]:
    """Yield all that will be there, as far as it can be read."""
    for key, thing in state.things.items():
        spec = asked[key].spec if key in asked else thing.spec
        if key not in gone and spec is not None:
            yield thing.resource, thing.name, spec
    for item in asked.values():
        if item.key not in state.things:
            yield item.resource, item.name, item.spec
