"""What each thread works on, written where it survives the process: in a small mapped file.

A rule, a check, a target or a message that crashes a library in C takes the whole process with it, and no `except`
sees it. So each thread writes what it works on into a slot of a file that the kernel keeps, whatever the process dies
of; the next process reads there who was in flight (`setaside.py`). Costs about a microsecond, takes no lock, imports no
Django.
"""

import contextlib
import faulthandler
import fcntl
import itertools
import mmap
import os
import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

SLOTS, SLOT_BYTES = 256, 64
STACKS_MOST = 64_000
T = TypeVar("T")
Item = tuple[str, str]  # kind, id


class SetAside(RuntimeError):
    """The item has taken its process with it again and again: nobody works on it until it is edited or released."""


_local = threading.local()
_numbers = itertools.count()  # the next is handed out in one step of the interpreter
_slots: mmap.mmap | None = None
_set_aside: frozenset[Item] = frozenset()
_suspected: frozenset[Item] = frozenset()
_cleared: set[Item] = set()
_EMPTY = bytes(1)


class working_on:  # noqa: N801  # reads as a verb: with working_on("rule", 12)
    """Marks the item that this thread works on, for the length of a `with`.

    Raises:
        SetAside: as it is entered, when the item is not to be worked on.
    """

    __slots__ = ("before", "item", "offset")

    def __init__(self, kind: str, number: int | str) -> None:
        self.item = (kind, str(number))
        self.offset = -1
        self.before = _EMPTY

    def __enter__(self) -> None:
        if self.item in _set_aside:
            raise SetAside(
                f"{self.item[0]} {self.item[1]} has taken its process with it three times and is set aside: edit it, or"
                f" run mainstay doctor --release {self.item[0]}:{self.item[1]}"
            )
        if _slots is None:
            return
        try:
            offset = _local.offset
        except AttributeError:
            number = next(_numbers)
            offset = _local.offset = number * SLOT_BYTES if number < SLOTS else -1
        if offset < 0:
            return
        text = f"{self.item[0]}:{self.item[1]}".encode()[: SLOT_BYTES - 1] + _EMPTY
        self.offset, self.before = offset, _slots[offset : offset + SLOT_BYTES]
        _slots[offset : offset + len(text)] = text

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.offset >= 0 and _slots is not None:
            _slots[self.offset : self.offset + SLOT_BYTES] = self.before
        if kind is None and self.item in _suspected:
            _cleared.add(self.item)


@types.coroutine
def steps(kind: str, number: int | str, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await `work`, marked as what the thread works on in each of its steps: many share a loop's thread."""
    resume: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    try:
        while True:
            try:
                with working_on(kind, number):
                    waited_for = resume()
            except StopIteration as done:
                if (kind, str(number)) in _suspected:
                    _cleared.add((kind, str(number)))
                result: T = done.value
                return result
            try:
                value = yield waited_for
            except BaseException as error:  # noqa: BLE001  # a cancellation is handed on like any other
                resume = lambda error=error: work.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                resume = lambda value=value: work.send(value)  # type: ignore[misc]  # noqa: E731
    finally:
        work.close()


@dataclass(frozen=True, slots=True)
class Death:
    """How a predecessor died by itself: what was in flight, and the stacks that it left."""

    items: tuple[Item, ...]
    stacks: str


class WorkFile:
    """The files of this process: slots, and the stacks that are written should it crash.

    The second is locked while the process lives: that is how the next one tells the dead from the living.
    """

    def __init__(self, home: Path, role: str) -> None:
        self.folder, self.role = home / "work", role
        self._stacks: IO[bytes] | None = None
        self._enabled_before = False

    def take_over(self) -> Iterator[Death]:
        """Return how each dead predecessor of this role crashed, and clear its files away.

        Only what the interpreter noted counts: SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL and the watchdog. Who is killed
        from outside, a machine that loses power and a clean end leave nothing, so no item is suspected for them.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(self.folder.glob(f"{self.role}-*.stacks")):
            with path.open("r+b") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # it lives
                stacks = file.read(STACKS_MOST).decode("utf-8", "replace")
            slots = path.with_suffix(".slots")
            items = _items(slots.read_bytes()) if stacks and slots.exists() else ()
            if stacks:
                yield Death(items, stacks)
            slots.unlink(missing_ok=True)  # only now: whoever records it may fail, and is called again
            path.unlink(missing_ok=True)

    def open(self) -> None:
        """Begin to note what this process works on."""
        global _slots
        self.folder.mkdir(mode=0o700, exist_ok=True)
        base = self.folder / f"{self.role}-{os.getpid()}"
        self._stacks = base.with_suffix(".stacks").open("w+b", buffering=0)
        fcntl.flock(self._stacks, fcntl.LOCK_EX)
        with base.with_suffix(".slots").open("w+b") as file:
            file.truncate(SLOTS * SLOT_BYTES)
            _slots = mmap.mmap(file.fileno(), SLOTS * SLOT_BYTES)
        self._enabled_before = faulthandler.is_enabled()
        faulthandler.enable(self._stacks, all_threads=True)

    def note_stacks(self) -> None:
        """Write the stacks of all threads, as a crash does: for the watchdog, before it ends this process."""
        if self._stacks is not None:
            faulthandler.dump_traceback(self._stacks, all_threads=True)

    def close(self) -> None:
        """Say goodbye: the process ends as it should."""
        global _slots
        if self._stacks is None:
            return
        faulthandler.disable()
        if self._enabled_before:
            faulthandler.enable()
        _slots = None
        base = self.folder / f"{self.role}-{os.getpid()}"
        for suffix in (".slots", ".stacks"):
            with contextlib.suppress(OSError):
                base.with_suffix(suffix).unlink()
        self._stacks.close()
        self._stacks = None


def know(set_aside: frozenset[Item], suspected: frozenset[Item]) -> None:
    """Take over which items are not worked on, and of which it matters that they are worked on well."""
    global _set_aside, _suspected
    _set_aside, _suspected = set_aside, suspected


def is_set_aside(kind: str, number: int | str) -> bool:
    """Tell whether nobody is to work on an item."""
    return bool(_set_aside) and (kind, str(number)) in _set_aside


def cleared() -> list[Item]:
    """Return the suspected items that were worked on well since the last call."""
    found = []
    while _cleared:
        found.append(_cleared.pop())
    return found


def _items(content: bytes) -> tuple[Item, ...]:
    found: set[Item] = set()
    for begin in range(0, len(content), SLOT_BYTES):
        text = content[begin : begin + SLOT_BYTES].partition(_EMPTY)[0].decode("utf-8", "replace")
        kind, colon, number = text.partition(":")
        if colon:
            found.add((kind, number))
    return tuple(sorted(found))
