"""What is configured now, read from the records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from mainstay.config.document import Key
from mainstay.config.resources import resources
from mainstay.foundation.resource import UNREADABLE, Resource, Written
from mainstay.foundation.secrets import LostKey, keep_masked

READ_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Thing:
    """One configured thing; its document is empty, and its spec None, when what is stored cannot be read."""

    resource: Resource[Any]
    name: str
    spec: Any
    document: Written
    managed_by: str
    ends_at: datetime | None = None

    @property
    def kind(self) -> str:
        """The kind of its resource."""
        return self.resource.kind


@dataclass(slots=True)
class State:
    """All that is configured, in a stable order; what is ordered in that order."""

    things: dict[Key, Thing] = field(default_factory=dict)
    known: dict[str, set[str]] = field(default_factory=dict)  # names that no file describes, by kind
    doubles: list[Key] = field(default_factory=list)  # names that an older row of the kind has
    unreadable: dict[Key, str] = field(default_factory=dict)
    """What does not fit its own rules (another key, a version that knew more), and why."""

    def of(self, kind: str) -> Iterator[Thing]:
        """Return the things of one kind."""
        return (thing for thing in self.things.values() if thing.kind == kind)


def state() -> State:
    """Read everything. One row that cannot be read is named, and can be written anew or removed like any other."""
    found = State()
    for resource in resources().values():
        for kind, names in resource.known().items():
            found.known.setdefault(kind, set()).update(names)
        for row in resource.rows().iterator(chunk_size=READ_AT_ONCE):
            _add(found, resource, row)
    return found


def _add(found: State, resource: Resource[Any], row: Any) -> None:
    name, spec, document = resource.name_of(row), None, {}
    key = (resource.kind, name)
    if key in found.things:
        found.doubles.append(key)
        return
    try:
        spec = resource.read(row)
        document = resource.document(spec, name.rpartition("/")[0])
    except LostKey as error:
        spec, found.unreadable[key] = None, str(error)
    except UNREADABLE:
        # A database holds what its columns allow, whoever wrote it: any shape may stand there.
        spec, found.unreadable[key] = None, "what is stored cannot be read by this version"
    found.things[key] = Thing(resource, name, spec, document, row.managed_by, resource.ends_at(row))


def stored_secrets() -> "StoredSecrets":
    """Return what puts stored secrets in place of masks."""
    return StoredSecrets(
        {
            (resource.kind, name, field): config
            for resource in resources().values()
            for name, field, config in resource.sealed()
        }
    )


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """The stored settings, secrets sealed."""

    configs: dict[tuple[str, str, str], Any]

    def keep(self, kind: str, name: str, field: str, given: Any) -> Any:
        """Return `given` with its masks replaced by the secrets stored at the same place.

        Raises:
            LostKey: they were stored with another key.
        """
        return keep_masked(given, self.configs.get((kind, name, field)), settings.SECRET_KEY)


def managers(things: Iterable[Thing]) -> list[str]:
    """Return the files that manage any of these."""
    return sorted({thing.managed_by for thing in things} - {""})
