"""Names of metrics and labels: any text, since Prometheus 3."""

import re

from mainstay.foundation.words.text import storable

_ESCAPED = re.compile(r"_(?:(_)|([0-9a-fA-F]{1,6})_)|([^_])")


def is_name(text: str) -> bool:
    """Tell whether a metric or a label can be called so."""
    return bool(text) and storable(text) == text


def unescaped_name(text: str) -> str:
    """Return the name that stands in a path of the HTTP API: `U__host_2e_name` is `host.name`.

    https://prometheus.io/docs/instrumenting/escaping_schemes/: behind `U__`, `__` is `_`, and `_2e_` the letter U+002E.
    What is not written so stands for itself.
    """
    if not text.startswith("U__"):
        return text
    letters: list[str] = []
    at = len("U__")
    while at < len(text):
        found = _ESCAPED.match(text, at)
        code = int(found[2], 16) if found and found[2] else 0
        if found is None or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            return text
        letters.append("_" if found[1] else chr(code) if found[2] else found[3])
        at = found.end()
    return "".join(letters)
