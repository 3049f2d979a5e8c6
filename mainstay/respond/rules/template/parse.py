"""Reads templates: Go's text/template (package parse), with the functions and variables that Prometheus adds."""

import ast
import re
from collections.abc import Collection, Mapping

from mainstay.respond.rules.template.lex import Kind, Token, tokens
from mainstay.respond.rules.template.problem import TemplateProblem
from mainstay.respond.rules.template.syntax import (
    Action,
    Body,
    Call,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Function,
    If,
    Leave,
    Nil,
    Node,
    Number,
    Pipe,
    Range,
    Term,
    Text,
    Variable,
)

MOST_DEPTH = 60  # blocks and parentheses in one another
MAIN = ""  # the name of the template outside all `define`
_ESCAPE = re.compile(r"""\\(?:[abfnrtv\\'"]|x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})""")
_OPERANDS = frozenset(
    {
        Kind.BOOL, Kind.DOT, Kind.FIELD, Kind.NAME, Kind.NUMBER, Kind.RAW, Kind.STRING,
        Kind.VARIABLE, Kind.LEFT,
    }
)  # fmt: skip


def parse(text: str, variables: Collection[str], functions: Collection[str]) -> Mapping[str, Body]:
    """Return the templates in `text` by name: the text itself as `MAIN`, and what it defines.

    Raises:
        TemplateProblem: it is not a template, or names a variable or function that does not exist.
    """
    return _Parser(tokens(text), list(variables), functions).templates()


class _Parser:
    def __init__(self, words: list[Token], variables: list[str], functions: Collection[str]) -> None:
        self._words = words
        self._place = 0
        self._variables = ["$", *variables]
        self._functions = functions
        self._defined: dict[str, Body] = {}
        self._ranges = 0
        self._depth = 0
        self._called: list[tuple[str, int]] = []

    def templates(self) -> Mapping[str, Body]:
        body, end = self._body(top=True)
        if end.kind is not Kind.END:
            raise TemplateProblem(f"unexpected {{{{ {end.text} }}}}: no block is open here", end.at)
        self._defined[MAIN] = body
        return self._defined

    # Words

    def _peek(self) -> Token:
        return self._words[self._place]

    def _next(self) -> Token:
        token = self._words[self._place]
        self._place = min(self._place + 1, len(self._words) - 1)
        return token

    def _skip_space(self) -> Token:
        while self._peek().kind is Kind.SPACE:
            self._place += 1
        return self._peek()

    def _next_word(self) -> Token:
        self._skip_space()
        return self._next()

    def _close(self, after: str) -> None:
        token = self._next_word()
        if token.kind is not Kind.CLOSE:
            raise TemplateProblem(f"unexpected {_shown(token)} after {after}", token.at)

    def _deeper(self, at: int) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise TemplateProblem(f"nested deeper than {MOST_DEPTH} levels", at)

    # Nodes

    def _body(self, *, top: bool = False) -> tuple[Body, Token]:
        """Read nodes up to `end`, `else` or the end of the text; return that word, behind which the reading stands."""
        nodes: list[Node] = []
        while True:
            token = self._next()
            if token.kind is Kind.TEXT:
                nodes.append(Text(token.text))
                continue
            if token.kind is Kind.END:
                return tuple(nodes), token
            word = self._skip_space()
            if word.kind is Kind.KEYWORD and word.text in {"end", "else"}:
                self._next()
                return tuple(nodes), word
            if word.kind is Kind.KEYWORD and word.text == "define":
                if not top:
                    raise TemplateProblem("define may not stand inside a block", word.at)
                self._next()
                self._define()
                continue
            nodes.append(self._action(word))

    def _inner(self, opened: Token) -> tuple[Body, Token]:
        body, end = self._body()
        if end.kind is Kind.END:
            raise TemplateProblem(f"{opened.text} is not closed; put {{{{ end }}}} where it ends", opened.at)
        return body, end

    def _action(self, word: Token) -> Node:
        if word.kind is not Kind.KEYWORD or word.text == "nil":
            return Action(self._pipeline("command", Kind.CLOSE))
        self._next()
        match word.text:
            case "if" | "with" | "range":
                return self._control(word)
            case "break" | "continue":
                if not self._ranges:
                    raise TemplateProblem(f"{word.text} may only stand inside range", word.at)
                self._close(word.text)
                return Leave(word.text == "break")
            case "template":
                name = self._string(word)
                pipe = None if self._skip_space().kind is Kind.CLOSE else self._pipeline("template", Kind.CLOSE)
                if pipe is None:
                    self._close("template")
                return Call(name, pipe)
            case _:
                return self._block(word)

    def _string(self, after: Token) -> str:
        token = self._next_word()
        if token.kind not in {Kind.STRING, Kind.RAW}:
            raise TemplateProblem(f"{after.text} takes a name in quotes, not {_shown(token)}", token.at)
        return _text_of(token)

    def _define(self) -> None:
        word = self._words[self._place - 1]
        name = self._string(word)
        self._close("define")
        self._named(word, name)

    def _block(self, word: Token) -> Node:
        name = self._string(word)
        pipe = self._pipeline("block", Kind.CLOSE)
        self._named(word, name)
        return Call(name, pipe)

    def _named(self, word: Token, name: str) -> None:
        outer = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        self._deeper(word.at)
        body, end = self._inner(word)
        if end.text != "end":
            raise TemplateProblem(f"unexpected else in {word.text}", end.at)
        self._close("end")
        self._depth -= 1
        self._variables, self._ranges = outer
        if body or name not in self._defined:
            self._defined[name] = body

    def _control(self, word: Token) -> Node:
        self._deeper(word.at)
        known = len(self._variables)
        pipe = self._pipeline(word.text, Kind.CLOSE)
        self._ranges += word.text == "range"
        body, end = self._inner(word)
        otherwise: Body = ()
        if end.text == "else":
            following = self._skip_space()
            chained = following.kind is Kind.KEYWORD and following.text == word.text and word.text in {"if", "with"}
            if chained:
                # `else if` is an `if` in the `else`, and shares its `end`.
                self._next()
                otherwise = (self._control(following),)
            else:
                self._close("else")
                otherwise, end = self._inner(word)
                if end.text != "end":
                    raise TemplateProblem("a second else", end.at)
                self._close("end")
        else:
            self._close("end")
        del self._variables[known:]
        self._ranges -= word.text == "range"
        self._depth -= 1
        if word.text == "range":
            return Range(pipe, body, otherwise)
        return If(pipe, body, otherwise, sets_dot=word.text == "with")

    # Pipelines

    def _pipeline(self, context: str, end: Kind) -> Pipe:
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self._skip_space()
            if token.kind is end:
                self._next()
                break
            if token.kind in _OPERANDS or (token.kind is Kind.KEYWORD and token.text == "nil"):
                command = self._command()
                if commands and not isinstance(command.words[0], Field | Variable | Chain | Function):
                    raise TemplateProblem("only a function can take what the pipe gives", token.at)
                commands.append(command)
                continue
            raise TemplateProblem(f"unexpected {_shown(token)} in {context}", token.at)
        if not commands:
            raise TemplateProblem(f"a value is missing for {context}", token.at)
        self._variables += variables  # an assignment too: Go finds out when it renders that there is none
        return Pipe(tuple(commands), tuple(variables), assigns)

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        begin = self._place
        names: list[str] = []
        while self._skip_space().kind is Kind.VARIABLE:
            names.append(self._next().text)
            token = self._skip_space()
            if token.kind in {Kind.DECLARE, Kind.ASSIGN}:
                self._next()
                return names, token.kind is Kind.ASSIGN
            if token.kind is Kind.COMMA and context == "range" and len(names) == 1:
                self._next()
                continue
            break
        self._place = begin
        return [], False

    def _command(self) -> Command:
        words: list[Term] = []
        while True:
            token = self._skip_space()
            if token.kind in _OPERANDS or (token.kind is Kind.KEYWORD and token.text == "nil"):
                words.append(self._operand())
            token = self._peek()
            if token.kind is Kind.SPACE:
                following = self._skip_space().kind
                if following in {Kind.CLOSE, Kind.RIGHT}:
                    break
                if following is Kind.PIPE:
                    token = self._peek()
                else:
                    continue
            if token.kind is Kind.PIPE:
                self._next()  # nothing need follow, in Go
                break
            if token.kind in {Kind.CLOSE, Kind.RIGHT}:
                break
            raise TemplateProblem(f"unexpected {_shown(token)} after a value", token.at)
        if not words:
            raise TemplateProblem("a command is missing before |", self._peek().at)
        return Command(tuple(words))

    def _operand(self) -> Term:
        token = self._next()
        term = self._term(token)
        names: list[str] = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().text[1:])
        if not names:
            return term
        match term:
            case Field():
                return Field((*term.names, *names))
            case Variable():
                return Variable(term.name, (*term.names, *names))
            case Pipe() | Function():
                return Chain(term, tuple(names))
            case _:
                raise TemplateProblem(f"unexpected .{names[0]} after {token.text}", token.at)

    def _term(self, token: Token) -> Term:
        match token.kind:
            case Kind.NAME:
                if token.text not in self._functions:
                    raise TemplateProblem(_unknown_function(token.text, self._functions), token.at)
                return Function(token.text)
            case Kind.VARIABLE:
                self._known(token.text, token.at)
                return Variable(token.text)
            case Kind.FIELD:
                return Field((token.text[1:],))
            case Kind.DOT:
                return Dot()
            case Kind.KEYWORD:
                return Nil()
            case Kind.BOOL:
                return Constant(token.text == "true")
            case Kind.NUMBER:
                return _number(token)
            case Kind.LEFT:
                self._deeper(token.at)
                pipe = self._pipeline("parentheses", Kind.RIGHT)
                self._depth -= 1
                return pipe
            case _:
                return Constant(_text_of(token))

    def _known(self, name: str, at: int) -> None:
        if name not in self._variables:
            known = ", ".join(sorted(set(self._variables)))
            raise TemplateProblem(f"the variable {name} is not defined here; these are: {known}", at)


def _shown(token: Token) -> str:
    return "end of the template" if token.kind is Kind.END else token.text.strip() or "white space"


def _unknown_function(name: str, functions: Collection[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, functions, 1)
    return f"there is no function {name}" + (f"; did you mean {near[0]}?" if near else "")


def _text_of(token: Token) -> str:
    if token.kind is Kind.RAW:
        return token.text[1:-1].replace("\r", "")
    return _unescaped(token.text[1:-1], token.at)


def _unescaped(text: str, at: int) -> str:
    r"""Return a Go string (specification: String literals) without its escapes; `\x..` are bytes of UTF-8."""
    if "\\" not in text:
        return text
    out = bytearray()
    place = 0
    while place < len(text):
        if text[place] != "\\":
            out += text[place].encode("utf-8", "surrogatepass")
            place += 1
            continue
        found = _ESCAPE.match(text, place)
        if found is None or found[0] == "\\'":
            raise TemplateProblem(f"\\{text[place + 1 : place + 2]} is no escape in a string; write \\\\ for \\", at)
        escape = found[0]
        if escape[1] in "uU":
            number = int(escape[2:], 16)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise TemplateProblem(f"{escape} is no character", at)
            out += chr(number).encode()
        elif escape[1] == "x":
            out.append(int(escape[2:], 16))
        elif escape[1].isdigit():
            number = int(escape[1:], 8)
            if number > 255:
                raise TemplateProblem(f"{escape} is no byte", at)
            out.append(number)
        else:
            out += str(ast.literal_eval(f'"{escape}"')).encode()
        place = found.end()
    return out.decode("utf-8", "replace")


def _number(token: Token) -> Number:
    text = token.text
    try:
        if re.search(r"[.eE]", text) and "x" not in text.lower():
            real = float(text)
            return Number(text, int(real) if real.is_integer() and abs(real) < 2**53 else None, real)
        whole = int(text, 0)
    except (ValueError, OverflowError):
        raise TemplateProblem(f"{text} is not a number", token.at) from None
    if not -(2**63) <= whole < 2**63:
        raise TemplateProblem(f"{text} is too large for an integer; write it with a decimal point", token.at)
    return Number(text, whole, float(whole))
