"""OpenMetrics 1.0, a whole body at a time.

https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
As with Prometheus, samples are not held to the suffixes of their type, and names may stand in quotes. `_created` is a
series like any other.
"""

import re

from mainstay.observe.metrics.exposition.layout import Family, ParseError, ParseLimits
from mainstay.observe.metrics.exposition.lines import (
    METRIC_NAME,
    QUOTED,
    Body,
    name_of,
    openmetrics_grammar,
    shown,
    unescaped,
)
from mainstay.observe.metrics.exposition.numbers import seconds

TYPES = (
    "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown",
)  # fmt: skip
_COMMENT = re.compile(rf"# (HELP|TYPE|UNIT) ({METRIC_NAME}|{QUOTED})(?: (.*))?")
_GRAMMAR = openmetrics_grammar(seconds)


def read(text: str, limits: ParseLimits) -> tuple[Body, tuple[Family, ...]]:
    """Read a body that has no exemplars any more.

    Raises:
        ParseError: it is not in the format.
    """
    body = Body(_GRAMMAR, limits)
    said: dict[str, dict[str, str]] = {}
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines or lines[-1] != "# EOF":
        raise ParseError(max(1, len(lines)), "the body does not end with # EOF: has it been cut off?")
    lines.pop()
    with_samples: set[str] = set()
    for number, line in enumerate(lines, 1):
        if line[:1] != "#":
            if not line:
                raise ParseError(number, "an empty line: OpenMetrics has none, leave it out")
            with_samples.add(body.sample(number, line))
            continue
        found = _COMMENT.fullmatch(line)
        if found is None:
            raise ParseError(
                number,
                "# EOF before the end: leave out what follows"
                if line == "# EOF"
                else f"{shown(line)}: OpenMetrics knows only # HELP, # TYPE, # UNIT and # EOF, single blanks between",
            )
        keyword, name, rest = found[1], name_of(found[2]), found[3] or ""
        about = said.setdefault(name, {})
        if keyword in about:
            raise ParseError(number, f"a second {keyword} of {shown(name)}: leave one out")
        if name in with_samples:
            raise ParseError(number, f"{keyword} of {shown(name)} after its samples: put it before them")
        if len(name) > limits.name_length or len(rest) > limits.help_length:
            raise ParseError(number, f"a comment of {len(line)} characters: shorten it")
        if keyword == "TYPE" and rest not in TYPES:
            raise ParseError(number, f"{shown(rest)} is no type: write one of {', '.join(TYPES)}")
        if keyword == "UNIT" and rest and not name.endswith(f"_{rest}"):
            raise ParseError(number, f"{shown(name)} does not end with its unit {shown(rest)}: name it {name}_{rest}")
        about[keyword] = unescaped(rest) if keyword == "HELP" else rest
        if keyword == "TYPE":
            body.is_of_type(rest)
    families = (
        Family(name, about.get("TYPE", "unknown"), about.get("HELP", ""), about.get("UNIT", ""))
        for name, about in said.items()
    )
    return body, tuple(families)
