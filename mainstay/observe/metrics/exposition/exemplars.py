"""Exemplars, which stand behind samples and are left out: one that is not well-formed costs its sample nothing.

https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#exemplars
Some libraries write them into the text format, too, which has none.
"""

import re

from mainstay.observe.metrics.exposition.lines import LABEL_NAME, QUOTED
from mainstay.observe.metrics.exposition.numbers import NUMBER

_LINE_QUOTED = r'"(?:[^"\\\n]++|\\.)*+"'
_PAIR = rf"(?:{LABEL_NAME}|{_LINE_QUOTED})={_LINE_QUOTED}"
_WELL_FORMED = re.compile(rf"(?<=[0-9fFyYnN.]) # \{{(?:{_PAIR}(?:,{_PAIR})*+)?+\}} {NUMBER}(?: {NUMBER})?(?=\n)")
_MARKS_MOST = 2_000  # that are looked at one by one
_BEFORE = re.compile(rf'(?:[^" ]++|{QUOTED}| (?!#))*+')


def _stands_behind_a_blank(text: str) -> bool:
    """Tell whether ` #` is in a text. One letter is found many times faster than two, and few stand in a body."""
    at = -1
    for _ in range(_MARKS_MOST):
        at = text.find("#", at + 1)
        if at < 0:
            return False
        if at and text[at - 1] == " ":
            return True
    return " #" in text


def without_exemplars(text: str) -> str:
    """Leave out what stands behind samples, from ` #` on.

    Exemplars that are well-formed go in one pass: such a one ends its line, and a label's value cannot, so this never
    cuts into one. Lines that still hold ` #` are looked at one by one, and cut where it stands outside quotes. A HELP
    that ends like an exemplar loses that end.
    """
    if not _stands_behind_a_blank(text):
        return text
    if " # {" in text:
        text = _WELL_FORMED.sub("", text)
    at = text.find(" #")
    kept, done = [], 0
    while at >= 0:
        begin, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = end if end >= 0 else len(text)
        line = text[begin:end]
        whole = _BEFORE.match(line)
        if whole and line[whole.end() :].startswith(" #") and not line.lstrip(" \t").startswith("#"):
            kept += [text[done:begin], whole[0].rstrip(" ")]
            done = end
        at = text.find(" #", end)
    return "".join([*kept, text[done:]]) if kept else text
