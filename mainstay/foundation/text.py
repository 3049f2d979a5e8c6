"""Text that a database can store. What comes from outside is cleaned once, where it comes in."""

import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` with U+FFFD in place of NUL and halves of surrogate pairs, which databases refuse."""
    return _UNSTORABLE.sub("\ufffd", text) if text else text


def storable_json(value: Any) -> Any:
    """Return a JSON value in which every text is storable, names of members included."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): storable_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(item) for item in value]
    return value
