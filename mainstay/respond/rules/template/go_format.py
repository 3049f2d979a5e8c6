"""Formatting as Go's package fmt does it: `printf`, and what is written for a value in a template."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from mainstay.respond.rules.template.problem import RenderProblem
from mainstay.respond.rules.template.values import AnyMap, Data, Moment, Sample, StringMap, Value, float_bits, kind

MOST_CHARACTERS = 64 * 1024  # of any text that a template makes
MOST_WIDTH = 1_000_000  # as in Go; what becomes longer than MOST_CHARACTERS is refused before it is made
_DIRECTIVE = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d*))?(.)?", re.DOTALL)
_ESCAPES = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}


@dataclass(frozen=True, slots=True)
class _Spec:
    verb: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    def padded(self, text: str, *, zeros: bool = True) -> str:
        """Return `text` in its width: spaces, or zeros after the sign."""
        missing = self.width - len(text)
        if missing <= 0:
            return text
        if "-" in self.flags:
            return text + " " * missing
        if "0" not in self.flags or not zeros:
            return " " * missing + text
        sign = text[:1] if text[:1] in "+- " and self.verb not in "sqv" else ""
        return sign + "0" * missing + text[len(sign) :]


def shown(value: Value) -> str:
    """Return what a template writes for a value (`%v`; nil is `<no value>`)."""
    if value is None:
        return "<no value>"
    return _plain(value, inside=isinstance(value, Sample))  # a pointer is followed, so no & is shown


def real(value: float, verb: str = "g", precision: int | None = None) -> str:
    """Return a float64 as Go's strconv.FormatFloat does; without a precision, as many digits as tell it from others."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if precision is not None:
        return f"{value:.{precision}{verb}}"
    if verb in "eE":
        text = _shortest_exponent(value)
        return text.upper() if verb == "E" else text
    if verb in "fF":
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    exponent = int(_shortest_exponent(value).partition("e")[2]) if value else 0
    text = _shortest_exponent(value) if exponent < -4 or exponent >= 6 else real(value, "f")
    return text.upper() if verb == "G" else text


def _shortest_exponent(value: float) -> str:
    """Return the digits that tell `value` from other floats, as d.ddde±dd."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1 if value else 0
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _hexadecimal(value: float, precision: int | None) -> str:
    if not math.isfinite(value):
        return real(value)
    bits = float_bits(value)
    sign = "-" if bits >> 63 else ""
    exponent = ((bits >> 52) & 0x7FF) - 1023
    mantissa = bits & ((1 << 52) - 1)
    if exponent == -1023:
        if not mantissa:
            exponent, lead = 0, 0
        else:
            shift = 53 - mantissa.bit_length()
            mantissa = (mantissa << shift) & ((1 << 52) - 1)
            exponent, lead = -1022 - shift, 1
    else:
        lead = 1
    whole = (lead << 52) | mantissa
    if precision is not None and precision < 13:
        drop = 52 - 4 * precision
        half, rest = 1 << (drop - 1), whole & ((1 << drop) - 1)
        whole >>= drop
        whole += rest > half or (rest == half and whole & 1)
        whole <<= drop
        if whole >> 53:
            whole >>= 1
            exponent += 1
    digits = f"{whole & ((1 << 52) - 1):013x}"
    digits = digits.rstrip("0") if precision is None else digits[:precision].ljust(precision, "0")
    fraction = f".{digits}" if digits else ""
    return f"{sign}0x{whole >> 52:x}{fraction}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


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
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out.append(" ")
        out.append(_plain(value))
    return "".join(out)


def sprintln(values: Sequence[Value]) -> str:
    """Join values as Go's Sprintln does."""
    return " ".join(map(_plain, values)) + "\n"


def sprintf(form: str, values: Sequence[Value]) -> str:
    """Format values as Go's Sprintf does, its complaints included.

    Raises:
        RenderProblem: the result is too long, or the form uses explicit argument indexes, which are not read here.
    """
    out: list[str] = []
    size = used = place = 0
    while (begin := form.find("%", place)) >= 0:
        out.append(form[place:begin])
        size += begin - place
        match = _DIRECTIVE.match(form, begin)
        if match is None:
            break
        place = match.end()
        piece, used = _directive(match, values, used)
        size += len(piece)
        if size > MOST_CHARACTERS:
            raise RenderProblem(f"printf makes more than {MOST_CHARACTERS} characters")
        out.append(piece)
    out.append(form[place:])
    if used < len(values):
        rest = ", ".join("<nil>" if value is None else f"{kind(value)}={_plain(value)}" for value in values[used:])
        out.append(f"%!(EXTRA {rest})")
    return "".join(out)


def _directive(match: re.Match[str], values: Sequence[Value], used: int) -> tuple[str, int]:
    flags, width_text, precision_text, verb = match.groups()
    complaint = ""
    width, precision = 0, None
    if width_text == "*":
        width, used, complaint = _star(values, used, "%!(BADWIDTH)")
        if width < 0:
            flags, width = flags + "-", -width
    elif width_text:
        width = int(width_text)
    if precision_text == "*":
        precision, used, worse = _star(values, used, "%!(BADPREC)")
        complaint += worse
        if precision < 0:
            precision = None
    elif precision_text is not None:
        precision = int(precision_text or 0)
    if verb == "[":
        raise RenderProblem("printf with argument indexes (%[1]d) is not read here; give the arguments in order")
    if max(width, precision or 0) > MOST_CHARACTERS:
        raise RenderProblem(f"printf makes more than {MOST_CHARACTERS} characters")
    if verb is None:
        return complaint + "%!(NOVERB)", used
    if verb == "%":
        return complaint + "%", used
    if used >= len(values):
        return f"{complaint}%!{verb}(MISSING)", used
    if "-" in flags:
        flags = flags.replace("0", "")
    return complaint + _formatted(_Spec(verb, flags, width, precision), values[used]), used + 1


def _star(values: Sequence[Value], used: int, complaint: str) -> tuple[int, int, str]:
    if used >= len(values):
        return 0, used, complaint
    value = values[used]
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MOST_WIDTH:
        return 0, used + 1, complaint
    return value, used + 1, ""


def _formatted(spec: _Spec, value: Value) -> str:
    if spec.verb == "T":
        return spec.padded(kind(value))
    match value:
        case None:
            return spec.padded("<nil>") if spec.verb == "v" else f"%!{spec.verb}(<nil>)"
        case bool() if spec.verb in "tv":
            return spec.padded(_plain(value))
        case bool():
            return _bad(spec, value)
        case int():
            return _whole(spec, value)
        case float():
            return _real(spec, value)
        case str():
            return _text(spec, value)
        case Moment() if spec.verb in "vsq":
            return _text(spec, str(value))
        case StringMap() | AnyMap() if spec.verb != "v":
            inner = _Spec(spec.verb, spec.flags, spec.width, spec.precision)
            pairs = (f"{_formatted(inner, key)}:{_formatted(inner, value[key])}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]"
        case _ if spec.verb in "vs":
            return spec.padded(_plain(value))
        case _:
            return _bad(spec, value)


def _bad(spec: _Spec, value: Value) -> str:
    return f"%!{spec.verb}({kind(value)}={_plain(value)})"


def _text(spec: _Spec, value: str) -> str:
    cut = value if spec.precision is None else value[: spec.precision]
    match spec.verb:
        case "v" | "s":
            if spec.verb == "v" and "#" in spec.flags:
                return spec.padded(quoted(cut))
            return spec.padded(cut)
        case "q":
            raw = "#" in spec.flags and "`" not in cut and all(x == "\t" or x.isprintable() for x in cut)
            return spec.padded(f"`{cut}`" if raw else quoted(cut))
        case "x" | "X":
            data = value.encode()[: spec.precision]
            digits = data.hex(" ") if " " in spec.flags else data.hex()
            return spec.padded(digits if spec.verb == "x" else digits.upper())
        case _:
            return _bad(spec, value)


def _signed(spec: _Spec, text: str) -> str:
    if text.startswith(("-", "+")):
        return text
    return "+" + text if "+" in spec.flags else " " + text if " " in spec.flags else text


def _whole(spec: _Spec, value: int) -> str:
    match spec.verb:
        case "d" | "v":
            digits, prefix = str(abs(value)), ""
        case "x" | "X" | "o" | "O" | "b":
            digits = f"{abs(value):{'o' if spec.verb == 'O' else spec.verb}}"
            sharp = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(spec.verb, "")
            prefix = "0o" if spec.verb == "O" else sharp if "#" in spec.flags else ""
        case "c" | "q" | "U":
            letter = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
            if spec.verb == "U":
                return spec.padded(f"U+{max(value, 0):04X}", zeros=False)
            if spec.verb == "c":
                return spec.padded(letter)
            return spec.padded("'\\''" if letter == "'" else f"'{quoted(letter)[1:-1]}'".replace('\\"', '"'))
        case _:
            return _bad(spec, value)
    flags = spec.flags
    if spec.precision is not None:
        flags = flags.replace("0", "")
        digits = "" if spec.precision == 0 and value == 0 else digits.rjust(spec.precision, "0")
    text = _signed(spec, ("-" if value < 0 else "") + prefix + digits)
    numeric = _Spec("d", flags, spec.width, None)
    if prefix and "0" in flags:  # zeros go between the prefix and the digits
        missing = spec.width - len(text)
        head = text[: len(text) - len(digits)]
        return head + "0" * max(0, missing) + digits
    return numeric.padded(text)


def _real(spec: _Spec, value: float) -> str:
    precision = spec.precision
    match spec.verb:
        case "v":
            text = real(value, "g", precision)
        case "e" | "E" | "f" | "F":
            text = real(value, spec.verb, 6 if precision is None else precision)
        case "g" | "G":
            text = real(value, spec.verb, precision)
        case "x" | "X":
            text = _hexadecimal(value, precision)
            text = text.upper() if spec.verb == "X" else text
        case _:
            return _bad(spec, value)
    if math.isinf(value) and value > 0 and "+" not in spec.flags:
        # Go writes +Inf with its sign unless a flag says otherwise.
        text = " Inf" if " " in spec.flags else "+Inf"
    number = _Spec("f", spec.flags if math.isfinite(value) else spec.flags.replace("0", ""), spec.width)
    return number.padded(_signed(spec, text) if not math.isnan(value) else _nan(spec))


def _nan(spec: _Spec) -> str:
    return "+NaN" if "+" in spec.flags else " NaN" if " " in spec.flags else "NaN"
