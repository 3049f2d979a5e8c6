"""The present state as a file: what `mainstay export` prints."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from mainstay.config.plan import masked
from mainstay.config.present import State, Thing, managers, state
from mainstay.config.read import INTEGER, REAL
from mainstay.config.resources import at_the_top, inside
from mainstay.foundation.secrets import MASK

WIDTH = 110
FLOW_CHARACTERS = 90  # a mapping that fits is written on one line


class Block(dict[str, Any]):
    """A mapping that is written on several lines, however short."""


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
        managed_by: only what the file of this name manages.
    """
    present = state()
    asked = [thing for thing in present.things.values() if _exported(thing, now, managed_by)]
    things = [thing for thing in asked if (thing.kind, thing.name) not in present.unreadable]
    missing = tuple(
        f"the {thing.kind} {thing.name}: {present.unreadable[thing.kind, thing.name]}"
        for thing in asked
        if (thing.kind, thing.name) in present.unreadable
    )
    files = managers(things)
    document: dict[str, Any] = {"managed_as": files[0]} if len(files) == 1 else {}
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
    if len(files) > 1:
        yield f"Parts are managed by {', '.join(files)}; this file cannot be applied while they are."
        yield "Export each on its own: mainstay export --managed-by NAME"
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


def dump(document: Any) -> str:
    """Return YAML that `read.read` reads back as the same data."""
    return yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=False,
    )


class _Dumper(yaml.SafeDumper):
    """Short mappings of single values on one line, and nothing left plain that our reader takes for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # PyYAML's
        super().increase_indent(flow, False)


def _mapping(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=_fits(data) or None)


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=_fits(data) or None)


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
    style = "|" if "\n" in data else None
    if any(end in data for end in "\x85\u2028\u2029"):  # line ends to YAML 1.1: only escapes keep them
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


def _fits(data: Any) -> bool:
    """Tell whether this is a short mapping or list of single values (or of one level of such)."""
    inner = list(data.values()) if isinstance(data, dict) else data
    if isinstance(data, Block) or (isinstance(data, list) and any(isinstance(item, dict) for item in data)):
        return False
    if len(str(data)) > FLOW_CHARACTERS or "\\n" in repr(data):
        return False
    return not any(isinstance(value, dict | list) and (len(value) > 3 or not _flat(value)) for value in inner)


def _flat(data: Any) -> bool:
    inner = data.values() if isinstance(data, dict) else data
    return not any(isinstance(value, dict | list) for value in inner)


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(Block, _mapping)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)
for _tag, _pattern in (("int", INTEGER), ("float", REAL)):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern.pattern})$"), list("-+.0123456789")
    )
