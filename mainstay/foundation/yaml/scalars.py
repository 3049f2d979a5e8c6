"""What plain (unquoted) words mean: YAML 1.2's core schema, and the integers of Go's yaml.v3 for Prometheus' files."""

import math
import re

Value = str | int | float | bool | None

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_GO_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+")


def resolve(text: str) -> Value:
    """Return what plain text means (§10.3.2), not 1.1's: `18:00`, `on`, `no` and dates are text, as people mean them.

    Numbers that are not finite stay text.
    """
    if text in NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def go_integer(text: str) -> int | None:
    """Return the integer that plain text is to Go's yaml.v3, or None. Of a fraction it is the whole part."""
    if not _GO_INTEGER.fullmatch(text):
        real = float(text) if REAL.fullmatch(text) else math.inf
        return int(real) if abs(real) < 2**63 else None
    text = text.replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0)
