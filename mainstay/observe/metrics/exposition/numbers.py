"""Numbers as both formats write them: what `float` reads, without what only Python would accept."""

import contextlib
import math
import re
from collections.abc import Sequence
from decimal import Decimal

import orjson

NUMBER = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])"
_NUMBER = re.compile(NUMBER)
_SIGNED_NAN = re.compile(r"[+-][nN]")
_HEXADECIMAL = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_LETTERS = b"0123456789.+-eEiInNfFtTyYaA"
_INT64 = 1 << 63
SECONDS_MOST = 1e15  # of a timestamp; more would not be a time, and does not fit in int64 milliseconds


def number(text: str) -> float:
    """Read one number.

    Raises:
        ValueError: it is none.
    """
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return float(text)


def numbers(texts: list[str]) -> Sequence[float]:
    """Read many numbers, each as `number` would.

    `float` reads also 1_000, digits of other scripts and blanks around. None of these is made of `_LETTERS` alone, and
    of these letters it reads nothing that `NUMBER` does not match. Numbers that JSON has, too, are read as JSON, which
    is faster, but for a zero with a sign: there it is 0.

    Raises:
        ValueError: one of them is none.
    """
    joined = ",".join(texts)
    try:
        rest = joined.encode("ascii").translate(None, _LETTERS)
    except UnicodeEncodeError as error:
        raise ValueError from error
    if len(rest) != max(0, len(texts) - 1) or rest.strip(b","):
        raise ValueError
    if "" not in texts and ",-0," not in f",{joined},":
        with contextlib.suppress(orjson.JSONDecodeError):
            found: list[float] = orjson.loads(f"[{joined}]")
            return found
    return list(map(float, texts))


def milliseconds(text: str) -> int:
    """Read a timestamp of the text format: whole milliseconds.

    Raises:
        ValueError: it is none, or beyond 64 bits.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or not -_INT64 < (value := int(text)) < _INT64:
        raise ValueError(text)
    return value


def seconds(text: str) -> int:
    """Read a timestamp of OpenMetrics, in seconds; return whole milliseconds.

    Raises:
        ValueError: it is none, or too far from now to be one.
    """
    value = number(text)
    if not abs(value) < SECONDS_MOST:
        raise ValueError(text)
    return round(value * 1000)


def written_as_float(text: str) -> str:
    """Return a label's number as Prometheus writes it since 3.0: 1.0, 0.25, 1e+06, +Inf. What is none stays.

    A number is what Go's `ParseFloat` reads: hexadecimal, too, but no NaN with a sign, and none beyond 64 bits.
    """
    try:
        if _NUMBER.fullmatch(text) and not _SIGNED_NAN.match(text):
            value = float(text)
        elif _HEXADECIMAL.fullmatch(text):
            value = float.fromhex(text)
        else:
            return text
    except OverflowError:
        return text
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return text if text[-1].isdigit() else "+Inf" if value > 0 else "-Inf"
    if not value:
        return "0.0"
    if 1e-4 <= abs(value) < 1e6:
        return repr(value)
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+03d}"
