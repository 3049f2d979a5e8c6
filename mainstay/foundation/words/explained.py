"""Errors of validation as plain sentences: what is wrong and how to mend it. Forms, API and files word them here.

A detail is written to follow a name and a colon (`every: must be at least 1s`); `sentence` makes it stand alone.
Nothing here repeats a value that was given, except where a validator of ours chose to.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from mainstay.foundation.words import names as words
from mainstay.foundation.words.durations import format_duration

REQUIRED = "This field is required."
MISSING = "is missing; add it"
LISTED_KEYS = 14
Path = tuple[str | int, ...]

_LIST, _MAPPING, _TEXT = "must be a list: [a, b]", "must be a mapping: {key: value}", "must be text"
_WHOLE, _NUMBER, _BOOL = "must be a whole number", "must be a number", "must be true or false"
_TIME = "must be a time such as 2026-08-01T22:00:00+02:00"
_UUID = "must be a UUID such as 123e4567-e89b-12d3-a456-426614174000"
_PLAIN = {
    "missing": MISSING,
    "list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST,
    "dict_type": _MAPPING, "model_type": _MAPPING, "model_attributes_type": _MAPPING, "mapping_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "string_type": _TEXT, "string_sub_type": _TEXT, "path_type": _TEXT,
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE, "int_parsing_size": "is too large a number",
    "float_type": _NUMBER, "float_parsing": _NUMBER, "finite_number": _NUMBER,
    "bool_type": _BOOL, "bool_parsing": _BOOL,
    "datetime_type": _TIME, "datetime_parsing": _TIME, "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME, "timezone_aware": f"{_TIME}: with an offset, or Z for UTC",
    "date_type": "must be a date such as 2026-08-01", "date_parsing": "must be a date such as 2026-08-01",
    "date_from_datetime_parsing": "must be a date such as 2026-08-01",
    "uuid_type": _UUID, "uuid_parsing": _UUID,
    "invalid_key": "must have text as keys", "none_required": "must be left out",
}  # fmt: skip
_PATTERNS = {
    words.NAME_PATTERN: "letters, digits, - and _ only",
    words.LINE_PATTERN: "must be one line of text, and not blank",
    words.ADDRESS_PATTERN: "must be an e-mail address such as ops@example.org",
    words.NO_NUL_PATTERN: "must not hold a NUL character",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_LENGTHS = {
    "string_too_short": ("min_length", "at least", "character"),
    "string_too_long": ("max_length", "at most", "character"),
    "too_short": ("min_length", "at least", "entry"),
    "too_long": ("max_length", "at most", "entry"),
}
# What a detail may begin with to get a capital. A closed list: any other first word may be somebody's identifier, and
# those keep their spelling.
_BEGINNING = re.compile(
    r"(a|add|an|another|at|cannot|choose|copy|day|days|each|either|every|fill|from|give|hour|hours|in|is|it|its|keys"
    r"|leave|letters|line|lines|list|loops|make|may|minute|month|more|must|name|needs|neither|no|nobody|none|not|nothing"
    r"|one|only|or|please|route|routes|say|silence|some|such|take|text|that|the|there|these|they|this|those|too|two|unknown|use|weekday|what"
    r"|when|which|with|without|write|you|your)(?=[ ,:]|$)"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One value that is wrong: its place in the document and what is wrong with it."""

    path: Path
    detail: str
    kind: str  # pydantic's name of it

    @property
    def missing(self) -> bool:
        """Whether a value must be given and is not."""
        return self.kind == "missing"


def faults(error: ValidationError, model: type[BaseModel], document: Any) -> list[Fault]:
    """Return what is wrong with `document`, one entry per place."""
    # The branches of a union each complain: one sentence tells all that would do.
    found: dict[Path, list[Fault]] = {}
    for one in error.errors(include_url=False, include_input=False):
        path, value = place(document, one["loc"], missing=one["type"] == "missing")
        found.setdefault(path, []).append(Fault(path, detail_of(one, model, value), one["type"]))
    return [
        Fault(path, ", or ".join(dict.fromkeys(each.detail for each in several)), several[0].kind)
        for path, several in found.items()
    ]


def place(document: Any, loc: Iterable[str | int], *, missing: bool = False) -> tuple[Path, Any]:
    """Return the path of an error, without what pydantic adds to it (names of union members), and what stands there."""
    found: list[str | int] = []
    node, parts = document, list(loc)
    for number, part in enumerate(parts):
        if _has(node, part):
            node = node[part]
        elif missing and number == len(parts) - 1:
            node = None
        else:
            continue
        found.append(part)
    return tuple(found), node


def _has(node: Any, part: str | int) -> bool:
    if isinstance(node, list | tuple):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, Mapping) and part in node


def detail_of(error: Mapping[str, Any], model: type[BaseModel] | None = None, written: object = None) -> str:
    """Return one of pydantic's errors in our words.

    Args:
        error: an item of `ValidationError.errors()`.
        model: what was validated; it tells durations from numbers and knows which keys there are.
        written: the value that is wrong, where it is no secret; only compared, never repeated.
    """
    kind, context, loc = str(error["type"]), error.get("ctx") or {}, tuple(error["loc"])
    if kind == "extra_forbidden":
        return unknown_key(str(loc[-1]), known_keys(model, loc[:-1]) if model is not None else ())
    if kind in {"string_type", "string_sub_type"} and isinstance(written, int | float):
        return f"{_TEXT}; put it in quotes"
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in {"literal_error", "enum"}:
        return _one_of(str(context.get("expected", "")), written)
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        if "https?" in pattern:
            return "must be a URL that begins with https:// or http:// and holds no blank"
        return _PATTERNS.get(pattern, f"must match the pattern {pattern}")
    if kind in _BOUNDS:
        name, word = _BOUNDS[kind]
        limit = context[name]
        is_time = model is not None and isinstance(limit, int | float) and _is_duration(model, loc)
        return f"must be {word} {format_duration(float(limit)) if is_time else limit}"
    if kind in _LENGTHS:
        name, word, unit = _LENGTHS[kind]
        return _length(word, context.get(name, 1), "character" if context.get("field_type") == "Value" else unit)
    if kind == "multiple_of":
        return f"must be a multiple of {context.get('multiple_of')}"
    if kind in {"value_error", "assertion_error"} and "error" in context:
        return str(context["error"])
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return re.sub(r"^(Input|String|Value|URL) should", "must", text)


def sentence(detail: str, at: str = "") -> str:
    """Return a detail as a sentence of its own, after the name of its place if given.

    Identifiers keep their spelling, also at the beginning.
    """
    detail = f"{at}: {detail}" if at else begun(detail)
    return detail if detail.endswith((".", "?", "!", "…")) else f"{detail}."


def begun(detail: str) -> str:
    """Return a detail with a capital, unless it may begin with an identifier."""
    return detail[0].upper() + detail[1:] if _BEGINNING.match(detail) else detail


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return what is said about a key that does not exist here."""
    names = list(known)
    near = get_close_matches(key, names, n=1, cutoff=0.6)
    if near:
        return f"is not known here. Did you mean {near[0]}?"
    if names and len(names) <= LISTED_KEYS:
        return f"is not known here; possible are {', '.join(names)}"
    return "is not known here; docs/config-file.md lists what is"


def known_keys(model: type[BaseModel], loc: Iterable[str | int]) -> list[str]:
    """Return the keys that `model` takes at `loc`."""
    return [name for branch in _at(model, tuple(loc)) for name in branch.get("properties", {})]


def _one_of(expected: str, written: object) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    near = get_close_matches(written, choices, n=1, cutoff=0.6) if isinstance(written, str) else []
    listed = " or ".join((", ".join(choices[:-1]), choices[-1])) if len(choices) > 1 else expected
    return f"must be {listed}" + (f". Did you mean {near[0]}?" if near else "")


def _length(word: str, number: int, unit: str) -> str:
    if number == 1 and word == "at least":
        return "must not be empty"
    plural = unit if number == 1 else f"{unit.removesuffix('y')}ies" if unit.endswith("y") else f"{unit}s"
    return f"must have {word} {number} {plural}"


# --- where a model says what it takes: its JSON schema ---------------------------------------------------------------


def _is_duration(model: type[BaseModel], loc: Path) -> bool:
    return any("800ms" in branch.get("examples", ()) for branch in _at(model, loc))


@lru_cache(maxsize=32)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _at(model: type[BaseModel], loc: Path) -> Sequence[dict[str, Any]]:
    schema = _schema(model)
    branches = list(_branches(schema, schema))
    for part in loc:
        inner = [below for branch in branches for below in _below(branch, part)]
        if inner:
            branches = [one for branch in inner for one in _branches(branch, schema)]
    return branches


def _branches(part: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in part:
        yield from _branches(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    elif "anyOf" in part:
        for one in part["anyOf"]:
            yield from _branches(one, schema)
    else:
        yield part


def _below(branch: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    if isinstance(part, int):
        found = branch.get("items")
    else:
        found = branch.get("properties", {}).get(part) or branch.get("additionalProperties")
    return [found] if isinstance(found, dict) else []
