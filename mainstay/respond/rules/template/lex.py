"""Splits a template into text and the words of its actions, as Go's text/template does (package parse, lex.go).

Text between actions is kept as it is, after the trim markers `{{- ` and ` -}}` have taken their white space.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from mainstay.respond.rules.template.problem import TemplateProblem

SPACES = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]+")
_NAME = re.compile(r"[^\W\d]\w*")
_AFTER_DOLLAR = re.compile(r"\w+")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_RAW = re.compile(r"`[^`]*`")
KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"})


class Kind(StrEnum):
    """What a word is."""

    TEXT = "text"
    OPEN = "{{"
    CLOSE = "}}"
    SPACE = "space"
    DECLARE = ":="
    ASSIGN = "="
    PIPE = "|"
    COMMA = ","
    LEFT = "("
    RIGHT = ")"
    DOT = "."
    FIELD = "field"
    VARIABLE = "variable"
    NAME = "name"
    KEYWORD = "keyword"
    BOOL = "bool"
    NUMBER = "number"
    STRING = "string"
    RAW = "raw string"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A word and where it begins in the text."""

    kind: Kind
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """Return the words of a template, ending with END.

    Raises:
        TemplateProblem: an action, a comment or a string is not closed, or a character may not stand where it does.
    """
    found: list[Token] = []
    place = 0
    trims = False  # the action before ended in ` -}}`
    while True:
        begin = text.find("{{", place)
        piece = text[place:] if begin < 0 else text[place:begin]
        if trims:
            piece = piece.lstrip(SPACES)
        if begin < 0:
            if piece:
                found.append(Token(Kind.TEXT, piece, place))
            found.append(Token(Kind.END, "", len(text)))
            return found
        inside = begin + 2
        if text.startswith("-", inside) and text[inside + 1 : inside + 2] in tuple(SPACES):
            piece = piece.rstrip(SPACES)
            inside += 2
        if piece:
            found.append(Token(Kind.TEXT, piece, place))
        place, trims = _comment(text, inside) if text.startswith("/*", inside) else _action(text, begin, inside, found)


def _comment(text: str, begin: int) -> tuple[int, bool]:
    end = text.find("*/", begin)
    if end < 0:
        raise TemplateProblem("the comment is not closed; end it with */}}", begin)
    if text.startswith("}}", end + 2):
        return end + 4, False
    if text[end + 2 : end + 3] in tuple(SPACES) and text.startswith("-}}", end + 3):
        return end + 6, True
    raise TemplateProblem("a comment must end the action: put }} right after */", end)


def _action(text: str, begin: int, place: int, found: list[Token]) -> tuple[int, bool]:
    """Read the words of one action; return where it ends, and whether it trims what follows."""
    found.append(Token(Kind.OPEN, "{{", begin))
    depth = 0
    while True:
        close = 2 if text.startswith("}}", place) else 0
        trims = not close and text[place : place + 1] in tuple(SPACES) and text.startswith("-}}", place + 1)
        if close or trims:
            if depth:
                raise TemplateProblem("a parenthesis is not closed", place)
            found.append(Token(Kind.CLOSE, "}}", place))
            return place + (4 if trims else 2), trims
        if place >= len(text):
            raise TemplateProblem("the action is not closed; end it with }}", begin)
        token = _word(text, place)
        depth += {Kind.LEFT: 1, Kind.RIGHT: -1}.get(token.kind, 0)
        if depth < 0:
            raise TemplateProblem("a parenthesis is closed that was not opened", place)
        found.append(token)
        place += len(token.text)
        if token.kind is Kind.SPACE and text.startswith("-}}", place):
            place -= 1  # the space belongs to the trim marker
            found[-1] = Token(Kind.SPACE, token.text[:-1], token.at)
            if not found[-1].text:
                found.pop()


def _word(text: str, place: int) -> Token:
    letter = text[place]
    if letter in SPACES:
        return Token(Kind.SPACE, _whole(_SPACE, text, place), place)
    if text.startswith(":=", place):
        return Token(Kind.DECLARE, ":=", place)
    if letter in "=|,()":
        return Token(Kind(letter), letter, place)
    if letter == '"':
        return Token(Kind.STRING, _whole(_STRING, text, place, "the string is not closed on its line"), place)
    if letter == "`":
        return Token(Kind.RAW, _whole(_RAW, text, place, "the raw string is not closed"), place)
    if letter.isdigit() or (letter in "+-" and _starts_number(text, place + 1)) or _starts_fraction(text, place):
        return _number(text, place)
    if letter == ".":
        name = _NAME.match(text, place + 1)
        token = Token(Kind.FIELD, f".{name[0]}", place) if name else Token(Kind.DOT, ".", place)
    elif letter == "$":
        name = _AFTER_DOLLAR.match(text, place + 1)
        token = Token(Kind.VARIABLE, f"${name[0]}" if name else "$", place)
    elif name := _NAME.match(text, place):
        token = Token(_named(name[0]), name[0], place)
    else:
        raise TemplateProblem(f"the character {letter!r} may not stand in an action", place)
    following = text[place + len(token.text) : place + len(token.text) + 1]
    if token.kind is not Kind.DOT and following not in ("", *SPACES, *".,|:)(}"):
        raise TemplateProblem(f"the character {following!r} may not follow {token.text}", place + len(token.text))
    return token


def _named(name: str) -> Kind:
    if name in KEYWORDS:
        return Kind.KEYWORD
    return Kind.BOOL if name in {"true", "false"} else Kind.NAME


def _starts_fraction(text: str, place: int) -> bool:
    return text[place] == "." and text[place + 1 : place + 2].isdigit()


def _starts_number(text: str, place: int) -> bool:
    return place < len(text) and (text[place].isdigit() or _starts_fraction(text, place))


def _number(text: str, place: int) -> Token:
    whole = _whole(_NUMBER, text, place)
    after = text[place + len(whole) : place + len(whole) + 1]
    if after == "_" or after.isalnum():
        raise TemplateProblem(f"{whole}{after} is not a number", place)
    return Token(Kind.NUMBER, whole, place)


def _whole(pattern: re.Pattern[str], text: str, place: int, problem: str = "") -> str:
    match = pattern.match(text, place)
    if match is None:
        raise TemplateProblem(problem, place)
    return match[0]
