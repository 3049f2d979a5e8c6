"""A YAML document as a tree: every key and value with its line and column, counted from 1."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mainstay.foundation.yaml.scalars import NULLS, Value


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value."""

    kind: ClassVar[str] = "a text"
    size: ClassVar[int] = 1

    line: int
    column: int
    value: Value
    text: str  # as written, without quotes
    style: str = ""  # how it is quoted: one of " ' | > or not at all
    end_line: int = 0

    @property
    def is_null(self) -> bool:
        """Whether nothing is given."""
        return not self.style and self.text in NULLS

    def inside(self, offset: int, lines: tuple[str, ...]) -> tuple[int, int]:
        """Return line and column of a place in the text, as near as the way it is written allows.

        Args:
            lines: of the whole document.
        """
        before = self.text[:offset]
        along = len(before) - (before.rfind("\n") + 1)
        if self.style in {"|", ">"}:
            line = self.line + 1 + (before.count("\n") if self.style == "|" else 0)
            shown = lines[line - 1] if line <= len(lines) else ""
            return line, len(shown) - len(shown.lstrip(" ")) + along + 1
        if self.line != self.end_line:
            return self.line, self.column
        return self.line, self.column + along + bool(self.style)


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    kind: ClassVar[str] = "a list"
    is_null: ClassVar[bool] = False

    line: int
    column: int
    items: list["Node"] = field(default_factory=list)
    size: int = 1  # values in it and itself; aliases count as what they stand for


@dataclass(slots=True, eq=False)
class Entry:
    """A key, where it stands, and its value."""

    line: int
    column: int
    node: "Node"


@dataclass(slots=True, eq=False)
class Mapping:
    """Keys and values; what `<<` merges in comes after its own keys."""

    kind: ClassVar[str] = "a mapping"
    is_null: ClassVar[bool] = False

    line: int
    column: int
    entries: dict[str, Entry] = field(default_factory=dict)
    repeated: list[tuple[str, Entry]] = field(default_factory=list)  # keys given again
    merged: list["Node"] = field(default_factory=list)  # values of `<<`
    size: int = 1

    def text(self, key: str) -> str:
        """Return the text under `key`, or ""."""
        entry = self.entries.get(key)
        found = entry.node.value if entry is not None and isinstance(entry.node, Scalar) else None
        return found if isinstance(found, str) else ""


Node = Scalar | Sequence | Mapping


def data(node: Node, *, as_text: bool = False) -> Any:
    """Return a node as plain Python data. `as_text` leaves numbers and truths as they were written."""
    match node:
        case Scalar():
            return node.text if as_text and not node.is_null else node.value
        case Sequence():
            return [data(item, as_text=as_text) for item in node.items]
        case Mapping():
            return {key: data(entry.node, as_text=as_text) for key, entry in node.entries.items()}


def walk(root: Node) -> Iterator[Node]:
    """Yield a node and everything below it, each once, however many aliases mean it."""
    work, seen = [root], set[int]()
    while work:
        node = work.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, Sequence):
            work.extend(node.items)
        elif isinstance(node, Mapping):
            work.extend(entry.node for entry in node.entries.values())
