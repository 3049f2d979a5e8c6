"""What a parser finds: the series of an exposition apart from their numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

LabelSet = dict[str, str]
NAME = "__name__"
NO_TIME = np.iinfo(np.int64).min  # of a sample without a timestamp of its own, where others of the body have one


class ParseError(ValueError):
    """The body is not what it claims to be. `line` counts from 1; the text says what is wrong and how to mend it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


class Format(StrEnum):
    """The two languages."""

    TEXT = "text/plain; version=0.0.4"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What one body may hold at most. What is beyond is refused as a whole."""

    samples: int = 200_000
    bytes: int = 64 << 20
    labels: int = 64  # of one series, the name not counted
    name_length: int = 512  # of a metric or a label
    value_length: int = 4_096  # of a label, in characters
    help_length: int = 8_192


@dataclass(frozen=True, slots=True)
class Family:
    """What the comments say of a metric. A text that is missing is empty; `type` is "unknown" then."""

    name: str
    type: str = "unknown"
    help: str = ""
    unit: str = ""


class Layout:
    """The series of a body, in its order, and the families they belong to.

    While a target's series do not change, its parser returns the same `Layout` object: compare with `is`. A parser
    keeps its layout for as long as the target lives, so the label sets are not kept: asked for again, they are read
    again.
    """

    __slots__ = ("_again", "_count", "_fresh", "digest", "families")

    def __init__(
        self, label_sets: list[LabelSet], families: tuple[Family, ...], again: Callable[[], list[LabelSet]]
    ) -> None:
        self.families = families
        self.digest = blake2b(repr(label_sets).encode("utf-8", "surrogatepass")).digest()
        self._count = len(label_sets)
        self._fresh: list[LabelSet] | None = label_sets
        self._again = again

    def __len__(self) -> int:
        return self._count

    def label_sets(self) -> list[LabelSet]:
        """Return the label sets, each with its `__name__`; labels with empty values are left out."""
        fresh, self._fresh = self._fresh, None
        return self._again() if fresh is None else fresh


@dataclass(frozen=True, slots=True, eq=False)
class Exposition:
    """One body: `values[n]` is the sample of `layout.label_sets()[n]`."""

    layout: Layout
    values: NDArray[np.float64]
    times: NDArray[np.int64] | None  # unix milliseconds or NO_TIME; None if no sample has a timestamp of its own
