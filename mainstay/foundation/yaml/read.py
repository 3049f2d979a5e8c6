"""From text to a tree, event by event, so that depth, size and what aliases expand to stay bounded."""

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from mainstay.foundation.yaml.nodes import Entry, Mapping, Node, Scalar, Sequence, data, walk
from mainstay.foundation.yaml.problems import NotYaml
from mainstay.foundation.yaml.scalars import resolve

MOST_BYTES = 5_000_000
MOST_DEPTH = 40
MOST_NODES = 500_000  # aliases count as what they expand to

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_STRING_TAG = "tag:yaml.org,2002:str"
_OTHER_TAGS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True, slots=True)
class Manner:
    """How much is read, and what is taken.

    Attributes:
        split: what to do with a file that is too large.
        aliases: `*name` is read, too.
        as_go: as Prometheus reads (Go's yaml.v3): only the first document counts, and tags are passed over.
    """

    most_bytes: int = MOST_BYTES
    most_nodes: int = MOST_NODES
    split: str = "split it"
    aliases: bool = True
    as_go: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says. `second` is the line on which another document begins (0: none)."""

    root: Node | None
    lines: tuple[str, ...]
    second: int = 0


_DEFAULT, _SMALL = Manner(), Manner(aliases=False)


def read_document(given: str | bytes, manner: Manner = _DEFAULT) -> Document:
    """Return the tree of a document.

    Raises:
        NotYaml: it cannot be read.
    """
    text = _text(given, manner)
    lines = tuple(text.split("\n"))
    reader = _Reader(manner)
    try:
        for event in yaml.parse(text, _LOADER):
            reader.take(event)
            if reader.second:
                break
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, lines) from None
    except yaml.YAMLError as error:
        raise NotYaml(1, 1, str(error), is_syntax=True) from None
    return Document(reader.root, lines, reader.second)


def read_data(given: str | bytes, manner: Manner = _SMALL, *, as_text: bool = False) -> Any:
    """Return the data of what people write into a box or a list of targets.

    Args:
        as_text: numbers and truths stay as they were written.

    Raises:
        NotYaml: it cannot be read, gives a key twice or (unless `manner` has it otherwise) uses aliases.
    """
    root = read_document(given, manner).root
    if root is None:
        return None
    for node in walk(root):
        if isinstance(node, Mapping) and node.repeated:
            key, entry = node.repeated[0]
            raise NotYaml(entry.line, entry.column, f"{key} is given twice, first on line {node.entries[key].line}")
    return data(root, as_text=as_text)


def _text(given: str | bytes, manner: Manner) -> str:
    size = len(given) if isinstance(given, bytes) else len(given.encode("utf-8", "surrogatepass"))
    if size > manner.most_bytes:
        raise NotYaml(1, 1, f"the file is larger than {manner.most_bytes // 1_000_000} MB", manner.split)
    if isinstance(given, bytes):
        try:
            text = given.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = given[: error.start].decode("utf-8", "replace")
            raise NotYaml(*_place(before, len(before)), "not UTF-8 text", "save the file as UTF-8") from None
    else:
        text = given.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        detail = f"a control character (U+{ord(found[0]):04X}) may not stand here"
        raise NotYaml(*_place(text, found.start()), detail, "remove it")
    return text


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _syntax(error: yaml.MarkedYAMLError, lines: tuple[str, ...]) -> NotYaml:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    near = next((n for n in (line, line - 1) if 0 <= n < len(lines) and _indented_by_tab(lines[n])), None)
    if near is not None:
        return NotYaml(near + 1, lines[near].index("\t") + 1, "a tab in the indentation", "YAML wants spaces there")
    detail = error.problem or "it cannot be read"
    began = error.context_mark
    if error.context and began is not None and (began.line, began.column) != (line, column):
        detail += f", {error.context} that began on line {began.line + 1}"
    mend = "check quotes, brackets, colons and indentation here and just before"
    return NotYaml(line + 1, column + 1, detail, mend, is_syntax=True)


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
    manner: Manner
    root: Node | None = None
    documents: int = 0
    second: int = 0
    nodes: int = 0
    open: list[Sequence | Mapping] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    names: list[str | None] = field(default_factory=list)  # anchors of the open nodes
    keys: list[_Key | None] = field(default_factory=list)  # of the open mappings

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
                self._document(event)

    def _refuse(self, event: Any, detail: str, mend: str = "") -> NoReturn:
        mark = event.start_mark
        raise NotYaml(mark.line + 1, mark.column + 1, detail, mend)

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1 and self.manner.as_go:
            self.second = event.start_mark.line + 1
        elif self.documents > 1:
            self._refuse(event, "a second document begins here", "one file holds one, so remove the line ---")

    def _count(self, event: Any, number: int) -> None:
        self.nodes += number
        if self.nodes > self.manner.most_nodes:
            how = "aliases expand this file" if number > 1 else "the file grows"
            self._refuse(event, f"{how} to more than {self.manner.most_nodes} values", "split it")

    def _scalar(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if self._wants_key():
            self._key(event, event.value, plain=bool(event.implicit[0]))
            return
        self._count(event, 1)
        if event.tag not in (None, "!", _STRING_TAG):
            self._tag(event)
        is_plain = bool(event.implicit[0]) and event.tag is None
        value = resolve(event.value) if is_plain else event.value
        style = "" if event.style in (None, "") else str(event.style)
        node = Scalar(line, column, value, event.value, style, event.end_mark.line + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._put(node)

    def _begin(self, event: Any) -> None:
        self._count(event, 1)
        if self._wants_key():
            self._refuse(event, "a key must be a single word; is something not quoted, or indented wrongly?")
        if event.tag not in _OTHER_TAGS:
            self._tag(event)
        if len(self.open) >= MOST_DEPTH:
            self._refuse(event, f"nested deeper than {MOST_DEPTH} levels", "check brackets and indentation")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.open.append(Mapping(line, column) if is_mapping else Sequence(line, column))
        self.names.append(event.anchor)
        self.keys.append(None)
        if event.anchor is not None:
            self.anchors.pop(event.anchor, None)

    def _tag(self, event: Any) -> None:
        if not self.manner.as_go:
            self._refuse(event, f"the tag {event.tag} is not read here", "remove it")

    def _end(self) -> None:
        node = self.open.pop()
        name = self.names.pop()
        self.keys.pop()
        if isinstance(node, Mapping):
            _merge(node)
        if name is not None:
            self.anchors[name] = node
        self._put(node)

    def _alias(self, event: Any) -> None:
        if not self.manner.aliases:
            self._refuse(event, "it uses aliases (*name), which are not read here")
        if event.anchor in self.names:
            self._refuse(event, f"the anchor &{event.anchor} contains itself here", "remove the alias")
        node = self.anchors.get(event.anchor)
        if node is None:
            self._refuse(
                event, f"no anchor &{event.anchor} stands before this alias", "define it above, or quote the *"
            )
        if self._wants_key():
            if not isinstance(node, Scalar):
                self._refuse(event, "a key must be a single word")
            self._key(event, node.text)
            return
        self._count(event, node.size)
        self._put(node)

    def _wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1], Mapping) and self.keys[-1] is None

    def _key(self, event: Any, key: str, *, plain: bool = True) -> None:
        self._count(event, 1)
        if not key or "\0" in key:
            self._refuse(event, "a key is missing before the colon")
        mark = event.start_mark
        self.keys[-1] = _Key(key, mark.line + 1, mark.column + 1, merges=plain and key == "<<")

    def _put(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        holder = self.open[-1]
        holder.size += node.size
        if isinstance(holder, Sequence):
            holder.items.append(node)
            return
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


def _merge(node: Mapping) -> None:
    """What `<<` brings is overridden by what stands in the mapping itself (https://yaml.org/type/merge.html)."""
    for merged in node.merged:
        for source in merged.items if isinstance(merged, Sequence) else [merged]:
            if not isinstance(source, Mapping):
                detail = "takes a mapping, or a list of mappings: <<: *name"
                raise NotYaml(source.line, source.column, detail, path="<<")
            for key, entry in source.entries.items():
                node.entries.setdefault(key, entry)
