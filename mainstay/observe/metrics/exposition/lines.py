"""One line of samples, in either format, and what is wrong with it if it is none."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from mainstay.observe.metrics.exposition.layout import NAME, ParseError, ParseLimits
from mainstay.observe.metrics.exposition.numbers import number

METRIC_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
LABEL_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*+"
_METRIC = re.compile(METRIC_NAME)
# Possessive throughout: a hostile line is refused in linear time.
_INSIDE = r'(?:[^"}]++|"(?:[^"\\]++|\\.)*+")*+'
_TEXT_SAMPLE = re.compile(
    rf"[ \t]*+({METRIC_NAME})[ \t]*+(?:\{{({_INSIDE})\}}[ \t]*+)?(?<=[ \t}}])([^ \t]++)(?:[ \t]++([^ \t]++))?[ \t]*+"
)
_OPENMETRICS_SAMPLE = re.compile(rf"({METRIC_NAME})(?:\{{({_INSIDE})\}})? ([^ ]++)(?: ([^ ]++))?")
_TEXT_PAIR = re.compile(rf'[ \t]*+({LABEL_NAME})[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*+)"[ \t]*+(,|$)')
_OPENMETRICS_PAIR = re.compile(rf'({LABEL_NAME})="((?:[^"\\]++|\\.)*+)"(,|$)')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}


@dataclass(frozen=True, slots=True)
class Grammar:
    """What differs between the formats in a line of samples."""

    sample: re.Pattern[str]
    pair: re.Pattern[str]
    time: Callable[[str], int]
    time_is: str
    blanks: bool  # whether blanks may stand around labels, and a comma after the last


@dataclass(slots=True)
class Body:
    """What has been read of a body so far, and where in the lines the numbers stand."""

    grammar: Grammar
    limits: ParseLimits
    label_sets: list[dict[str, str]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)
    seen: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)  # label set to line
    spans: list[tuple[int, tuple[int, int], tuple[int, int]]] = field(default_factory=list)  # line, value, time

    def sample(self, number_of_line: int, line: str) -> str:
        """Read a line of samples; return the name of its metric.

        Raises:
            ParseError: it is none, or over the limits, or a series that was there before.
        """
        found = self.grammar.sample.fullmatch(line)
        if found is None or line[-1] == "\r":
            raise ParseError(number_of_line, why_no_sample(line))
        name, inside, value, time = found.groups()
        if len(self.values) >= self.limits.samples:
            raise ParseError(number_of_line, f"more than {self.limits.samples} samples: drop some, or raise the limit")
        labels = {NAME: name} if inside is None else self._labels(number_of_line, name, inside)
        if len(name) > self.limits.name_length:
            raise ParseError(number_of_line, f"a metric's name of {len(name)} characters: shorten it")
        key = tuple(sorted(labels.items()))
        if key in self.seen:
            raise ParseError(
                number_of_line,
                f"the same series as in line {self.seen[key]} ({shown(name + '{' + (inside or '') + '}')}): "
                "make their labels differ, or drop one",
            )
        self.seen[key] = number_of_line
        try:
            self.values.append(number(value))
        except ValueError:
            raise ParseError(
                number_of_line, f"{shown(value)} is no number: write a decimal number, +Inf, -Inf or NaN"
            ) from None
        try:
            self.times.append(None if time is None else self.grammar.time(time))
        except ValueError:
            raise ParseError(
                number_of_line, f"{shown(time)} is no timestamp: write unix {self.grammar.time_is} or nothing"
            ) from None
        self.label_sets.append(labels)
        self.spans.append((number_of_line, found.span(3), found.span(4)))
        return str(name)

    def _labels(self, number_of_line: int, name: str, inside: str) -> dict[str, str]:
        labels = {NAME: name}
        match, limits, at, end = self.grammar.pair.match, self.limits, 0, len(inside)
        if self.grammar.blanks:
            end = len(inside.rstrip(" \t"))
        count = 0
        names = set()
        while at < end:
            found = match(inside, at)
            if found is None:
                raise ParseError(number_of_line, why_no_label(inside[at:]))
            label, value, comma = found.groups()
            at = found.end()
            if comma and at >= end and not self.grammar.blanks:
                raise ParseError(number_of_line, "a comma after the last label: leave it out")
            if label in names or label == NAME:
                raise ParseError(number_of_line, f"label {shown(label)} twice: leave one out")
            names.add(label)
            count += 1
            if "\\" in value:
                value = unescaped(value)
            if len(label) > limits.name_length or len(value) > limits.value_length:
                raise ParseError(
                    number_of_line,
                    f"label {shown(label)} has {len(label)} characters in its name and {len(value)} in its value, "
                    f"more than {limits.name_length} and {limits.value_length}: shorten it, or raise the limit",
                )
            if value:  # an empty label is a label that is absent
                labels[label] = value
        if count > limits.labels:
            raise ParseError(
                number_of_line, f"{count} labels, more than {limits.labels}: drop some, or raise the limit"
            )
        return labels


def unescaped(text: str) -> str:
    r"""Resolve `\\`, `\"` and `\n`. A backslash before anything else stands for itself, as Prometheus has it."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), text)


def shown(text: str) -> str:
    """Return a foreign text as it may stand in a message: quoted, on one line, not long."""
    return repr(text if len(text) <= 80 else text[:77] + "…")


def why_no_label(rest: str) -> str:
    """Say what is wrong with what stands where a label should."""
    if not re.match(rf"[ \t]*{LABEL_NAME}", rest):
        return f"{shown(rest)} is no label: a name of letters, digits and _ must stand here"
    if not re.match(rf'[ \t]*{LABEL_NAME}[ \t]*=[ \t]*"', rest):
        return f'{shown(rest)} is no label: write name="value"'
    return f"{shown(rest)}: after a label's value a comma or }} must follow, and within it \\ and \" must be escaped"


def why_no_sample(line: str) -> str:
    """Say what is wrong with a line that is no sample."""
    if line.endswith("\r"):
        return "a carriage return: lines end with a line feed alone"
    rest = line.lstrip(" \t")
    found = _METRIC.match(rest)
    if found is None:
        return f"{shown(line)} is no sample: it must begin with a metric's name, letters, digits, _ and : only"
    after = rest[found.end() :].lstrip(" \t")
    if not after:
        return f"{shown(line)} has no value: has the body been cut off? Write one after a blank"
    if after[0] == "{":
        inside = re.match(rf"\{{{_INSIDE}", after)
        end = inside.end() if inside else 1
        if end >= len(after) or after[end] != "}":
            return f'{shown(line)}: the labels do not end: close quotes and brace, or escape \\, " and line feed'
        if not after[end + 1 :].strip(" \t"):
            return f"{shown(line)} has no value: has the body been cut off? Write one after a blank"
    return f'{shown(line)} is no sample: write name{{label="value"}} value, and a timestamp or nothing after it'


def text_grammar(time: Callable[[str], int]) -> Grammar:
    """Return the grammar of the text format 0.0.4."""
    return Grammar(_TEXT_SAMPLE, _TEXT_PAIR, time, "milliseconds", blanks=True)


def openmetrics_grammar(time: Callable[[str], int]) -> Grammar:
    """Return the grammar of OpenMetrics 1.0."""
    return Grammar(_OPENMETRICS_SAMPLE, _OPENMETRICS_PAIR, time, "seconds", blanks=False)
