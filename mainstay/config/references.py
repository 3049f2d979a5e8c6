"""Whether the names that a file uses lead anywhere, and never in a circle: pure."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mainstay.config.canonical import Written
from mainstay.config.explain import Place
from mainstay.config.present import Key, State
from mainstay.config.problems import Problems
from mainstay.config.schema import Item
from mainstay.foundation.catalog.graph import find_cycle
from mainstay.respond.delivery.receivers import split


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that a file asks for."""

    kind: str
    item: Item[Any]
    document: Written


@dataclass(frozen=True, slots=True)
class _Use:
    place: Place
    kind: str
    name: str


def check_references(
    state: State, asked: Mapping[Key, Wanted], gone: AbstractSet[Key], failed: AbstractSet[Key], problems: Problems
) -> None:
    """Every name that a thing of the file uses must exist, in the file or already.

    Args:
        gone: what the file removes.
        failed: what is in the file but wrong; it exists, though what is in it is not known.
    """
    known: dict[str, set[str]] = {
        "person": set(state.people),
        "component": set(_components(state, asked, gone)),
        "environment": set(_environments(state, asked, gone)),
    }
    for kind, name in {*state.things, *asked, *failed} - gone:
        known.setdefault(kind, set()).add(name)
    unread = {name for kind, name in failed if kind == "application"}
    for one in asked.values():
        for use in _uses(one):
            names = known.get(use.kind, set())
            if use.name in names or use.name.partition("/")[0] in unread:
                continue
            near = get_close_matches(use.name, names, n=1, cutoff=0.7)
            mend = f"Did you mean {near[0]}?" if near else _mend(use)
            detail = f"no {use.kind} named {use.name} exists; {mend}"
            problems.add(use.place.line, use.place.column, use.place.path, detail)


def _mend(use: _Use) -> str:
    if use.kind == "person":
        return f"add them first: mainstay user create {use.name} --role support"
    return f"add it under {use.kind}s, or correct the name"


def _uses(one: Wanted) -> Iterator[_Use]:
    item, spec = one.item, one.item.spec
    match one.kind:
        case "team":
            for number, member in enumerate(spec.members):
                yield _Use(item.place("members", number), "person", member)
        case "application":
            if spec.owner is not None:
                yield _Use(item.place("owner"), "team", spec.owner)
            for number, component in enumerate(spec.components):
                for place, needed in enumerate(component.needs):
                    where = item.place("components", number, "needs", place)
                    yield _Use(where, "component", _full(needed, item.name))
        case "check":
            for number, needed in enumerate(spec.needs):
                yield _Use(item.place("needs", number), "check", _full(needed, item.name.rpartition("/")[0]))
        case "route":
            for key in ("notify", "fallback"):
                for number, receiver in enumerate(getattr(spec, key)):
                    kind, name = split(receiver)
                    yield _Use(item.place(key, number), kind or "channel", name)
        case "maintenance":
            if spec.application is not None:
                yield _Use(item.place("application"), "application", spec.application)
        case "scrape":
            if spec.application is not None:
                yield _Use(item.place("application"), "application", spec.application)
            if spec.environment is not None:
                yield _Use(item.place("environment"), "environment", f"{spec.application}/{spec.environment}")


def check_cycles(state: State, asked: Mapping[Key, Wanted], gone: AbstractSet[Key], problems: Problems) -> None:
    """What needs itself, by way of others, could never be said to be down."""
    checks: dict[str, list[str]] = {}
    for (kind, name), document in _future(state, asked, gone).items():
        if kind == "check":
            checks[name] = [_full(needed, name.rpartition("/")[0]) for needed in document.get("needs", ())]
    for kind, edges in (("component", _components(state, asked, gone)), ("check", checks)):
        cycle = find_cycle(edges)
        if cycle:
            place = next((found for node in cycle if (found := _place_of(kind, node, asked)) is not None), None)
            detail = f"the dependencies form a cycle: {' → '.join(cycle)}; remove one of them"
            line, column, path = (place.line, place.column, place.path) if place else (0, 0, "")
            problems.add(line, column, path, detail)


def _future(state: State, asked: Mapping[Key, Wanted], gone: AbstractSet[Key]) -> dict[Key, Written]:
    """Return the documents of all that will be there."""
    present = {key: thing.document for key, thing in state.things.items() if key not in gone}
    return present | {key: one.document for key, one in asked.items()}


def _components(state: State, asked: Mapping[Key, Wanted], gone: AbstractSet[Key]) -> dict[str, list[str]]:
    """Return every component that will be there → the components it needs, all as application/name."""
    found: dict[str, list[str]] = {}
    for (kind, application), document in _future(state, asked, gone).items():
        if kind == "application":
            for part in document.get("components", ()):
                found[f"{application}/{part['name']}"] = [_full(name, application) for name in part.get("needs", ())]
    return found


def _environments(state: State, asked: Mapping[Key, Wanted], gone: AbstractSet[Key]) -> Iterator[str]:
    """Yield every environment that will be there, as application/name."""
    for (kind, application), document in _future(state, asked, gone).items():
        if kind == "application":
            yield from (f"{application}/{part['name']}" for part in document.get("environments", ()))


def _full(name: str, application: str) -> str:
    return name if "/" in name else f"{application}/{name}"


def _place_of(kind: str, node: str, asked: Mapping[Key, Wanted]) -> Place | None:
    application, _, name = node.partition("/")
    one = asked.get(("check", node) if kind == "check" else ("application", application))
    if one is None:
        return None
    if kind == "check":
        return one.item.place("needs")
    names = [part.name for part in one.item.spec.components]
    return one.item.place("components", names.index(name), "needs") if name in names else None
