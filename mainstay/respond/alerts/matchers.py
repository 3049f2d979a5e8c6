"""Labels as people type them: `application=shop, check="a, b"`. Pure."""

import re
from collections.abc import Mapping

from mainstay.foundation.refusal import Refused

_PAIR = re.compile(r"""\s*([A-Za-z0-9_-]{1,100})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,"\n]*[^,"\s]))\s*(?:,|\n|$)""")
_PLAIN = re.compile(r'[^,"\s=~](?:[^,"\n]*[^,"\s])?')
MOST = 20


def read(text: str, field: str = "matchers") -> dict[str, str]:
    """Return the labels in `text`, separated by commas or lines.

    Raises:
        Refused: something in it is no `name=value`.
    """
    found: dict[str, str] = {}
    place, text = 0, text.strip()
    while place < len(text):
        pair = _PAIR.match(text, place)
        if pair is None:
            rest = text[place : place + 40].strip()
            raise Refused(
                f"{rest!r} is not name=value. Separate several by commas; quote a value that holds one", field
            )
        name, quoted, plain = pair.groups()
        if plain and plain[0] in "=~":  # a silence that somebody wrote as =~ elsewhere would match nothing here
            raise Refused(
                f"{name} is compared with a value as it is, not by a pattern: write {name}=value,"
                f" and quote a value that begins with {plain[0]}",
                field,
            )
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        if found.setdefault(name, value) != value:
            raise Refused(f"{name} is given twice with different values, so nothing could match", field)
        place = pair.end()
    if len(found) > MOST:
        raise Refused(f"at most {MOST} labels", field)
    return found


def write(labels: Mapping[str, str]) -> str:
    """Return labels as `read` takes them."""
    return ", ".join(f"{name}={_quoted(value)}" for name, value in labels.items())


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
