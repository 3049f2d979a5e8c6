"""The write-ahead log: what history does not have yet, in segments on disk.

A segment is a file of records: length, CRC-32, kind, content. It begins with the labels of all series in memory and the
layouts in use, so that it can be read without any other segment and without the database. A record that is not whole
ends a segment: what a killed process was writing is cut off.
"""

import contextlib
import errno
import logging
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mainstay.observe.metrics.promql.series import Times

log = logging.getLogger(__name__)

MAGIC = b"mainstay samples 1\n"
_FRAME = struct.Struct("<IIB")  # length of the content, CRC-32 of kind and content, kind
_NAME = re.compile(r"wal-(\d{10})")
_PENDING_MOST = 16 << 20
NEVER = np.iinfo(np.int64).min


class Kind(IntEnum):
    """What a record says."""

    SERIES = 1
    STREAM = 2
    LAYOUT = 3
    PUT = 4
    END = 5
    OWN_TIMES = 6
    CURRENT = 7  # which layout a stream had when the segment began


@dataclass(slots=True, eq=False)
class Segment:
    """One file. `last[stream]` is the time of the last sample in it."""

    path: Path
    size: int = 0
    begun_ms: int | None = None
    last: Times = field(default_factory=lambda: np.empty(0, np.int64))

    def note(self, stream: int, at_ms: int) -> None:
        """Note that the segment has a sample of a stream."""
        if stream >= len(self.last):
            self.last = np.concatenate([self.last, np.full(max(256, stream + 1 - len(self.last)), NEVER)])
        self.last[stream] = max(self.last[stream], at_ms)

    def note_each(self, streams: np.ndarray[tuple[int], np.dtype[np.intp]], times: Times) -> None:
        """Note samples of many streams."""
        if len(streams):
            self.note(int(streams.max()), NEVER)
            np.maximum.at(self.last, streams, times)


class Log:
    """The segments of a folder. `begin` must be called before the first record is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
        self.segments = [Segment(path, path.stat().st_size) for path in paths]
        self._number = int(paths[-1].name[4:]) if paths else 0
        self._file: BinaryIO | None = None
        self._unsynced = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._writing = threading.Lock()  # of the file; taken after the lock that protects the rest

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    @property
    def current(self) -> Segment:
        """The segment that is written to."""
        return self.segments[-1]

    def begin(self) -> None:
        """Begin a new segment."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.close()
        self.segments = [segment for segment in self.segments if segment.path.exists()]
        self._number += 1
        path = self._folder / f"wal-{self._number:010d}"
        file = path.open("xb")
        try:
            file.write(MAGIC)
            file.flush()
        except OSError:  # the disk is full: tried again with a new one, of which many would be left behind
            path.unlink()
            with contextlib.suppress(OSError):
                file.close()
            raise
        self._file = file
        self.segments.append(Segment(path, len(MAGIC)))

    def write(self, kind: Kind, *parts: bytes) -> None:
        """Append a record. It is safe from the end of the process after `put_out`."""
        tag = bytes((kind,))
        checksum, length = zlib.crc32(tag), 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)
            length += len(part)
        self._pending.append(_FRAME.pack(length, checksum, kind))
        self._pending.extend(parts)
        self._pending_bytes += _FRAME.size + length
        self.segments[-1].size += _FRAME.size + length
        if self._pending_bytes > _PENDING_MOST:
            self.put_out(self.take())

    def take(self) -> list[bytes]:
        """Take the records that wait, to be put out without the lock that protects everything else."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if pending:
            self._writing.acquire()  # so that what is taken first is written first; `put_out` releases it
        return pending

    def put_out(self, records: list[bytes]) -> None:
        """Hand records to the operating system."""
        if not records:
            return
        try:
            if self._file is None:
                raise OSError(errno.ENOSPC, "no segment could be begun")
            self._file.write(b"".join(records))
            self._file.flush()
            self._unsynced = True
        finally:
            self._writing.release()

    def is_there(self) -> bool:
        """Tell whether the segments are still the files of these names."""
        file = self._file
        try:
            if file is not None:
                open_one, named = os.fstat(file.fileno()), self.segments[-1].path.stat()
                if (open_one.st_dev, open_one.st_ino) != (named.st_dev, named.st_ino):
                    return False
            return all(segment.path.exists() for segment in list(self.segments))
        except (OSError, ValueError):
            return False

    def sync(self) -> None:
        """Wait until what was flushed is on the disk. Needs no lock."""
        file = self._file
        if file is None or not self._unsynced:
            return
        self._unsynced = False
        try:
            descriptor = os.dup(file.fileno())
        except (ValueError, OSError):  # a new segment has begun meanwhile; closing the old one has synced it
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def forget(self, saved: Times) -> int:
        """Delete the segments of which history has everything: `saved[stream]` is its last time there."""
        gone = 0
        while len(self.segments) > 1:
            last = self.segments[0].last
            known = saved[: len(last)]
            if (last[: len(known)] > known).any() or (last[len(known) :] > NEVER).any():
                break
            self.segments.pop(0).path.unlink(missing_ok=True)
            gone += 1
        return gone

    def close(self) -> None:
        """Flush, sync and close the segment that is written to; on a full disk, too, it is closed for good."""
        if self._file is None:
            return
        try:
            self.put_out(self.take())
        finally:
            with self._writing:
                file, self._file = self._file, None
                try:
                    os.fsync(file.fileno())
                finally:
                    file.close()


def records(segment: Segment, *, newest: bool) -> Iterator[tuple[Kind, memoryview]]:
    """Read a segment up to the first record that is not whole. In the newest that is where the process was killed: the
    rest is cut off. In an older one the disk has failed, which is logged."""
    data = memoryview(segment.path.read_bytes())
    if bytes(data[: len(MAGIC)]) != MAGIC:
        if not newest or len(data) > len(MAGIC):
            log.error("%s is no segment of samples: it is left out", segment.path.name)
        return
    at = len(MAGIC)
    while at < len(data):
        if at + _FRAME.size > len(data):
            break
        length, checksum, kind = _FRAME.unpack_from(data, at)
        content = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(content) < length or zlib.crc32(content, zlib.crc32(bytes((kind,)))) != checksum or kind not in _KINDS:
            break
        at += _FRAME.size + length
        yield Kind(kind), content
    if at < len(data):
        lost = len(data) - at
        if newest:
            log.warning("%s: a record that was not written to its end is cut off, %d bytes", segment.path.name, lost)
            os.truncate(segment.path, at)
            segment.size = at
        else:
            log.error("%s is damaged at byte %d: %d bytes after it are left out", segment.path.name, at, lost)


_KINDS = frozenset(map(int, Kind))
