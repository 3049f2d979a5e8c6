"""Where promql-parser and Prometheus 3 disagree, and how that is bridged. Nowhere else is anything known of it.

The parser never sees what it would get wrong. Before parsing,

- texts in quotes are replaced by marks and put back later, because the parser judges regular expressions by another
  dialect than RE2 and reads `\\xff` as a letter instead of a byte; where it asks whether a matcher lets an absent label
  pass (`{job!=""}` does not), the mark answers as the text would;
- times after `@` are replaced by numbers in a list, because times before 1970 crash it;
- durations given as a fraction of seconds (`[1.5]`) become milliseconds, because it cuts them off;
- `_` between digits is taken out, because it does not know it;
- queries that are deeper than its recursion bears are refused.

After parsing, what it lets pass though it means nothing in Prometheus is refused in `parse.py`: `or` between
matchers (a dialect of another product), selectors that match everything, label names that are not UTF-8.
The function `holt_winters` of Prometheus 2 is made known to it beside its new name `double_exponential_smoothing`.
"""

import math
import re
from dataclasses import dataclass

import promql_parser

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.patterns import pattern

LONGEST_QUERY = 131_072
DEEPEST_QUERY = 500

_MARK = "\uf8ff"
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}\\|?")
_PART = re.compile(
    r"""(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<comment>\#[^\n]*)|(?P<other>[^"'`\#]+|.)""",
    re.DOTALL | re.VERBOSE,
)
_AT = re.compile(
    r"@\s*([-+]?\s*(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
    r"|[iI][nN][fF]|[nN][aA][nN]))(?![\w.])"
)
_NUMBER = re.compile(r"(?<![\w:.])(?:0[xX][0-9a-fA-F]*_[0-9a-fA-F_]*|[0-9]+_[0-9_]*)")
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_FRACTION = re.compile(r"(?<![\w.])(?:\d+\.\d*|\.\d+)(?![\w.])")
_OFFSET_FRACTION = re.compile(r"(?<![\w:])(offset\s*[-+]?\s*)(\d+\.\d*|\.\d+)(?![\w.])", re.IGNORECASE)
_DEEPENING = re.compile(r"[(\[{+\-*/%^=<>!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\'"])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"""
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<wrong>.?))",
    re.DOTALL,
)
_PLAIN = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_LARGEST_TIME_MS = 2**62


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query as the parser is to see it, and what was taken out of it."""

    text: str
    texts: tuple[str, ...]
    times_ms: tuple[int, ...]

    def restored(self, text: str) -> str:
        """Put what was taken out back into a text of the parser's."""
        return _MARKED.sub(lambda mark: self.texts[int(mark.group(1))], text)


def unquoted(literal: str) -> str:
    """Return what a quoted text means; a byte that is not UTF-8 becomes a surrogate. QueryError for wrong escapes."""
    quote, body = literal[0], literal[1:-1]
    if quote == "`" or "\\" not in body:
        return body
    out = bytearray()
    last = 0
    for escape in _ESCAPE.finditer(body):
        out += body[last : escape.start()].encode()
        last = escape.end()
        plain = escape.group("plain")
        number = escape.group("hex"), escape.group("octal"), escape.group("short") or escape.group("long")
        if plain and (plain not in "'\"" or plain == quote):
            out.append(_PLAIN[plain])
        elif number[0]:
            out.append(int(number[0], 16))
        elif number[1]:
            out.append(int(number[1], 8))
        elif number[2] and int(number[2], 16) < 0x110000 and not 0xD800 <= int(number[2], 16) < 0xE000:
            out += chr(int(number[2], 16)).encode()
        else:
            raise QueryError(f"{escape.group()!r} is no escape in a quoted text; write \\\\ for a backslash.")
    out += body[last:].encode()
    return out.decode("utf-8", "surrogateescape")


def _milliseconds(number: re.Match[str]) -> str:
    return f"{round(float(number.group()) * 1000)}ms"


def prepare(query: str) -> Prepared:
    """Return the query as the parser is to see it. QueryError if it is too long, too deep or no text."""
    if len(query) > LONGEST_QUERY:
        raise QueryError(f"The query has {len(query):,} characters; {LONGEST_QUERY:,} are allowed.")
    if _MARK in query or "\0" in query:
        raise QueryError("The query holds a character that no query can mean (U+F8FF or U+0000); remove it.")
    texts: list[str] = []
    times: list[int] = []
    depth = 0

    def time(found: re.Match[str]) -> str:
        digits = re.sub(r"[\s_]", "", found.group(1))
        value = float(int(digits, 16)) if "x" in digits.lower() else float(digits)
        if not math.isfinite(value) or abs(value) * 1000 > _LARGEST_TIME_MS:
            raise QueryError(f"The time after @ is out of bounds: {found.group(1)}.", query.find("@"))
        times.append(math.floor(abs(value) * 1000 + 0.5) * (1 if value >= 0 else -1))
        return f"@ {len(times) - 1}"

    parts: list[str] = []
    for part in _PART.finditer(query):
        if part.group("text"):
            texts.append(unquoted(part.group("text")))
            mark = f"{_MARK}{len(texts) - 1}{_MARK}"
            if parts and texts[-1] == "" and parts[-1].rstrip().endswith("!="):
                mark = ""
            elif parts and parts[-1].rstrip().endswith("!~") and _matches_nothing(texts[-1]):
                mark += "|"
            parts.append(f'"{mark}"')
        elif part.group("comment"):
            parts.append(" ")
        else:
            code = part.group("other")
            depth += len(_DEEPENING.findall(code))
            code = _NUMBER.sub(lambda number: number.group().replace("_", ""), code)
            code = _AT.sub(time, code)
            code = _OFFSET_FRACTION.sub(lambda found: f"{found.group(1)}{round(float(found.group(2)) * 1000)}ms", code)
            code = _BRACKETS.sub(lambda inside: _FRACTION.sub(_milliseconds, inside.group()), code)
            parts.append(code)
    if depth > DEEPEST_QUERY:
        raise QueryError(
            f"The query has {depth} operators and brackets; {DEEPEST_QUERY} are allowed. Record parts of it by rules."
        )
    return Prepared("".join(parts), tuple(texts), tuple(times))


def _matches_nothing(text: str) -> bool:
    try:
        return pattern(text).matches("")
    except QueryError:
        return False  # told where matchers are compiled


def make_known() -> None:
    """Register what the parser does not know; safe to call again."""
    try:
        promql_parser.register_extra_functions(
            [
                promql_parser.Function(
                    "holt_winters",
                    [promql_parser.ValueType.Matrix, promql_parser.ValueType.Scalar, promql_parser.ValueType.Scalar],
                    promql_parser.ValueType.Vector,
                )
            ]
        )
    except ValueError:  # registered before, or built in by a newer version
        return


make_known()
