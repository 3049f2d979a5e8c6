"""Pydantic's errors as sentences at the line and column of what they are about, with the nearest known key."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from mainstay.config.problems import Problems
from mainstay.config.read import Mapping as MappingNode
from mainstay.config.read import Node, Scalar, Sequence, step
from mainstay.foundation.durations import format_duration

LISTED_KEYS = 14
NAME_PATTERN = "^[a-zA-Z0-9_-]+$"
_UNIT = re.compile(r"\d(ms|s|m|h|d|w)\s*$")
_LIST_MESSAGE = "must be a list: [a, b], or lines that begin with -"
_MAPPING_MESSAGE = "must be a mapping: lines of key: value"
_TEXT_MESSAGE = "must be text; put it in quotes"
_MESSAGES = {
    "missing": "is missing; add it",
    "list_type": _LIST_MESSAGE,
    "tuple_type": _LIST_MESSAGE,
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


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
            detail = unknown_key(str(loc[-1]), known_keys(model, loc[:-1]))
        elif error["type"] == "missing":
            holder = locate(node, path, loc[:-1])
            place = Place(holder.line, holder.column, f"{holder.path}.{loc[-1]}" if holder.path else str(loc[-1]), None)
            detail = _MESSAGES["missing"]
        else:
            place = locate(node, path, loc)
            detail = _sentence(error, place.node)
        said.setdefault((place.line, place.column, place.path), []).append(detail)
    for (line, column, shown), details in said.items():
        # The branches of a union each complain: one sentence tells all that would do.
        problems.add(line, column, shown, ", or ".join(dict.fromkeys(details)))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the sentence about a key that does not exist here."""
    names = list(known)
    near = get_close_matches(key, names, n=1, cutoff=0.6)
    if near:
        return f"is not known here. Did you mean {near[0]}?"
    if names and len(names) <= LISTED_KEYS:
        return f"is not known here; possible are {', '.join(names)}"
    return "is not known here; docs/config-file.md lists what is"


@lru_cache(maxsize=32)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def known_keys(model: type[BaseModel], loc: Iterable[str | int]) -> list[str]:
    """Return the keys that `model` takes at `loc`."""
    schema = _schema(model)
    branches = _branches(schema, schema)
    for part in loc:
        inner = [below for branch in branches for below in _below(branch, part)]
        if inner:
            branches = [one for branch in inner for one in _branches(branch, schema)]
    return [name for branch in branches for name in branch.get("properties", {})]


def _branches(part: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in part:
        return _branches(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in part:
        return [branch for one in part["anyOf"] for branch in _branches(one, schema)]
    return [part]


def _below(branch: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    if isinstance(part, int):
        found = branch.get("items")
    else:
        found = branch.get("properties", {}).get(part) or branch.get("additionalProperties")
    return [found] if isinstance(found, dict) else []


def _sentence(error: Mapping[str, Any], node: Node | None) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind in {"string_type", "string_sub_type"}:
        return _TEXT_MESSAGE if isinstance(node, Scalar) and node.value is not None else "must be text"
    if kind in {"dict_type", "model_type", "model_attributes_type", "mapping_type", "dataclass_type"}:
        return _MAPPING_MESSAGE
    if kind == "literal_error":
        return _choice(str(context.get("expected", "")), node)
    if kind == "string_pattern_mismatch" and str(context.get("pattern")).endswith(NAME_PATTERN[1:]):
        return "may hold only letters, digits, - and _"
    if kind == "string_pattern_mismatch" and "https?" in str(context.get("pattern")):
        return "must be a URL that begins with https:// or http:// and holds no blank"
    if kind in {"greater_than_equal", "less_than_equal"}:
        limit = context.get("ge", context.get("le"))
        of_time = isinstance(node, Scalar) and _UNIT.search(node.text) and isinstance(limit, int | float)
        shown = format_duration(float(limit)) if of_time and limit is not None else f"{limit:g}"
        return f"must be {shown} or {'more' if 'ge' in context else 'less'}"
    if kind == "value_error" and "error" in context:
        return str(context["error"])
    message = str(error["msg"]).replace("Input should", "must").replace("String should", "must")
    return message[:1].lower() + message[1:]


def _choice(expected: str, node: Node | None) -> str:
    words = re.findall(r"'([^']*)'", expected)
    near = get_close_matches(node.text, words, n=1, cutoff=0.6) if isinstance(node, Scalar) else []
    return f"must be {' or '.join((', '.join(words[:-1]), words[-1])) if len(words) > 1 else expected}" + (
        f". Did you mean {near[0]}?" if near else ""
    )
