"""Chunks that were written to history lately, kept in memory as they are there: what most range queries look back to.

A chunk takes one or two bytes a sample. The store's lock protects it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.series import ABSENT, Codes, Index, Samples, Times
from mainstay.observe.metrics.store.disk.chunks import Blobs, decoded

_BLOCK_BYTES = 700  # of the objects of a block, beside what they hold


@dataclass(frozen=True, slots=True, eq=False)
class RecentBlock:
    """Columns of a stream that were written at once."""

    stream: int
    times: Times  # [n]
    identities: Codes  # [chunks], ascending
    ends: NDArray[np.uint32]  # [chunks + 1]: where each chunk begins in `data`, and where the last one ends
    data: bytes

    @classmethod
    def of(cls, stream: int, times: Times, identities: Codes, chunks: Blobs) -> "RecentBlock":
        """Take over chunks, in the order of their series."""
        ends = np.zeros(len(chunks) + 1, np.uint32)
        np.cumsum([len(chunk) for chunk in chunks], out=ends[1:])
        return cls(stream, times, identities, ends, b"".join(chunks.tolist()))

    @property
    def size(self) -> int:
        """Return the bytes that it takes."""
        return _BLOCK_BYTES + len(self.data) + self.times.nbytes + self.identities.nbytes + self.ends.nbytes

    def chunks(self, identities: Codes) -> tuple[Index, list[bytes]]:
        """Return which of some series are in it, and their chunks."""
        if not len(self.identities):
            return np.empty(0, np.intp), []
        at = np.minimum(np.searchsorted(self.identities, identities), len(self.identities) - 1)
        found = np.flatnonzero(self.identities[at] == identities)
        at = at[found]
        bounds = zip(self.ends[at].tolist(), self.ends[at + 1].tolist(), strict=True)
        return found, [self.data[begin:end] for begin, end in bounds]


class Recent:
    """The blocks that were written last, up to a number of bytes."""

    def __init__(self, most_bytes: int, begin_ms: int) -> None:
        self._most_bytes = most_bytes
        self.begin_ms = begin_ms  # up to here blocks are missing
        self.bytes = 0
        self._blocks: deque[RecentBlock] = deque()
        self._of: dict[int, deque[RecentBlock]] = {}

    def add(self, blocks: Sequence[RecentBlock]) -> None:
        """Take in what was written; let go of the oldest."""
        for block in blocks:
            self._blocks.append(block)
            self._of.setdefault(block.stream, deque()).append(block)
            self.bytes += block.size
        while self.bytes > self._most_bytes:
            gone = self._blocks.popleft()
            self.bytes -= gone.size
            self.begin_ms = max(self.begin_ms, int(gone.times[-1]))
            self._of[gone.stream].popleft()
            if not self._of[gone.stream]:
                del self._of[gone.stream]

    def of(self, stream: int, after_ms: int, until_ms: int) -> list[RecentBlock]:
        """Return a stream's blocks that may have samples in (after, until], oldest first."""
        blocks = self._of.get(stream, ())
        return [block for block in blocks if block.times[-1] > after_ms and block.times[0] <= until_ms]


def joined(blocks: Sequence[Sequence[RecentBlock]], identities: Codes, rest: Samples) -> Samples:
    """Put the blocks of each group of series before the rest of its samples. What is missing in a block is ABSENT."""
    lengths = np.array([sum(len(block.times) for block in of_group) for of_group in blocks], np.intp)
    counts = lengths + rest.counts
    width = int(counts.max(initial=0))
    times = np.zeros((len(blocks), width), np.int64)
    values = np.full((len(identities), width), ABSENT)
    data: list[bytes] = []
    rows: list[Index] = []
    sizes: list[tuple[int, int, int]] = []  # of the chunks of a block: how many, where they begin, how long they are
    for group, of_group in enumerate(blocks):
        mine = np.flatnonzero(rest.group == group)
        at = 0
        for block in of_group:
            n = len(block.times)
            times[group, at : at + n] = block.times
            found, chunks = block.chunks(identities[mine])
            data += chunks
            rows.append(mine[found])
            sizes.append((len(chunks), at, n))
            at += n
        count = rest.counts[group]
        times[group, at : at + count] = rest.times[group, :count]
        values[mine, at : at + count] = rest.values[mine, :count]
    if data:
        row = np.concatenate(rows)
        many, begins, ns = np.array(sizes, np.intp).T
        begin, n_of = np.repeat(begins, many), np.repeat(ns, many)
        chunks_of_all = np.empty(len(data), object)
        chunks_of_all[:] = data
        for which, found_values in decoded(chunks_of_all, n_of):
            columns = begin[which][:, None] + np.arange(found_values.shape[1])
            values[row[which][:, None], columns] = found_values
    return Samples(times, counts, rest.group, values)
