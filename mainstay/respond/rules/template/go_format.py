"""Formatting as Go's package fmt does it: `printf`, and what is written for a value in a template."""

import math
import re
from collections.abc import Sequence

from mainstay.observe.metrics.promql.messages import number
from mainstay.respond.rules.template.problem import RenderProblem
from mainstay.respond.rules.template.values import AnyMap, Data, Sample, StringMap, Value, kind

MOST_CHARACTERS = 64 * 1024  # of any text that a template makes
_DIRECTIVE = re.compile(r"%([-+ 0]*)(\d{0,6})(?:\.(\d{0,6}))?(.?)", re.DOTALL)
_VERBS = "sdfgevqx"
_ESCAPES = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}


def shown(value: Value) -> str:
    """Return what a template writes for a value (`%v`; nil is `<no value>`)."""
    if value is None:
        return "<no value>"
    return _plain(value, inside=isinstance(value, Sample))  # a pointer is followed, so no & is shown


def real(value: float, verb: str = "g", precision: int | None = None) -> str:
    """Return a float64 as Go's strconv.FormatFloat does.

    `%g` without a precision takes as many digits as tell the number from others; `%e` and `%f` then take six.
    """
    if math.isfinite(value) and (precision is not None or verb in "ef"):
        return f"{value:.{6 if precision is None else precision}{verb}}"
    return number(value)


def quoted(text: str) -> str:
    """Return a text as Go's strconv.Quote does."""
    out = []
    for letter in text:
        code = ord(letter)
        if code in _ESCAPES:
            out.append(_ESCAPES[code])
        elif letter == " " or letter.isprintable():
            out.append(letter)
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(out)}"'


def _plain(value: Value, *, inside: bool = False) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return real(value)
        case str():
            return value
        case StringMap() | AnyMap():
            return f"map[{' '.join(f'{key}:{_plain(value[key], inside=True)}' for key in sorted(value))}]"
        case Sample():
            return f"{'' if inside else '&'}{{{_plain(value.labels)} {real(value.value)}}}"
        case Data():
            parts: tuple[Value, ...] = (value.labels, value.external_labels, value.external_url, value.value)
            return f"{{{' '.join(map(_plain, parts))}}}"
        case list():
            return f"[{' '.join(_plain(item, inside=True) for item in value)}]"
        case _:
            return str(value)


def sprint(values: Sequence[Value]) -> str:
    """Join values as Go's Sprint does: a space between two that are not texts."""
    out: list[str] = []
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            out.append(" ")
        out.append(_plain(value))
    return "".join(out)


def sprintln(values: Sequence[Value]) -> str:
    """Join values as Go's Sprintln does."""
    return " ".join(map(_plain, values)) + "\n"


def sprintf(form: str, values: Sequence[Value]) -> str:
    """Format values as Go's Sprintf does, its complaints about their number and types included.

    Of Go's verbs, these are known: `%s %d %f %g %e %v %q %x %%`, with the flags `-+ 0`, a width and a precision.

    Raises:
        RenderProblem: another verb or flag, or the result is too long.
    """
    left = list(values)
    size = len(form)

    def written(match: re.Match[str]) -> str:
        nonlocal size
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not verb or verb not in _VERBS:
            known = " ".join(f"%{each}" for each in f"{_VERBS}%")
            raise RenderProblem(f"printf: {match[0]} is not known here; use {known}")
        if max(int(width or 0), int(precision or 0)) > MOST_CHARACTERS:
            raise RenderProblem(f"printf makes more than {MOST_CHARACTERS} characters")
        if not left:
            return f"%!{verb}(MISSING)"
        text = _formatted(flags, int(width or 0), None if precision is None else int(precision or 0), verb, left.pop(0))
        size += len(text)
        if size > MOST_CHARACTERS:
            raise RenderProblem(f"printf makes more than {MOST_CHARACTERS} characters")
        return text

    text = _DIRECTIVE.sub(written, form)
    if left:
        extra = ", ".join("<nil>" if value is None else f"{kind(value)}={_plain(value)}" for value in left)
        text += f"%!(EXTRA {extra})"
    return text


def _formatted(flags: str, width: int, precision: int | None, verb: str, value: Value) -> str:
    text = _fitting(precision, verb, value)
    if text is None:
        return f"%!{verb}(<nil>)" if value is None else f"%!{verb}({kind(value)}={_plain(value)})"
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and text[0] not in "+-":
        text = ("+" if "+" in flags else " " if " " in flags else "") + text
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and numeric and math.isfinite(float(text) if verb != "x" else 0.0):
        sign = text[:1] if text[:1] in "+- " else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _fitting(precision: int | None, verb: str, value: Value) -> str | None:
    """Return the text of a value; None when the verb is not for its type."""
    match value:
        case bool() | None:
            return _plain(value) if verb == "v" else None
        case int() if verb in "dvx":
            digits = f"{abs(value):{'x' if verb == 'x' else 'd'}}"
            return ("-" if value < 0 else "") + digits.rjust(precision or 0, "0")
        case float() if verb in "efgv":
            return real(value, "g" if verb == "v" else verb, precision)
        case int() | float():
            return None
        case str() if verb == "q":
            return quoted(value[:precision])
        case str() if verb == "x":
            return value.encode()[:precision].hex()
        case str() if verb in "sv":
            return value[:precision]
        case _:
            return _plain(value) if verb in "sv" else None
