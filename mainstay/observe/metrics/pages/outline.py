"""The outline of a PromQL expression: its tokens, its outermost operator, what it compares with.

It reads what a person is typing, so nothing is refused: what is not understood is left as it stands. Pages read
expressions with this; whether one is right, and what it gives, only the evaluator says. No Django, no NumPy.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

LONGEST = 20_000
LONGEST_NUMBER = 200
DEEPEST = 30  # levels that are looked into; what lies deeper is left as it stands
SPAN_UNITS_S = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`[^`]*`?)
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:y|w|d|h|ms|m|s))+(?![\w])|(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?))
    |(?P<word>[a-zA-Z_:][\w:]*)
    |(?P<sign>==|!=|=~|!~|>=|<=|[-+*/%^<>=@(){}\[\],:])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_SPAN = re.compile(r"([0-9]+)(y|w|d|h|ms|m|s)")
_NO_NUMBER = re.compile(r"[{\[\"'`<>=!]|(?<![\w.])(?!(?:inf|nan)\b)[a-zA-Z_:]", re.IGNORECASE)
_OPENS, _CLOSES = "([{", ")]}"
_LOOSEST_FIRST = (
    frozenset({"or"}),
    frozenset({"and", "unless"}),
    frozenset({"==", "!=", ">", "<", ">=", "<="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%", "atan2"}),
    frozenset({"^"}),
)
COMPARISONS = _LOOSEST_FIRST[2]
_OPERATORS = frozenset[str]().union(*_LOOSEST_FIRST)
# After one of these words a sign begins a number, and does not calculate.
_OPEN_WORDS = frozenset({"offset", "bool", "and", "or", "unless", "atan2", "by", "without", "on", "ignoring"})
_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_MATCHING = frozenset({"on", "ignoring", "group_left", "group_right"})


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, text or sign of an expression; `depth` counts the brackets around it."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator and its two sides, as they are written."""

    left: str
    operator: str
    right: str
    returns_bool: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator number`, or `left operator right` where the limit is no number but an expression."""

    left: str
    operator: str
    number: float | None
    right: str = ""
    narrowed: bool = False  # `and` or `unless` narrow it further

    def holds(self, value: float) -> bool | None:
        """Tell whether `value` meets it; None when the limit is no number."""
        if self.number is None:
            return None
        tests: dict[str, Callable[[float, float], bool]] = {
            ">": float.__gt__, "<": float.__lt__, ">=": float.__ge__, "<=": float.__le__,
            "==": float.__eq__, "!=": float.__ne__,
        }  # fmt: skip
        return tests[self.operator](float(value), self.number)

    @property
    def worst(self) -> str:
        """The aggregation that gives, of many series, the value nearest to meeting it: max or min."""
        return "min" if self.operator in {"<", "<="} else "max"


def tokens(text: str, *, spaces: bool = False) -> list[Token]:
    """Return the tokens of `text` in order; comments and, unless `spaces`, white space are left out."""
    found: list[Token] = []
    depth = 0
    for hit in _TOKEN.finditer(text[:LONGEST]):
        kind = hit.lastgroup or "other"
        piece = hit.group()
        if kind == "sign" and piece in _CLOSES:
            depth = max(0, depth - 1)
        if kind == "comment" or (kind == "space" and not spaces):
            continue
        found.append(Token(kind, piece, hit.start(), hit.end(), depth))
        if kind == "sign" and piece in _OPENS:
            depth += 1
    return found


def bare(text: str) -> str:
    """Return the expression without the comments and parentheses around all of it."""
    for _ in range(DEEPEST):
        parts = tokens(text)
        if parts and len(text) <= LONGEST:
            text = text[: parts[-1].end]
        if len(parts) < 2 or parts[0].text != "(" or parts[-1].text != ")" or parts[-1].depth:
            break
        if any(part.depth == 0 for part in parts[1:-1]):
            break
        text = text[parts[0].end : parts[-1].start]
    return text.strip()


def split(text: str) -> Binary | None:
    """Return the outermost binary operator with its sides; None where there is none."""
    text = bare(text)
    parts = tokens(text)
    places = [
        (index, part)
        for index, part in enumerate(parts)
        if part.depth == 0 and part.text.lower() in _OPERATORS and _after_an_operand(parts, index)
    ]
    for level in _LOOSEST_FIRST:
        here = [(index, part) for index, part in places if part.text.lower() in level]
        if here:
            index, part = here[0] if "^" in level else here[-1]  # a ^ b ^ c means a ^ (b ^ c)
            begin, returns_bool = _past_modifiers(parts, index + 1)
            right = text[parts[begin].start :] if begin < len(parts) else ""
            return Binary(text[: part.start].strip(), part.text.lower(), right.strip(), returns_bool)
    return None


def _after_an_operand(parts: Sequence[Token], index: int) -> bool:
    if index == 0:
        return False
    before = parts[index - 1]
    if before.kind in {"number", "text"}:
        return True
    if before.kind == "word":
        return before.text.lower() not in _OPEN_WORDS
    return before.text in _CLOSES


def _past_modifiers(parts: Sequence[Token], index: int) -> tuple[int, bool]:
    """Return where the right side begins, past `bool` and `on (…) group_left (…)`, and whether `bool` was there."""
    returns_bool = False
    while index < len(parts) and parts[index].kind == "word":
        word = parts[index].text.lower()
        if word == "bool":
            returns_bool, index = True, index + 1
        elif word in _MATCHING:
            index += 1
            if index < len(parts) and parts[index].text == "(":
                while index < len(parts) and not (parts[index].text == ")" and parts[index].depth == 0):
                    index += 1
                index += 1
        else:
            break
    return index, returns_bool


def number(text: str, depth: int = 0) -> float | None:
    """Return what a constant expression is (`5 * 60`, `-1`, `1h`), or None when it is none."""
    if depth > DEEPEST or len(text) > LONGEST_NUMBER or _NO_NUMBER.search(text):
        return None
    text = bare(text)
    both = split(text)
    if both is not None:
        left, right = number(both.left, depth + 1), number(both.right, depth + 1)
        if left is None or right is None:
            return None
        calculate: dict[str, Callable[[float, float], float]] = {
            "+": float.__add__, "-": float.__sub__, "*": float.__mul__, "/": float.__truediv__, "^": float.__pow__,
        }  # fmt: skip
        try:
            found = calculate[both.operator](left, right)
        except (KeyError, ArithmeticError):
            return None
        return found if isinstance(found, float) else None
    parts = tokens(text)
    sign = 1.0
    while parts and parts[0].text in {"+", "-"}:
        sign, parts = (-sign if parts[0].text == "-" else sign), parts[1:]
    if len(parts) != 1:
        return None
    return _constant(parts[0].text, sign)


def _constant(word: str, sign: float) -> float | None:
    if word.lower() in {"inf", "nan"}:
        return sign * float(word)
    if word[:1] not in "0123456789.":
        return None
    spans = _SPAN.findall(word)
    if spans and "".join(f"{count}{unit}" for count, unit in spans) == word:
        return sign * sum(float(count) * SPAN_UNITS_S[unit] for count, unit in spans)
    try:
        return sign * (float(int(word, 16)) if word[:2].lower() == "0x" else float(word))
    except (ValueError, OverflowError):
        return None


def comparison(text: str) -> Comparison | None:
    """Return what an expression compares, and with what; None where it does not compare.

    Of `a > 5 and b` it is the first part. A comparison with `bool` gives 0 or 1, not the value, so it is none.
    """
    narrowed = False
    for _ in range(DEEPEST):
        both = split(text)
        if both is None or both.operator == "or":
            return None
        if both.operator in {"and", "unless"}:
            text, narrowed = both.left, True
            continue
        if both.operator not in COMPARISONS or both.returns_bool:
            return None
        left, right = number(both.left), number(both.right)
        if left is not None and right is not None:
            return None
        if left is not None:
            return Comparison(bare(both.right), _MIRRORED.get(both.operator, both.operator), left, narrowed=narrowed)
        return Comparison(
            bare(both.left), both.operator, right, "" if right is not None else bare(both.right), narrowed
        )
    return None


def metrics(text: str) -> list[str]:
    """Return the names of metrics in it, each once, in order."""
    parts = tokens(text)
    found: list[str] = []
    labels_until = -1
    for index, part in enumerate(parts):
        if part.kind != "word" or part.start < labels_until:
            continue
        after = parts[index + 1].text if index + 1 < len(parts) else ""
        word = part.text.lower()
        if word in {"by", "without", *_MATCHING} and after == "(":
            labels_until = next((p.start for p in parts[index + 2 :] if p.text == ")"), len(text))
            continue
        inside = _innermost(parts, index)
        if inside == "{" or after == "(" or word in _OPEN_WORDS or word in {"inf", "nan", *_MATCHING}:
            continue
        if inside != "[" and after.lower() not in {"by", "without"}:  # sum by (job) (…)
            found.append(part.text)
    return list(dict.fromkeys(found))


def _innermost(parts: Sequence[Token], index: int) -> str:
    """Return the bracket that stands open before `index`, empty where none does."""
    depth = parts[index].depth
    for part in reversed(parts[:index]):
        if part.text in _OPENS and part.kind == "sign" and part.depth == depth - 1:
            return part.text
    return ""


def unclosed(parts: Sequence[Token]) -> int | None:
    """Return which bracket is still open at the end, the innermost; None where all are closed."""
    closed = 0
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if part.kind != "sign":
            continue
        if part.text in _CLOSES:
            closed += 1
        elif part.text in _OPENS:
            if not closed:
                return index
            closed -= 1
    return None


def position(text: str, line: int, column: int) -> int:
    """Return the offset in characters of a line and column, both counted from 1."""
    starts = [0, *accumulate(len(part) for part in text.splitlines(keepends=True))]
    begin = starts[min(max(line, 1), len(starts)) - 1]
    return min(begin + max(column, 1) - 1, len(text))


def line_of(text: str, offset: int) -> tuple[str, int]:
    """Return the line in which `offset` lies, and where in it."""
    starts = [0, *accumulate(len(part) for part in text.splitlines(keepends=True))]
    index = max(0, bisect_right(starts, offset) - 1)
    rows = text.splitlines() or [""]
    index = min(index, len(rows) - 1)
    return rows[index], min(offset - starts[index], len(rows[index]))
