"""Puts blocks of samples together: those of history, of rollups and of the head, into one table of samples.

A block is a stretch of times that series of one stream share. Where a series lies in blocks of one stream only, its row
is filled by copying columns. Where it has moved between streams, or blocks overlap, its samples are sorted by time one
by one.
"""

from dataclasses import dataclass, field

import numpy as np

from mainstay.observe.metrics.promql.series import ABSENT, ABSENT_BITS, Index, Samples, Times, Values, packed


@dataclass(slots=True, eq=False)
class Blocks:
    """Blocks, and the values that were found in them."""

    streams: list[Index] = field(default_factory=list)  # by block
    lengths: list[Index] = field(default_factory=list)
    count: int = 0
    times: list[tuple[Index, Times]] = field(default_factory=list)  # blocks [k], times [k, n]
    values: list[tuple[Index, Index, Values]] = field(default_factory=list)  # rows [k], blocks [k], values [k, n]

    def add(self, streams: Index, lengths: Index) -> int:
        """Add blocks; return the number of the first."""
        first, self.count = self.count, self.count + len(streams)
        self.streams.append(streams)
        self.lengths.append(lengths)
        return first


def assembled(series: int, blocks: Blocks) -> Samples:
    """Return the samples of `series` rows, in order of time, each time once. Rows without any have a count of 0."""
    if not blocks.count or not blocks.values:
        empty = np.zeros(1, np.intp)
        return Samples(np.zeros((1, 0), np.int64), empty, np.zeros(series, np.intp), np.zeros((series, 0)))
    stream, length = np.concatenate(blocks.streams), np.concatenate(blocks.lengths)
    first, last = np.empty(blocks.count, np.int64), np.empty(blocks.count, np.int64)
    for which, times in blocks.times:
        first[which], last[which] = times[:, 0], times[:, -1]
    order = np.lexsort((first, stream))
    groups, group_of_block = np.unique(stream, return_inverse=True)
    offset, counts = np.empty(blocks.count, np.intp), np.zeros(len(groups), np.intp)
    ends = np.cumsum(length[order])
    begins_stream = np.concatenate([[True], stream[order][1:] != stream[order][:-1]])
    base = np.maximum.accumulate(np.where(begins_stream, ends - length[order], 0))
    offset[order] = ends - length[order] - base
    np.add.at(counts, group_of_block, length)
    overlaps = np.zeros(len(groups), np.bool_)
    again = (last[order][:-1] >= first[order][1:]) & ~begins_stream[1:]
    overlaps[group_of_block[order][1:][again]] = True

    least, most = np.full(series, len(groups), np.intp), np.full(series, -1, np.intp)
    for rows, which, _ in blocks.values:
        np.minimum.at(least, rows, group_of_block[which])
        np.maximum.at(most, rows, group_of_block[which])
    mixed = (least < most) | overlaps[np.minimum(least, len(groups) - 1)] & (most >= 0)
    group = np.where(most >= 0, least, 0)

    width = int(counts.max())
    all_times = np.zeros((len(groups), width), np.int64)
    for which, times in blocks.times:
        all_times[group_of_block[which][:, None], offset[which][:, None] + np.arange(times.shape[1])] = times
    values = np.full((series, width), ABSENT)
    for rows, which, found in blocks.values:
        values[rows[:, None], offset[which][:, None] + np.arange(found.shape[1])] = found
    if mixed.any():
        values[mixed] = ABSENT
    samples = packed(Samples(all_times, counts, group, values), values.view(np.uint64) == ABSENT_BITS)
    return _with_mixed(samples, blocks, mixed) if mixed.any() else samples


def _with_mixed(samples: Samples, blocks: Blocks, mixed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Samples:
    """Sort the samples of some series one by one, and give each a row of times of its own."""
    times_of = [np.empty(0, np.int64)] * blocks.count
    for which, found in blocks.times:
        for block, row in zip(which.tolist(), found, strict=True):
            times_of[block] = row
    all_rows, all_times, all_values = [], [], []
    for rows, which, values in blocks.values:
        for chosen in np.flatnonzero(mixed[rows]).tolist():
            present = values[chosen].view(np.uint64) != ABSENT_BITS
            all_rows.append(np.full(int(present.sum()), rows[chosen]))
            all_times.append(times_of[which[chosen]][present])
            all_values.append(values[chosen][present])
    row, time, value = np.concatenate(all_rows), np.concatenate(all_times), np.concatenate(all_values)
    order = np.lexsort((time, row))  # stable: of two samples at one time the one added first stays
    row, time, value = row[order], time[order], value[order]
    fresh = np.ones(len(row), np.bool_)
    fresh[1:] = (row[1:] != row[:-1]) | (time[1:] != time[:-1])
    row, time, value = row[fresh], time[fresh], value[fresh]
    places, begins, counts = np.unique(row, return_index=True, return_counts=True)
    width = max(samples.values.shape[1], int(counts.max()) if len(counts) else 0)
    column = np.arange(len(row)) - np.repeat(begins, counts)
    number = np.repeat(np.arange(len(places)), counts)
    own = np.zeros((len(places), width), np.int64)
    own[number, column] = time
    wide = np.full((len(samples.values), width), ABSENT)
    wide[:, : samples.values.shape[1]] = samples.values
    wide[row, column] = value
    times = np.zeros((len(samples.times), width), np.int64)
    times[:, : samples.times.shape[1]] = samples.times
    group = samples.group.copy()
    group[places] = len(times) + np.arange(len(places))
    return Samples(np.concatenate([times, own]), np.concatenate([samples.counts, counts.astype(np.intp)]), group, wide)


def within(samples: Samples, after_ms: int, until_ms: int) -> Samples:
    """Leave out the samples that are not in (after, until]."""
    used = np.arange(samples.times.shape[1]) < samples.counts[:, None]
    low = ((samples.times <= after_ms) & used).sum(axis=1)
    counts = ((samples.times <= until_ms) & used).sum(axis=1) - low
    if not low.any() and (counts == samples.counts).all():
        return samples
    width = int(counts.max()) if len(counts) else 0
    begin = int(low.min()) if len(low) else 0
    if (low == begin).all():
        inside = slice(begin, begin + width)
        return Samples(samples.times[:, inside], counts.astype(np.intp), samples.group, samples.values[:, inside])
    columns = np.minimum(low[:, None] + np.arange(width), max(0, samples.times.shape[1] - 1))
    times = np.take_along_axis(samples.times, columns, axis=1)
    values = np.take_along_axis(samples.values, columns[samples.group], axis=1)
    return Samples(times, counts.astype(np.intp), samples.group, values)
