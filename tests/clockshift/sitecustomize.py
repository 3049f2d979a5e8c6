"""Shifts the wall clock of every Python process that starts with this directory in PYTHONPATH. For tests only.

CLOCKSHIFT_FILE names a file of eight bytes, a C double: seconds that are added to the wall clock. It is mapped into
memory, so a new value (`shift.py`) holds at once in all processes. Clocks that cannot be set are left alone.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType

_DOUBLE = struct.Struct("d")


def _begin(path: str) -> None:
    with open(path, "r+b") as file:  # noqa: PTH123  # pathlib need not be loaded in every process
        shared = mmap.mmap(file.fileno(), _DOUBLE.size)

    def shift_s() -> float:
        return float(_DOUBLE.unpack_from(shared)[0])

    real_time, real_time_ns, real_gettime = time.time, time.time_ns, time.clock_gettime

    def clock_gettime(clock: int, /) -> float:
        return real_gettime(clock) + (shift_s() if clock == time.CLOCK_REALTIME else 0.0)

    time.time = lambda: real_time() + shift_s()
    time.time_ns = lambda: real_time_ns() + int(shift_s() * 1e9)
    time.clock_gettime = clock_gettime

    # `datetime.now` asks the kernel itself: the few functions that call it are replaced as their modules are loaded.
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=shift_s())

    sys.meta_path.insert(0, _Replacing({"mainstay.foundation.clock": now, "django.utils.timezone": now}))


class _Replacing(importlib.abc.MetaPathFinder):
    """Puts another `now` into modules right after they are loaded, before anybody imports it from there."""

    def __init__(self, replacements: dict[str, Callable[[], datetime]]) -> None:
        self._replacements = replacements

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        now = self._replacements.get(fullname)
        if now is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            module.now = now  # type: ignore[attr-defined]

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if os.environ.get("CLOCKSHIFT_FILE"):
    _begin(os.environ["CLOCKSHIFT_FILE"])
