"""The values that templates work with, as Go has them: nil, bool, int, float64, string, maps, samples and lists.

Python's own types stand for Go's: None, bool, int, float, str, dict. Where Go's type decides what is printed or what a
missing key is worth, there is a type of its own here.
"""

from collections.abc import Callable, Mapping
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
class Data:
    """What the dot is outside all blocks."""

    labels: StringMap
    external_labels: StringMap
    external_url: str
    value: float


Value = None | bool | int | float | str | StringMap | AnyMap | Sample | Samples | Moment | Data | list["Value"]


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
        case Sample() | Moment() | Data():
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


_METHODS: Mapping[str, Callable[[Moment], Value]] = {
    "Unix": lambda moment: moment.at_ms // 1000,
    "UnixMilli": lambda moment: moment.at_ms,
    "Year": lambda moment: moment.time.year,
    "Month": lambda moment: f"{moment.time:%B}",
    "Day": lambda moment: moment.time.day,
    "Hour": lambda moment: moment.time.hour,
    "Minute": lambda moment: moment.time.minute,
    "Second": lambda moment: moment.time.second,
    "Weekday": lambda moment: f"{moment.time:%A}",
    "YearDay": lambda moment: moment.time.timetuple().tm_yday,
    "String": str,
}


def moment_field(moment: Moment, name: str) -> Value:
    """Return what a method of `time.Time` without arguments gives.

    Raises:
        RenderProblem: there is none, or it is not known here.
    """
    if name in ("UTC", "Local"):
        return moment
    if (method := _METHODS.get(name)) is None:
        raise RenderProblem(f"the method {name} of a time is not known here")
    return method(moment)
