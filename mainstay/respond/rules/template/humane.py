"""Numbers as people read them: the `humanize…` functions of Prometheus' templates, and what goes with them."""

import ipaddress
import math
import re
from collections.abc import Callable

from mainstay.observe.metrics.durations import BadDuration, duration_s
from mainstay.respond.rules.template.go_format import real
from mainstay.respond.rules.template.problem import RenderProblem
from mainstay.respond.rules.template.times import duration
from mainstay.respond.rules.template.values import Duration, Moment, Value, kind

_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORDS = re.compile(r"[+-]?(?:inf|infinity)|nan", re.IGNORECASE)


def number(value: Value) -> float:
    """Return a number, given as a number or a text.

    Raises:
        RenderProblem: it is none.
    """
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        if _WORDS.fullmatch(value):
            return float(value)
        raise RenderProblem(f"{value!r} is not a number")
    if isinstance(value, Duration):
        return value.ns / 1e9
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RenderProblem(f"a value of type {kind(value)} is not a number")
    return float(value)


def _four(value: float) -> str:
    return real(value, "g", 4)


def humanize(value: Value) -> str:
    """Return a number with a metric prefix: 12.3k."""
    v = number(value)
    if v == 0 or not math.isfinite(v):
        return _four(v)
    return _scaled(v, _LARGE) if abs(v) >= 1 else _reduced(v)


def humanize1024(value: Value) -> str:
    """Return a number with a binary prefix: 12.3Mi."""
    v = number(value)
    if abs(v) <= 1 or not math.isfinite(v):
        return _four(v)
    return _scaled(v, _BINARY, 1024)


def _scaled(v: float, prefixes: tuple[str, ...], base: int = 1000) -> str:
    prefix = ""
    for following in prefixes:
        if abs(v) < base:
            break
        prefix = following
        v /= base
    return f"{_four(v)}{prefix}"


def _reduced(v: float) -> str:
    prefix = ""
    for following in _SMALL:
        if abs(v) >= 1:
            break
        prefix = following
        v *= 1000
    return f"{_four(v)}{prefix}"


def humanize_duration(value: Value) -> str:
    """Return seconds as days, hours, minutes and seconds."""
    v = number(value)
    if not math.isfinite(v):
        return _four(v)
    if v == 0:
        return f"{_four(v)}s"
    if abs(v) < 1:
        return f"{_reduced(v)}s"
    sign, v = ("-", -v) if v < 0 else ("", v)
    whole = int(v) if v < 2**63 else -(2**63)  # what Go's conversion gives where it does not fit
    days, hours, minutes, seconds = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{_four(v)}s"


def humanize_percentage(value: Value) -> str:
    """Return a ratio as a percentage."""
    return f"{_four(number(value) * 100)}%"


def humanize_timestamp(value: Value) -> str:
    """Return unix seconds as a date in UTC."""
    v = number(value)
    return str(to_time(v)) if math.isfinite(v) else _four(v)


def to_time(value: Value) -> Moment:
    """Return the time that unix seconds mean."""
    v = number(value)
    if not math.isfinite(v):
        raise RenderProblem("NaN and infinity are no time")
    nanoseconds = v * 1e9
    if not -(2.0**63) <= nanoseconds < 2.0**63:
        raise RenderProblem(f"{real(v)} seconds are beyond what a time can be")
    return Moment(math.trunc(int(nanoseconds) / 1_000_000))


def to_duration(value: Value) -> Duration:
    """Return the duration that seconds mean."""
    v = number(value)
    if not math.isfinite(v):
        raise RenderProblem("NaN and infinity are no duration")
    return duration(v * 1e9)


def parse_duration(text: str) -> float:
    """Return the seconds of a Prometheus duration (1h30m, -5m)."""
    try:
        return 0.0 - duration_s(text[1:]) if text.startswith("-") else duration_s(text)
    except BadDuration as error:
        raise RenderProblem(str(error)) from None


def strip_port(address: str) -> str:
    """Return `host:port` without its port; what has none as it is."""
    host, port = _split(address)
    return address if port is None else host


def strip_domain(address: str) -> str:
    """Return the first label of a host name, with its port; addresses as they are."""
    host, port = _split(address)
    if port is None:
        host = address
    try:
        ipaddress.ip_address(host)
    except ValueError:
        first = host.partition(".")[0]
        if not port:
            return first
        return f"[{first}]:{port}" if ":" in first else f"{first}:{port}"
    return address


def _split(address: str) -> tuple[str, str | None]:
    """Split as Go's net.SplitHostPort does; the port is None where that fails."""
    host, colon, port = address.rpartition(":")
    if not colon or "[" in port or "]" in port:
        return address, None
    if host.startswith("["):
        inside = host[1:-1]
        bad = not host.endswith("]") or "[" in inside or "]" in inside
        return (address, None) if bad else (inside, port)
    return (address, None) if any(letter in host for letter in ":[]") else (host, port)


def title(text: str) -> str:
    """Return `text` with the first letter of each word in upper case, as Go's strings.Title does."""
    out = []
    before = " "
    for letter in text:
        out.append(_each(letter, str.title) if _separates(before) else letter)
        before = letter
    return "".join(out)


def upper(text: str) -> str:
    """Return `text` in upper case, letter for letter as Go does: what has no single upper letter stays."""
    return _each(text, str.upper)


def lower(text: str) -> str:
    """Return `text` in lower case, letter for letter."""
    return _each(text, str.lower)


def _each(text: str, change: Callable[[str], str]) -> str:
    changed = change(text) if text.isascii() and len(text) > 1 and change is not str.title else ""
    return changed or "".join(new if len(new := change(letter)) == 1 else letter for letter in text)


def _separates(letter: str) -> bool:
    if letter < "\x80":
        return not (letter.isalnum() or letter == "_")
    return not letter.isalnum() and letter.isspace()
