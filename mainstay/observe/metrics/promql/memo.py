"""What has been evaluated, kept up to a number of bytes; what was used longest ago goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Memo:
    """Values by key. With `only`, the rest is not kept: what a single query needs once only costs memory."""

    def __init__(self, max_bytes: int, only: frozenset[str] | None = None) -> None:
        self._max_bytes = max_bytes
        self._only = only
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[Any, int, object]] = OrderedDict()
        self.hits = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable) -> Any:
        """Return the value, or None if it is not there (any more)."""
        found = self._kept.get(key)
        if found is None:
            return None
        self.hits += 1
        self._kept.move_to_end(key)
        return found[0]

    def put(self, what: str, key: Hashable, value: Any, size: int, holds: object = None) -> None:
        """Keep a value of so many bytes, made of `what`; `holds` lives as long, for keys that hold its identity."""
        if self._only is not None and what not in self._only:
            return
        self._kept[key] = (value, size, holds)
        self._bytes += size
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, (_, dropped, _) = self._kept.popitem(last=False)
            self._bytes -= dropped
