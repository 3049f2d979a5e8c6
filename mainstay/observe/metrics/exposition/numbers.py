"""Numbers as both formats write them: what `float` reads, without what only Python would accept."""

import re

NUMBER = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])"
_NUMBER = re.compile(NUMBER)
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


def numbers(texts: list[str]) -> list[float]:
    """Read many numbers, each as `number` would.

    `float` reads also 1_000, digits of other scripts and blanks around. None of these is made of `_LETTERS` alone, and
    of these letters it reads nothing that `NUMBER` does not match.

    Raises:
        ValueError: one of them is none.
    """
    try:
        if "".join(texts).encode("ascii").translate(None, _LETTERS):
            raise ValueError
    except UnicodeEncodeError as error:
        raise ValueError from error
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
