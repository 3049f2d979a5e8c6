"""The document: a tree of YAML read into the specs of its items, each with its place for messages."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from mainstay.config.explain import Place, explain, key_place, locate
from mainstay.config.problems import Problems
from mainstay.config.read import step
from mainstay.config.resources import at_the_top, inside
from mainstay.foundation.resource import Resource
from mainstay.foundation.secrets import LEFT_MASK, MASK, LostKey, left_mask
from mainstay.foundation.words.explained import unknown_key
from mainstay.foundation.yaml.nodes import Mapping, Scalar, Sequence, data

MANAGED_AS = "managed_as"
OWN_PREFIX = "x-"  # keys of one's own, to hang anchors on
MANAGED_AS_MOST = 200

Key = tuple[str, str]
"""Kind and full name: ("check", "shop/storefront")."""
KeepSecrets = Callable[[str, str, str, Any], Any]
"""(kind, full name, field, settings with masks) → settings with the stored secrets in place of the masks."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of the file: what it is to be, and where it stands."""

    resource: Resource[Any]
    name: str  # "shop"; of a check "shop/storefront"
    spec: Any
    node: Mapping
    path: str

    @property
    def key(self) -> Key:
        """Its kind and full name."""
        return self.resource.kind, self.name

    def place(self, *loc: str | int) -> Place:
        """Return where a field stands (the item itself, when the field is not given)."""
        return locate(self.node, self.path, loc)


@dataclass(slots=True)
class Document:
    """What a file asks for."""

    root: Mapping
    managed_as: str = ""
    items: list[Item] = field(default_factory=list)  # in the order of the resources, what others hold after these
    failed: set[Key] = field(default_factory=set)  # what is there, but wrong
    unread: set[str] = field(default_factory=set)  # kinds of which a section is no list

    def of(self, kind: str) -> list[Item]:
        """Return the items of one kind, in the order of the file."""
        return [item for item in self.items if item.resource.kind == kind]


AS_THEY_ARE = "*"
"""The `managed_as` of a copy of several files: each thing stays managed as it is, and nothing is removed."""


def document(root: Mapping, keep: KeepSecrets, problems: Problems) -> Document:
    """Return what the tree asks for; whatever is wrong is added to `problems`."""
    reader = _Reader(Document(root, managed_as=_managed_as(root, problems)), keep, problems)
    sections = [resource.section for resource in at_the_top()]
    for key in root.entries:
        if key not in sections and key != MANAGED_AS and not key.startswith(OWN_PREFIX):
            place = key_place(root, "", key)
            problems.add(place.line, place.column, place.path, unknown_key(key, (*sections, MANAGED_AS)))
    for resource in at_the_top():
        reader.section(resource, root, "", "")
    return reader.wanted


def _managed_as(root: Mapping, problems: Problems) -> str:
    if MANAGED_AS not in root.entries:
        return ""
    name, place = root.text(MANAGED_AS).strip(), key_place(root, "", MANAGED_AS)
    if not name or len(name) > MANAGED_AS_MOST or not name.isprintable():
        detail = f"must be a name of 1 to {MANAGED_AS_MOST} characters, such as shop.yaml"
        problems.add(place.line, place.column, place.path, detail)
        return ""
    return name


@dataclass(slots=True)
class _Reader:
    wanted: Document
    keep: KeepSecrets
    problems: Problems

    def section(self, resource: Resource[Any], holder: Mapping, path: str, of: str) -> None:
        """Read a list of items; `of`: the name of the item that holds it."""
        found: list[Item] = []
        for node, item_path in self._nodes(resource, holder, path):
            held = list(inside(resource.kind))
            sections = {one.section for one in held}
            own = Mapping(node.line, node.column, {k: v for k, v in node.entries.items() if k not in sections})
            item = self._item(resource, own if held else node, item_path, of)
            if item is not None:
                self.wanted.items.append(item)
                found.append(item)
            for one in held:
                self.section(one, node, item_path, item.name if item is not None else node.text("name"))
        self._unique(found)

    def _nodes(self, resource: Resource[Any], holder: Mapping, path: str) -> Iterator[tuple[Mapping, str]]:
        key = resource.section
        entry = holder.entries.get(key)
        if entry is None:
            return
        here = step(path, holder, key)
        if not isinstance(entry.node, Sequence):
            # Nothing after the colon is what a template or commented lines leave; it must not remove everything.
            empty = isinstance(entry.node, Scalar) and entry.node.value is None
            detail = f"is empty; write {key}: [] for none" if empty else "must be a list: lines that begin with - name:"
            self.problems.add(entry.node.line, entry.node.column, here, detail)
            self.wanted.unread.add(resource.kind)
            return
        for place, node in enumerate(entry.node.items):
            item_path = step(here, entry.node, place)
            if isinstance(node, Mapping):
                yield node, item_path
            else:
                detail = "must be a mapping: lines of key: value, beginning with name:"
                self.problems.add(node.line, node.column, item_path, detail)

    def _item(self, resource: Resource[Any], node: Mapping, path: str, of: str) -> Item | None:
        written = next((text for key in resource.names if (text := node.text(key))), "")
        name, given = f"{of}/{written}" if of else written, data(node)
        spec = self._spec(resource, name, given, node, path)
        if spec is None:
            self.wanted.failed.add((resource.kind, name))
            return None
        called = resource.called(spec)
        item = Item(resource, f"{of}/{called}" if of else called, spec, node, path)
        for loc, detail in resource.problems(spec):
            self._add(item.place(*loc), detail)
        for part in resource.parts:
            self._unique_parts(item, part)
        return item

    def _spec(
        self, resource: Resource[Any], name: str, given: dict[str, Any], node: Mapping, path: str
    ) -> BaseModel | None:
        if not self._keep(resource, name, given, node, path):
            return None
        try:
            spec: BaseModel = resource.spec.model_validate(given)
        except ValidationError as error:
            explain(error.errors(include_input=False, include_url=False), resource.spec, node, path, self.problems)
            return None
        # A mask may still stand where no stored secret was put: a field may have been written by another name.
        masked = left_mask(spec) if resource.secrets else None
        if masked is not None:
            self._add(locate(node, path, masked), LEFT_MASK)
            return None
        return spec

    def _keep(self, resource: Resource[Any], name: str, given: dict[str, Any], node: Mapping, path: str) -> bool:
        """Put the stored secrets in place of masks; False when there is none to put."""
        fine = True
        for key in resource.secrets:
            if key not in given:
                continue
            try:
                given[key] = self.keep(resource.kind, name, key, given[key])
            except LostKey as error:
                self._add(locate(node, path, (key,)), str(error))
                return False
            for loc in _masks(given[key], (key,)):
                detail = (
                    f"{MASK} keeps the stored secret, and there is none; write the secret, or ${{NAME}} of a variable"
                )
                self._add(locate(node, path, loc), detail)
                fine = False
        return fine

    def _unique(self, items: Iterable[Item]) -> None:
        first: dict[str, Item] = {}
        for item in items:
            before = first.setdefault(item.name, item)
            if before is item:
                continue
            line = before.place("name").line
            if getattr(item.spec, "name", "") is None:
                detail = (
                    f"is named {item.name} after what it matches, as is the {item.resource.kind} on line {line};"
                    " give one of them a name of its own"
                )
            else:
                name = item.name.rpartition("/")[2]
                detail = f"the name {name} is given twice, first on line {line}; rename one of them"
            self._add(item.place("name"), detail)

    def _unique_parts(self, item: Item, key: str) -> None:
        first: dict[str, int] = {}
        for number, part in enumerate(getattr(item.spec, key)):
            place = item.place(key, number, "name")
            if part.name in first:
                detail = f"the name {part.name} is given twice, first on line {first[part.name]}; rename one of them"
                self._add(place, detail)
            first.setdefault(part.name, place.line)

    def _add(self, place: Place, detail: str) -> None:
        self.problems.add(place.line, place.column, place.path, detail)


def _masks(value: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if value == MASK:
        yield loc
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _masks(item, (*loc, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _masks(item, (*loc, place))
