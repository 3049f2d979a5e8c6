"""Where promql-parser and Prometheus 3 disagree, and how that is bridged. Nowhere else is anything known of it.

The parser never sees what it would get wrong. Before parsing,

- texts in quotes are replaced by marks and put back later, because the parser judges regular expressions by another
  dialect than RE2 and reads `\\xff` as a letter instead of a byte; where it asks whether a matcher lets an absent label
  pass (`{job!=""}` does not), the mark answers as the text would;
- times after `@` are replaced by numbers in a list, because times before 1970 crash it; every `@` is, so that nothing
  that somebody writes can be taken for a number of ours;
- durations become milliseconds: as numbers it cuts off their fractions (`[1.5]`), and long ones (`[1e300]`) crash it;
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

from mainstay.observe.metrics.durations import MOST_MS, BadDuration, duration_ms, written
from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.patterns import pattern

LONGEST_QUERY = 131_072
DEEPEST_QUERY = 500

_MARK = "\uf8ff"
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}\\|?")
_PART = re.compile(
    r"""(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<comment>\#[^\n]*)|(?P<other>[^"'`\#]+|.)""",
    re.DOTALL | re.VERBOSE,
)
# Possessive throughout: a hostile query is read in linear time.
_LENGTH = (
    r"(?:(?:[0-9]++(?:ms|[smhdwy]))++|0[xX][0-9a-fA-F_]++"
    r"|(?:[0-9][0-9_]*+(?:\.[0-9_]*+)?+|\.[0-9][0-9_]*+)(?:[eE][-+]?+[0-9]++)?+|[iI][nN][fF]|[nN][aA][nN])(?![\w.])"
)
_AT = re.compile(rf"@(?:(?P<edge>\s*+(?i:start|end)\s*+\(\s*+\))|\s*+(?P<sign>[-+]?+)\s*+(?P<time>{_LENGTH}))?+")
_NUMBER = re.compile(r"(?<![\w:.])(?:0[xX][0-9a-fA-F]*_[0-9a-fA-F_]*|[0-9]+_[0-9_]*)")
_BRACKETS = re.compile(rf"\[(\s*+)({_LENGTH})(\s*+)(:?)(\s*+)({_LENGTH})?(\s*+)\]")
_OFFSET = re.compile(rf"(?<![\w:])((?i:offset)\s*+[-+]?+\s*+)({_LENGTH})")
_DEEPENING = re.compile(r"[(\[{+\-*/%^=<>!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\'"])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"""
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<wrong>.?))",
    re.DOTALL,
)
_PLAIN = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_LATEST_MS = 2**62


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


def _seconds(text: str) -> float:
    """Return what a number or a duration means in seconds; infinite if it is beyond all bounds."""
    plain = text.replace("_", "")
    is_hexadecimal = plain[:2] in ("0x", "0X")
    if plain[-1] in "smhdwy" and not is_hexadecimal:
        try:
            return duration_ms(plain) / 1000
        except BadDuration as error:
            raise QueryError(f"Not a valid duration: {error}.") from None
    try:
        return float(int(plain, 16)) if is_hexadecimal else float(plain)
    except OverflowError:
        return math.inf
    except ValueError:
        raise QueryError(f"{text[:40]} is no number.") from None


def _duration(text: str, least_ms: int) -> str:
    """Return a duration as the parser reads it right: in units of Prometheus, within bounds."""
    seconds = _seconds(text)
    if not seconds * 1000 <= MOST_MS:  # NaN, too
        raise QueryError(f"The duration {text[:40]} is out of bounds: 292 years are allowed.")
    milliseconds = round(seconds * 1000)
    if milliseconds < least_ms:
        raise QueryError(f"A duration must be greater than 0; {text[:40]} is not. Write it as in 30s, 5m or 1h30m.")
    return written(milliseconds / 1000) if milliseconds else "0"


def _range(found: re.Match[str]) -> str:
    before, width, after, colon, gap, step, end = found.groups(default="")
    if step and not colon:
        return found.group()  # the parser says what is wrong with it
    return f"[{before}{_duration(width, 1)}{after}{colon}{gap}{step and _duration(step, 1)}{end}]"


def prepare(query: str) -> Prepared:
    """Return the query as the parser is to see it. QueryError if it is too long, too deep or no text."""
    if len(query) > LONGEST_QUERY:
        raise QueryError(f"The query has {len(query):,} characters; {LONGEST_QUERY:,} are allowed.")
    unstorable = _NO_TEXT.search(query)
    if unstorable:
        sign = f"U+{ord(unstorable.group()):04X}"
        raise QueryError(f"The query holds a character that is no text ({sign}); remove it.", unstorable.start())
    texts: list[str] = []
    times: list[int] = []
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
        elif _MARK in part.group():
            raise QueryError("U+F8FF means nothing outside quotes; remove it.", query.find(_MARK, part.start()))
        else:
            parts.append(part.group("other"))
    code = "".join(parts)
    depth = len(_DEEPENING.findall(code))
    if depth > DEEPEST_QUERY:
        raise QueryError(
            f"The query has {depth} operators and brackets; {DEEPEST_QUERY} are allowed. Record parts of it by rules."
        )

    def time(found: re.Match[str]) -> str:
        if found["edge"]:
            return found.group()
        sign, text = found["sign"], found["time"]
        if text is None:
            position = query.find("@")
            raise QueryError("After @ a time must follow: unix seconds, a duration, start() or end().", position)
        milliseconds = _seconds(text) * 1000
        if not milliseconds <= _LATEST_MS:
            raise QueryError(f"The time after @ is out of bounds: {sign}{text[:40]}.", query.find("@"))
        times.append(math.floor(milliseconds + 0.5) * (-1 if sign == "-" else 1))
        return f"@ {len(times) - 1}"

    code = _AT.sub(time, code)
    code = _NUMBER.sub(lambda number: number.group().replace("_", ""), code)
    code = _OFFSET.sub(lambda found: f"{found.group(1)}{_duration(found.group(2), 0)}", code)
    code = _BRACKETS.sub(_range, code)
    return Prepared(code, tuple(texts), tuple(times))


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
