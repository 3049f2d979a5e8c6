"""What a template consists of once it is read. Nodes are plain values and may be rendered any number of times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B`: fields of what the dot is."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name.A.B`."""

    name: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).A.B`."""

    of: "Pipe | Function"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`."""


@dataclass(frozen=True, slots=True)
class Nil:
    """`nil`."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A string or a truth value."""

    value: str | bool


@dataclass(frozen=True, slots=True)
class Number:
    """A number. It takes the type that its place wants: that is why both forms are kept."""

    text: str
    whole: int | None  # None if it is not an integer
    real: float


@dataclass(frozen=True, slots=True)
class Command:
    """A function or operand and its arguments."""

    words: "tuple[Term, ...]"


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each fed to the next; the value may be put into variables."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False  # `=` to existing variables, not `:=`


Term = Field | Variable | Chain | Function | Dot | Nil | Constant | Number | Pipe


@dataclass(frozen=True, slots=True)
class Text:
    """Text as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is written."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class If:
    """`if` and `else`; `with` is the same, with the dot set to the value."""

    pipe: Pipe
    body: "Body"
    otherwise: "Body"
    sets_dot: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """`range` and `else`."""

    pipe: Pipe
    body: "Body"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class Leave:
    """`break`, or `continue`."""

    ends: bool


@dataclass(frozen=True, slots=True)
class Call:
    """`{{ template "name" pipeline }}`."""

    name: str
    pipe: Pipe | None


Node = Text | Action | If | Range | Leave | Call
Body = tuple[Node, ...]
