"""Paths into JSON documents: `status`, `data[0].id`, `[0].name`, `items[*].ok`, `["key.with.dots"]`.

One implementation for the `json` expectations and for `[BODY]` in conditions.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

_LONG_NUMBER = re.compile(rb"\d{19}")
_LONGEST_EXACT = 400
_STEP = re.compile(
    r"""
    \[ (?: (?P<index>\d{1,9}) | (?P<every>\*) | "(?P<quoted>[^"]*)" | '(?P<single>[^']*)' ) \]
    | (?P<key>[^.\[\]]+)
    """,
    re.VERBOSE,
)


class PathError(ValueError):
    """The path is not well formed."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""What a path leads to when the document has nothing there."""


@dataclass(frozen=True, slots=True)
class _Every:
    """`[*]`: every element of an array."""


Step = str | int | _Every


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path. The empty path is the whole document."""

    text: str
    steps: tuple[Step, ...]

    @property
    def many(self) -> bool:
        """Whether the path has a `[*]` and so may lead to several values."""
        return any(isinstance(step, _Every) for step in self.steps)

    def one(self, document: object) -> object:
        """The value at the path, or MISSING. Of a path with `[*]` the first one."""
        return next(iter(self.all(document)), MISSING)

    def all(self, document: object) -> Iterator[object]:
        """Every value at the path; a plain path gives one value, MISSING included."""
        values: list[object] = [document]
        for step in self.steps:
            if isinstance(step, _Every):
                values = [element for value in values if isinstance(value, list) for element in value]
            else:
                values = [_step_into(value, step) for value in values]
        return iter(values)


def parse_path(text: str) -> Path:
    """Raises PathError with the place of the first character that doesn't fit."""
    steps: list[Step] = []
    position = 0
    stripped = text.strip()
    while position < len(stripped):
        if stripped[position] == "." and position:
            position += 1
        elif position and stripped[position] != "[":
            raise PathError(f"the path {text!r} has an unexpected {stripped[position]!r} at position {position + 1}")
        found = _STEP.match(stripped, position)
        if found is None:
            raise PathError(
                f"the path {text!r} is not well formed at position {position + 1}: write for example data[0].id"
            )
        position = found.end()
        if found["index"] is not None:
            steps.append(int(found["index"]))
        elif found["every"] is not None:
            steps.append(_Every())
        else:
            steps.append(next(part for part in (found["key"], found["quoted"], found["single"]) if part is not None))
    return Path(stripped, tuple(steps))


def parse_json(body: bytes) -> object:
    """The document, or MISSING when the body is not JSON.

    orjson refuses nesting beyond 1,024 levels instead of exhausting the stack.
    """
    try:
        document = orjson.loads(body)
        # orjson reads whole numbers beyond 64 bits as floats.
        return json.loads(body, parse_int=_whole) if _LONG_NUMBER.search(body) else document
    except ValueError:
        return MISSING


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_EXACT else float(digits)


def as_text(value: object) -> str:
    """A JSON value as people compare it: strings bare, `true`/`false`/`null`, whole numbers without `.0`,
    arrays and objects as minified JSON with sorted keys."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _step_into(value: object, step: str | int) -> object:
    if isinstance(value, dict):
        return value.get(step if isinstance(step, str) else str(step), MISSING)
    if isinstance(value, list):
        index = int(step) if isinstance(step, str) and step.isdecimal() and step.isascii() and len(step) < 10 else step
        if isinstance(index, int) and index < len(value):
            return value[index]
    return MISSING
