"""Samples of one series as few bytes, many series at a time.

A chunk is a row of `n` values. Most metrics are whole numbers or decimals of few digits that change by small amounts.
Such a row is written as its first value times 10^e, the least of its differences, and each difference less the least
in as few bits as the greatest needs: 0, 4, 8, 16 or 32. What is not so is written as float32 where that is exact, else
as float64. Every value comes back bit by bit.

The length of a chunk follows from its first byte and `n`, so that all chunks of a kind are encoded and decoded as one
matrix: first byte, (two bitmaps: absent, stale), first value, least difference, differences.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.series import ABSENT, STALE, Index, Values, is_special, is_stale

Bytes = NDArray[np.uint8]
Blobs = NDArray[np.object_]

CONSTANT, LINEAR, BITS4, BITS8, BITS16, BITS32, FLOAT32, FLOAT64 = range(8)
_PAYLOAD: dict[int, np.dtype[np.uint8] | np.dtype[np.uint16] | np.dtype[np.uint32]] = {
    BITS8: np.dtype("<u1"),
    BITS16: np.dtype("<u2"),
    BITS32: np.dtype("<u4"),
}
_BOUND = {LINEAR: 1, BITS4: 1 << 4, BITS8: 1 << 8, BITS16: 1 << 16, BITS32: 1 << 32}
_SPECIAL = 1 << 6  # in the first byte: bitmaps follow. Bits 0 to 2 are the kind, 3 to 5 the exponent
_EXACT = float(1 << 53)
_MOST_EXPONENT = 7
_SLICE = 2_048  # rows


def encode(values: Values) -> Blobs:
    """Return the rows of `values` [rows, n ≥ 1] as chunks."""
    out = np.empty(len(values), object)
    for begin in range(0, len(values), _SLICE):  # so that what is calculated on the way stays in the caches, and small
        _encode(np.ascontiguousarray(values[begin : begin + _SLICE]), out[begin : begin + _SLICE])
    return out


def _encode(values: Values, out: Blobs) -> None:
    special = is_special(values)
    flagged = special.any(axis=1)
    plain = np.flatnonzero(~flagged)
    if len(plain):
        _encode_plain(values[plain] if flagged.any() else values, plain, None, out)
    marked = np.flatnonzero(flagged)
    if len(marked):
        where, stale = special[marked], is_stale(values[marked])
        maps = np.concatenate([np.packbits(where & ~stale, axis=1), np.packbits(stale, axis=1)], axis=1)
        _encode_plain(_filled(values[marked], where), marked, maps, out)


def _filled(values: Values, marked: NDArray[np.bool_]) -> Values:
    """Put the value before, or else the first one after, in place of those that are marked."""
    at = np.where(marked, -1, np.arange(values.shape[1]))
    at = np.maximum.accumulate(at, axis=1)
    first = np.argmin(marked, axis=1)
    at = np.where(at < 0, first[:, None], at)
    filled: Values = np.take_along_axis(values, at, axis=1)
    filled[marked.all(axis=1)] = 0.0
    return filled


def _encode_plain(values: Values, places: Index, prefix: Bytes | None, out: Blobs) -> None:
    bits = values.view(np.uint64)
    constant = (bits == bits[:, :1]).all(axis=1)
    _emit(CONSTANT, 0, [_as_bytes(values[constant, 0])], np.flatnonzero(constant), places, prefix, out)
    left = np.flatnonzero(~constant & np.isfinite(values).all(axis=1))
    probe = np.unique([0, values.shape[1] // 3, values.shape[1] // 2, values.shape[1] - 1])
    done = constant.copy()
    for exponent in range(_MOST_EXPONENT + 1):
        if not len(left):
            break
        likely = left[_scaled(values[np.ix_(left, probe)], exponent)[1]]
        if not len(likely):
            continue
        scaled, exact = _scaled(values[likely], exponent)
        rows, whole = likely[exact], scaled[exact].astype(np.int64)
        left = np.setdiff1d(left, rows, assume_unique=True)
        steps = np.diff(whole, axis=1)
        least = steps.min(axis=1)
        span = steps.max(axis=1) - least
        fits = (np.abs(least) < 1 << 31) & (span >= 0)
        bound = 0
        for kind in (LINEAR, BITS4, BITS8, BITS16, BITS32):
            mine = np.flatnonzero(fits & (span >= bound) & (span < _BOUND[kind]))
            bound = _BOUND[kind]
            if not len(mine):
                continue
            parts = [_as_bytes(whole[mine, 0]), _as_bytes(least[mine].astype(np.int32))]
            if kind != LINEAR:
                parts.append(_narrow(steps[mine] - least[mine, None], kind))
            _emit(kind, exponent, parts, rows[mine], places, prefix, out)
            done[rows[mine]] = True
    rest = np.flatnonzero(~done)
    if not len(rest):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values[rest].astype(np.float32)
    short = (narrow.astype(np.float64).view(np.uint64) == values[rest].view(np.uint64)).all(axis=1)
    _emit(FLOAT32, 0, [_as_bytes(narrow[short])], rest[short], places, prefix, out)
    _emit(FLOAT64, 0, [_as_bytes(values[rest[~short]])], rest[~short], places, prefix, out)


def _scaled(values: Values, exponent: int) -> tuple[Values, NDArray[np.bool_]]:
    """Return the values times 10^exponent, rounded, and in which rows dividing again gives the same bits."""
    factor = 10.0**exponent
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * factor)
        # + 0.0 makes −0 to 0: a −0 differs from what comes back, so its row is written as floats.
        back = (scaled + 0.0) / factor
    exact = (back.view(np.uint64) == np.ascontiguousarray(values).view(np.uint64)) & (np.abs(scaled) < _EXACT)
    return scaled, exact.all(axis=1)


def _narrow(steps: NDArray[np.int64], kind: int) -> Bytes:
    if kind != BITS4:
        return _as_bytes(steps.astype(_PAYLOAD[kind]))
    if steps.shape[1] % 2:
        steps = np.concatenate([steps, np.zeros((len(steps), 1), np.int64)], axis=1)
    return (steps[:, 0::2] | (steps[:, 1::2] << 4)).astype(np.uint8)


def _as_bytes(array: NDArray[np.generic]) -> Bytes:
    """Return an array [rows, …] as bytes [rows, length]."""
    return (
        np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1) if len(array) else np.empty((0, 0), np.uint8)
    )


def _emit(
    kind: int, exponent: int, parts: list[Bytes], rows: Index, places: Index, prefix: Bytes | None, out: Blobs
) -> None:
    if not len(rows):
        return
    if prefix is not None:
        parts = [prefix[rows], *parts]
    first = np.full((len(rows), 1), kind | exponent << 3 | (0 if prefix is None else _SPECIAL), np.uint8)
    frame = np.concatenate([first, *parts], axis=1)
    length, joined = frame.shape[1], frame.tobytes()
    out[places[rows]] = np.fromiter(
        (joined[at : at + length] for at in range(0, len(joined), length)), object, len(rows)
    )


def decoded(data: Blobs, n: Index) -> Iterator[tuple[Index, Values]]:
    """Decode chunks of `n[k]` values each; yield which ones and their values [some, n], one kind at a time."""
    if not len(data):
        return
    kinds = np.fromiter((chunk[0] for chunk in data), np.intp, len(data)) | n << 8
    for kind in np.unique(kinds).tolist():
        mine = np.flatnonzero(kinds == kind)
        joined = np.frombuffer(b"".join(data[mine].tolist()), np.uint8).reshape(len(mine), -1)
        yield mine, decode(kind & 255, kind >> 8, joined)


def decode(first: int, n: int, chunks: Bytes) -> Values:
    """Return values [chunks, n] of chunks [chunks, length] that all begin with the byte `first`."""
    kind, exponent, at = first & 7, first >> 3 & 7, 1
    size = (n + 7) // 8
    maps = None
    if first & _SPECIAL:
        maps, at = (chunks[:, 1 : 1 + size], chunks[:, 1 + size : 1 + 2 * size]), 1 + 2 * size
    values = _decode_plain(kind, exponent, n, chunks[:, at:])
    if maps is not None:
        for bitmap, mark in zip(maps, (ABSENT, STALE), strict=True):
            values[np.unpackbits(np.ascontiguousarray(bitmap), axis=1, count=n).view(np.bool_)] = mark
    return values


def _decode_plain(kind: int, exponent: int, n: int, body: Bytes) -> Values:
    if kind in (FLOAT64, FLOAT32, CONSTANT):
        floats = np.ascontiguousarray(body).view(np.float32 if kind == FLOAT32 else np.float64)
        return np.repeat(floats, n, axis=1) if kind == CONSTANT else floats.astype(np.float64)
    base = np.ascontiguousarray(body[:, :8]).view(np.int64)
    least = np.ascontiguousarray(body[:, 8:12]).view(np.int32)
    whole = np.empty((len(body), n), np.int64)
    whole[:, :1] = base
    packed = np.ascontiguousarray(body[:, 12:])
    if kind == LINEAR:
        whole[:, 1:] = least
    elif kind == BITS4:
        steps = whole[:, 1:]
        steps[:, 0::2] = (packed & 15)[:, : n // 2]
        steps[:, 1::2] = (packed >> 4)[:, : (n - 1) // 2]
        steps += least
    else:
        whole[:, 1:] = packed.view(_PAYLOAD[kind])
        whole[:, 1:] += least
    np.cumsum(whole, axis=1, out=whole)
    values = whole.astype(np.float64)
    if exponent:
        values /= 10.0**exponent
    return values
