"""Text that a database can store. What comes from outside is cleaned once, where it comes in."""

import re
from typing import Any

LINK_MOST = 2_000
LONGEST_MESSAGE = 500
_LINK = re.compile(r"https?://[^\s<>\"\x00-\x20\x7f]+", re.IGNORECASE)
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


def is_web_link(url: object, limit: int = LINK_MOST) -> bool:
    """Tell whether `url` may be a link: http or https, no blanks or control characters, not too long."""
    return isinstance(url, str) and len(url) <= limit and _LINK.fullmatch(url) is not None


def named(text: str, most: int = 200) -> str:
    """Return text from outside as part of a message: on one line, cut."""
    flat = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def one_sentence(message: str) -> str:
    """The message on one line and of bounded length; peers' own words may be in it."""
    if not message:
        return ""
    flat = " ".join("".join(character if character.isprintable() else " " for character in message).split())
    return flat if len(flat) <= LONGEST_MESSAGE else f"{flat[: LONGEST_MESSAGE - 1]}…"
