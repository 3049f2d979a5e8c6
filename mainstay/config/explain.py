"""Pydantic's errors as sentences at the line and column of what they are about, with the nearest known key."""

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mainstay.config.problems import Problems
from mainstay.config.read import step
from mainstay.foundation.words.explained import MISSING, detail_of
from mainstay.foundation.yaml.nodes import Mapping as MappingNode
from mainstay.foundation.yaml.nodes import Node, Scalar, Sequence


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, and how people find it."""

    line: int
    column: int
    path: str
    node: Node | None  # None: the key is not there


def locate(node: Node, path: str, loc: Iterable[str | int]) -> Place:
    """Return the place of `loc` below `node`; parts that name no key (pydantic's names of types) are passed over."""
    place = Place(node.line, node.column, path, node)
    parts = list(loc)
    for number, part in enumerate(parts):
        here = place.node
        if isinstance(here, MappingNode) and isinstance(part, str) and part in here.entries:
            entry = here.entries[part]
            only_key = parts[number + 1 :] == ["[key]"]
            line, column = (entry.line, entry.column) if only_key else (entry.node.line, entry.node.column)
            place = Place(line, column, step(place.path, here, part), entry.node)
        elif isinstance(here, Sequence) and isinstance(part, int) and part < len(here.items):
            item = here.items[part]
            place = Place(item.line, item.column, step(place.path, here, part), item)
    return place


def key_place(node: MappingNode, path: str, key: str) -> Place:
    """Return the place of a key itself."""
    entry = node.entries[key]
    return Place(entry.line, entry.column, step(path, node, key), entry.node)


def explain(
    errors: Items[Mapping[str, Any]], model: type[BaseModel], node: Node, path: str, problems: Problems
) -> None:
    """Add pydantic's `errors` about the data of `node`, read as `model`, to `problems`.

    `errors` are to be those of `ValidationError.errors(include_input=False)`: a message never repeats a value that
    may be a secret.
    """
    said: dict[tuple[int, int, str], list[str]] = {}
    for error in errors:
        loc = tuple(error["loc"])
        if error["type"] == "extra_forbidden":
            holder = locate(node, path, loc[:-1])
            if isinstance(holder.node, MappingNode) and str(loc[-1]) in holder.node.entries:
                place = key_place(holder.node, holder.path, str(loc[-1]))
            else:
                place = holder
            detail = detail_of(error, model)
        elif error["type"] == "missing":
            holder = locate(node, path, loc[:-1])
            place = Place(holder.line, holder.column, f"{holder.path}.{loc[-1]}" if holder.path else str(loc[-1]), None)
            detail = MISSING
        else:
            place = locate(node, path, loc)
            detail = detail_of(error, model, place.node.value if isinstance(place.node, Scalar) else None)
        said.setdefault((place.line, place.column, place.path), []).append(detail)
    for (line, column, shown), details in said.items():
        # The branches of a union each complain: one sentence tells all that would do.
        problems.add(line, column, shown, ", or ".join(dict.fromkeys(details)))
