"""Since when a store has samples without a gap: before, what is missing says nothing."""

from dataclasses import dataclass

LONGEST_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Coverage:
    """A store was opened at `begun_ms`; nothing was put in the `gap_ms` before (LONGEST_MS for a new one, at most)."""

    begun_ms: int
    gap_ms: int

    @classmethod
    def at(cls, begun_ms: int, newest_ms: int | None) -> "Coverage":
        """Return the coverage of a store that is opened and whose newest sample is of `newest_ms`."""
        gap_ms = LONGEST_MS if newest_ms is None else min(LONGEST_MS, max(0, begun_ms - newest_ms))
        return cls(begun_ms, gap_ms)
