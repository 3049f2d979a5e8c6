"""The Prometheus text format 0.0.4, a whole body at a time.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
Names in quotes are those of version 1.0.0. Whether a last line without a line feed is whole, the parser cannot know:
who knows that the body is complete puts one there.
"""

import re

from mainstay.observe.metrics.exposition.layout import Family, ParseError, ParseLimits
from mainstay.observe.metrics.exposition.lines import METRIC_NAME, QUOTED, Body, name_of, shown, text_grammar, unescaped
from mainstay.observe.metrics.exposition.numbers import milliseconds

TYPES = {
    "counter": "counter", "gauge": "gauge", "histogram": "histogram", "summary": "summary", "untyped": "unknown",
    "unknown": "unknown",
}  # fmt: skip
_COMMENT = re.compile(rf"[ \t]*#[ \t]*(HELP|TYPE)[ \t]++({METRIC_NAME}|{QUOTED})(?:[ \t]++(.*))?")
_KEYWORD = re.compile(r"[ \t]*#[ \t]*(HELP|TYPE)(?![^ \t])")
_GRAMMAR = text_grammar(milliseconds)


def read(text: str, limits: ParseLimits) -> tuple[Body, tuple[Family, ...]]:
    """Read a body.

    Raises:
        ParseError: it is not in the format.
    """
    body = Body(_GRAMMAR, limits)
    types: dict[str, str] = {}
    helps: dict[str, str] = {}
    lines = text.split("\n")
    if lines.pop():
        raise ParseError(len(lines) + 1, "the last line is open: has the body been cut off? End it with a line feed")
    for number, line in enumerate(lines, 1):
        stripped = line.lstrip(" \t")
        if not stripped:
            continue
        if stripped[0] != "#":
            body.sample(number, line)
            continue
        if line[-1] == "\r":
            raise ParseError(number, "a carriage return: lines end with a line feed alone")
        found = _COMMENT.fullmatch(line)
        if found is None:
            if _KEYWORD.match(line):
                raise ParseError(number, f"{shown(line)}: after HELP and TYPE a metric's name must follow")
            continue
        keyword, name, rest = found[1], name_of(found[2]), found[3] or ""
        if len(name) > limits.name_length or len(rest) > limits.help_length:
            raise ParseError(number, f"a comment of {len(line)} characters: shorten it")
        if keyword == "HELP":
            helps[name] = unescaped(rest)
        elif (kind := TYPES.get(rest.strip(" \t"))) is not None:
            types[name] = kind
            body.is_of_type(kind)
        else:
            raise ParseError(number, f"{shown(rest)} is no type: write one of {', '.join(sorted(TYPES))}")
    names = dict.fromkeys([*types, *helps])
    return body, tuple(Family(name, types.get(name, "unknown"), helps.get(name, "")) for name in names)
