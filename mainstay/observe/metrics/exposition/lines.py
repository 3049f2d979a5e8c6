"""One line of samples, in either format, and what is wrong with it if it is none."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from mainstay.observe.metrics.exposition.layout import NAME, ParseError, ParseLimits
from mainstay.observe.metrics.exposition.numbers import number, written_as_float

METRIC_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
LABEL_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*+"
# Possessive throughout: a hostile line is refused in linear time.
QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_METRIC = re.compile(METRIC_NAME)
_INSIDE = rf'(?:[^"}}]++|{QUOTED})*+'
_TEXT_SAMPLE = re.compile(
    rf"[ \t]*+({METRIC_NAME})?+[ \t]*+(?:\{{({_INSIDE})\}}[ \t]*+)?(?<=[ \t}}])([^ \t]++)(?:[ \t]++([^ \t]++))?[ \t]*+"
)
_OPENMETRICS_SAMPLE = re.compile(rf"({METRIC_NAME})?+(?:\{{({_INSIDE})\}})? ([^ ]++)(?: ([^ ]++))?")
# A label, or a metric's name in quotes: that has no value.
_VALUE = r'"((?:[^"\\]++|\\.)*+)"'
_TEXT_PAIR = re.compile(rf"[ \t]*+({LABEL_NAME}|{QUOTED})[ \t]*+(?:=[ \t]*+{_VALUE}[ \t]*+)?+(,|$)")
_OPENMETRICS_PAIR = re.compile(rf"({LABEL_NAME}|{QUOTED})(?:={_VALUE})?+(,|$)")
NUMBER_LABELS = {"histogram": "le", "summary": "quantile"}  # by type; a gauge histogram's stays as it is
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
    number_label: str = ""  # the label whose values are numbers: of the TYPE that was read last
    spans: list[tuple[int, tuple[int, int], tuple[int, int]]] = field(default_factory=list)  # line, value, time

    def is_of_type(self, kind: str) -> None:
        """Take in a TYPE. Up to the next one, numbers in `le` of a histogram and `quantile` of a summary are written in
        one way, as Prometheus does since 3.0: `1` and `1.0` are the same bucket."""
        self.number_label = NUMBER_LABELS.get(kind, "")

    def sample(self, number_of_line: int, line: str) -> str:
        """Read a line of samples; return the name of its metric.

        Raises:
            ParseError: it is none, or over the limits.
        """
        found = self.grammar.sample.fullmatch(line)
        if found is None or line[-1] == "\r":
            raise ParseError(number_of_line, why_no_sample(line))
        name, inside, value, time = found.groups()
        if len(self.values) >= self.limits.samples:
            raise ParseError(number_of_line, f"more than {self.limits.samples} samples: drop some, or raise the limit")
        if inside is not None:
            labels = self._labels(number_of_line, name, inside)
            name = labels[NAME]
        elif name is not None:
            labels = {NAME: name}
        else:
            raise ParseError(number_of_line, why_no_sample(line))
        if len(name) > self.limits.name_length:
            raise ParseError(number_of_line, f"a metric's name of {len(name)} characters: shorten it")
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

    def _labels(self, number_of_line: int, name: str | None, inside: str) -> dict[str, str]:
        """Return the labels; `name` is that of the metric if it stands before the braces."""
        labels = {} if name is None else {NAME: name}
        match, limits, at, end = self.grammar.pair.match, self.limits, 0, len(inside)
        if self.grammar.blanks:
            end = len(inside.rstrip(" \t"))
        count = 0
        names = set()
        while at < end:
            found = match(inside, at)
            if found is None and inside[at] == " ":
                raise ParseError(number_of_line, f"{shown(inside[at:])}: blanks around labels, leave them out")
            if found is None:
                raise ParseError(number_of_line, why_no_label(inside[at:]))
            label, value, comma = found.groups()
            at = found.end()
            if comma and at >= end and not self.grammar.blanks:
                raise ParseError(number_of_line, "a comma after the last label: leave it out")
            if label[0] == '"':
                label = unescaped(label[1:-1])
                if not label:
                    raise ParseError(number_of_line, 'a name that is empty (""): write one, or leave it out')
                if value is None:
                    if NAME in labels:
                        raise ParseError(number_of_line, f"a second name of the metric, {shown(label)}: leave one out")
                    labels[NAME] = label
                    continue
            elif value is None:
                raise ParseError(number_of_line, why_no_label(inside[found.start() :]))
            if label in names or label == NAME:
                raise ParseError(number_of_line, f"label {shown(label)} twice: leave one out")
            names.add(label)
            count += 1
            if "\\" in value:
                value = unescaped(value)
            if label == self.number_label:
                value = written_as_float(value)
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
        if NAME not in labels:
            raise ParseError(
                number_of_line, f"{shown('{' + inside + '}')} names no metric: write its name before the braces"
            )
        return labels


def name_of(written: str) -> str:
    """Return the name that a comment gives, in quotes or not."""
    return unescaped(written[1:-1]) if written[0] == '"' else written


def unescaped(text: str) -> str:
    r"""Resolve `\\`, `\"` and `\n`. A backslash before anything else stands for itself, as Prometheus has it."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), text)


def shown(text: str) -> str:
    """Return a foreign text as it may stand in a message: quoted, on one line, not long."""
    return repr(text if len(text) <= 80 else text[:77] + "…")


def why_no_label(rest: str) -> str:
    """Say what is wrong with what stands where a label should."""
    if not re.match(rf"[ \t]*(?:{LABEL_NAME}|{QUOTED})", rest):
        return f"{shown(rest)} is no label: a name of letters, digits and _, or one in quotes, must stand here"
    if not re.match(rf'[ \t]*(?:{LABEL_NAME}|{QUOTED})[ \t]*=[ \t]*"', rest):
        return f'{shown(rest)} is no label: write name="value"'
    return f"{shown(rest)}: after a label's value a comma or }} must follow, and within it \\ and \" must be escaped"


def why_no_sample(line: str) -> str:
    """Say what is wrong with a line that is no sample."""
    if line.endswith("\r"):
        return "a carriage return: lines end with a line feed alone"
    rest = line.lstrip(" \t")
    found = _METRIC.match(rest)
    if found is None and rest[:1] != "{":
        return (
            f"{shown(line)} is no sample: it must begin with a metric's name, letters, digits, _ and : only, "
            'or with {"any other name"'
        )
    after = rest[found.end() if found else 0 :].lstrip(" \t")
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
