"""Tokens of what somebody is typing in PromQL, for completion and for the place of an error.

Nothing is refused: what is not understood is left as it stands. Whole expressions are read by `promql.parse`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 20_000
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`[^`]*`?)
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:y|w|d|h|ms|m|s))+(?![\w])|(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?))
    |(?P<word>[a-zA-Z_:][\w:]*)
    |(?P<sign>==|!=|=~|!~|>=|<=|[-+*/%^<>=@(){}\[\],:])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_OPENS, _CLOSES = "([{", ")]}"
GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_NO_METRICS = GROUPING | {"offset", "bool", "and", "or", "unless", "atan2", "inf", "nan"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, text or sign of an expression; `depth` counts the brackets around it."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


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
        if word in GROUPING and after == "(":
            labels_until = next((p.start for p in parts[index + 2 :] if p.text == ")"), len(text))
            continue
        inside = _innermost(parts, index)
        if inside == "{" or after == "(" or word in _NO_METRICS:
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
