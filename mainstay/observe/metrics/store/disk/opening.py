"""The file of history: opened, or set aside when it cannot be; its tables."""

import contextlib
import logging
from pathlib import Path

import duckdb

log = logging.getLogger(__name__)

FILE = "history.duckdb"
SCHEMA = 1
# What DuckDB says when the file may be well and cannot be had: a backup or a person reads it, descriptors, memory or
# room have run out, or this user may not.
_NOT_THE_FILE = (
    "could not set lock",
    "cannot open file",
    "too many open files",
    "no space left",
    "cannot allocate memory",
    "permission denied",
)


def open_database(folder: Path, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """Open the database, or set a damaged one aside and begin a new one.

    Raises:
        OSError: it cannot be opened now, and that says nothing of what is in it.
    """
    path = folder / FILE
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": f"{memory_bytes >> 20}MiB",
        "temp_directory": str(folder / "history.tmp"),
        # Without these, DuckDB's allocator keeps the memory of the greatest write for the next one.
        "allocator_flush_threshold": "4MiB",
        "allocator_bulk_deallocation_flush_threshold": "4MiB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "enable_external_access": True,
    }
    try:
        connection = duckdb.connect(str(path), config=config)
        _prepare(connection)
    except (duckdb.Error, UnicodeDecodeError) as error:
        if isinstance(error, duckdb.OutOfMemoryException) or any(part in str(error).lower() for part in _NOT_THE_FILE):
            raise OSError(str(error)) from error
        aside = unused(path)
        log.error("history of metrics cannot be opened: it is set aside as %s and begun anew (%s)", aside.name, error)
        with contextlib.suppress(NameError, UnboundLocalError):
            connection.close()
        path.rename(aside)
        wal = path.with_name(f"{FILE}.wal")
        if wal.exists():
            wal.rename(aside.with_name(f"{aside.name}.wal"))
        connection = duckdb.connect(str(path), config=config)
        _prepare(connection)
    return connection


def unused(path: Path) -> Path:
    """Return a name for a file that is set aside."""
    number = 1
    while (aside := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return aside


def file_id(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS meta (key VARCHAR, value VARCHAR)")
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall()
    if not row:
        connection.execute("INSERT INTO meta VALUES ('schema', ?)", [str(SCHEMA)])
    elif row[0][0] != str(SCHEMA):
        raise duckdb.Error(f"its schema is {row[0][0]}, this program knows {SCHEMA}")
    connection.execute("CREATE TABLE IF NOT EXISTS streams (stream INTEGER, key VARCHAR, job VARCHAR, since INTEGER)")
    connection.execute("CREATE TABLE IF NOT EXISTS series (series INTEGER, metric VARCHAR, labels BLOB, ended BIGINT)")
    connection.execute("CREATE TABLE IF NOT EXISTS families (name VARCHAR, type VARCHAR, help VARCHAR, unit VARCHAR)")
