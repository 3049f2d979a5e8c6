"""The notation of promtool's unit tests for series: `up{job="a"}` and `1 2 _ stale 5+1x10`.

A value stands for one sample, an interval after the one before. `a+bxn` is a, a+b, … (n+1 samples), `axn` is a, n+1
times; `_` is no sample, `_xn` n of them; `stale` marks the end of the series.
"""

import re
from dataclasses import dataclass

from mainstay.observe.metrics.promql.plan import NAME
from mainstay.observe.metrics.promql.series import STALE

MOST_SAMPLES = 1_000_000  # of one series
_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*")
_TEXT = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)"""
_LABEL = re.compile(rf"""\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)(?=\s*=)|({_TEXT}))\s*(?:=\s*({_TEXT})\s*)?""")
# No hexadecimal numbers: 0x8 is a zero, nine times.
_NUMBER = r"(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF]|[nN][aA][nN])"
_VALUE = re.compile(rf"(?P<first>[+-]?{_NUMBER}|stale)(?:(?P<step>[+-]{_NUMBER}))?(?:x(?P<times>[0-9]+))?")
_BLANK = re.compile(r"_(?:x(?P<times>[0-9]+))?")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class BadSeries(ValueError):
    """A series or its values are not written as they must be."""


@dataclass(frozen=True, slots=True)
class InputSeries:
    """A series and its samples, one an interval; None where there is no sample."""

    labels: dict[str, str]
    values: tuple[float | None, ...]


def labels_of(text: str) -> dict[str, str]:
    """Read a series: a name, labels in braces, or both.

    Raises:
        BadSeries.
    """
    found = _NAME.match(text)
    name, place = (found[1] or "", found.end()) if found else ("", 0)
    labels = {NAME: name} if name else {}
    if place == len(text):
        if not name:
            raise BadSeries('the series is empty; write it as name{label="value"}')
        return labels
    if text[place] != "{" or not text.rstrip().endswith("}"):
        raise BadSeries(f'{text!r} is not a series; write it as name{{label="value"}}')
    place, end = place + 1, len(text.rstrip()) - 1
    while text[place:end].strip():
        label = _LABEL.match(text, place, end)
        if label is None:
            raise BadSeries(f'{text[place:end].strip()!r} is not a label; write label="value"')
        key, value = label[1] or unquoted(label[2]), label[3]
        if value is None:  # a name of the metric that is in quotes
            key, value = NAME, label[2]
        if key in labels:
            raise BadSeries(f"the label {key} is given twice")
        labels[key] = unquoted(value)
        place = label.end()
        if place < end:
            if text[place] != ",":
                raise BadSeries(f"a comma is missing before {text[place:end].strip()!r}")
            place += 1
    return {key: value for key, value in labels.items() if value}


def unquoted(text: str) -> str:
    """Return what a quoted text means in PromQL."""
    inside = text[1:-1]
    if text[0] == "`" or "\\" not in inside:
        return inside
    return _ESCAPE.sub(_unescaped, inside)


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if escape[0] in "xuU" and len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape.isdigit() and len(escape) == 3:
        return chr(int(escape, 8))
    if escape in _SIMPLE:
        return _SIMPLE[escape]
    if escape in {"\\", "'", '"'}:
        return escape
    raise BadSeries(f"\\{escape} is no escape; write \\\\ for \\")


def values_of(text: str) -> tuple[float | None, ...]:
    """Read the values of a series.

    Raises:
        BadSeries.
    """
    values: list[float | None] = []
    if "{{" in text:
        raise BadSeries("native histograms are not supported")
    for word in text.split():
        values += _expanded(word, MOST_SAMPLES - len(values))
    return tuple(values)


def _expanded(word: str, most: int) -> list[float | None]:
    blank = _BLANK.fullmatch(word)
    found = None if blank else _VALUE.fullmatch(word)
    if blank is None and found is None:
        raise BadSeries(f"{word!r} is no value; write 1, -2.5, 1+2x10, 5x3, _, _x4 or stale")
    times = int((blank or found)["times"] or 0)  # type: ignore[index]  # one of the two is a match
    if times >= most:
        raise BadSeries(f"{word} makes more than {MOST_SAMPLES} samples")
    if blank is not None:
        return [None] * (times if blank["times"] else 1)
    assert found is not None
    if found["step"] and not found["times"]:
        raise BadSeries(f"{word!r} does not say how often; write {word}x10")
    value = STALE if found["first"] == "stale" else float(found["first"])
    values: list[float | None] = [value]
    step = float(found["step"]) if found["step"] else 0.0
    for _ in range(times):
        value = value + step if found["step"] else value  # added again and again, as promtool does: the last bits count
        values.append(value)
    return values
