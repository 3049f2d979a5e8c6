"""The document: a tree of YAML read into the specs of its items, each with its place for messages."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mainstay.config.explain import Place, explain, key_place, locate
from mainstay.config.problems import Problems
from mainstay.config.read import Mapping, Node, Scalar, Sequence, data, step
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.explained import unknown_key
from mainstay.foundation.secrets import LEFT_MASK, MASK, LostKey, left_mask
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.spec import CheckSpec, MaintenanceSpec
from mainstay.observe.checks.spec import Common as CheckFields
from mainstay.observe.metrics.spec import SECRETS as SCRAPE_SECRETS
from mainstay.observe.metrics.spec import ScrapeSpec
from mainstay.respond.alerts.routes import default_name
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.spec import ChannelSpec
from mainstay.respond.delivery.spec import Common as ChannelFields
from mainstay.respond.rules.spec import RuleGroupSpec

SECTIONS = ("teams", "applications", "channels", "routes", "maintenance", "scrapes", "groups")
MANAGED_AS = "managed_as"
OWN_PREFIX = "x-"  # keys of one's own, to hang anchors on
MANAGED_AS_MOST = 200

S = TypeVar("S", bound=BaseModel)
KeepSecrets = Callable[[str, str, str, Any], Any]
"""(check, channel or scrape, its name, kind or field, settings with masks) → settings with the stored secrets in place
of the masks."""


@dataclass(frozen=True, slots=True)
class Item(Generic[S]):
    """One thing of the file: what it shall be, and where it stands."""

    name: str  # "shop"; of a check "shop/storefront"
    spec: S
    node: Mapping
    path: str

    def place(self, *loc: str | int) -> Place:
        """Return where a field stands (the item itself, when the field is not given)."""
        return locate(self.node, self.path, loc)


@dataclass(slots=True)
class Document:
    """What a file asks for."""

    root: Mapping
    managed_as: str = ""
    teams: list[Item[TeamSpec]] = field(default_factory=list)
    applications: list[Item[ApplicationSpec]] = field(default_factory=list)
    checks: dict[str, list[Item[CheckFields]]] = field(default_factory=dict)  # by application
    channels: list[Item[ChannelFields]] = field(default_factory=list)
    routes: list[Item[RouteSpec]] = field(default_factory=list)
    maintenance: list[Item[MaintenanceSpec]] = field(default_factory=list)
    scrapes: list[Item[ScrapeSpec]] = field(default_factory=list)
    groups: list[Item[RuleGroupSpec]] = field(default_factory=list)
    failed: set[tuple[str, str]] = field(default_factory=set)  # kind and name of what is there, but wrong


def document(root: Mapping, keep: KeepSecrets, problems: Problems) -> Document:
    """Return what the tree asks for; whatever is wrong is added to `problems`."""
    wanted = Document(root, managed_as=_managed_as(root, problems))
    for key in root.entries:
        if key not in SECTIONS and key != MANAGED_AS and not key.startswith(OWN_PREFIX):
            place = key_place(root, "", key)
            problems.add(place.line, place.column, place.path, unknown_key(key, (*SECTIONS, MANAGED_AS)))
    for node, path in _items(root, "teams", "", problems):
        wanted.teams += _item(node, path, TeamSpec, problems) or _failed(wanted, "team", node)
    for node, path in _items(root, "applications", "", problems):
        _application(node, path, wanted, keep, problems)
    for node, path in _items(root, "channels", "", problems):
        found = _item(node, path, ChannelSpec, problems, ("channel", tuple(CHANNELS), keep))
        wanted.channels += found or _failed(wanted, "channel", node)
    for node, path in _items(root, "routes", "", problems):
        wanted.routes += _item(node, path, RouteSpec, problems) or _failed(wanted, "route", node)
    for node, path in _items(root, "maintenance", "", problems):
        wanted.maintenance += _item(node, path, MaintenanceSpec, problems) or _failed(wanted, "maintenance", node)
    for node, path in _items(root, "scrapes", "", problems):
        found_scrape = _item(node, path, ScrapeSpec, problems, ("scrape", SCRAPE_SECRETS, keep))
        wanted.scrapes += _without_masks(found_scrape, problems) or _failed(wanted, "scrape", node)
    for node, path in _items(root, "groups", "", problems):
        found_rules = _item(node, path, RuleGroupSpec, problems)
        wanted.groups += found_rules or _failed(wanted, "rules", node)
        for item in found_rules:
            _rules_readable(item, problems)
    _unique(wanted.teams, problems)
    _unique(wanted.applications, problems)
    _unique(wanted.channels, problems)
    _unique(wanted.routes, problems)
    _unique(wanted.maintenance, problems)
    _unique(wanted.scrapes, problems)
    _unique(wanted.groups, problems)
    return wanted


def _managed_as(root: Mapping, problems: Problems) -> str:
    if MANAGED_AS not in root.entries:
        return ""
    name, place = root.text(MANAGED_AS).strip(), key_place(root, "", MANAGED_AS)
    if not name or len(name) > MANAGED_AS_MOST or not name.isprintable():
        detail = f"must be a name of 1 to {MANAGED_AS_MOST} characters, such as shop.yaml"
        problems.add(place.line, place.column, place.path, detail)
        return ""
    return name


def _items(holder: Mapping, key: str, path: str, problems: Problems) -> Iterator[tuple[Mapping, str]]:
    entry = holder.entries.get(key)
    if entry is None or (isinstance(entry.node, Scalar) and entry.node.value is None):
        return
    here = step(path, holder, key)
    if not isinstance(entry.node, Sequence):
        problems.add(entry.node.line, entry.node.column, here, "must be a list: lines that begin with - name:")
        return
    for place, node in enumerate(entry.node.items):
        item_path = step(here, entry.node, place)
        if isinstance(node, Mapping):
            yield node, item_path
        else:
            problems.add(
                node.line, node.column, item_path, "must be a mapping: lines of key: value, beginning with name:"
            )


def _application(node: Mapping, path: str, wanted: Document, keep: KeepSecrets, problems: Problems) -> None:
    own = Mapping(node.line, node.column, {key: entry for key, entry in node.entries.items() if key != "checks"})
    found = _item(own, path, ApplicationSpec, problems)
    name = found[0].name if found else node.text("name")
    wanted.applications += found or _failed(wanted, "application", node)
    for item in found:
        for key in ("environments", "components"):
            _unique_parts(item, key, problems)
    checks: list[Item[CheckFields]] = []
    for check, check_path in _items(node, "checks", path, problems):
        read = _item(check, check_path, CheckSpec, problems, ("check", tuple(KINDS), keep), of=name)
        checks += read or _failed(wanted, "check", check, name)
    _unique(checks, problems)
    wanted.checks.setdefault(name, []).extend(checks)
    if found:
        _parts_exist(found[0].spec, checks, problems)


def _failed(wanted: Document, kind: str, node: Mapping, of: str = "") -> list[Any]:
    name = node.text("name") or node.text("job_name")  # a scrape that was pasted is called so
    wanted.failed.add((kind, f"{of}/{name}" if of else name))
    return []


def _item(
    node: Mapping,
    path: str,
    model: type[S],
    problems: Problems,
    secret: tuple[str, tuple[str, ...], KeepSecrets] | None = None,
    of: str = "",
) -> list[Item[S]]:
    given = data(node)
    name = f"{of}/{node.text('name')}" if of else node.text("name") or node.text("job_name")
    if secret is not None and not _keep(given, node, path, name, secret, problems):
        return []
    try:
        spec = model.model_validate(given)
    except ValidationError as error:
        explain(error.errors(include_input=False, include_url=False), model, node, path, problems)
        return []
    if isinstance(spec, RouteSpec) and not name:
        name = default_name(spec)
    return [Item(name, spec, node, path)]


def _keep(
    given: dict[str, Any],
    node: Mapping,
    path: str,
    name: str,
    secret: tuple[str, tuple[str, ...], KeepSecrets],
    problems: Problems,
) -> bool:
    """Put the stored secrets in place of masks; False when there is none to put."""
    what, kinds, keep = secret
    fine = True
    for kind in kinds:
        if kind not in given:
            continue
        try:
            given[kind] = keep(what, name, kind, given[kind])
        except LostKey as error:
            place = locate(node, path, (kind,))
            problems.add(place.line, place.column, place.path, str(error))
            return False
        for loc in _masks(given[kind], (kind,)):
            place = locate(node, path, loc)
            detail = f"{MASK} keeps the stored secret, and there is none; write the secret, or ${{NAME}} of a variable"
            problems.add(place.line, place.column, place.path, detail)
            fine = False
    return fine


def _without_masks(items: list[Item[S]], problems: Problems) -> list[Item[S]]:
    """Leave out what holds a mask where no stored secret was put: a field may have been written by another name."""
    fine = []
    for item in items:
        masked = left_mask(item.spec)
        if masked is None:
            fine.append(item)
        else:
            place = item.place(*masked)
            problems.add(place.line, place.column, place.path, LEFT_MASK)
    return fine


def _masks(value: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if value == MASK:
        yield loc
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _masks(item, (*loc, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _masks(item, (*loc, place))


def _unique(items: Iterable[Item[Any]], problems: Problems) -> None:
    first: dict[str, Item[Any]] = {}
    for item in items:
        before = first.setdefault(item.name, item)
        if before is item:
            continue
        place, line = item.place("name"), before.place("name").line
        if isinstance(item.spec, RouteSpec) and item.spec.name is None:
            detail = f"matches the same as the route on line {line}; give one of them a name of its own"
        else:
            detail = f"the name {item.name.rpartition('/')[2]} is given twice, first on line {line}; rename one of them"
        problems.add(place.line, place.column, place.path, detail)


def _unique_parts(item: Item[ApplicationSpec], key: str, problems: Problems) -> None:
    first: dict[str, int] = {}
    for number, part in enumerate(getattr(item.spec, key)):
        place = item.place(key, number, "name")
        if part.name in first:
            detail = f"the name {part.name} is given twice, first on line {first[part.name]}; rename one of them"
            problems.add(place.line, place.column, place.path, detail)
        first.setdefault(part.name, place.line)


def _rules_readable(item: Item[RuleGroupSpec], problems: Problems) -> None:
    from mainstay.respond.rules.files.lint import (
        problems as problems_of,  # brings NumPy: only for files that have rules
    )

    for field_path, detail in problems_of(item.spec):
        place = item.place(*(int(part) if part.isdecimal() else part for part in field_path.split(".") if part))
        problems.add(place.line, place.column, place.path, detail)


def _parts_exist(spec: ApplicationSpec, checks: list[Item[CheckFields]], problems: Problems) -> None:
    known = {
        "environment": [part.name for part in spec.environments],
        "component": [part.name for part in spec.components],
    }
    for check in checks:
        for key, names in known.items():
            name = getattr(check.spec, key)
            if name is not None and name not in names:
                place = check.place(key)
                there = f"it has {', '.join(names)}" if names else f"add it under {key}s"
                problems.add(place.line, place.column, place.path, f"{spec.name} has no {key} named {name}; {there}")


__all__ = ["ChannelFields", "CheckFields", "Document", "Item", "KeepSecrets", "Node", "document"]
