"""All tables and no rows: a database made once in a run, which every worker and every program under test copies."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

ROOT = Path(__file__).parent.parent
MIGRATE = "import django; django.setup(); from mainstay.prepare import migrate; migrate()"
NAME = "tables"  # of the database at the server of PostgreSQL


def copy_to(file: Path) -> None:
    """Put SQLite's at `file`, private as the program makes it."""
    made = _home() / "mainstay.sqlite3"
    with made_by_one():
        if not made.exists():
            _migrate({"MAINSTAY_HOME": str(_home() / "making")})
            (_home() / "making" / "mainstay.sqlite3").rename(made)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(made, file)
    file.chmod(0o600)


def on_postgresql(server: str) -> str:
    """Return the name of PostgreSQL's, to be given as TEMPLATE. `server` is the address of a database beside it."""
    made = _home() / "on-postgresql"
    with made_by_one():
        if not made.exists():
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {NAME}".encode())
                address = f"postgresql://{connection.info.user}@/{NAME}?host={connection.info.host}"
            _migrate({"MAINSTAY_HOME": str(_home() / "making"), "DATABASE_URL": address})
            made.touch()
    return NAME


def _home() -> Path:
    home = Path(os.environ["TEST_TABLES"])
    home.mkdir(exist_ok=True)
    return home


@contextmanager
def made_by_one() -> Iterator[None]:
    """Wait until no other worker makes what all need."""
    with (_home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _migrate(variables: dict[str, str]) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environ |= {"DJANGO_SETTINGS_MODULE": "mainstay.settings", **variables}
    subprocess.run([sys.executable, "-c", MIGRATE], cwd=ROOT, env=environ, check=True, timeout=110)
