"""Where targets are found: in the settings, in files that are read again when they change, in the DNS.

`look` may block (a disk, a name server) and is called by a thread that may wait. What was found stays when a file
becomes unreadable or a name server goes away: targets vanish only when their list says so.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import ValidationError

from mainstay.foundation.outside_files import (
    LIST_MOST_BYTES,
    NO_LIST,
    UnreadableFileError,
    allowed_path,
    read_file,
)
from mainstay.foundation.yaml.read import Manner, read_data
from mainstay.observe.metrics.scrape.settings import Group, ScrapeSettings

ADDRESS = "__address__"
FILES_MOST = 1000
FILE_LOOK_EVERY_S = 5.0
_LISTS = Manner(most_bytes=LIST_MOST_BYTES, aliases=False)

Discovered = dict[str, str]
"""Labels of a target before relabelling: `__address__`, `__meta_…`, and those that were given."""


class Source(Protocol):
    """A place where targets are found."""

    error: str
    """Why the last look failed, for people; "" when it did not."""
    looks: bool
    """Whether there is anything to look at; else all is known from the beginning."""
    place: object
    """Equal for sources that look at the same."""

    def due(self, now: float) -> bool:
        """Tell whether it is time to look (again); `now` in any monotonic seconds."""
        ...

    def look(self, now: float) -> None:
        """Look. May block; never raises for what the world does."""
        ...

    def found(self) -> list[Discovered]:
        """Return what the last successful look found."""
        ...


def sources_of(settings: ScrapeSettings) -> list[Source]:
    """Return the places that a scrape names."""
    found: list[Source] = []
    if settings.targets:
        found.append(Listed(settings.targets))
    if settings.file:
        found.append(Files(settings.file))
    if settings.dns:
        from mainstay.observe.metrics.scrape.dns_names import Names  # only now: it loads much, and few have any

        found += [Names(each) for each in settings.dns]
    return found


class Listed:
    """Targets that stand in the settings."""

    def __init__(self, groups: tuple[Group, ...]) -> None:
        self.error = ""
        self.looks = False
        self.place: object = object()
        self._found = list(_members(groups, {}))

    def due(self, now: float) -> bool:
        return False

    def look(self, now: float) -> None:
        """There is nothing to look at."""

    def found(self) -> list[Discovered]:
        return self._found


class Files:
    """Targets listed in JSON or YAML files, as Prometheus' file_sd has them."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.error = ""
        self.looks = True
        self.place: object = patterns
        self._patterns = patterns
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._groups: dict[Path, list[Discovered]] = {}
        self._broken: dict[Path, str] = {}
        self._next = 0.0

    def due(self, now: float) -> bool:
        return now >= self._next

    def look(self, now: float) -> None:
        self._next = now + FILE_LOOK_EVERY_S
        paths, missing = self._paths()
        for path in self._groups.keys() - set(paths):
            del self._groups[path]
        for path in self._seen.keys() - set(paths):
            del self._seen[path]
            self._broken.pop(path, None)
        for path in paths:
            self._read(path)
        self.error = "; ".join([*missing, *self._broken.values()])[:1000]

    def found(self) -> list[Discovered]:
        return [each for path in sorted(self._groups) for each in self._groups[path]]

    def _paths(self) -> tuple[list[Path], list[str]]:
        paths: dict[Path, None] = {}
        missing = []
        for pattern in self._patterns:
            try:
                given = Path(*allowed_path(pattern, NO_LIST))
            except UnreadableFileError as error:
                missing.append(f"the file {pattern} {error}")
                continue
            if "*" in given.name or "?" in given.name or "[" in given.name:
                matching = sorted(given.parent.glob(given.name)) if given.parent.is_dir() else []
            else:
                matching = [given] if given.is_file() else []
            if not matching:
                missing.append(f"there is no file {pattern}")
            paths.update(dict.fromkeys(matching))
        return list(paths)[:FILES_MOST], missing

    def _read(self, path: Path) -> None:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._seen.get(path) == stamp:
                return
            groups = read_groups(read_file(str(path), LIST_MOST_BYTES, NO_LIST), is_json=path.suffix == ".json")
        except (OSError, UnreadableFileError):
            self._broken[path] = f"the file {path} {NO_LIST}; what it said last is used"
            return
        except ValueError as error:
            self._seen[path] = stamp
            self._broken[path] = f"the file {path} lists no targets: {error}; what it said last is used"
            return
        self._seen[path] = stamp
        self._broken.pop(path, None)
        self._groups[path] = list(_members(groups, {"__meta_filepath": str(path)}))


def read_groups(content: bytes, *, is_json: bool) -> tuple[Group, ...]:
    """Return the groups of a target file.

    Raises:
        ValueError: it is not such a file. The message names the place, not the content.
    """
    given = _json(content) if is_json else read_data(content, _LISTS, as_text=True)
    if given is None:
        return ()
    if not isinstance(given, list):
        raise ValueError("it must be a list of {targets: […], labels: {…}}")
    groups = []
    for number, each in enumerate(given, 1):
        try:
            groups.append(Group.model_validate(_with_texts(each)))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            # The message of a wrong value quotes it, and the file may be one that nobody was to see.
            raise ValueError(f"group {number}, {place or 'as a whole'}: {first['type'].replace('_', ' ')}") from None
    return tuple(groups)


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno}, column {error.colno})") from None


def _with_texts(group: Any) -> Any:
    """YAML reads `port: 8080` among labels as a number; a label is text."""
    if not isinstance(group, Mapping) or not isinstance(group.get("labels"), Mapping):
        return group
    labels = {
        name: str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        for name, value in group["labels"].items()
    }
    return {**group, "labels": labels}


def _members(groups: tuple[Group, ...], about: Mapping[str, str]) -> Iterator[Discovered]:
    for group in groups:
        for address in group.targets:
            yield {**about, **group.labels, ADDRESS: address}
