"""Sets of HTTP statuses as people write them: 200, "2xx", "200-299", or a list of these."""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_RANGE = re.compile(r"(\d{3})\s*-\s*(\d{3})")
LOWEST, HIGHEST = 100, 599

Ranges = tuple[tuple[int, int], ...]


def parse_statuses(value: object) -> Ranges:
    """Inclusive ranges, in the order written. Raises ValueError for what is no set of statuses."""
    if isinstance(value, list | tuple):
        if value and all(isinstance(each, tuple) for each in value):
            return tuple(_range(low, high, value) for low, high in value)
        if not value:
            raise ValueError('the list of statuses is empty: give for example 200, "2xx" or "200-299"')
        return tuple(each for item in value for each in parse_statuses(item))
    if isinstance(value, int) and not isinstance(value, bool):
        return (_range(value, value, value),)
    if isinstance(value, str):
        text = value.strip()
        if "," in text:
            return parse_statuses(text.split(","))
        if by_class := _CLASS.fullmatch(text):
            return ((int(by_class[1]) * 100, int(by_class[1]) * 100 + 99),)
        if by_range := _RANGE.fullmatch(text):
            return (_range(int(by_range[1]), int(by_range[2]), value),)
        if text.isdecimal() and text.isascii() and len(text) == 3:
            return (_range(int(text), int(text), value),)
    raise ValueError(f'{value!r} is no set of statuses: give for example 200, "2xx", "200-299" or a list of these')


def _range(low: int, high: int, written: object) -> tuple[int, int]:
    if not (isinstance(low, int) and isinstance(high, int)) or not LOWEST <= low <= high <= HIGHEST:
        raise ValueError(
            f"{written!r} is no set of statuses: they lie between {LOWEST} and {HIGHEST}, the lower one first"
        )
    return (low, high)


def format_statuses(ranges: Ranges) -> int | str | list[int | str]:
    """As people write it: 200, "2xx", "200-204", or a list."""
    texts = [_text(low, high) for low, high in ranges]
    return texts[0] if len(texts) == 1 else texts


def _text(low: int, high: int) -> int | str:
    if low == high:
        return low
    return f"{low // 100}xx" if low % 100 == 0 and high == low + 99 else f"{low}-{high}"


_ITEM = {
    "anyOf": [
        {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
        {"type": "string", "examples": ["2xx", "200-299"]},
    ]
}
Statuses = Annotated[
    Ranges,
    BeforeValidator(parse_statuses),
    PlainSerializer(format_statuses),
    WithJsonSchema({"anyOf": [*_ITEM["anyOf"], {"type": "array", "items": _ITEM}]}),
]
