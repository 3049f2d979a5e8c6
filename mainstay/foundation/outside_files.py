"""Files that people name in settings: certificates, keys, lists of targets.

A path that comes through a form, the API or a file is a request to read something with the rights of this process.
So it must lie below a directory that MAINSTAY_FILES names and be a regular file of bounded size; devices, pipes,
directories and links that lead out are refused, all with one message that does not tell what exists elsewhere.

A disk can hang. Loops that must stay on time read through `pem`, which waits a moment at most. Imports no Django.
"""

import os
import stat
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from mainstay.foundation.environment import file_directories

PEM_MOST_BYTES = 1 << 20
LIST_MOST_BYTES = 16 << 20
LONGEST_PEM_TEXT = 65_536
FRESH_S = 5.0  # a certificate that was renewed in place is noticed this much later
_KEPT_MOST = 1_000
_READERS_MOST = 16  # threads that wait for a disk
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_WHERE = "below a directory that MAINSTAY_FILES names (HOME/files, unless set)"
NO_PEM = f"cannot be read as a PEM file: give PEM text, or the path of a regular file of at most 1 MB {_WHERE}"
NO_LIST = f"cannot be read as a list of targets: give the path of a regular file of at most 16 MB {_WHERE}"


class UnreadableFileError(ValueError):
    """A file is not there, not allowed, or no regular file of the right size; which of these is not told."""


def is_pem(text: str) -> bool:
    """Tell whether `text` is PEM itself instead of the path of a file."""
    return "-----BEGIN" in text


def allowed_path(given: str, message: str = NO_PEM) -> tuple[Path, Path]:
    """Return the allowed directory in which a path lies, and the way from there, by its letters alone.

    A relative path is one below the first directory.

    Raises:
        UnreadableFileError: it lies elsewhere.
    """
    directories = _directories()
    if not given or "\0" in given or len(given) > 1000 or not directories:
        raise UnreadableFileError(message)
    path = Path(os.path.normpath(directories[0] / given))
    for directory in directories:
        if path != directory and path.is_relative_to(directory):
            return directory, path.relative_to(directory)
    raise UnreadableFileError(message)


def read_file(given: str, most_bytes: int = PEM_MOST_BYTES, message: str = NO_PEM) -> bytes:
    """Return what a file says. May wait for the disk.

    Links are followed as long as they stay in the directory: certificates are often mounted that way.

    Raises:
        UnreadableFileError: see `message`, whatever the reason.
    """
    directory, way = allowed_path(given, message)
    try:
        real = Path(os.path.realpath(directory))
        inside = Path(os.path.realpath(real / way)).relative_to(real)
        descriptor = _opened(real, inside)
    except (OSError, ValueError):
        raise UnreadableFileError(message) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            raise UnreadableFileError(message)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    except OSError:
        raise UnreadableFileError(message) from None
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise UnreadableFileError(message)
    return content


def _opened(directory: Path, inside: Path) -> int:
    """Open step by step without following a link: none can be put in the way after the path was looked at."""
    place = os.open(directory, _OPEN | os.O_DIRECTORY)
    try:
        for part in inside.parts[:-1]:
            deeper = os.open(part, _OPEN | os.O_DIRECTORY, dir_fd=place)
            os.close(place)
            place = deeper
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        return os.open(inside.name, _OPEN | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=place)
    finally:
        os.close(place)


def check(given: str, most_bytes: int = PEM_MOST_BYTES, message: str = NO_PEM) -> None:
    """Refuse a path outside of the allowed directories, and what is in them but no readable file.

    One that is not there yet passes: it may come later, or lie on the monitor's host only.

    Raises:
        UnreadableFileError: it is refused.
    """
    directory, way = allowed_path(given, message)
    real = Path(os.path.realpath(directory))
    found = Path(os.path.realpath(real / way))
    if not found.is_relative_to(real):
        raise UnreadableFileError(message)
    try:
        status = found.stat()
    except FileNotFoundError:
        return
    except OSError:
        raise UnreadableFileError(message) from None
    if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
        raise UnreadableFileError(message)


def _checked(value: str) -> str:
    if not is_pem(value):
        check(value)
    return value


def _checked_secret(value: SecretStr) -> SecretStr:
    _checked(value.get_secret_value())
    return value


def _checked_path(value: Path) -> Path:
    check(str(value))
    return value


def _checked_list(value: str) -> str:
    if set("*?[") & set(Path(value).name):
        allowed_path(value, NO_LIST)
    else:
        check(value, LIST_MOST_BYTES, NO_LIST)
    return value


PemText = Annotated[str, Field(max_length=LONGEST_PEM_TEXT), AfterValidator(_checked)]
"""PEM text, or the path of a PEM file."""
checked_secret = AfterValidator(_checked_secret)
"""The same for a secret field."""
PemPath = Annotated[Path, AfterValidator(_checked_path)]
"""The path of a PEM file."""
checked_list = AfterValidator(_checked_list)
"""For the path of a list of targets; `*`, `?` and `[…]` are allowed in its last part."""


# --- without waiting for a disk ---------------------------------------------------------------------------------------


class _Known:
    """What a file said last."""

    __slots__ = ("at", "begun", "content", "done", "reading")

    def __init__(self) -> None:
        self.at = 0.0
        self.begun = 0.0
        self.content: bytes | None = None
        self.done = threading.Event()  # whether it was read once
        self.reading = False


_lock = threading.Lock()
_known: dict[tuple[str, tuple[Path, ...]], _Known] = {}
_readers = 0


def pem(given: str, wait_s: float = 0.25) -> bytes:
    """Return PEM text as bytes, or what the file of that path says, at most a few seconds old.

    Reading happens in a thread. Only the first time is waited for, `wait_s` at most: a disk that hangs costs its own
    checks their answer and others nothing.

    Raises:
        UnreadableFileError: the file cannot be read, or not in time.
    """
    if is_pem(given):
        return given.encode()
    known = _looked_up(given)
    left_s = wait_s - (time.monotonic() - known.begun)  # whoever comes later does not wait for the same again
    if not known.done.wait(max(0.0, left_s)) or known.content is None:
        raise UnreadableFileError(NO_PEM)  # without the text: it may be a key
    return known.content


def _looked_up(given: str) -> _Known:
    """Return what is known of a file; begin to read it where that is old."""
    global _readers
    key = (given, _directories())
    now = time.monotonic()
    with _lock:
        known = _known.get(key)
        if known is None:
            if len(_known) >= _KEPT_MOST:
                _known.clear()
            known = _known[key] = _Known()
        if known.reading or (known.done.is_set() and now - known.at < FRESH_S) or _readers >= _READERS_MOST:
            return known
        known.reading, known.begun = True, now
        _readers += 1
    threading.Thread(target=_read, args=(given, known), name="reads a file", daemon=True).start()
    return known


def _read(given: str, known: _Known) -> None:
    global _readers
    content = None
    try:
        content = read_file(given)
    except UnreadableFileError:
        pass
    finally:
        with _lock:
            known.content, known.at, known.reading = content, time.monotonic(), False
            _readers -= 1
        known.done.set()


def _directories() -> tuple[Path, ...]:
    return _directories_of(os.environ)


def _directories_of(environ: Mapping[str, str]) -> tuple[Path, ...]:
    return _parsed(environ.get("MAINSTAY_FILES", ""), environ.get("MAINSTAY_HOME", ""))


@lru_cache(maxsize=16)
def _parsed(given: str, home: str) -> tuple[Path, ...]:
    return file_directories(given, home)
