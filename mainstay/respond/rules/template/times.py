"""Methods of times and durations, as Go has them (package time): `(toTime 0).Year`, `((toTime now).Add $d).Unix`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mainstay.respond.rules.template.problem import RenderProblem
from mainstay.respond.rules.template.values import Duration, Moment, Value, kind

INT64 = 2**63
_A_MINUTE_NS, _A_SECOND_NS, _A_MS_NS = 60_000_000_000, 1_000_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Method:
    """What a method does; `takes` are the types of its arguments."""

    does: Callable[..., Value]
    takes: tuple[type, ...] = ()


def duration(ns: float) -> Duration:
    """Return a duration of so many nanoseconds.

    Raises:
        RenderProblem: it is beyond what 64 bits hold.
    """
    if not -INT64 <= ns < INT64:
        raise RenderProblem("a duration is at most 292 years")
    return Duration(int(ns))


# Elements of a layout: Go writes how a certain time would be shown. Months and days by their English names.
_ELEMENTS: Mapping[str, Callable[[Moment], str]] = {
    "2006": lambda moment: f"{moment.time.year:04d}",
    "January": lambda moment: f"{moment.time:%B}",
    "Jan": lambda moment: f"{moment.time:%b}",
    "Monday": lambda moment: f"{moment.time:%A}",
    "Mon": lambda moment: f"{moment.time:%a}",
    "MST": lambda _: "UTC",
    "-07:00": lambda _: "+00:00",
    "-0700": lambda _: "+0000",
    "Z07:00": lambda _: "Z",
    "002": lambda moment: f"{moment.time:%j}",
    "01": lambda moment: f"{moment.time:%m}",
    "02": lambda moment: f"{moment.time:%d}",
    "_2": lambda moment: f"{moment.time.day:2d}",
    "03": lambda moment: f"{moment.time:%I}",
    "04": lambda moment: f"{moment.time:%M}",
    "05": lambda moment: f"{moment.time:%S}",
    "06": lambda moment: f"{moment.time:%y}",
    "15": lambda moment: f"{moment.time:%H}",
    "PM": lambda moment: "PM" if moment.time.hour >= 12 else "AM",
    "pm": lambda moment: "pm" if moment.time.hour >= 12 else "am",
    "1": lambda moment: str(moment.time.month),
    "2": lambda moment: str(moment.time.day),
    "3": lambda moment: str(moment.time.hour % 12 or 12),
    "4": lambda moment: str(moment.time.minute),
    "5": lambda moment: str(moment.time.second),
}
_LAYOUT = re.compile(rf"([.,])(0+|9+)(?!\d)|{'|'.join(map(re.escape, _ELEMENTS))}")


def _formatted(moment: Moment, layout: str) -> str:
    def written(found: re.Match[str]) -> str:
        if found[2] is None:
            return _ELEMENTS[found[0]](moment)
        digits = f"{moment.at_ms % 1000:03d}".ljust(len(found[2]), "0")[: len(found[2])]
        digits = digits.rstrip("0") if found[2][0] == "9" else digits
        return f"{found[1]}{digits}" if digits else ""

    return _LAYOUT.sub(written, layout)


def _whole(ns: int, size: int) -> int:
    return ns // size if ns >= 0 else -(-ns // size)  # towards zero, as Go divides


_MOMENT: Mapping[str, Method] = {
    "Unix": Method(lambda moment: moment.at_ms // 1000),
    "UnixMilli": Method(lambda moment: moment.at_ms),
    "UnixMicro": Method(lambda moment: moment.at_ms * 1000),
    "UnixNano": Method(lambda moment: moment.at_ms * _A_MS_NS),
    "Year": Method(lambda moment: moment.time.year),
    "Month": Method(lambda moment: f"{moment.time:%B}"),
    "Day": Method(lambda moment: moment.time.day),
    "Hour": Method(lambda moment: moment.time.hour),
    "Minute": Method(lambda moment: moment.time.minute),
    "Second": Method(lambda moment: moment.time.second),
    "Weekday": Method(lambda moment: f"{moment.time:%A}"),
    "YearDay": Method(lambda moment: moment.time.timetuple().tm_yday),
    "String": Method(str),
    "UTC": Method(lambda moment: moment),
    "Local": Method(lambda moment: moment),
    "Add": Method(lambda moment, by: Moment(moment.at_ms + by.ns // _A_MS_NS), (Duration,)),
    "Sub": Method(lambda moment, other: duration((moment.at_ms - other.at_ms) * _A_MS_NS), (Moment,)),
    "Before": Method(lambda moment, other: moment.at_ms < other.at_ms, (Moment,)),
    "After": Method(lambda moment, other: moment.at_ms > other.at_ms, (Moment,)),
    "Equal": Method(lambda moment, other: moment.at_ms == other.at_ms, (Moment,)),
    "Format": Method(_formatted, (str,)),
}
_DURATION: Mapping[str, Method] = {
    "Hours": Method(lambda one: one.ns / (60 * _A_MINUTE_NS)),
    "Minutes": Method(lambda one: one.ns / _A_MINUTE_NS),
    "Seconds": Method(lambda one: one.ns / _A_SECOND_NS),
    "Milliseconds": Method(lambda one: _whole(one.ns, _A_MS_NS)),
    "Microseconds": Method(lambda one: _whole(one.ns, 1000)),
    "Nanoseconds": Method(lambda one: one.ns),
    "Abs": Method(lambda one: duration(min(abs(one.ns), INT64 - 1))),
    "String": Method(str),
}


def called(value: Moment | Duration, name: str, arguments: tuple[Value, ...]) -> Value:
    """Return what a method of a time or a duration gives.

    Raises:
        RenderProblem: there is none, it is not known here, or its arguments do not fit.
    """
    method = (_MOMENT if isinstance(value, Moment) else _DURATION).get(name)
    if method is None:
        raise RenderProblem(f"the method {name} of a {kind(value).removeprefix('*')} is not known here")
    if len(arguments) != len(method.takes):
        wanted = f"{len(method.takes)} argument{'' if len(method.takes) == 1 else 's'}"
        raise RenderProblem(f"{name} takes {wanted}, not {len(arguments)}")
    return method.does(value, *(_fitting(*pair, name) for pair in zip(arguments, method.takes, strict=True)))


def _fitting(argument: Value, wanted: type, name: str) -> Value:
    if wanted is Duration and isinstance(argument, int) and not isinstance(argument, bool):
        return duration(argument)  # Go counts durations in nanoseconds
    if not isinstance(argument, wanted):
        raise RenderProblem(f"{name}: expected {_GO[wanted]}, got {kind(argument)}")
    return argument


_GO = {Duration: "time.Duration", Moment: "time.Time", str: "string"}
