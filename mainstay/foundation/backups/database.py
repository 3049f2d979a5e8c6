"""One consistent copy of the database while it is used, and putting it back. SQLite and PostgreSQL; no Django."""

import contextlib
import glob
import os
import shutil
import sqlite3
import subprocess
import tempfile
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
RESTORING = ".restoring"  # ends the name of what a restore is still copying
BEFORE_RESTORE = "before-restore-"  # begins the name of where a restore keeps what was there


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

    Whenever this is cut off, the database is either as it was, or what is missing is done by `finish_put_back`.

    Raises:
        CopyFailed: the database is as it was, or the message says that it is not.
    """
    try:
        if is_postgresql(environment):
            _put_back_postgresql(environment, file, aside)
        else:
            _put_back_sqlite(environment, file, aside)
    except OSError as error:
        raise CopyFailed(f"the database cannot be put back: {error}") from None


def _put_back_sqlite(environment: Environment, file: Path, aside: Path) -> None:
    target = sqlite_file(environment)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f"{target.name}{RESTORING}")
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
    # From here on the restore has happened: the old files and the new one change places in several steps, and whoever
    # finds this name goes on with them. Its last part says where the old files go.
    fresh.rename(target.with_name(f"{target.name}.{aside.name}"))
    try:
        finish_put_back(environment, aside.parent)
    except OSError as error:
        raise CopyFailed(f"{error}. The restore is finished at the next start, or by mainstay self restore") from None


def finish_put_back(environment: Environment, copies: Path) -> bool:
    """Do what is left of a restore that was cut off; return whether something was. Nothing may use the database."""
    if is_postgresql(environment):
        return False  # there it is one transaction
    target = sqlite_file(environment)
    for fresh in target.parent.glob(f"{glob.escape(target.name)}.{BEFORE_RESTORE}*"):
        aside = copies / fresh.name.removeprefix(f"{target.name}.")
        for side in _SIDES:
            old = target.with_name(target.name + side)
            if old.exists():
                aside.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.move(old, free(aside / old.name))
        fresh.rename(target)
        return True
    return False


def free(path: Path) -> Path:
    """Return a path where nothing is yet: whoever started a process meanwhile made a file that is not the old one."""
    while path.exists():
        path = path.with_name(f"{path.name}-later")
    return path


def _put_back_postgresql(environment: Environment, file: Path, aside: Path) -> None:
    tool("psql")
    _run("pg_restore", environment, ["--list", str(file)], connects=False)  # a file that is no dump says so here
    if not is_empty(environment):
        aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy_database(environment, aside)
    _fill_postgresql(environment, file)


_DROP_ALL = b"""
SET client_min_messages = warning;
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
    EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', name);
  END LOOP;
END $$;
"""


def _fill_postgresql(environment: Environment, file: Path) -> None:
    """Drop all tables, those of a newer version too, and make those of the copy: in one transaction.

    pg_restore alone would drop only what the copy has, and stumble over other tables that refer to it. It commits
    nothing here: the last word is ours, once it has ended well, so whatever dies leaves the database as it was.
    """
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--exit-on-error", "--file=-", str(file)]
    arguments, environ = _reaching("psql", environment)
    quiet = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as wrong:
        with (
            subprocess.Popen([*arguments, *quiet], env=environ, stdin=subprocess.PIPE, stderr=said) as psql,
            subprocess.Popen([tool("pg_restore"), *options], stdout=subprocess.PIPE, stderr=wrong) as reading,
        ):
            assert psql.stdin is not None
            assert reading.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # psql met an error and says which
                psql.stdin.write(b"BEGIN;\n" + _DROP_ALL)
                shutil.copyfileobj(reading.stdout, psql.stdin)
                if not reading.wait():
                    psql.stdin.write(b"\nCOMMIT;\n")
            with contextlib.suppress(BrokenPipeError):
                psql.stdin.close()
            reading.stdout.close()
            psql.wait()
        for name, status, output in (("psql", psql.returncode, said), ("pg_restore", reading.returncode, wrong)):
            if status:
                output.seek(0)
                raise CopyFailed(_failed(name, output.read(), status) + ". The database is as it was")


def tool(name: str) -> str:
    """Return the path of one of PostgreSQL's programs.

    Raises:
        CopyFailed: it is not there.
    """
    found = shutil.which(name)
    if found is None:
        raise CopyFailed(f"{name} is not on PATH: install PostgreSQL's client programs, not older than the server")
    return found


def _reaching(name: str, environment: Environment) -> tuple[list[str], dict[str, str]]:
    """Return how one of PostgreSQL's programs is called so that it reaches the database: its words, its environment."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given = {key: str(value) for key, value in conninfo_to_dict(environment.database_url).items() if value is not None}
    password = given.pop("password", "")  # other users of this machine can read the arguments
    environ = dict(os.environ) | ({"PGPASSWORD": password} if password else {})
    return [tool(name), f"--dbname={make_conninfo(**given)}"], environ


def _run(name: str, environment: Environment, arguments: Sequence[str], *, connects: bool = True) -> None:
    words, environ = _reaching(name, environment) if connects else ([tool(name)], dict(os.environ))
    try:
        done = subprocess.run([*words, *arguments], env=environ, capture_output=True, timeout=TOOL_MOST_S, check=False)
    except subprocess.TimeoutExpired:
        raise CopyFailed(f"{name} did not end within {TOOL_MOST_S / 3600:g} hours") from None
    if done.returncode:
        raise CopyFailed(_failed(name, done.stderr, done.returncode))


def _failed(name: str, output: bytes, status: int) -> str:
    said = output.decode("utf-8", "replace").strip().splitlines()
    return f"{name} failed: {'; '.join(said[-3:]) or status}"[:1000]
