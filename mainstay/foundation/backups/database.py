"""One consistent copy of the database while it is used, and putting it back. SQLite and PostgreSQL; no Django."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mainstay.foundation.environment import Environment

SQLITE_FILE, POSTGRESQL_FILE = "database.sqlite3", "database.dump"
TOOL_MOST_S = 6 * 3600.0
ALIVE_S = 15
_SIDES = ("", "-wal", "-shm")


class CopyFailed(RuntimeError):
    """The database could not be copied or put back; the message says why and how to mend it."""


def is_postgresql(environment: Environment) -> bool:
    """Tell which of the two it is."""
    return environment.database_url.startswith(("postgresql://", "postgres://"))


def sqlite_file(environment: Environment) -> Path:
    """Return the file of SQLite."""
    url = environment.database_url
    return Path(unquote(urlsplit(url).path.removeprefix("/"))) if url else environment.database_file


def sqlite_uri(file: Path, mode: str) -> str:
    """Return the address of a file for SQLite; unquoted, it would end at a `?` or `#` and mean another file."""
    return f"{file.absolute().as_uri()}?mode={mode}"


def copy_database(environment: Environment, folder: Path) -> Path:
    """Write a copy into `folder`, as of one instant, while others go on writing; return its file.

    Raises:
        CopyFailed: there is none; nothing is left of it.
    """
    file = folder / (POSTGRESQL_FILE if is_postgresql(environment) else SQLITE_FILE)
    try:
        if is_postgresql(environment):
            _run("pg_dump", environment, ["--format=custom", "--no-owner", "--no-privileges", f"--file={file}"])
        else:
            copy_sqlite(sqlite_file(environment), file)
        file.chmod(0o600)
        with file.open("rb") as written:
            os.fsync(written.fileno())
    except OSError as error:
        file.unlink(missing_ok=True)
        raise CopyFailed(f"{file} cannot be written: {error.strerror or error}") from None
    except CopyFailed:
        file.unlink(missing_ok=True)
        raise
    return file


def copy_sqlite(source: Path, file: Path) -> None:
    """Copy by SQLite's backup interface, in one step: a copy in several begins anew whenever somebody writes.

    Raises:
        CopyFailed: there is none, or what was copied is damaged.
    """
    if not source.exists():
        raise CopyFailed(f"there is no database {source}; the first start makes it: mainstay up")
    try:
        reading = sqlite3.connect(sqlite_uri(source, "ro"), uri=True, timeout=20)
        writing = sqlite3.connect(file)
        try:
            reading.backup(writing)
            # One file: the copy needs no log beside it.
            writing.execute("PRAGMA journal_mode=DELETE")
            (said,) = writing.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            writing.close()
            reading.close()
    except sqlite3.Error as error:
        raise CopyFailed(f"{source} cannot be copied: {error}") from None
    if said != "ok":
        raise CopyFailed(f"{source} is damaged: {said}. Restore an earlier backup")


def rows(environment: Environment, statement: str) -> list[tuple[Any, ...]]:
    """Return what a statement gives; nothing where the table, the file or the database is not there yet.

    Raises:
        CopyFailed: the database does not answer.
    """
    if is_postgresql(environment):
        import psycopg

        try:
            with psycopg.connect(environment.database_url, connect_timeout=5) as connection:
                return connection.execute(statement.encode()).fetchall()
        except psycopg.errors.UndefinedTable:
            return []
        except psycopg.Error as error:
            raise CopyFailed(f"PostgreSQL does not answer: {str(error).strip().partition(chr(10))[0]}") from None
    file = sqlite_file(environment)
    if not file.exists():
        return []
    return _rows_of(file, statement)


def _rows_of(file: Path, statement: str) -> list[tuple[Any, ...]]:
    try:
        connection = sqlite3.connect(sqlite_uri(file, "ro"), uri=True, timeout=20)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise CopyFailed(f"{file} cannot be read: {error}") from None
    except sqlite3.Error as error:
        raise CopyFailed(f"{file} cannot be read: {error}") from None


def migrations(environment: Environment) -> list[str]:
    """Return the migrations that the database has, as `app.name`, sorted; none for an empty one."""
    return sorted(f"{app}.{name}" for app, name in rows(environment, "SELECT app, name FROM django_migrations"))


def is_empty(environment: Environment) -> bool:
    """Tell whether there is nothing yet that a restore would replace."""
    if is_postgresql(environment):
        found = rows(environment, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
        return not found[0][0]
    return not sqlite_file(environment).exists()


def processes_alive(environment: Environment, now: datetime) -> int:
    """Return how many processes use the database at this moment, by their beats."""
    since = f"{now - timedelta(seconds=ALIVE_S):%Y-%m-%d %H:%M:%S}"
    found = rows(environment, f"SELECT count(*) FROM processes_process WHERE beat_at > '{since}+00:00'")  # noqa: S608
    return int(found[0][0]) if found else 0


def put_back(environment: Environment, file: Path, aside: Path) -> None:
    """Make the database what a copy says; what was there before is kept in `aside`.

    Raises:
        CopyFailed: the database is as it was.
    """
    try:
        if is_postgresql(environment):
            _put_back_postgresql(environment, file, aside)
        else:
            _put_back_sqlite(sqlite_file(environment), file, aside)
    except OSError as error:
        raise CopyFailed(f"the database cannot be put back: {error}") from None


def _put_back_sqlite(target: Path, file: Path, aside: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f"{target.name}.restoring")
    shutil.copyfile(file, fresh)
    fresh.chmod(0o600)
    try:
        connection = sqlite3.connect(fresh)
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        fresh.unlink()
        raise CopyFailed(f"{file} is damaged: {said}. Take another backup")
    with fresh.open("rb") as written:
        os.fsync(written.fileno())
    for side in _SIDES:
        old = target.with_name(target.name + side)
        if old.exists():
            aside.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.move(old, aside / old.name)
    fresh.rename(target)


def _put_back_postgresql(environment: Environment, file: Path, aside: Path) -> None:
    tool("pg_restore")
    _run("pg_restore", environment, ["--list", str(file)], connects=False)  # a file that is no dump says so here
    kept = None
    if not is_empty(environment):
        aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = copy_database(environment, aside)
    try:
        _fill_postgresql(environment, file)
    except CopyFailed as error:
        if kept is None:
            raise
        _fill_postgresql(environment, kept)
        raise CopyFailed(f"{error}. What was there before is back") from None


def _fill_postgresql(environment: Environment, file: Path) -> None:
    """Drop all tables, those of a newer version too, and make those of the copy."""
    import psycopg
    from psycopg import sql

    try:
        with psycopg.connect(environment.database_url, connect_timeout=5) as connection:
            for (name,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            ).fetchall():
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise CopyFailed(f"PostgreSQL refuses: {str(error).strip().partition(chr(10))[0]}") from None
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    _run("pg_restore", environment, [*options, str(file)])


def tool(name: str) -> str:
    """Return the path of one of PostgreSQL's programs.

    Raises:
        CopyFailed: it is not there.
    """
    found = shutil.which(name)
    if found is None:
        raise CopyFailed(f"{name} is not on PATH: install PostgreSQL's client programs, not older than the server")
    return found


def _run(name: str, environment: Environment, arguments: Sequence[str], *, connects: bool = True) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given = {key: str(value) for key, value in conninfo_to_dict(environment.database_url).items() if value is not None}
    password = given.pop("password", "")  # other users of this machine can read the arguments
    target = [f"--dbname={make_conninfo(**given)}"] if connects else []
    environ = dict(os.environ) | ({"PGPASSWORD": password} if password else {})
    try:
        done = subprocess.run(
            [tool(name), *target, *arguments], env=environ, capture_output=True, timeout=TOOL_MOST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CopyFailed(f"{name} did not end within {TOOL_MOST_S / 3600:g} hours") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CopyFailed(f"{name} failed: {'; '.join(said[-3:]) or done.returncode}"[:1000])
