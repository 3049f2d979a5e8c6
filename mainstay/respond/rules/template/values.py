"""The values that templates work with, as Go has them: nil, bool, int, float64, string, maps, samples and lists.

Python's own types stand for Go's: None, bool, int, float, str, dict. Where Go's type decides what is printed or what a
missing key is worth, there is a type of its own here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mainstay.respond.rules.template.problem import RenderProblem


class StringMap(dict[str, str]):
    """`map[string]string`: a missing key is the empty text."""


class AnyMap(dict[str, "Value"]):
    """`map[string]interface{}`: a missing key is nil."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of what a query gives."""

    labels: StringMap
    value: float


class Samples(list[Sample]):
    """What a query gives."""


@dataclass(frozen=True, slots=True)
class Moment:
    """`*time.Time`, in UTC, to the millisecond."""

    at_ms: int

    @property
    def time(self) -> datetime:
        """The time as Python has it."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.at_ms)

    def __str__(self) -> str:
        fraction = f".{self.at_ms % 1000:03d}".rstrip("0") if self.at_ms % 1000 else ""
        try:
            return f"{self.time:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
        except OverflowError:
            raise RenderProblem("the time lies outside the years 1 to 9999") from None


@dataclass(frozen=True, slots=True)
class Duration:
    """`*time.Duration`, in nanoseconds."""

    ns: int

    def __str__(self) -> str:
        """Write it as Go does: 1h0m0s, 1.5s, 20ms, 3µs."""
        left = abs(self.ns)
        sign = "-" if self.ns < 0 else ""
        if not left:
            return "0s"
        if left < 1_000_000_000:
            size, unit = next(each for each in ((1_000_000, "ms"), (1_000, "µs"), (1, "ns")) if left >= each[0])
            return f"{sign}{_decimal(left, size)}{unit}"
        minutes, seconds = divmod(left, 60_000_000_000)
        hours, minutes = divmod(minutes, 60)
        before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{before}{_decimal(seconds, 1_000_000_000)}s"


def _decimal(number: int, size: int) -> str:
    whole, rest = divmod(number, size)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1).rstrip('0')}" if rest else str(whole)


@dataclass(frozen=True, slots=True)
class Data:
    """What the dot is outside all blocks."""

    labels: StringMap
    external_labels: StringMap
    external_url: str
    value: float


Scalar = None | bool | int | float | str
Value = Scalar | StringMap | AnyMap | Sample | Samples | Moment | Duration | Data | list["Value"]


def kind(value: Value) -> str:
    """Return the name of a value's type, as Go has it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case StringMap():
            return "map[string]string"
        case Sample():
            return "*template.sample"
        case Samples():
            return "template.queryResult"
        case Moment():
            return "*time.Time"
        case Duration():
            return "*time.Duration"
        case list():
            return "[]interface {}"
        case Data():
            return "struct"
        case _:
            return "map[string]interface {}"


def is_true(value: Value) -> bool:
    """Tell what `if` makes of a value: zero, empty and nil are false."""
    match value:
        case None:
            return False
        case Sample() | Moment() | Duration() | Data():
            return True
        case float():
            return value != 0  # NaN is true
        case _:
            return bool(value)


def field(value: Value, name: str) -> Value:
    """Return `.name` of a value.

    Raises:
        RenderProblem: it has none.
    """
    match value:
        case None:
            return None
        case StringMap():
            return value.get(name, "")
        case AnyMap():
            return value.get(name)
        case Sample() if name == "Labels":
            return value.labels
        case Sample() | Data() if name == "Value":
            return value.value
        case Data() if name == "Labels":
            return value.labels
        case Data() if name == "ExternalLabels":
            return value.external_labels
        case Data() if name == "ExternalURL":
            return value.external_url
        case _:
            raise RenderProblem(f"there is no field {name} in a value of type {kind(value)}")
