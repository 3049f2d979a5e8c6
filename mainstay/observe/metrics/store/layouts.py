"""Which series a vector of values stands for, registered once."""

import numpy as np

from mainstay.observe.metrics.promql.series import Codes, Index


class Layout:
    """A handle: value number `positions[i]` of a vector belongs to the series in slot `slots[i]`.

    Made by `Store.layout`. As long as it is held, its series stay registered.
    """

    __slots__ = ("__weakref__", "job", "number", "positions", "size", "slots")

    def __init__(self, job: str, slots: Codes, size: int, positions: Index | None = None) -> None:
        self.job = job
        self.slots = slots
        self.size = size  # of the vectors of values
        self.positions = positions  # None: all, in order
        self.number = 0  # in the write-ahead log, given when it is first put

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def whole(self) -> bool:
        """Whether every value has a series."""
        return self.positions is None


def layout_of(job: str, slots: list[int]) -> Layout:
    """Make a layout from slots; what is negative there was refused."""
    array = np.array(slots, np.int32)
    if (array >= 0).all():
        return Layout(job, array, len(array))
    positions = np.flatnonzero(array >= 0)
    return Layout(job, array[positions], len(array), positions)
