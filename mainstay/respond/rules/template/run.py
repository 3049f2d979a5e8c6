"""Renders templates: Go's text/template (exec.go) over the values of Prometheus' rules, bounded in all it uses."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mainstay.respond.rules.template import functions as library
from mainstay.respond.rules.template.go_format import MOST_CHARACTERS, shown
from mainstay.respond.rules.template.parse import MAIN
from mainstay.respond.rules.template.problem import RenderProblem
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
    Number,
    Pipe,
    Range,
    Term,
    Text,
    Variable,
)
from mainstay.respond.rules.template.times import called
from mainstay.respond.rules.template.values import (
    AnyMap,
    Data,
    Duration,
    Moment,
    Samples,
    StringMap,
    Value,
    field,
    is_true,
    kind,
)

MOST_STEPS = 50_000  # nodes and commands visited; a function's arguments count by their length as well
CHARACTERS_A_STEP = 4
MOST_DEPTH = 100  # blocks, parentheses and templates in one another, at run time
MOST_QUERIES = 20


class _Left(Exception):
    """`break` or `continue` was met."""

    def __init__(self, *, ends: bool) -> None:
        self.ends = ends


class Renderer:
    """Renders one template once."""

    def __init__(
        self,
        templates: Mapping[str, Body],
        data: Data,
        query: Callable[[str], Samples],
        variables: Mapping[str, Value],
        now_ms: int,
    ) -> None:
        self._templates = templates
        self._data = data
        self._asked = query
        self._special = library.special(data, self._query, now_ms, self._rendered)
        self._variables: list[tuple[str, Value]] = [("$", data), *variables.items()]
        self._out: list[str] = []
        self._size = self._steps = self._depth = self._queries = 0

    def text(self) -> str:
        """Return the text.

        Raises:
            RenderProblem.
        """
        self._body(self._templates[MAIN], self._data)
        return "".join(self._out)

    # Bounds

    def _step(self, steps: int = 1) -> None:
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise RenderProblem(f"takes more than {MOST_STEPS} steps")

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > MOST_CHARACTERS:
            raise RenderProblem(f"makes more than {MOST_CHARACTERS} characters")
        self._out.append(text)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise RenderProblem(f"goes deeper than {MOST_DEPTH} levels")

    def _query(self, expression: str) -> Samples:
        self._queries += 1
        if self._queries > MOST_QUERIES:
            raise RenderProblem(f"asks more than {MOST_QUERIES} queries")
        return self._asked(expression)

    # Nodes

    def _body(self, body: Body, dot: Value) -> None:
        self._enter()
        for node in body:
            self._step()
            match node:
                case Text():
                    self._write(node.text)
                case Action():
                    value = self._pipe(node.pipe, dot)
                    if not node.pipe.variables:
                        self._write(shown(value))
                case If():
                    self._if(node, dot)
                case Range():
                    self._range(node, dot)
                case Leave():
                    self._depth -= 1
                    raise _Left(ends=node.ends)
                case Call():
                    self._call(node, dot)
        self._depth -= 1

    def _if(self, node: If, dot: Value) -> None:
        known = len(self._variables)
        value = self._pipe(node.pipe, dot)
        try:
            if is_true(value):
                self._body(node.body, value if node.sets_dot else dot)
            else:
                self._body(node.otherwise, dot)
        finally:
            del self._variables[known:]

    def _range(self, node: Range, dot: Value) -> None:
        known = len(self._variables)
        depth = self._depth
        value = self._pipe(node.pipe, dot)
        inside = len(self._variables)
        empty = True
        for key, element in _elements(value):
            self._step()
            empty = False
            self._bind(node.pipe, key, element)
            try:
                self._body(node.body, element)
            except _Left as left:
                self._depth = depth
                if left.ends:
                    break
            finally:
                del self._variables[inside:]
        if empty:
            self._body(node.otherwise, dot)
        del self._variables[known:]

    def _bind(self, pipe: Pipe, key: Value, element: Value) -> None:
        values = (element,) if len(pipe.variables) == 1 else (key, element)
        for name, value in zip(pipe.variables, values, strict=False):
            self._assign(name, value)

    def _call(self, node: Call, dot: Value) -> None:
        self._named(node.name, self._pipe(node.pipe, dot) if node.pipe is not None else None)

    def _named(self, name: str, data: Value) -> None:
        body = self._templates.get(name)
        if body is None:
            raise RenderProblem(f"no template {name!r} is defined")
        outer, self._variables = self._variables, [("$", data)]
        self._body(body, data)
        self._variables = outer

    def _rendered(self, name: str, data: Value) -> str:
        outer, self._out = self._out, []
        self._named(name, data)
        text = "".join(self._out)
        self._out = outer
        return text

    # Values

    def _assign(self, name: str, value: Value) -> None:
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == name:
                self._variables[place] = (name, value)
                return
        raise RenderProblem(f"{name} = gives a value to a variable that does not exist; declare it with :=")

    def _variable(self, name: str) -> Value:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise RenderProblem(f"the variable {name} is not defined here")

    def _pipe(self, pipe: Pipe, dot: Value) -> Value:
        self._enter()
        given: tuple[Value, ...] = ()
        value: Value = None
        for command in pipe.commands:
            self._step()
            value = self._command(command, dot, given)
            given = (value,)
        for name in pipe.variables:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        self._depth -= 1
        return value

    def _command(self, command: Command, dot: Value, given: tuple[Value, ...]) -> Value:
        head, arguments = command.words[0], command.words[1:]
        if isinstance(head, Function):
            return self._function(head.name, arguments, dot, given)
        has_arguments = bool(arguments or given)
        if has_arguments and not isinstance(head, Field | Variable | Chain):
            raise RenderProblem("an argument is given to what is no function")
        if isinstance(head, Nil):
            raise RenderProblem("nil is not a command")
        if not has_arguments:
            return self._term(head, dot)
        assert isinstance(head, Field | Variable | Chain)
        owner = self._term(replace(head, names=head.names[:-1]), dot) if head.names else None
        if not isinstance(owner, Moment | Duration):
            raise RenderProblem(f"{_written(head)} has arguments but is no function")
        return called(owner, head.names[-1], (*(self._term(one, dot) for one in arguments), *given))

    def _term(self, term: Term, dot: Value) -> Value:
        match term:
            case Field():
                return _chain(dot, term.names)
            case Variable():
                return _chain(self._variable(term.name), term.names)
            case Chain():
                return _chain(self._term(term.of, dot), term.names)
            case Function():
                return self._function(term.name, (), dot, ())
            case Dot():
                return dot
            case Nil():
                return None
            case Constant():
                return term.value
            case Number():
                return term.real if term.whole is None or _is_real(term.text) else term.whole
            case _:
                return self._pipe(term, dot)

    def _function(self, name: str, arguments: Sequence[Term], dot: Value, given: tuple[Value, ...]) -> Value:
        if name in {"and", "or"}:
            return self._and_or(name, arguments, dot, given)
        function = library.FIXED.get(name) or self._special[name]
        count = len(arguments) + len(given)
        if count < len(function.takes) or (count > len(function.takes) and not function.rest):
            wanted = f"at least {len(function.takes)}" if function.rest else str(len(function.takes))
            raise RenderProblem(f"{name} takes {wanted} arguments, not {count}")
        wants = [*function.takes, *[function.rest] * (count - len(function.takes))]
        values: list[Value] = []
        for argument, wanted in zip(arguments, wants, strict=False):
            values.append(self._argument(argument, wanted, dot, name))
        values += [_fitting(value, wants[-1], name) for value in given]
        self._step(sum(len(each) for each in values if isinstance(each, str | list | dict)) // CHARACTERS_A_STEP)
        value = function.does(*values)
        if isinstance(value, str) and len(value) > MOST_CHARACTERS:
            raise RenderProblem(f"{name} makes more than {MOST_CHARACTERS} characters")
        return value

    def _argument(self, argument: Term, wanted: str, dot: Value, name: str) -> Value:
        return _fitting(self._term(argument, dot), wanted, name)

    def _and_or(self, name: str, arguments: Sequence[Term], dot: Value, given: tuple[Value, ...]) -> Value:
        if not arguments and not given:
            raise RenderProblem(f"{name} takes at least 1 argument")
        value: Value = None
        for argument in arguments:
            value = self._term(argument, dot)
            if is_true(value) is (name == "or"):
                return value
        return given[0] if given else value


def _fitting(value: Value, wanted: str, name: str) -> Value:
    try:
        return library.fit(value, wanted)
    except RenderProblem as problem:
        raise RenderProblem(f"{name}: {problem}") from None


def _is_real(text: str) -> bool:
    return not text.lower().startswith(("0x", "+0x", "-0x")) and any(letter in ".eE" for letter in text)


def _chain(value: Value, names: Iterable[str]) -> Value:
    for name in names:
        value = called(value, name, ()) if isinstance(value, Moment | Duration) else field(value, name)
    return value


def _elements(value: Value) -> Iterator[tuple[Value, Value]]:
    match value:
        case None:
            return
        case StringMap() | AnyMap():
            for key in sorted(value):
                yield key, value[key]
        case list():
            yield from enumerate(value)
        case int() if not isinstance(value, bool):
            for number in range(value):  # Go 1.22; the steps bound it
                yield number, number
        case _:
            raise RenderProblem(f"range cannot go through a value of type {kind(value)}")


def _written(term: Term) -> str:
    match term:
        case Field():
            return "." + ".".join(term.names)
        case Variable():
            return ".".join((term.name, *term.names))
        case _:
            return "a value"
