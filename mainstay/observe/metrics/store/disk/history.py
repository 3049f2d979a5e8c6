"""Samples that have left memory, in one DuckDB file: a chunk per series, times shared by their stream.

Chunks lie in partitions of six hours, a pair of tables each: `times_N` has a row per block (the columns of a stream
that were written at once), `raw_N` a row per series and block. A whole partition is dropped when it is too old: that
frees its space at once. Rollups lie in partitions of their own, see `rollup`.

A write is one transaction, after which the samples are in history and, told by `saved`, no longer needed in the
write-ahead log: a crash before leaves them to the log, a crash after makes the log's copy be skipped.
"""

# ruff: noqa: S608  names of tables cannot be parameters; these are made of numbers

import contextlib
import logging
import shutil
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.series import ABSENT_BITS, Codes, Index, Times, Values
from mainstay.observe.metrics.store.assemble import Blocks
from mainstay.observe.metrics.store.disk.chunks import Blobs, decoded, encode
from mainstay.observe.metrics.store.disk.opening import FILE, file_id, open_database, unused
from mainstay.observe.metrics.store.limits import HOUR_MS
from mainstay.observe.metrics.store.recent import RecentBlock

log = logging.getLogger(__name__)

FREE_LEFT_BYTES = 64 << 20
PARTITION_MS = 6 * HOUR_MS
COUNTER_ENDS = ("_total", "_count", "_sum", "_bucket")
Columns = dict[str, NDArray[Any]]


class HistoryFailed(OSError):
    """DuckDB could not do what it was asked, for example because the disk is full."""


@dataclass(slots=True, eq=False)
class Block:
    """Columns of a stream on their way to history."""

    stream: int
    times: Times  # [n]
    identities: Codes  # [rows]
    values: Values  # [rows, n], a copy


@dataclass(slots=True)
class Span:
    """What a partition holds: times of its first and last sample."""

    first: int
    last: int


@dataclass(slots=True, eq=False)
class Chunks:
    """Chunks that were read: `rows[k]` is a position among the identities asked for."""

    rows: Index  # [k]
    block: Index  # [k], a row of the arrays below
    data: Blobs  # [k]
    number: Index  # [blocks]
    stream: Index  # [blocks]
    n: Index  # [blocks]
    times: Blobs  # [blocks]


@dataclass(slots=True)
class NewSeries:
    """Series that history does not know yet."""

    identity: list[int]
    metric: list[str]
    labels: list[bytes]  # JSON


class History:
    """The database. Writes come from one thread at a time; reads from any."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self.folder = folder
        self._memory_bytes = memory_bytes
        self._connection = open_database(folder, memory_bytes)
        self._file_id = file_id(folder / FILE)
        self._lock = threading.Lock()  # of the connection that writes
        self.partitions: dict[int, Span] = {}
        self.saved: dict[int, int] = {}  # stream to time of its last sample here
        self.streams: dict[int, tuple[str, str]] = {}  # number to key and job
        self._load()
        (last,) = self._row("SELECT coalesce(max(series), 0) FROM series")
        self.last_identity = int(last)
        (ended,) = self._row("SELECT max(ended) FROM series")
        self.last_ended: int | None = ended
        self.dropped_ms = self.marks().get("dropped")  # up to here some samples are not kept any more

    def _load(self) -> None:
        since: dict[int, int] = {}
        for stream, key, job, block in self._connection.execute(
            "SELECT stream, key, job, since FROM streams ORDER BY since"
        ).fetchall():
            self.streams[stream], since[stream] = (key, job), block
        self.next_block = 1
        for number in self.tables("times_"):
            first, last, block = self._row(f"SELECT min(first), max(last), max(block) FROM times_{number}")
            if block is None:
                continue
            self.partitions[number] = Span(first, last)
            self.next_block = max(self.next_block, block + 1)
            for stream, at, newest in self._connection.execute(
                f"SELECT stream, max(last), max(block) FROM times_{number} GROUP BY stream"
            ).fetchall():
                if newest >= since.get(stream, 0):
                    self.saved[stream] = max(at, self.saved.get(stream, at))

    def _row(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        (row,) = self._connection.execute(query, parameters).fetchall()
        return tuple(row)

    def tables(self, prefix: str) -> list[int]:
        """Return the numbers of the partitions whose tables begin with `prefix`, in order."""
        found = self._connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, ?)", [prefix]
        ).fetchall()
        return sorted(int(name[len(prefix) :]) for (name,) in found)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Do what the block does completely or not at all.

        Raises:
            HistoryFailed: it could not be done.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(duckdb.Error):
                    self._connection.execute("ROLLBACK")
                if isinstance(error, duckdb.Error):
                    raise HistoryFailed(str(error)) from error
                raise

    def write(
        self,
        blocks: Sequence[Block],
        series: NewSeries,
        streams: Sequence[tuple[int, str, str]],
        families: Sequence[tuple[str, str, str, str]] = (),
    ) -> list[RecentBlock]:
        """Add blocks, and the series, streams (number, key, job) and families that are new; return what was written.

        Raises:
            HistoryFailed: nothing was written.
        """
        rows, times = _encoded(blocks, self.next_block)
        kept = _kept(blocks, rows, self.next_block)
        partitions = np.array([int(block.times[0]) // PARTITION_MS for block in blocks], np.int64)
        spans: dict[int, Span] = {}
        with self.transaction() as connection:
            if streams:
                connection.executemany(
                    "INSERT INTO streams VALUES (?, ?, ?, ?)", [(*stream, self.next_block) for stream in streams]
                )
            if series.identity:
                insert(
                    connection,
                    "series",
                    "identity, metric, labels, NULL",
                    {
                        "identity": np.array(series.identity, np.int32),
                        "metric": np.array(series.metric, object),
                        "labels": _objects(series.labels),
                    },
                )
            if families:
                names = [family[0] for family in families]
                connection.execute("DELETE FROM families WHERE name IN (SELECT unnest(?))", [names])
                connection.executemany("INSERT INTO families VALUES (?, ?, ?, ?)", families)
            for number in np.unique(partitions).tolist():
                spans[number] = self._write_partition(connection, number, rows, times, partitions == number)
        for number, span in spans.items():
            known = self.partitions.setdefault(number, span)
            known.first, known.last = min(known.first, span.first), max(known.last, span.last)
        for block in blocks:
            self.saved[block.stream] = int(block.times[-1])
        self.next_block += len(blocks)
        for number, key, job in streams:
            self.streams[number] = (key, job)
        if series.identity:
            self.last_identity = max(self.last_identity, *series.identity)
        return kept

    def _write_partition(
        self, connection: duckdb.DuckDBPyConnection, number: int, rows: Columns, times: Columns, mine: NDArray[np.bool_]
    ) -> Span:
        if number not in self.partitions:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS times_{number} "
                "(block INTEGER, stream INTEGER, first BIGINT, last BIGINT, n USMALLINT, data BLOB)"
            )
            connection.execute(f"CREATE TABLE IF NOT EXISTS raw_{number} (series INTEGER, block INTEGER, data BLOB)")
        here = {name: column[mine] for name, column in times.items()}
        insert(connection, f"times_{number}", "block, stream, first, last, n, data", here)
        chosen = mine[rows["block"] - self.next_block]
        insert(
            connection, f"raw_{number}", "series, block, data", {name: column[chosen] for name, column in rows.items()}
        )
        return Span(int(here["first"].min()), int(here["last"].max()))

    def is_there(self) -> bool:
        """Tell whether the file of that name is the one that is open."""
        return file_id(self.folder / FILE) == self._file_id

    def copy_to(self, path: Path) -> None:
        """Write all that is committed into a new database, while others go on writing.

        Raises:
            HistoryFailed: it could not be written; nothing of it is left.
        """
        path.unlink(missing_ok=True)
        try:
            self._copy(self.reader(), path)
        except duckdb.Error as error:
            path.unlink(missing_ok=True)
            raise HistoryFailed(str(error)) from error

    @staticmethod
    def _copy(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        shown = str(path).replace("'", "''")
        ((name,),) = connection.execute("SELECT current_database()").fetchall()
        connection.execute(f"ATTACH '{shown}' AS another")
        try:
            connection.execute(f'COPY FROM DATABASE "{name}" TO another')
            connection.execute("CHECKPOINT another")
        finally:
            connection.execute("DETACH another")

    def rescue(self) -> None:
        """Write all there is into a new file, after the one that is open was deleted or replaced.

        The one that took its place is set aside.

        Raises:
            OSError: it could not be done, for example because the disk is full; what is open is used as before.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / FILE
        copy = self.folder / f"{FILE}.rescued"
        try:
            if shutil.disk_usage(self.folder).free < self.used_bytes() * 1.1 + FREE_LEFT_BYTES:
                raise HistoryFailed("there is not enough room on the disk for another copy of it")
            with self._lock:
                self.copy_to(copy)
                if path.exists():
                    path.rename(unused(path))
                path.with_name(f"{FILE}.wal").unlink(missing_ok=True)
                copy.rename(path)
                self._connection.close()
                self._connection = open_database(self.folder, self._memory_bytes)
                self._file_id = file_id(path)
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error

    def reader(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own for reading."""
        return self._connection.cursor()

    def read(self, identities: Codes, after_ms: int, until_ms: int) -> list[Chunks]:
        """Return the chunks of these series that may have samples in (after, until], partition by partition.

        Raises:
            HistoryFailed: the database cannot be read.
        """
        if not len(identities):
            return []
        order = np.argsort(identities).astype(np.intp)
        ordered = identities[order]
        wanted = {"series": np.ascontiguousarray(ordered)}
        found = []
        try:
            connection = self.reader()
            for number, span in sorted(self.partitions.items()):
                if span.last <= after_ms or span.first > until_ms:
                    continue
                chunks = self._read_partition(connection, number, wanted, after_ms, until_ms)
                if chunks is not None:
                    chunks.rows = order[np.searchsorted(ordered, chunks.rows)]
                    found.append(chunks)
        except duckdb.CatalogException:  # the partition was dropped meanwhile: it was older than what is kept
            return found
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error
        return found

    def _read_partition(
        self, connection: duckdb.DuckDBPyConnection, number: int, wanted: Columns, after_ms: int, until_ms: int
    ) -> Chunks | None:
        bounds = connection.execute(
            f"SELECT min(block), max(block) FROM times_{number} WHERE last > ? AND first <= ?", [after_ms, until_ms]
        ).fetchall()[0]
        if bounds[0] is None:
            return None
        connection.register("wanted", wanted)
        got = connection.execute(
            f"SELECT series, block, data FROM raw_{number} "
            "WHERE block BETWEEN ? AND ? AND series IN (SELECT series FROM wanted)",
            list(bounds),
        ).fetchnumpy()
        connection.unregister("wanted")
        blocks, of = np.unique(got["block"], return_inverse=True)
        if not len(blocks):
            return None
        connection.register("wanted", {"block": blocks})
        times = connection.execute(
            f"SELECT block, stream, n, data FROM times_{number} "
            "WHERE block IN (SELECT block FROM wanted) ORDER BY block"
        ).fetchnumpy()
        connection.unregister("wanted")
        return Chunks(
            got["series"],
            of.astype(np.intp),
            got["data"],
            blocks.astype(np.intp),
            times["stream"].astype(np.intp),
            times["n"].astype(np.intp),
            times["data"],
        )

    def series_ended_after(self, after_ms: int, metric: str | None) -> tuple[Codes, list[dict[str, str]]]:
        """Return numbers and labels of series that are in history and had left memory later than a time.

        Raises:
            HistoryFailed: the database cannot be read.
        """
        if self.last_ended is None or self.last_ended <= after_ms:
            return np.empty(0, np.int32), []
        query, parameters = "SELECT series, labels FROM series WHERE ended > ?", [after_ms]
        if metric is not None:
            query, parameters = f"{query} AND metric = ?", [after_ms, metric]  # type: ignore[list-item]
        try:
            got = self.reader().execute(query, parameters).fetchnumpy()
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error
        return got["series"], [orjson.loads(bytes(labels)) for labels in got["labels"].tolist()]

    def end_series(self, identities: Codes, ended_ms: int) -> None:
        """Note that series have left memory.

        Raises:
            HistoryFailed: nothing was noted.
        """
        if not len(identities):
            return
        with self.transaction() as connection:
            connection.register("gone", {"series": np.ascontiguousarray(identities)})
            connection.execute("UPDATE series SET ended = ? WHERE series IN (SELECT series FROM gone)", [ended_ms])
            connection.unregister("gone")
        self.last_ended = max(self.last_ended or ended_ms, ended_ms)

    def begin_series(self, identities: Codes, ended_ms: int) -> None:
        """Note which series are in memory when the store opens: these have not ended, all others have.

        Raises:
            HistoryFailed: nothing was noted.
        """
        with self.transaction() as connection:
            connection.register("here", {"series": np.ascontiguousarray(identities)})
            connection.execute(
                "UPDATE series SET ended = ? WHERE ended IS NULL AND series NOT IN (SELECT series FROM here)",
                [ended_ms],
            )
            connection.execute(
                "UPDATE series SET ended = NULL WHERE ended IS NOT NULL AND series IN (SELECT series FROM here)"
            )
            connection.unregister("here")
        (self.last_ended,) = self._row("SELECT max(ended) FROM series")

    def identities(self, after_ms: int, until_ms: int) -> Codes:
        """Return the numbers of series that may have samples in (after, until], in order.

        Raises:
            HistoryFailed: the database cannot be read.
        """
        found = [np.empty(0, np.int32)]
        try:
            connection = self.reader()
            for number, span in sorted(self.partitions.items()):
                if span.last <= after_ms or span.first > until_ms:
                    continue
                rows = connection.execute(
                    f"SELECT DISTINCT series FROM raw_{number} WHERE block IN "
                    f"(SELECT block FROM times_{number} WHERE last > ? AND first <= ?)",
                    [after_ms, until_ms],
                ).fetchnumpy()
                found.append(rows["series"])
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error
        return np.unique(np.concatenate(found))

    def are_counters(self, identities: Codes, known: Container[str]) -> NDArray[np.bool_]:
        """Tell which series are counters, by the known types of their metrics, else by how their names end.

        Raises:
            HistoryFailed: the database cannot be read.
        """
        try:
            connection = self.reader()
            connection.register("wanted", {"series": np.ascontiguousarray(identities)})
            rows = connection.execute(
                "SELECT series, metric FROM series WHERE series IN (SELECT series FROM wanted)"
            ).fetchall()
            connection.unregister("wanted")
        except duckdb.Error as error:
            raise HistoryFailed(str(error)) from error
        counters = {series for series, metric in rows if metric in known or metric.endswith(COUNTER_ENDS)}
        return np.fromiter((series in counters for series in identities.tolist()), np.bool_, len(identities))

    def marks(self) -> dict[str, int]:
        """Return up to what time each kind of rollup is complete."""
        rows = self._connection.execute("SELECT key, value FROM meta WHERE key <> 'schema'").fetchall()
        return {key: int(value) for key, value in rows}

    def mark(self, key: str, until_ms: int) -> None:
        """Note up to what time a kind of rollup is complete.

        Raises:
            HistoryFailed: nothing was noted.
        """
        with self.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = ?", [key])
            connection.execute("INSERT INTO meta VALUES (?, ?)", [key, str(until_ms)])

    def families(self) -> Iterator[tuple[str, str, str, str]]:
        """Return what is known of metrics: name, type, help, unit."""
        yield from self._connection.execute("SELECT name, type, help, unit FROM families").fetchall()

    def drop(self, number: int) -> None:
        """Drop a partition.

        Raises:
            HistoryFailed: it is still there.
        """
        span = self.partitions.get(number)
        with self.transaction() as connection:
            connection.execute(f"DROP TABLE IF EXISTS raw_{number}")
            connection.execute(f"DROP TABLE IF EXISTS times_{number}")
            if span is not None:
                dropped = max(span.last, self.dropped_ms or span.last)
                connection.execute("DELETE FROM meta WHERE key = 'dropped'")
                connection.execute("INSERT INTO meta VALUES ('dropped', ?)", [str(dropped)])
                self.dropped_ms = dropped
        self.partitions.pop(number, None)

    def forget_series(self, before_ms: int) -> None:
        """Forget series that have ended so long ago that no sample of them is left.

        Raises:
            HistoryFailed: nothing was forgotten.
        """
        with self.transaction() as connection:
            connection.execute("DELETE FROM series WHERE ended < ?", [before_ms])

    def checkpoint(self) -> None:
        """Write DuckDB's own log into its file, and give free space back.

        Raises:
            HistoryFailed: it could not be done.
        """
        with self._lock:
            try:
                self._connection.execute("CHECKPOINT")
            except duckdb.Error as error:
                raise HistoryFailed(str(error)) from error

    def used_bytes(self) -> int:
        """Return the bytes in use on disk. Blocks of the file that are free will be used again and do not count."""
        path = self.folder / FILE
        wal = path.with_name(f"{FILE}.wal")
        size = wal.stat().st_size if wal.exists() else 0
        ((used,),) = self.reader().execute("SELECT block_size * used_blocks FROM pragma_database_size()").fetchall()
        return size + int(used)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()


def _objects(items: Sequence[object]) -> Blobs:
    out = np.empty(len(items), object)
    out[:] = items
    return out


def insert(connection: duckdb.DuckDBPyConnection, table: str, columns: str, data: Mapping[str, NDArray[Any]]) -> None:
    """Insert columns of data; `columns` names them in the order of the table's."""
    connection.register("fresh", dict(data))
    try:
        connection.execute(f"INSERT INTO {table} SELECT {columns} FROM fresh")
    finally:
        connection.unregister("fresh")


def _encoded(blocks: Sequence[Block], first_number: int) -> tuple[Columns, Columns]:
    """Return the rows of `raw` (sorted by series) and of `times`, all blocks of a length encoded at once."""
    lengths = np.array([len(block.times) for block in blocks], np.uint16)
    series, numbers, data = [], [], []
    times = np.empty(len(blocks), object)
    for n in np.unique(lengths).tolist():
        mine = np.flatnonzero(lengths == n)
        times[mine] = encode(np.stack([blocks[place].times for place in mine.tolist()]).astype(np.float64))
        values = np.concatenate([blocks[place].values for place in mine.tolist()])
        identities = np.concatenate([blocks[place].identities for place in mine.tolist()])
        number = np.repeat(mine + first_number, [len(blocks[place].identities) for place in mine.tolist()])
        present = (values.view(np.uint64) != ABSENT_BITS).any(axis=1)
        series.append(identities[present])
        numbers.append(number[present])
        data.append(encode(values[present]))
    identity, block = np.concatenate(series), np.concatenate(numbers).astype(np.int32)
    order = np.lexsort((block, identity))
    rows: Columns = {"series": identity[order], "block": block[order], "data": np.concatenate(data)[order]}
    return rows, {
        "block": np.arange(first_number, first_number + len(blocks), dtype=np.int32),
        "stream": np.array([block.stream for block in blocks], np.int32),
        "first": np.array([int(block.times[0]) for block in blocks], np.int64),
        "last": np.array([int(block.times[-1]) for block in blocks], np.int64),
        "n": lengths,
        "data": times,
    }


def _kept(blocks: Sequence[Block], rows: Columns, first_number: int) -> list[RecentBlock]:
    """Return the rows of `raw` block by block."""
    order = np.argsort(rows["block"], kind="stable")
    bounds = np.searchsorted(rows["block"][order], first_number + np.arange(len(blocks) + 1)).tolist()
    return [
        RecentBlock.of(block.stream, block.times, rows["series"][mine], rows["data"][mine])
        for block, begin, end in zip(blocks, bounds[:-1], bounds[1:], strict=True)
        for mine in (order[begin:end],)
    ]


def add_chunks(blocks: Blocks, chunks: Chunks, rows: Index, before_block: int | None, after_ms: int) -> None:
    """Add what was read to other blocks; `rows` turns positions among the identities asked for into rows.

    Blocks from `before_block` on were written after the head was copied, and are left out; so are columns up to
    `after_ms`.
    """
    count = len(chunks.stream)
    cut = np.empty(count, np.intp)
    times: list[tuple[Index, Times]] = []
    for which, values in decoded(chunks.times, chunks.n):
        found = values.astype(np.int64)
        cut[which] = (found <= after_ms).sum(axis=1)
        times.append((which, found))
    kept = np.flatnonzero((cut < chunks.n) & (before_block is None or chunks.number < before_block))
    number = np.full(count, -1, np.intp)
    number[kept] = blocks.add(chunks.stream[kept], (chunks.n - cut)[kept]) + np.arange(len(kept))
    for which, found in times:
        for columns, mine in _by(cut[which], number[which] >= 0):
            blocks.times.append((number[which[mine]], found[mine, columns:]))
    for which, values in decoded(chunks.data, chunks.n[chunks.block]):
        block = chunks.block[which]
        for columns, mine in _by(cut[block], number[block] >= 0):
            blocks.values.append((rows[chunks.rows[which[mine]]], number[block[mine]], values[mine, columns:]))


def _by(keys: Index, mask: NDArray[np.bool_]) -> Iterator[tuple[int, Index]]:
    """Yield each key that the mask leaves, and where it is."""
    chosen = np.flatnonzero(mask)
    for key in np.unique(keys[chosen]).tolist():
        yield key, chosen[keys[chosen] == key]
