"""A parser that belongs to a target and remembers what its last body looked like.

From scrape to scrape a target's series stay, and so do all letters of its body but the numbers. A body is cut at its
blanks, with each line feed at the beginning of a piece; if there are as many pieces as last time, and those that were
no numbers are the same, letter by letter, then only the numbers need to be read. Whatever is not so is read in full.
"""

import zlib
from dataclasses import dataclass
from functools import partial
from itertools import compress

import numpy as np

from mainstay.foundation.words.text import storable
from mainstay.observe.metrics.exposition import openmetrics, text
from mainstay.observe.metrics.exposition.exemplars import without_exemplars
from mainstay.observe.metrics.exposition.layout import (
    NO_TIME,
    Exposition,
    Format,
    LabelSet,
    Layout,
    ParseError,
    ParseLimits,
)
from mainstay.observe.metrics.exposition.lines import Body
from mainstay.observe.metrics.exposition.numbers import milliseconds, numbers, seconds

_READ = {Format.TEXT: text.read, Format.OPENMETRICS: openmetrics.read}


def format_of(content_type: str) -> Format:
    """Return the format that a Content-Type names. What is not OpenMetrics is the text format."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return Format.OPENMETRICS if kind == "application/openmetrics-text" else Format.TEXT


@dataclass(frozen=True, slots=True)
class _Shape:
    """A body without its numbers. The masks have a byte for each piece of the body, 1 where it counts."""

    layout: Layout
    fixed: str  # all pieces that are no numbers, joined by blanks
    is_fixed: bytes
    is_value: bytes
    is_time: bytes  # empty if no sample has a timestamp
    timed: np.ndarray[tuple[int], np.dtype[np.intp]] | None  # the samples with a timestamp


class Parser:
    """Reads the bodies of one target, in order. Not to be used by two threads at once."""

    def __init__(self, limits: ParseLimits | None = None) -> None:
        self._limits = limits or ParseLimits()
        self._shape: _Shape | None = None
        self._format: Format | None = None
        self._layout: Layout | None = None
        self.full = 0  # bodies that had to be read in full
        self.fast = 0  # bodies of which only the numbers were read

    def parse(self, body: bytes, form: Format = Format.TEXT, *, whole: bool = False) -> Exposition:
        """Read a body. The layout is the same object as last time if the series are the same.

        `whole` tells that nothing of it is missing for certain: its last line may lack the line feed then.

        Raises:
            ParseError: the body is not in the format, not UTF-8 or over the limits. Nothing of it counts.
        """
        if len(body) > self._limits.bytes:
            raise ParseError(1, f"a body of {len(body)} bytes, more than {self._limits.bytes}: raise the limit")
        try:
            read = body.decode()
        except UnicodeDecodeError as error:
            raise ParseError(
                body.count(b"\n", 0, error.start) + 1, f"byte {error.start} of the body is not UTF-8: encode it so"
            ) from None
        if "\0" in read:  # allowed in a label's value, and refused by databases
            read = storable(read)
        if whole and read and read[-1] != "\n":
            read += "\n"
        read = without_exemplars(read)
        if self._shape is not None and self._format is form:
            found = _only_numbers(read, self._shape, form)
            if found is not None:
                self.fast += 1
                return found
        return self._in_full(read, form)

    def _in_full(self, read: str, form: Format) -> Exposition:
        self.full += 1
        found, families = _READ[form](read, self._limits)
        packed = zlib.compress(read.encode(), 1)
        layout = Layout(found.label_sets, families, partial(_label_sets, packed, form, self._limits))
        before = self._layout
        if before is not None and before.digest == layout.digest and before.families == families:
            layout = before
        self._layout = layout
        self._shape, self._format = _shape(read, found, layout), form
        times = None
        if any(time is not None for time in found.times):
            times = np.array([NO_TIME if time is None else time for time in found.times], np.int64)
        return Exposition(layout, np.array(found.values, np.float64), times)


def _label_sets(packed: bytes, form: Format, limits: ParseLimits) -> list[LabelSet]:
    body, _ = _READ[form](zlib.decompress(packed).decode(), limits)
    return body.label_sets


def _pieces(read: str) -> list[str]:
    """Cut a body at its blanks. A line feed begins a piece, so the cut loses nothing: joined, it is the body again."""
    return read.replace("\n", " \n").split(" ")


def _only_numbers(read: str, shape: _Shape, form: Format) -> Exposition | None:
    """Read the numbers of a body that is like the last one; None if it is not, or if anything is odd about it."""
    pieces = _pieces(read)
    if len(pieces) != len(shape.is_fixed) or " ".join(compress(pieces, shape.is_fixed)) != shape.fixed:
        return None
    try:
        values = np.array(numbers(list(compress(pieces, shape.is_value))), np.float64)
        times = None
        if shape.timed is not None:
            of_text = seconds if form is Format.OPENMETRICS else milliseconds
            times = np.full(len(values), NO_TIME, np.int64)
            times[shape.timed] = list(map(of_text, compress(pieces, shape.is_time)))
    except ValueError:
        return None
    return Exposition(shape.layout, values, times)


def _shape(read: str, body: Body, layout: Layout) -> _Shape | None:
    """Remember where in a body its numbers stand; None if they do not stand between blanks."""
    pieces = _pieces(read)
    is_value, is_time = bytearray(len(pieces)), bytearray(len(pieces))
    lines = read.split("\n")
    begin = np.cumsum([0, *(line.count(" ") + 1 for line in lines)]).tolist()  # the piece with which each line begins
    timed = []
    for sample, (number, value, time) in enumerate(body.spans):
        line = lines[number - 1]
        for mask, (start, end) in ((is_value, value), (is_time, time)):
            if start < 0:
                continue
            if line[start - 1] != " " or line[end : end + 1] not in ("", " "):
                return None
            mask[begin[number - 1] + line.count(" ", 0, start)] = 1
        if time[0] >= 0:
            timed.append(sample)
    is_fixed = bytes(1 - value - time for value, time in zip(is_value, is_time, strict=True))
    return _Shape(
        layout,
        " ".join(compress(pieces, is_fixed)),
        is_fixed,
        bytes(is_value),
        bytes(is_time) if timed else b"",
        np.array(timed, np.intp) if timed else None,
    )
