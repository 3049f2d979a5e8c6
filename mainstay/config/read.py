"""YAML as a tree in which every key and value knows its line and column.

The values are those of YAML 1.2's core schema, not 1.1's: `18:00`, `on`, `no` and dates are text, as people mean them.
The tree is built from parser events, one by one, so that depth, size and what aliases expand to stay bounded.
"""

import math
import re
from collections.abc import Iterator
from collections.abc import Mapping as Environ
from dataclasses import dataclass, field
from typing import Any

import yaml

from mainstay.config.problems import BadFile, Problem, Problems
from mainstay.foundation.secrets import MASK

MOST_BYTES = 5_000_000
MOST_DEPTH = 40
MOST_NODES = 500_000  # aliases count as what they expand to

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_STRING_TAG = "tag:yaml.org,2002:str"
_VARIABLE = re.compile(r"\$(?:\$|\{([^}]*)\}|\{)")
_VARIABLE_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

Value = str | int | float | bool | None


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value."""

    line: int
    column: int
    value: Value
    text: str  # as written, unquoted
    problem: str = ""  # of its variables
    size: int = 1


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    line: int
    column: int
    items: list["Node"] = field(default_factory=list)
    size: int = 1


@dataclass(slots=True, eq=False)
class Entry:
    """A key, where it stands, and its value."""

    line: int
    column: int
    node: "Node"


@dataclass(slots=True, eq=False)
class Mapping:
    """Keys and values."""

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


def read(given: str | bytes, environ: Environ[str, str], problems: Problems) -> Mapping:
    """Return the tree of a file. Mistakes inside it that leave the rest readable are added to `problems`.

    Args:
        environ: what `${NAME}` stands for.

    Raises:
        BadFile: it cannot be read at all.
    """
    text = _text(given)
    reader = _Reader(environ, problems)
    try:
        for event in yaml.parse(text, _LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        raise BadFile([_syntax(error, text)]) from None
    except yaml.YAMLError as error:
        raise BadFile([Problem(1, 1, "", f"not YAML: {error}")]) from None
    root = reader.root
    if root is None or (isinstance(root, Scalar) and root.value is None):
        message = "the file is empty. To remove all that it manages, write: applications: []"
        raise BadFile([Problem(1, 1, "", message)])
    if not isinstance(root, Mapping):
        message = "must be a mapping: keys such as applications:, channels:, routes: at the beginning of lines"
        raise BadFile([Problem(root.line, root.column, "", message)])
    _tell(root, problems)
    return root


def data(node: Node) -> Any:
    """Return a node as plain Python data."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [data(item) for item in node.items]
    return {key: data(entry.node) for key, entry in node.entries.items()}


def step(path: str, node: Node, part: str | int) -> str:
    """Return the path of a part of `node`: items of lists go by their name, if they have one."""
    if isinstance(node, Sequence) and isinstance(part, int):
        item = node.items[part] if part < len(node.items) else None
        name = item.text("name") if isinstance(item, Mapping) else ""
        return f"{path}[{name or part}]"
    return f"{path}.{part}" if path else str(part)


def _text(given: str | bytes) -> str:
    size = len(given) if isinstance(given, bytes) else len(given.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        message = (
            f"the file is larger than {MOST_BYTES // 1_000_000} MB; split it and give each part a managed_as of its own"
        )
        raise BadFile([Problem(1, 1, "", message)])
    if isinstance(given, bytes):
        try:
            text = given.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = given[: error.start].decode("utf-8", "replace")
            line, column = _place(before, len(before))
            raise BadFile([Problem(line, column, "", "not UTF-8 text; save the file as UTF-8")]) from None
    else:
        text = given.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        line, column = _place(text, found.start())
        message = f"a control character (U+{ord(found[0]):04X}) may not stand here; remove it"
        raise BadFile([Problem(line, column, "", message)])
    return text


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.split("\n")
    near = next((n for n in (line, line - 1) if 0 <= n < len(lines) and _indented_by_tab(lines[n])), None)
    if near is not None:
        return Problem(near + 1, lines[near].index("\t") + 1, "", "a tab in the indentation; YAML wants spaces there")
    detail = error.problem or "not YAML"
    began = error.context_mark
    if error.context and began is not None and (began.line, began.column) != (line, column):
        detail += f", {error.context} that began on line {began.line + 1}"
    mend = "check quotes, brackets, colons and indentation here and just before"
    if any("{" in lines[n] and "${" in lines[n] for n in (line, line - 1) if 0 <= n < len(lines)):
        mend = 'inside { } and [ ] put ${NAME} in quotes: "${NAME}"'
    if 0 <= line < len(lines) and MASK in lines[line]:
        mend = f'put the mask in quotes: "{MASK}"'
    return Problem(line + 1, column + 1, "", f"not YAML: {detail}; {mend}")


def _indented_by_tab(line: str) -> bool:
    return "\t" in line[: len(line) - len(line.lstrip())]


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    line: int
    column: int
    merges: bool  # a plain `<<`


@dataclass(slots=True)
class _Reader:
    environ: Environ[str, str]
    problems: Problems
    root: Node | None = None
    documents: int = 0
    nodes: int = 0
    open: list[Node] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    names: list[str | None] = field(default_factory=list)  # anchors of the open nodes
    keys: list["_Key | None"] = field(default_factory=list)  # of the open mappings

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._refuse(event, "a second document begins here; one file holds one, so remove the line ---")

    def _refuse(self, event: Any, detail: str) -> None:
        mark = event.start_mark
        raise BadFile([Problem(mark.line + 1, mark.column + 1, "", detail)])

    def _count(self, event: Any, number: int) -> None:
        self.nodes += number
        if self.nodes > MOST_NODES:
            how = "aliases expand this file" if number > 1 else "the file grows"
            self._refuse(event, f"{how} to more than {MOST_NODES} values; split it")

    def _scalar(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if self._wants_key():
            self._key(event, event.value, line, column, plain=bool(event.implicit[0]))
            return
        self._count(event, 1)
        if event.tag not in (None, "!", _STRING_TAG):
            self._refuse(event, f"the tag {event.tag} is not read here; remove it")
        plain = bool(event.implicit[0]) and event.tag is None
        value = resolve(event.value) if plain else event.value
        node = Scalar(line, column, value, event.value)
        if isinstance(value, str):
            self._substitute(node, value)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._put(event, node)

    def _begin(self, event: Any) -> None:
        self._count(event, 1)
        if self._wants_key():
            self._refuse(event, "a key must be a single word; is something not quoted, or indented wrongly?")
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._refuse(event, f"the tag {event.tag} is not read here; remove it")
        if len(self.open) >= MOST_DEPTH:
            self._refuse(event, f"nested deeper than {MOST_DEPTH} levels; no setting lies so deep")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.open.append(Mapping(line, column) if is_mapping else Sequence(line, column))
        self.names.append(event.anchor)
        self.keys.append(None)
        if event.anchor is not None:
            self.anchors.pop(event.anchor, None)

    def _end(self) -> None:
        node = self.open.pop()
        name = self.names.pop()
        self.keys.pop()
        if isinstance(node, Mapping):
            self._merge(node)
        if name is not None:
            self.anchors[name] = node
        self._put(None, node)

    def _alias(self, event: Any) -> None:
        if event.anchor in self.names:
            self._refuse(event, f"the anchor &{event.anchor} contains itself here; remove the alias")
        node = self.anchors.get(event.anchor)
        if node is None:
            self._refuse(event, f"no anchor &{event.anchor} stands before this alias; define it above, or quote the *")
            return
        if self._wants_key():
            if not isinstance(node, Scalar):
                self._refuse(event, "a key must be a single word")
            self._key(event, str(getattr(node, "text", "")), event.start_mark.line + 1, event.start_mark.column + 1)
            return
        self._count(event, node.size)
        self._put(event, node)

    def _wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1], Mapping) and self.keys[-1] is None

    def _key(self, event: Any, key: str, line: int, column: int, *, plain: bool = True) -> None:
        self._count(event, 1)
        if not key or "\0" in key:
            self._refuse(event, "a key is missing before the colon")
        self.keys[-1] = _Key(key, line, column, merges=plain and key == "<<")

    def _put(self, event: Any, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        holder = self.open[-1]
        holder.size += node.size
        if isinstance(holder, Sequence):
            holder.items.append(node)
            return
        if isinstance(holder, Mapping):
            key = self.keys[-1]
            self.keys[-1] = None
            if key is None:
                return
            entry = Entry(key.line, key.column, node)
            if key.merges:
                holder.merged.append(node)
            elif key.name in holder.entries:
                holder.repeated.append((key.name, entry))
            else:
                holder.entries[key.name] = entry

    def _merge(self, node: Mapping) -> None:
        """What `<<` brings is overridden by what stands in the mapping itself (https://yaml.org/type/merge.html)."""
        for merged in node.merged:
            for source in merged.items if isinstance(merged, Sequence) else [merged]:
                if not isinstance(source, Mapping):
                    problem = Problem(
                        source.line, source.column, "<<", "takes a mapping, or a list of mappings: <<: *name"
                    )
                    raise BadFile([problem])
                for key, entry in source.entries.items():
                    node.entries.setdefault(key, entry)

    def _substitute(self, node: Scalar, text: str) -> None:
        def replace(found: re.Match[str]) -> str:
            if found[0] == "$$":
                return "$"
            if found[1] is not None and found[1].isdecimal():
                return found[0]  # a group of a regular expression, as relabelling has it; no variable is a number
            inside = _VARIABLE_INSIDE.fullmatch(found[1]) if found[1] is not None else None
            if inside is None:
                node.problem = (
                    "has a ${ that names no variable; write ${NAME} or ${NAME:-default}, and $$ for a plain $"
                )
                return ""
            name, default = inside[1], inside[2]
            value = self.environ.get(name) or ""
            if not value and default is None:
                node.problem = (
                    f"needs the environment variable {name}, which is not set; set it, or write ${{{name}:-default}}"
                )
            if value:
                self.problems.secrets[value] = f"${{{name}}}"
            return value or default or ""

        value = _VARIABLE.sub(replace, text) if "$" in text else text
        if "\0" in value:
            node.problem = "holds a NUL character; remove it"
        node.value = value


def resolve(text: str) -> Value:
    """Return what plain (unquoted) text means in YAML 1.2's core schema (§10.3.2); not finite numbers stay text."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _tell(root: Mapping, problems: Problems) -> None:
    """Add the problems that the reader left in the tree, now that the names along their paths are known."""
    for path, node in _walk(root):
        if isinstance(node, Scalar) and node.problem:
            problems.add(node.line, node.column, path, node.problem)
        elif isinstance(node, Mapping):
            for key, entry in node.repeated:
                first = node.entries[key].line
                problems.add(
                    entry.line, entry.column, step(path, node, key), f"given twice, first on line {first}; keep one"
                )


def _walk(root: Mapping) -> Iterator[tuple[str, Node]]:
    work: list[tuple[str, Node]] = [("", root)]
    seen: set[int] = set()
    while work:
        path, node = work.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield path, node
        if isinstance(node, Sequence):
            work.extend((step(path, node, place), item) for place, item in enumerate(node.items))
        elif isinstance(node, Mapping):
            work.extend((step(path, node, key), entry.node) for key, entry in node.entries.items())
