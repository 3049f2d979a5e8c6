"""YAML as nodes with their places: texts stay as they were written, and what a text means is asked where it is used.

Prometheus reads YAML with Go's yaml.v3; only its strings, integers and nulls matter to rules, so that is all that is
resolved here. Aliases and merges (`<<`) are followed. Nesting, size and the number of values are bounded.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

MOST_BYTES = 8_000_000
MOST_DEPTH = 40
MOST_NODES = 1_000_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+")
_MERGE = "tag:yaml.org,2002:merge"


class NotYaml(ValueError):
    """A text is not YAML that can be read here."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        super().__init__(detail)
        self.line = line
        self.column = column
        self.detail = detail


@dataclass(slots=True)
class Node:
    """A mapping, a list or a text, and where it stands, counted from 1."""

    _node: yaml.Node
    _content_lines: tuple[str, ...] = ()
    line: int = field(init=False)
    column: int = field(init=False)

    def __post_init__(self) -> None:
        mark = self._node.start_mark
        self.line, self.column = mark.line + 1, mark.column + 1

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_text(self) -> bool:
        """Whether it is one word or text."""
        return isinstance(self._node, yaml.ScalarNode)

    @property
    def style(self) -> str | None:
        """How a text is written: None plain, or one of `"`, `'`, `|` and `>`."""
        return self._node.style or None if isinstance(self._node, yaml.ScalarNode) else None

    @property
    def is_null(self) -> bool:
        """Whether nothing is given."""
        return self.is_text and self.style is None and self._node.value in _NULLS

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "a mapping" if self.is_mapping else "a list" if self.is_list else "a text"

    @property
    def text(self) -> str:
        """The text as it was written, without quotes; empty for a mapping or a list."""
        return str(self._node.value) if self.is_text else ""

    @property
    def whole(self) -> int | None:
        """The integer that an unquoted word is, or None. Of a fraction it is the whole part, as in yaml.v3."""
        if not self.is_text or self.style is not None:
            return None
        if not _WHOLE.fullmatch(self._node.value):
            real = float(self._node.value) if _REAL.fullmatch(self._node.value) else math.inf
            return int(real) if abs(real) < 2**63 else None
        text = self._node.value.replace("_", "")
        sign = -1 if text.startswith("-") else 1
        digits = text.lstrip("+-")
        if re.fullmatch(r"0[0-7]+", digits):
            return sign * int(digits, 8)
        return sign * int(digits, 0)

    @property
    def items(self) -> list["Node"]:
        """The items of a list."""
        return [Node(item, self._content_lines) for item in self._node.value] if self.is_list else []

    @property
    def keys(self) -> list["Node"]:
        """The keys of a mapping as they stand, without what is merged in."""
        if not self.is_mapping:
            return []
        return [Node(key, self._content_lines) for key, _ in self._node.value if key.tag != _MERGE]

    @property
    def repeated(self) -> list[tuple["Node", "Node"]]:
        """Keys that are given twice: the first and the further place."""
        first: dict[str, Node] = {}
        found = []
        for key in self.keys:
            if key.text in first:
                found.append((first[key.text], key))
            first.setdefault(key.text, key)
        return found

    def entries(self) -> Iterator[tuple["Node", "Node"]]:
        """Yield keys and values of a mapping, what is merged in after its own."""
        own: set[str] = set()
        for key, value in self._node.value if self.is_mapping else ():
            if key.tag != _MERGE and key.value not in own:
                own.add(str(key.value))
                yield Node(key, self._content_lines), Node(value, self._content_lines)
        for key, value in self._node.value if self.is_mapping else ():
            if key.tag != _MERGE:
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                for inner, given in Node(source, self._content_lines).entries():
                    if inner.text not in own:
                        own.add(inner.text)
                        yield inner, given

    def inside(self, offset: int) -> tuple[int, int]:
        """Return line and column of a place in the text, as near as the way it is written allows."""
        before = self.text[:offset]
        down = before.count("\n")
        along = len(before) - (before.rfind("\n") + 1)
        if not self.is_text:
            return self.line, self.column
        if self.style in {"|", ">"}:
            line = self.line + 1 + down if self.style == "|" else self.line + 1
            shown = self._content_lines[line - 1] if line <= len(self._content_lines) else ""
            indent = len(shown) - len(shown.lstrip(" "))
            return line, indent + along + 1
        if self._node.start_mark.line != self._node.end_mark.line:
            return self.line, self.column
        return self.line, self.column + along + (self.style is not None)


@dataclass(frozen=True, slots=True)
class Tree:
    """A document, and the line on which another one begins (0: none)."""

    root: Node | None
    further_documents: int = 0


_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_tree(given: str | bytes) -> Tree:
    """Read the first document of a text.

    Raises:
        NotYaml: it is none, or is too large or too deep to be read.
    """
    text = _decoded(given)
    further = _bounded(text)
    loader = _LOADER(text)
    try:
        if not loader.check_node():
            return Tree(None)
        node = loader.get_node()
        assert node is not None
    except yaml.MarkedYAMLError as error:
        raise _explained(error) from None
    except yaml.YAMLError as error:
        raise NotYaml(1, 1, f"not YAML: {error}") from None
    finally:
        loader.dispose()
    for unhashable in _odd_keys(node):
        mark = unhashable.start_mark
        raise NotYaml(mark.line + 1, mark.column + 1, "a key must be a single word; is something not quoted?")
    return Tree(Node(node, tuple(text.split("\n"))), further)


def _decoded(given: str | bytes) -> str:
    if len(given) > MOST_BYTES:
        raise NotYaml(1, 1, f"larger than {MOST_BYTES // 1_000_000} MB; split the file")
    if isinstance(given, str):
        return given.removeprefix("\ufeff")
    try:
        return given.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = given[: error.start].decode("utf-8", "replace")
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise NotYaml(before.count("\n") + 1, column, "not UTF-8 text; save the file as UTF-8") from None


def _bounded(text: str) -> int:
    """Refuse what is too deep or too much before it is built; return the line of a second document, or 0."""
    depth = nodes = documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    return event.start_mark.line + 1 if event.start_mark else 1
            nodes += 1
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                depth -= 1
            if depth > MOST_DEPTH or nodes > MOST_NODES:
                line, column = (event.start_mark.line, event.start_mark.column) if event.start_mark else (0, 0)
                what = f"deeper than {MOST_DEPTH} levels" if depth > MOST_DEPTH else f"more than {MOST_NODES} values"
                raise NotYaml(line + 1, column + 1, f"{what}; no rule file is like that")
    except yaml.MarkedYAMLError as error:
        if documents < 2:
            raise _explained(error) from None
    except yaml.YAMLError as error:
        raise NotYaml(1, 1, f"not YAML: {error}") from None
    return 0


def _explained(error: yaml.MarkedYAMLError) -> NotYaml:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    detail = error.problem or "not YAML"
    if error.context and error.context_mark is not None:
        detail += f", {error.context} that began on line {error.context_mark.line + 1}"
    return NotYaml(line, column, f"not YAML: {detail}; check quotes, colons and indentation here and just before")


def _odd_keys(node: yaml.Node) -> Iterator[yaml.Node]:
    work, seen = [node], set()
    while work:
        part = work.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, yaml.MappingNode):
            for key, value in part.value:
                if not isinstance(key, yaml.ScalarNode):
                    yield key
                work.append(value)
        elif isinstance(part, yaml.SequenceNode):
            work.extend(part.value)
