"""The present state as a file: what `mainstay export` prints."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.config.document import AS_THEY_ARE
from mainstay.config.plan import masked
from mainstay.config.present import State, Thing, managers, state
from mainstay.config.resources import at_the_top, inside
from mainstay.foundation.refusal import Refused
from mainstay.foundation.secrets import MASK
from mainstay.foundation.yaml.write import Block, dump


@dataclass(frozen=True, slots=True)
class Export:
    """A document, and what to know about it."""

    document: dict[str, Any]
    comments: tuple[str, ...]
    missing: tuple[str, ...]
    """What is not here, since it cannot be read, and why."""

    def text(self) -> str:
        """Return it as YAML."""
        heading = "".join(f"# {line}\n" for line in self.comments)
        return heading + dump(_escaped(Block(self.document)))


def export(now: datetime, *, managed_by: str | None = None) -> Export:
    """Return what is configured, secrets masked, in a stable order and without defaults.

    Args:
        now: single maintenance windows that have ended by then, and that no file manages, are left out.
        managed_by: only what the file of this name manages; "" for what people made by hand.

    Raises:
        Refused: no file of this name manages anything.
    """
    present = state()
    known = managers(present.things.values())
    if managed_by and managed_by not in known:
        there = f"known are {', '.join(known)}" if known else "no file manages anything"
        raise Refused(f"no file named {managed_by} manages anything here; {there}", "managed_by")
    asked = [thing for thing in present.things.values() if _exported(thing, now, managed_by)]
    things = [thing for thing in asked if (thing.kind, thing.name) not in present.unreadable]
    missing = tuple(
        f"the {thing.kind} {thing.name}: {present.unreadable[thing.kind, thing.name]}"
        for thing in asked
        if (thing.kind, thing.name) in present.unreadable
    )
    files = managers(things)
    several = len({thing.managed_by for thing in things}) > 1
    document: dict[str, Any] = {"managed_as": AS_THEY_ARE if several else files[0]} if files else {}
    for resource in at_the_top():
        document[resource.section] = [
            _block(thing, things) for thing in _in_order(thing for thing in things if thing.kind == resource.kind)
        ]
    # With nothing at all, one empty section keeps the file readable as one.
    kept = {name: value for name, value in document.items() if value != []} or {"applications": []}
    return Export(kept, tuple(_comments(files, present, missing, kept)), missing)


def _exported(thing: Thing, now: datetime, managed_by: str | None) -> bool:
    if managed_by is not None and thing.managed_by != managed_by:
        return False
    return bool(thing.managed_by) or thing.ends_at is None or thing.ends_at > now


def _block(thing: Thing, things: Iterable[Thing]) -> "Block":
    """Return a thing as it is written, with those that it holds."""
    shown = masked(thing.document)
    for resource in inside(thing.kind):
        held = [one for one in things if one.kind == resource.kind and one.name.startswith(f"{thing.name}/")]
        shown |= {resource.section: [_block(one, things) for one in _in_order(held)]} if held else {}
    return Block(shown)


def _in_order(things: Iterable[Thing]) -> list[Thing]:
    """Sort by name, in the program, since databases differ in how they sort; what is ordered keeps its order."""
    ordered = list(things)
    return ordered if ordered and ordered[0].resource.ordered else sorted(ordered, key=lambda thing: thing.name)


def _comments(files: list[str], present: State, missing: Iterable[str], document: dict[str, Any]) -> Iterable[str]:
    yield "The configuration of this Mainstay. Its reference is docs/config-file.md."
    yield "See what a change would do: mainstay plan FILE; do it: mainstay apply FILE"
    if MASK in str(document):
        yield f'"{MASK}" stands for a stored secret: applied to this Mainstay, it keeps that secret.'
        yield "To use the file elsewhere, put the secret in its place, or ${NAME} of an environment variable."
    if document.get("managed_as") == AS_THEY_ARE:
        yield f"Parts are managed by {', '.join(files)}. Applied, this file leaves each thing managed as it is and"
        yield "removes nothing. Export each on its own: mainstay export --managed-by NAME ('' for the rest)"
    for one in missing:
        yield f"NOT HERE: {one}"
    for kind, name in present.doubles:
        yield f"Not here, since an older one has the same name: the {kind} {name}"


def _escaped(value: Any) -> Any:
    """Double the dollars where reading would take them for a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$") if "${" in value or "$$" in value else value
    if isinstance(value, dict):
        return type(value)((key, _escaped(item)) for key, item in value.items())
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value
