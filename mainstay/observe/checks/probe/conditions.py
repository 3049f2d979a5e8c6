"""Conditions in Gatus' language: `[STATUS] == 200`, `len([BODY].items) > 3`, `[BODY] == pat(*ok*)`.

`parse()` compiles a condition once; `Condition.evaluate()` gives a verdict whose text shows the resolved values, as
in `[STATUS] (503) == 200`. Where we differ from Gatus, and why, is written in docs/checks/conditions.md.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from itertools import product

from mainstay.foundation.words.durations import parse_duration
from mainstay.foundation.words.pattern import PatternError, glob_match, glob_pattern
from mainstay.observe.checks.probe.jsonpath import MISSING, Path, PathError, as_text, parse_json, parse_path

LONGEST_CONDITION = 2000
_SHOWN_AGAINST_PATTERN = 25
_SHOWN = 200
_INVALID = "(INVALID)"
_OPERATORS = ("==", "!=", "<=", ">=", "<", ">")
_OPERATOR = re.compile(r" (==|!=|<=|>=|<|>) ")
_PLACEHOLDER = re.compile(r"\[([A-Za-z_]+)\](.*)", re.DOTALL)
_LEGACY_OCTAL = re.compile(r"[+-]?0[0-7_]+")
_WHOLE = re.compile(r"([+-]?\d{1,400})(?:\.0{1,40})?", re.ASCII)
_INT64 = 1 << 63


class ConditionError(ValueError):
    """The condition can't be understood; the text says what is wrong in which condition, and how to mend it."""


class Placeholder(Enum):
    """What a condition can ask about; the value is the word in brackets."""

    STATUS = "STATUS"
    BODY = "BODY"
    HEADER = "HEADER"
    RESPONSE_TIME = "RESPONSE_TIME"
    CONNECTED = "CONNECTED"
    IP = "IP"
    DNS_RCODE = "DNS_RCODE"
    CERTIFICATE_EXPIRATION = "CERTIFICATE_EXPIRATION"


_UNSUPPORTED = {
    "DOMAIN_EXPIRATION": "it needs WHOIS or RDAP, which Mainstay does not query; watch the certificate with "
    "[CERTIFICATE_EXPIRATION], and the domain's renewal in your registrar",
    "CONTEXT": "suites and their context do not exist here; one check is one request",
}


@dataclass(slots=True)
class Observation:
    """What a probe saw, for conditions to ask about. Times are in seconds; `now` is in unix seconds."""

    connected: bool = False
    response_time_s: float = 0.0
    status: int = 0
    ip: str = ""
    body: bytes = b""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lower-case names; all values of a repeated header."""
    certificate_expires_in_s: float = 0.0
    dns_rcode: str = ""
    now: float = 0.0
    _document: object = None
    _parsed: bool = False

    def document(self) -> object:
        """The body as JSON, parsed once; MISSING when it isn't JSON."""
        if not self._parsed:
            self._document = parse_json(self.body)
            self._parsed = True
        return self._document

    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 become U+FFFD."""
        return self.body.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds, and the condition with its resolved values."""

    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Operand:
    text: str
    placeholder: Placeholder | None = None
    function: str = ""
    path: Path | None = None
    header: str = ""
    options: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def literal(self) -> bool:
        return self.placeholder is None and self.function in ("", "pat", "any")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `asks` are the placeholders it reads, for kinds to know what to collect."""

    text: str
    left: _Operand
    operator: str
    right: _Operand
    asks: frozenset[Placeholder]

    def evaluate(self, seen: Observation) -> Verdict:
        """Never raises: a value that is missing or of the wrong kind makes the condition fail, marked (INVALID)."""
        for operand, other in ((self.left, self.right), (self.right, self.left)):
            if operand.path is not None and operand.path.many:
                return self._evaluate_every(operand, other, seen, swapped=operand is self.right)
        sides = product(_resolve_all(self.left, seen), _resolve_all(self.right, seen))
        verdicts = [self._compare(left, right) for left, right in sides]
        if self.operator == "!=":  # of a repeated header none may be equal, else one may fit
            return next((verdict for verdict in verdicts if not verdict.passed), verdicts[0])
        return next((verdict for verdict in verdicts if verdict.passed), verdicts[0])

    def _compare(self, left: str | None, right: str | None) -> Verdict:
        if self.operator in ("==", "!="):
            # An invalid side equals nothing, but as in Gatus it does differ from everything.
            same = left is not None and right is not None and _equal(self.left, left, self.right, right)
            passed = same is (self.operator == "==")
        else:
            first, second = number(left), number(right)
            passed = first is not None and second is not None and _ORDER[self.operator](first, second)
        return Verdict(passed, self.text if passed else self._shown(left, right))

    def _evaluate_every(self, operand: _Operand, other: _Operand, seen: Observation, *, swapped: bool) -> Verdict:
        assert operand.path is not None
        values = list(operand.path.all(seen.document()))
        if not values:
            return Verdict(False, f"{self.text} (no elements matched)")
        against = _resolve(other, seen)
        for value in values:
            resolved = _of_json(operand, value, seen)
            verdict = self._compare(against, resolved) if swapped else self._compare(resolved, against)
            if not verdict.passed:
                return verdict
        return Verdict(True, self.text)

    def _shown(self, left: str | None, right: str | None) -> str:
        sides = []
        for operand, value, other in ((self.left, left, self.right), (self.right, right, self.left)):
            if value is None:
                sides.append(f"{operand.text} {_INVALID}")
            elif operand.literal:
                sides.append(operand.text)
            else:
                sides.append(
                    f"{operand.text} ({_cut(_humanised(operand, value), against_pattern=bool(other.pattern))})"
                )
        return f"{sides[0]} {self.operator} {sides[1]}"


@lru_cache(maxsize=4096)
def parse(text: str) -> Condition:
    """Compile a condition. Raises ConditionError, and nothing else, for whatever is not one."""
    if len(text) > LONGEST_CONDITION:
        raise ConditionError(f"a condition has at most {LONGEST_CONDITION} characters, this one has {len(text)}")
    found = _OPERATOR.search(text)
    if found is None:
        raise ConditionError(
            f"the condition {text!r} has no operator: write it as `[STATUS] == 200`, with one of "
            f"{' '.join(_OPERATORS)} between two spaces"
        )
    left = _operand(text[: found.start()].strip(), text)
    right = _operand(text[found.end() :].strip(), text)
    operator = found[1]
    if operator not in ("==", "!="):
        for operand in (left, right):
            if operand.function in ("pat", "any"):
                raise ConditionError(
                    f"the condition {text!r} compares {operand.text} by {operator}: it goes with == and != only"
                )
            if operand.literal and number(operand.text) is None:
                raise ConditionError(
                    f"the condition {text!r} compares {operand.text!r} by {operator}: "
                    "it is neither a number nor a duration such as 300ms"
                )
    asks = frozenset(operand.placeholder for operand in (left, right) if operand.placeholder is not None)
    return Condition(text, left, operator, right, asks)


def _operand(text: str, condition: str) -> _Operand:
    if not text:
        raise ConditionError(f"the condition {condition!r} lacks a value beside its operator")
    for function in ("len", "has", "age", "pat", "any"):
        if text.startswith(f"{function}("):
            if not text.endswith(")"):
                raise ConditionError(f"the condition {condition!r} lacks the closing bracket of {function}(")
            return _function(function, text, text[len(function) + 1 : -1], condition)
    return _value(text, text, "", condition)


def _function(function: str, text: str, inner: str, condition: str) -> _Operand:
    if function == "pat":
        try:
            if "?" in inner:
                glob_pattern(inner)
        except PatternError as error:
            raise ConditionError(f"the condition {condition!r}: {error}") from None
        return _Operand(text, function="pat", pattern=inner or " ")
    if function == "any":
        return _Operand(text, function="any", options=tuple(option.strip() for option in inner.split(",")))
    if function == "age" and "," in inner:
        raise ConditionError(
            f"the condition {condition!r} gives age() a layout, which is not supported: "
            "HTTP dates, RFC 3339 and Unix times are understood without one"
        )
    operand = _value(text, inner.strip(), function, condition)
    if operand.placeholder is None:
        raise ConditionError(
            f"the condition {condition!r} applies {function}() to {inner.strip()!r}, "
            "which is no placeholder such as [BODY].items"
        )
    if function == "age" and operand.placeholder not in (Placeholder.BODY, Placeholder.HEADER):
        raise ConditionError(
            f"the condition {condition!r} applies age() to {inner.strip()}: only [BODY] and [HEADER] hold times"
        )
    return operand


def _value(text: str, value: str, function: str, condition: str) -> _Operand:
    found = _PLACEHOLDER.fullmatch(value)
    if found is None:
        return _Operand(text)
    word, rest = found[1].upper(), found[2]
    if word in _UNSUPPORTED:
        raise ConditionError(
            f"the condition {condition!r} asks for [{word}], which is not supported: {_UNSUPPORTED[word]}"
        )
    try:
        placeholder = Placeholder(word)
    except ValueError:
        known = " ".join(f"[{each.value}]" for each in Placeholder)
        raise ConditionError(
            f"the condition {condition!r} asks for [{found[1]}], which is unknown; known are {known}"
        ) from None
    if placeholder is Placeholder.HEADER:
        if not rest.startswith(".") or not rest[1:].strip():
            raise ConditionError(f"the condition {condition!r} names no header: write [HEADER].Content-Type")
        return _Operand(text, placeholder, function, header=rest[1:].strip().lower())
    if placeholder is Placeholder.BODY:
        if not rest:
            return _Operand(text, placeholder, function)
        try:
            path = parse_path(rest.removeprefix("."))
        except PathError as error:
            raise ConditionError(f"the condition {condition!r}: {error}") from None
        if function == "has" and path.many:
            raise ConditionError(
                f"the condition {condition!r} applies has() to a path with [*]; ask for the array itself"
            )
        return _Operand(text, placeholder, function, path=path)
    if rest:
        raise ConditionError(f"the condition {condition!r} has {rest!r} after [{word}], which has no parts")
    return _Operand(text, placeholder, function)


def _resolve_all(operand: _Operand, seen: Observation) -> list[str | None]:
    """The operand's values: several of a repeated header."""
    values = seen.headers.get(operand.header, ()) if operand.placeholder is Placeholder.HEADER else ()
    if len(values) < 2 or operand.function == "has":
        return [_resolve(operand, seen)]
    return [_applied(operand.function, value, seen) for value in values]


def _resolve(operand: _Operand, seen: Observation) -> str | None:
    """The operand's value as text, or None when it is invalid."""
    match operand.placeholder:
        case None:
            return operand.text
        case Placeholder.BODY:
            return _of_body(operand, seen)
        case Placeholder.HEADER:
            values = seen.headers.get(operand.header, ())
            if operand.function == "has":
                return "true" if values else "false"
            return _applied(operand.function, values[0], seen) if values else None
        case Placeholder.STATUS:
            value = str(seen.status)
        case Placeholder.IP:
            value = seen.ip
        case Placeholder.RESPONSE_TIME:
            value = str(int(seen.response_time_s * 1000))
        case Placeholder.DNS_RCODE:
            value = seen.dns_rcode
        case Placeholder.CONNECTED:
            value = "true" if seen.connected else "false"
        case Placeholder.CERTIFICATE_EXPIRATION:
            value = str(int(seen.certificate_expires_in_s * 1000))
    return _applied(operand.function, value, seen)


def _of_body(operand: _Operand, seen: Observation) -> str | None:
    if operand.path is None:
        text = seen.text()
        if operand.function == "len" and text.startswith("[") and text.endswith("]"):
            document = seen.document()
            if isinstance(document, list):
                return str(len(document))
        return _applied(operand.function, text, seen)
    return _of_json(operand, operand.path.one(seen.document()), seen)


def _of_json(operand: _Operand, value: object, seen: Observation) -> str | None:
    exists = value is not MISSING and value is not None
    if operand.function == "has":
        return "true" if exists else "false"
    if not exists:
        return None
    if operand.function == "len" and isinstance(value, list):
        return str(len(value))
    return _applied(operand.function, as_text(value), seen)


def _applied(function: str, value: str, seen: Observation) -> str | None:
    match function:
        case "len":
            return str(len(value))
        case "has":
            return "true" if value else "false"
        case "age":
            at = _timestamp(value)
            return None if at is None else str(int((seen.now - at) * 1000))
    return value


def _timestamp(text: str) -> float | None:
    """Unix seconds of an HTTP date, an RFC 3339 time, or a Unix time in seconds or milliseconds."""
    value = text.strip().strip('"')
    try:
        return _aware(datetime.fromisoformat(value)).timestamp()
    except (ValueError, OverflowError):
        pass
    try:
        number = float(value)
    except ValueError:
        pass
    else:
        if not math.isfinite(number) or number <= 0:
            return None
        return number / 1000 if number >= 1e12 else number
    try:
        return _aware(parsedate_to_datetime(value)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _equal(left: _Operand, first: str, right: _Operand, second: str) -> bool:
    if left.pattern or right.pattern:
        if left.pattern and not right.pattern:
            return glob_match(left.pattern, second)
        if right.pattern and not left.pattern:
            return glob_match(right.pattern, first)
    if left.options and not right.options:
        return second in left.options
    if right.options and not left.options:
        return first in right.options
    if first == second:
        return True
    first_integer = _integer(first)
    return first_integer is not None and first_integer == _integer(second)


def _integer(text: str) -> int | None:
    """A 64-bit integer in Go's notation (decimal, 0x, 0o, 0b, leading 0 for octal), else None."""
    if not text or len(text) > 80 or not (text[0].isdigit() or text[0] in "+-"):
        return None
    try:
        value = int(text, 8) if _LEGACY_OCTAL.fullmatch(text) else int(text, 0)
    except ValueError:
        return None
    return value if -_INT64 <= value < _INT64 else None


def number(text: str | None) -> int | float | None:
    """A number, exact where it is whole, or a duration in milliseconds; None for anything else."""
    if text is None:
        return None
    integer = _integer(text)
    if integer is not None:
        return integer
    if (whole := _WHOLE.fullmatch(text)) is not None:
        return int(whole[1])
    if text and text[-1] in "smhdw":
        try:
            return parse_duration(text) * 1000
        except ValueError:
            return None
    try:
        number = float(text) if len(text) <= 400 else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda first, second: first < second,
    "<=": lambda first, second: first <= second,
    ">": lambda first, second: first > second,
    ">=": lambda first, second: first >= second,
}


def _humanised(operand: _Operand, value: str) -> str:
    """Certificate times are shown as Gatus shows them (`336h`), everything else as it is."""
    if operand.placeholder is not Placeholder.CERTIFICATE_EXPIRATION or operand.function:
        return value
    seconds = int(value) // 1000
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest}s" if rest else ""]
    return ("-" if seconds < 0 else "") + ("".join(parts) or "0s")


def _cut(value: str, *, against_pattern: bool) -> str:
    longest = _SHOWN_AGAINST_PATTERN if against_pattern else _SHOWN
    return value if len(value) <= longest else f"{value[:longest]}...(truncated)"
