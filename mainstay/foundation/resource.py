"""What people configure, described once; from it follow the file (plan, apply, export, reference) and the API.

A resource is one small class in the `resource.py` of its wing, named by its wing's `wing.py`. How to add one:
docs/adding-a-wing.md.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, SecretStr
from pydantic_core import to_jsonable_python

from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.refusal import Gone
from mainstay.foundation.secrets import MASK, LostKey

if TYPE_CHECKING:
    from django.db.models import QuerySet

R = TypeVar("R")
S = TypeVar("S", bound=BaseModel)
Written = dict[str, Any]
"""A spec as a document, alike for equal meaning: no defaults, no order where none counts, secrets hidden."""
UNREADABLE = (LostKey, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What reading a row raises that was stored with another key, by another version or by hand. (ValidationError is a
ValueError.)"""
Loc = tuple[str | int, ...]
"""A place within a spec: ("components", 0, "needs")."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A secret in a document: compared by what it is, shown as a mask."""

    value: str

    def __repr__(self) -> str:
        return MASK


@dataclass(frozen=True, slots=True)
class Use:
    """A name in a spec that must lead somewhere.

    Attributes:
        kind: of what it names: a resource, or what one `provides`.
        name: in full: "shop/web".
        of: the item whose part it is, when it must be a part of that one and no other.
        mend: how to make what is missing, when it is not a section of the file.
    """

    kind: str
    name: str
    loc: Loc
    of: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """What one thing cannot be without: these may not form a circle."""

    node: str
    needs: Sequence[str]
    loc: Loc


@dataclass(frozen=True, slots=True)
class By:
    """Who puts or removes, when, and for which file ("" for none)."""

    actor: Actor
    at: datetime
    file: str = ""


@dataclass(frozen=True, slots=True)
class Named(Generic[S]):
    """A spec and its full name: "shop", of a check "shop/storefront"."""

    name: str
    spec: S


class Settled(Protocol):
    """A kind of check, channel …: settings with a label."""

    @property
    def label(self) -> str:
        """What it is called."""

    @property
    def Settings(self) -> type[BaseModel]:  # noqa: N802  # a class
        """The model of its settings."""


class Resource(ABC, Generic[S]):
    """One kind of thing that people configure.

    What a subclass must say is abstract; everything else has a default that fits a plain one.
    """

    kind: ClassVar[str]
    """Its name in messages, plans and the journal: "route"."""
    section: ClassVar[str]
    """The key under which a file lists it: "routes"."""
    order: ClassVar[int]
    """Its place in the file; what others refer to comes before them. Things are removed in the opposite order."""
    spec: ClassVar[type[BaseModel]]
    within: ClassVar[str] = ""
    """The kind of the resource whose items hold the list: "application" for checks."""
    names: ClassVar[tuple[str, ...]] = ("name",)
    """The fields that may hold the name, before the spec is read."""
    ordered: ClassVar[bool] = False
    """Whether the order of its items counts. Then its actions take a position and `arrange` exists."""
    kinds: ClassVar[Mapping[str, Settled]] = {}
    """Fields of the spec of which exactly one is given, each with settings of its own."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """Fields that may hold secrets; a mask in them keeps what is stored."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Fields with lists of mappings that are known by their `name`, which is unique; their order does not count."""
    steps: ClassVar[tuple[str, ...]] = ()
    """Fields with lists of mappings whose order counts."""
    about: ClassVar[str] = ""
    """What the reference says of it beyond its fields."""
    examples: ClassVar[tuple[Written, ...]] = ()
    """Some as people write them, for the reference and for tests: together, those of all resources are a valid file.
    One `within` another belongs to the first example of that one."""
    title: ClassVar[str]
    """The heading in the reference; the link to it is made from this."""
    listed: ClassVar[str]
    """What the section is, with the link: "list of [routes](#routes), in the order in which they are tried"."""

    # What is configured

    @abstractmethod
    def rows(self) -> "QuerySet[Any]":
        """Return all rows in a stable order (that in which they are tried, when it counts), with what `read` needs."""

    def find(self, name: str) -> Any | None:
        """Read the row of this full name."""
        return self.rows().filter(name=name).first()

    @abstractmethod
    def read(self, row: Any) -> S:
        """Return a row as people write it, secrets opened.

        Raises:
            UNREADABLE: what is stored cannot be read.
        """

    def name_of(self, row: Any) -> str:
        """Return the full name of a row."""
        return str(row.name)

    def ends_at(self, row: Any) -> datetime | None:
        """Return when a row no longer matters; None for never."""
        return None

    def stored(self, row: Any) -> Mapping[str, Any]:
        """Return what a row stores in the fields that may hold secrets, these sealed."""
        return {}

    def shown(self, row: Any) -> Any:
        """Return a row as people see it: `read`, unless secrets are to be masked."""
        return self.read(row)

    def sealed(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the full name, a field and what is `stored` in it, for each row that may hold secrets."""
        for row in self.rows() if self.secrets else ():
            yield from ((self.name_of(row), field, value) for field, value in self.stored(row).items())

    # What is written

    def in_own_words(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document of another program with its fields named and placed as here, as far as it can be."""
        return document

    def called(self, spec: S) -> str:
        """Return the name of a spec within its list; one may be made from what it says."""
        return str(getattr(spec, "name", ""))

    def document(self, spec: S, of: str = "") -> Written:
        """Return a spec as a document; `of` is the item that holds it."""
        return shortened(spec)

    def problems(self, spec: S) -> Iterable[tuple[Loc, str]]:
        """Find what is wrong with a spec beyond its fields, with the place."""
        return ()

    def uses(self, name: str, spec: S) -> Iterator[Use]:
        """Yield the names that must lead somewhere."""
        yield from ()

    def provides(self, name: str, spec: S) -> Iterator[tuple[str, str]]:
        """Yield the kind and full name of each part that others may refer to."""
        yield from ()

    def known(self) -> Mapping[str, Iterable[str]]:
        """Return names, by kind, that specs may use and no file describes."""
        return {}

    def edges(self, name: str, spec: S) -> Iterator[Edge]:
        """Yield what may not form a circle."""
        yield from ()

    def in_use(self, users: Sequence[str]) -> str:
        """Return why a thing cannot be removed while `users` (full names, one at least) refer to it; "" when it can."""
        return ""

    def arranged(self, items: Sequence[Named[S]]) -> Sequence[Named[S]]:
        """Return items in the order in which they are to be put."""
        return items

    def heading(self, name: str, kind: Settled) -> tuple[str, str]:
        """Return the heading of one of `kinds` in the reference, and what is said of it."""
        return f"`{name}`", f"{kind.label}."

    # What is done

    def save(self, spec: S, by: By, existing: Any | None = None) -> Any:
        """Create a row, or make an existing one what `spec` says; return it. Who has a `put` of its own may lack this.

        Raises:
            NotAllowed, Refused.
        """
        raise NotImplementedError

    @abstractmethod
    def delete(self, row: Any, by: By) -> None:
        """Delete a row.

        Raises:
            NotAllowed, Refused.
        """

    def put(self, name: str, spec: S, by: By, position: int | None = None) -> bool:
        """Make the thing of this full name what `spec` says; `position` for what is ordered.

        Return whether `settle` is to be called.

        Raises:
            NotAllowed, Refused.
        """
        self.save(spec, by, self.find(name))
        return False

    def tie(self, name: str, spec: S) -> None:
        """Tie it to others of its kind, once all of them are there; `ties` says whether there is anything to do."""

    def ties(self, spec: S) -> bool:
        """Tell whether `tie` is to be called."""
        return False

    def settle(self) -> None:
        """Check what holds only once several were put, at the end of a transaction that put some.

        Raises:
            Refused.
        """

    def remove(self, name: str, by: By) -> None:
        """Remove it, if it is there.

        Raises:
            NotAllowed, Refused.
        """
        if (row := self.find(name)) is not None:
            with suppress(Gone):  # by somebody else: it is as it shall be
                self.delete(row, by)

    def arrange(self, names: Sequence[str], by: By) -> None:
        """Put all rows in this order."""
        raise NotImplementedError


def version_of(resource: Resource[Any], row: Any) -> str:
    """Return what stands for a row as people wrote it: another text once it was changed, and be it a secret.

    Secrets go into it as they are sealed, so that it tells nothing of them.

    Raises:
        LostKey, ValueError, TypeError, LookupError, AttributeError: what is stored cannot be read.
    """
    whole = (
        resource.shown(row),
        resource.stored(row),
        [getattr(row, name, None) for name in ("position", "managed_by")],
    )
    plain = json.dumps(to_jsonable_python(whole, by_alias=True), sort_keys=True)
    return hashlib.sha256(f"{resource.kind} {row.pk} {plain}".encode()).hexdigest()[:32]


def read_or_none(read: Callable[[R], S], row: R) -> S | None:
    """Return what `read` makes of a row, or None when what is stored cannot be used: then only a new one helps."""
    try:
        return read(row)
    except UNREADABLE:
        return None


def differences(was: BaseModel | None, now: BaseModel) -> list[str]:
    """Return the names of the fields in which two specs differ: all of them, when what was cannot be read."""
    return [name for name in type(now).model_fields if was is None or getattr(was, name) != getattr(now, name)]


def written(model: BaseModel) -> Written:
    """Return what of a model differs from its defaults, as JSON-ready data with each secret hidden."""
    found: Written = _hide(model, model.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    return found


def shortened(spec: BaseModel, order: Iterable[str] = (), *, keep: str = "", **instead: Any) -> Written:
    """Return a spec as a document: fields in `order` (or in that of the spec), `instead` in place of some, none empty.

    Args:
        keep: a field that stays even when it holds nothing but defaults, since its presence says something.
    """
    document = written(spec) | instead
    return without_empty({name: document.get(name) for name in order or type(spec).model_fields}, keep=keep)


def without_empty(document: Mapping[str, Any], keep: str = "") -> Written:
    """Return a document without what is empty, except `keep`."""
    return {name: value for name, value in document.items() if name == keep or value not in (None, [], {}, "")}


def in_full(name: str, of: str) -> str:
    """Return the full name of what a part of `of` calls `name`."""
    return name if "/" in name else f"{of}/{name}"


def own_names(names: Iterable[str], of: str) -> list[str]:
    """Return names in one form and order: those of the parts of `of` without it."""
    return sorted({name.removeprefix(f"{of}/") for name in names})


def in_present_order(names: Sequence[str], present: Sequence[str]) -> list[str]:
    """Return names in the order in which they are stored, new ones last: the journal then tells real changes only."""
    kept = [name for name in present if name in names]
    return [*kept, *(name for name in names if name not in kept)]


def _hide(value: Any, dumped: Any) -> Any:
    """Walk a model and its dump side by side, since only the model knows which of its texts are secrets."""
    if isinstance(value, SecretStr):
        return Hidden(value.get_secret_value())
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        names = {
            (info.serialization_alias or info.alias or name): name for name, info in type(value).model_fields.items()
        }
        return {shown: _hide(getattr(value, names[shown]), item) for shown, item in dumped.items()}
    if isinstance(value, Mapping) and isinstance(dumped, dict):
        return {name: _hide(value.get(name), item) for name, item in dumped.items()}
    if isinstance(value, list | tuple) and isinstance(dumped, list) and len(value) == len(dumped):
        return [_hide(one, item) for one, item in zip(value, dumped, strict=True)]
    return dumped
