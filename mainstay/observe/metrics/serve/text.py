"""Numbers as Prometheus' API writes them, and an answer that is the same in every process."""

import math
from collections.abc import Sequence
from decimal import Decimal

import orjson

CONFIG = {"yaml": "# There is no prometheus.yml here: `mainstay export` prints the configuration.\n"}
"""`/api/v1/status/config`."""


def of_float(value: float) -> str:
    """Return the shortest text that reads back as `value`: 0.1, 1e-07, 100000000000000000000, 1e+21, NaN, +Inf.

    Go's encoding/json: an exponent below 1e-6 and from 1e21 on.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    power = int(exponent)
    if -7 < power < 21:
        return _plain(mantissa, power)
    return f"{mantissa.removesuffix('.0')}e{power:+03d}"


def of_floats(values: Sequence[float]) -> list[str]:
    """Return the text of each value, as `of_float` does: orjson writes most of them alike, many at a time."""
    if not values:
        return []
    written = orjson.dumps(values).decode()[1:-1]
    texts = f"{written},".replace(".0,", ",")[:-1].split(",")
    if "e" in written or "null" in written:
        odd = [number for number, text in enumerate(texts) if "e" in text or text == "null"]
        for number in odd:
            texts[number] = of_float(values[number])
    return texts


def _plain(mantissa: str, power: int) -> str:
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = whole + fraction
    point = len(whole) + power
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point:
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def in_full(value: float) -> str:
    """Return the shortest text that reads back as `value`, never with an exponent."""
    return of_float(value) if not math.isfinite(value) else f"{Decimal(of_float(value)):f}"
